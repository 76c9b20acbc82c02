"""What a running gate is made of, and the entries it makes that are about no lookup."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from purposegate.attempt import Snapshot
from purposegate.ids import fresh_id
from purposegate.model import Entry, EntryKind
from purposegate.protocols import Ledger

DEFAULT_REFUSALS_PER_MINUTE = 60
"""A person who mistypes all day stays far below; a script that probes does not."""


def _admit_all() -> None:
    """A ledger that asks no witness admits every lookup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a running gate is made of. `ledger` outlives snapshots."""

    ledger: Ledger
    snapshot: Snapshot
    refusals_per_minute: int = DEFAULT_REFUSALS_PER_MINUTE
    monitor_without_ledger: bool = False
    admit: Callable[[], None] = _admit_all
    """Raises `LedgerOutage` while the ledger wants no new lookups, though it can record that they were refused."""


def bare_entry(kind: EntryKind, at: datetime, fields: dict[str, Any], *, released: bool = False) -> Entry:
    """An entry about the gate itself: no principal, no records, an id of its own."""
    return Entry(kind=kind, lookup_id=fresh_id(), at=at, released=released, fields=fields)
