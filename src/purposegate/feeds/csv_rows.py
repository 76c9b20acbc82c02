"""Rows of CSV (RFC 4180): a header line, columns in any order, one line a row."""

import csv
from collections.abc import Iterator, Sequence
from typing import Protocol

from purposegate.errors import Finding, ImportRefused
from purposegate.feeds.table import Columns, Line, Table

MAX_LINE = 1024 * 1024
"""Characters; a longer line was cut by whoever gave it."""


class _Reader(Protocol):
    """What `csv.reader` gives; its own type has no public name."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class _LineTooLongError(Exception):
    """A line that no row can have."""


def csv_rows(table: Table, lines: Iterator[str], columns: Columns, offset: int) -> Iterator[Line | None]:
    """Each row, or None for one with a fault; `offset` is how many lines came before the header.

    Raises `ImportRefused` at once where the header is not one of these columns.
    """
    reader = csv.reader(_bounded(lines), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except (csv.Error, _LineTooLongError):
        header = []
    if not columns.are(header) or len(set(header)) < len(header):
        expected = f"UTF-8 CSV with exactly {columns.expected(header)}"
        raise ImportRefused([Finding(table.label, offset + 1, "(header)", expected)])
    left_out = {name: "" for name in columns.names if name not in header}
    return _rows(table, reader, header, left_out, offset)


def _bounded(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > MAX_LINE:
            raise _LineTooLongError
        yield line


def _rows(
    table: Table, reader: _Reader, header: Sequence[str], left_out: dict[str, str], offset: int
) -> Iterator[Line | None]:
    while True:
        start = reader.line_num + offset + 1
        try:
            row = next(reader, None)
        except (csv.Error, _LineTooLongError):
            table.fault(start, "(row)", "well-formed CSV; nothing after this line was read")
            return
        if row is None:
            return
        if not row:
            continue  # an empty line, which spreadsheets leave at the end
        if len(row) != len(header):
            table.fault(start, "(row)", f"{len(header)} cells")
            yield None
            continue
        yield table.accept(start, dict(zip(header, row, strict=True)) | left_out)
