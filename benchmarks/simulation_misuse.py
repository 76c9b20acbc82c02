"""Eighty-eight people who look up what they should not: of the casebook's kinds, 2 to 600 lookups each.

Eighty-eight is one force's published count, among 11,000. It stays 88 at every scale, so at one tenth misuse is ten times as
common as it was there: rates that depend on how rare it is are reported for both.
How many lookups each makes is spread evenly over the logarithm, from 2 to 600, so that half make fewer than 35. Every one
declares a purpose that fits their role, with an open reference that is not theirs, and a fresh reason each time; asked for
more, they write more. They write nothing into records, look mostly while on duty, and go on trying when they are refused.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from benchmarks.simulation_force import DAY, DAYS, PEOPLE_IN_A_HOUSE, START, Worker
from benchmarks.simulation_work import END, HOUR, Link, Lookup, Node, Work, reason
from purposegate.model import RecordRef
from purposegate.scenario.cast import Person

MISUSERS = 88
FEWEST, MOST = 2, 600
SHARES = (
    ("relative", 10),
    ("neighbour", 12),
    ("ex-partner", 10),
    ("colleague", 10),
    ("after-the-case", 12),
    ("notorious-case", 10),
    ("undeclared-repeated", 14),
    ("vehicles-near-home", 6),
    ("associate", 4),
)
KNOWN_TO_REGISTER = 0.5
"""Of relatives, former partners and associates: about half of the ties that a force knows were ever declared."""
OFF_DUTY = 0.1
UNITS = ("response", "neighbourhood", "cid", "prosecution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What the register knows."""

    staff: str
    relation: str
    person: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Misuse:
    """One person's misuse: what kind, of what, how often, and whether the force knew of the tie."""

    number: int
    kind: str
    staff: str
    lookups: tuple[Lookup, ...]
    tie: Tie | None


def plant(work: Work, count: int = MISUSERS) -> list[Misuse]:
    """Draw the misusers and put their lookups among the lawful ones, in order of time."""
    draw = Random(f"{work.force.seed}:misuse")
    kinds = [kind for kind, share in SHARES for _ in range(share)]
    draw.shuffle(kinds)
    chosen = draw.sample([one for unit in UNITS for one in work.force.of(unit)], count)
    sizes = _sizes(draw, count)
    planter = _Planter(work, draw)
    planted = [
        planter.misuse(number, kinds[number % len(kinds)], who, size)
        for number, (who, size) in enumerate(zip(chosen, sizes, strict=True))
    ]
    everything = [*work.lookups, *(one for each in planted for one in each.lookups)]
    work.lookups = sorted(everything, key=lambda one: one.at)
    return planted


def _sizes(draw: Random, count: int) -> list[int]:
    """One size from each of `count` equal steps of the logarithm: the draw shuffles them and rounds nothing away."""
    span = math.log(MOST / FEWEST)
    sizes = [round(FEWEST * math.exp(span * (place + 0.5) / count)) for place in range(count)]
    draw.shuffle(sizes)
    return sizes


class _Planter:
    def __init__(self, work: Work, draw: Random) -> None:
        self._work = work
        self._draw = draw
        self._cases = [one for one in work.references.values() if one.kind == "case"]
        self._by_case: dict[str, list[Link]] = {}
        for link in work.links:
            if link.relation == "assigned":
                self._by_case.setdefault(link.target.id, []).append(link)
        self._notorious = draw.choice([one.ref for one in self._cases if one.opened < START + 20 * DAY])

    def misuse(self, number: int, kind: str, who: Worker, size: int) -> Misuse:
        first = START + DAY * self._draw.uniform(1, DAYS * 0.5)
        tie, records, first = self._about(kind, who, first)
        moments = list(self._moments(who, first, size, kind))
        lookups = tuple(
            self._lookup(kind, number, place, who=who, at=at, records=records)
            for place, at in enumerate(moments, 1)
        )
        return Misuse(number=number, kind=kind, staff=who.id, lookups=lookups, tie=tie)

    def _about(
        self, kind: str, who: Worker, first: datetime
    ) -> tuple[Tie | None, Sequence[RecordRef], datetime]:
        """The tie if it is known, the records that are looked up, and when it begins."""
        work, draw = self._work, self._draw
        somebody = draw.randrange(work.force.residents)
        match kind:
            case "neighbour" | "vehicles-near-home":
                return None, self._near(who, vehicles=kind != "neighbour"), first
            case "colleague":
                other = draw.choice([one for one in work.force.staff.values() if one is not who])
                return None, [work.add("person", f"C{other.id}", (other.person,))], first
            case "after-the-case":
                return (None, *self._over(who, first))
            case "notorious-case":
                return None, work.about[self._notorious], first
            case "undeclared-repeated":
                return None, [work.person(somebody)], first
            case _:
                known = draw.random() < KNOWN_TO_REGISTER
                relation = {"ex-partner": "ex_partner"}.get(kind, kind)
                tie = Tie(staff=who.id, relation=relation, person=work.force.resident(somebody))
                return tie if known else None, [work.person(somebody)], first

    def _near(self, who: Worker, *, vehicles: bool) -> list[RecordRef]:
        """People of the next houses, or their cars."""
        houses = who.resident // PEOPLE_IN_A_HOUSE
        near = [
            houses + step
            for step in ((1, -1) if houses % 40 not in (0, 39) else (1, 2) if houses % 40 == 0 else (-1, -2))
        ]
        residents = [
            house * PEOPLE_IN_A_HOUSE + place for house in near for place in range(2 if vehicles else 1)
        ]
        return [self._work.vehicle(one) if vehicles else self._work.person(one) for one in residents]

    def _over(self, who: Worker, first: datetime) -> tuple[list[RecordRef], datetime]:
        """Somebody from work that was theirs and is over: their part in it ended, for them alone or for all."""
        mine = [
            link
            for links in self._by_case.values()
            for link in links
            if link.source.id == who.id
            and link.target.kind == "case"
            and link.end
            and START < link.end < END - 40 * DAY
        ]
        if mine:
            link = self._draw.choice(mine)
            return [self._work.about[link.target.id][1]], (link.end or first) + timedelta(hours=1)
        person = self._work.person(self._draw.randrange(self._work.force.residents))
        ref = Node(
            "incident",
            self._draw.choice([one.ref for one in self._work.references.values() if one.kind == "incident"]),
        )
        ended = first - 2 * DAY
        self._work.link(Node("staff", who.id), "dispatched", ref, ended - 2 * HOUR, ended)
        self._work.link(ref, "involves", Node(*person), ended - 2 * HOUR)
        return [person], first

    def _moments(self, who: Worker, first: datetime, size: int, kind: str) -> Iterator[datetime]:
        """From the first on until the last day, some of them off duty."""
        found = []
        off_duty = 0.7 if kind == "vehicles-near-home" else OFF_DUTY
        for _ in range(size):
            at = who.at_work(self._draw, first, END - HOUR)
            if at is None or self._draw.random() < off_duty:
                at = first + (END - HOUR - first) * self._draw.random()
            found.append(at)
        yield from sorted(found)

    def _lookup(
        self, kind: str, number: int, place: int, *, who: Worker, at: datetime, records: Sequence[RecordRef]
    ) -> Lookup:
        # Of a case file, the file itself first, then more often than any one of the people in it.
        often = [records[0]] * (len(records) // 2)
        record = records[0] if place == 1 else self._draw.choice([*often, *records])
        purpose = "prosecute.casefile" if who.unit.role == "paralegal" else "investigate.crime"
        if kind == "vehicles-near-home" and who.unit.role == "officer":
            return Lookup(at=at, staff=who.id, record=record, purpose="stop.vehicle", ref="", reason=reason(self._draw),
                          kind=kind, misuse=number, ordinal=place)  # fmt: skip
        ref = self._notorious_ref(kind, at) or self._open_case(who, at)
        return Lookup(at=at, staff=who.id, record=record, purpose=purpose, ref=ref, reason=reason(self._draw, ref),
                      kind=kind, misuse=number, ordinal=place)  # fmt: skip

    def _notorious_ref(self, kind: str, at: datetime) -> str:
        """The case that all talk about, while it is open: no reference is nearer."""
        case = self._work.references[self._notorious]
        return case.ref if kind == "notorious-case" and (case.closed is None or at < case.closed) else ""

    def _open_case(self, who: Worker, at: datetime) -> str:
        """A case that is open and is not theirs."""
        while True:
            case = self._draw.choice(self._cases)
            theirs = any(link.source.id == who.id for link in self._by_case.get(case.ref, ()))
            if not theirs and case.opened <= at and (case.closed is None or at < case.closed):
                return case.ref
