"""Purpose sessions in an SQLite file beside the ledger, shared by the worker processes of one machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from purposegate.errors import Outage, SettingsError
from purposegate.purposes.session import Row
from purposegate.reasons import Reason

APPLICATION_ID = 0x50474443
VERSION = 1
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE session (
  token BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner BLOB NOT NULL, until INTEGER NOT NULL, sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_owner ON session (owner, until);
CREATE INDEX session_until ON session (until);
"""
BUSY_MS = 5_000
ONE = "SELECT id, token, owner, until, sealed FROM session WHERE token = ?"
HELD = "SELECT id, token, owner, until, sealed FROM session WHERE owner = ? AND until > ? ORDER BY until DESC, id"


class SqliteSessions:
    """Implements `session.Store`. Two connections: a reader, that never waits for a writer (WAL), and a writer."""

    is_near = True

    def __init__(self, path: Path) -> None:
        """Open or make the file, mode 0600. Raises `SettingsError` for a file that is something else."""
        self._lock, self._reading = Lock(), Lock()
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._writer = self._connected(path)
            with self._writing() as db:
                if not db.pragma("application_id") and not db.pragma("schema_version"):
                    db.execute(SCHEMA)
            known = (self._writer.pragma("application_id"), self._writer.pragma("user_version"))
            self._reader = self._connected(path)
        except (apsw.Error, OSError, Outage) as error:
            raise SettingsError(
                f"{path}: cannot hold declarations ({type(error).__name__}); move it away, and they are made again"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            self.close()
            raise SettingsError(f"{path}: not this release's file of declarations; move it away")

    @staticmethod
    def _connected(path: Path) -> apsw.Connection:
        db = apsw.Connection(str(path))
        db.set_busy_timeout(BUSY_MS)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")  # a session ended stays ended through a power cut
        db.pragma("secure_delete", 1)
        return db

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._lock, _outage():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def put(self, row: Row, *, now: int, most: int) -> bool:
        """See `Store`."""
        with self._writing() as db:
            db.execute("DELETE FROM session WHERE until <= ?", (now,))
            held = db.execute("SELECT count(*) FROM session WHERE owner = ?", (row.owner,)).get
            if held >= most:
                return False
            db.execute(
                "INSERT INTO session (id, token, owner, until, sealed) VALUES (?, ?, ?, ?, ?)", tuple(row)
            )
            return True

    def get(self, token: bytes) -> Row | None:
        """See `Store`."""
        with self._reading, _outage():
            rows = self._reader.execute(ONE, (token,)).fetchall()
            return _row(rows[0]) if rows else None

    def held_by(self, owner: bytes, *, now: int) -> tuple[Row, ...]:
        """See `Store`."""
        with self._reading, _outage():
            rows = self._reader.execute(HELD, (owner, now)).fetchall()
            return tuple(map(_row, rows))

    def end(self, name: str, owner: bytes) -> bool:
        """See `Store`."""
        with self._writing() as db:
            db.execute("DELETE FROM session WHERE id = ? AND owner = ?", (name, owner))
            return db.changes() == 1

    def close(self) -> None:
        """See `Store`."""
        for name in ("_reader", "_writer"):
            if (connection := getattr(self, name, None)) is not None:
                connection.close(True)


def _row(columns: Any) -> Row:
    return Row(*columns)


@contextmanager
def _outage() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise Outage(
            Reason.FACTS_UNAVAILABLE, f"the store of declarations: {type(error).__name__}"
        ) from error
