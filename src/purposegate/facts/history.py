"""How often a person has seen a record: durable counts from the ledger, and those of lookups still being decided.

A lookup reserves its sights before it is decided: ordinal = durable + in flight + 1. With n the ordinal from which policy
refuses, at most n - 1 sights are ever released, whatever the interleaving: whenever one that may pass reserves, durable and in
flight together are below n, and settling never raises their sum. Lookups that differ in nothing but their order stop at once
where they would in turn. Where one in flight comes to nothing, those behind it were told a higher ordinal than in turn: too
strict for once, never too lax.

What other processes on the same ledger have in flight is not seen, only what they made durable. One event loop: nothing here
waits while it counts, so no lock is needed; only loading awaits the ledger.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from purposegate.facts.bands import SIGHTS
from purposegate.model import CountKey, Lookup, RecordRef

IDLE_KEPT = 0
"""Counts kept in memory with nothing in flight, about 300 bytes each. None, so that gates which share a ledger see each
other's entries; a gate that has its ledger to itself may keep some and spare the question."""


def count_key(lookup: Lookup, record: RecordRef) -> CountKey:
    """What this lookup's sight of the record is counted by."""
    return CountKey(lookup.principal.id, SIGHTS[lookup.action], record)


@dataclass(slots=True)
class _Tally:
    durable: int
    in_flight: int = 0
    elsewhere: int = 0
    """Of `durable`, what other workers had counted when it was loaded."""
    heard: int = 0
    """What they have counted since."""
    is_doubtful: bool = False
    """A reservation was dropped unsettled: the ledger may have counted it or not, so it is to be asked again."""


class Reserved:
    """Sights taken before a decision. Settle it always; one that is dropped unsettled gives its places back."""

    def __init__(self, history: "History", keys: tuple[CountKey, ...], places: Sequence[CountKey]) -> None:
        taken = history.take(keys)
        self._history = history
        self._keys = keys
        self._ordinals = tuple(taken[key] for key in places)
        self._loop = asyncio.get_running_loop()
        self._is_settled = False

    @property
    def ordinals(self) -> tuple[int, ...]:
        """For each record reserved, which sight of it this would be: 1 = the first."""
        return self._ordinals

    def settle(self, counted: frozenset[RecordRef]) -> None:
        """End the reservation. `counted` are the records whose count the durable entry raised. Idempotent."""
        if not self._is_settled:
            self._is_settled = True
            self._history.give_back(self._keys, counted)

    def __del__(self) -> None:
        # The last net under a task cancelled between reserving and settling; never the way to end a reservation.
        # The collector may run in any thread, so the loop that owns the counts is told rather than raced.
        if not getattr(self, "_is_settled", True) and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._history.abandon, self._keys)


class History:
    """Counts of sights, by principal, sort of sight and record."""

    def __init__(
        self,
        counts: Callable[[Sequence[CountKey]], Awaitable[Sequence[int]]],
        *,
        elsewhere: Callable[[Sequence[CountKey]], Awaitable[Sequence[int]]] | None = None,
        idle_kept: int = IDLE_KEPT,
    ) -> None:
        self._counts = counts
        self._elsewhere = elsewhere
        self._idle_kept = idle_kept
        self._tallies: dict[CountKey, _Tally] = {}
        self._idle: OrderedDict[CountKey, None] = OrderedDict()
        self._loading: dict[CountKey, asyncio.Task[None]] = {}
        self._wanted: Counter[CountKey] = Counter()

    async def reserve(self, lookup: Lookup, records: Sequence[RecordRef]) -> Reserved:
        """Reserve one sight of each record; a record named twice is one sight. Raises `LedgerOutage`.

        Cancelled while it waits, it has reserved nothing.
        """
        places = [count_key(lookup, record) for record in records]
        keys = tuple(dict.fromkeys(places))
        for key in keys:  # what is waited for does not leave memory before it was used
            self._wanted[key] += 1
            self._idle.pop(key, None)
        try:
            while missing := [key for key in keys if key not in self._tallies]:
                await self._load(missing)
            await self._hear(keys)
            return Reserved(self, keys, places)
        finally:
            for key in keys:
                self._wanted[key] -= 1
                self._rest(key)

    async def _load(self, missing: Sequence[CountKey]) -> None:
        fresh = [key for key in missing if key not in self._loading]
        if fresh:
            # A task of its own: a lookup that is cancelled must not take the loading from those who wait with it.
            task = asyncio.create_task(self._fetch(fresh), name="purposegate-counts")
            self._loading.update(dict.fromkeys(fresh, task))
        waited = {self._loading[key] for key in missing}
        await asyncio.gather(*(asyncio.shield(task) for task in waited))

    async def _hear(self, keys: Sequence[CountKey]) -> None:
        """Learn what others have counted since a tally was loaded: one that stays in flight must not grow deaf."""
        if self._elsewhere is None:
            return
        for key, now in zip(keys, await self._elsewhere(keys), strict=True):
            tally = self._tallies[key]
            tally.heard = max(tally.heard, now - tally.elsewhere)

    async def _fetch(self, keys: Sequence[CountKey]) -> None:
        try:
            # The others' part first: what they add between the two readings then counts twice, and never not at all.
            others = await self._elsewhere(keys) if self._elsewhere else [0] * len(keys)
            found = await self._counts(keys)
            for key, durable, elsewhere in zip(keys, found, others, strict=True):
                self._tallies[key] = _Tally(durable, elsewhere=elsewhere)
                self._rest(key)
        finally:
            for key in keys:
                self._loading.pop(key, None)

    def take(self, keys: Sequence[CountKey]) -> dict[CountKey, int]:
        """Raise what is in flight by one each; the ordinals. For `Reserved` alone."""
        ordinals = {}
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight += 1
            ordinals[key] = tally.durable + tally.heard + tally.in_flight
        return ordinals

    def give_back(self, keys: Sequence[CountKey], counted: frozenset[RecordRef]) -> None:
        """Turn what is in flight into durable counts where the entry raised them. For `Reserved` alone."""
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight -= 1
            tally.durable += key.record in counted
            self._rest(key)

    def abandon(self, keys: Sequence[CountKey]) -> None:
        """Give places back without knowing whether the ledger counted them. For `Reserved` alone.

        Counted until the ledger is asked again, which is once nothing is in flight: too strict meanwhile, never too lax.
        """
        for key in keys:
            tally = self._tallies[key]
            tally.in_flight -= 1
            tally.durable += 1
            tally.is_doubtful = True
            self._rest(key)

    def _rest(self, key: CountKey) -> None:
        """Let a tally leave memory, but only with nothing in flight: what is in flight is nowhere else."""
        if self._wanted[key]:
            return
        del self._wanted[key]
        tally = self._tallies.get(key)
        if tally is None or tally.in_flight:
            return
        if tally.is_doubtful:
            del self._tallies[key]
            return
        self._idle[key] = None
        self._idle.move_to_end(key)
        while len(self._idle) > self._idle_kept:
            oldest, _ = self._idle.popitem(last=False)
            del self._tallies[oldest]
