"""`purposegate conflicts`: reading the register against the past is itself a lookup, with its entry before its answer."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demo.force import Row
from force_files import somebody
from gates import World, build_world
from past_lookups import READING, lookup, write_ledger
from purposegate.cli.conflicts import conflicts as command
from purposegate.cli.review import review
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file
from purposegate.model import Address, Identity

LONG_AGO = datetime(2015, 3, 1, 12, tzinfo=UTC)


def identity(row: Row) -> Identity:
    address = Address(number=row["street_number"], street=row["address_1"], postcode=row["postcode"])
    return somebody(row["given_name"], row["surname"], row["date_of_birth"], address)


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The demo's force, whose register ties T1001 to a relative; T1001 looked at the relative twice, at another once."""
    made = build_world(tmp_path_factory.mktemp("force"))
    relative = identity(made.both.records[made.cast.relative])
    stranger = identity(made.both.records[made.cast.witness])
    made.settings()
    write_ledger(
        made.home / "purposegate.db",
        [
            lookup(1, relative, who="T1001", record="77", at=LONG_AGO),
            lookup(2, stranger, who="T1001", record="78"),
            lookup(3, relative, who="t1001 ", record="77", released=False),
            lookup(4, relative, who="T1002", record="77"),
        ],
    )
    return made


@pytest.fixture
def world(force: World, tmp_path: Path) -> World:
    """A copy of it that a test may write to."""
    return replace(force, home=Path(shutil.copytree(force.home, tmp_path / "force")))


def run(world: World, *words: str, reading: Sequence[str] = READING) -> Result:
    return CliRunner().invoke(command, [*words, "--settings", str(world.home / "purposegate.yaml"), *reading])


def found(result: Result) -> list[dict[str, Any]]:
    assert 0 == result.exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def kinds(world: World) -> list[str]:
    reader = SqliteReader(world.home / "purposegate.db")
    try:
        (shard,) = reader.shards()
        return [json.loads(each.leaf)["k"] for each in reader.entries(shard.number, 0, shard.head.size)]
    finally:
        reader.close()


def test_lookback_finds_past_lookups_on_two_clocks(world: World) -> None:
    """Both lookups of the relative, released or not, and nobody else's: one before the tie and unknown, one during and known."""
    hits = found(run(world, "lookback", "--format", "json"))

    assert [("C-1", "person/77", True), ("C-1", "person/77", False)] == [
        (hit["entry"], hit["record"], hit["released"]) for hit in hits
    ]
    assert [("before_relationship", "before_known"), ("during", "known")] == [
        (hit["timing"], hit["knowledge"]) for hit in hits
    ]
    assert all(hit["table"] and hit["ledger"].startswith("shard-0/") for hit in hits)


def test_reading_stands_in_the_ledger(world: World) -> None:
    """Each run, hits or none, is one reading in the serving ledger, which still verifies; what it found is an entry too."""
    run(world, "lookback")
    run(world, "explain", "T1001", "person/77")

    assert ["reading", "past-hit", "reading"] == kinds(world)[-3:]
    assert 0 == verify_file(world.home / "purposegate.db").exit_code


def test_what_looking_back_found_is_on_the_work_list(world: World) -> None:
    """Once, beside whatever the same person did; and the reader is nobody who looked anything up."""
    for _ in range(2):
        run(world, "lookback", "--all")
    listed = CliRunner().invoke(
        review, ["list", str(world.home / "purposegate.db"), "--format", "json", *READING]
    )
    groups = found(listed)

    assert ["T1001"] == [one["principal"].strip().upper() for one in groups]
    assert all("relative" in one["why"] for one in groups)
    assert [] == [
        hit
        for hit in found(run(world, "lookback", "--all", "--format", "json"))
        if hit["principal"] == READING[1]
    ]


def test_lookback_again_takes_what_is_new(world: World) -> None:
    """Entries already looked back for are left out until they change, or until all are asked for."""
    assert 2 == len(found(run(world, "lookback", "--format", "json")))
    assert [] == found(run(world, "lookback", "--format", "json"))
    assert 2 == len(found(run(world, "lookback", "--all", "--format", "json")))
    register = world.home / "register.csv"
    register.write_text(
        register.read_text(encoding="utf-8").replace(",relative,", ",parent,"), encoding="utf-8"
    )

    assert ["parent", "parent"] == [
        hit["relation"] for hit in found(run(world, "lookback", "--format", "json"))
    ]


def test_part_of_the_past_does_not_count_as_all(world: World) -> None:
    """A run limited in time shows what lies in it, and leaves the entry to be looked back for."""
    assert 1 == len(found(run(world, "lookback", "--since", "2026-01-01", "--format", "json")))
    assert 2 == len(found(run(world, "lookback", "--entry", "C-1", "--format", "json")))


def test_index_is_derived(world: World) -> None:
    """Without its index, the past is read again and says the same."""
    before = found(run(world, "lookback", "--format", "json"))
    (world.home / "purposegate.db.lookback").unlink()

    assert before == found(run(world, "lookback", "--format", "json"))


def test_explain_shows_the_tie_and_its_table(world: World) -> None:
    """What the gate would find now, by the people that the record's newest entry shows; the lines of the score with it."""
    result = run(world, "explain", "T1001", "person/77")

    assert 0 == result.exit_code, result.output
    assert (
        "T1001 and person/77: 1 ties (1 register entries; its people as shard-0/4 has them)" in result.stdout
    )
    assert "relative, confirmed, by register:C-1 (vetting)" in result.stdout
    assert "birth:exact" in result.stdout


def test_explain_without_a_sighting_says_so(world: World) -> None:
    """A record that nobody looked up has no people here, and that is said."""
    result = run(world, "explain", "T1001", "person/unseen")

    assert (
        "0 ties (1 register entries; no entry of the ledger shows its people; its id alone)" in result.stdout
    )


@pytest.mark.parametrize("words", [("lookback", "--format", "json"), ("explain", "T1001", "person/77")])
@pytest.mark.parametrize(
    "reading",
    [
        (),
        ("--as", "psd-7", "--purpose", "investigate.crime", "--reason", "complaint of the neighbour"),
        ("--as", "", "--purpose", "audit.psd", "--reason", "complaint of the neighbour"),
        ("--as", "psd-7", "--purpose", "audit.psd", "--reason", "x"),
    ],
    ids=["nothing declared", "wrong purpose", "nobody", "junk reason"],
)
def test_undeclared_reading_shows_nothing(world: World, words: Sequence[str], reading: Sequence[str]) -> None:
    """Without a name, an audit purpose and a reason, nothing is shown and nothing written."""
    before = kinds(world)
    result = run(world, *words, reading=reading)

    assert result.exit_code != 0
    assert "" == result.stdout
    assert before == kinds(world)


@pytest.mark.parametrize("words", [("lookback", "--format", "json"), ("explain", "T1001", "person/77")])
def test_unrecorded_reading_shows_nothing(world: World, words: Sequence[str]) -> None:
    """A ledger that cannot take the reading's entry: nothing is shown."""
    (world.home / "purposegate.db.signer").unlink()
    result = run(world, *words)

    assert result.exit_code != 0
    assert "" == result.stdout


@pytest.mark.parametrize("words", [("lookback", "--entry", "C-404"), ("explain", "T1001", "rec-77")])
def test_unknown_names_are_usage_errors(world: World, words: Sequence[str]) -> None:
    """An entry that the register lacks, a record without its kind."""
    assert 2 == run(world, *words).exit_code


def test_association_learnt_years_later(world: World) -> None:
    """The published case: nine lookups of one person over two years, the tie entered afterwards: all nine, none of them known."""
    friend = somebody("Jordan", "Quillfeather", "1993-06-17")
    quarters = [datetime(2024 + month // 12, month % 12 + 1, 5, 9, tzinfo=UTC) for month in range(0, 27, 3)]
    lookups = [lookup(10 + at, friend, who="T1003", record="90", at=when) for at, when in enumerate(quarters)]
    write_ledger(world.home / "purposegate.db", lookups)
    run(world, "lookback")
    register = world.home / "register.csv"
    row = "C-9,T1003,associate,vetting,Jordan|Quillfeather,1993-06-17,,,,,2024-02-01,,2026-11-20,\n"
    register.write_text(register.read_text(encoding="utf-8") + row, encoding="utf-8")
    hits = found(run(world, "lookback", "--format", "json"))

    assert [("C-9", "before_known")] * 9 == [(hit["entry"], hit["knowledge"]) for hit in hits]
    assert ["before_relationship"] + ["during"] * 8 == [hit["timing"] for hit in hits]
