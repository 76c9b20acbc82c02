"""`purposegate challenge reveal`: a day's draws made again by whoever has the key, the ledger and a reason to look."""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gates import MINE, World, behind, build_world, copied_policies, opened
from hostile import HostileApp, row_page
from ledgers import entry
from past_lookups import READING
from purposegate.cli.challenge import challenge as command
from purposegate.facts.challenge import DayKeys, any_drawn, key_path
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.model import Action, Declaration, Entry, EntryKind, Lookup, Principal, RecordRef

DAY = date(2026, 11, 18)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
RATE = 250_000
ORIGIN = "force.example/purposegate/demo"


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The demo's force, with settings and no ledger yet."""
    made = build_world(tmp_path_factory.mktemp("force"))
    made.settings()
    return made


@pytest.fixture
def world(force: World, tmp_path: Path) -> World:
    """A copy of it that a test may write to."""
    return replace(force, home=Path(shutil.copytree(force.home, tmp_path / "force")))


def _lookup(number: int) -> Lookup:
    """A view of a record, or every fifth time a search."""
    is_search = number % 5 == 0
    return Lookup(
        id=f"lookup-{number}",
        at=NOON + timedelta(seconds=number),
        principal=Principal(id=f"E{number % 3}", roles=("officer",)),
        action=Action.SEARCH if is_search else Action.VIEW,
        kind="person",
        records=() if is_search else (RecordRef("person", str(number)),),
        declaration=Declaration(purpose="investigate.crime"),
        criteria={"surname": f"Name {number}"} if is_search else {},
    )


def _entry(key: bytes, about: Lookup, *, said: str = "") -> Entry:
    made: dict[str, Any] = {
        "principal": about.principal.id,
        "purpose": about.declaration.purpose,
        "kind": about.kind,
        "records": [list(record) for record in about.records],
        "criteria": dict(about.criteria),
        "challenge": said or ("drawn" if any_drawn(key, about, DAY, RATE) else "none"),
        "numbers": {"challenge_per_million": RATE},
    }
    return replace(entry(1), lookup_id=about.id, at=about.at, fields=made)


def write(world: World, *, late: bool = False, spoilt: str = "") -> bytes:
    """A ledger with a day of lookups as the gate would enter them, or with `spoilt` as every draw. Returns the day's key."""
    path = world.home / "purposegate.db"
    with DurableLedger.open(path, origin=ORIGIN, limits=Limits(ballast_bytes=0)) as ledger:

        async def commit(day: date, digest: str) -> None:
            made = {"day": day.isoformat(), "commitment": digest}
            await ledger.append(
                Entry(kind=EntryKind.CHALLENGE_KEY, lookup_id="day", at=NOON, released=False, fields=made)
            )

        async def day() -> bytes:
            keys = DayKeys(path.with_name("purposegate.db.challenge"), commit)
            if late:
                ledger.append_wait(_entry(bytes(32), _lookup(0), said="none"))
            key = await keys.of(DAY)
            for number in range(1, 41):
                await ledger.append(_entry(key, _lookup(number), said=spoilt))
            return key

        return asyncio.run(day())


def run(world: World, *words: str, reading: Sequence[str] = READING) -> Result:
    settings = str(world.home / "purposegate.yaml")
    return CliRunner().invoke(command, ["reveal", *words, "--settings", settings, *reading])


def found(result: Result) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def kinds(world: World) -> list[str]:
    reader = SqliteReader(world.home / "purposegate.db")
    try:
        return [
            json.loads(each.leaf)["k"]
            for shard in reader.shards()
            for each in reader.entries(shard.number, 0, shard.head.size)
        ]
    finally:
        reader.close()


def test_a_day_in_order(world: World) -> None:
    """The key printed is the one committed, all forty draws come out again, and the reading is an entry."""
    key = write(world)
    result = run(world, str(DAY), "--json")
    said = found(result)

    assert (0, True, key.hex(), 40) == (result.exit_code, said["in_order"], said["key"], said["lookups"])
    assert 0 < said["drawn"] < 40
    assert "reading" == kinds(world)[-1]


@pytest.mark.parametrize("said", ["drawn", "none"])
def test_a_lookup_spared_or_struck_is_named(world: World, said: str) -> None:
    """An entry that says it drew nothing where it did, or the other way round, is found by its number."""
    key = write(world, spoilt=said)
    expected = [
        f"shard-0/{number + 1}"
        for number in range(1, 41)
        if any_drawn(key, _lookup(number), DAY, RATE) is not (said == "drawn")
    ]
    result = run(world, str(DAY), "--json")

    assert (1, expected) == (result.exit_code, found(result)["wrong"])


def test_another_key_does_not_pass(world: World) -> None:
    """A key exchanged after the day is not the one that the ledger holds the digest of."""
    write(world)
    path = key_path(world.home / "purposegate.db.challenge", DAY)
    path.write_text("ab" * 32 + "\n")
    result = run(world, str(DAY), "--json")
    said = found(result)

    assert (1, [], ["shard-0/1"]) == (result.exit_code, said["committed_in"], said["other_commitments"])


def test_a_draw_before_the_commitment_is_named(world: World) -> None:
    """A key that was committed only after it was used could have been chosen."""
    write(world, late=True)
    result = run(world, str(DAY), "--json")

    assert (1, ["shard-0/1"]) == (result.exit_code, found(result)["early"])


def test_what_is_printed_for_people(world: World) -> None:
    """Key, digest, entry of the commitment, counts, verdict."""
    key = write(world)
    lines = run(world, str(DAY)).stdout.splitlines()

    assert f"key of {DAY}: {key.hex()}" == lines[0]
    assert ("committed in: shard-0/1", "in order") == (lines[2], lines[-1])


REFUSED: list[tuple[Callable[[World], list[str]], str]] = [
    (lambda _: [str(datetime.now(UTC).date() + timedelta(days=1))], "not over"),
    (lambda _: [str(datetime.now(UTC).date())], "not over"),
    (lambda _: ["2026-11-17"], "no key of that day"),
]


@pytest.mark.parametrize(("day", "said"), REFUSED)
def test_no_key_is_shown_early_or_made_up(world: World, day: Callable[[World], list[str]], said: str) -> None:
    """While a day lasts its key foretells its draws; and of a day without one there is nothing to show."""
    write(world)
    result = run(world, *day(world))

    assert (1, "") == (result.exit_code, result.stdout)
    assert said in str(result.exception)
    assert "reading" not in kinds(world)


def test_nobody_reads_without_a_reason(world: World) -> None:
    """Law 11: a purpose under audit or rights, and a sentence."""
    write(world)
    result = run(
        world, str(DAY), reading=("--as", "psd-7", "--purpose", "investigate.crime", "--reason", "curious")
    )

    assert (1, "") == (result.exit_code, result.stdout)


@pytest.mark.anyio
async def test_a_gate_commits_before_its_first_draw(world: World) -> None:
    """Through the whole gate: the day's digest is an entry, then the lookup, drawn, whose answer waits for a full reason."""
    policies = copied_policies(world.home / "policies")
    facts = policies / "facts.yaml"
    facts.write_text(
        facts.read_text(encoding="utf-8").replace("  rate: 0\n", "  rate: 1\n"), encoding="utf-8"
    )
    row = world.both.records[world.cast.suspect]
    async with opened(world, "challenged", policies=str(policies)) as parts:
        gated = behind(world, HostileApp(row_page(row)), parts)
        await gated.ask(world.path(world.cast.suspect), declared=MINE)
        (looked,) = gated.entries
    reader = SqliteReader(world.home / "challenged.db")
    written = [
        json.loads(each.leaf)["k"]
        for shard in reader.shards()
        for each in reader.entries(shard.number, 0, shard.head.size)
    ]
    reader.close()

    assert ("drawn", 1_000_000) == (
        looked.fields["challenge"],
        looked.fields["numbers"]["challenge_per_million"],
    )
    assert ["challenge-key", looked.kind.value] == written[1:3]
