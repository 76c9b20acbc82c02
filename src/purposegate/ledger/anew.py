"""Making durable what can be read: after a failed sync, a page may be readable and never reach the disk.

Linux keeps the page and calls it clean, so neither a later sync nor another process's writes it (what PostgreSQL calls
fsyncgate). Whoever builds on such pages loses, at the next power cut, all that was written behind them.
"""

import os
from pathlib import Path

import apsw

from purposegate.ledger.keys import sync_directory

PIECE = 1024 * 1024


def write_wal_anew(connection: apsw.Connection, path: Path) -> None:
    """Write a database's WAL over itself, byte by byte the same, and sync it and its name. Raises apsw.Error, OSError.

    The bytes become dirty again, so the sync means something. Done under the write lock: nobody appends meanwhile, and
    readers see the same bytes. A checkpoint would do as much, but waits for every reader, and a verification reads for long.
    The database's own pages need nothing: until their sync succeeds the WAL is kept, and is replayed over them.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        descriptor = os.open(path.with_name(path.name + "-wal"), os.O_RDWR | os.O_CLOEXEC)
        try:
            at = 0
            while piece := os.pread(descriptor, PIECE, at):
                at += os.pwrite(descriptor, piece, at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)
    finally:
        connection.execute("ROLLBACK")
