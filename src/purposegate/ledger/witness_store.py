"""What a witness remembers: for each log the last head it cosigned, and heads that did not continue it.

Losing this file would let every log start again from nothing, so it is made once, together with the key, and a
witness never starts without it. SQLite through apsw, one connection, durable before `advance` returns.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import apsw

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.keys import sync_directory
from purposegate.ledger.merkle import EMPTY_ROOT
from purposegate.ledger.place import Lock as FileLock
from purposegate.ledger.place import require_local
from purposegate.ledger.sqlite_file import FULL, LOCK_WAIT_MS, OLDEST_SQLITE

APPLICATION_ID = 0x50475731
"""`PGW1`: a witness's file is never taken for a ledger, nor the other way round."""
SCHEMA_VERSION = 1
MAX_REFUSED = 1_000
"""Heads kept of each log and kind: the first few already make the case, and nobody may fill the disk."""

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE witness (one INTEGER PRIMARY KEY CHECK (one = 1), vkey TEXT NOT NULL) STRICT;
CREATE TABLE seen    (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
                      note BLOB NOT NULL, cosigned_at_s INTEGER NOT NULL) STRICT;
CREATE TABLE refused (origin TEXT, kind TEXT, note BLOB, seen BLOB NOT NULL, at_s INTEGER NOT NULL,
                      PRIMARY KEY (origin, kind, note)) STRICT;
"""

_SETTINGS = (("trusted_schema", 0), ("synchronous", FULL), ("fullfsync", 1), ("checkpoint_fullfsync", 1))


class Seen(NamedTuple):
    """The last head cosigned. `note` is empty and `cosigned_at_s` 0 before the first."""

    size: int
    root: bytes
    note: bytes
    cosigned_at_s: int


class Refused(NamedTuple):
    """A signed head that did not continue the one `seen`: `two-roots` for one size, or `unproved`."""

    kind: str
    note: bytes
    seen: bytes
    at_s: int


class WitnessStore:
    """An open state file, held by one process. Any thread; one call at a time reaches the disk."""

    def __init__(self, path: Path, *, vkey: str, origins: Iterable[str], vfs: str = "") -> None:
        """Open the file that `create` made for this key, ready for these logs.

        `vfs` names an SQLite VFS, for faulty disks. Raises SettingsError, LedgerOutage.
        """
        if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
            raise SettingsError("this SQLite can lose committed writes; install apsw >= 3.54.1")
        require_local(path.absolute().parent)
        self.path = path
        self._vkey = vkey
        self._vfs = vfs
        self._calls = Lock()
        try:
            self._held = FileLock(path.with_name(path.name + ".lock"))
        except BlockingIOError as error:
            raise LedgerOutage(f"{path}: another witness runs on this state; stop it first") from error
        except OSError as error:
            raise SettingsError(f"{path}: its folder cannot be written: {error.strerror}") from error
        try:
            self._db = self._open()
            self._know(origins)
        except BaseException:
            self._held.release()
            raise

    @staticmethod
    def create(path: Path, *, vkey: str) -> None:
        """Make an empty state file for this key: whole and durable, or not there. Never overwrites."""
        require_local(path.absolute().parent)
        draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            draft.unlink(missing_ok=True)  # of a crash in a process of the same number, as containers have
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            try:
                _fill(draft, vkey)
                os.link(draft, path)
            finally:
                draft.unlink()
            sync_directory(path.absolute().parent)
        except FileExistsError as error:
            raise SettingsError(f"{path}: there is a witness's state already; nothing was changed") from error
        except (apsw.Error, OSError) as error:
            raise LedgerOutage(f"{path}: the state file cannot be made: {type(error).__name__}") from error

    def _open(self) -> apsw.Connection:
        try:
            db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs or None)
        except apsw.CantOpenError as error:
            raise SettingsError(
                f"{self.path}: no state file; restore it, or make another witness with --new-key: one that lost its"
                " memory would cosign a rewritten log"
            ) from error
        try:
            db.set_busy_timeout(LOCK_WAIT_MS)
            db.transaction_mode = "IMMEDIATE"
            for name, value in _SETTINGS:
                db.pragma(name, value)
            self._accept(db)
            # After a failed sync the kernel may show pages that the disk never got; this writes them again.
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.NotADBError as error:
            _drop(db)
            raise SettingsError(f"{self.path}: this is not a witness's state; nothing was changed") from error
        except apsw.Error as error:
            _drop(db)
            raise LedgerOutage(f"{self.path}: cannot be opened: {type(error).__name__}") from error
        except BaseException:
            _drop(db)
            raise
        return db

    def _accept(self, db: apsw.Connection) -> None:
        if db.pragma("application_id") != APPLICATION_ID:
            raise SettingsError(f"{self.path}: this is not a witness's state; nothing was changed")
        if db.pragma("user_version") != SCHEMA_VERSION:
            raise SettingsError(f"{self.path}: made by another release; use the one that made it")
        if (db.pragma("journal_mode"), db.pragma("synchronous")) != ("wal", FULL):
            raise LedgerOutage(f"{self.path}: want WAL and synchronous FULL")
        if db.execute("SELECT vkey FROM witness").get != self._vkey:
            raise SettingsError(f"{self.path}: this state belongs to another witness key")

    def _know(self, origins: Iterable[str]) -> None:
        for origin in origins:
            self._run(
                "INSERT INTO seen VALUES (?, 0, ?, x'', 0) ON CONFLICT DO NOTHING", (origin, EMPTY_ROOT)
            )

    def seen(self, origin: str) -> Seen | None:
        """The last head cosigned for a log, or None for a log never configured. Raises LedgerOutage."""
        rows = self._run("SELECT size, root, note, cosigned_at_s FROM seen WHERE origin = ?", (origin,))
        return Seen(*rows[0]) if rows else None

    def advance(self, seen: Seen, checkpoint: Checkpoint, note: bytes, now_s: int) -> int | None:
        """Replace the head that was `seen` by one proved to continue it; the time of the cosignature to make.

        None when the head is another by now. Durable on return. POSIX seconds, which never run backwards from one
        cosignature of a log to the next, in whatever order the requests looked at the clock. Raises LedgerOutage:
        then the new head may or may not be there, and no cosignature may be made.
        """
        # Not a transaction around reading and writing: the safety is visible in this one statement.
        rows = self._run(
            "UPDATE seen SET size = ?, root = ?, note = ?, cosigned_at_s = max(cosigned_at_s, ?)"
            " WHERE origin = ? AND size = ? AND root = ? RETURNING cosigned_at_s",
            (checkpoint.size, checkpoint.root, note, now_s, checkpoint.origin, seen.size, seen.root),
        )
        return int(rows[0][0]) if rows else None

    def keep_refused(self, origin: str, kind: str, note: bytes, now_s: int) -> None:
        """Keep a signed head that did not continue the one seen, beside that one. Idempotent, bounded, durable."""
        self._run(
            "INSERT INTO refused SELECT origin, ?1, ?2, note, ?3 FROM seen WHERE origin = ?4 AND ?5 >"
            " (SELECT count(*) FROM refused r WHERE r.origin = ?4 AND r.kind = ?1) ON CONFLICT DO NOTHING",
            (kind, note, now_s, origin, MAX_REFUSED),
        )

    def refused(self, origin: str) -> list[Refused]:
        """What `keep_refused` kept of a log, oldest first."""
        rows = self._run(
            "SELECT kind, note, seen, at_s FROM refused WHERE origin = ? ORDER BY at_s, kind, note", (origin,)
        )
        return [Refused(*row) for row in rows]

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._calls:
            try:
                return self._db.execute(statement, values).fetchall()
            except apsw.Error as error:
                # The outcome is unknown, and what this connection reads next would prove nothing.
                _drop(self._db)
                self._db = self._open()
                raise LedgerOutage(f"{self.path}: the state failed: {type(error).__name__}") from error

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._calls:
            _drop(self._db)
            self._held.release()


def read_state(path: Path) -> tuple[str, dict[str, Seen], list[tuple[str, Refused]]]:
    """The key, the last head of each log, and the refused heads with their logs; also while a witness runs on it.

    Raises SettingsError, LedgerOutage.
    """
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            if db.pragma("application_id") != APPLICATION_ID:
                raise SettingsError(f"{path}: this is not a witness's state")
            vkey = db.execute("SELECT vkey FROM witness").get
            seen: list[Any] = db.execute(
                "SELECT origin, size, root, note, cosigned_at_s FROM seen ORDER BY origin"
            ).fetchall()
            refused: list[Any] = db.execute(
                "SELECT origin, kind, note, seen, at_s FROM refused ORDER BY at_s, origin, kind, note"
            ).fetchall()
        finally:
            _drop(db)
    except (apsw.CantOpenError, apsw.NotADBError) as error:
        raise SettingsError(f"{path}: this is not a witness's state") from error
    except apsw.Error as error:
        raise LedgerOutage(f"{path}: cannot be read: {type(error).__name__}") from error
    return (
        str(vkey),
        {origin: Seen(*row) for origin, *row in seen},
        [(origin, Refused(*row)) for origin, *row in refused],
    )


def _drop(db: apsw.Connection) -> None:
    with suppress(
        apsw.Error
    ):  # the last checkpoint may fail as the disk does; its frames stay in the log file
        db.close(True)


def _fill(draft: Path, vkey: str) -> None:
    db = apsw.Connection(str(draft))
    try:
        db.pragma("synchronous", FULL)
        with db:
            db.execute(_SCHEMA)
            db.execute("INSERT INTO witness VALUES (1, ?)", (vkey,))
        db.pragma("journal_mode", "wal")
    finally:
        db.close()
