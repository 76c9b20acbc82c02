"""Reading an SQLite ledger for people: verify, query, export. Read-only, on a connection of its own."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw

from purposegate.errors import LedgerDamaged
from purposegate.ledger.growth import Tile
from purposegate.ledger.sqlite_file import MAX_INDEX, SHARD_SHIFT, open_reader
from purposegate.ledger.store import ORPHANS, Head, ShardRow, StoredEntry, kind_mark
from purposegate.ledger.subtrees import Subtrees

ROWS = 1_024
"""Entries fetched at a time: some 3 MiB, so that memory stays flat however long the log is."""


def _require(table: str, rows: Iterable[tuple[Any, ...]], types: tuple[type, ...]) -> None:
    """Return if the rows hold values of these types: SQLite keeps any type in any column. Raises LedgerDamaged."""
    if any(tuple(map(type, row)) != types for row in rows):
        raise LedgerDamaged(f"a {table} row holds a value of another type than was written")


class SqliteReader:
    """`store.Reader` over one file. Use from one thread. Raises apsw.Error where the file itself is damaged."""

    def __init__(self, path: Path) -> None:
        """Open read-only. Raises SettingsError for what is not a ledger, LedgerOutage for what cannot be opened."""
        self._db, self.meta = open_reader(path)

    def hold(self) -> None:
        """Freeze the view: everything read afterwards is of one moment, whatever the writer does."""
        self._db.execute("BEGIN")

    def shards(self) -> list[ShardRow]:
        """Every shard, by number."""
        rows: list[Any] = self._db.execute(
            "SELECT number, name, origin, vkey, size, root, frontier, epoch"
            " FROM shard JOIN head ON shard = number ORDER BY number"
        ).fetchall()
        _require("shard", rows, (int, str, str, str, int, bytes, bytes, int))
        found = [
            ShardRow(number, name, origin, vkey, Head(*head)) for number, name, origin, vkey, *head in rows
        ]
        if any(not 0 <= row.head.size <= MAX_INDEX for row in found):
            raise LedgerDamaged("a head row names a size that no shard can have")
        return found

    def entries(self, shard: int, start: int, stop: int) -> Iterator[StoredEntry]:
        """Entries [start, stop), in order; missing ones are left out."""
        base = shard << SHARD_SHIFT
        at, end = base + start, base + stop
        while at < end:
            rows: Iterable[tuple[Any, ...]]
            try:
                found = self._rows(at, end)
                rows, following = found, found[-1][0] + 1 if len(found) == ROWS else end
            except apsw.Error:  # go row by row, so that whoever counts knows which entry cannot be read
                following = min(at + ROWS, end)
                rows = (row for pos in range(at, following) for row in self._rows(pos, pos + 1))
            for pos, *rest in rows:
                yield StoredEntry(pos - base, *rest)
            at = following

    def _rows(self, low: int, high: int) -> list[Any]:
        return self._db.execute(
            "SELECT leaf.pos, data, h, kid, nonce, ct FROM leaf LEFT JOIN payload USING (pos)"
            " WHERE leaf.pos >= ? AND leaf.pos < ? ORDER BY leaf.pos LIMIT ?",
            (low, high, ROWS),
        ).fetchall()

    def of_kind(self, kind: str) -> Iterator[tuple[int, int]]:
        """(shard number, index) of every entry whose leaf names this kind, by reading all leaves."""
        found: Iterator[Any] = self._db.execute(
            "SELECT pos FROM leaf WHERE instr(data, ?) ORDER BY pos", (kind_mark(kind),)
        )
        return iter([(pos >> SHARD_SHIFT, pos & MAX_INDEX) for (pos,) in found])

    def subtrees(self, shard: int) -> Subtrees:
        """Full subtrees of a shard: what proofs are made from."""
        base = shard << SHARD_SHIFT

        def leaves(first: int, count: int) -> list[bytes]:
            rows: list[Any] = self._db.execute(
                "SELECT h FROM leaf WHERE pos >= ? AND pos < ? ORDER BY pos",
                (base + first, base + first + count),
            ).fetchall()
            _require("leaf", rows, (bytes,))
            return [each for (each,) in rows]

        def tile(level: int, number: int) -> bytes | None:
            found: bytes | None = self._db.execute(
                "SELECT data FROM tile WHERE shard = ? AND l = ? AND n = ?", (shard, level, number)
            ).get
            return found

        return Subtrees(leaves, tile)

    def strays(self) -> Iterator[tuple[str, int, int | None]]:
        """(table, shard number, index) of rows that belong to no entry of any head; index None: to no shard at all."""
        for table, query in ORPHANS.items():
            yield from ((table, number, None) for (number,) in self._db.execute(query))
        ends = [
            (row.number << SHARD_SHIFT, (row.number << SHARD_SHIFT) + row.head.size) for row in self.shards()
        ]
        starts = [*(start for start, _ in ends), 1 << 63]
        gaps = zip([-(1 << 63), *(end for _, end in ends)], starts, strict=True)
        for low, high in gaps:
            for table in ("leaf", "payload"):
                found = self._db.execute(
                    f"SELECT pos FROM {table} WHERE pos >= ? AND pos <= ?",  # noqa: S608  # fixed words only
                    (low, high - 1),
                )
                yield from ((table, pos >> SHARD_SHIFT, pos & MAX_INDEX) for (pos,) in found)

    def tiles(self, shard: int) -> Iterator[Tile]:
        """Every stored tile, lowest level first."""
        rows: Iterator[Any] = self._db.execute(
            "SELECT l, n, data FROM tile WHERE shard = ? ORDER BY l, n", (shard,)
        )
        for row in rows:
            _require("tile", [row[:2]], (int, int))
            yield Tile(*row)

    def checkpoints(self, shard: int) -> list[tuple[int, bytes]]:
        """(size, note) of every signed head kept, by size, with the cosignature lines that it has."""
        notes: list[Any] = self._db.execute(
            "SELECT size, note FROM ckpt WHERE shard = ? ORDER BY size", (shard,)
        ).fetchall()
        lines: list[Any] = self._db.execute(
            "SELECT size, line FROM cosig WHERE shard = ? ORDER BY size, keyname", (shard,)
        ).fetchall()
        _require("ckpt", notes, (int, bytes))
        _require("cosig", lines, (int, str))
        added: defaultdict[int, bytes] = defaultdict(bytes)
        for size, line in lines:
            added[size] += line.encode()
        return [(size, note + added[size]) for size, note in notes]

    def cosigned(self, shard: int) -> int:
        """The largest size with a cosignature; 0 when there is none."""
        found: Any = self._db.execute("SELECT max(size) FROM cosig WHERE shard = ?", (shard,)).get
        return found or 0

    def signed_at(self, shard: int) -> int:
        """When the newest head was signed, POSIX seconds; 0 when none is kept."""
        found: Any = self._db.execute("SELECT max(at) FROM ckpt WHERE shard = ?", (shard,)).get or 0
        _require("ckpt", [(found,)], (int,))
        return int(found)

    def counters(self) -> Iterator[tuple[int, bytes, int]]:
        """(shard, token, n) of every counter, by token and shard."""
        rows: Iterator[Any] = self._db.execute("SELECT shard, tok, n FROM counter ORDER BY tok, shard")
        for row in rows:
            _require("counter", [row], (int, bytes, int))
            yield row

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._db.close(True)
