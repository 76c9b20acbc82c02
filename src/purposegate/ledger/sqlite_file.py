"""A ledger's SQLite file: its schema, how it is made, recognised and opened.

apsw, because it bundles its own SQLite: the one Python links may lose committed writes (sqlite.org/wal.html#walresetbug,
3.7.0 to 3.51.2).
"""

import os
from pathlib import Path
from typing import Any

import apsw

from purposegate.errors import LedgerDamaged, LedgerOutage, SettingsError
from purposegate.ledger.keys import sync_directory

APPLICATION_ID = 0x50474C31
"""`PGL1` in the file's header, so that another program's database is never taken for a ledger."""
SCHEMA_VERSION = 1
SHARD_SHIFT = 40
MAX_INDEX = (1 << SHARD_SHIFT) - 1
FULL = 2
"""PRAGMA synchronous = FULL: one fdatasync a commit in WAL mode. NORMAL has none and loses acknowledged entries."""
OLDEST_SQLITE = 3_051_003
"""The first 3.51 without the WAL-reset bug."""
LOCK_WAIT_MS = 5_000
"""Longest wait for another worker's transaction; a group commit takes about one, so this is an outage."""
CHECKPOINT_PAGES = 4_000
"""How much WAL gathers before the writer folds it into the file: fewer, longer pauses than SQLite's 1,000."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE meta    (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE shard   (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, vkey TEXT NOT NULL);
CREATE TABLE head    (shard INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
                      frontier BLOB NOT NULL, epoch INTEGER NOT NULL);
CREATE TABLE leaf    (pos INTEGER PRIMARY KEY, data BLOB NOT NULL, h BLOB NOT NULL);
CREATE TABLE payload (pos INTEGER PRIMARY KEY, kid INTEGER NOT NULL, nonce BLOB NOT NULL, ct BLOB NOT NULL);
CREATE TABLE tile    (shard INTEGER, l INTEGER, n INTEGER, data BLOB NOT NULL, PRIMARY KEY (shard, l, n)) WITHOUT ROWID;
CREATE TABLE counter (tok BLOB, shard INTEGER, n INTEGER NOT NULL, PRIMARY KEY (tok, shard)) WITHOUT ROWID;
CREATE TABLE ckpt    (shard INTEGER, size INTEGER, at INTEGER NOT NULL, note BLOB NOT NULL,
                      PRIMARY KEY (shard, size)) WITHOUT ROWID;
CREATE TABLE cosig   (shard INTEGER, size INTEGER, keyname TEXT, line TEXT NOT NULL,
                      PRIMARY KEY (shard, size, keyname)) WITHOUT ROWID;
""" + "".join(
    f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
    for table in ("leaf", "tile")
    for verb in ("UPDATE", "DELETE")
)
"""The triggers stop accidents, not insiders: those are shown by verify and by the witness."""


def create_file(path: Path, meta: dict[str, bytes], *, vfs: str = "") -> None:
    """Make a new, empty ledger file: whole and durable under its name, or not there at all. Never overwrites.

    It is made under another name in the rollback journal's mode, so that its header is in the file itself when it
    appears. Raises LedgerOutage.
    """
    draft = path.with_name(f".{path.name}.new")
    for leftover in (draft, draft.with_name(draft.name + "-journal"), draft.with_name(draft.name + "-wal")):
        leftover.unlink(missing_ok=True)
    try:
        connection = apsw.Connection(str(draft), vfs=vfs or None)
        try:
            connection.pragma("page_size", 8192)
            connection.pragma("synchronous", FULL)
            with connection:
                connection.execute(SCHEMA)
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.pragma("journal_mode", "wal")
        finally:
            connection.close()
        draft.chmod(0o600)
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.link(draft, path)
        draft.unlink()
        sync_directory(path.parent)
    except (apsw.Error, OSError) as error:
        raise LedgerOutage(f"{path}: the ledger's file could not be made: {type(error).__name__}") from error


def connect(path: Path | str, flags: int, vfs: str) -> apsw.Connection:
    """A connection with what every one of them needs set. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs or None)
    connection.set_busy_timeout(LOCK_WAIT_MS)
    connection.setlk_timeout(LOCK_WAIT_MS, 0)
    connection.transaction_mode = "IMMEDIATE"
    for name, value in (
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("secure_delete", 1),
        ("mmap_size", 0),
    ):
        connection.pragma(name, value)
    return connection


def _accept(connection: apsw.Connection, path: Path) -> dict[str, bytes]:
    """The file's meta rows, if it is a ledger of this version. Raises SettingsError; writes nothing."""
    try:
        application = connection.pragma("application_id")
        version = connection.pragma("user_version")
        if application != APPLICATION_ID:
            raise SettingsError(f"{path}: this is not a ledger; name another file, nothing was changed")
        if version != SCHEMA_VERSION:
            raise SettingsError(
                f"{path}: schema {version}, and this purposegate knows {SCHEMA_VERSION}; use the release that wrote it"
            )
        rows: list[Any] = connection.execute("SELECT name, value FROM meta").fetchall()
        if any((type(name), type(value)) != (str, bytes) for name, value in rows):
            raise LedgerDamaged(f"{path}: a meta row holds a value of another type than was written")
        meta: dict[str, bytes] = dict(rows)
        meta.get("origin", b"").decode()
    except UnicodeDecodeError as error:
        raise LedgerDamaged(f"{path}: the ledger's origin is no text") from error
    except apsw.NotADBError as error:
        raise SettingsError(
            f"{path}: this is not a ledger; name another file, nothing was changed"
        ) from error
    except apsw.CorruptError as error:
        raise LedgerDamaged(f"{path}: the database's structure is broken or cut short") from error
    except apsw.Error as error:
        raise LedgerOutage(f"{path}: the ledger cannot be read: {type(error).__name__}") from error
    return meta


def _name_for_reading(path: Path) -> str:
    """What SQLite calls the file: a copy on a read-only medium, closed before it was taken, may be read without a WAL.

    A ledger that serves always has its WAL beside it, and then SQLite needs to write there even for reading.
    """
    wal = path.with_name(path.name + "-wal")
    sealed = not wal.exists() and not os.access(path.parent, os.W_OK)
    return f"{path.absolute().as_uri()}?immutable=1" if sealed else str(path.absolute())


def open_reader(path: Path, *, vfs: str = "") -> tuple[apsw.Connection, dict[str, bytes]]:
    """A read-only connection and the meta rows. Raises SettingsError for what is not a ledger, LedgerOutage."""
    try:
        connection = connect(_name_for_reading(path), apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs)
    except apsw.Error as error:
        raise LedgerOutage(f"{path}: the ledger cannot be opened: {type(error).__name__}") from error
    try:
        return connection, _accept(connection, path)
    except BaseException:
        connection.close()
        raise


def make_durable(connection: apsw.Connection, path: Path) -> None:
    """Set what durability needs and read it back. Raises LedgerOutage, or apsw.Error where the file cannot be written."""
    connection.pragma("synchronous", FULL)
    connection.pragma("fullfsync", 1)  # macOS: fsync alone stops at the drive's cache there
    connection.pragma("checkpoint_fullfsync", 1)
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)
    mode, level = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if (mode, level) != ("wal", FULL):
        raise LedgerOutage(f"{path}: want WAL and synchronous FULL, have {mode} and {level}")
    with connection:  # a read-only file or directory shows itself here, not at the first lookup
        connection.execute("UPDATE meta SET value = value WHERE name = 'origin'")
