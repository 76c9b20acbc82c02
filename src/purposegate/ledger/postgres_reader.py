"""Reading a PostgreSQL ledger for people: verify, query, export. Read-only, on a session of its own, by portions.

Any server that has the tables will do, so a standby too: then people's questions do not touch the one that lookups wait for.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from purposegate.errors import LedgerDamaged, LedgerOutage
from purposegate.ledger import postgres_session as session
from purposegate.ledger.growth import Tile
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.sqlite_file import MAX_INDEX, SHARD_SHIFT
from purposegate.ledger.sqlite_reader import ROWS
from purposegate.ledger.store import ORPHANS, Head, ShardRow, StoredEntry, kind_mark
from purposegate.ledger.subtrees import Subtrees

SCANNED = 65_536
"""Leaves that one statement looks through: well within its time limit on a slow disk."""
_DAMAGE = (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted, psycopg.errors.InternalError_)
"""What the server says of pages that it cannot read; everything else is an outage."""
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


class PostgresReader:
    """`store.Reader` over one database. Use from one thread. Raises LedgerDamaged for broken pages, LedgerOutage."""

    def __init__(self, address: Address) -> None:
        """Connect. Raises SettingsError for what is not a ledger's database."""
        self.address = address
        self._db = session.connect(address, "auditor", target_session_attrs="any")
        try:
            with self._outage():
                session.limit(self._db, statement_ms=session.SEARCH_WAIT_MS)
                self._db.execute("SET default_transaction_read_only = on")
                self.meta = session.recognised(self._db, address)
        except BaseException:
            self._db.close()
            raise

    @contextmanager
    def _outage(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise LedgerDamaged(f"{self.address}: a page cannot be read ({type(error).__name__})") from error
        except psycopg.Error as error:
            raise LedgerOutage(f"{self.address}: cannot be read ({type(error).__name__})") from error

    def _rows(self, query: LiteralString, parameters: Sequence[object] = ()) -> list[Any]:
        # In a savepoint, so that a broken page does not end the view that is held.
        with self._outage(), self._db.transaction():
            return self._db.execute(query, parameters, binary=True).fetchall()

    def hold(self) -> None:
        """Freeze the view: everything read afterwards is of one moment, whatever the writers do."""
        with self._outage():
            self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def shards(self) -> list[ShardRow]:
        """Every shard, by number."""
        rows = self._rows(
            "SELECT number, name, origin, vkey, size, root, frontier, epoch"
            " FROM shard JOIN head ON shard = number ORDER BY number"
        )
        return [
            ShardRow(number, name, origin, vkey, Head(*head)) for number, name, origin, vkey, *head in rows
        ]

    def entries(self, shard: int, start: int, stop: int) -> Iterator[StoredEntry]:
        """Entries [start, stop), in order; missing ones are left out."""
        base = shard << SHARD_SHIFT
        at, end = base + start, base + stop
        while at < end:
            try:
                found = self._entries(at, end)
                rows, following = iter(found), found[-1][0] + 1 if len(found) == ROWS else end
            except LedgerDamaged:  # go row by row, so that whoever counts knows which entry cannot be read
                following = min(at + ROWS, end)
                rows = (row for pos in range(at, following) for row in self._entries(pos, pos + 1))
            for pos, *rest in rows:
                yield StoredEntry(pos - base, *rest)
            at = following

    def _entries(self, low: int, high: int) -> list[Any]:
        return self._rows(
            "SELECT leaf.pos, data, h, kid, nonce, ct FROM leaf LEFT JOIN payload USING (pos)"
            " WHERE leaf.pos >= %s AND leaf.pos < %s ORDER BY leaf.pos LIMIT %s",
            (low, high, ROWS),
        )

    def strays(self) -> Iterator[tuple[str, int, int | None]]:
        """(table, shard number, index) of rows that belong to no entry of any head; index None: to no shard at all."""
        for table, query in ORPHANS.items():
            yield from ((table, number, None) for (number,) in self._rows(query, ()))
        ends = [
            (row.number << SHARD_SHIFT, (row.number << SHARD_SHIFT) + row.head.size) for row in self.shards()
        ]
        starts = [*(start - 1 for start, _ in ends), _HIGHEST]
        for low, high in zip([_LOWEST, *(end for _, end in ends)], starts, strict=True):
            for table, query in (
                ("leaf", "SELECT pos FROM leaf WHERE pos >= %s AND pos <= %s ORDER BY pos LIMIT %s"),
                ("payload", "SELECT pos FROM payload WHERE pos >= %s AND pos <= %s ORDER BY pos LIMIT %s"),
            ):
                for pos in self._positions(query, low, high):
                    yield table, pos >> SHARD_SHIFT, pos & MAX_INDEX

    def _positions(self, query: LiteralString, low: int, high: int) -> Iterator[int]:
        while low <= high:
            found = [pos for (pos,) in self._rows(query, (low, high, ROWS))]
            yield from found
            if len(found) < ROWS:
                return
            low = found[-1] + 1

    def tiles(self, shard: int) -> Iterator[Tile]:
        """Every stored tile, lowest level first."""
        at = (_LOWEST, _LOWEST)
        while rows := self._rows(
            "SELECT l, n, data FROM tile WHERE shard = %s AND (l, n) > (%s, %s) ORDER BY l, n LIMIT %s",
            (shard, *at, ROWS),
        ):
            yield from (Tile(*row) for row in rows)
            at = rows[-1][:2]

    def checkpoints(self, shard: int) -> list[tuple[int, bytes]]:
        """(size, note) of every signed head kept, by size, with the cosignature lines that it has."""
        notes = self._rows("SELECT size, note FROM ckpt WHERE shard = %s ORDER BY size", (shard,))
        lines = self._rows("SELECT size, line FROM cosig WHERE shard = %s ORDER BY size, keyname", (shard,))
        added: defaultdict[int, bytes] = defaultdict(bytes)
        for size, line in lines:
            added[size] += line.encode()
        return [(size, note + added[size]) for size, note in notes]

    def of_kind(self, kind: str) -> Iterator[tuple[int, int]]:
        """(shard number, index) of every entry whose leaf names this kind, by reading all leaves."""
        for row in self.shards():
            base = row.number << SHARD_SHIFT
            for first in range(base, base + row.head.size, SCANNED):
                for (pos,) in self._rows(
                    "SELECT pos FROM leaf WHERE pos >= %s AND pos < %s AND position(%s in data) > 0 ORDER BY pos",
                    (first, first + SCANNED, kind_mark(kind)),
                ):
                    yield row.number, pos - base

    def subtrees(self, shard: int) -> Subtrees:
        """Full subtrees of a shard: what proofs are made from."""
        base = shard << SHARD_SHIFT

        def leaves(first: int, count: int) -> list[bytes]:
            found = self._rows(
                "SELECT h FROM leaf WHERE pos >= %s AND pos < %s ORDER BY pos",
                (base + first, base + first + count),
            )
            return [each for (each,) in found]

        def tile(level: int, number: int) -> bytes | None:
            found = self._rows(
                "SELECT data FROM tile WHERE shard = %s AND l = %s AND n = %s", (shard, level, number)
            )
            return found[0][0] if found else None

        return Subtrees(leaves, tile)

    def cosigned(self, shard: int) -> int:
        """The largest size with a cosignature; 0 when there is none."""
        return self._number("SELECT max(size) FROM cosig WHERE shard = %s", (shard,))

    def signed_at(self, shard: int) -> int:
        """When the newest head was signed, POSIX seconds; 0 when none is kept."""
        return self._number("SELECT max(at) FROM ckpt WHERE shard = %s", (shard,))

    def size_bytes(self) -> int:
        """What the database takes on its server's disk."""
        return self._number("SELECT pg_database_size(current_database())")

    def _number(self, query: LiteralString, parameters: Sequence[object] = ()) -> int:
        return int(self._rows(query, parameters)[0][0] or 0)

    def is_held(self, shard: str) -> bool:
        """Whether a session, of whichever gate, holds the shard."""
        with self._outage():
            return session.holder(self._db, session.lock_key("shard", shard)) is not None

    def counters(self) -> Iterator[tuple[int, bytes, int]]:
        """(shard, token, n) of every counter, by token and shard."""
        token, shard = b"", _LOWEST
        while rows := self._rows(
            "SELECT shard, tok, n FROM counter WHERE (tok, shard) > (%s, %s) ORDER BY tok, shard LIMIT %s",
            (token, shard, ROWS),
        ):
            yield from rows
            shard, token, _ = rows[-1]

    def close(self) -> None:
        """End the session. Idempotent."""
        self._db.close()
