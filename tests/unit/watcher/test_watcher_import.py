"""What the watcher takes: intelligence entries as CSV or JSON Lines, all or nothing."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from force_files import REGISTER
from past_lookups import COVERT, RULES, write_entries
from purposegate.conflicts.register import RegisterEntry, read_register
from purposegate.errors import ImportRefused, SettingsError
from purposegate.ledger.reading import ReadingDeclared
from purposegate.review.watcher.entries import Offered, read_entries
from purposegate.review.watcher.watching import Watcher

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
READER = ReadingDeclared("psd-7", "root", "audit.psd", "complaint of the neighbour", "PSD/12")


def read(path: Path) -> Offered:
    return read_entries(path, RULES, now=NOW, zone=LONDON)


def lines(path: Path, *rows: object) -> Path:
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
    )
    return path


def test_both_forms_mean_the_same(tmp_path: Path) -> None:
    """The same entry as CSV and as JSON Lines, where empty columns may be left out."""
    as_csv = read(write_entries(tmp_path / "i.csv", COVERT)).entries
    as_json = read(lines(tmp_path / "i.jsonl", COVERT)).entries

    assert as_csv == as_json
    assert ["i1"] == [entry.id for entry in as_csv]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"provenance": "vetting"}, "provenance"),
        ({"provenance": ""}, "provenance"),
        ({"relation": "self"}, "relation"),
        ({"relation": "accomplice"}, "relation"),
        ({"id": ""}, "id"),
        ({"principal": ""}, "principal"),
        ({"names": ""}, "names"),
        ({"born": "2031-01-01"}, "born"),
        ({"known_from": "2027-01-01"}, "known_from"),
        ({"valid_from": "2024-02-01", "valid_to": "2024-01-01"}, "valid_to"),
        ({"records": "900"}, "records"),
        ({"addresses": "|||||||"}, "addresses"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_bad_lines_are_named(tmp_path: Path, form: str, change: Mapping[str, str], column: str) -> None:
    """A fault names its line and column, never the cell; the good line beside it is not taken either."""
    rows = ({**COVERT, "id": "i0"}, {**COVERT, **change})
    path = write_entries(tmp_path / "i.csv", *rows) if form == "csv" else lines(tmp_path / "i.jsonl", *rows)
    with pytest.raises(ImportRefused) as refused:
        read(path)

    assert [(3 if form == "csv" else 2, column)] == [(one.line, one.key) for one in refused.value.findings]
    assert "uillfeather" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '{"id": 1}',
        '{"names": ["Ann|Archer"]}',
        '{"unknown": "x"}',
        json.dumps(COVERT)[:-1] + ', "id": "i3"}',
        json.dumps({**COVERT, "names": "Ann|\ud800"}),
        json.dumps({**COVERT, "names": "x" * 2001}),
        json.dumps({**COVERT, "names": "Ann|\nArcher"}),
        json.dumps({**COVERT, "names": "Ann|\u202eArcher"}),
        "[" * 100_000,
    ],
    ids=str.__len__,
)
def test_malformed_json_lines_are_refused(tmp_path: Path, text: str) -> None:
    """A line that is not an object of texts is a fault of that line."""
    with pytest.raises(ImportRefused) as refused:
        read(lines(tmp_path / "i.jsonl", {**COVERT, "id": "i0"}, text))

    assert {2} == {one.line for one in refused.value.findings}


def test_undecodable_json_line_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are a fault of their line."""
    path = tmp_path / "i.jsonl"
    path.write_bytes(json.dumps(COVERT).encode() + b'\n{"id": "\xff"}')
    with pytest.raises(ImportRefused) as refused:
        read(path)

    assert [2] == [one.line for one in refused.value.findings]


@pytest.mark.parametrize("name", ["i.csv", "i.jsonl"])
def test_empty_file_and_repeated_ids_are_refused(tmp_path: Path, name: str) -> None:
    """A file without entries is a broken export; an id twice leaves open which is meant."""
    make = write_entries if name == "i.csv" else lines
    with pytest.raises(ImportRefused):
        read(make(tmp_path / name))
    with pytest.raises(ImportRefused) as refused:
        read(make(tmp_path / name, COVERT, COVERT))

    assert ["id"] == [one.key for one in refused.value.findings]


def test_nothing_is_half_imported(tmp_path: Path) -> None:
    """One bad line among good ones: the store keeps what it had."""
    one = Watcher(tmp_path / "watcher", RULES, zone=LONDON)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    with pytest.raises(ImportRefused):
        one.take(write_entries(tmp_path / "i.csv", {**COVERT, "id": "i2"}, {**COVERT, "id": ""}), READER)
    unchanged = one.take(write_entries(tmp_path / "i.csv", COVERT), READER)

    assert (0, 0) == unchanged


@pytest.mark.parametrize(
    "reading",
    [
        READER._replace(purpose="investigate.crime"),
        READER._replace(reason="x"),
        READER._replace(reader=""),
    ],
)
def test_import_and_reading_need_an_audit_purpose(tmp_path: Path, reading: ReadingDeclared) -> None:
    """Nobody imports or reads without a name, an audit purpose and a reason."""
    one = Watcher(tmp_path / "watcher", RULES, zone=LONDON)
    path = write_entries(tmp_path / "i.csv", COVERT)

    for ask in (lambda: one.take(path, reading), lambda: one.hits(reading)):
        with pytest.raises(SettingsError):
            ask()
    assert not (tmp_path / "watcher" / "chain.db").exists()


def test_register_refuses_what_the_watcher_takes(tmp_path: Path) -> None:
    """The two worlds have no entry in common: each refuses the other's provenance."""
    path = write_entries(tmp_path / "i.csv", COVERT)
    taken: tuple[RegisterEntry, ...] = read(path).entries
    with pytest.raises(ImportRefused, match="law 6"):
        read_register(path, RULES, now=NOW, zone=LONDON)

    assert (1, set(REGISTER)) == (len(taken), set(read(path).cells[0]))
