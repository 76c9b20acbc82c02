"""A ledger that fails when a test says so, in front of the real one."""

from collections.abc import Sequence

from purposegate.errors import LedgerOutage
from purposegate.gate import Parts
from purposegate.model import CountKey, Entry, Receipt


class DeadLedger:
    """A ledger whose disk is gone."""

    def __init__(self, parts: Parts, *, after: int = 0) -> None:
        self._real = parts.ledger
        self._left = after
        self.mended = False

    async def append(self, entry: Entry) -> Receipt:
        """Fail, once the entries allowed are used up."""
        if self._left <= 0 and not self.mended:
            raise LedgerOutage("the disk is gone")
        self._left -= 1
        return await self._real.append(entry)

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """Reading still works."""
        return await self._real.counts(keys)
