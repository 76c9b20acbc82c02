"""JSON Lines, queries and pushed rows are read as CSV is: all or nothing, every bad line named, never a crash."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purposegate.errors import ImportRefused
from purposegate.feeds.reading import Pushed, Source, is_current, read_table, stamp
from purposegate.feeds.table import MAX_FAULTS, Table
from purposegate.feeds.writing import write_table

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
COLUMNS = ("id", "names", "phones", "note")
OPTIONAL = ("note",)


def _read(source: Source) -> Table:
    table = read_table(source, COLUMNS, now=NOW, optional=OPTIONAL)
    table.close()
    return table


def _faults(source: Source) -> list[tuple[int, str]]:
    with pytest.raises(ImportRefused) as refused:
        _read(source)
    return [(finding.line, finding.key) for finding in refused.value.findings]


def _lines(body: bytes) -> Pushed:
    return Pushed("feed", body, is_json=True)


def test_an_optional_column_may_be_left_out() -> None:
    """Its cells are then empty; a column that nobody knows is still a fault."""
    table = _read(Pushed("feed", b"id,names,phones\n7,Ann,\n", is_json=False))

    assert [{"id": "7", "names": "Ann", "phones": "", "note": ""}] == [line.cells for line in table.lines]
    assert [(1, "(header)")] == _faults(Pushed("feed", b"id,names,phones,other\n", is_json=False))


def test_json_lines_are_objects_of_texts() -> None:
    """A column left out, or null, is empty; lines count as an editor counts them."""
    table = _read(_lines(b'{"id": "7", "names": "Zo\\u00eb", "phones": null}\r\n\n{"id": "8"}\n'))

    assert [(1, "Zoë", ""), (3, "", "")] == [
        (line.number, line.cells["names"], line.cells["phones"]) for line in table.lines
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]\n", [(1, "(line)")]),
        (b'{"id": "7"}\n{"id": 8}\n', [(2, "id")]),
        (b'{"id": "7", "other": "x"}', [(1, "(line)")]),
        (b'{"id": "7", "id": "8"}', [(1, "(line)")]),
        (b'{"id": "7"', [(1, "(line)")]),
        (b"[" * 200_000, [(1, "(line)")]),
        (b'{"id": ' + b"9" * 10_000 + b"}", [(1, "(line)")]),
        (b'{"id": "=1+1"}', [(1, "id")]),
        (b'{"id": "a\\nb"}', [(1, "id")]),
        (b'{"id": "\\u0000"}', [(1, "id")]),
        (b'{"id": "\\ud800"}', [(1, "id")]),
        (b'{"id": "\xff"}', [(1, "id")]),
        (b'{"id": "' + b"x" * 10_000_000 + b'"}\n{"id": 1}', [(1, "(line)")]),
        ('{"id": "7"}\n'.encode("utf-16"), [(1, "(file)")]),
        (b'#as_of=2026-11-20T08:00:00Z rows=2\n{"id": "7"}\n', [(1, "(rows)")]),
    ],
)
def test_every_bad_json_line_is_named(body: bytes, expected: list[tuple[int, str]]) -> None:
    """By its number and, where one cell is wrong, its column."""
    assert expected == _faults(_lines(body))


@given(st.binary(max_size=400), st.booleans())
@example(b"id,names,phones\n" + b"\r" * 9, False)
@example(b'#as_of=0001-01-01T00:00:00+14:00\nid,names,phones\n7,"a', False)
@example(b"\xef\xbb\xbf{}\n", True)
def test_any_bytes_are_rows_or_a_refusal(body: bytes, is_json: bool) -> None:
    """Whatever is offered, reading ends in rows or in findings; nothing else is ever raised."""
    try:
        found = [set(line.cells) for line in _read(Pushed("feed", body, is_json)).lines]
    except ImportRefused as refused:
        found = []
        lines = {finding.line for finding in refused.findings}
    else:
        lines = {1}
    assert min(lines) > 0
    assert all(columns == set(COLUMNS) for columns in found)


@given(st.lists(st.lists(st.text(max_size=20), min_size=3, max_size=3), max_size=5))
def test_rows_that_are_taken_say_what_they_said(rows: list[list[str]]) -> None:
    """What JSON Lines takes comes back cell by cell, less the blanks around it."""
    body = "".join(json.dumps(dict(zip(COLUMNS, cells, strict=False))) + "\n" for cells in rows)
    try:
        table = _read(_lines(body.encode()))
    except ImportRefused:
        return
    assert [[cell.strip() for cell in cells] for cells in rows] == [
        [line.cells[name] for name in COLUMNS[:3]] for line in table.lines
    ]


def test_reading_stops_where_nothing_could_be_taken() -> None:
    """A file of bad lines is not read to its end, however long it is."""
    with pytest.raises(ImportRefused, match="nothing further was read"):
        _read(_lines(b"{}x\n" * (MAX_FAULTS + 1000)))


def _database(path: Path, *statements: str) -> Path:
    db = apsw.Connection(str(path / "hr.db"))
    for statement in ("CREATE TABLE people (no INTEGER, name TEXT, phone, at TEXT)", *statements):
        db.execute(statement)
    db.close()
    return path / "feed.yaml"


def _query(file: Path, query: str = "SELECT no, name, phone FROM people ORDER BY no", more: str = "") -> Path:
    file.write_text(f"sqlite: hr.db\nquery: {query}\ncolumns: {{id: no, names: name, phones: phone}}\n{more}")
    return file


def test_a_query_is_a_feed(tmp_path: Path) -> None:
    """Whole numbers are written out, NULL is empty; it is as old as it says."""
    file = _query(
        _database(tmp_path, "INSERT INTO people VALUES (7, ' Zoë ', NULL, '2026-11-20T09:00:00+01:00')"),
        more="as_of: SELECT max(at) FROM people\n",
    )
    table = _read(file)

    assert [{"id": "7", "names": "Zoë", "phones": "", "note": ""}] == [line.cells for line in table.lines]
    assert datetime(2026, 11, 20, 8, tzinfo=UTC) == table.as_of


def test_rows_of_a_query_are_named_by_their_number(tmp_path: Path) -> None:
    """A cell of a kind that no file has is a fault like any other."""
    rows = "INSERT INTO people VALUES (7, 'Ann', 1.5, NULL), (8, x'00', 'x', NULL), (9, '=1', '', NULL)"

    assert [(1, "phones"), (2, "names"), (3, "names")] == _faults(_query(_database(tmp_path, rows)))


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("SELECT nothing FROM people", "query"),
        ("SELECT no FROM people", "columns.names"),
        ("DELETE FROM people RETURNING no, name, phone", "query"),
        ("SELEC", "query"),
    ],
)
def test_a_query_that_will_not_do_is_refused(tmp_path: Path, query: str, key: str) -> None:
    """And it cannot write, whatever it is."""
    file = _query(_database(tmp_path, "INSERT INTO people VALUES (7, 'Ann', NULL, NULL)"), query)

    assert [(1, key)] == _faults(file)
    assert 1 == len(_read(_query(file)).lines)


def test_an_empty_answer_still_has_columns(tmp_path: Path) -> None:
    """No rows are rows enough to see whether the query has what it should."""
    file = _database(tmp_path)

    assert [] == _read(_query(file)).lines
    assert [(1, "columns.names")] == _faults(_query(file, "SELECT no FROM people"))


def test_a_query_rests_between_readings(tmp_path: Path) -> None:
    """It is asked again when its rest has passed or its file changed, and not whenever files are looked at."""
    file = _query(_database(tmp_path), more="every_s: 60\n")
    known = _read(file).stamp

    assert [True, False] == [is_current(file, known, NOW + timedelta(seconds=s)) for s in (59, 61)]
    _query(file, more="every_s: 6000\n")
    assert not is_current(file, known, NOW)


def test_a_feeds_file_without_its_database_is_refused(tmp_path: Path) -> None:
    """Nothing is made where a database should be."""
    assert [(1, "sqlite")] == _faults(_query(tmp_path / "feed.yaml"))
    assert not (tmp_path / "hr.db").exists()


@pytest.mark.parametrize("name", ["feed.csv", "feed.jsonl"])
def test_what_is_written_is_what_is_read(tmp_path: Path, name: str) -> None:
    """An accepted feed stands in its file as it was taken, with its time and its number of rows."""
    table = _read(
        _lines(
            b'#as_of=2026-11-20T08:00:00Z\n{"id": "7", "names": "Zo\xc3\xab, \\"x\\"", "phones": "+44 1"}\n'
        )
    )
    write_table(tmp_path / name, table, COLUMNS)
    again = _read(tmp_path / name)

    assert (table.lines[0].cells, table.as_of) == (again.lines[0].cells, again.as_of)
    assert stamp(tmp_path / name) == again.stamp
