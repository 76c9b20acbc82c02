"""The counts that one lookup has reserved, from its first row to its entry."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from purposegate.facts.budgets import Budget, Counting, Words
from purposegate.facts.history import History, Reserved
from purposegate.model import CountKey, RecordFacts, Row, Standing

ROWS_A_TURN = 50
"""Rows whose people are folded before the loop is given a turn: about 2 ms."""


class Sights:
    """Implements `protocols.Sights`: reserves what its rows are counted by, each key once however many rows share it.

    One lookup at a time uses it. Everything that is not reserved yet is asked for in one reading of the ledger; a lookup that
    goes on with a run (see `Budget.run`) needs a second, since the run's name is in the first.
    """

    def __init__(self, history: History, budget: Budget) -> None:
        self._history = history
        self._budget = budget
        self._reserved: list[Reserved] = []
        self._ordinals: dict[CountKey, int] = {}
        self._seen: Mapping[CountKey, int] | None = None
        self._run: CountKey | None = None
        self._words = Words("usual", (), {}, ())

    async def take(self, rows: Sequence[Row], found: Sequence[RecordFacts]) -> tuple[Standing, ...]:
        """Reserve what these rows are counted by, and say where each stands. Raises `LedgerOutage`.

        Cancelled while it waits, it has reserved nothing more.
        """
        countings: list[Counting] = []
        for turn, (row, facts) in enumerate(zip(rows, found, strict=True)):
            if turn and turn % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
            countings.append(self._budget.counting(row, facts))
        wanted = [key for one in countings for key in one.keys]
        is_first = self._seen is None
        if self._seen is None:
            self._seen = await self._reserve([*self._budget.own, *wanted], self._budget.look)
            wanted = []
        # An opened record is weighed twice, by its name and with its people: its run is asked for with the second.
        if self._run is None and not (is_first and self._budget.opens_records):
            self._run = self._budget.run(self._seen)
        await self._reserve([*wanted, *([self._run] if self._run else [])])
        self._words = self._budget.words(self._ordinals, self._run)
        return tuple(self._budget.standing(one, self._ordinals, self._run) for one in countings)

    @property
    def words(self) -> Words:
        """What the lookup itself shows, as of the rows taken last; nothing before the first."""
        return self._words

    async def _reserve(
        self, keys: Sequence[CountKey], look: Sequence[CountKey] = ()
    ) -> Mapping[CountKey, int]:
        """Reserve what is not reserved yet; what is only looked at, as it stands."""
        fresh = [key for key in keys if key not in self._ordinals]
        if not fresh and not look:
            return {}
        reserved = await self._history.reserve(fresh, look)
        self._reserved.append(reserved)
        self._ordinals.update(reserved.ordinals)
        return reserved.seen

    def settle(self, counted: Collection[CountKey]) -> None:
        """End every reservation. `counted` are the keys that the durable entry raised. Idempotent."""
        while self._reserved:
            self._reserved.pop().settle(counted)
