"""A search for somebody whom the principal has a tie to: seen whatever it finds, and refused for nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from force_files import BROTHER, NOW, OFFICER, POLICIES, SERGEANT, Cells, lookup, somebody, write_force
from purposegate.facts import ForceFacts
from purposegate.model import Action, Address, Identity

pytestmark = pytest.mark.anyio

EDMUND = somebody("Edmund", "Archer", "1981-11-05")
KNOWN = {
    **BROTHER,
    "addresses": "3|High Street||Ashby|AB1 9ZZ",
    "phones": "07700 900123",
    "plates": "AB12 CDE",
}


async def _patterns(
    into: Path,
    *sought: Identity,
    entries: tuple[Cells, ...] = (KNOWN,),
    action: Action = Action.SEARCH,
    originator: str = "",
    recipient: str = "",
) -> tuple[str, ...]:
    async def nothing_yet(keys: object) -> list[object]:
        raise AssertionError  # what a search is for is no matter of counts

    facts = await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=POLICIES / "facts.yaml",
        paths=write_force(into, staff=[OFFICER, SERGEANT], entries=entries),
        counts=nothing_yet,  # type: ignore[arg-type]
        clock=lambda: NOW,
    )
    about = await facts.about_lookup(
        replace(lookup(action=action, originator=originator, recipient=recipient), sought=sought)
    )
    return about.patterns


@pytest.mark.parametrize(
    "sought",
    [
        EDMUND,
        somebody("Edmond", "Archer", "1981-11-05"),
        somebody("Edmund", "Archer", "", Address(number="3", street="High St", postcode="AB1 9ZZ")),
        somebody(phones=("+44 7700 900123",)),
        somebody(plates=("ab12cde",)),
        somebody("Ann", "Archer", "1984-02-29"),
        somebody("Bilal", "Khan", "1979-07-14"),
        somebody("Quentin", "Blakeney", "", Address(number="16", street="Mill Lane", postcode="AB1 2CD")),
    ],
)
async def test_a_search_for_one_tied_person_is_seen(tmp_path: Path, sought: Identity) -> None:
    """By name and birth, name and home, telephone or plate: a relative, oneself, a colleague, the people next door."""
    assert ("searched-tie",) == await _patterns(tmp_path, sought)


@pytest.mark.parametrize(
    "sought",
    [
        somebody("Edmund", "Archer"),
        somebody("", "Archer", "1981-11-05"),
        somebody("Edmund", "Archer", "1981-11"),
        somebody("Edmund", "Archer", "", Address(locality="Ashby")),
        somebody("Quentin", "Blakeney", "1950-06-01"),
        somebody("Quentin", "Blakeney", "", Address(number="99", street="Mill Lane", postcode="AB1 2CD")),
        somebody("", "", "", Address(number="16", street="Mill Lane", postcode="AB1 2CD")),
        somebody(phones=("07700 900124",)),
    ],
)
async def test_a_search_for_nobody_in_particular_or_a_stranger_is_not(
    tmp_path: Path, sought: Identity
) -> None:
    """A name alone is shared by many, and a street by all who live in it."""
    assert () == await _patterns(tmp_path, sought)


async def test_one_of_several_readings_is_enough(tmp_path: Path) -> None:
    """A case's search has columns for many people, and somebody stands in one of them."""
    assert ("searched-tie",) == await _patterns(tmp_path, somebody("Q", "Blakeney", "1950-06-01"), EDMUND)


async def test_whoever_it_is_asked_for_counts_too(tmp_path: Path) -> None:
    """The search is another's, and so may the tie be."""
    theirs = ({**KNOWN, "principal": "E2"},)

    assert () == await _patterns(tmp_path, EDMUND, entries=theirs)
    assert ("searched-tie",) == await _patterns(tmp_path, EDMUND, entries=theirs, originator="E2")
    assert ("searched-tie",) == await _patterns(tmp_path, EDMUND, entries=theirs, recipient="E2")


@pytest.mark.parametrize("action", [Action.VIEW, Action.EXPORT])
async def test_only_searches_are_weighed_so(tmp_path: Path, action: Action) -> None:
    """What opens a record is judged by the record."""
    assert () == await _patterns(tmp_path, EDMUND, action=action)


async def test_a_tie_that_is_over_is_none(tmp_path: Path) -> None:
    """As for a record: only while the tie counts."""
    over = ({**KNOWN, "relation": "friend", "valid_to": "2015-01-01"},)

    assert () == await _patterns(tmp_path, EDMUND, entries=over)
