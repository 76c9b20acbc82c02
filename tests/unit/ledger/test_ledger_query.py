"""`purposegate ledger query`: what it prints, and the entry that it leaves."""

import csv
import json
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from ledgers import entry, open_ledger
from purposegate.cli.ledger import ledger as command
from purposegate.ledger import keys
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file

READING = ("--as", "psd-7", "--purpose", "audit.psd", "--reason", "a complaint about pc-42", "--ref", "PSD/9")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three lookups by pc-42, the second refused."""
    with open_ledger(tmp_path / "l.db") as ledger:
        for number in range(3):
            fields = {
                "principal": "pc-42",
                "purpose": "investigate.crime",
                "ref": f"CR/{number}",
                "reasons": [],
            }
            rows = [{"kind": "person", "id": f"rec-{number}"}]
            ledger.append_wait(entry(number, fields=fields, rows=rows, released=number != 1))
    return tmp_path / "l.db"


def run(path: Path, *words: str, reading: tuple[str, ...] = READING) -> Result:
    return CliRunner().invoke(command, ["query", str(path), *reading, *words])


def last_entry(path: Path) -> tuple[str, dict[str, object]]:
    """Kind and fields of the newest entry."""
    reader = SqliteReader(path)
    (shard,) = reader.shards()
    *_, stored = reader.entries(1, 0, shard.head.size)
    payload = Opener(keys.load(path.with_name("l.db.keys")), [shard]).payload(1, stored)
    reader.close()
    assert payload
    return read_leaf(stored.leaf).kind, payload.fields


def test_json_gives_whole_entries_newest_first(path: Path) -> None:
    """One JSON object a line, with every field and row."""
    result = run(path, "--principal", "pc-42", "--format", "json")
    found = [json.loads(line) for line in result.stdout.splitlines()]

    assert 0 == result.exit_code
    assert ["shard-0/3", "shard-0/2", "shard-0/1"] == [one["entry"] for one in found]
    assert ("CR/2", [{"id": "rec-2", "kind": "person"}]) == (found[0]["fields"]["ref"], found[0]["rows"])


def test_more_than_the_limit_is_told_with_the_way_on(tmp_path: Path) -> None:
    """Where more was found than is shown, the search says so, and its own hint leads to the rest, page by page."""
    with open_ledger(tmp_path / "l.db") as ledger:
        for number in range(7):
            ledger.append_wait(entry(number))
    page = ("--principal", "pc-42", "--limit", "3", "--format", "json")
    seen: list[str] = []
    until: tuple[str, ...] = ()
    told = [""]
    for _ in range(4):
        result = run(tmp_path / "l.db", *page, *until)
        seen += [json.loads(line)["entry"] for line in result.stdout.splitlines()]
        told.append(result.stderr)
        if "of MORE" not in result.stderr:
            break
        until = ("--until", result.stderr.partition("--until ")[2].partition(",")[0])

    assert {f"shard-0/{number}" for number in range(1, 8)} == set(seen)
    assert "found; this search" in told[-1]


def test_csv_has_one_row_an_entry(path: Path) -> None:
    """CSV for a spreadsheet: header, then one row an entry."""
    rows = list(
        csv.DictReader(
            run(path, "--outcome", "withheld", "--kind", "release", "--format", "csv").stdout.splitlines()
        )
    )

    assert [("shard-0/2", "withheld", "person/rec-1")] == [
        (row["entry"], row["outcome"], row["records"]) for row in rows
    ]


def test_csv_cells_are_no_formulas(tmp_path: Path) -> None:
    """What a principal typed cannot run in the spreadsheet of the investigator."""
    with open_ledger(tmp_path / "l.db") as ledger:
        ledger.append_wait(entry(1, fields={"principal": "=cmd|' /C calc'!A0"}))
    result = run(tmp_path / "l.db", "--kind", "release", "--format", "csv")

    assert "'=cmd" in result.stdout


def test_table_shows_no_terminal_escapes(tmp_path: Path) -> None:
    """What a principal typed cannot rewrite the investigator's terminal, nor pose as markup."""
    with open_ledger(tmp_path / "l.db") as ledger:
        ledger.append_wait(entry(1, fields={"principal": "pc\x1b[2J[red]42"}))
    result = run(tmp_path / "l.db", "--kind", "release")

    assert "\x1b" not in result.stdout
    assert "[red]42" in result.stdout


def test_search_leaves_its_entry_first(path: Path) -> None:
    """Who searched, why and for what stands in the ledger, which still verifies."""
    result = run(path, "--principal", "pc-42")
    kind, fields = last_entry(path)

    assert "this search is entry shard-0/4" in result.stderr
    assert ("reading", "psd-7", "audit.psd", "PSD/9") == (
        kind,
        fields["principal"],
        fields["purpose"],
        fields["ref"],
    )
    assert {"principal": "pc-42", "limit": "100"} == fields["asked"]
    assert 0 == verify_file(path).exit_code


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (("--as", "psd-7", "--purpose", "investigate.crime", "--reason", "a complaint"), "audit or rights"),
        (("--as", "psd-7", "--purpose", "audit.psd", "--reason", "x"), "in a sentence"),
        (("--as", "", "--purpose", "audit.psd", "--reason", "a complaint"), "who reads"),
    ],
)
def test_evidence_opens_only_for_its_purposes(path: Path, reading: tuple[str, ...], message: str) -> None:
    """Another purpose, no reason, nobody: nothing is shown, and nothing is written."""
    result = run(path, "--principal", "pc-42", reading=reading)

    assert (2, "") == (result.exit_code, result.stdout)
    assert message in result.stderr
    assert 0 == verify_file(path).exit_code
    assert "release" == last_entry(path)[0]


def test_nothing_is_shown_that_could_not_be_recorded(path: Path) -> None:
    """With the signer file gone the ledger cannot be written, so it cannot be searched either."""
    path.with_name("l.db.signer").unlink()
    result = run(path, "--principal", "pc-42")

    assert (2, "") == (result.exit_code, result.stdout)


def test_rebuilt_index_finds_the_same(path: Path) -> None:
    """The index can be thrown away at any time."""
    before = run(path, "--case", "CR/1", "--format", "csv").stdout
    after = run(path, "--case", "CR/1", "--format", "csv", "--rebuild").stdout

    assert "shard-0/2" in before
    assert before == after


@pytest.mark.parametrize(
    "words", [["--born", "1990"], ["--record", "person"], ["--since", "yesterday"], ["--limit", "0"]]
)
def test_malformed_criteria_are_usage_errors(path: Path, words: list[str]) -> None:
    """A criterion that cannot be read is told, and no search is recorded."""
    assert 3 == run(path, *words).exit_code
    assert "release" == last_entry(path)[0]


def verified(path: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["verify", str(path), *words])


def test_verify_compares_the_search_index(path: Path) -> None:
    """An entry that the index was made to hide is named; the untouched index is in order; without one nothing is decided."""
    assert 2 == verified(path, "--index").exit_code
    run(path, "--principal", "pc-42")
    assert 0 == verified(path, "--index").exit_code
    connection = apsw.Connection(str(path.with_name("l.db.index")))
    connection.execute("DELETE FROM term WHERE kind = 2 AND pos & 255 = 2")
    connection.close()
    result = verified(path, "--index")

    assert 1 == result.exit_code
    assert (
        "TAMPERED shard-0 entry 2: search terms: expected those that the entry gives, found fewer"
        in result.stdout
    )


def test_index_is_compared_under_the_key(path: Path) -> None:
    """The terms are keyed: with another ledger's key file the index is not called tampered with."""
    run(path, "--principal", "pc-42")
    path.with_name("l.db.keys").rename(path.with_name("kept"))

    assert 2 == verified(path, "--index").exit_code
    assert 0 == verified(path, "--index", "--keys", str(path.with_name("kept"))).exit_code


def test_another_ledgers_keys_open_nothing(path: Path, tmp_path: Path) -> None:
    """With another ledger's key file nothing is searched, compared, written or called tampered with."""
    open_ledger(tmp_path / "other.db").close()
    run(path, "--principal", "pc-42")
    other = str(tmp_path / "other.db.keys")
    before = path.with_name("l.db.index").read_bytes()

    assert 2 == run(path, "--principal", "pc-42", "--keys", other).exit_code
    assert 2 == verified(path, "--index", "--keys", other).exit_code
    assert before == path.with_name("l.db.index").read_bytes()
