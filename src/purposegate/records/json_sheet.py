"""Answers in JSON: read once and strictly (RFC 8259, I-JSON's unique names), written again with numbers and order kept.

Only members that the route lists are written; whatever else the records system adds (counts, facets, queries, timings, links)
stays behind without having to be known.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from purposegate.exchange import Held
from purposegate.model import Row
from purposegate.records.answer import text_of
from purposegate.records.rows import MAX_ROWS, RecordKind, unreadable

MEDIA_TYPES = frozenset({"application/json"})
CONTENT_TYPE = b"application/json; charset=utf-8"
MAX_DEPTH = 32
"""Rows are flat; the deepest metadata seen in a records system's list is 9. Beyond this lies only an attack on the stack."""

Table = Sequence[tuple["JsonSheet", Row, frozenset[str]]]


class Number:
    """A JSON number as it was written: 1.10 stays 1.10, and 20 digits stay 20 digits."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonShape:
    """Where an answer's parts stand: names of top-level members.

    `columns` names the list of column names where rows are arrays; `next` the page token; `notice` the gate's own member.
    """

    rows: str
    columns: str = ""
    next: str = ""
    keep: frozenset[str] = frozenset()
    notice: str = ""

    media_type = b"application/json"

    def read(self, held: Held, kind: RecordKind) -> "JsonSheet":
        """Read an answer. Raises `AnswerOutage`."""
        document = _parse(text_of(held, MEDIA_TYPES))
        if not isinstance(document, dict):
            raise unreadable("want an object at the top")
        raw = document.get(self.rows)
        if not isinstance(raw, list):
            raise unreadable(f"{self.rows}: want a list of rows")
        if len(raw) > MAX_ROWS:
            raise unreadable(f"{self.rows}: more than {MAX_ROWS} rows")
        columns = self._columns(document)
        cells = tuple(_cells(row, columns, place) for place, row in enumerate(raw))
        rows = tuple(
            kind.row(
                {name: _text(value, name, place) for name, value in row.items() if name in kind.columns},
                place,
            )
            for place, row in enumerate(cells)
        )
        return JsonSheet(self, kind, document, columns, cells, rows, self._token(document))

    def _columns(self, document: Mapping[str, Any]) -> tuple[str, ...] | None:
        if not self.columns or self.columns not in document:
            return None
        columns = document[self.columns]
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise unreadable(f"{self.columns}: want a list of names")
        if len(set(columns)) != len(columns):
            raise unreadable(f"{self.columns}: a name stands twice")
        return tuple(columns)

    def _token(self, document: Mapping[str, Any]) -> str:
        token = document.get(self.next) if self.next else None
        match token:
            case None:
                return ""
            case str() if token:
                return token
            case Number():
                return token.text
            case _:
                raise unreadable(f"{self.next}: want a page token or null")


@dataclass(frozen=True, slots=True)
class JsonSheet:
    """One JSON answer, read. Writing it again never changes it."""

    shape: JsonShape
    kind: RecordKind
    document: Mapping[str, Any]
    columns: tuple[str, ...] | None
    cells: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]
    next_token: str

    def render(self, kept: Table, *, cursor: str, notice: str) -> tuple[bytes, bytes]:
        """Write this answer with the kept rows, which may come from sheets of the same route. Returns (body, type)."""
        shape = self.shape
        shown = None if self.columns is None else [name for name in self.columns if name in self.kind.columns]
        written: dict[str, Any] = {}
        for name, value in self.document.items():
            if name == shape.rows:
                written[name] = list(self._rows(kept))
            elif shape.columns and name == shape.columns:
                written[name] = shown
            elif shape.next and name == shape.next:
                written[name] = cursor or None
            elif name in shape.keep:
                written[name] = value
        if cursor and shape.next:
            written[shape.next] = cursor
        if notice:
            if not shape.notice:
                raise unreadable("the route has no place for the notice")
            written[shape.notice] = notice
        return _write(written), CONTENT_TYPE

    def _rows(self, kept: Table) -> Iterator[Any]:
        for sheet, row, masks in kept:
            if sheet.columns != self.columns or sheet.kind is not self.kind:
                raise unreadable("pages of one list have different columns")
            hidden = self.kind.covered(masks)
            cells = {
                name: None if name in hidden else value
                for name, value in sheet.cells[row.place].items()
                if name in self.kind.columns
            }
            as_array = isinstance(sheet.document[sheet.shape.rows][row.place], list)
            yield list(cells.values()) if as_array else cells


def _parse(text: str) -> Any:
    try:
        document = json.loads(
            text, object_pairs_hook=_unique, parse_int=Number, parse_float=Number, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):  # the message would echo the answer
        raise unreadable("the answer is not well-formed JSON") from None
    _check_depth(document)
    if "\\ud" in text or "\\uD" in text:  # escapes can spell half a character, which no UTF-8 can hold
        _write(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise unreadable("a member stands twice in one object")
    return names


def _no_constant(_: str) -> NoReturn:
    raise unreadable("NaN and Infinity are not JSON")


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise unreadable(f"deeper than {MAX_DEPTH} levels")


def _cells(row: Any, columns: tuple[str, ...] | None, place: int) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    if isinstance(row, list) and columns is not None and len(row) == len(columns):
        return dict(zip(columns, row, strict=True))
    raise unreadable(f"row {place} is neither an object nor as long as the columns")


def _text(value: Any, name: str, place: int) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case Number():
            return value.text
        case bool():
            return "true" if value else "false"
        case _:
            raise unreadable(f"row {place}: {name}: want a plain value")


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError


def _write(document: Any) -> bytes:
    try:
        return orjson.dumps(document, default=_fragment)
    except orjson.JSONEncodeError:
        raise unreadable("the answer holds text that UTF-8 cannot carry") from None
