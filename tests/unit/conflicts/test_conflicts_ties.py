"""Every tie between one member of staff and the people in one record."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from force_files import BROTHER, HOME, NOW, OFFICER, SERGEANT, Cells, row, somebody, ties_of
from purposegate.conflicts.circle import seen
from purposegate.conflicts.ties import Ties
from purposegate.model import Address, Conflict, Row, Tier, Whose

NEXT_DOOR = Address(number="16", street="Mill Ln", locality="Ashby", postcode="AB1 2CD")
AT_HOME = NEXT_DOOR._replace(number="14")
EDMUND = somebody("Edmund", "Archer", "1981-11-05")
STRANGER = somebody("Quentin", "Blakeney", "1950-06-01")


def _of(
    ties: Ties, record: Row, *, who: str = "E1", whose: Whose = Whose.PRINCIPAL, at: datetime = NOW
) -> tuple[Conflict, ...]:
    return ties.of(who, whose, seen(record), at=at)


def _words(ties: Ties, record: Row, *, who: str = "E1", at: datetime = NOW) -> set[tuple[str, Tier]]:
    return {(tie.relation, tie.tier) for tie in _of(ties, record, who=who, at=at)}


@pytest.fixture
def ties(tmp_path: Path) -> Ties:
    return ties_of(tmp_path)


def test_a_registered_relative_is_found_by_name_and_birth(ties: Ties) -> None:
    """The register knows no record id; the tie is seen in what the record shows."""
    assert {("sibling", Tier.CONFIRMED)} == _words(ties, row(EDMUND))


def test_a_tie_says_where_it_comes_from(ties: Ties) -> None:
    """Entry, provenance, default, score and its table go with it, to explain it."""
    (tie,) = _of(ties, row(EDMUND))

    assert ("register:r1", "self-declared", "refuse", True) == (
        tie.entry,
        tie.provenance,
        tie.default,
        tie.declared,
    )
    assert tie.score == pytest.approx(sum(bits for _, bits in tie.table))


def test_a_stranger_has_no_tie(ties: Ties) -> None:
    """Most lookups are proper."""
    assert () == _of(ties, row(STRANGER))


def test_another_persons_entries_are_not_looked_at(ties: Ties) -> None:
    """The brother of one is nobody to another."""
    assert set() == _words(ties, row(EDMUND), who="E2")


def test_one_of_several_people_in_a_record_is_enough(ties: Ties) -> None:
    """A record about many is tied by any of them."""
    assert {("sibling", Tier.CONFIRMED)} == _words(ties, row(STRANGER, EDMUND, STRANGER))


def test_a_record_id_is_enough_without_its_people(tmp_path: Path) -> None:
    """Before the answer is seen only the id is known, and an entry may name it."""
    ties = ties_of(tmp_path, entries=[{**BROTHER, "records": "person:77"}])

    assert {("sibling", Tier.CONFIRMED)} == _words(ties, row(record="77"))
    assert set() == _words(ties, row(record="77", kind="case"))


def test_oneself_is_found_through_the_directory(ties: Ties) -> None:
    """Nobody has to declare that they are themself."""
    assert {("self", Tier.CONFIRMED)} == _words(ties, row(somebody("Ann", "Archer", "1984-02-29")))


def test_a_colleague_is_found_through_the_directory(ties: Ties) -> None:
    """Everybody who works for the force, by the same matching."""
    assert {("colleague", Tier.CONFIRMED)} == _words(ties, row(somebody("Bilal", "Khan", "1979-07-14")))


def test_a_leaver_is_a_former_colleague(tmp_path: Path) -> None:
    """Not a stranger from the day they leave, nor a colleague."""
    ties = ties_of(tmp_path, staff=[OFFICER, {**SERGEANT, "left": "2025-12-31"}])

    assert {("ex_colleague", Tier.CONFIRMED)} == _words(ties, row(somebody("Bilal", "Khan", "1979-07-14")))


def test_somebody_at_ones_own_address_is_household(ties: Ties) -> None:
    """Whoever they are."""
    assert {("household", Tier.CONFIRMED)} == _words(ties, row(somebody("Quentin", "Blakeney", "", AT_HOME)))


def test_somebody_next_door_is_a_neighbour(ties: Ties) -> None:
    """Whoever they are; and the tie says how many numbers are between."""
    (tie,) = _of(ties, row(somebody("Quentin", "Blakeney", "", NEXT_DOOR)))

    assert ("neighbour", "directory", "directory:E1:home", (("neighbour:numbers-apart", 2.0),)) == (
        tie.relation,
        tie.provenance,
        tie.entry,
        tie.table,
    )


@pytest.mark.parametrize(("days", "expected"), [(0, True), (364, True), (366, False)])
def test_a_former_neighbour_counts_for_a_year(tmp_path: Path, days: int, *, expected: bool) -> None:
    """As long as conflicts.yaml says after moving away."""
    moved = {**OFFICER, "homes": HOME + "|2024-03-01"}
    at = datetime.fromisoformat("2024-03-02T00:00:00+00:00") + timedelta(days=days)

    assert expected == bool(
        _words(ties_of(tmp_path, staff=[moved]), row(somebody("Q", "Blakeney", "", NEXT_DOOR)), at=at)
    )


def test_a_home_not_yet_moved_into_does_not_count(tmp_path: Path) -> None:
    """Before the first day there, its neighbours are strangers."""
    moving = {**OFFICER, "homes": "14|Mill Lane||Ashby|AB1 2CD|2027-01-01"}

    assert set() == _words(ties_of(tmp_path, staff=[moving]), row(somebody("Q", "Blakeney", "", NEXT_DOOR)))


def test_an_ended_tie_counts_for_a_while(tmp_path: Path) -> None:
    """A friendship that ended last year still counts, one that ended long ago does not."""
    recent = ties_of(tmp_path, entries=[{**BROTHER, "relation": "friend", "valid_to": "2025-11-20"}])
    old = ties_of(tmp_path, entries=[{**BROTHER, "relation": "friend", "valid_to": "2015-11-20"}])

    assert ({("friend", Tier.CONFIRMED)}, set()) == (_words(recent, row(EDMUND)), _words(old, row(EDMUND)))


def test_one_persons_declaration_is_not_named_to_another(ties: Ties) -> None:
    """As originator's tie the same entry was not declared by whoever asks."""
    (tie,) = _of(ties, row(EDMUND), whose=Whose.ORIGINATOR)

    assert (Whose.ORIGINATOR, False) == (tie.whose, tie.declared)


@pytest.mark.parametrize("who", ["e1", " E1 ", "E 1"])
def test_a_staff_id_may_be_spelt_in_another_way(ties: Ties, who: str) -> None:
    """The identity provider's capitals are not the register's: no tie is missed over that."""
    found = _of(ties, row(EDMUND, somebody("Ann", "Archer", "1984-02-29")), who=who)

    assert {("sibling", True), ("self", False)} == {(tie.relation, tie.declared) for tie in found}


def test_somebody_nobody_knows_has_no_ties(ties: Ties) -> None:
    """A recipient outside the force is in neither directory nor register."""
    assert () == _of(ties, row(STRANGER), who="partner agency")


def test_two_entries_for_one_relation_are_one_question(tmp_path: Path) -> None:
    """Policies are asked once for each sort of tie, about the surest."""
    twice = [BROTHER, {**BROTHER, "id": "r2", "born": "", "addresses": "3|High Street||Ashby|AB1 2CD"}]
    found = _of(ties_of(tmp_path, entries=twice), row(EDMUND))

    assert [("register:r1", Tier.CONFIRMED), ("register:r2", Tier.CANDIDATE)] == sorted(
        (tie.entry, tie.tier) for tie in found
    )


entries = st.fixed_dictionaries(
    {
        "principal": st.sampled_from(["E1", "E2"]),
        "relation": st.sampled_from(["sibling", "friend", "ex_partner"]),
        "provenance": st.sampled_from(["self-declared", "vetting", "derived"]),
        "names": st.sampled_from(
            ["Edmund|Archer", "Edmond|Archer", "Ned|Archer; E|Archer", "Quentin|Blakeney", "|Archer"]
        ),
        "born": st.sampled_from(["", "1981-11-05", "1981", "1950-06-01; 1981-05-11"]),
        "valid_to": st.sampled_from(["", "2026-01-01", "1999-01-01"]),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(before=st.lists(entries, max_size=4), added=entries)
def test_one_more_entry_only_adds_ties(tmp_path: Path, before: Sequence[Cells], added: Cells) -> None:
    """No entry in the register weakens what another found: the conflicts grow, or stay (law 5)."""
    numbered = [{**entry, "id": f"r{place}"} for place, entry in enumerate([*before, added])]
    fewer, more = ties_of(tmp_path, entries=numbered[:-1]), ties_of(tmp_path, entries=numbered)
    for record in (row(EDMUND), row(STRANGER), row(somebody("", "Archer", "1981-11-05"))):

        def sorts(ties: Ties, record: Row = record) -> set[tuple[str, Tier, str, bool]]:
            return {(tie.relation, tie.tier, tie.provenance, tie.declared) for tie in _of(ties, record)}

        assert sorts(fewer) <= sorts(more)
