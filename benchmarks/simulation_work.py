"""A force's lawful work over ninety days: incidents, cases, custody, intelligence, stops; the links it leaves, and the lookups.

Work comes first. Each piece of it leaves links in several systems (dispatch, case management, tasks, custody, the records that
are written), as it does in life, and people look up what their work is about while it lasts. How much of it the gate may see is
decided elsewhere (`simulation_feeds`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from benchmarks.simulation_force import DAY, DAYS, LOOKUPS_A_DAY_AT_FULL_SCALE, START, Force, Worker
from purposegate.model import RecordRef
from purposegate.scenario.cast import Person, Record

HOUR = timedelta(hours=1)
END = START + DAYS * DAY


class Node(NamedTuple):
    """One end of a link."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Link:
    """Something true about two nodes, from `start` until `end`."""

    source: Node
    relation: str
    target: Node
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One lookup. `kind` is empty for lawful work, else that of the misuse; `misuse` numbers it, `ordinal` counts in it."""

    at: datetime
    staff: str
    record: RecordRef
    purpose: str
    ref: str
    reason: str
    is_search: bool = False
    kind: str = ""
    misuse: int = 0
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference, and when it was open."""

    ref: str
    kind: str
    opened: datetime
    closed: datetime | None


@dataclass(slots=True)
class Work:
    """All of it: what is true, and what was looked up."""

    force: Force
    links: list[Link] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)
    records: dict[RecordRef, Record] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    about: dict[str, list[RecordRef]] = field(default_factory=dict)
    """The records of each case, for those who look at cases that are not theirs."""

    def person(self, number: int) -> RecordRef:
        """A resident's own record."""
        number %= self.force.residents
        return self.add("person", f"P{number}", (self.force.resident(number),))

    def vehicle(self, number: int) -> RecordRef:
        """A resident's car, with them as its keeper."""
        return self.add("vehicle", f"V{number % self.force.residents}", (self.force.resident(number),))

    def add(self, kind: str, name: str, people: tuple[Person, ...]) -> RecordRef:
        """A record of the records system."""
        ref = RecordRef(kind, name)
        if ref not in self.records:
            self.records[ref] = Record(kind=kind, id=name, people=people)
        return ref

    def link(
        self, source: Node, relation: str, target: Node, start: datetime, end: datetime | None = None
    ) -> None:
        """Note something true."""
        self.links.append(Link(source, relation, target, start, end))


ACTS = (
    *("taking the statement", "planning the arrest", "preparing the interview", "writing the summary"),
    *("warning the keeper", "returning property", "fixing the court date", "updating the victim"),
)
THINGS = (
    "burglary",
    "assault",
    "collision",
    "theft",
    "threats",
    "damage",
    "robbery",
    "stalking",
    "fraud",
    "arson",
)
PLACES = (
    "the market",
    "Mill Road",
    "the station",
    "the school",
    "a flat",
    "the bridge",
    "the park",
    "a shop",
)


def reason(draw: Random, ref: str = "") -> str:
    """What somebody writes: true, short, and hardly ever twice the same."""
    tail = f" under {ref}" if ref and draw.random() < 0.3 else f", {draw.randrange(1000)}"
    return f"{draw.choice(ACTS).capitalize()} in the {draw.choice(THINGS)} at {draw.choice(PLACES)}{tail}"


def fuller(lookup: "Lookup") -> str:
    """What the same person writes when the gate asks for more."""
    more = "comparing addresses and dates of both interviews with the custody notes, since the lead wants them before Friday"
    return f"{lookup.reason}: {more}"


class Diary:
    """Draws the work of every day into a `Work`."""

    def __init__(self, force: Force) -> None:
        self.work = Work(force)
        self._force = force
        self._draw = Random(f"{force.seed}:work")
        self._numbers = {"INC": 0, "CR": 0, "CU": 0, "INT": 0, "T": 0}

    def fill(self) -> Work:
        """Ninety days of it, lookups in order of time."""
        daily = LOOKUPS_A_DAY_AT_FULL_SCALE * self._force.scale
        kinds: tuple[tuple[float, Callable[[datetime], None]], ...] = (
            (0.36 * daily / 5.4, self._incident),
            (0.42 * daily / 30.5, self._case),
            (0.06 * daily / 6, self._arrest),
            (0.05 * daily / 14.5, self._intelligence),
            (0.11 * daily, self._stop),
        )
        self._teams()
        for day in range(-20, DAYS):  # cases from before the first day are part of it
            for wanted, make in kinds:
                count = int(wanted) + (self._draw.random() < wanted % 1)
                for _ in range(count):
                    make(START + DAY * (day + self._draw.random()))
        self.work.lookups = sorted(
            (one for one in self.work.lookups if START <= one.at < END), key=lambda one: one.at
        )
        return self.work

    # --- what leaves traces -------------------------------------------------------------------------------------------

    def _teams(self) -> None:
        """Who is in which team: the personnel system says it once, the roster anew each month."""
        for one in self._force.staff.values():
            team = Node("team", one.team)
            self.work.link(_staff(one), "member", team, START - 400 * DAY)
            for month in range(-1, 4):
                self.work.link(
                    _staff(one), "member", team, START + 30 * month * DAY, START + 30 * (month + 1) * DAY
                )

    def _ref(self, kind: str, prefix: str, opened: datetime, closed: datetime | None) -> Node:
        self._numbers[prefix] += 1
        ref = f"{prefix}/{self._numbers[prefix]}/24"
        self.work.references[ref] = Reference(ref, kind, opened, closed)
        return Node(kind, ref)

    def _between(self, who: Worker, since: datetime, until: datetime, lean: float = 1.0) -> datetime:
        """A moment of one of their shifts; where they have none between these, one that never comes."""
        return who.at_work(self._draw, since, until, lean) or END

    def _look(
        self, who: Worker, at: datetime, record: RecordRef, purpose: str, *, ref: Node | None, written: float
    ) -> None:
        """One lookup, on duty or not at all; with a chance that something is written down of it within the hour."""
        if not (START <= at < END and who.is_on_duty(at)):
            return
        name = ref.id if ref else ""
        if self._draw.random() < 0.12 and record.kind == "person":
            self._note(who, at, record, purpose, name, is_search=True)
        self._note(who, at, record, purpose, name)
        if self._draw.random() < written:
            then = at + timedelta(minutes=self._draw.randint(5, 55))
            self.work.link(_staff(who), "updated", Node(*record), then)
            if ref is not None:
                # What is written is filed under the case and indexed by whom it names: a second system that ties the two.
                self.work.link(_staff(who), "updated", ref, then)
                self.work.link(ref, "involves", Node(*record), then)

    def _note(
        self, who: Worker, at: datetime, record: RecordRef, purpose: str, ref: str, *, is_search: bool = False
    ) -> None:
        text = reason(self._draw, ref)
        self.work.lookups.append(
            Lookup(
                at=at, staff=who.id, record=record, purpose=purpose, ref=ref, reason=text, is_search=is_search
            )
        )

    def _people(self, count: int) -> list[RecordRef]:
        return [self.work.person(self._somebody()) for _ in range(count)]

    def _somebody(self) -> int:
        """A resident who does not work for the force. Work about colleagues is handed over, as ties are; it is not drawn here."""
        while (number := self._draw.randrange(self._force.residents)) in self._force.homes:
            pass
        return number

    def _incident(self, at: datetime) -> None:
        """Two officers of the nearest team and an operator; what they look up while they are there."""
        officers = self._draw.sample(on, 2) if len(on := self._force.working("response", at)) > 1 else on
        operators = self._force.working("control", at)
        ref = self._ref("incident", "INC", at, at + 2 * DAY)
        involved = self._people(self._draw.choice((1, 1, 2, 2, 3)))
        if self._draw.random() < 0.4:
            involved.append(self.work.vehicle(self._somebody()))
        for record in involved:
            self.work.link(ref, "involves", Node(*record), at, None)
        here = [*officers, *(self._draw.sample(operators, 1) if operators else [])]
        for who in here:
            self.work.link(_staff(who), "dispatched", ref, at, at + 2 * HOUR)
            for record in involved:
                if self._draw.random() < 0.75:
                    then = at + timedelta(minutes=self._draw.randint(1, 120))
                    self._look(who, then, record, "respond.incident", ref=ref, written=0.45)

    def _case(self, at: datetime) -> None:
        """A lead, a second, a paralegal once it is to be charged, and the team's tasks; over weeks."""
        cid = self._force.of("cid")
        lead = self._draw.choice(cid)
        mates = [one for one in cid if one.team == lead.team and one is not lead] or [lead]
        second, clerk = self._draw.choice(mates), self._draw.choice(self._force.of("prosecution"))
        length = DAY * min(self._draw.lognormvariate(3.1, 0.6), 120)
        until = at + length
        ref = self._ref("case", "CR", at, until)
        people = self._people(self._draw.choice((2, 3, 3, 4, 5)))
        persons = tuple(self.work.records[one].people[0] for one in people)
        file = self.work.add("case", ref.id.replace("/", "-"), persons)
        self.work.about[ref.id] = [file, *people]
        for record in (file, *people):
            self.work.link(ref, "involves", Node(*record), at, None)
        team = Node("team", lead.team)
        self.work.link(team, "works-on", ref, at, until)
        charged = at + length * 0.6
        for who, since in ((lead, at), (second, at), (clerk, charged)):
            self.work.link(_staff(who), "assigned", ref, since, until)
        self.work.link(Node("team", clerk.team), "works-on", ref, charged, until)
        for who, since, times in ((lead, at, 9), (second, at, 3), (clerk, charged, 4)):
            purpose = "prosecute.casefile" if who is clerk else "investigate.crime"
            for _ in range(times):
                then = self._between(who, since, until, 1.4)
                self._look(who, then, self._draw.choice((file, *people)), purpose, ref=ref, written=0.5)
        for _ in range(self._draw.randint(3, 6)):
            doer = self._draw.choices((lead, second, self._draw.choice(mates)), (5, 3, 2))[0]
            self._task(doer, ref, self._draw.choice(people), at, until)

    def _task(self, doer: Worker, case: Node, record: RecordRef, at: datetime, until: datetime) -> None:
        """Something to be done about one person of a case."""
        begun = at + (until - at) * 0.8 * self._draw.random()
        done = min(begun + DAY * self._draw.uniform(1, 8), until)
        self._numbers["T"] += 1
        task = Node("task", f"T/{self._numbers['T']}/24")
        self.work.link(_staff(doer), "tasked", task, begun, done)
        self.work.link(task, "on", case, begun, None)
        self.work.link(task, "involves", Node(*record), begun, None)
        for _ in range(self._draw.randint(2, 4)):
            self._look(
                doer, self._between(doer, begun, done), record, "investigate.crime", ref=case, written=0.5
            )

    def _arrest(self, at: datetime) -> None:
        """Somebody in a cell for a day: the custody officers of each shift, and whoever brought them in."""
        ref = self._ref("custody", "CU", at, at + DAY)
        [record] = self._people(1)
        self.work.link(ref, "involves", Node(*record), at, None)
        for later in (0.2, 8.5, 17.0):
            on = self._force.working("custody", at + later * HOUR)
            for who in self._draw.sample(on, min(1, len(on))):
                first = at + later * HOUR
                self.work.link(_staff(who), "detains", ref, first, first + 10 * HOUR)
                self.work.link(Node("team", who.team), "works-on", ref, first, first + 10 * HOUR)
                for _ in range(2):
                    then = first + self._draw.uniform(0, 6) * HOUR
                    self._look(who, then, record, "custody.process", ref=ref, written=0.8)
        on = self._force.working("response", at)
        for who in self._draw.sample(on, min(1, len(on))):
            self.work.link(_staff(who), "assigned", ref, at, at + DAY)
            self._look(
                who, at + self._draw.uniform(0.1, 3) * HOUR, record, "custody.process", ref=ref, written=0.8
            )

    def _intelligence(self, at: datetime) -> None:
        """A log that an analyst develops for a fortnight."""
        who = self._draw.choice(self._force.of("intelligence"))
        until = at + 14 * DAY
        ref = self._ref("intelligence", "INT", at, until)
        people = self._people(4)
        self.work.link(_staff(who), "assigned", ref, at, until)
        self.work.link(Node("team", who.team), "works-on", ref, at, until)
        for record in people:
            self.work.link(ref, "involves", Node(*record), at, None)
        for _ in range(12):
            then = self._between(who, at, until)
            self._look(who, then, self._draw.choice(people), "intel.develop", ref=ref, written=0.5)

    def _stop(self, at: datetime) -> None:
        """A vehicle or person stopped in the street: no reference, nothing that could explain it, and hardly ever twice."""
        on = [*self._force.working("response", at), *self._force.working("neighbourhood", at)]
        if on:
            number = self._somebody()
            is_vehicle = self._draw.random() < 0.7
            record = self.work.vehicle(number) if is_vehicle else self.work.person(number)
            purpose = "stop.vehicle" if is_vehicle else "stop.person"
            self._look(self._draw.choice(on), at, record, purpose, ref=None, written=0.1)


def _staff(one: Worker) -> Node:
    return Node("staff", one.id)


def lawful(force: Force) -> Work:
    """The lawful work of a force."""
    return Diary(force).fill()


def shuffled_days(draw: Random, first: datetime, count: int) -> Iterator[datetime]:
    """So many moments from a first one until the end, the first of them at once, in order."""
    span = END - HOUR - first
    yield first
    yield from sorted(first + span * draw.random() for _ in range(count - 1))
