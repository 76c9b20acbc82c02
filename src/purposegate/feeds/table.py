"""Rows as read, with the faults found in them: all or nothing, every bad line named, no cell ever echoed."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from purposegate.errors import Finding, ImportRefused

MAX_CELL = 2000
"""Characters. Thirty addresses fit; a cell beyond this is a pasted document."""

MAX_FINDINGS = 500
"""Enough to see what is wrong with an export; a file of bad lines must not become a message of its size."""

MAX_FAULTS = 10_000
"""After so many nothing more is read: whatever follows, nothing of it would be taken."""

_FORMULA = ("=", "@", "+", "-")
_PHONE = re.compile(r"\+[0-9 ()./-]+(;[0-9 +()./-]+)*")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

T = TypeVar("T")


class Stamp(NamedTuple):
    """What tells one state of a source from another without reading it: of a file, its inode's; of a query, when it ran."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int


class Line(NamedTuple):
    """One row: the number of its line in the file (1 = the first), and its cells by column."""

    number: int
    cells: dict[str, str]


class Columns(NamedTuple):
    """A source's columns in order, and which of them may be left out."""

    names: Sequence[str]
    optional: Sequence[str] = ()

    def missing(self, given: Iterable[str]) -> list[str]:
        """Those that a source must have, and this one has not."""
        return sorted(set(self.names) - set(self.optional) - set(given))

    def are(self, given: Iterable[str]) -> bool:
        """Whether a source's columns are these."""
        return not self.missing(given) and set(given) <= set(self.names)

    def expected(self, given: Iterable[str]) -> str:
        """What a source should have had instead."""
        return f"the columns {', '.join(self.names)} (missing: {', '.join(self.missing(given)) or 'none missing'})"


@dataclass(slots=True)
class Table:
    """A source as read, with the faults found so far. Call `close` before using anything taken from it.

    `rows` gives each row once, as it is read; `lines` holds them all where the source was read whole. `digest` (SHA-256, hex)
    is complete once the last row was given.
    """

    label: str
    as_of: datetime
    digest: str
    stamp: Stamp
    lines: list[Line] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)
    rows: Iterator[Line] = field(default_factory=lambda: iter(()))

    def fault(self, line: int, column: str, expected: str) -> None:
        """Note a fault; `expected` says what should stand there and never what does. Past `MAX_FAULTS`: `ImportRefused`."""
        self.faults.append(Finding(self.label, line, column, expected))
        if len(self.faults) >= MAX_FAULTS:
            self.close()

    def take(self, line: Line, column: str, read: Callable[[str], T], expected: str) -> T | None:
        """One cell, read; None and a fault where `read` raises ValueError."""
        try:
            return read(line.cells[column])
        except ValueError:
            self.fault(line.number, column, expected)
            return None

    def accept(self, number: int, cells: Mapping[str, str]) -> Line | None:
        """The row of these cells, less the blanks around them; None, and a fault each, where one can stand in no row."""
        stripped = {name: cell.strip() for name, cell in cells.items()}
        faults = list(_cell_faults(stripped))
        for column, expected in faults:
            self.fault(number, column, expected)
        return None if faults else Line(number, stripped)

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
                [Finding(self.label, self.faults[MAX_FINDINGS].line, "(more)", _more(over, len(self.faults)))]
                if over > 0
                else []
            )
            raise ImportRefused([*self.faults[:MAX_FINDINGS], *more])


def _more(over: int, found: int) -> str:
    return f"{over} more faults" + ("; nothing further was read" if found >= MAX_FAULTS else "")


def _cell_faults(cells: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for column, text in cells.items():
        if not text:
            continue
        if len(text) > MAX_CELL:
            yield column, f"at most {MAX_CELL} characters"
        elif text.isascii() and text.isprintable():
            if text[0] in _FORMULA and not (column == "phones" and _PHONE.fullmatch(text)):
                yield column, FORMULA
        elif any("\ud800" <= letter <= "\udfff" for letter in text):
            yield column, "UTF-8 text"
        elif any(letter in _BIDI or unicodedata.category(letter) == "Cc" for letter in text):
            yield column, "text without control characters or line breaks"
        elif text[0] in _FORMULA:
            yield column, FORMULA


FORMULA = "a plain value, not a spreadsheet formula (no leading = @ + -)"


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
