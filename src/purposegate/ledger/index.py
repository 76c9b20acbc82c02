"""The search index: a file of keyed tokens derived from the ledger, which anybody with the key can build again.

It lies beside the database (`<path>.index`), not in it: searching then never touches the file that lookups wait for. A row
that is missing from it hides nothing: the leaf is still there, and `compare` names it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from purposegate.errors import EvidenceMalformed, LedgerOutage, SettingsError
from purposegate.ledger.entry import Payload, read_leaf, read_payload
from purposegate.ledger.keys import Cipher, KeyRing
from purposegate.ledger.place import Lock
from purposegate.ledger.sqlite_file import MAX_INDEX, SHARD_SHIFT
from purposegate.ledger.store import Reader, ShardRow, StoredEntry
from purposegate.ledger.terms import Found, Term, terms_of
from purposegate.ledger.verdict import Progress

APPLICATION_ID = 0x50474C32
VERSION = 2
BATCH = 2_048
BLOCK_SHIFT = 12
"""4,096 positions share a row that says between which times they lie: clocks go back, so an entry's place is not its time."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE done  (shard INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE entry (pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, released INTEGER NOT NULL);
CREATE TABLE block (n INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL);
CREATE TABLE term  (kind INTEGER, tok BLOB, pos INTEGER, PRIMARY KEY (kind, tok, pos)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What to look for: all that is given must hold. Times are UTC; `since` is included, `until` is not."""

    terms: Sequence[Found] = ()
    since: datetime | None = None
    until: datetime | None = None
    kind: str = ""
    released: bool | None = None
    limit: int = 100


class Hit(NamedTuple):
    """One entry found."""

    shard: int
    number: int


class Difference(NamedTuple):
    """One row that the index has too many (`missing` False) or too few. Of a block the first entry is named."""

    shard: int
    number: int
    missing: bool


_BEFORE, _AFTER = -(1 << 63), (1 << 63) - 1


def microseconds(at: datetime) -> int:
    """POSIX microseconds."""
    return int(at.astimezone(UTC).timestamp() * 1_000_000)


class Opener:
    """Opens payloads of a ledger's shards."""

    def __init__(self, ring: KeyRing, shards: Sequence[ShardRow]) -> None:
        self._ciphers = {row.number: Cipher(ring, row.origin) for row in shards}

    def payload(self, shard: int, entry: StoredEntry) -> Payload | None:
        """What an entry's payload says, or None where it was erased or does not open: verify says which."""
        if entry.sealed is None or entry.kid is None or entry.nonce is None:
            return None
        try:
            clear = self._ciphers[shard].open(
                entry.sealed, index=entry.index, kid=entry.kid, nonce=entry.nonce
            )
            return read_payload(clear)
        except (EvidenceMalformed, KeyError):
            return None


class Index:
    """One index file. Use from one thread; `catch_up` also from one process at a time."""

    def __init__(self, path: Path, reader: Reader, ring: KeyRing) -> None:
        """Open or make the index file. Raises SettingsError for a file that is something else."""
        self._path = path
        self._reader = reader
        self._ring = ring
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(5_000)
            if self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                with self._db:
                    self._db.execute(SCHEMA)
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", 1)  # derived: what a power cut takes is derived again
        except apsw.Error as error:
            raise SettingsError(
                f"{path}: cannot be used as a search index; delete it, it can be built again"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            raise SettingsError(f"{path}: not this release's search index; delete it, it can be built again")

    def catch_up(self, progress: Progress | None = None) -> int:
        """Index what the ledger holds and the index does not yet; returns how many entries. Raises LedgerOutage."""
        with _only_one(self._path):
            shards = self._reader.shards()
            opener = Opener(self._ring, shards)
            known: list[Any] = self._db.execute("SELECT shard, size FROM done").fetchall()
            ends: dict[int, int] = dict(known)
            starts = {row.number: ends.get(row.number, 0) for row in shards}
            total = sum(row.head.size - starts[row.number] for row in shards)
            done = 0
            for row in shards:
                for first in range(starts[row.number], row.head.size, BATCH):
                    stop = min(first + BATCH, row.head.size)
                    self._take(row.number, opener, first, stop)
                    done += stop - first
                    if progress:
                        progress(done, total)
            return total

    def _take(self, shard: int, opener: Opener, first: int, stop: int) -> None:
        entries: list[tuple[int, int, str, int]] = []
        terms: list[tuple[int, bytes, int]] = []
        for stored in self._reader.entries(shard, first, stop):
            with suppress(
                EvidenceMalformed
            ):  # a leaf that is none: verify names it, nobody can search for it
                leaf = read_leaf(stored.leaf)
                pos = (shard << SHARD_SHIFT) + stored.index
                entries.append((pos, microseconds(leaf.at), leaf.kind, leaf.released))
                payload = opener.payload(shard, stored)
                fields, rows = (payload.fields, payload.rows) if payload else ({}, ())
                terms += [
                    (each.term, self.token(each), pos) for each in terms_of(leaf.lookup_id, fields, rows)
                ]
        terms.sort()  # in the order of the tree that they go into
        with self._db as db:
            db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", entries)
            db.executemany(
                "INSERT INTO block VALUES (?1, ?2, ?2) ON CONFLICT (n) DO UPDATE"
                " SET earliest = min(earliest, ?2), latest = max(latest, ?2)",
                [(pos >> BLOCK_SHIFT, at) for pos, at, _, _ in entries],
            )
            db.executemany("INSERT OR IGNORE INTO term VALUES (?, ?, ?)", terms)
            db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (shard, stop))

    def token(self, found: Found) -> bytes:
        """What a term is called in the file."""
        return self._ring.term(found.term.name, found.parts)

    def search(self, criteria: Criteria) -> list[Hit]:
        """The newest entries that meet all criteria, newest first, at most `limit` of them."""
        shards: list[Any] = self._db.execute("SELECT shard FROM done").fetchall()
        found: list[tuple[int, int]] = []
        for (shard,) in shards:
            found += self._in_shard(shard, criteria)
        found.sort(reverse=True)
        return [Hit(pos >> SHARD_SHIFT, pos & MAX_INDEX) for _, pos in found[: criteria.limit]]

    def _in_shard(self, shard: int, criteria: Criteria) -> list[tuple[int, int]]:
        """The newest of one shard, as (time, position)."""
        first, *others = criteria.terms or (None,)
        if first is None:
            source, where, bound = "entry AS e", ["e.pos >= ?", "e.pos < ?"], self._span(shard, criteria)
        else:  # CROSS JOIN keeps the term in front: its rows come in order of position, so LIMIT ends the search
            source = "term AS t CROSS JOIN entry AS e ON e.pos = t.pos"
            where = ["t.pos >= ?", "t.pos < ?", "t.kind = ?", "t.tok = ?"]
            bound = [*self._span(shard, criteria), first.term, self.token(first)]
        for each in others:
            where.append("EXISTS (SELECT 1 FROM term AS o WHERE o.kind = ? AND o.tok = ? AND o.pos = e.pos)")
            bound += [each.term, self.token(each)]
        for clause, value in (
            ("e.at >= ?", criteria.since and microseconds(criteria.since)),
            ("e.at < ?", criteria.until and microseconds(criteria.until)),
            ("e.kind = ?", criteria.kind or None),
            ("e.released = ?", criteria.released),
        ):
            if value is not None:
                where.append(clause)
                bound.append(value)
        rows: list[Any] = self._db.execute(
            f"SELECT e.at, e.pos FROM {source} WHERE {' AND '.join(where)}"  # noqa: S608  # fixed words only
            f" ORDER BY {'e' if first is None else 't'}.pos DESC LIMIT ?",
            (*bound, criteria.limit),
        ).fetchall()
        return rows

    def _span(self, shard: int, criteria: Criteria) -> list[Any]:
        """The positions among which the wanted times lie: from the first block that reaches them to the last one."""
        base = shard << SHARD_SHIFT
        size: Any = self._db.execute("SELECT size FROM done WHERE shard = ?", (shard,)).get
        low, high = base, base + size
        if criteria.since or criteria.until:
            since = microseconds(criteria.since) if criteria.since else _BEFORE
            until = microseconds(criteria.until) if criteria.until else _AFTER
            bound = (low >> BLOCK_SHIFT, high >> BLOCK_SHIFT, since, until)
            where = "FROM block WHERE n >= ? AND n <= ? AND latest >= ? AND earliest < ? ORDER BY n"
            first: Any = self._db.execute(f"SELECT n {where} LIMIT 1", bound).get
            if first is None:
                return [low, low]
            last: Any = self._db.execute(f"SELECT n {where} DESC LIMIT 1", bound).get
            low, high = max(low, first << BLOCK_SHIFT), min(high, (last + 1) << BLOCK_SHIFT)
        return [low, high]

    def compare(self, scratch: Path, progress: Progress | None = None) -> list[Difference]:
        """Build the index again in `scratch` and name the entries where the two differ, at most 1,000 of each kind.

        The reader must hold its view, or entries appended meanwhile would differ.
        """
        self.catch_up()
        twin = Index(scratch, self._reader, self._ring)
        twin.catch_up(progress)
        twin.close()
        self._db.execute("ATTACH ? AS twin", (str(scratch),))
        try:
            return [
                Difference(pos >> SHARD_SHIFT, pos & MAX_INDEX, missing)
                for table, place in (("term", "pos"), ("entry", "pos"), ("block", f"n << {BLOCK_SHIFT}"))
                for here, there, missing in (("main", "twin", False), ("twin", "main", True))
                for pos in self._surplus(table, place, here, there)
            ]
        finally:
            self._db.execute("DETACH twin")

    def _surplus(self, table: str, place: str, here: str, there: str) -> list[int]:
        rows: list[Any] = self._db.execute(
            f"SELECT DISTINCT {place} AS pos FROM (SELECT * FROM {here}.{table}"  # noqa: S608  # fixed words only
            f" EXCEPT SELECT * FROM {there}.{table}) ORDER BY pos LIMIT 1000"
        ).fetchall()
        return [pos for (pos,) in rows]

    def forget(self, shard: int, number: int, terms: Iterable[Found]) -> None:
        """Take an erased entry's terms out, but that of its lookup, which stands in the leaf."""
        pos = (shard << SHARD_SHIFT) + number
        gone = [(each.term, self.token(each), pos) for each in terms if each.term is not Term.LOOKUP]
        with self._db as db:
            db.executemany("DELETE FROM term WHERE kind = ? AND tok = ? AND pos = ?", gone)

    def close(self) -> None:
        """Let go. Idempotent."""
        self._db.close(True)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    try:
        lock = Lock(path.with_name(path.name + ".lock"))
    except BlockingIOError as error:
        raise LedgerOutage(f"{path}: another process is indexing; ask again when it is done") from error
    try:
        yield
    finally:
        lock.release()
