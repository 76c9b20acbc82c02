"""Three ways in which forces look for misuse today, on the same traffic: they see who looked at what, and no links.

Each is given its best case: it flags at once, and its threshold is the usual one of the literature.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.simulation_work import Lookup, Work
from purposegate.model import RecordRef
from purposegate.scenario.cast import Person

ROBUST_Z = 4.0
"""Distance from the median of one's unit, in scaled median deviations, from which somebody is an outlier."""
MAD_TO_SIGMA = 1.4826
REPEATS = 3


def same_name_or_address(work: Work, lookups: Sequence[Lookup]) -> Iterator[int]:
    """Lookups of anybody who shares the searcher's surname, or their house."""
    for place, one in enumerate(lookups):
        mine = work.force.staff[one.staff].person
        if any(_alike(mine, other) for other in work.records[one.record].people):
            yield place


def _alike(mine: Person, other: Person) -> bool:
    surnames = {name.surname for name in mine.names} & {name.surname for name in other.names}
    return bool(surnames) or bool(set(mine.homes) & set(other.homes))


def volume(work: Work, lookups: Sequence[Lookup]) -> Iterator[int]:
    """Lookups, on their day, of anybody who makes far more that day than people of their unit do."""
    counts: Mapping[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for one in lookups:
        counts[work.force.staff[one.staff].unit.name, one.at.toordinal()][one.staff] += 1
    by_unit: dict[str, list[int]] = defaultdict(list)
    for (unit, _), day in counts.items():
        by_unit[unit].extend(day.values())
    limits = {unit: _limit(found) for unit, found in by_unit.items()}
    for place, one in enumerate(lookups):
        unit = work.force.staff[one.staff].unit.name
        if counts[unit, one.at.toordinal()][one.staff] > limits[unit]:
            yield place


def _limit(counts: Sequence[int]) -> float:
    middle = statistics.median(counts)
    spread = statistics.median(abs(count - middle) for count in counts) or 0.5
    return middle + ROBUST_Z * MAD_TO_SIGMA * spread


def repeats(_: Work, lookups: Sequence[Lookup]) -> Iterator[int]:
    """The third lookup of one record by one person, and every one after it."""
    seen: Counter[tuple[str, RecordRef]] = Counter()
    for place, one in enumerate(lookups):
        if one.is_search:
            continue
        key = (one.staff, one.record)
        seen[key] += 1
        if seen[key] >= REPEATS:
            yield place


BASELINES = {"same name or address": same_name_or_address, "volume outliers": volume, "third repeat": repeats}
