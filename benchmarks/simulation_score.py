"""Figures of a run: what became of planted misuse, whom it cost what, and how true the work list is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.simulation_gate import Result
from benchmarks.simulation_misuse import SHARES, Misuse
from benchmarks.simulation_work import Lookup
from purposegate.model import RecordRef
from purposegate.review.work_index import FURTHER, MOST_FURTHER

EARLY, SOON = 3, 8
AS_PUBLISHED = 88 / 11_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table of kinds: how many were planted, raised by the third lookup, stopped by the eighth, and ever."""

    kind: str
    planted: int
    raised_early: int
    raised: int
    stopped_soon: int
    stopped: int
    lookups: int
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """All figures of one arm. Rates are per 10,000 lawful lookups; `items` are groups of rows by person and record."""

    lines: tuple[Line, ...]
    lawful: int
    asked: int
    approval: int
    refused: int
    items: int
    items_true: int
    top_true: int
    rows: int
    rows_true: int
    staff_raised: int
    staff_raised_true: int

    @property
    def planted(self) -> int:
        """How many people were planted."""
        return sum(line.planted for line in self.lines)

    @property
    def raised_by_3(self) -> float:
        """Share of the planted raised by their third lookup; who makes only two must be raised by the second."""
        return sum(line.raised_early for line in self.lines) / self.planted

    @property
    def stopped_by_8(self) -> float:
        """Share of the planted stopped by their eighth lookup; who makes fewer and is never stopped counts against it."""
        return sum(line.stopped_soon for line in self.lines) / self.planted

    @property
    def list_precision(self) -> float:
        """Share of the work list's items that are about planted misuse."""
        return self.items_true / self.items if self.items else 1.0

    def precision_at(self, base_rate: float, staff: int) -> float:
        """The same, were misuse as rare among staff as the base rate says and all else alike."""
        true = self.items_true * base_rate * staff / self.planted
        return true / (true + self.items - self.items_true) if true else 0.0

    def per_10000(self, count: int) -> float:
        """A count as a rate of lawful lookups."""
        return 10_000 * count / self.lawful


def score(results: Sequence[Result], planted: Sequence[Misuse]) -> Score:
    """Add up one arm."""
    lawful = [one for one in results if not one.lookup.kind]
    outcomes = Counter(one.outcome for one in lawful)
    raised = [one for one in results if one.raised]
    items: dict[tuple[str, RecordRef], bool] = {}
    weights: dict[tuple[str, RecordRef], list[float]] = {}
    for one in raised:
        key = (one.lookup.staff, one.lookup.record)
        items[key] = items.get(key, False) or bool(one.lookup.kind)
        weights.setdefault(key, []).append(one.score)
    top = sorted(items, key=lambda key: -_weight(weights[key]))[: len(planted)]
    staff = {one.lookup.staff for one in raised}
    guilty = {one.lookup.staff for one in raised if one.lookup.kind}
    return Score(
        lines=tuple(_lines(results, planted)),
        lawful=len(lawful),
        asked=outcomes["asked"] + outcomes["approval"],
        approval=outcomes["approval"],
        refused=outcomes["refused"] + outcomes["withheld"],
        items=len(items),
        items_true=sum(items.values()),
        top_true=sum(items[key] for key in top),
        rows=len(raised),
        rows_true=sum(1 for one in raised if one.lookup.kind),
        staff_raised=len(staff),
        staff_raised_true=len(guilty),
    )


def _weight(scores: Sequence[float]) -> float:
    """A group's weight, as the work list ranks it."""
    return max(scores) + FURTHER * min(len(scores) - 1, MOST_FURTHER)


def _lines(results: Sequence[Result], planted: Sequence[Misuse]) -> Iterable[Line]:
    by_misuse: dict[int, list[Result]] = defaultdict(list)
    for one in results:
        if one.lookup.kind:
            by_misuse[one.lookup.misuse].append(one)
    kinds: Mapping[str, list[list[Result]]] = {kind: [] for kind, _ in SHARES}
    for misuse in planted:
        kinds[misuse.kind].append(by_misuse[misuse.number])
    for kind, cases in kinds.items():
        raised = [min((one.lookup.ordinal for one in case if one.raised), default=0) for case in cases]
        stopped = [min((one.lookup.ordinal for one in case if one.is_stopped), default=0) for case in cases]
        yield Line(
            kind=kind,
            planted=len(cases),
            raised_early=sum(1 for at in raised if 0 < at <= EARLY),
            raised=sum(1 for at in raised if at),
            stopped_soon=sum(1 for at in stopped if 0 < at <= SOON),
            stopped=sum(1 for at in stopped if at),
            lookups=sum(len(case) for case in cases),
            released=sum(1 for case in cases for one in case if not one.is_stopped),
        )


def as_results(lookups: Sequence[Lookup], flagged: Iterable[int]) -> list[Result]:
    """A baseline's flags as results, so that it is scored by the same rules. It raises; it never asks or stops."""
    marked = set(flagged)
    return [Result(one, "released", place in marked, ()) for place, one in enumerate(lookups)]
