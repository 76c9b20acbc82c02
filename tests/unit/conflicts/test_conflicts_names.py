"""Names as they are compared."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.conflicts.names import Shares, are_nicknames, fold, folded, load_shares, word
from purposegate.errors import PolicyError
from purposegate.model import Name


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("O'Brien", "obrien"),
        ("O\u2019BRIEN", "obrien"),
        ("  Jean-Luc  ", "jean luc"),
        ("Zo\u00eb", "zoe"),
        ("S\u00f8ren \u0141ukasz", "soren lukasz"),
        ("STRA\u00dfE", "strasse"),
        ("--", ""),
    ],
)
def test_fold_drops_what_is_no_evidence(written: str, expected: str) -> None:
    """Case, accents, apostrophes, hyphens and blanks do not tell two spellings apart."""
    assert expected == fold(written)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_folds_as_the_patterns_say(text: str) -> None:
    """The table for plain text does what the two patterns do for all others."""
    dropped = re.sub(r"['`.]", "", text.lower())

    assert re.sub(r"[\W_]+", " ", dropped).strip() == fold(text)


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    """What was folded stays as it is, so that both sides of a comparison may be folded anywhere."""
    assert fold(text) == fold(fold(text))


def test_titles_are_no_names() -> None:
    """A title in the name column does not make another name."""
    assert word("Smith") == word("Dr. Smith")


def test_a_title_alone_is_a_name() -> None:
    """Somebody may really be called Dean or Sir, so a name is never emptied by it."""
    assert ("sir",) == tuple(name.given.text for name in folded([Name("Sir", "")]) if name.given)


def test_names_without_anything_comparable_are_left_out() -> None:
    """A record's `-` or `...` for an unknown name counts neither way."""
    assert () == folded([Name("-", "..."), Name("", "")])


@given(st.text(), st.text())
def test_any_text_can_be_a_name(given_name: str, surname: str) -> None:
    """Whatever a record holds there, folding it ends, and every reading has a part."""
    assert all(any(name) for name in folded([Name(given_name, surname)]))


@pytest.mark.parametrize(
    ("one", "other"), [("robert", "bob"), ("bob", "robert"), ("bob", "rob"), ("elizabeth", "liz")]
)
def test_nicknames_are_known_both_ways(one: str, other: str) -> None:
    """A short form meets its long form and its siblings, whichever side has which."""
    assert are_nicknames(one, other)


def test_strangers_are_no_nicknames() -> None:
    """Two names of no common long form are not nicknames."""
    assert not are_nicknames("robert", "edward")


def test_a_common_name_says_less_than_a_rare_one() -> None:
    """Agreeing on Smith is weaker evidence than agreeing on a surname in no table."""
    shares = load_shares(11.0)

    assert (
        shares.surname_bits("smith") < shares.surname_bits("king") < shares.surname_bits("featherstonehaugh")
    )


def test_a_force_may_bring_its_own_table(tmp_path: Path) -> None:
    """Where other names are common, the force's table says so."""
    table = tmp_path / "ours.csv"
    table.write_text("part,name,per_million\nsurname,Kh\u00e1n,125000\n", encoding="utf-8")

    assert Shares({}, {"khan": 3.0}, 11.0) == load_shares(11.0, table)


def test_a_faulty_table_names_its_lines(tmp_path: Path) -> None:
    """Every line that is not part, name and number is named, and not echoed."""
    table = tmp_path / "ours.csv"
    table.write_text("part,name,per_million\nsurname,khan,0\nmiddle,lee,5\nsurname,lee,7\n", encoding="utf-8")

    with pytest.raises(PolicyError) as refused:
        load_shares(11.0, table)

    assert [2, 3] == [finding.line for finding in refused.value.findings]


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    """A table that is named but not there stops the start, rather than weigh every name alike."""
    with pytest.raises(PolicyError):
        load_shares(11.0, tmp_path / "none.csv")
