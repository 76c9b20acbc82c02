"""Reads a source of rows strictly, one row at a time: a CSV file, JSON Lines, a query in YAML, or what was pushed.

Text is UTF-8. The first line may state when the source was true, `#as_of=2026-11-21T08:00:00Z`; otherwise the file's own time
of change stands for it. It may also state how many rows follow (`#as_of=... rows=812`), so that a file cut short is refused.
Whoever writes a file writes it under another name and renames it. Cells may hold several values (`;`), and a value several
parts (`|`).
"""

import hashlib
import io
import os
import re
import stat as modes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from purposegate.errors import Finding, ImportRefused
from purposegate.feeds import query
from purposegate.feeds.csv_rows import csv_rows
from purposegate.feeds.json_rows import json_rows
from purposegate.feeds.table import Columns, Line, Stamp, Table

MAX_BYTES = 1024 * 1024 * 1024
"""Two million register rows are about 400 MB; a larger file is two files."""

MAX_LINE = 1024 * 1024
"""Characters of one line; the widest row of full cells has a fraction of it."""

SKEW = timedelta(minutes=5)
"""How far another machine's clock may run ahead before what it states is in the future."""

JSON_ENDINGS = frozenset({".jsonl", ".ndjson", ".json"})
QUERY_ENDINGS = frozenset({".yaml", ".yml"})
_HASHED_AT_ONCE = 1024 * 1024
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_STATED = re.compile(
    r"#as_of=(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))(?: rows=(\d{1,9}))?\s*"
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """Rows that came in a request: what messages call them, their bytes, and whether they are JSON Lines (or else CSV)."""

    name: str
    body: bytes
    is_json: bool


Source = Path | Pushed


@contextmanager
def opened(
    source: Source, columns: Sequence[str], *, now: datetime, optional: Sequence[str] = ()
) -> Iterator[Table]:
    """A source whose rows are read as `rows` is gone through; its columns are exactly these, some of them `optional`.

    Faults of form are noted in the table. Raises `ImportRefused` where the source cannot be read or has not the columns,
    since then no row can be judged; and after the block if a file changed meanwhile.
    """
    if isinstance(source, Pushed):
        table = Table(source.name, now, hashlib.sha256(source.body).hexdigest(), Stamp(0, 0, 0, 0))
        with _text(table.label, io.BytesIO(source.body), is_json=source.is_json) as text:
            _take(table, text, Columns(columns, optional), now, is_json=source.is_json)
            yield table
    elif source.suffix.lower() in QUERY_ENDINGS:
        with query.opened(source, Columns(columns, optional), now=now) as table:
            yield table
    else:
        is_json = source.suffix.lower() in JSON_ENDINGS
        with _file(source) as (file, seen):
            changed = datetime.fromtimestamp(seen.mtime_ns / 1e9, UTC)
            table = Table(source.name, min(changed, now), _digest(file), seen)
            with _text(table.label, file, is_json=is_json) as text:
                _take(table, text, Columns(columns, optional), now, is_json=is_json)
                yield table


def read_table(
    source: Source, columns: Sequence[str], *, now: datetime, optional: Sequence[str] = ()
) -> Table:
    """Read a source whole into `lines`. Faults of form are noted in the table; else as `opened`."""
    with opened(source, columns, now=now, optional=optional) as table:
        table.lines = list(table.rows)
    return table


def stamp(path: Path) -> Stamp:
    """The file's state now. Raises OSError."""
    return _stamp(path.stat())


def is_current(path: Path, known: Stamp, now: datetime) -> bool:
    """Whether a source read before need not be read again: the file did not change; a query's rest has not passed.

    Raises OSError, `PolicyError`.
    """
    if path.suffix.lower() in QUERY_ENDINGS:
        return query.is_current(path, known, now)
    return stamp(path) == known


def _stamp(seen: os.stat_result) -> Stamp:
    return Stamp(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)


@contextmanager
def _file(path: Path) -> Iterator[tuple[BinaryIO, Stamp]]:
    def refuse(expected: str) -> ImportRefused:
        return ImportRefused([Finding(path.name, 1, "(file)", expected)])

    try:
        if not modes.S_ISREG(path.stat().st_mode):
            raise refuse("a regular file")  # opening a pipe would wait for its writer
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise refuse(
            f"a readable file: {getattr(error, 'strerror', None) or 'its name cannot be one'}"
        ) from error
    with file:
        before = os.fstat(file.fileno())
        if before.st_size > MAX_BYTES:
            raise refuse(f"at most {MAX_BYTES} bytes")
        try:
            with os.fdopen(os.dup(file.fileno()), "rb") as read:  # what decodes it will close it
                yield read, _stamp(before)
        except OSError as error:
            raise refuse(f"a readable file: {error.strerror}") from error
        if _stamp(os.fstat(file.fileno())) != _stamp(before):
            raise refuse("a file that nobody writes to while it is read: write another and rename it")


def _digest(file: BinaryIO) -> str:
    whole = hashlib.sha256()
    while part := file.read(_HASHED_AT_ONCE):
        whole.update(part)
    file.seek(0)
    return whole.hexdigest()


def _text(label: str, file: BinaryIO, *, is_json: bool) -> io.TextIOWrapper:
    if file.read(2) in _UTF16:
        raise ImportRefused([Finding(label, 1, "(file)", "UTF-8 text, and not UTF-16")])
    file.seek(0)
    # Undecodable bytes become lone surrogates, so that the line and column which hold them can be named.
    return io.TextIOWrapper(
        file, encoding="utf-8-sig", errors="surrogateescape", newline="\n" if is_json else ""
    )


def _take(table: Table, text: io.TextIOWrapper, columns: Columns, now: datetime, *, is_json: bool) -> None:
    """Have the table read its rows from this text."""
    first = _line(text)
    stated = first.startswith("#")
    count = _state(table, first, now) if stated else None
    lines = _lines(text, "" if stated else first)
    read = json_rows if is_json else csv_rows
    table.rows = _counted(table, read(table, lines, columns, int(stated)), count)


def _line(text: io.TextIOWrapper) -> str:
    return text.readline(MAX_LINE + 1)


def _lines(text: io.TextIOWrapper, first: str) -> Iterator[str]:
    line = first or _line(text)
    while line:
        yield line
        line = _line(text)


def _counted(table: Table, rows: Iterator[Line | None], stated: int | None) -> Iterator[Line]:
    count = 0
    for row in rows:
        count += 1
        if row is not None:
            yield row
    if stated is not None and count != stated:
        table.fault(1, "(rows)", "as many rows as the file states that it has")


def _state(table: Table, first: str, now: datetime) -> int | None:
    """Take what the first line states of the source; the number of its rows, if stated."""
    stated = _STATED.fullmatch(first.rstrip("\r\n"))
    try:
        as_of = datetime.fromisoformat(stated[1]).astimezone(UTC) if stated else None
    except (ValueError, OverflowError):
        as_of = None
    if stated is None or as_of is None:
        table.fault(
            1,
            "(as_of)",
            "#as_of= and a moment with offset, such as 2026-11-21T08:00:00Z, and no more but rows=",
        )
        return None
    if as_of > now + SKEW:
        table.fault(1, "(as_of)", "a moment that is not in the future")
    table.as_of = min(as_of, now)
    return int(stated[2]) if stated[2] else None
