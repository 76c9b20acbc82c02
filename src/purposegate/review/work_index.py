"""The work list's own file: which rows the ledger's entries make, by keyed tokens and places, and what became of each.

It lies beside the ledger's key (`<path>.worklist`), as the search index does, and holds no personal data: whom a row is about,
and why, is read in the ledger whenever it is shown. What was read before is remembered, so that a list is a matter of the new
entries alone. Everything in it comes from entries, dispositions too, so it can be deleted at any time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from purposegate.errors import EvidenceMalformed, LedgerOutage, SettingsError
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.place import Lock
from purposegate.ledger.store import Reader
from purposegate.ledger.verdict import Progress
from purposegate.model import EntryKind
from purposegate.review.bodies import Body, subject_of, text_of
from purposegate.review.raised import Raised, raised, settled
from purposegate.review.terms import Terms

APPLICATION_ID = 0x50475257
VERSION = 1
SHARD_SHIFT = 40
MAX_INDEX = (1 << SHARD_SHIFT) - 1
BATCH = 2_048
FURTHER = 5.0
"""What each further lookup adds to a group's weight, up to ten of them: who keeps coming back is looked at first."""
MOST_FURTHER = 10

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE done   (shard INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE item   (pos INTEGER, n INTEGER, at INTEGER NOT NULL, who BLOB NOT NULL, about BLOB NOT NULL, score REAL NOT NULL,
                     due INTEGER NOT NULL, waits BLOB NOT NULL, named INTEGER NOT NULL, PRIMARY KEY (pos, n)) WITHOUT ROWID;
CREATE INDEX item_about ON item (who, about);
CREATE TABLE alias  (record BLOB PRIMARY KEY, subject BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (waits BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE verdict (pos INTEGER, who BLOB, about BLOB, at INTEGER NOT NULL, disposition TEXT NOT NULL,
                      PRIMARY KEY (pos, who, about)) WITHOUT ROWID;
"""
_ROWS = """
WITH row AS (
  SELECT i.pos, i.n, i.at, i.named, i.who, coalesce(a.subject, i.about) AS whom, i.score,
         coalesce(v.disposition, 'open') AS disposition
  FROM item AS i LEFT JOIN alias AS a ON a.record = i.about
       LEFT JOIN verdict AS v ON v.pos = i.pos AND v.who = i.who AND v.about = i.about
  WHERE (i.due = 0 OR (i.due <= :now AND NOT EXISTS (SELECT 1 FROM answer WHERE answer.waits = i.waits)))
        AND (:all OR coalesce(v.disposition, 'open') = 'open')
)
"""
GROUPS = (
    _ROWS
    + """
SELECT who, whom, max(score) + :further * min(count(DISTINCT pos) - 1, :most), count(DISTINCT pos), min(at), max(at),
       group_concat(DISTINCT disposition)
FROM row GROUP BY who, whom ORDER BY 3 DESC, 6 DESC LIMIT :limit
"""
)
ITEMS = (
    _ROWS
    + """
SELECT pos, n, disposition FROM row WHERE who = :who AND whom = :whom AND named >= :named
ORDER BY score DESC, pos DESC LIMIT :limit
"""
)


class Group(NamedTuple):
    """What one principal did about one data subject. `lookups` are entries; times are UTC."""

    who: bytes
    whom: bytes
    score: float
    lookups: int
    first: datetime
    last: datetime
    dispositions: tuple[str, ...]

    @property
    def id(self) -> str:
        """What a group is called: 12 hex digits of its two tokens, which change with nothing but the key."""
        return (self.who[:3] + self.whom[:3]).hex()


class Item(NamedTuple):
    """One row of the list, by its place in the ledger."""

    shard: int
    number: int
    place: int
    disposition: str


class WorkIndex:
    """One file. Use from one thread; `catch_up` also from one process at a time."""

    def __init__(self, path: Path, reader: Reader, ring: KeyRing, terms: Terms) -> None:
        """Open or make the file. Raises SettingsError for a file that is something else."""
        self._path, self._reader, self._ring, self._terms = path, reader, ring, terms
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(5_000)
            if self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                with self._db:
                    self._db.execute(SCHEMA)
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", 1)  # derived: what a power cut takes is derived again
        except (apsw.Error, OSError) as error:
            raise SettingsError(
                f"{path}: cannot be used as a work list; delete it, it is made again"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            raise SettingsError(f"{path}: not this release's work list; delete it, it is made again")

    def catch_up(self, progress: Progress | None = None) -> int:
        """Read what the ledger holds and the list does not know yet; returns how many entries. Raises LedgerOutage.

        A shard that is shorter than what was read is one restored from a back-up: then everything is read again.
        """
        with _only_one(self._path):
            shards = self._reader.shards()
            sizes = {row.number: row.head.size for row in shards}
            known: list[Any] = self._db.execute("SELECT shard, size FROM done").fetchall()
            if any(size > sizes.get(shard, 0) for shard, size in known):
                self._clear()
                known = []
            starts: dict[int, int] = dict(known)
            opener = Opener(self._ring, shards)
            total, done = sum(size - starts.get(shard, 0) for shard, size in sizes.items()), 0
            numbers = {row.name: row.number for row in shards}
            for shard, size in sizes.items():
                for first in range(starts.get(shard, 0), size, BATCH):
                    stop = min(first + BATCH, size)
                    self._take(shard, opener, first, stop, numbers)
                    done += stop - first
                    if progress:
                        progress(done, total)
            return total

    def _clear(self) -> None:
        with self._db as db:
            for table in ("done", "item", "alias", "answer", "verdict"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed words only

    def _take(self, shard: int, opener: Opener, first: int, stop: int, numbers: dict[str, int]) -> None:
        items: list[tuple[Any, ...]] = []
        aliases: dict[bytes, bytes] = {}
        answers: list[tuple[bytes]] = []
        closed: list[tuple[Any, ...]] = []
        for stored in self._reader.entries(shard, first, stop):
            with suppress(EvidenceMalformed):  # a leaf that is none: verify names it
                leaf = read_leaf(stored.leaf)
                payload = opener.payload(shard, stored)
                if payload is None:
                    continue
                body, pos = Body.of(leaf, payload), (shard << SHARD_SHIFT) + stored.index
                rows = raised(body, self._terms)
                items += [(pos, place, *self._columns(body, row)) for place, row in enumerate(rows)]
                aliases |= dict(self._aliases(body))
                if answer := settled(body):
                    answers.append((self._token("waits", answer),))
                closed += self._closed(body, numbers)
        with self._db as db:
            db.executemany("INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", items)
            db.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?)", list(aliases.items()))
            db.executemany("INSERT OR IGNORE INTO answer VALUES (?)", answers)
            db.executemany(
                "INSERT INTO verdict VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET at = excluded.at, disposition = excluded.disposition WHERE excluded.at >= at",
                closed,
            )
            db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (shard, stop))

    def _columns(self, body: Body, row: Raised) -> tuple[Any, ...]:
        return (
            _seconds(body.at),
            self._who(row.principal),
            self._about("/".join(row.record), row.subject),
            row.score,
            _seconds(row.due) if row.due else 0,
            self._token("waits", row.waits_for) if row.waits_for else b"",
            bool(row.subject),
        )

    def _who(self, principal: str) -> bytes:
        return self._token("who", " ".join(principal.casefold().split()))

    def _about(self, record: str, subject: str) -> bytes:
        return self._token("subject", subject) if subject else self._token("record", record)

    def _aliases(self, body: Body) -> Iterator[tuple[bytes, bytes]]:
        """Which record is about whom, as any entry that shows both tells it: so that a person is one group, however reached."""
        for row in body.rows:
            if isinstance(row, dict) and (subject := subject_of(row)) and text_of(row, "id"):
                record = f"{text_of(row, 'kind')}/{text_of(row, 'id')}"
                yield self._token("record", record), self._token("subject", subject)

    def _closed(self, body: Body, numbers: dict[str, int]) -> Iterator[tuple[Any, ...]]:
        """What a disposition says of which rows."""
        if body.kind != EntryKind.DISPOSITION:
            return
        who, disposition = self._who(body.text("on_behalf_of")), body.text("disposition")
        for row in body.rows:
            match row:
                case {
                    "shard": str(shard),
                    "number": int(number),
                    "record": str(record),
                    "subject": str(subject),
                }:
                    if shard in numbers:
                        pos = (numbers[shard] << SHARD_SHIFT) + number
                        yield pos, who, self._about(record, subject), _seconds(body.at), disposition

    def _token(self, kind: str, text: str) -> bytes:
        return self._ring.term(f"work list {kind}", (text,))

    def groups(self, *, now: datetime, limit: int, closed: bool = False) -> list[Group]:
        """The heaviest groups with an open row, or, with `closed`, with any."""
        given = {
            "now": _seconds(now),
            "limit": limit,
            "all": closed,
            "further": FURTHER,
            "most": MOST_FURTHER,
        }
        rows: list[Any] = self._db.execute(GROUPS, given).fetchall()
        return [
            Group(
                who,
                whom,
                round(score, 1),
                count,
                _moment(first),
                _moment(last),
                tuple(sorted(set(said.split(",")))),
            )
            for who, whom, score, count, first, last, said in rows
        ]

    def items(
        self, group: Group, *, now: datetime, limit: int, closed: bool = False, named: bool = False
    ) -> list[Item]:
        """A group's rows, the heaviest first; with `named`, those whose entry knows the data subject's name."""
        given = {"who": group.who, "whom": group.whom, "now": _seconds(now), "limit": limit}
        rows: list[Any] = self._db.execute(ITEMS, {**given, "all": closed, "named": named}).fetchall()
        return [Item(pos >> SHARD_SHIFT, pos & MAX_INDEX, n, disposition) for pos, n, disposition in rows]

    def group(self, name: str, *, now: datetime) -> Group:
        """The group that is called so. Raises SettingsError where there is none."""
        for one in self.groups(now=now, limit=-1, closed=True):
            if one.id == name:
                return one
        raise SettingsError(f"no group is called {name}; `purposegate review list` names them")

    def close(self) -> None:
        """Let go. Idempotent."""
        self._db.close(True)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    try:
        lock = Lock(path.with_name(path.name + ".lock"))
    except BlockingIOError as error:
        raise LedgerOutage(
            f"{path}: another process reads the ledger for it; ask again when it is done"
        ) from error
    try:
        yield
    finally:
        lock.release()
