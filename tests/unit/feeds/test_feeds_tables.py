"""Files of entries and facts: taken whole or not at all, and every bad line named."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import ImportRefused
from purposegate.feeds.reading import read_table
from purposegate.feeds.table import MAX_CELL, MAX_FINDINGS, Table, parts, several

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
COLUMNS = ("id", "names", "phones")


def _read(path: Path, content: bytes) -> Table:
    path.write_bytes(content)
    table = read_table(path, COLUMNS, now=NOW)
    table.close()
    return table


def _faults(path: Path, content: bytes) -> list[tuple[int, str]]:
    with pytest.raises(ImportRefused) as refused:
        _read(path, content)
    return [(finding.line, finding.key) for finding in refused.value.findings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "entries.csv"


def test_columns_come_in_any_order(file: Path) -> None:
    """Cells are found by their column's name, and stripped of blanks around them."""
    table = _read(file, b"phones,id,names\n, 7 ,Ann|Archer\n")

    assert [{"id": "7", "names": "Ann|Archer", "phones": ""}] == [line.cells for line in table.lines]


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_what_spreadsheets_write_is_read(file: Path, prefix: bytes, ending: bytes) -> None:
    """A byte order mark, CRLF and an empty last line are how spreadsheets save UTF-8."""
    table = _read(file, prefix + ending.join([b"id,names,phones", b"7,Ann|Archer,", b"", b""]))

    assert ["7"] == [line.cells["id"] for line in table.lines]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [(1, "(header)")]),
        (b"id,names\n7,Ann\n", [(1, "(header)")]),
        (b"id,names,phones,note\n7,Ann,,x\n", [(1, "(header)")]),
        (b"id,names,phones,id\n7,Ann,,7\n", [(1, "(header)")]),
        ("id,names,phones\n7,Ann,\n".encode("utf-16"), [(1, "(file)")]),
        (b"id,names,phones\n7,Ann\n8,Bob,,\n", [(2, "(row)"), (3, "(row)")]),
        (b"id,names,phones\n7,Zo\xeb,\n8,Bob,\xff\n", [(2, "names"), (3, "phones")]),
        (b"id,names,phones\n7,=HYPERLINK(1),\n8,@x,\n9,-1,\n", [(2, "names"), (3, "names"), (4, "names")]),
        (b'id,names,phones\n7,"Ann\nArcher",\n8,=1,\n', [(2, "names"), (4, "names")]),
        (b"id,names,phones\n7,Ann\x00,\n", [(2, "names")]),
        ("id,names,phones\n7,Ann\u202egnp.,\n".encode(), [(2, "names")]),
        (b"id,names,phones\n7," + b"x" * (MAX_CELL + 1) + b",\n", [(2, "names")]),
        (b"id,names,phones\n7," + b"x" * 10_000_000 + b",\n8,=1,\n", [(2, "(row)")]),
        (b'id,names,phones\n7,"Ann"x,\n', [(2, "(row)")]),
        (b'id,names,phones\n7,"Ann,\n', [(2, "(row)")]),
        (b"#as_of=yesterday\nid,names,phones\n7,=1,\n", [(1, "(as_of)"), (3, "names")]),
        (b"#as_of=2026-02-30T08:00:00Z\nid,names,phones\n", [(1, "(as_of)")]),
        (b"#as_of=2026-11-20T08:00:00\nid,names,phones\n", [(1, "(as_of)")]),
        (b"#as_of=2026-11-21T08:00:00Z\nid,names,phones\n", [(1, "(as_of)")]),
        (b"#as_of=2026-11-20T08:00:00Z rows=2\nid,names,phones\n7,Ann,\n", [(1, "(rows)")]),
        (b"#as_of=2026-11-20T08:00:00Z rows=0\nid,names,phones\n7,Ann,\n", [(1, "(rows)")]),
        (b"#as_of=2026-11-20T08:00:00Z rows=1 x\nid,names,phones\n7,Ann,\n", [(1, "(as_of)")]),
    ],
)
def test_every_bad_line_is_named(file: Path, content: bytes, expected: list[tuple[int, str]]) -> None:
    """Line and column of each fault, as an editor counts them."""
    assert expected == _faults(file, content)


def test_a_phone_may_start_with_a_plus(file: Path) -> None:
    """The one plus that is no formula."""
    table = _read(file, b"id,names,phones\n7,Ann,+44 7700 900123; 01632 960001\n")

    assert "+44 7700 900123; 01632 960001" == table.lines[0].cells["phones"]


def test_a_phone_is_no_formula(file: Path) -> None:
    """A plus followed by anything else is one."""
    assert [(2, "phones")] == _faults(file, b"id,names,phones\n7,Ann,+cmd|' /C calc'!A0\n")


@given(cell=st.text(alphabet=st.characters(exclude_characters=',"'), min_size=12))
def test_no_cell_is_echoed(tmp_path_factory: pytest.TempPathFactory, cell: str) -> None:
    """Personal data in a bad line does not reach the message, whatever is wrong with it."""
    file = tmp_path_factory.mktemp("echo") / "entries.csv"
    secret = "Featherstonehaugh" + cell
    file.write_bytes(b"id,names,phones\n7,=" + secret.encode("utf-8", "surrogatepass") + b",,\n")

    with pytest.raises(ImportRefused) as refused:
        read_table(file, COLUMNS, now=NOW).close()

    assert "Featherstonehaugh" not in str(refused.value)


def test_a_missing_file_is_refused(file: Path) -> None:
    """No file, no facts: an import of nothing is an error, not an empty register."""
    with pytest.raises(ImportRefused):
        read_table(file, COLUMNS, now=NOW)


def test_a_stated_number_of_rows_that_is_right(file: Path) -> None:
    """A file may say how long it is, so that one cut short at a line's end is seen."""
    assert 2 == len(
        _read(file, b"#as_of=2026-11-20T08:00:00Z rows=2\nid,names,phones\n7,Ann,\n\n8,Bob,\n").lines
    )


def test_a_pipe_is_refused(file: Path) -> None:
    """A feed that is no file would hold up the import for as long as nobody writes."""
    os.mkfifo(file)

    with pytest.raises(ImportRefused):
        read_table(file, COLUMNS, now=NOW)


def test_findings_are_capped(file: Path) -> None:
    """A file of bad lines does not make a message of its own size, but says how many more there are."""
    faults = _faults(file, b"id,names,phones\n" + b"=1,Ann,\n" * (MAX_FINDINGS + 5))

    assert (MAX_FINDINGS + 1, "(more)") == (len(faults), faults[-1][1])


def test_a_repeated_value_is_named(file: Path) -> None:
    """The later line is the fault, since nobody can say which of the two was meant."""
    file.write_bytes(b"id,names,phones\n7,Ann,\n8,Bob,\n7,Cy,\n")
    table = read_table(file, COLUMNS, now=NOW)
    table.unique("id")

    assert [(4, "id")] == [(fault.line, fault.key) for fault in table.faults]


def test_the_stated_time_stands_for_the_file(file: Path) -> None:
    """An export knows better than the file system when it was true."""
    table = _read(file, b"#as_of=2026-11-20T09:00:00+01:00\nid,names,phones\n")

    assert datetime(2026, 11, 20, 8, tzinfo=UTC) == table.as_of


def test_without_a_stated_time_the_files_change_stands(file: Path) -> None:
    """The moment the file was last written is the most that can be claimed for it."""
    file.write_bytes(b"id,names,phones\n")
    changed = datetime(2026, 11, 19, 7, tzinfo=UTC)
    os.utime(file, (changed.timestamp(), changed.timestamp()))

    assert changed == read_table(file, COLUMNS, now=NOW).as_of


def test_a_file_from_the_future_is_as_old_as_now(file: Path) -> None:
    """A file system whose clock runs ahead may not keep a file fresh for longer than it is."""
    file.write_bytes(b"id,names,phones\n")
    ahead = (NOW + timedelta(days=400)).timestamp()
    os.utime(file, (ahead, ahead))

    assert read_table(file, COLUMNS, now=NOW).as_of == NOW


def test_several_values_and_their_parts() -> None:
    """`;` parts values, `|` parts of one; blanks and empty values are nothing."""
    assert (("a|b", "c"), ("a", "b", "")) == (several(" a|b ;; c ;"), parts("a| b", most=3))
    with pytest.raises(ValueError):
        parts("a|b|c", most=2)
