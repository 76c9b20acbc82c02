"""The register in an SQLite file. Readers go on beside one writer (WAL); a commit is on the disk when it returns."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from purposegate.conflicts.register_sql import ARRANGE, OFFERED, SCHEMA, RegisterBrokenError
from purposegate.errors import SettingsError

APPLICATION_ID = 0x50475234
VERSION = 1
TYPES = {"blob": "BLOB", "integer": "INTEGER", "clustered": " WITHOUT ROWID", "temporary": "TEMP"}
WAIT_MS = 5_000
PAGE_BYTES = 8192
"""A bucket of 30 entries is about 20 KB: fewer and larger pages are read in fewer steps."""
CACHE_KIB = 8_192
IMPORT_CACHE_KIB = 262_144


class SqliteConnection:
    """One connection to the file. Use from one thread at a time."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open the file, or make it. Raises SettingsError for a missing file or another program's."""
        self.name = str(path)
        try:
            if create and not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._db = apsw.Connection(self.name, flags=apsw.SQLITE_OPEN_READWRITE)
            self._db.set_busy_timeout(WAIT_MS)
            if create and self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                self._make()
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
            if known == (APPLICATION_ID, VERSION):
                self._db.pragma("journal_mode", "wal")
                self._db.pragma("synchronous", 2)
                self._db.pragma("secure_delete", 1)
                self._db.pragma("cache_size", -CACHE_KIB)
        except (apsw.Error, OSError) as error:
            raise SettingsError(
                f"{path}: cannot be used as a register ({type(error).__name__}); `purposegate conflicts import` makes one"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            raise SettingsError(f"{path}: not a register of this release; name another file")

    def _make(self) -> None:
        self._db.pragma("page_size", PAGE_BYTES)
        with self._db as db:
            db.execute(SCHEMA.format(**TYPES))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """See `Connection`."""
        try:
            return self._db.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise RegisterBrokenError(type(error).__name__) from error

    def offering(self, offered: Iterable[Sequence[Any]], statement: str) -> None:
        """See `Connection`."""
        try:
            self._db.pragma("cache_size", -IMPORT_CACHE_KIB)
            with self._db as db:  # of the temporary database alone: no other writer waits for it
                db.execute("DROP TABLE IF EXISTS temp.offered")
                db.execute(OFFERED.format(**TYPES))
                db.executemany(statement, offered)
                db.execute(ARRANGE)
        except apsw.Error as error:
            raise RegisterBrokenError(type(error).__name__) from error

    def begin(self) -> None:
        """See `Connection`."""
        self.rows("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """See `Connection`."""
        self.rows("COMMIT")

    def rollback(self) -> None:
        """See `Connection`."""
        if self._db.in_transaction:
            with suppress(RegisterBrokenError):  # SQLite may have rolled back by itself, for a full disk
                self.rows("ROLLBACK")

    def close(self) -> None:
        """See `Connection`."""
        self._db.close(True)
