"""Rows of a query: a YAML file names the database, the SELECT, and which of its columns is which of the feed's.

SQLite and PostgreSQL, each read as of one moment in a transaction that cannot write. Rows come one at a time.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apsw

from purposegate import documents
from purposegate.errors import Finding, ImportRefused, PolicyError, SettingsError
from purposegate.feeds.private import read_private
from purposegate.feeds.table import Columns, Line, Stamp, Table

DEFAULT_EVERY_S = 300.0
"""A query costs its database more than looking at a file's time costs anybody."""
MAX_ROWS = 20_000_000
ROWS_AT_ONCE = 2_000
STATEMENT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Query:
    """One feed's query, read. `columns` maps the feed's names to the query's."""

    path: Path
    sqlite: Path | None
    url_file: Path | None
    select: str
    as_of: str
    columns: Mapping[str, str]
    every_s: float

    def refuse(self, line: int, column: str, expected: str) -> ImportRefused:
        """A fault that ends the reading."""
        return ImportRefused([Finding(self.path.name, line, column, expected)])


@dataclass(frozen=True, slots=True)
class Cursor:
    """An answer: the names of its columns, and its rows."""

    names: Sequence[str]
    rows: Iterator[Sequence[Any]]


def load(path: Path) -> Query:
    """Read the YAML file. Raises `PolicyError` with every fault by line."""
    content = documents.read(path, "feed").content
    home = path.resolve().parent
    return Query(
        path=path,
        sqlite=home / content["sqlite"] if "sqlite" in content else None,
        url_file=home / content["url_file"] if "url_file" in content else None,
        select=content["query"],
        as_of=content.get("as_of", ""),
        columns={str(column): str(name) for column, name in content["columns"].items()},
        every_s=float(content.get("every_s", DEFAULT_EVERY_S)),
    )


def is_current(path: Path, known: Stamp, now: datetime) -> bool:
    """Whether the file is as it was and its query was asked less than `every_s` ago. Raises OSError, `PolicyError`."""
    seen = path.stat()
    if (seen.st_mtime_ns, seen.st_ino) != (known.mtime_ns, known.inode):
        return False
    return 0 <= now.timestamp() - known.size < load(path).every_s


@contextmanager
def opened(path: Path, columns: Columns, *, now: datetime) -> Iterator[Table]:
    """A table whose rows are the query's; the number of a line is that of the row, 1 = the first.

    Raises `ImportRefused` for a file, a database or a query that will not do, and shows nothing of the database's words.
    """
    try:
        asked = load(path)
        seen = path.stat()
    except PolicyError as error:
        raise ImportRefused(error.findings) from error
    except OSError as error:
        raise ImportRefused(
            [Finding(path.name, 1, "(file)", f"a readable file: {error.strerror}")]
        ) from error
    if not columns.are(asked.columns):
        raise asked.refuse(1, "columns", columns.expected(asked.columns))
    stamp = Stamp(seen.st_mtime_ns, seen.st_ctime_ns, int(now.timestamp()), seen.st_ino)
    with _session(asked) as session:
        table = Table(path.name, _as_of(asked, session, now), "", stamp)
        table.rows = _rows(table, asked, session.ask(asked.select, "query"), columns.names)
        yield table


class Session(ABC):
    """A connection that reads as of one moment. Raises `ImportRefused` for whatever its database will not do."""

    def __init__(self, asked: Query) -> None:
        self.asked = asked

    @abstractmethod
    def ask(self, select: str, key: str) -> Cursor:
        """The answer to one SELECT."""

    @abstractmethod
    def close(self) -> None:
        """Let go."""


def _session(asked: Query) -> AbstractContextManager[Session]:
    return closing(_postgres(asked, asked.url_file) if asked.url_file else _SqliteSession(asked))


class _SqliteSession(Session):
    def __init__(self, asked: Query) -> None:
        super().__init__(asked)
        try:
            self._db = apsw.Connection(str(asked.sqlite), flags=apsw.SQLITE_OPEN_READONLY)
            self._db.set_busy_timeout(5_000)
            self._db.pragma("query_only", 1)
            self._db.execute("BEGIN")
        except apsw.Error as error:
            raise asked.refuse(
                1, "sqlite", f"an SQLite file that can be read ({type(error).__name__})"
            ) from error

    def ask(self, select: str, key: str) -> Cursor:
        try:
            cursor = self._db.cursor()
            cursor.execute(select)
            names = [column[0] for column in cursor.get_description()]
        except apsw.ExecutionCompleteError:  # no rows: then apsw does not say what they would have been
            return Cursor(self._names(select, key), iter(()))
        except apsw.Error as error:
            raise self.asked.refuse(
                1, key, f"a SELECT that the database takes ({type(error).__name__})"
            ) from error
        return Cursor(names, self._each(cursor, key))

    def _names(self, select: str, key: str) -> list[str]:
        found: list[str] = []

        def note(cursor: apsw.Cursor, _: str, __: object) -> bool:
            found[:] = [column[0] for column in cursor.get_description()]
            return False

        cursor = self._db.cursor()
        cursor.exec_trace = note
        try:
            cursor.execute(select)
        except apsw.ExecTraceAbort:
            return found
        except apsw.Error as error:
            raise self.asked.refuse(1, key, "a SELECT that the database takes") from error
        return found

    def _each(self, cursor: "apsw.Cursor", key: str) -> Iterator[Sequence[Any]]:
        try:
            yield from cursor
        except apsw.Error as error:
            raise self.asked.refuse(
                1, key, f"a SELECT that runs to its end ({type(error).__name__})"
            ) from error

    def close(self) -> None:
        self._db.close(True)


def _postgres(asked: Query, url_file: Path) -> Session:
    try:
        from purposegate.feeds.query_postgres import PostgresSession  # noqa: PLC0415  # psycopg is an extra
    except ImportError as error:
        raise SettingsError(
            "a query of PostgreSQL needs psycopg: pip install 'purposegate[postgres]'"
        ) from error
    return PostgresSession(asked, read_private(url_file, "the database's URL"))


def _as_of(asked: Query, session: Session, now: datetime) -> datetime:
    if not asked.as_of:
        return now
    rows = list(session.ask(asked.as_of, "as_of").rows)
    value = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        found = at.astimezone(UTC) if isinstance(at, datetime) and at.tzinfo else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise asked.refuse(1, "as_of", "a SELECT of one moment with offset")
    return min(found, now)


def _rows(table: Table, asked: Query, answer: Cursor, columns: Sequence[str]) -> Iterator[Line]:
    places = {
        column: [*answer.names].index(name) for column, name in asked.columns.items() if name in answer.names
    }
    if unknown := asked.columns.keys() - places:
        raise asked.refuse(1, f"columns.{min(unknown)}", "a column that the query has")
    whole = hashlib.sha256()
    for number, row in enumerate(answer.rows, 1):
        if number > MAX_ROWS:
            raise asked.refuse(1, "query", f"at most {MAX_ROWS} rows")
        cells = {column: _text(row[places[column]]) if column in places else "" for column in columns}
        wrong = [column for column, cell in cells.items() if cell is None]
        for column in wrong:
            table.fault(number, column, "a text, a whole number, a day, a moment with offset, or nothing")
        clear = {column: cell for column, cell in cells.items() if cell is not None}
        whole.update(repr(sorted(clear.items())).encode("utf-8", "surrogatepass") + b"\n")
        line = None if wrong else table.accept(number, clear)
        if line:
            yield line
    table.digest = whole.hexdigest()


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else None
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
