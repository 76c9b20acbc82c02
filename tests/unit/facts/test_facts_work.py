"""References, assignments, what they involve, and the roster, as imported."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from force_files import ASSIGNMENTS, DUTY, LONDON, NOW, REFERENCE_RECORDS, REFERENCES, Cells, write
from purposegate.errors import ImportRefused
from purposegate.facts.work import (
    Assignment,
    read_assignments,
    read_duty,
    read_reference_records,
    read_references,
)
from purposegate.model import RecordRef

CASE = {"ref": "CR/1/26", "kind": "case", "state": "open", "opened": "2026-03-01"}


def _is_open(tmp_path: Path, cells: Cells, at: datetime = NOW) -> bool:
    source = read_references(write(tmp_path / "references.csv", REFERENCES, [{**CASE, **cells}]), NOW, LONDON)
    return source.held["cr/1/26"].open.holds(at)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({}, True),
        ({"opened": ""}, True),
        ({"opened": "2026-11-21"}, False),
        ({"closed": "2026-11-20"}, True),
        ({"closed": "2026-11-19"}, False),
        ({"closed": "2026-11-20T11:59:00Z"}, False),
        ({"state": "closed"}, False),
        ({"state": "closed", "closed": "2026-11-19"}, False),
        ({"state": "closed", "closed": "2027-01-01"}, False),
        ({"state": "closed", "opened": "", "closed": ""}, False),
    ],
)
def test_a_reference_is_open_or_not(tmp_path: Path, cells: Cells, *, expected: bool) -> None:
    """Open from its first day to its last; what is marked closed is closed, whatever its dates say."""
    assert expected == _is_open(tmp_path, cells)


def test_assignments_may_come_and_go(tmp_path: Path) -> None:
    """One person, one reference, two spells."""
    spells = [
        {"ref": "CR/1/26", "staff_id": "E1", "from": "2026-01-01", "to": "2026-01-31"},
        {"ref": "cr/1/26 ", "staff_id": "E1", "from": "2026-11-01", "to": ""},
    ]
    held = read_assignments(write(tmp_path / "assignments.csv", ASSIGNMENTS, spells), NOW, LONDON).held

    assert [False, True] == [interval.holds(NOW) for interval in held[Assignment("cr/1/26", "e1")]]


def test_a_reference_names_records_of_several_kinds(tmp_path: Path) -> None:
    """Persons and vehicles of one case."""
    rows = [{"ref": "CR/1/26", "kind": kind, "id": "7"} for kind in ("person", "vehicle")]
    held = read_reference_records(write(tmp_path / "involves.csv", REFERENCE_RECORDS, rows), NOW).held

    assert {"cr/1/26": {RecordRef("person", "7"), RecordRef("vehicle", "7")}} == held


def test_a_shift_ends_at_its_moment(tmp_path: Path) -> None:
    """Rosters are in clock time with offset."""
    shift = {"staff_id": "E1", "from": "2026-11-20T06:00+00:00", "to": "2026-11-20T14:00+00:00"}
    (interval,) = read_duty(write(tmp_path / "duty.csv", DUTY, [shift]), NOW, LONDON).held["e1"]

    assert (True, False) == (interval.holds(NOW), interval.holds(datetime(2026, 11, 20, 14, tzinfo=UTC)))


def _references(path: Path, *rows: Cells) -> object:
    return read_references(write(path, REFERENCES, rows), NOW, LONDON)


def _assignments(path: Path, *rows: Cells) -> object:
    return read_assignments(write(path, ASSIGNMENTS, rows), NOW, LONDON)


def _involved(path: Path, *rows: Cells) -> object:
    return read_reference_records(write(path, REFERENCE_RECORDS, rows), NOW)


def _duty(path: Path, *rows: Cells) -> object:
    return read_duty(write(path, DUTY, rows), NOW, LONDON)


@pytest.mark.parametrize(
    ("read", "rows", "expected"),
    [
        (_references, [CASE, {**CASE, "ref": "cr/1/26"}], [(4, "ref")]),
        (_references, [{**CASE, "ref": ""}], [(3, "ref")]),
        (_references, [{**CASE, "kind": "", "state": "shut"}], [(3, "kind"), (3, "state")]),
        (_references, [{**CASE, "opened": "2026-03-02", "closed": "2026-03-01"}], [(3, "closed")]),
        (_references, [{**CASE, "opened": "1/3/26", "closed": "now"}], [(3, "opened"), (3, "closed")]),
        (_assignments, [{"ref": "", "staff_id": ""}], [(3, "ref"), (3, "staff_id")]),
        (_assignments, [{"ref": "a", "staff_id": "b", "from": "2026-03-01T09:00"}], [(3, "from")]),
        (_involved, [{"ref": "a", "kind": "", "id": ""}], [(3, "kind"), (3, "id")]),
        (_duty, [{"staff_id": "E1", "from": "2026-03-01", "to": "2026-02-01"}], [(3, "to")]),
        (_duty, [{"staff_id": "", "from": "x"}], [(3, "staff_id"), (3, "from")]),
    ],
)
def test_every_bad_cell_is_named(
    tmp_path: Path, read: Callable[..., object], rows: list[Cells], expected: list[tuple[int, str]]
) -> None:
    """Line and column, all of them at once; nothing of the file is taken."""
    with pytest.raises(ImportRefused) as refused:
        read(tmp_path / "work.csv", *rows)

    assert expected == [(finding.line, finding.key) for finding in refused.value.findings]
