"""`purposegate review`: what the list shows of a real ledger, what reading it leaves, and how it is kept up."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ledgers import open_ledger
from past_lookups import READING
from purposegate.cli.review import review as command
from purposegate.ledger import keys
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file
from purposegate.model import Entry, EntryKind
from purposegate.review.terms import Terms
from purposegate.review.work_index import WorkIndex
from purposegate.review.work_list import WorkList

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANN = [{"names": [["Ann", "Archer"]], "born": ["1984-02-29"]}]
SIBLING = {"whose": "principal", "relation": "sibling", "tier": "confirmed"}


def lookup(number: int, *, who: str = "E1", record: str = "p1", **changes: Any) -> Entry:
    """One view, flagged, as the gate would enter it."""
    row = {
        "kind": "person",
        "id": record,
        "released": True,
        "reasons": [],
        "obligations": ["flag"],
        "conflicts": [],
        "sight": number,
        "repeat": "few",
        "subjects": ANN,
    }
    fields = {
        "principal": who,
        "purpose": "investigate.crime",
        "ref": "CR/1/26",
        "action": "view",
        "reasons": [],
        "obligations": [],
        "on_duty": True,
        "records": [["person", record]],
    }
    kind = changes.pop("kind", EntryKind.RELEASE)
    return Entry(
        kind=kind,
        lookup_id=f"l{number}",
        at=changes.pop("at", AT + timedelta(minutes=number)),
        released=kind is EntryKind.RELEASE,
        fields=fields | changes.pop("fields", {}),
        rows=[row | changes],
    )


def append(path: Path, *entries: Entry) -> None:
    """Write entries."""
    with open_ledger(path) as ledger:
        for one in entries:
            ledger.append_wait(one)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """E1 keeps opening Ann's record, once refused before the answer; E2 opens a sibling's; E3 does nothing that is flagged."""
    path = tmp_path / "l.db"
    refused: dict[str, Any] = {
        "released": False,
        "subjects": [],
        "reasons": ["policy-refused"],
        "obligations": [],
    }
    append(
        path,
        lookup(1),
        lookup(2),
        lookup(3, kind=EntryKind.REFUSAL, fields={"reasons": ["policy-refused"]}, **refused),
        lookup(
            4, who="E2", record="p2", conflicts=[SIBLING], subjects=[{"names": [["Bo", "Bly"]], "born": []}]
        ),
        lookup(5, who="E3", record="p3", obligations=[]),
    )
    return path


def run(path: Path, *words: str, verb: str = "list", reading: tuple[str, ...] = READING) -> Result:
    """One command."""
    return CliRunner().invoke(command, [verb, str(path), *words, *reading])


def listed(path: Path, *words: str) -> list[dict[str, Any]]:
    """The groups, as JSON."""
    result = run(path, "--format", "json", *words)
    assert 0 == result.exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_lookups_are_grouped_by_who_looked_and_whom_they_looked_at(path: Path) -> None:
    """Two views and a refusal that knew the record's id alone are one group; the sibling stands above it."""
    groups = listed(path)

    assert [("E2", "Bo Bly", 1), ("E1", "Ann Archer, 1984-02-29", 3)] == [
        (one["principal"], one["about"], one["lookups"]) for one in groups
    ]
    assert groups[0]["score"] > groups[1]["score"]
    assert "sibling" in groups[0]["why"]


def test_a_group_is_named_by_any_entry_that_knows_the_person(path: Path) -> None:
    """Also where the heaviest rows were refused by the record's id alone."""
    refused: dict[str, Any] = {
        "released": False,
        "subjects": [],
        "reasons": ["policy-refused"],
        "obligations": ["flag", "approve"],
    }
    append(path, *(lookup(n, kind=EntryKind.REFUSAL, repeat="over", **refused) for n in range(6, 16)))

    assert "Ann Archer, 1984-02-29" == next(one["about"] for one in listed(path) if one["principal"] == "E1")


def test_one_person_reached_by_two_records_is_one_group(path: Path) -> None:
    """Who comes to somebody through another record is not two people's business."""
    append(path, lookup(6, record="vehicle-9"))

    assert 4 == next(one["lookups"] for one in listed(path) if one["principal"] == "E1")


def test_show_names_each_entry(path: Path) -> None:
    """Every row with the entry that made it, the heaviest first."""
    group = listed(path)[1]["group"]
    result = run(path, group, "--format", "json", verb="show")
    rows = [json.loads(line) for line in result.stdout.splitlines()]

    assert {"shard-0/1", "shard-0/2", "shard-0/3"} == {one["entry"] for one in rows}
    assert {"open"} == {one["disposition"] for one in rows}
    assert all(one["why"].startswith("E1 looked up person/p1") for one in rows)


def test_reading_the_list_leaves_an_entry(path: Path) -> None:
    """Law 11: who read, why and what, before anything is shown."""
    result = run(path)
    reader = SqliteReader(path)
    size = reader.shards()[0].head.size
    reader.close()

    assert f"this reading is entry shard-0/{size - 1}" in result.stderr


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(READING[2:], id="nobody"),
        pytest.param((*READING[:3], "investigate.crime", *READING[4:]), id="no purpose for it"),
        pytest.param((*READING[:-1], "why"), id="no reason"),
    ],
)
def test_nobody_reads_it_without_saying_who_and_why(path: Path, reading: tuple[str, ...]) -> None:
    """Nothing is shown without a reader, a purpose under audit or rights, and a reason."""
    result = run(path, reading=reading)

    assert 0 != result.exit_code
    assert "Ann" not in result.output


def test_a_closed_group_is_gone_until_something_new_happens(path: Path) -> None:
    """The disposition is an entry; the next lookup of the same person opens the group again, with the old rows closed."""
    group = listed(path)[1]["group"]
    done = run(path, group, "--disposition", "no-concern", "--note", "covered for a colleague", verb="close")
    after = listed(path)
    append(path, lookup(7))
    again = [one for one in listed(path) if one["principal"] == "E1"]
    whole = [one for one in listed(path, "--all") if one["principal"] == "E1"]

    assert (0, ["E2"]) == (done.exit_code, [one["principal"] for one in after])
    assert [(group, 1, "open")] == [(one["group"], one["lookups"], one["disposition"]) for one in again]
    assert [(4, "no-concern open")] == [(one["lookups"], one["disposition"]) for one in whole]
    assert 0 == verify_file(path).exit_code


def test_a_group_can_be_opened_again(path: Path) -> None:
    """A disposition is not the last word."""
    group = listed(path)[1]["group"]
    for disposition in ("upheld", "open"):
        run(path, group, "--disposition", disposition, "--note", "looked at again", verb="close")

    assert group in {one["group"] for one in listed(path)}


def test_closing_one_group_leaves_another_of_the_same_entry(path: Path) -> None:
    """A denied countersign is two people's rows; closing one's says nothing of the other's."""
    denied = {
        "event": "denied",
        "matter": "l9",
        "principal": "E5",
        "looked_up_by": "E4",
        "records": [["person", "p9"]],
    }
    append(path, Entry(kind=EntryKind.COUNTERSIGN, lookup_id="l9", at=AT, released=False, fields=denied))
    before = {one["principal"]: one["group"] for one in listed(path)}
    run(path, before["E4"], "--disposition", "upheld", "--note", "interviewed", verb="close")

    assert {"E1", "E2", "E5"} == {one["principal"] for one in listed(path)}


def test_the_file_of_the_list_can_be_thrown_away(path: Path) -> None:
    """Dispositions too come from entries: what is made again is what there was."""
    group = listed(path)[1]["group"]
    run(path, group, "--disposition", "referred", "--note", "to the unit", verb="close")
    before = listed(path, "--all")
    made = CliRunner().invoke(command, ["rebuild", str(path)])

    assert 0 == made.exit_code, made.output
    assert before == listed(path, "--all")


def test_no_personal_data_stands_in_the_file(path: Path) -> None:
    """Tokens, places and words for reasons, no names and no ids."""
    listed(path)
    files = path.parent.glob("l.db.worklist*")
    content = b"".join(file.read_bytes() for file in files)

    assert not [text for text in (b"Archer", b"E1", b"p1", b"CR/1") if text in content]


def test_a_ledger_put_back_is_read_again(path: Path) -> None:
    """A list that knows more than the ledger holds is made anew."""
    copy = {file: file.read_bytes() for file in path.parent.iterdir() if "worklist" not in file.name}
    append(path, lookup(6), lookup(7))
    assert 5 == next(one["lookups"] for one in listed(path) if one["principal"] == "E1")
    for file in path.parent.iterdir():
        if "worklist" not in file.name:
            file.unlink()
    for file, content in copy.items():
        file.touch(mode=0o600)
        file.write_bytes(content)

    assert 3 == next(one["lookups"] for one in listed(path) if one["principal"] == "E1")


def test_a_spreadsheet_runs_nothing_and_a_terminal_shows_no_escapes(tmp_path: Path) -> None:
    """What people typed may begin like a formula, or hold what a terminal obeys."""
    path = tmp_path / "l.db"
    append(path, lookup(1, who="=cmd()", fields={"ref": "\x1b[2J[bold]x"}))
    sheet = list(csv.DictReader(io.StringIO(run(path, "--format", "csv").stdout)))

    assert "'=cmd()" == sheet[0]["principal"]
    assert "\x1b" not in run(path).stdout


def test_the_list_reads_only_what_is_new(path: Path) -> None:
    """What was read is remembered: a second look reads the entries in between."""
    reader = SqliteReader(path)
    index = WorkIndex(path.with_name("w"), reader, keys.load(path.with_name("l.db.keys")), Terms())
    first = index.catch_up()
    append(path, lookup(6))
    second = index.catch_up()
    shown = WorkList(index, reader, keys.load(path.with_name("l.db.keys")), Terms())
    groups = index.groups(now=AT + timedelta(days=1), limit=10)
    lines = shown.lines(groups[0], now=AT + timedelta(days=1))
    index.close()
    reader.close()

    assert (6, 1, 2) == (first, second, len(groups))
    assert lines[0].row is not None


def test_an_overdue_row_waits_for_its_time(tmp_path: Path) -> None:
    """On the list after the deadline, and off it when the originator answers, however late."""
    path = tmp_path / "l.db"
    known = {"originator": "E2", "originator_known_as": "E2", "originator_confirmed": False}
    recent = datetime.now(UTC)
    append(
        path,
        lookup(1, at=recent - timedelta(hours=73), obligations=[], fields=known),
        lookup(2, at=recent, obligations=[], fields=known),
    )
    overdue = listed(path)
    answer = {"event": "confirmed", "matter": "l1", "principal": "E2"}
    append(path, Entry(kind=EntryKind.COUNTERSIGN, lookup_id="l1", at=recent, released=False, fields=answer))

    assert [("E1", 1), ("E2", 1)] == sorted((one["principal"], one["lookups"]) for one in overdue)
    assert [] == listed(path)
