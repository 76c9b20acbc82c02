"""Rows of JSON Lines: one object a line, of texts under the columns; those left out, or null, are empty."""

import json
from collections.abc import Iterator

from purposegate.feeds.csv_rows import MAX_LINE
from purposegate.feeds.table import Columns, Line, Table


def json_rows(table: Table, lines: Iterator[str], columns: Columns, offset: int) -> Iterator[Line | None]:
    """Each row, or None for one with a fault; `offset` is how many lines came before. A missing column is an empty cell."""
    for number, text in enumerate(lines, offset + 1):
        if len(text) > MAX_LINE:
            table.fault(number, "(line)", "a shorter line; nothing after it was read")
            return
        if text.strip():
            yield _row(table, number, text, columns)


def _row(table: Table, number: int, text: str, columns: Columns) -> Line | None:
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() <= set(columns.names):
        named = ", ".join(columns.names)
        table.fault(
            number, "(line)", f"one JSON object, of texts under the columns {named}; those left out are empty"
        )
        return None
    cells = {column: "" if found.get(column) is None else found[column] for column in columns.names}
    wrong = [column for column, cell in cells.items() if not isinstance(cell, str)]
    for column in wrong:
        table.fault(number, column, "a text")
    return None if wrong else table.accept(number, cells)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object none of whose names comes twice: which of the two was meant, nobody can say. Raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
