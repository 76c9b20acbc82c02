"""Deleting clear text from an SQLite ledger so that its bytes are overwritten, and the WAL emptied of older pages."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from purposegate.errors import LedgerOutage
from purposegate.ledger.sqlite_file import FULL, LOCK_WAIT_MS

TRUNCATE_TRIES = 20


def erase(path: Path, positions: Sequence[int], lowered: Mapping[tuple[bytes, int], int]) -> bool:
    """Delete payloads and lower counters in one transaction; whether the WAL is empty of them. Raises LedgerOutage.

    False means that readers keep the WAL; a later checkpoint empties it.
    """
    connection = _connect(path)
    try:
        with connection as db:
            db.executemany("DELETE FROM payload WHERE pos = ?", [(pos,) for pos in positions])
            db.executemany(
                "UPDATE counter SET n = n - ? WHERE tok = ? AND shard = ?",
                [(n, token, shard) for (token, shard), n in sorted(lowered.items())],
            )
            db.execute("DELETE FROM counter WHERE n <= 0")
        return _empty_wal(connection)
    except apsw.Error as error:
        raise LedgerOutage(f"the payloads are still there ({type(error).__name__}); ask again") from error
    finally:
        connection.close(True)


def _empty_wal(connection: apsw.Connection) -> bool:
    for _ in range(TRUNCATE_TRIES):
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            time.sleep(0.05)
        else:
            return True
    return False


def _connect(path: Path) -> apsw.Connection:
    """A connection that overwrites what it deletes and commits durably; only for payloads, which no head covers."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(LOCK_WAIT_MS)
        connection.transaction_mode = "IMMEDIATE"
        connection.pragma("synchronous", FULL)
        connection.pragma("secure_delete", 1)
    except apsw.Error as error:
        raise LedgerOutage(f"{path}: cannot be opened for writing: {type(error).__name__}") from error
    return connection
