"""Counts reserved before a decision: at most as many sights pass as would in turn, whatever the interleaving."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import lookup
from purposegate.errors import LedgerOutage
from purposegate.facts.history import History, Reserved, count_key
from purposegate.model import Action, CountKey, RecordRef

pytestmark = pytest.mark.anyio

ONE, TWO = RecordRef("person", "1"), RecordRef("person", "2")
OVER = 8


@dataclass
class Ledger:
    """The ledger's part in counting: what is durable, how long it takes to say so, and how often it was asked."""

    durable: Counter[CountKey] = field(default_factory=Counter)
    asked: list[tuple[CountKey, ...]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    outages: int = 0

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        self.asked.append(tuple(keys))
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.outages:
            self.outages -= 1
            raise LedgerOutage("no space")
        return tuple(self.durable[key] for key in keys)

    def append(self, reserved: Reserved, *records: RecordRef, action: Action = Action.VIEW) -> None:
        """Make an entry that counts these records, and settle as the gate does."""
        self.durable.update(count_key(lookup(action=action), record) for record in records)
        reserved.settle(frozenset(records))


async def test_the_first_sight_is_the_first() -> None:
    """Nothing durable, nothing in flight: 1."""
    reserved = await History(Ledger().counts).reserve(lookup(), [ONE])

    assert (1,) == reserved.ordinals


async def test_sights_in_flight_count() -> None:
    """A lookup that is still being decided stands before the next."""
    history = History(Ledger().counts)
    first = await history.reserve(lookup(), [ONE])
    second = await history.reserve(lookup(), [ONE, TWO])

    assert ((1,), (2, 1)) == (first.ordinals, second.ordinals)


async def test_what_came_to_nothing_does_not_count() -> None:
    """A lookup that was refused gives its place back."""
    history = History(Ledger().counts)
    (await history.reserve(lookup(), [ONE])).settle(frozenset())

    assert (1,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_only_what_the_entry_raised_counts() -> None:
    """Of a list some rows were withheld: those were not seen."""
    ledger = Ledger()
    history = History(ledger.counts)
    ledger.append(await history.reserve(lookup(), [ONE, TWO]), TWO)

    assert (1, 2) == (await history.reserve(lookup(), [ONE, TWO])).ordinals


async def test_settling_twice_is_settling_once() -> None:
    """The gate settles in more than one place; the second changes nothing."""
    ledger = Ledger()
    history = History(ledger.counts)
    reserved = await history.reserve(lookup(), [ONE])
    ledger.append(reserved, ONE)
    reserved.settle(frozenset({ONE}))
    reserved.settle(frozenset())

    assert (2,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_a_record_twice_in_one_lookup_is_one_sight() -> None:
    """Two rows of one record are one person seen once."""
    history = History(Ledger().counts)
    reserved = await history.reserve(lookup(), [ONE, TWO, ONE])

    assert ((1, 1, 1), (2,)) == (reserved.ordinals, (await history.reserve(lookup(), [ONE])).ordinals)


@pytest.mark.parametrize("action", [Action.VIEW, Action.EDIT, Action.EXPORT])
async def test_opening_in_any_way_is_viewing(action: Action) -> None:
    """An export of a record has seen it as much as a view."""
    history = History(Ledger().counts)
    first = await history.reserve(lookup(), [ONE])
    second = await history.reserve(lookup(action=action), [ONE])

    assert ((1,), (2,)) == (first.ordinals, second.ordinals)


async def test_being_shown_is_not_viewing() -> None:
    """A row of a search and an opened record are counted apart, and so are two people."""
    history = History(Ledger().counts)
    held = [
        await history.reserve(lookup(), [ONE]),
        await history.reserve(lookup(action=Action.SEARCH), [ONE]),
        await history.reserve(lookup("E2"), [ONE]),
    ]

    assert [(1,), (1,), (1,)] == [reserved.ordinals for reserved in held]


async def test_the_ledger_is_asked_once_for_each_key() -> None:
    """A hundred lookups that begin together wait for one answer, and take the places 1 to 100."""
    ledger = Ledger(gate=asyncio.Event())
    history = History(ledger.counts)
    waiting = [asyncio.create_task(history.reserve(lookup(), [ONE])) for _ in range(100)]
    await asyncio.sleep(0)
    ledger.gate.set() if ledger.gate else None
    reserved = await asyncio.gather(*waiting)

    assert (1, list(range(1, 101))) == (len(ledger.asked), sorted(one.ordinals[0] for one in reserved))


async def test_an_outage_is_told_to_all_who_wait_and_then_forgotten() -> None:
    """The ledger is asked anew by the next lookup."""
    ledger = Ledger(outages=1)
    history = History(ledger.counts)
    both = await asyncio.gather(
        history.reserve(lookup(), [ONE]), history.reserve(lookup(), [ONE]), return_exceptions=True
    )

    assert [LedgerOutage, LedgerOutage] == [type(one) for one in both]
    assert (1,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_one_lookup_cancelled_while_loading_leaves_the_others_waiting() -> None:
    """Whoever asked the ledger first may go away; the answer is everybody's."""
    ledger = Ledger(gate=asyncio.Event())
    history = History(ledger.counts)
    first = asyncio.create_task(history.reserve(lookup(), [ONE]))
    second = asyncio.create_task(history.reserve(lookup(), [ONE]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    ledger.gate.set() if ledger.gate else None

    assert ((1,), True) == ((await second).ordinals, first.cancelled())


async def test_all_lookups_cancelled_while_loading_leave_nothing_in_flight() -> None:
    """Nobody holds a place that nobody will settle."""
    ledger = Ledger(gate=asyncio.Event())
    history = History(ledger.counts)
    waiting = [asyncio.create_task(history.reserve(lookup(), [ONE])) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    ledger.gate.set() if ledger.gate else None
    await asyncio.gather(*waiting, return_exceptions=True)

    assert (1,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_a_reservation_dropped_unsettled_does_not_leak() -> None:
    """A task that dies between reserving and settling gives its places back, and the ledger is asked what it counted."""
    ledger = Ledger()
    history = History(ledger.counts)

    async def dies() -> None:
        reserved = await history.reserve(lookup(), [ONE])
        ledger.durable[count_key(lookup(), ONE)] += 1  # the entry was durable, but nobody was left to settle
        await asyncio.sleep(3600)
        reserved.settle(frozenset({ONE}))

    task = asyncio.create_task(dies())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()
    await asyncio.sleep(0)

    assert (2,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_idle_counts_leave_memory_and_come_back() -> None:
    """What was evicted is read from the ledger again, as it was."""
    ledger = Ledger()
    history = History(ledger.counts, idle_kept=1)
    for record in (ONE, TWO):
        ledger.append(await history.reserve(lookup(), [record]), record)

    assert ((2, 2), 3) == ((await history.reserve(lookup(), [ONE, TWO])).ordinals, len(ledger.asked))


async def test_counts_in_flight_never_leave_memory() -> None:
    """With room for none, what is in flight still stands before the next lookup."""
    ledger = Ledger()
    history = History(ledger.counts, idle_kept=0)
    first = await history.reserve(lookup(), [ONE])
    ledger.append(await history.reserve(lookup(), [TWO]), TWO)

    assert ((1,), (2,)) == (first.ordinals, (await history.reserve(lookup(), [ONE])).ordinals)


async def test_with_room_for_none_the_ledger_is_asked_each_time() -> None:
    """Several processes on one store see each other's counts this way."""
    ledger = Ledger()
    history = History(ledger.counts, idle_kept=0)
    ledger.append(await history.reserve(lookup(), [ONE]), ONE)
    ledger.durable[count_key(lookup(), ONE)] += 3  # another process

    assert (5,) == (await history.reserve(lookup(), [ONE])).ordinals


async def test_what_others_count_is_heard_while_something_is_in_flight() -> None:
    """A worker that always has a lookup of the record under way still hears what the others release."""
    ledger = Ledger()
    others = Counter[CountKey]()

    async def elsewhere(keys: Sequence[CountKey]) -> tuple[int, ...]:
        return tuple(others[key] for key in keys)

    history = History(ledger.counts, elsewhere=elsewhere)
    ordinals: list[int] = []
    held = await history.reserve(lookup(), [ONE])
    for _ in range(3):
        others[count_key(lookup(), ONE)] += 1
        ledger.durable[count_key(lookup(), ONE)] += 1
        following = await history.reserve(lookup(), [ONE])
        held.settle(frozenset())
        held = following
        ordinals += held.ordinals

    assert [3, 4, 5] == ordinals


Decide = Callable[[int], Awaitable[bool]]


async def _look(history: History, ledger: Ledger, pauses: Sequence[int], *, fails: bool) -> bool:
    """One lookup as the gate makes it: reserve, decide by the band, append, settle; the waits are the schedule's."""
    reserved = await history.reserve(lookup(), [ONE])
    counted: tuple[RecordRef, ...] = ()
    try:
        for _ in range(pauses[0]):
            await asyncio.sleep(0)
        if reserved.ordinals[0] < OVER and not fails:
            ledger.durable[count_key(lookup(), ONE)] += 1  # the entry is durable
            counted = (ONE,)
            for _ in range(pauses[1]):
                await asyncio.sleep(0)
    finally:
        reserved.settle(frozenset(counted))
    return bool(counted)


async def _at_once(schedule: Sequence[tuple[int, int, int, bool]], before: int, idle_kept: int) -> list[bool]:
    ledger = Ledger(durable=Counter({count_key(lookup(), ONE): before}))
    history = History(ledger.counts, idle_kept=idle_kept)

    async def starts(wait: int, first: int, second: int, fails: bool) -> bool:
        for _ in range(wait):
            await asyncio.sleep(0)
        return await _look(history, ledger, (first, second), fails=fails)

    return await asyncio.gather(*(starts(*one) for one in schedule))


steps = st.integers(0, 6)


@given(
    schedule=st.lists(st.tuples(steps, steps, steps, st.booleans()), min_size=1, max_size=30),
    before=st.integers(0, OVER + 1),
    idle_kept=st.integers(0, 2),
)
def test_never_more_than_allowed(
    schedule: list[tuple[int, int, int, bool]], before: int, idle_kept: int
) -> None:
    """However lookups overlap, and whichever of them fail, no more sights are released than the band leaves."""
    released = asyncio.run(_at_once(schedule, before, idle_kept))

    assert sum(released) <= max(0, OVER - 1 - before)


@given(
    schedule=st.lists(st.tuples(steps, steps, steps, st.just(False)), min_size=1, max_size=30),
    before=st.integers(0, OVER + 1),
    idle_kept=st.integers(0, 2),
)
def test_at_once_stops_where_in_turn_does(
    schedule: list[tuple[int, int, int, bool]], before: int, idle_kept: int
) -> None:
    """Lookups that differ only in their timing pass exactly as often at once as one after the other."""
    in_turn = min(len(schedule), max(0, OVER - 1 - before))

    assert in_turn == sum(asyncio.run(_at_once(schedule, before, idle_kept)))
