"""The embedded store: one SQLite file in WAL mode with synchronous FULL, through apsw.

One connection writes and checkpoints; readers have their own, read-only. Rows of all shards stand in the same tables, under a
position: shard number times 2**40 plus index.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.anew import write_wal_anew
from purposegate.ledger.merkle import EMPTY_ROOT, Frontier
from purposegate.ledger.note import LogKey
from purposegate.ledger.sqlite_file import (
    LOCK_WAIT_MS,
    OLDEST_SQLITE,
    SHARD_SHIFT,
    connect,
    make_durable,
    open_reader,
)
from purposegate.ledger.store import (
    Batch,
    Head,
    StoreBusyError,
    StoreForkedError,
)
from purposegate.ledger.subtrees import Subtrees

MINUTE_S = 60
COUNTED_AT_ONCE = 8_192
"""Tokens in one statement; SQLite binds at most 32,766 values."""

SUPERSEDED = """
DELETE FROM cosig WHERE shard = :shard AND size < :size
AND size IN (SELECT size FROM ckpt WHERE shard = :shard AND at / 60 = :minute)
AND NOT EXISTS (SELECT 1 FROM cosig AS other WHERE other.shard = :shard AND other.size = cosig.size
                AND other.keyname NOT IN (SELECT keyname FROM cosig WHERE shard = :shard AND size = :size))
"""
"""Older cosignatures of one minute, whose witnesses have all cosigned the newer head too: some 1,400 a day remain."""


class SqliteStore:
    """`store.Store` over one file. The writing connection belongs to one thread at a time; `counts` has its own."""

    is_remote = False

    def __init__(self, path: Path, *, vfs: str = "") -> None:
        """Open an existing ledger. Raises SettingsError or LedgerOutage; a file that is refused is not changed."""
        if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
            raise SettingsError(
                f"SQLite {apsw.sqlite_lib_version()} can lose committed writes; install apsw >= 3.54.1"
            )
        self.path = path
        self._vfs = vfs
        self._shard = -1
        self._reading = Lock()
        self.subtrees = Subtrees(self._leaves, self._tile)
        self._reader, self.meta = open_reader(path, vfs=vfs)
        try:
            self._writer = self._open_writer()
        except BaseException:
            self._reader.close()
            raise

    def _open_writer(self) -> apsw.Connection:
        try:
            connection = connect(self.path, apsw.SQLITE_OPEN_READWRITE, self._vfs)
        except apsw.Error as error:
            raise LedgerOutage(
                f"{self.path}: cannot be opened for writing: {type(error).__name__}"
            ) from error
        try:
            make_durable(connection, self.path)
            write_wal_anew(connection, self.path)  # another process may have died on a failed sync
        except (apsw.Error, OSError) as error:
            connection.close(True)
            raise LedgerOutage(f"{self.path}: cannot be written: {type(error).__name__}") from error
        except BaseException:
            connection.close(True)
            raise
        return connection

    def seek(self, shard: str) -> Head | None:
        """The shard's head, or None where the store lacks it; see `store.Store`. Raises LedgerOutage."""
        try:
            number = self._writer.execute("SELECT number FROM shard WHERE name = ?", (shard,)).get
            self._shard = -1 if number is None else number
            self.subtrees = Subtrees(self._leaves, self._tile)
            return None if number is None else self.head()
        except (apsw.Error, StoreForkedError) as error:
            raise LedgerOutage(
                f"{self.path}: shard {shard} cannot be read: {type(error).__name__}"
            ) from error

    def enter(self, shard: str, key: LogKey) -> Head:
        """Take the shard; see `store.Store`. Raises LedgerOutage."""
        db = self._writer
        try:
            with db:
                db.execute(
                    "INSERT INTO shard (name, origin, vkey) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    (shard, key.name, str(key)),
                )
                number, known = db.execute("SELECT number, vkey FROM shard WHERE name = ?", (shard,)).get
                db.execute(
                    "INSERT INTO head VALUES (?, 0, ?, ?, 0) ON CONFLICT DO NOTHING",
                    (number, EMPTY_ROOT, Frontier().to_bytes()),
                )
                db.execute("UPDATE head SET epoch = epoch + 1 WHERE shard = ?", (number,))
        except apsw.Error as error:
            raise LedgerOutage(
                f"{self.path}: shard {shard} cannot be taken: {type(error).__name__}"
            ) from error
        if known != str(key):
            raise SettingsError(f"{self.path}: shard {shard} was begun under another origin or signer file")
        self._shard = number
        return self.head()

    def head(self) -> Head:
        """The committed head row."""
        return _head(self._writer, self._shard)

    def commit(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        """Write the batch; see `store.Store`. Few, wide statements: each one gives up the interpreter's lock."""
        db = self._writer
        try:
            db.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            raise StoreBusyError(
                f"{self.path}: another worker held the store for {LOCK_WAIT_MS} ms"
            ) from error
        try:
            self._write(batch, recheck)
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _write(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        db, seen, after = self._writer, batch.seen, batch.after
        # The safety of the log is in this statement, whichever connection or process runs it.
        db.execute(
            "UPDATE head SET size = ?, root = ?, frontier = ? WHERE shard = ? AND size = ? AND root = ? AND epoch = ?",
            (after.size, after.root, after.frontier, self._shard, seen.size, seen.root, seen.epoch),
        )
        if db.changes() != 1:
            raise StoreForkedError(f"{self.path}: the head is not where this writer left it, at {seen.size}")
        first = (self._shard << SHARD_SHIFT) + seen.size
        rows = list(enumerate(batch.entries, first))
        _insert(db, "leaf", [(pos, each.leaf, each.leaf_hash) for pos, each in rows])
        _insert(db, "payload", [(pos, each.kid, each.nonce, each.sealed) for pos, each in rows])
        _insert(
            db,
            "counter",
            [(token, self._shard, n) for token, n in batch.raised],
            "ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )
        _insert(db, "tile", [(self._shard, *tile) for tile in batch.tiles])
        again = db.execute(
            "SELECT data FROM leaf WHERE pos BETWEEN ? AND ? ORDER BY pos", (first, rows[-1][0])
        )
        recheck([leaf for (leaf,) in again])

    def _leaves(self, first: int, count: int) -> list[bytes]:
        start = (self._shard << SHARD_SHIFT) + first
        with self._reading:
            found = self._reader.execute(
                "SELECT h FROM leaf WHERE pos >= ? AND pos < ? ORDER BY pos", (start, start + count)
            )
            return [each for (each,) in found]

    def _tile(self, level: int, number: int) -> bytes | None:
        with self._reading:
            found: bytes | None = self._reader.execute(
                "SELECT data FROM tile WHERE shard = ? AND l = ? AND n = ?", (self._shard, level, number)
            ).get
        return found

    def keep(self, size: int, note: bytes, at_s: int) -> None:
        """Keep a signed head; see `store.Store`."""
        with self._writer as db:
            before = db.execute(
                "SELECT size, at FROM ckpt WHERE shard = ? AND size < ? ORDER BY size DESC LIMIT 1",
                (self._shard, size),
            ).get
            db.execute("INSERT OR REPLACE INTO ckpt VALUES (?, ?, ?, ?)", (self._shard, size, at_s, note))
            if before and before[1] // MINUTE_S == at_s // MINUTE_S:
                db.execute(
                    "DELETE FROM ckpt WHERE shard = ?1 AND size = ?2"
                    " AND NOT EXISTS (SELECT 1 FROM cosig WHERE shard = ?1 AND size = ?2)",
                    (self._shard, before[0]),
                )

    def keep_cosigned(self, size: int, note: bytes, at_s: int, keyname: str, line: str) -> None:
        """Keep a witness's line; see `store.Store`."""
        with self._writer as db:
            db.execute("INSERT OR IGNORE INTO ckpt VALUES (?, ?, ?, ?)", (self._shard, size, at_s, note))
            db.execute("INSERT OR REPLACE INTO cosig VALUES (?, ?, ?, ?)", (self._shard, size, keyname, line))
            db.execute(SUPERSEDED, {"shard": self._shard, "size": size, "minute": at_s // MINUTE_S})
            db.execute(
                "DELETE FROM ckpt WHERE shard = ?1 AND size < ?2 AND at / 60 = ?3"
                " AND NOT EXISTS (SELECT 1 FROM cosig WHERE cosig.shard = ?1 AND cosig.size = ckpt.size)",
                (self._shard, size, at_s // MINUTE_S),
            )

    def cosigned(self) -> list[tuple[bytes, str]]:
        """What each witness cosigned last; see `store.Store`."""
        rows: list[Any] = self._writer.execute(
            "SELECT note, line FROM cosig JOIN ckpt USING (shard, size) JOIN"
            " (SELECT keyname, max(size) AS size FROM cosig WHERE shard = ?1 GROUP BY keyname)"
            " USING (keyname, size) WHERE shard = ?1",
            (self._shard,),
        ).fetchall()
        return rows

    def kept(self) -> bytes:
        """The largest signed head kept, or nothing; see `store.Store`."""
        found: bytes | None = self._writer.execute(
            "SELECT note FROM ckpt WHERE shard = ? ORDER BY size DESC LIMIT 1", (self._shard,)
        ).get
        return found or b""

    def counts(self, tokens: Sequence[bytes]) -> list[tuple[int, int]]:
        """How high each token stands, in all and without this shard's part, from one reading. Raises LedgerOutage."""
        found: dict[bytes, tuple[int, int]] = {}
        try:
            with self._reading:
                for at in range(0, len(tokens), COUNTED_AT_ONCE):
                    asked = tokens[at : at + COUNTED_AT_ONCE]
                    # Few widths of statement, so that each stays prepared; the filling asks for one token again.
                    width = 1 << (len(asked) - 1).bit_length()
                    bound = (self._shard, *asked, *([asked[0]] * (width - len(asked))))
                    for token, total, own in self._reader.execute(_counting(width), bound):
                        found[token] = (total, total - own)
        except apsw.Error as error:
            raise LedgerOutage(f"{self.path}: counters cannot be read: {type(error).__name__}") from error
        return [found.get(token, (0, 0)) for token in tokens]

    def reopen(self) -> None:
        """Open a new connection and make durable what it reads; see `store.Store`. Raises LedgerOutage."""
        self._writer.close(True)
        self._writer = self._open_writer()

    def close(self) -> None:
        """Close both connections. Idempotent."""
        self._reader.close(True)
        with suppress(apsw.Error):  # folding the WAL away may fail; every acknowledged entry is synced in it
            self._writer.close(True)


@cache
def _counting(width: int) -> str:
    places = ",".join("?" * width)
    return (
        "SELECT tok, sum(n), sum(CASE WHEN shard = ? THEN n ELSE 0 END) FROM counter"  # noqa: S608  # fixed words only
        f" WHERE tok IN ({places}) GROUP BY tok"
    )


def _head(db: apsw.Connection, shard: int) -> Head:
    row = db.execute("SELECT size, root, frontier, epoch FROM head WHERE shard = ?", (shard,)).get
    if row is None:
        raise StoreForkedError("the shard's head row is gone")
    return Head(*row)


def _insert(db: apsw.Connection, table: str, rows: Sequence[tuple[object, ...]], clause: str = "") -> None:
    """Insert rows in statements of 2**k rows each: a handful of statement texts, all kept prepared."""
    at = 0
    while at < len(rows):
        take = 1 << min((len(rows) - at).bit_length() - 1, 8)
        values = ",".join(["(" + ",".join("?" * len(rows[at])) + ")"] * take)
        flat = [value for row in rows[at : at + take] for value in row]
        db.execute(f"INSERT INTO {table} VALUES {values} {clause}", flat)  # noqa: S608  # fixed words only
        at += take
