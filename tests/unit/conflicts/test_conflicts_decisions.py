"""What a person decided of a candidate holds for what was known then, and for that candidate alone."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from force_files import BROTHER, LONDON, NOW, OFFICER, REGISTER, Cells, row, somebody, ties_of, write
from purposegate.conflicts.circle import seen
from purposegate.conflicts.decisions import Decision, Verdict, known, known_of
from purposegate.conflicts.directory import read_directory
from purposegate.conflicts.register import Register, read_register
from purposegate.conflicts.ties import Ties
from purposegate.model import Address, Identity, Name, RecordRef, Row, Tier, Whose
from registers import RULES

ELM_ROAD = Address(number="9", street="Elm Road")
NAMESAKE = row(somebody("Edmund", "Archer", address=ELM_ROAD), record="900")
"""Perhaps the brother: the same rare name, no date of birth, another address."""
ENTRY: Cells = {**BROTHER, "addresses": "3|Hill Lane||||2010-01-01"}


class Deciding(Register):
    """A register in memory that somebody decided in."""

    decisions: tuple[Decision, ...] = ()

    def decisions_of(self, principal: str) -> tuple[Decision, ...]:
        return tuple(one for one in self.decisions if one.principal == principal)


def _ties(
    tmp_path: Path, *decisions: Decision, entries: tuple[Cells, ...] = (ENTRY,), staff: Cells = OFFICER
) -> Ties:
    read = read_register(write(tmp_path / "r.csv", REGISTER, entries), RULES, now=NOW, zone=LONDON)
    register = Deciding(entries=read.entries, as_of=read.as_of, digest=read.digest, stamp=read.stamp)
    object.__setattr__(register, "decisions", decisions)
    directory = read_directory(
        write(
            tmp_path / "d.csv",
            ("staff_id", "names", "born", "homes", "unit", "joined", "left", "phones", "plates"),
            [staff],
        ),
        now=NOW,
        zone=LONDON,
    )
    return Ties(RULES, register, directory, zone=LONDON)


def _tiers(ties: Ties, record: Row, whose: str = "E1") -> list[tuple[str, Tier]]:
    return [(tie.entry, tie.tier) for tie in ties.of(whose, Whose.PRINCIPAL, seen(record), at=NOW)]


def _decided(
    verdict: Verdict, record: Row = NAMESAKE, *, entry: str = "register:r1", of: Identity | None = None
) -> Decision:
    read = somebody("Edmund", "Archer", "1981-11-05", Address(number="3", street="Hill Lane"))
    return Decision(
        verdict=verdict,
        principal="e1",
        entry=entry,
        relation="sibling",
        record=record.record,
        of_entry=known_of(of or read),
        of_record=known(subject.person for subject in seen(record).subjects),
        by="E7",
        at=datetime(2026, 11, 1, tzinfo=NOW.tzinfo),
        receipt="shard-0/9",
    )


def test_undecided_it_is_a_candidate(tmp_path: Path) -> None:
    """What the other tests begin from."""
    assert [("register:r1", Tier.CANDIDATE)] == _tiers(_ties(tmp_path), NAMESAKE)


def test_a_rejected_candidate_is_no_tie(tmp_path: Path) -> None:
    """To this record and this entry; another record of the same description is asked about."""
    ties = _ties(tmp_path, _decided(Verdict.REJECTED))
    other = replace(NAMESAKE, record=RecordRef("person", "901"))

    assert ([], [Tier.CANDIDATE]) == (_tiers(ties, NAMESAKE), [tier for _, tier in _tiers(ties, other)])


def test_a_rejection_covers_a_list_that_shows_less(tmp_path: Path) -> None:
    """A row of a list has fewer fields than the opened record: nothing new is known by it."""
    opened = row(somebody("Edmund", "Archer", "1944-05-06", ELM_ROAD, phones=("+44 7700 900777",)))

    assert [] == _tiers(_ties(tmp_path, _decided(Verdict.REJECTED, opened)), NAMESAKE)


@pytest.mark.parametrize(
    "changed",
    [
        somebody("Edmund", "Archer", address=ELM_ROAD, phones=("+44 7700 900777",)),
        somebody("Edmund", "Archer", address=Address(number="10", street="Elm Road")),
        replace(NAMESAKE.subjects[0], names=(Name("Edmund", "Archer"), Name("Ned", "Archer"))),
    ],
)
def test_a_record_that_says_more_is_asked_about_again(tmp_path: Path, changed: Identity) -> None:
    """A rejection says nothing of what nobody knew."""
    ties = _ties(tmp_path, _decided(Verdict.REJECTED))

    assert [Tier.CANDIDATE] == [tier for _, tier in _tiers(ties, row(changed, record="900"))]


def test_an_entry_that_says_more_is_asked_about_again(tmp_path: Path) -> None:
    """An alias learnt later may be the record's name after all."""
    ties = _ties(
        tmp_path, _decided(Verdict.REJECTED), entries=({**ENTRY, "names": "Edmund|Archer; Ted|Bowman"},)
    )

    assert [Tier.CANDIDATE] == [tier for _, tier in _tiers(ties, NAMESAKE)]


def test_what_is_beyond_doubt_cannot_be_rejected(tmp_path: Path) -> None:
    """A rejection takes a candidate away, never a tie that all fields agree on."""
    sure = row(somebody("Edmund", "Archer", "1981-11-05", Address(number="3", street="Hill Lane")))
    ties = _ties(tmp_path, _decided(Verdict.REJECTED, sure))

    assert [("register:r1", Tier.CONFIRMED)] == _tiers(ties, sure)


def test_a_confirmed_candidate_is_confirmed(tmp_path: Path) -> None:
    """Also before anybody in it is seen: the record's id is enough to refuse by."""
    ties = _ties(tmp_path, _decided(Verdict.CONFIRMED))

    assert [("register:r1", Tier.CONFIRMED)] == _tiers(ties, NAMESAKE) == _tiers(ties, row(record="900"))


def test_editing_a_record_sheds_no_confirmed_tie(tmp_path: Path) -> None:
    """Whoever can write another name into it gets a candidate, not nothing."""
    edited = row(somebody("Xavier", "Quillfeather", "1960-01-01"), record="900")

    assert [("register:r1", Tier.CANDIDATE)] == _tiers(_ties(tmp_path, _decided(Verdict.CONFIRMED)), edited)


def test_namesakes_are_not_refused_for_ever(tmp_path: Path) -> None:
    """A member of staff whose own name is a record's may be cleared of being the person in it."""
    other = row(somebody("Ann", "Archer"), record="12")
    self_tie = [
        entry
        for entry, tier in _tiers(_ties(tmp_path), other)
        if entry == "directory:E1" and tier is Tier.CANDIDATE
    ]
    ann = somebody(
        "Ann",
        "Archer",
        "1984-02-29",
        Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD"),
    )
    cleared = _ties(tmp_path, _decided(Verdict.REJECTED, other, entry="directory:E1", of=ann))

    assert ["directory:E1"] == self_tie
    assert "directory:E1" not in [entry for entry, _ in _tiers(cleared, other)]


def test_one_of_a_homes_two_ties_is_confirmed_without_the_other(tmp_path: Path) -> None:
    """A flat that a record does not name may be theirs or next door: who confirms the household says nothing of neighbours."""
    same_house = Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD")
    tenant = row(somebody("Xavier", "Quillfeather", "1960-01-01", same_house), record="44")
    ann = somebody("Ann", "Archer", "1984-02-29", same_house._replace(unit="2"))
    decision = replace(
        _decided(Verdict.CONFIRMED, tenant, entry="directory:E1:home", of=ann), relation="household"
    )
    staff = {**OFFICER, "homes": "14|Mill Lane|2|Ashby|AB1 2CD|2019-05-01"}

    def tiers(*decisions: Decision) -> dict[str, Tier]:
        found = _ties(tmp_path, *decisions, staff=staff).of("E1", Whose.PRINCIPAL, seen(tenant), at=NOW)
        return {tie.relation: tie.tier for tie in found}

    before, after = tiers(), tiers(decision)
    assert {**before, "household": Tier.CONFIRMED} == after
    assert Tier.CANDIDATE is before["household"]


def test_a_decision_is_one_persons(tmp_path: Path) -> None:
    """It settles nothing for a colleague who has an entry of the same words."""
    theirs = {**ENTRY, "id": "r2", "principal": "E2"}
    ties = _ties(tmp_path, _decided(Verdict.REJECTED), entries=(ENTRY, theirs))

    assert ["register:r2"] == [entry for entry, _ in _tiers(ties, NAMESAKE, "E2")]


def test_ties_of_a_small_force_need_no_decisions(tmp_path: Path) -> None:
    """A register that is a file has none, and everything else."""
    assert ["register:r1"] == [
        tie.entry
        for tie in ties_of(tmp_path, entries=[ENTRY]).of("E1", Whose.PRINCIPAL, seen(NAMESAKE), at=NOW)
    ]
