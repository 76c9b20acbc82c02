"""How often something was seen: durable counts from the ledger, and those of lookups still being decided.

A lookup reserves its sights before it is decided: ordinal = durable + in flight + 1, for every key that the sight is counted
by, all in one step. With n the ordinal from which policy refuses, at most n - 1 sights are ever released under a key, whatever
the interleaving: whenever one that may pass reserves, durable and in flight together are below n, and settling never raises
their sum. That holds for each key by itself, so it holds for a sight that many keys count. Lookups that differ in nothing but
their order stop at once where they would in turn. Where one in flight comes to nothing, those behind it were told a higher
ordinal than in turn: too strict for once, never too lax.

What other processes on the same ledger have in flight is not seen, only what they made durable. One event loop: nothing here
waits while it counts, so no lock is needed; only reading awaits the ledger. A count is in memory only while something of it is
in flight: about 300 bytes a key.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from purposegate.model import Counted, CountKey

Count = Callable[[Sequence[CountKey]], Awaitable[Sequence[Counted]]]
"""Reads durable counts, each key's two numbers as of one moment. Raises `LedgerOutage`."""


@dataclass(slots=True)
class _Tally:
    durable: int
    elsewhere: int
    """Of `durable`, what other workers had counted when it was read."""
    in_flight: int = 0
    heard: int = 0
    """What they have counted since."""


class Reserved:
    """Places taken before a decision. Settle it always; one that is dropped unsettled gives its places back."""

    def __init__(self, history: "History", keys: Sequence[CountKey], seen: Mapping[CountKey, int]) -> None:
        self._history = history
        self._keys = keys
        self._seen = seen
        self._ordinals = history.take(keys)
        self._loop = asyncio.get_running_loop()
        self._is_settled = False

    @property
    def ordinals(self) -> Mapping[CountKey, int]:
        """For each key reserved, which sight this would be: 1 = the first."""
        return self._ordinals

    @property
    def seen(self) -> Mapping[CountKey, int]:
        """For each key only looked at, how high it stands in durable entries."""
        return self._seen

    def settle(self, counted: Collection[CountKey]) -> None:
        """End the reservation. `counted` are the keys that the durable entry raised. Idempotent."""
        if not self._is_settled:
            self._is_settled = True
            self._history.give_back(self._keys, counted)

    def __del__(self) -> None:
        # The last net under a task cancelled between reserving and settling; never the way to end a reservation.
        # The collector may run in any thread, so the loop that owns the counts is told rather than raced.
        if not getattr(self, "_is_settled", True) and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._history.abandon, self._keys)


class History:
    """Counts in flight over those that are durable. One for a gate, kept over reloads."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._tallies: dict[CountKey, _Tally] = {}
        self._wanted: Counter[CountKey] = Counter()

    async def reserve(self, keys: Collection[CountKey], look: Sequence[CountKey] = ()) -> Reserved:
        """Reserve one place under each key, and look at others; a key given twice is one place. Raises `LedgerOutage`.

        Cancelled while it waits, it has reserved nothing.
        """
        asked = tuple(dict.fromkeys(keys))
        for key in asked:  # what is waited for does not leave memory before it was used
            self._wanted[key] += 1
        try:
            counted = await self._count((*asked, *look)) if asked or look else ()
            for key, found in zip(asked, counted, strict=False):  # what was only looked at comes after
                self._hear(key, found)
            seen = {key: found.total for key, found in zip(look, counted[len(asked) :], strict=True)}
            return Reserved(self, asked, seen)
        finally:
            for key in asked:
                self._wanted[key] -= 1
                self._rest(key)

    def _hear(self, key: CountKey, counted: Counted) -> None:
        """Begin a tally, or learn what others have counted since: one that stays in flight must not grow deaf.

        The reading may be older than the tally: of this gate's own entries a tally that stands knows more, and it stands
        from the first reading awaited to the last place settled. So only what others counted is taken from a later one.
        """
        tally = self._tallies.get(key)
        if tally is None:
            self._tallies[key] = _Tally(counted.total, counted.elsewhere)
        else:
            tally.heard = max(tally.heard, counted.elsewhere - tally.elsewhere)

    def take(self, keys: Sequence[CountKey]) -> dict[CountKey, int]:
        """Raise what is in flight by one each; the ordinals. For `Reserved` alone."""
        ordinals = {}
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight += 1
            ordinals[key] = tally.durable + tally.heard + tally.in_flight
        return ordinals

    def give_back(self, keys: Sequence[CountKey], counted: Collection[CountKey]) -> None:
        """Turn what is in flight into durable counts where the entry raised them. For `Reserved` alone."""
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight -= 1
            tally.durable += key in counted
            self._rest(key)

    def abandon(self, keys: Sequence[CountKey]) -> None:
        """Give places back without knowing whether the ledger counted them. For `Reserved` alone.

        Counted until the ledger is asked again, which is once nothing is in flight: too strict meanwhile, never too lax.
        """
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight -= 1
            tally.durable += 1
            self._rest(key)

    def _rest(self, key: CountKey) -> None:
        """Let a tally leave memory, but only with nothing in flight: what is in flight is nowhere else."""
        if self._wanted[key]:
            return
        del self._wanted[key]
        tally = self._tallies.get(key)
        if tally is not None and not tally.in_flight:
            del self._tallies[key]
