"""Counts reserved before a decision: at most as many sights pass as would in turn, whatever the interleaving."""

import asyncio
import gc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from purposegate.errors import LedgerOutage
from purposegate.facts.history import History, Reserved
from purposegate.ledger.durable import DurableLedger
from purposegate.model import Counted, CountKey, RecordRef

pytestmark = pytest.mark.anyio


def key(name: str, sight: str = "viewed", principal: str = "E1") -> CountKey:
    """What a sight of something is counted by."""
    return CountKey(principal, sight, RecordRef("person", name))


ONE, TWO = key("1"), key("2")
OVER = 8


@dataclass
class Ledger:
    """The ledger's part in counting: what is durable, how long it takes to say so, and how often it was asked."""

    durable: Counter[CountKey] = field(default_factory=Counter)
    others: Counter[CountKey] = field(default_factory=Counter)
    asked: list[tuple[CountKey, ...]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    outages: int = 0

    async def counted(self, keys: Sequence[CountKey]) -> tuple[Counted, ...]:
        self.asked.append(tuple(keys))
        if self.gate:
            await self.gate.wait()
        # As it stood when it was asked, and not when it answers.
        found = tuple(Counted(self.durable[key] + self.others[key], self.others[key]) for key in keys)
        await asyncio.sleep(0)
        if self.outages:
            self.outages -= 1
            raise LedgerOutage("no space")
        return found

    def append(self, reserved: Reserved, *keys: CountKey) -> None:
        """Make an entry that counts these, and settle as the gate does."""
        self.durable.update(keys)
        reserved.settle(frozenset(keys))


async def test_the_first_sight_is_the_first() -> None:
    """Nothing durable, nothing in flight: 1."""
    reserved = await History(Ledger().counted).reserve([ONE])

    assert {ONE: 1} == reserved.ordinals


async def test_sights_in_flight_count() -> None:
    """A lookup that is still being decided stands before the next."""
    history = History(Ledger().counted)
    first = await history.reserve([ONE])
    second = await history.reserve([ONE, TWO])

    assert ({ONE: 1}, {ONE: 2, TWO: 1}) == (first.ordinals, second.ordinals)


async def test_what_came_to_nothing_does_not_count() -> None:
    """A lookup that was refused gives its place back."""
    history = History(Ledger().counted)
    (await history.reserve([ONE])).settle(())

    assert {ONE: 1} == (await history.reserve([ONE])).ordinals


async def test_only_what_the_entry_raised_counts() -> None:
    """Of a list some rows were withheld: those were not seen."""
    ledger = Ledger()
    history = History(ledger.counted)
    ledger.append(await history.reserve([ONE, TWO]), TWO)

    assert {ONE: 1, TWO: 2} == (await history.reserve([ONE, TWO])).ordinals


async def test_settling_twice_is_settling_once() -> None:
    """The gate settles in more than one place; the second changes nothing."""
    ledger = Ledger()
    history = History(ledger.counted)
    other = await history.reserve([ONE])
    reserved = await history.reserve([ONE])
    ledger.append(reserved, ONE)
    reserved.settle(frozenset({ONE}))
    reserved.settle(())

    assert ({ONE: 1}, {ONE: 3}) == (other.ordinals, (await history.reserve([ONE])).ordinals)


async def test_a_key_twice_in_one_reservation_is_one_place() -> None:
    """Two rows of one record are one person seen once."""
    history = History(Ledger().counted)
    reserved = await history.reserve([ONE, TWO, ONE])

    assert ({ONE: 1, TWO: 1}, {ONE: 2}) == (reserved.ordinals, (await history.reserve([ONE])).ordinals)


async def test_what_is_only_looked_at_takes_no_place() -> None:
    """A number that names a run is read as it stands in the ledger, and nobody behind is told a higher one."""
    history = History(Ledger(durable=Counter({TWO: 4})).counted)
    looks = [await history.reserve([ONE], [TWO]) for _ in range(2)]

    assert [{TWO: 4}] * 2 == [look.seen for look in looks]
    assert {TWO: 5} == (await history.reserve([TWO])).ordinals


async def test_lookups_that_begin_together_take_places_in_turn() -> None:
    """A hundred lookups that all wait for the ledger take the places 1 to 100."""
    ledger = Ledger(gate=asyncio.Event())
    history = History(ledger.counted)
    waiting = [asyncio.create_task(history.reserve([ONE])) for _ in range(100)]
    await asyncio.sleep(0)
    ledger.gate.set() if ledger.gate else None
    reserved = await asyncio.gather(*waiting)

    assert list(range(1, 101)) == sorted(one.ordinals[ONE] for one in reserved)


async def test_a_reading_older_than_an_entry_does_not_hide_it() -> None:
    """One lookup is done while another's reading is on its way: the late answer does not know of it, the count does."""
    ledger = Ledger()
    history = History(ledger.counted)
    slow = Ledger(gate=asyncio.Event())

    async def answer(keys: Sequence[CountKey]) -> Sequence[Counted]:
        return await (slow if len(keys) > 1 else ledger).counted(keys)

    history = History(answer)
    waiting = asyncio.create_task(history.reserve([ONE, TWO]))
    await asyncio.sleep(0)
    ledger.append(await history.reserve([ONE]), ONE)
    slow.gate.set() if slow.gate else None

    assert {ONE: 2, TWO: 1} == (await waiting).ordinals


async def test_an_outage_is_told_to_all_who_wait_and_then_forgotten() -> None:
    """The ledger is asked anew by the next lookup."""
    ledger = Ledger(outages=2)
    history = History(ledger.counted)
    both = await asyncio.gather(history.reserve([ONE]), history.reserve([ONE]), return_exceptions=True)

    assert [LedgerOutage, LedgerOutage] == [type(one) for one in both]
    assert {ONE: 1} == (await history.reserve([ONE])).ordinals


async def test_lookups_cancelled_while_reading_leave_nothing_in_flight() -> None:
    """Nobody holds a place that nobody will settle, and whoever waits beside them goes on."""
    ledger = Ledger(gate=asyncio.Event())
    history = History(ledger.counted)
    waiting = [asyncio.create_task(history.reserve([ONE])) for _ in range(4)]
    await asyncio.sleep(0)
    for task in waiting[:3]:
        task.cancel()
    ledger.gate.set() if ledger.gate else None
    *_, last = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(last, Reserved)
    assert {ONE: 1} == last.ordinals


async def test_a_reservation_dropped_unsettled_does_not_leak() -> None:
    """A task that dies between reserving and settling gives its places back, and the ledger is asked what it counted."""
    ledger = Ledger()
    history = History(ledger.counted)

    async def dies() -> None:
        reserved = await history.reserve([ONE])
        ledger.durable[ONE] += 1  # the entry was durable, but nobody was left to settle
        await asyncio.sleep(3600)
        reserved.settle(frozenset({ONE}))

    task = asyncio.create_task(dies())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()
    await asyncio.sleep(0)

    assert {ONE: 2} == (await history.reserve([ONE])).ordinals


async def test_counts_in_flight_never_leave_memory() -> None:
    """What is settled is forgotten and asked for again; what is in flight still stands before the next lookup."""
    ledger = Ledger()
    history = History(ledger.counted)
    first = await history.reserve([ONE])
    ledger.append(await history.reserve([ONE, TWO]), TWO)

    assert ({ONE: 1}, {ONE: 2, TWO: 2}) == (first.ordinals, (await history.reserve([ONE, TWO])).ordinals)


async def test_what_others_count_is_heard_while_something_is_in_flight() -> None:
    """A worker that always has a lookup of the record under way still hears what the others release."""
    ledger = Ledger()
    history = History(ledger.counted)
    ordinals: list[int] = []
    held = await history.reserve([ONE])
    for _ in range(3):
        ledger.others[ONE] += 1
        following = await history.reserve([ONE])
        held.settle(())
        held = following
        ordinals += held.ordinals.values()

    assert [3, 4, 5] == ordinals


Keys = tuple[CountKey, ...]
ALL = (ONE, TWO, key("3"))
rows = st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True).map(tuple)
steps = st.integers(0, 6)
Step = tuple[int, int, int, bool, Keys]


async def _look(
    history: History, ledger: Ledger, keys: Keys, pauses: Sequence[int], *, fails: bool
) -> Counter[CountKey]:
    """One lookup as the gate makes it: reserve, decide by the worst key, append, settle; the waits are the schedule's.

    Some keys are known at once and the others when the answer is: the two reservations of an opened record.
    """
    first, second = keys[:1], keys[1:]
    reserved = [await history.reserve(first)]
    counted: Keys = ()
    try:
        for _ in range(pauses[0]):
            await asyncio.sleep(0)
        if second:
            reserved.append(await history.reserve(second))
        if max(ordinal for one in reserved for ordinal in one.ordinals.values()) < OVER and not fails:
            ledger.durable.update(keys)  # the entry is durable
            counted = keys
            for _ in range(pauses[1]):
                await asyncio.sleep(0)
    finally:
        for one in reserved:
            one.settle(counted)
    return Counter(counted)


async def _at_once(schedule: Sequence[Step], before: int) -> Counter[CountKey]:
    ledger = Ledger(durable=Counter(dict.fromkeys(ALL, before)))
    history = History(ledger.counted)

    async def starts(wait: int, first: int, second: int, fails: bool, keys: Keys) -> Counter[CountKey]:
        for _ in range(wait):
            await asyncio.sleep(0)
        return await _look(history, ledger, keys, (first, second), fails=fails)

    done = await asyncio.gather(*(starts(*one) for one in schedule))
    return sum(done, Counter())


@given(
    schedule=st.lists(st.tuples(steps, steps, steps, st.booleans(), rows), min_size=1, max_size=30),
    before=st.integers(0, OVER + 1),
)
def test_never_more_than_allowed(schedule: list[Step], before: int) -> None:
    """However lookups overlap, and whichever of them fail, no key sees more sights released than its band leaves."""
    released = asyncio.run(_at_once(schedule, before))

    assert all(count <= max(0, OVER - 1 - before) for count in released.values())


@given(
    schedule=st.lists(st.tuples(steps, steps, steps, st.just(False), st.just(ALL)), min_size=1, max_size=30),
    before=st.integers(0, OVER + 1),
)
def test_at_once_stops_where_in_turn_does(schedule: list[Step], before: int) -> None:
    """Lookups that differ only in their timing pass exactly as often at once as one after the other."""
    in_turn = min(len(schedule), max(0, OVER - 1 - before))
    one_key = [(*one[:4], ALL[:1]) for one in schedule]

    assert in_turn == asyncio.run(_at_once(one_key, before))[ONE]
    assert in_turn >= asyncio.run(_at_once(schedule, before))[ONE]


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_workers_on_one_ledger_share_a_budget(tmp_path: Path, workers: int) -> None:
    """Over real stores: lookups that go round the workers in turn are released seven times in all, under every key."""
    ledgers: list[DurableLedger] = [open_ledger(tmp_path / "ledger.db") for _ in range(workers)]
    histories = [History(ledger.counted) for ledger in ledgers]
    released = 0
    for number in range(12):
        place = number % workers
        reserved = await histories[place].reserve([ONE, TWO])
        passes = max(reserved.ordinals.values()) < OVER
        if passes:
            await ledgers[place].append(entry(number, counts=(ONE, TWO)))
            released += 1
        reserved.settle((ONE, TWO) if passes else ())
    for ledger in ledgers:
        await ledger.aclose()

    assert OVER - 1 == released


async def test_at_once_over_two_workers_misses_at_most_what_is_in_flight_elsewhere(tmp_path: Path) -> None:
    """Twenty lookups at each of two workers at once: at most the budget, and what the other had under way."""
    ledgers = [open_ledger(tmp_path / "ledger.db") for _ in range(2)]
    histories = [History(ledger.counted) for ledger in ledgers]
    most_in_flight = 0
    in_flight = [0, 0]

    async def look(number: int) -> bool:
        nonlocal most_in_flight
        place = number % 2
        reserved = await histories[place].reserve([ONE])
        in_flight[place] += 1
        most_in_flight = max(most_in_flight, min(in_flight))
        passes = reserved.ordinals[ONE] < OVER
        if passes:
            await ledgers[place].append(entry(number, counts=(ONE,)))
        reserved.settle((ONE,) if passes else ())
        in_flight[place] -= 1
        return passes

    released = sum(await asyncio.gather(*(look(number) for number in range(40))))
    for ledger in ledgers:
        await ledger.aclose()

    assert OVER - 1 <= released <= OVER - 1 + most_in_flight
