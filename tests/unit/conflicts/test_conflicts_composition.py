"""Ties that entries make together: over people the register knows, while all entries hold, and never fewer for one entry more."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import BROTHER, NOW, OFFICER, POLICIES, SERGEANT, Cells, row, somebody, ties_of
from purposegate.conflicts import relations
from purposegate.conflicts.circle import seen
from purposegate.conflicts.composition import Composer
from purposegate.conflicts.directory import Directory, Staff
from purposegate.conflicts.register import Link, Register, RegisterEntry
from purposegate.conflicts.ties import Ties
from purposegate.feeds.table import Stamp
from purposegate.model import Conflict, Identity, Name, RecordRef, Row, Whose

RULES = relations.load(POLICIES / "conflicts.yaml")
PARTNER: Cells = {
    **BROTHER,
    "id": "r5",
    "relation": "partner",
    "names": "Bilal|Khan",
    "born": "1979-07-14",
    "records": "staff:E2",
}
FATHER: Cells = {
    "id": "r6",
    "principal": "E2",
    "relation": "parent",
    "provenance": "vetting",
    "names": "Imran|Khan",
    "born": "1950-03-04",
}
IMRAN = row(somebody("Imran", "Khan", "1950-03-04"))
BILAL = row(somebody("Bilal", "Khan", "1979-07-14"))


def found(ties: Ties, record: Row = IMRAN, principal: str = "E1") -> list[Conflict]:
    every = ties.of(principal, Whose.PRINCIPAL, seen(record), at=NOW)
    return [tie for tie in every if tie.provenance == "derived"]


def test_a_partners_parent_is_an_in_law(tmp_path: Path) -> None:
    """Neither declared it: one has a partner on the staff, the other a father. The tie names both entries."""
    ties = ties_of(tmp_path, entries=[PARTNER, FATHER])

    assert [("in_law", "register:r5>r6", False)] == [
        (tie.relation, tie.entry, tie.declared) for tie in found(ties)
    ]
    entry = ties.prepare("E1").entry("register:r5>r6")
    assert entry
    assert (Link("partner", "r5"), Link("parent", "r6")) == entry.chain


def test_staff_are_recognised_without_an_id(tmp_path: Path) -> None:
    """Where the entry's person agrees with one member of the directory beyond doubt."""
    ties = ties_of(tmp_path, entries=[{**PARTNER, "records": ""}, FATHER])
    doubtful = ties_of(tmp_path, entries=[{**PARTNER, "records": "", "born": ""}, FATHER])

    assert (["in_law"], []) == ([tie.relation for tie in found(ties)], found(doubtful))


def test_an_entry_works_both_ways(tmp_path: Path) -> None:
    """Who is named as staff has the inverse tie to the one who named them."""
    ties = ties_of(
        tmp_path, entries=[{**FATHER, "principal": "E2", "records": "staff:E1", "names": "Ann|Archer"}]
    )

    assert ["child"] == [tie.relation for tie in found(ties, BILAL)]


def test_two_entries_may_meet_in_one_record_id(tmp_path: Path) -> None:
    """Somebody outside the force, whom two members of staff have entries for, ties the two."""
    mine = {**BROTHER, "relation": "partner", "records": "person:77"}
    theirs = {**BROTHER, "id": "r9", "principal": "E2", "records": "person:77"}
    ties = ties_of(tmp_path, entries=[mine, theirs])

    assert (["in_law"], ["in_law"]) == (
        [tie.relation for tie in found(ties, BILAL)],
        [tie.relation for tie in found(ties, row(somebody("Ann", "Archer", "1984-02-29")), "E2")],
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ({"valid_from": "2010-01-01", "valid_to": "2018-01-01"}, {"valid_from": "2019-01-01"}, []),
        ({"valid_from": "2010-01-01", "valid_to": "2020-01-01"}, {"valid_from": "2013-01-01"}, ["in_law"]),
        ({"valid_from": "1990-01-01", "valid_to": "2001-01-01"}, {}, []),
        ({"relation": "friend"}, {}, []),
        ({"relation": "ex_partner"}, {}, ["relative_of_ex_partner"]),
    ],
)
def test_a_chain_holds_while_all_of_it_does(
    tmp_path: Path, mine: dict[str, str], theirs: dict[str, str], expected: list[str]
) -> None:
    """The composed tie lasts as long as both entries held at once, and counts on as its own relation does."""
    ties = ties_of(tmp_path, entries=[{**PARTNER, **mine}, {**FATHER, **theirs}])

    assert expected == [tie.relation for tie in found(ties)]


def test_no_longer_chain_than_the_file_allows(tmp_path: Path) -> None:
    """The shipped file composes two entries; a third is nobody's tie."""
    staff = [OFFICER, SERGEANT, {**SERGEANT, "staff_id": "E3", "names": "Sara|Khan", "born": "1985-01-02"}]
    sister = {
        **FATHER,
        "relation": "sibling",
        "names": "Sara|Khan",
        "born": "1985-01-02",
        "records": "staff:E3",
    }
    child = {
        **FATHER,
        "id": "r7",
        "principal": "E3",
        "relation": "child",
        "names": "Omar|Khan",
        "born": "2010-05-06",
    }
    ties = ties_of(tmp_path, staff=staff, entries=[PARTNER, sister, child])

    assert [] == found(ties, row(somebody("Omar", "Khan", "2010-05-06")))
    assert ["in_law"] == [tie.relation for tie in found(ties, row(somebody("Sara", "Khan", "1985-01-02")))]


def test_a_circle_ends(tmp_path: Path) -> None:
    """Two partners who name each other have no tie to themselves by way of the other."""
    theirs = {
        **PARTNER,
        "id": "r8",
        "principal": "E2",
        "names": "Ann|Archer",
        "born": "1984-02-29",
        "records": "staff:E1",
    }
    ties = ties_of(tmp_path, entries=[PARTNER, theirs])

    assert ["partner"] == [tie.relation for tie in found(ties, BILAL)]


def test_nobody_is_their_own_sister(tmp_path: Path) -> None:
    """A sibling's sibling is a sibling, unless it is where the chain began."""
    mine = {**PARTNER, "relation": "sibling"}
    theirs = {
        **mine,
        "id": "r8",
        "principal": "E2",
        "names": "Ann|Archer",
        "born": "1984-02-29",
        "records": "staff:E1",
    }
    ties = ties_of(tmp_path, entries=[mine, theirs])

    assert [] == found(ties, row(somebody("Ann", "Archer", "1984-02-29")))


def _register(entries: Sequence[RegisterEntry]) -> Register:
    by_staff: dict[str, tuple[RegisterEntry, ...]] = {}
    for entry in entries:
        by_staff[entry.principal] = (*by_staff.get(entry.principal, ()), entry)
    return Register(entries=by_staff, as_of=NOW, digest="", stamp=Stamp(0, 0, 0, 0))


STAFF = ("e1", "e2", "e3")
DIRECTORY = Directory(
    staff={
        key: Staff(
            id=key,
            person=Identity(names=(Name("Staff", key),)),
            homes=(),
            unit="",
            joined=None,
            left=None,
        )
        for key in STAFF
    },
    as_of=NOW,
    digest="",
    stamp=Stamp(0, 0, 0, 0),
)
days = st.none() | st.dates(date(2000, 1, 1), date(2026, 1, 1))
entries = st.builds(
    RegisterEntry,
    id=st.uuids().map(str),
    principal=st.sampled_from(STAFF),
    relation=st.sampled_from(sorted({"partner", "parent", "child", "sibling", "ex_partner", "friend"})),
    provenance=st.just("vetting"),
    person=st.sampled_from([Identity(names=(Name("X", surname),)) for surname in ("A", "B")]),
    homes=st.just(()),
    records=st.frozensets(
        st.sampled_from(
            [*(RecordRef("staff", key) for key in STAFF), RecordRef("person", "1"), RecordRef("person", "2")]
        ),
        max_size=2,
    ),
    valid_from=days,
    valid_to=days,
    known_from=days,
    declared_by=st.just(""),
)


@given(st.lists(entries, max_size=7), entries, st.integers(1, 4))
def test_one_more_entry_takes_no_tie_away(held: list[RegisterEntry], more: RegisterEntry, depth: int) -> None:
    """Whatever the register holds, whoever the entry is of: every composed tie that was there still is (law 5)."""
    rules = replace(RULES, depth=depth)

    def composed(register: Register, key: str) -> frozenset[RegisterEntry]:
        composer = Composer(rules, register, DIRECTORY, lambda _: ())
        return frozenset(composer.of(key, register.entries_of(key)))

    before, after = _register(held), _register([*held, more])
    for key in STAFF:
        assert composed(before, key) <= composed(after, key)
