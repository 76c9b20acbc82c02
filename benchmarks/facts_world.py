"""Five million links of a force of 11,000, and the lookups that its people make, for `bench_facts`."""

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from purposegate.conflicts.dates import FOREVER, Interval
from purposegate.facts import FactsPaths
from purposegate.facts.links import Link
from purposegate.model import (
    Action,
    Declaration,
    Identity,
    Lookup,
    Name,
    Principal,
    RecordRef,
    Row,
)

STAFF, TEAMS, PEOPLE, OPEN_CASES, YEARS = 11_000, 400, 1_200_000, 60_000, 7
NOW = datetime.now(UTC).replace(microsecond=0)


class Asked(NamedTuple):
    """One lookup, the row as the request names it, and as the answer shows it."""

    lookup: Lookup
    named: Row
    shown: Row


def links(total: int) -> Iterator[Link]:
    """So many links: teams, keepers, and then cases and incidents of seven years, the open ones first.

    A case has one to three assignments, two to five people, a vehicle in three, and an update a month after each assignment.
    """
    return islice(_everything(random.Random(5)), total)


def _everything(chance: random.Random) -> Iterator[Link]:
    always = Interval()
    for member in range(STAFF):
        yield Link(f"staff:e{member}", "member", f"team:t{member % TEAMS}", always)
    for vehicle in range(PEOPLE // 4):
        yield Link(f"person:{chance.randrange(PEOPLE)}", "keeps", f"vehicle:V{vehicle}", always)
    number = 0
    while True:
        is_open = number < OPEN_CASES
        start = NOW - timedelta(minutes=chance.randrange(1, 90 * 1440 if is_open else YEARS * 365 * 1440))
        held = Interval(start, FOREVER if is_open else start + timedelta(days=chance.randrange(1, 120)))
        yield from _case(number, held, chance)
        if number % 2:
            incident = f"incident:inc/{number}"
            spell = Interval(start, start + timedelta(hours=5))
            yield Link(f"staff:e{chance.randrange(STAFF)}", "dispatched", incident, spell)
            yield Link(incident, "involves", f"person:{chance.randrange(PEOPLE)}", Interval(start))
        number += 1


def _case(number: int, held: Interval, chance: random.Random) -> Iterator[Link]:
    case, start = f"case:cr/{number}/26", held.start
    for place in range(chance.choice((1, 1, 2, 3))):
        who = f"staff:e{owner(number) if place == 0 else chance.randrange(STAFF)}"
        yield Link(who, "assigned", case, held)
        yield Link(who, "updated", case, Interval(start + timedelta(hours=3)))
    yield Link(f"team:t{owner(number) % TEAMS}", "works-on", case, held)
    yield from (
        Link(case, "involves", f"person:{chance.randrange(PEOPLE)}", Interval(start))
        for _ in range(chance.randrange(2, 6))
    )
    yield Link(case, "involves", f"person:{suspect(number)}", Interval(start))
    if number % 3 == 0:
        yield Link(case, "involves", f"vehicle:V{chance.randrange(PEOPLE // 4)}", Interval(start))


def owner(case: int) -> int:
    """Who a case is assigned to first."""
    return case * 7 % STAFF


def suspect(case: int) -> int:
    """One person whom a case involves for sure."""
    return case * 13 % PEOPLE


def lookups(count: int) -> Sequence[Asked]:
    """Seven in ten are of somebody in the principal's own case, declared; the rest of anybody, under any open case."""
    chance = random.Random(7)
    return [_asked(number, chance) for number in range(count)]


def _asked(number: int, chance: random.Random) -> Asked:
    case = chance.randrange(OPEN_CASES)
    is_own = chance.random() < 0.7
    who = owner(case) if is_own else chance.randrange(STAFF)
    whom = suspect(case) if is_own else chance.randrange(PEOPLE)
    record = RecordRef("person", str(whom))
    person = Identity(
        names=(Name("Given", f"Surname{whom}"),), born=(f"19{whom % 90 + 10}-0{whom % 9 + 1}-11",)
    )
    lookup = Lookup(
        id=f"l{number}",
        at=NOW,
        principal=Principal(id=f"E{who}", roles=("investigator",)),
        action=Action.VIEW,
        kind="person",
        records=(record,),
        declaration=Declaration(
            purpose="investigate.crime",
            ref=f"CR/{case}/26",
            reason="burglary at Mill Lane, named by a witness",
        ),
    )
    named = Row(record=record, subjects=(), fields=frozenset(), place=0)
    return Asked(
        lookup, named, Row(record=record, subjects=(person,), fields=frozenset({"surname"}), place=0)
    )


def files(home: Path) -> FactsPaths:
    """The force's files: everybody in the directory, every open case a reference; assignments are links alone."""
    joined = (NOW - timedelta(days=3_000)).date()
    paths = FactsPaths(
        directory=home / "directory.csv",
        register=home / "register.csv",
        references=home / "references.csv",
        assignments=home / "assignments.csv",
        reference_records=home / "reference_records.csv",
        duty=home / "duty.csv",
    )
    _write(
        paths.directory,
        "staff_id,names,born,homes,unit,joined,left,phones,plates",
        (
            (f"E{n}", f"Anna|Staff{n}", f"19{n % 40 + 60}-01-02", "", "cid", joined, "", "", "")
            for n in range(STAFF)
        ),
    )
    _write(
        home / "register.csv",
        "id,principal,relation,provenance,names,born,addresses,phones,plates,records,valid_from,valid_to,known_from,declared_by",
        (
            (f"r{n}", f"E{n}", "sibling", "hr", f"Bob|Kin{n}", "1971-02-03", "", "", "", "", "", "", "", "")
            for n in range(STAFF)
        ),
    )
    _write(
        paths.references,
        "ref,kind,state,opened,closed",
        ((f"CR/{n}/26", "case", "open", "", "") for n in range(OPEN_CASES)),
    )
    _write(paths.assignments, "ref,staff_id,from,to", ())
    _write(paths.reference_records, "ref,kind,id", ())
    _write(paths.duty, "staff_id,from,to", ((f"E{n}", "", "") for n in range(STAFF)))
    return paths


def _write(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
