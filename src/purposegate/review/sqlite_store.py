"""The store of matters in an SQLite file beside the ledger, shared by the gate's processes on one machine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from purposegate.errors import Outage, SettingsError
from purposegate.reasons import Reason
from purposegate.review.store import Row

APPLICATION_ID = 0x50475256
VERSION = 1
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE matter (id TEXT PRIMARY KEY, kind TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL,
                     until INTEGER NOT NULL, kid INTEGER NOT NULL, nonce BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE party  (tok BLOB, at INTEGER, id TEXT, PRIMARY KEY (tok, at, id)) WITHOUT ROWID;
CREATE INDEX party_id ON party (id);
CREATE TABLE claim  (what TEXT PRIMARY KEY, by TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
"""
BUSY_MS = 5_000


class SqliteStore:
    """`store.Store` in one file of mode 0600."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises SettingsError for a file that is something else."""
        self._lock = Lock()
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(BUSY_MS)
            self._db.pragma("journal_mode", "wal")
            with self._writing():
                if self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                    self._db.execute(SCHEMA)
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
        except (apsw.Error, OSError, Outage) as error:
            raise SettingsError(
                f"{path}: cannot be used for reviews ({type(error).__name__}); `purposegate review rebuild` makes it again"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            self._db.close(True)
            raise SettingsError(
                f"{path}: not this release's file of reviews; move it away, `purposegate review rebuild` makes it again"
            )

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._lock, _outage():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, sql: str, *given: Any) -> list[Any]:
        with self._lock, _outage():
            return self._db.execute(sql, given).fetchall()

    def get(self, name: str) -> Row | None:
        """See `Store`."""
        rows = self._rows("SELECT id, kind, step, at, until, kid, nonce, body FROM matter WHERE id = ?", name)
        return Row(*rows[0]) if rows else None

    def put(self, row: Row) -> bool:
        """See `Store`."""
        with self._writing() as db:
            if row.step == 1:
                db.execute(
                    "INSERT INTO matter VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row[:-1]
                )
            else:
                db.execute(
                    "UPDATE matter SET step = ?, until = ?, kid = ?, nonce = ?, body = ?"
                    " WHERE id = ? AND kind = ? AND step = ?",
                    (row.step, row.until, row.kid, row.nonce, row.sealed, row.id, row.kind, row.step - 1),
                )
            if db.changes() != 1:
                return False
            db.execute("DELETE FROM party WHERE id = ?", (row.id,))
            db.executemany(
                "INSERT OR IGNORE INTO party VALUES (?, ?, ?)",
                [(token, row.at, row.id) for token in row.tokens],
            )
            return True

    def found(self, token: bytes, *, limit: int) -> Sequence[Row]:
        """See `Store`."""
        rows = self._rows(
            "SELECT m.id, m.kind, m.step, m.at, m.until, m.kid, m.nonce, m.body FROM party AS p"
            " JOIN matter AS m ON m.id = p.id WHERE p.tok = ? ORDER BY p.at DESC, p.id LIMIT ?",
            token,
            limit,
        )
        return [Row(*row) for row in rows]

    def claim(self, what: str, by: str, at: int) -> bool:
        """See `Store`."""
        with self._writing() as db:
            db.execute("INSERT INTO claim VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (what, by, at))
            return db.changes() == 1

    def unclaim(self, what: str, by: str) -> None:
        """See `Store`."""
        with self._writing() as db:
            db.execute("DELETE FROM claim WHERE what = ? AND by = ?", (what, by))

    def prune(self, before: int) -> None:
        """See `Store`."""
        with self._writing() as db:
            db.execute("DELETE FROM party WHERE id IN (SELECT id FROM matter WHERE until < ?)", (before,))
            db.execute("DELETE FROM matter WHERE until < ?", (before,))
            db.execute("DELETE FROM claim WHERE at < ?", (before,))

    def clear(self) -> None:
        """See `Store`."""
        with self._writing() as db:
            for table in ("matter", "party", "claim"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed words only

    def close(self) -> None:
        """See `Store`."""
        self._db.close(True)


@contextmanager
def _outage() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise Outage(Reason.GATE_FAULT, f"the file of reviews failed ({type(error).__name__})") from error
