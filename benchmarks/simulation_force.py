"""An invented force and the people it serves: drawn from a seed, the same for every arm of a run.

Nobody here is real. Names are as common as the shares that the gate weighs them by, and those that the shares do not list are
invented, each rare; houses stand in streets, three people to a house.
"""

import csv
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import accumulate
from random import Random

from purposegate.model import Name
from purposegate.scenario.cast import Home, Person

START = datetime(2024, 1, 8, tzinfo=UTC)
"""A Monday. The clock is simulated; days are of the force's zone, which keeps UTC in these months."""
DAYS = 90
DAY = timedelta(days=1)
STAFF_AT_FULL_SCALE = 11_000
LOOKUPS_A_DAY_AT_FULL_SCALE = 45_000
POPULATION_A_MEMBER = 270
"""Residents for each member of staff, as in a force of 11,000 that serves three million."""
FEWEST_RESIDENTS = 300_000
"""As at one tenth, so that a quick look does not meet the same people over and over."""

HOUSES_IN_A_STREET = 40
PEOPLE_IN_A_HOUSE = 3
STARTS = (
    "Al",
    "Bren",
    "Car",
    "Dor",
    "Ed",
    "Fal",
    "Gar",
    "Hol",
    "Ir",
    "Jes",
    "Kil",
    "Lan",
    "Mor",
    "Nor",
    "Os",
    "Pen",
    "Quin",
    "Ros",
    "Sil",
    "Tor",
)
MIDDLES = (
    "",
    "a",
    "ber",
    "den",
    "er",
    "fin",
    "ing",
    "ka",
    "le",
    "man",
    "nor",
    "o",
    "ri",
    "sen",
    "ta",
    "u",
    "ver",
    "wen",
    "x",
    "yl",
)
ENDS = ("ton", "by", "man", "son", "field", "worth", "ley", "ham", "ard", "well")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its role in the catalogue, its share of the staff, and whether it works in shifts around the clock."""

    name: str
    role: str
    share: float
    by_shift: bool


UNITS = (
    Unit("response", "officer", 0.42, True),
    Unit("neighbourhood", "officer", 0.16, False),
    Unit("cid", "investigator", 0.22, False),
    Unit("prosecution", "paralegal", 0.07, False),
    Unit("custody", "custody_officer", 0.05, True),
    Unit("control", "control_room", 0.04, True),
    Unit("intelligence", "intel_analyst", 0.04, False),
)
SHIFTS = ((7, 10), (7, 10), (14, 10), (14, 10), (22, 10), (22, 10), None, None, None, None)
"""Two earlies, two lates, two nights, four days off: hour of start and length."""
OFFICE = (8, 9)


@dataclass(slots=True, kw_only=True)
class Worker:
    """One member of staff. `turn` places them in the shift pattern; `resident` is where among the residents they live."""

    id: str
    unit: Unit
    team: str
    turn: int
    joined: str
    resident: int
    person: Person
    duty: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    """Their shifts, by the number of the day that each begins on."""

    def is_on_duty(self, at: datetime) -> bool:
        """Whether a shift of theirs covers the moment."""
        day = (at - START) // DAY
        shifts = (self.duty.get(day), self.duty.get(day - 1))
        return any(shift is not None and shift[0] <= at < shift[1] for shift in shifts)

    def at_work(self, draw: Random, since: datetime, until: datetime, lean: float = 1.0) -> datetime | None:
        """A moment of a shift of theirs between two others; `lean` above 1 draws early ones. None where there is none."""
        for _ in range(6):
            day = (since + (until - since) * draw.random() ** lean - START) // DAY
            shift = self.duty.get(day)
            if shift is not None and (first := max(shift[0], since)) < (last := min(shift[1], until)):
                return first + (last - first) * draw.random()
        return None


@dataclass(slots=True, kw_only=True)
class Force:
    """Staff by id, and the residents, who are drawn when they are first asked for."""

    seed: int
    scale: float
    staff: dict[str, Worker]
    residents: int
    on_day: dict[tuple[str, int], list[str]]
    homes: frozenset[int]
    """The residents who work for the force."""

    def of(self, unit: str) -> list[Worker]:
        """The staff of one unit."""
        return [one for one in self.staff.values() if one.unit.name == unit]

    def working(self, unit: str, at: datetime) -> list[Worker]:
        """The staff of one unit who are on duty at a moment."""
        day = (at - START) // DAY
        near = [*self.on_day.get((unit, day - 1), ()), *self.on_day.get((unit, day), ())]
        return [self.staff[one] for one in dict.fromkeys(near) if self.staff[one].is_on_duty(at)]

    def resident(self, number: int) -> Person:
        """One resident, always the same."""
        return resident(self.seed, number % self.residents)


@lru_cache(maxsize=400_000)
def resident(seed: int, number: int) -> Person:
    """A resident of the force's area: a name, a birth, an address, a telephone and a car."""
    draw = Random(f"{seed}:{number}")
    return Person(
        names=(Name(_drawn(draw, "given"), _drawn(draw, "surname")),),
        born=f"{draw.randint(1940, 2008)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}",
        homes=(address(number // PEOPLE_IN_A_HOUSE),),
        phones=(f"07{draw.randrange(10**9):09d}",),
        plates=(plate(draw.randrange(10**7)),),
    )


def address(house: int) -> Home:
    """The address of a house: forty to a street, odd and even numbers facing, one postcode to half a street."""
    street, place = divmod(house, HOUSES_IN_A_STREET)
    return Home(
        number=str(place + 1),
        street=f"{_surname(street * 17 % 80_000)} {('Road', 'Street', 'Lane', 'Avenue', 'Close')[street % 5]}",
        locality=f"District {street // 400}",
        postcode=f"ZN{street // 900} {street // 26 % 10}{chr(65 + street % 26)}{'AB'[place * 2 // HOUSES_IN_A_STREET]}",
    )


def plate(number: int) -> str:
    """A plate: two letters, two digits, three letters."""
    letters = [chr(65 + number // 26**power % 26) for power in range(5)]
    return f"{letters[0]}{letters[1]}{number % 90 + 10} {letters[2]}{letters[3]}{letters[4]}"


def _drawn(draw: Random, part: str) -> str:
    """A name as common as it is; most surnames are on no list, and are borne by few."""
    names, sums = _shares(part)
    place = draw.random() * 1_000_000
    if place < sums[-1]:
        return names[bisect(sums, place)].capitalize()
    return _surname(draw.randrange(80_000))


@cache
def _shares(part: str) -> tuple[list[str], list[float]]:
    """The names of a part that the gate knows the shares of, with running sums, per million."""
    text = (resources.files("purposegate.conflicts") / "shares.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["part"] == part]
    return [row["name"] for row in rows], list(accumulate(float(row["per_million"]) for row in rows))


def _surname(number: int) -> str:
    number, end = divmod(number, len(ENDS))
    number, middle = divmod(number, len(MIDDLES))
    start, further = divmod(number, len(MIDDLES))
    return STARTS[start % len(STARTS)] + MIDDLES[further] + MIDDLES[middle] + ENDS[end]


def build(seed: int, scale: float) -> Force:
    """Draw the staff, with a roster for every day and the nights on either side."""
    draw = Random(f"{seed}:staff")
    count = max(round(STAFF_AT_FULL_SCALE * scale), 60)
    residents = max(count * POPULATION_A_MEMBER, FEWEST_RESIDENTS)
    staff: dict[str, Worker] = {}
    on_day: dict[tuple[str, int], list[str]] = {}
    for unit in UNITS:
        for place in range(max(round(count * unit.share), 4)):
            one = _worker(draw, unit, place, residents, number=len(staff) + 1, seed=seed)
            staff[one.id] = one
            for day, shift in _shifts(one):
                one.duty[day] = shift
                on_day.setdefault((unit.name, day), []).append(one.id)
    return Force(
        seed=seed,
        scale=scale,
        staff=staff,
        residents=residents,
        on_day=on_day,
        homes=frozenset(one.resident for one in staff.values()),
    )


def _worker(draw: Random, unit: Unit, place: int, residents: int, *, number: int, seed: int) -> Worker:
    home = draw.randrange(residents)
    days = 20 if draw.random() < 0.06 else draw.randint(200, 9000)
    return Worker(
        id=f"S{number}",
        unit=unit,
        team=f"{unit.name}-{place // 12 + 1}",
        turn=draw.randrange(len(SHIFTS)),
        joined=(START - days * DAY).date().isoformat(),
        resident=home,
        person=resident(seed, home),
    )


def _shifts(one: Worker) -> Iterator[tuple[int, tuple[datetime, datetime]]]:
    for day in range(-1, DAYS + 1):
        midnight = START + day * DAY
        shift = SHIFTS[(day + one.turn) % len(SHIFTS)] if one.unit.by_shift else OFFICE
        if shift is None or (not one.unit.by_shift and midnight.weekday() >= 5):
            continue
        start = midnight + timedelta(hours=shift[0])
        yield day, (start, start + timedelta(hours=shift[1]))
