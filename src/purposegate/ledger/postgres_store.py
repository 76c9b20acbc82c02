"""The store on a PostgreSQL server, for any number of gates, through psycopg 3: the same rows as in SQLite.

One connection writes; another, opened again when it breaks, reads counters and hashes. The shard is held by a session's
advisory lock, which the server drops with the session: so a new session that has the lock knows that no transaction of the
old one can still arrive. Correctness does not rest on it: that is the compare-and-set of the head row.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, LiteralString

import psycopg
from psycopg.errors import Diagnostic, LockNotAvailable

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import postgres_heads as heads
from purposegate.ledger import postgres_session as session
from purposegate.ledger.merkle import EMPTY_ROOT, Frontier
from purposegate.ledger.note import LogKey
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.sqlite_file import SHARD_SHIFT
from purposegate.ledger.store import Batch, Head, StoreBusyError, StoreForkedError
from purposegate.ledger.subtrees import Subtrees

# The safety of the log is in `moved`: without its row nothing of the statement is written, whichever session runs it.
_COMMIT = """
WITH moved AS (
  UPDATE head SET size = %(size)b, root = %(root)b, frontier = %(frontier)b
   WHERE shard = %(shard)b AND size = %(seen_size)b AND root = %(seen_root)b AND epoch = %(seen_epoch)b
  RETURNING shard
), leaves AS (
  INSERT INTO leaf SELECT %(first)b::bigint + n - 1, data, h
    FROM moved, unnest(%(leaf)b::bytea[], %(hash)b::bytea[]) WITH ORDINALITY AS e (data, h, n)
), payloads AS (
  INSERT INTO payload SELECT %(first)b::bigint + n - 1, kid, nonce, ct
    FROM moved, unnest(%(kid)b::bigint[], %(nonce)b::bytea[], %(sealed)b::bytea[]) WITH ORDINALITY AS e (kid, nonce, ct, n)
), counters AS (
  INSERT INTO counter SELECT tok, shard, n
    FROM moved, unnest(%(token)b::bytea[], %(raised)b::bigint[]) AS e (tok, n)
  ON CONFLICT (tok, shard) DO UPDATE SET n = counter.n + excluded.n
), tiles AS (
  INSERT INTO tile SELECT shard, l, n, data
    FROM moved, unnest(%(level)b::bigint[], %(number)b::bigint[], %(tile)b::bytea[]) AS e (l, n, data)
)
SELECT name, current_setting(name) FROM moved, unnest(%(durable)b::text[]) AS name
"""
_REREAD = "SELECT data FROM leaf WHERE pos >= %b AND pos < %b ORDER BY pos"


class CommitUnsureError(Exception):
    """COMMIT returned with a warning: written on this server, and not on the standby that it should have reached."""


class PostgresStore:
    """`store.Store` over one database. The writing connection belongs to one thread at a time."""

    is_remote = True

    def __init__(self, address: Address) -> None:
        """Connect. Raises SettingsError for what is not a ledger's database, LedgerOutage; changes nothing."""
        self.address = address
        self._shard = -1
        self._held = 0
        self._holder: session.Holder | None = None
        self._closed = False
        self._warnings: list[str] = []
        self._reading = Lock()
        self._reader: psycopg.Connection[Any] | None = None
        self.subtrees = Subtrees(self._leaves, self._tile)
        self._writer = self._open_writer()
        try:
            with self._outage("its ledger cannot be read"):
                self.meta = session.recognised(self._writer, address)
        except BaseException:
            self._writer.close()
            raise

    def _open_writer(self) -> psycopg.Connection[Any]:
        connection = session.connect(self.address, "writer")
        try:
            with self._outage("no session to write in"):
                session.limit(connection)
                session.make_durable(connection, self.address)
        except BaseException:
            connection.close()
            raise
        connection.add_notice_handler(self._notice)
        return connection

    def _notice(self, notice: Diagnostic) -> None:
        self._warnings.append(notice.sqlstate or "")

    @contextmanager
    def _outage(self, what: str) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, StoreForkedError, CommitUnsureError) as error:
            raise LedgerOutage(f"{self.address}: {what} ({type(error).__name__})") from error

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """BEGIN, then as `_committing`."""
        self._writer.execute("BEGIN", prepare=False)
        with self._committing():
            yield self._writer

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """COMMIT, which counts only if the server says so and has nothing to add; ROLLBACK when the body raises."""
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error):  # without a connection there is no transaction either
                self._writer.execute("ROLLBACK", prepare=False)
            raise
        self._warnings.clear()
        done = self._writer.execute("COMMIT", prepare=False).statusmessage
        # A warning may be that of "canceling the wait for synchronous replication".
        if done != "COMMIT" or self._warnings:
            raise CommitUnsureError(f"{done} {' '.join(self._warnings)}")

    def found(self, meta: dict[str, bytes]) -> dict[str, bytes]:
        """Make a new, empty ledger's meta rows unless another gate was first. Returns the rows there are. LedgerOutage."""
        with self._outage("a ledger cannot be begun"), self._transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (session.lock_key("founding"),))
            if not db.execute("SELECT FROM meta WHERE name = 'origin'").fetchall():
                rows = list(meta.items())
                with db.cursor() as cursor:
                    cursor.executemany("INSERT INTO meta VALUES (%s, %b)", rows)
            self.meta = session.recognised(db, self.address)
        return self.meta

    def hold(self, names: Sequence[str]) -> str | None:
        """Take the first of these shards that no session holds, until this one ends. Raises LedgerOutage."""
        with self._outage("no shard can be locked"):
            for name in names:
                key = session.lock_key("shard", name)
                if self._writer.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchall() == [(True,)]:
                    self._held = key
                    self._holder = session.holder(self._writer, key)
                    return name
        return None

    def seek(self, shard: str) -> Head | None:
        """The shard's head, or None where the store lacks it; see `store.Store`. Raises LedgerOutage."""
        with self._outage(f"shard {shard} cannot be read"):
            rows = self._writer.execute("SELECT number FROM shard WHERE name = %s", (shard,)).fetchall()
            self._shard = rows[0][0] if rows else -1
            self.subtrees = Subtrees(self._leaves, self._tile)
            return self.head() if rows else None

    def enter(self, shard: str, key: LogKey) -> Head:
        """Take the shard; see `store.Store`. Raises LedgerOutage, SettingsError."""
        with self._outage(f"shard {shard} cannot be taken"), self._transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (session.lock_key("founding"),))
            db.execute(
                "INSERT INTO shard SELECT coalesce(max(number), 0) + 1, %s, %s, %s FROM shard"
                " ON CONFLICT (name) DO NOTHING",
                (shard, key.name, str(key)),
            )
            ((number, known),) = db.execute(
                "SELECT number, vkey FROM shard WHERE name = %s", (shard,)
            ).fetchall()
            if known != str(key):
                raise SettingsError(
                    f"{self.address}: shard {shard} was begun under another origin or signer file"
                )
            db.execute(
                "INSERT INTO head VALUES (%s, 0, %b, %b, 0) ON CONFLICT DO NOTHING",
                (number, EMPTY_ROOT, Frontier().to_bytes()),
            )
            db.execute("UPDATE head SET epoch = epoch + 1 WHERE shard = %s", (number,))
        self._shard = number
        return self.head()

    def head(self) -> Head:
        """The committed head row."""
        found = self._writer.execute(
            "SELECT size, root, frontier, epoch FROM head WHERE shard = %s", (self._shard,), binary=True
        ).fetchall()
        if not found:
            raise StoreForkedError("the shard's head row is gone")
        return Head(*found[0])

    def commit(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        """Write the batch; see `store.Store`. Two round trips: everything with its re-reading, and COMMIT."""
        try:
            with self._committing():
                self._write(batch, recheck)
        except LockNotAvailable as error:
            raise StoreBusyError(
                f"{self.address}: another session held the head for {session.LOCK_WAIT_MS} ms"
            ) from error

    def _write(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        db, first = self._writer, (self._shard << SHARD_SHIFT) + batch.seen.size
        with db.pipeline():
            db.execute("BEGIN", prepare=False)
            moved = db.execute(_COMMIT, self._parameters(batch, first))
            again = db.execute(_REREAD, (first, first + len(batch.entries)), binary=True)
        settings = moved.fetchall()
        if not settings:
            raise StoreForkedError(
                f"{self.address}: the head is not where this writer left it, at {batch.seen.size}"
            )
        session.require_durable(dict(settings), self.address)
        recheck([leaf for (leaf,) in again.fetchall()])

    def _parameters(self, batch: Batch, first: int) -> dict[str, Any]:
        seen, after, entries = batch.seen, batch.after, batch.entries
        return {
            "shard": self._shard,
            "first": first,
            "size": after.size,
            "root": after.root,
            "frontier": after.frontier,
            "seen_size": seen.size,
            "seen_root": seen.root,
            "seen_epoch": seen.epoch,
            "leaf": [each.leaf for each in entries],
            "hash": [each.leaf_hash for each in entries],
            "kid": [each.kid for each in entries],
            "nonce": [each.nonce for each in entries],
            "sealed": [each.sealed for each in entries],
            "token": [token for token, _ in batch.raised],
            "raised": [n for _, n in batch.raised],
            "level": [tile.level for tile in batch.tiles],
            "number": [tile.number for tile in batch.tiles],
            "tile": [tile.hashes for tile in batch.tiles],
            "durable": list(session.NEEDED),
        }

    def keep(self, size: int, note: bytes, at_s: int) -> None:
        """Keep a signed head; see `store.Store`."""
        with self._keeping() as db:
            heads.keep(db, self._shard, size, note, at_s)

    def keep_cosigned(self, size: int, note: bytes, at_s: int, keyname: str, line: str) -> None:
        """Keep a witness's line; see `store.Store`."""
        with self._keeping() as db:
            heads.keep_cosigned(db, self._shard, size, note, at_s, keyname=keyname, line=line)

    @contextmanager
    def _keeping(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._transaction() as db:
                yield db
        except LockNotAvailable as error:
            raise StoreBusyError(f"{self.address}: another session held the signed heads") from error

    def kept(self) -> bytes:
        """The largest signed head kept, or nothing; see `store.Store`."""
        return heads.kept(self._writer, self._shard)

    def cosigned(self) -> list[tuple[bytes, str]]:
        """What each witness cosigned last; see `store.Store`."""
        return heads.cosigned(self._writer, self._shard)

    def reopen(self) -> None:
        """Open a new session, end the old one at the server, and make durable what can be read; see `store.Store`.

        The old session may still hold a COMMIT that the network kept: with its lock it is gone. The update is a commit of
        its own: when it returns, everything before it in the server's log is as durable as it is, standbys included.
        Raises LedgerOutage, CommitUnsureError, psycopg.Error.
        """
        self._writer.close()
        self._writer = self._open_writer()
        self._require_same(self._writer)
        if self._held:
            self._take_back()
        with self._transaction() as db:
            db.execute("UPDATE head SET epoch = epoch WHERE shard = %s", (self._shard,))

    def _require_same(self, connection: psycopg.Connection[Any]) -> None:
        """Return if this is the ledger that was opened. Raises LedgerOutage: it may come back."""
        try:
            found = session.recognised(connection, self.address)
        except SettingsError as error:
            raise LedgerOutage(str(error)) from error
        if any(found.get(name) != self.meta.get(name) for name in ("origin", "signer")):
            raise LedgerOutage(f"{self.address}: another ledger answers there now")

    def _take_back(self) -> None:
        """Hold the shard's lock in the new session. The last one of ours that held it is ended if it lingers, no other."""
        holder = session.holder(self._writer, self._held)
        if holder is not None and holder == self._holder:
            self._writer.execute("SELECT pg_terminate_backend(%s, %s)", (holder.pid, session.LOCK_WAIT_MS))
        self._writer.execute("SELECT pg_advisory_lock(%s)", (self._held,))
        self._holder = session.holder(self._writer, self._held)

    # What other threads read

    def _leaves(self, first: int, count: int) -> list[bytes]:
        start = (self._shard << SHARD_SHIFT) + first
        found = self._read(
            "SELECT h FROM leaf WHERE pos >= %b AND pos < %b ORDER BY pos", (start, start + count)
        )
        return [each for (each,) in found]

    def _tile(self, level: int, number: int) -> bytes | None:
        found = self._read(
            "SELECT data FROM tile WHERE shard = %b AND l = %b AND n = %b", (self._shard, level, number)
        )
        return found[0][0] if found else None

    def counts(self, tokens: Sequence[bytes]) -> list[tuple[int, int]]:
        """How high each token stands, in all and without this shard's part. Waits for the network. Raises LedgerOutage."""
        with self._outage("counters cannot be read"):
            rows = self._read(
                "SELECT tok, sum(n)::bigint, coalesce(sum(n) FILTER (WHERE shard != %b), 0)::bigint"
                " FROM counter WHERE tok = ANY(%b::bytea[]) GROUP BY tok",
                (self._shard, list(tokens)),
            )
        found = {token: (total, elsewhere) for token, total, elsewhere in rows}
        return [found.get(token, (0, 0)) for token in tokens]

    def _read(self, query: LiteralString, parameters: Sequence[object]) -> list[Any]:
        """Rows, from a session of this store's own; opened again if it broke since, since reading twice harms nothing."""
        with self._reading:
            if self._reader is not None:
                try:
                    return self._reader.execute(query, parameters, binary=True).fetchall()
                except psycopg.OperationalError:
                    if not self._reader.closed:
                        raise
            self._reader = self._open_reader()
            return self._reader.execute(query, parameters, binary=True).fetchall()

    def _open_reader(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise LedgerOutage("the ledger is closed")
        connection = session.connect(self.address, "reader")
        try:
            session.limit(connection, statement_ms=session.READ_WAIT_MS)
            self._require_same(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """End both sessions, and with them the shard's lock. Idempotent."""
        self._closed = True
        with self._reading:
            if self._reader is not None:
                self._reader.close()
        self._writer.close()
