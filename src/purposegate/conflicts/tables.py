"""CSV files of entries and facts, read strictly: all or nothing, every bad line named, no cell ever echoed.

UTF-8, a header line, columns in any order. The first line may state when its source was true, `#as_of=2026-11-21T08:00:00Z`;
otherwise the file's own time of change stands for it. It may also state how many rows follow (`#as_of=... rows=812`), so that a
file cut short is refused. Whoever writes a file writes it under another name and renames it. Cells may hold several values
(`;`), and a value several parts (`|`).
"""

import csv
import hashlib
import io
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from purposegate.errors import Finding, ImportRefused

MAX_BYTES = 512 * 1024 * 1024
"""Two million register rows are about 400 MB; larger files belong in the database."""

MAX_CELL = 2000
"""Characters. Thirty addresses fit; a cell beyond this is a pasted document."""

MAX_FINDINGS = 500
"""Enough to see what is wrong with an export; a file of bad lines must not become a message of its size."""

SKEW = timedelta(minutes=5)
"""How far another machine's clock may run ahead before what it states is in the future."""

_STATED = re.compile(
    r"#as_of=(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))(?: rows=(\d{1,9}))?\s*"
)
_FORMULA = ("=", "@", "+", "-")
_PHONE = re.compile(r"\+[0-9 ()./-]+(;[0-9 +()./-]+)*")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

T = TypeVar("T")


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int


class Line(NamedTuple):
    """One row: the number of its line in the file (1 = the first), and its cells by column."""

    number: int
    cells: dict[str, str]


@dataclass(slots=True)
class Table:
    """A file as read, with the faults found so far. Call `close` before using anything taken from it."""

    label: str
    as_of: datetime
    digest: str
    stamp: Stamp
    lines: list[Line] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)

    def fault(self, line: int, column: str, expected: str) -> None:
        """Note a fault; `expected` says what should stand there and never what does."""
        self.faults.append(Finding(self.label, line, column, expected))

    def take(self, line: Line, column: str, read: Callable[[str], T], expected: str) -> T | None:
        """One cell, read; None and a fault where `read` raises ValueError."""
        try:
            return read(line.cells[column])
        except ValueError:
            self.fault(line.number, column, expected)
            return None

    def unique(self, column: str, key: Callable[[str], str] = str) -> None:
        """Note a fault for every line that repeats an earlier line's value in this column, as compared by `key`."""
        seen: set[str] = set()
        for line in self.lines:
            value = key(line.cells[column])
            if value in seen:
                self.fault(line.number, column, "a value that no earlier line has")
            seen.add(value)

    def close(self) -> None:
        """Raise `ImportRefused` if anything was wrong."""
        if self.faults:
            self.faults.sort(key=lambda fault: fault.line)
            over = len(self.faults) - MAX_FINDINGS
            more = (
                [Finding(self.label, self.faults[MAX_FINDINGS].line, "(more)", f"{over} more faults")]
                if over > 0
                else []
            )
            raise ImportRefused([*self.faults[:MAX_FINDINGS], *more])


def stamp(path: Path) -> Stamp:
    """The file's state now. Raises OSError."""
    return _stamp(path.stat())


def _stamp(seen: os.stat_result) -> Stamp:
    return Stamp(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)


def read_table(path: Path, columns: Sequence[str], *, now: datetime) -> Table:
    """Read a file whose columns are exactly these. Faults of form are noted in the table; it raises only for no file at all.

    Raises `ImportRefused` where the file cannot be read or has not the columns, since then no line can be judged.
    """
    raw, seen = _bytes(path)
    # Undecodable bytes become lone surrogates, so that the line and column which hold them can be named.
    text = raw.decode("utf-8-sig", errors="surrogateescape")
    changed = datetime.fromtimestamp(seen.mtime_ns / 1e9, UTC)
    table = Table(path.name, min(changed, now), hashlib.sha256(raw).hexdigest(), seen)
    first, _, rest = text.partition("\n")
    if not first.startswith("#"):
        _rows(table, text, columns, offset=0)
        return table
    rows = _state(table, first, now)
    found = _rows(table, rest, columns, offset=1)
    if rows is not None and rows != found:
        table.fault(1, "(rows)", "as many rows as the file states that it has")
    return table


def _bytes(path: Path) -> tuple[bytes, Stamp]:
    def refuse(expected: str) -> ImportRefused:
        return ImportRefused([Finding(path.name, 1, "(file)", expected)])

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise refuse("a regular file")  # opening a pipe would wait for its writer
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            raw = file.read(MAX_BYTES + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise refuse(f"a readable file: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise refuse(f"at most {MAX_BYTES} bytes")
    if _stamp(before) != _stamp(after) or len(raw) != after.st_size:
        raise refuse("a file that nobody writes to while it is read: write another and rename it")
    return raw, _stamp(after)


def _state(table: Table, first: str, now: datetime) -> int | None:
    """Take what the first line states of the file; the number of its rows, if stated."""
    stated = _STATED.fullmatch(first.rstrip("\r"))
    try:
        as_of = datetime.fromisoformat(stated[1]).astimezone(UTC) if stated else None
    except ValueError:
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


def _rows(table: Table, text: str, columns: Sequence[str], *, offset: int) -> int:
    """Take the rows; how many there were, right or wrong."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error:
        header = []
    if Counter(header) != Counter(columns):
        missing = ", ".join(sorted(set(columns) - set(header))) or "none missing"
        expected = f"UTF-8 CSV with exactly the columns {', '.join(columns)} (missing: {missing})"
        raise ImportRefused([Finding(table.label, offset + 1, "(header)", expected)])
    count = 0
    while True:
        start = reader.line_num + offset + 1
        try:
            row = next(reader, None)
        except csv.Error:
            table.fault(start, "(row)", "well-formed CSV; nothing after this line was read")
            return count
        if row is None:
            return count
        if not row:
            continue  # an empty line, which spreadsheets leave at the end
        count += 1
        if len(row) != len(header):
            table.fault(start, "(row)", f"{len(header)} cells")
            continue
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        faults = list(_cell_faults(cells))
        for column, expected in faults:
            table.fault(start, column, expected)
        if not faults:
            table.lines.append(Line(start, cells))


def _cell_faults(cells: dict[str, str]) -> Iterator[tuple[str, str]]:
    for column, text in cells.items():
        if len(text) > MAX_CELL:
            yield column, f"at most {MAX_CELL} characters"
        elif any("\ud800" <= letter <= "\udfff" for letter in text):
            yield column, "UTF-8 text"
        elif any(letter in _BIDI or unicodedata.category(letter) == "Cc" for letter in text):
            yield column, "text without control characters or line breaks"
        elif text.startswith(_FORMULA) and not (column == "phones" and _PHONE.fullmatch(text)):
            yield column, "a plain value, not a spreadsheet formula (no leading = @ + -)"


def several(text: str) -> tuple[str, ...]:
    """The values of a cell, parted by `;`, without blanks; empty ones are no values."""
    return tuple(value for value in (part.strip() for part in text.split(";")) if value)


def parts(text: str, *, most: int) -> tuple[str, ...]:
    """The parts of one value, parted by `|` and filled up to `most` with empty ones. Raises ValueError beyond."""
    found = tuple(part.strip() for part in text.split("|"))
    if len(found) > most:
        raise ValueError
    return found + ("",) * (most - len(found))


def required(text: str) -> str:
    """The cell, which must not be empty. Raises ValueError."""
    if not text:
        raise ValueError
    return text
