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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from purposegate.model import Counted, CountKey

Count = Callable[[Sequence[CountKey]], Awaitable[Sequence[Counted]]]
"""Reads durable counts, each key's two numbers as of one moment. Raises `LedgerOutage`."""


@dataclass(slots=True, eq=False)
class _Tally:
    """One key's count while somebody waits for it or has it in flight."""

    waiting: int = 0
    in_flight: int = 0
    durable: int = -1
    """-1 until it is read."""
    elsewhere: int = 0
    """Of `durable`, what other workers had counted when it was read."""
    heard: int = 0
    """What they have counted since."""

    def hear(self, counted: Counted) -> None:
        """Take the first reading, or learn what others have counted since: a tally that stays must not grow deaf.

        A later reading may be older than the tally, which knows of every entry of this gate since its own: it stands from
        the first reading awaited to the last place settled. So only what others counted is taken from a later one.
        """
        if self.durable < 0:
            self.durable, self.elsewhere = counted
        else:
            self.heard = max(self.heard, counted.elsewhere - self.elsewhere)


class Reserved:
    """Places taken before a decision. Settle it always; one that is dropped unsettled gives its places back."""

    def __init__(
        self, history: "History", tallies: Mapping[CountKey, _Tally], seen: Mapping[CountKey, int]
    ) -> None:
        self._history = history
        self._tallies = tallies
        self._seen = seen
        self._ordinals = history.take(tallies)
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
            self._history.give_back(self._tallies, counted)

    def __del__(self) -> None:
        # The last net under a task cancelled between reserving and settling; never the way to end a reservation.
        # The collector may run in any thread, so the loop that owns the counts is told rather than raced.
        if not getattr(self, "_is_settled", True) and not self._loop.is_closed():
            # Without knowing whether the ledger counted them: as though it had, until it is asked again, which is once
            # nothing is in flight. Too strict meanwhile, never too lax.
            tallies = self._tallies
            self._loop.call_soon_threadsafe(self._history.give_back, tallies, tallies.keys())


class History:
    """Counts in flight over those that are durable. One for a gate, kept over reloads."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._tallies: dict[CountKey, _Tally] = {}

    async def reserve(self, keys: Collection[CountKey], look: Sequence[CountKey] = ()) -> Reserved:
        """Reserve one place under each key, and look at others; a key given twice is one place. Raises `LedgerOutage`.

        Cancelled while it waits, it has reserved nothing.
        """
        wanted = {key: self._want(key) for key in dict.fromkeys(keys)}
        try:
            counted = await self._count((*wanted, *look)) if wanted or look else ()
            for tally, found in zip(wanted.values(), counted, strict=False):  # what is looked at comes after
                tally.hear(found)
            seen = {key: found.total for key, found in zip(look, counted[len(wanted) :], strict=True)}
            return Reserved(self, wanted, seen)
        finally:
            for key, tally in wanted.items():
                tally.waiting -= 1
                self._rest(key, tally)

    def _want(self, key: CountKey) -> _Tally:
        """The key's tally; what is waited for does not leave memory before it was used."""
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.waiting += 1
        return tally

    def take(self, tallies: Mapping[CountKey, _Tally]) -> dict[CountKey, int]:
        """Raise what is in flight by one each; the ordinals. For `Reserved` alone."""
        ordinals = {}
        for key, tally in tallies.items():
            tally.in_flight += 1
            ordinals[key] = tally.durable + tally.heard + tally.in_flight
        return ordinals

    def give_back(self, tallies: Mapping[CountKey, _Tally], counted: Collection[CountKey]) -> None:
        """Turn what is in flight into durable counts where the entry raised them. For `Reserved` alone."""
        for key, tally in tallies.items():
            tally.in_flight -= 1
            tally.durable += key in counted
            self._rest(key, tally)

    def _rest(self, key: CountKey, tally: _Tally) -> None:
        """Let a tally leave memory, but only with nothing in flight: what is in flight is nowhere else."""
        if not tally.waiting and not tally.in_flight:
            del self._tallies[key]
