"""What ledger tests share: small ledgers, entries to put in them, and a disk that fails when told."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.model import CountKey, Entry, EntryKind, RecordRef

ORIGIN = "north.police.uk/purposegate/test"
NO_MARGIN = Limits(watermark_bytes=0, ballast_bytes=0)
"""For tests that are not about a full disk: the machine's own fill level must not decide them."""


def entry(number: int, **changes: Any) -> Entry:
    """A release of one record, looked up for the `number`th time in the test."""
    known: dict[str, Any] = {
        "kind": EntryKind.RELEASE,
        "lookup_id": f"lookup-{number}",
        "at": datetime(2026, 11, 21, 19, 0, 0, number % 1_000_000, tzinfo=UTC),
        "released": True,
        "fields": {"principal": "pc-42", "purpose": "investigate.crime", "number": number},
        "rows": [{"record": ["person", f"rec-{number}"], "withheld": []}],
        "counts": [sight(number % 5)],
    }
    return Entry(**{**known, **changes})


def sight(number: int, principal: str = "pc-42") -> CountKey:
    """The key that repeat views of one record are counted by."""
    return CountKey(principal, "view", RecordRef("person", f"rec-{number}"))


def open_ledger(path: Path, **changes: Any) -> DurableLedger:
    """A ledger that the fill level of the machine's disk does not touch."""
    return DurableLedger.open(path, **{"origin": ORIGIN, "limits": NO_MARGIN, **changes})


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread brings about; past a minute it never will."""
    for _ in range(6_000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("what the test waits for did not come about")


Fault = Callable[[str, str, int], bool]
"""(operation, file name's ending, how often so far) -> whether this one fails."""


class FaultyDisk(apsw.VFS):
    """The real disk, with writes and syncs that fail when `fault` says so. Registered under `name` while it lives."""

    _numbers = count()

    def __init__(self) -> None:
        self.name = f"faulty-{next(self._numbers)}"
        self.fault: Fault = lambda _operation, _file, _ordinal: False
        self.ordinals: dict[str, int] = {}
        super().__init__(self.name, "")

    def fails(self, operation: str, file: str) -> bool:
        """Count one operation and say whether it fails."""
        ordinal = self.ordinals.get(operation, 0) + 1
        self.ordinals[operation] = ordinal
        return self.fault(operation, file, ordinal)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FaultyFile":  # noqa: N802  # SQLite's name
        return FaultyFile(self, name, flags)


class FaultyFile(apsw.VFSFile):
    """One open file of the faulty disk."""

    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._file = (name.filename() if isinstance(name, apsw.URIFilename) else name or "").rpartition("/")[
            2
        ]

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._disk.fails("write", self._file):
            raise apsw.IOError("injected")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.fails("sync", self._file):
            raise apsw.IOError("injected")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self._disk.fails("truncate", self._file):
            raise apsw.IOError("injected")
        super().xTruncate(size)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """A faulty disk, well until its `fault` is set."""
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.unregister()
