"""Where matters are kept between requests: one small interface, in SQLite beside the ledger or in its PostgreSQL.

Nothing here is the truth. Bodies are sealed and names are keyed tokens, so a row says nothing without the ledger's key; and
whoever changes rows cannot approve with them, since an approval counts only if the ledger counted it (`approvals`).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """One matter as a row. `at` is POSIX microseconds, `until` seconds; `tokens` are what it is found by, 16 bytes each."""

    id: str
    kind: str
    step: int
    at: int
    until: int
    kid: int
    nonce: bytes
    sealed: bytes
    tokens: tuple[bytes, ...] = ()


class Store(Protocol):
    """Every method blocks, is one transaction, and raises `Outage(gate-fault)` where the database fails."""

    def get(self, name: str) -> Row | None:
        """The matter of this id. `tokens` are left out when reading."""
        ...

    def put(self, row: Row) -> bool:
        """Write the row in place of the one a step before, or as a new one at step 1; False where that is not what stands."""
        ...

    def found(self, token: bytes, *, limit: int) -> Sequence[Row]:
        """The newest matters that a token finds, newest first."""
        ...

    def claim(self, what: str, by: str, at: int) -> bool:
        """Be the one who does something: True for the first caller of all, in whichever process, and for nobody after."""
        ...

    def unclaim(self, what: str, by: str) -> None:
        """Let somebody else try."""
        ...

    def prune(self, before: int) -> None:
        """Forget matters and claims that lapsed before this second."""
        ...

    def clear(self) -> None:
        """Forget everything, to be built again."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...
