"""Links in one SQLite file, written whole and never changed: a generation. The next one takes its place by rename.

Serving processes open it read-only and `immutable`, so that a question takes no lock and no system call once the pages are
in memory. A file that was cut short, is another program's or not finished is refused when it is opened, and the one in use
stays. Rows are (node, signed relation, other node, start, end), their own primary key: the table is its covering index.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import apsw

from purposegate.conflicts.tables import Stamp, stamp
from purposegate.errors import SettingsError
from purposegate.facts.links import (
    MOST_LINKS_OF_A_NODE,
    Edge,
    Feed,
    Link,
    both_ways,
    moment,
    seconds,
    unavailable,
)

APPLICATION_ID = 0x50474C4B
VERSION = 1
BATCH = 20_000
CACHE_KIB = 64 * 1024
"""Pages kept by a serving process: the upper levels of five million links and what is asked for often."""

SCHEMA = f"""
PRAGMA page_size = 8192;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE edge (a TEXT, rel TEXT, b TEXT, s INTEGER, e INTEGER, PRIMARY KEY (a, rel, b, s, e)) WITHOUT ROWID;
CREATE TABLE relation (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE made (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
RELATIONS = "INSERT INTO relation SELECT DISTINCT rel FROM edge"
AT_ONCE = 16
"""Questions put in one statement: a statement costs as much as four of them, and few should be kept prepared."""
A_TURN = 48
"""Statements after which the event loop gets a turn: about 1 ms."""

Asked = TypeVar("Asked", bound=tuple[str, ...])


class SqliteLinks:
    """One generation, open. Use from one thread at a time."""

    def __init__(self, db: apsw.Connection, name: str, as_of: datetime, digest: str) -> None:
        """Raises `apsw.Error`."""
        self._db = db
        self._relations = frozenset(str(name) for (name,) in db.execute("SELECT name FROM relation"))
        self._held: dict[Sequence[str], Sequence[str]] = {}
        self._name = name
        self.as_of = as_of
        self.digest = digest
        self.is_empty = not self._relations

    @classmethod
    def held(cls, links: Iterable[Link], *, as_of: datetime) -> "SqliteLinks":
        """Links that live in this process's memory only, about 150 bytes each."""
        db = apsw.Connection(":memory:")
        db.execute(SCHEMA)
        for rows in _batches(links):
            db.executemany("INSERT OR IGNORE INTO edge VALUES (?, ?, ?, ?, ?)", rows)
        db.execute(RELATIONS)
        return cls(db, "links", as_of, "")

    @classmethod
    def open(cls, path: Path) -> "SqliteLinks":
        """A generation file. Reads all of it once, so never on the loop. Raises SettingsError."""
        try:
            name = "".join(_quoted(letter) for letter in str(path.absolute()))
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            db = apsw.Connection(f"file:{name}?immutable=1", flags=flags)
            known = (db.pragma("application_id"), db.pragma("user_version"))
            if known != (APPLICATION_ID, VERSION):
                raise SettingsError(
                    f"{path}: no links of this release; make it with `purposegate links import`"
                )
            db.pragma("cache_size", -CACHE_KIB)
            whole = db.pragma("page_count") * db.pragma("page_size") == path.stat().st_size
            if not whole or db.pragma("quick_check") != "ok":
                raise SettingsError(f"{path}: cut short or damaged; import the links again")
            made: dict[Any, Any] = dict(db.execute("SELECT name, value FROM made"))
            return cls(db, path.name, moment(int(made["as_of"])), str(made["digest"]))
        except (apsw.Error, OSError, KeyError, ValueError, TypeError) as error:
            raise SettingsError(
                f"{path}: cannot be read as links; make it with `purposegate links import`"
            ) from error

    async def near(
        self, nodes: Collection[str], relations: Callable[[str], Sequence[str]]
    ) -> Mapping[str, Sequence[Edge] | None]:
        """See `LinkStore`. Some 3 us a node."""
        found: dict[str, list[Edge]] = {one: [] for one in nodes}
        crowded: set[str] = set()
        wanted = [(one, relation) for one in found for relation in self._there(relations(one))]
        try:
            for number, pairs in _few(wanted):
                if number % A_TURN == 0:
                    await asyncio.sleep(0)
                rows = self._ask(_near(len(pairs)), pairs)
                if len(rows) > MOST_LINKS_OF_A_NODE:
                    rows = [row for pair in pairs for row in self._near_one(pair, crowded)]
                for name, *edge in rows:
                    found[name].append(_edge(edge))
        except apsw.Error as error:
            raise unavailable(f"{self._name}: {type(error).__name__}") from error
        return {
            one: None if one in crowded or len(edges) > MOST_LINKS_OF_A_NODE else edges
            for one, edges in found.items()
        }

    def _near_one(self, pair: tuple[str, str], crowded: set[str]) -> Sequence[Any]:
        rows = self._ask(_near(1), [pair])
        if len(rows) <= MOST_LINKS_OF_A_NODE:
            return rows
        crowded.add(pair[0])
        return ()

    async def between(
        self, start: str, relations: Callable[[str], Sequence[str]], ends: Collection[str]
    ) -> Sequence[Edge]:
        """See `LinkStore`. Some 2 us an end."""
        found: list[Edge] = []
        wanted = [(start, relation, end) for end in ends for relation in self._there(relations(end))]
        try:
            for number, some in _few(wanted):
                if number % A_TURN == 0:
                    await asyncio.sleep(0)
                found += map(_edge, self._ask(_between(len(some)), some))
        except apsw.Error as error:
            raise unavailable(f"{self._name}: {type(error).__name__}") from error
        return found

    def _there(self, wanted: Sequence[str]) -> Sequence[str]:
        """Those of these relations of which there are any links."""
        held = self._held.get(wanted)
        if held is None:
            held = self._held[wanted] = tuple(name for name in wanted if name in self._relations)
        return held

    def _ask(self, statement: str, arguments: Sequence[tuple[str, ...]]) -> Sequence[Any]:
        return self._db.execute(statement, tuple(chain.from_iterable(arguments))).fetchall()

    def count(self) -> int:
        """How many links there are."""
        return int(self._db.execute("SELECT count(*) / 2 FROM edge").get)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close(True)


class SqliteSource:
    """`LinkSource` of a generation file; a new one is taken when the file at the path is another."""

    name = "links"

    def __init__(self, path: Path) -> None:
        """Open the file. Blocks. Raises SettingsError."""
        self._path = path
        self._stamp, self._store = _opened(path)

    @property
    def digest(self) -> str:
        """See `LinkSource`."""
        return self._store.digest

    async def view(self, principal: str, at: datetime) -> SqliteLinks:  # noqa: ARG002  # one state for all
        """See `LinkSource`. Raises nothing."""
        return self._store

    def reopen(self) -> str:
        """Take the file anew if it is another. Blocks. What went wrong, or nothing."""
        try:
            if stamp(self._path) != self._stamp:
                # A lookup under way keeps the old one, which closes when nobody holds it.
                self._stamp, self._store = _opened(self._path)
        except OSError as error:
            return f"{self._path.name}: {error.strerror}"
        except SettingsError as error:
            return str(error)
        return ""

    async def refresh(self) -> str:
        """See `LinkSource`."""
        return await asyncio.to_thread(self.reopen)

    async def aclose(self) -> None:
        """See `LinkSource`."""


def _opened(path: Path) -> tuple[Stamp, SqliteLinks]:
    try:
        before = stamp(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; make it with `purposegate links import`") from error
    return before, SqliteLinks.open(path)


def write_generation(path: Path, feed: Feed) -> int:
    """Write a generation beside the path and rename it there, durable on return; how many links it has.

    Whatever taking the links raises leaves the old file as it was. Raises SettingsError where the disk does not take it.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from error
    os.close(handle)
    draft = Path(name)
    try:
        count = _fill(draft, feed)
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)
    except (apsw.Error, OSError) as error:
        raise SettingsError(f"{path}: cannot be written: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return count


def _fill(draft: Path, feed: Feed) -> int:
    db = apsw.Connection(str(draft))
    try:
        db.execute(SCHEMA)
        db.pragma("journal_mode", "off")
        db.pragma("synchronous", 0)  # a draft that is not finished is thrown away
        db.pragma("cache_size", -CACHE_KIB)
        with db:
            # Sorted into place once at the end: rows in the order of a feed would touch every page many times over.
            db.execute("CREATE TEMP TABLE raw (a, rel, b, s, e)")
            for rows in _batches(feed):
                db.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?)", rows)
            db.execute("INSERT OR IGNORE INTO edge SELECT * FROM raw ORDER BY a, rel, b, s, e")
            db.execute("DROP TABLE raw")
            db.execute(RELATIONS)
            count = int(db.execute("SELECT count(*) / 2 FROM edge").get)
            made = {"as_of": seconds(feed.as_of), "digest": feed.digest, "links": count}
            db.executemany("INSERT INTO made VALUES (?, ?)", made.items())
        return count
    finally:
        db.close()


@cache
def _near(count: int) -> str:
    one = "SELECT a, rel, b, s, e FROM edge WHERE a = ? AND rel = ?"
    return f"{' UNION ALL '.join([one] * count)} LIMIT {MOST_LINKS_OF_A_NODE + 1}"


@cache
def _between(count: int) -> str:
    return " UNION ALL ".join(["SELECT rel, b, s, e FROM edge WHERE a = ? AND rel = ? AND b = ?"] * count)


def _few(them: Sequence[Asked]) -> Iterator[tuple[int, Sequence[Asked]]]:
    """A statement's worth at a time, numbered from 1."""
    parts = (them[first : first + AT_ONCE] for first in range(0, len(them), AT_ONCE))
    return enumerate(parts, 1)


def _edge(row: Sequence[Any]) -> Edge:
    return tuple.__new__(Edge, row)  # as `_make` does, without its calls: there are dozens in every lookup


def _batches(links: Iterable[Link]) -> Iterable[list[tuple[str, str, str, int, int]]]:
    rows: list[tuple[str, str, str, int, int]] = []
    for link in links:
        rows.extend(both_ways(link))
        if len(rows) >= BATCH:
            yield rows
            rows = []
    yield rows


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _quoted(letter: str) -> str:
    return f"%{ord(letter):02x}" if letter in "?#%" else letter
