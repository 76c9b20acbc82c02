"""How many refusals a principal gets before 429, and the one entry a minute that says so (law 1).

Kept in memory and bounded: forgetting under memory pressure only means one more recorded refusal.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

WINDOW_S = 60.0
MAX_PRINCIPALS = 100_000


@dataclass(slots=True)
class _Tally:
    since: float
    count: int = 0


class RefusalRate:
    """Counts refusals per principal over a window of one minute that starts with the first."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._refused: TTLCache[str, _Tally] = TTLCache(MAX_PRINCIPALS, WINDOW_S, timer=clock)
        self._clock = clock

    def note(self, principal_id: str) -> None:
        """Count one refusal."""
        tally = self._refused.get(principal_id)
        if tally is None:
            tally = self._refused[principal_id] = _Tally(self._clock())
        tally.count += 1

    def exceeded(self, principal_id: str, limit: int) -> bool:
        """Whether the next attempt is answered 429 instead of being judged; `limit` is refusals a minute."""
        tally = self._refused.get(principal_id)
        return tally is not None and tally.count >= limit


class MinuteTally:
    """Counts events by key and says when one entry for a key is due: the first at once, then one a minute."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pending: dict[str, int] = {}
        self._recorded: TTLCache[str, bool] = TTLCache(MAX_PRINCIPALS, WINDOW_S, timer=clock)

    def add(self, key: str) -> int:
        """Count one event; the number to record now, or 0 when the minute's entry is already written."""
        if len(self._pending) < MAX_PRINCIPALS or key in self._pending:
            self._pending[key] = self._pending.get(key, 0) + 1
        if key in self._recorded:
            return 0
        self._recorded[key] = True
        return self._pending.pop(key, 1)

    def drain(self) -> dict[str, int]:
        """What was counted and not yet recorded, at shutdown."""
        pending, self._pending = self._pending, {}
        return pending
