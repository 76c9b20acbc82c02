"""The shipped copy of the ledger: that it is one, that it is whole, and that it continues the copy before it.

The watcher never opens the serving database. A copy may lag; it may not be altered, be shorter than one read before, or
tell another history.
"""

import fcntl
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from purposegate.errors import SettingsError
from purposegate.ledger.merkle import frontier_at
from purposegate.ledger.place import Lock
from purposegate.ledger.policy import Policy
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verdict import INTACT, Evidence
from purposegate.ledger.verify import verify_file

_LOCK_BYTES = (0x40000000, 512)
"""Where SQLite locks a database file (sqlite.org/fileformat2.html, the lock-byte page)."""
_FLOCK = "hhqqi4x"


class CopyRefused(SettingsError):
    """The copy cannot be read as what it should be; nothing of it was matched."""

    remedy = "Ship a fresh copy of the whole ledger (docs/watcher.md), and keep this one: it may be evidence."


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far one shard was read: `root` is the RFC 6962 root over its first `size` entries."""

    vkey: str
    size: int
    root: bytes


def require_shipped(path: Path) -> None:
    """Return if nobody writes or reads this file and nothing of the serving directory lies beside it. Raises CopyRefused."""
    if not path.is_file():
        raise CopyRefused(f"{path}: no such file; name a shipped copy of the ledger")
    if path.with_name(path.name + ".signer").exists():
        raise CopyRefused(
            f"{path}: a signer's secret lies beside it: this is the serving directory, or the secret was shipped"
        )
    for lock in path.parent.glob(path.name + "*.lock"):
        try:
            Lock(lock).release()
        except (BlockingIOError, PermissionError) as error:
            raise CopyRefused(f"{path}: a running process holds this ledger; it is not a copy") from error
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise CopyRefused(
            f"{path}: a write-ahead log lies beside it: in use, or a plain copy of a file in use"
        )
    if _is_open(path):
        raise CopyRefused(
            f"{path}: another process has this file open; name a copy that only the watcher reads"
        )


def _is_open(path: Path) -> bool:
    """Whether SQLite anywhere on this machine has the file open in WAL mode, by the locks it then holds. Linux only."""
    ask = getattr(fcntl, "F_OFD_GETLK", None)
    if ask is None:
        return False
    start, length = _LOCK_BYTES
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer = fcntl.fcntl(
            descriptor, ask, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        )
    finally:
        os.close(descriptor)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def require_whole(path: Path, key_file: Path, before: Mapping[str, Position], policy: Policy | None) -> None:
    """Return if the copy verifies from end to end, payloads included, under the logs' keys. Raises CopyRefused.

    The keys are those of the policy, or else those of the first copy that was read.
    """
    trusted = {str(log.key) for log in policy.logs} if policy else None
    report = verify_file(path, Evidence(key_file=key_file, keys=trusted, policy=policy))
    if report.exit_code != INTACT:
        raise CopyRefused(f"{path}: the copy does not verify:\n{report.text()}")
    reader = SqliteReader(path)
    try:
        continues(reader, before)
    finally:
        reader.close()


def continues(reader: SqliteReader, before: Mapping[str, Position]) -> dict[str, Position]:
    """The copy's positions, if it continues those before. Raises CopyRefused where it is shorter or another history."""
    rows = {row.name: row for row in reader.shards()}
    for name, known in before.items():
        row = rows.get(name)
        if row is None or row.head.size < known.size:
            found = row.head.size if row else 0
            raise CopyRefused(f"{name}: the copy has {found} entries, and {known.size} were read before")
        if (
            row.vkey != known.vkey
            or frontier_at(known.size, reader.subtrees(row.number)).root() != known.root
        ):
            raise CopyRefused(f"{name}: the copy tells another history of the first {known.size} entries")
    return {
        name: Position(vkey=row.vkey, size=row.head.size, root=row.head.root) for name, row in rows.items()
    }
