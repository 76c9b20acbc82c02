"""Signs of fishing in one lookup: searches by parts of names, and reasons that are the same words again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import POLICIES
from purposegate.facts import bands
from purposegate.facts.fishing import is_partial, reason_key

PATTERNS = bands.load(POLICIES / "facts.yaml").patterns


@pytest.mark.parametrize(
    "criteria",
    [
        {"*": "Alex B."},
        {"*": "smi*"},
        {"*": "smith"},
        {"surname": "startswith smi"},
        {"surname": "contains mit", "given_name": "glob A*"},
        {"surname": "%smith%"},
        {"surname": "like smith; _sort"},
        {"surname": "contains smi", "state": "_sort"},
        {"rec_id": "gt rec-1"},
        {"postcode": "notblank 1"},
    ],
)
def test_parts_alone_are_partial(criteria: dict[str, str]) -> None:
    """Wildcards, operators that compare a part, one word of free text; a sort key beside them makes nothing whole."""
    assert is_partial(criteria, PATTERNS)


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"state": "_sort"},
        {"*": "Alex Brown"},
        {"*": "Brown 1981"},
        {"surname": "Brown"},
        {"surname": "startswith Bro", "date_of_birth": "19811105"},
        {"surname": "exact Brown", "given_name": "glob A*"},
        {"phone": "07700 900123"},
    ],
)
def test_one_whole_value_is_a_search_for_somebody(criteria: dict[str, str]) -> None:
    """A name in full, a date of birth, a number: whoever knows that much is not fishing by letters."""
    assert not is_partial(criteria, PATTERNS)


@pytest.mark.parametrize(
    "other",
    [
        "Checking witness details for CR/1042/26 before interview",
        "checking WITNESS details, for CR/1043/26 - before interview!",
        "Checking witness details for  case CR/1044/26 before interview".replace("case ", ""),
        "Checking witness details for 77 before interview",
    ],
)
def test_numbers_case_and_punctuation_make_no_new_words(other: str) -> None:
    """The same sentence with another case number is the same sentence."""
    assert reason_key("Checking witness details for CR/1/26 before interview") == reason_key(other)


def test_other_words_are_another_reason() -> None:
    """One word more or in another place is somebody writing it anew."""
    texts = ["Theft from shop", "Theft from the shop", "Shop theft from", "Кража из магазина", "窃盗事件"]

    assert len(texts) == len({reason_key(text) for text in texts})


@pytest.mark.parametrize("reason", ["", "  ", "CR/1042/26", "12 34", "--- ..."])
def test_without_words_there_is_nothing_to_repeat(reason: str) -> None:
    """No reason, or only a reference: counted under nothing."""
    assert "" == reason_key(reason)


@given(st.text())
def test_a_key_tells_nothing_of_the_words(reason: str) -> None:
    """Whatever was written: 128 bits of a digest, or nothing, and never an error."""
    assert len(reason_key(reason)) in (0, 32)
    assert reason_key(reason) == reason_key(reason.upper().lower()) or not reason.isascii()
