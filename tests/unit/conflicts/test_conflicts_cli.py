"""The register's commands on a store: import, explain, confirm, reject, verify; each with its entry before its effect."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from force_files import REGISTER, somebody, write
from gates import World, build_world
from ledgers import ORIGIN
from past_lookups import READING, lookup, write_ledger
from purposegate.cli.conflicts import conflicts as command
from purposegate.errors import ImportRefused, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.model import Address

NAMESAKE = somebody("Quentin", "Zyxwood", address=Address(number="9", street="Elm Road"))
FRIEND = {
    "id": "r1",
    "principal": "T1001",
    "relation": "friend",
    "provenance": "vetting",
    "names": "Quentin|Zyxwood",
    "born": "1981-11-05",
    "addresses": "3|Hill Lane||||2010-01-01",
}


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The demo's force with a store for its register, T1001's friend in it, and two lookups of somebody of that name."""
    made = build_world(tmp_path_factory.mktemp("force"))
    path = made.settings()
    yaml = YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    del content["facts"]["register"]
    content["facts"] |= {"register_store": {"path": "store.db"}, "decide_roles": ["supervisor"]}
    content["identity"]["roles"]["supervisor"] = "supervisor"
    content["ledger"]["origin"] = ORIGIN
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    past = [lookup(1, NAMESAKE, who="T1001", record="77"), lookup(2, NAMESAKE, who="T1001", record="78")]
    write_ledger(made.home / "purposegate.db", past)
    first = taken(made, FRIEND)
    assert 0 == first.exit_code, first.exception
    return made


@pytest.fixture
def world(force: World, tmp_path: Path) -> World:
    """A copy of it that a test may write to."""
    return replace(force, home=Path(shutil.copytree(force.home, tmp_path / "force")))


def run(world: World, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--settings", str(world.home / "purposegate.yaml")])


def taken(world: World, *rows: Mapping[str, str], more: Sequence[str] = ()) -> Result:
    file = write(world.home / "register-new.csv", REGISTER, rows, as_of="")
    return run(world, "import", str(file), "--as", "hr-9", *more)


def decided(
    world: World, verdict: str, *, by: str = "T1002", role: str = "supervisor", entry: str = "r1"
) -> Result:
    token = world.home / "token"
    token.write_text(world.issuer.token(by, role))
    token.chmod(0o600)
    words = ("--entry", entry, "--token-file", str(token), "--reason", "compared with the custody photograph")
    return run(world, verdict, "T1001", "person/77", *words)


def entries(world: World) -> list[tuple[str, Mapping[str, Any]]]:
    """Kind and fields of every entry of the ledger."""
    reader = SqliteReader(world.home / "purposegate.db")
    try:
        shards = reader.shards()
        opener = Opener(keys.load(world.home / "purposegate.db.keys"), shards)
        return [
            (read_leaf(stored.leaf).kind, payload.fields)
            for shard in shards
            for stored in reader.entries(shard.number, 0, shard.head.size)
            if (payload := opener.payload(shard.number, stored))
        ]
    finally:
        reader.close()


def ties(world: World) -> str:
    return run(world, "explain", "T1001", "person/77", *READING).stdout


def test_an_import_is_an_entry_before_it_takes_effect(world: World) -> None:
    """Who, from which file, with which counts and digests; the generation that it made is the store's."""
    result = taken(world, FRIEND, {**FRIEND, "id": "r2", "relation": "associate"})

    assert 0 == result.exit_code, result.output
    kind, fields = entries(world)[-1]
    said = fields["import"]
    assert ("import", "hr-9", "register-new.csv") == (kind, fields["principal"], said["file"])
    assert (2, 1, 0, 0) == tuple(said[name] for name in ("rows", "added", "changed", "ended"))
    assert said["register_sha256"] in run(world, "verify").stdout
    assert "Zyxwood" not in json.dumps(fields)


def test_a_refused_import_leaves_nothing(world: World) -> None:
    """No entry, no generation; each line is named, and nobody in it."""
    before = (entries(world), run(world, "verify").stdout)
    result = taken(
        world, FRIEND, {**FRIEND, "relation": "pen friend"}, {**FRIEND, "id": "r3", "born": "2031"}
    )

    assert isinstance(result.exception, ImportRefused)
    assert [(3, "relation"), (4, "born")] == [
        (finding.line, finding.key) for finding in result.exception.findings
    ]
    assert "Zyxwood" not in str(result.exception)
    assert before == (entries(world), run(world, "verify").stdout)


def test_an_import_that_the_ledger_does_not_take_does_not_happen(world: World) -> None:
    """Durable before it takes effect: without its entry there is no import (law 1)."""
    before = run(world, "verify").stdout
    (world.home / "purposegate.db.keys").unlink()
    result = taken(world, {**FRIEND, "relation": "associate"})

    assert isinstance(result.exception, SettingsError)
    assert before == run(world, "verify").stdout


def test_a_register_that_is_a_file_is_only_read(world: World) -> None:
    """The message says which setting makes it a store."""
    path = world.home / "purposegate.yaml"
    path.write_text(
        path.read_text()
        .replace("  register_store:\n    path: store.db\n", "  register: register.csv\n")
        .replace("  decide_roles:\n  - supervisor\n", "")
    )
    result = taken(world, FRIEND)

    assert "register_store" in str(result.exception)


def test_a_rejected_candidate_is_gone(world: World) -> None:
    """The gate finds no tie from then on, and explain says who decided it, where it stands in the ledger."""
    before = ties(world)
    result = decided(world, "reject")
    after = ties(world)

    assert 0 == result.exit_code, result.output
    assert ("1 ties", "0 ties") == (before.split(": ")[1].split(" (")[0], after.split(": ")[1].split(" (")[0])
    assert "rejected by T1002" in after
    _, fields = next(entry for entry in reversed(entries(world)) if entry[0] == "match")
    assert ("T1002", "rejected", "register:r1") == (
        fields["principal"],
        fields["decision"]["verdict"],
        fields["decision"]["entry"],
    )


def test_a_confirmed_candidate_is_looked_back_for(world: World) -> None:
    """Every lookup of that record by that member of staff is shown at once, and in the next look back."""
    result = decided(world, "confirm")

    assert 0 == result.exit_code, result.output
    assert ("person/77" in result.stdout, "record-id" in ties(world) or "confirmed" in ties(world)) == (
        True,
        True,
    )
    assert "friend, confirmed, by register:r1" in ties(world)


def test_explain_shows_the_chain_of_a_composed_tie(world: World) -> None:
    """Each entry that it was made of, as it is read along the chain."""
    partner = {
        **FRIEND,
        "id": "r5",
        "relation": "partner",
        "names": "Somebody|Else",
        "records": "staff:T1002",
    }
    father = {**FRIEND, "id": "r6", "principal": "T1002", "relation": "parent"}
    taken(world, {**partner, "addresses": "", "born": "1950-01-01"}, father)
    shown = ties(world)

    assert "in_law, candidate, by register:r5>r6 (derived)" in shown
    assert ["  by way of r5: partner", "  by way of r6: parent"] == [
        line for line in shown.splitlines() if "by way of" in line
    ]


def test_a_decision_may_be_taken_back(world: World) -> None:
    """By another: the last one counts."""
    decided(world, "confirm")
    decided(world, "reject")

    assert "0 ties" in ties(world)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"by": "T1001"}, "own candidates"),
        ({"by": "t1001 "}, "own candidates"),
        ({"role": "officer"}, "decide_roles"),
        ({"entry": "r9"}, "no tie by that entry"),
    ],
)
def test_who_may_not_decide(world: World, changes: dict[str, str], why: str) -> None:
    """Neither the member of staff themself, nor without the role; and nothing that is no candidate."""
    before = ties(world)
    result = decided(world, "reject", **changes)

    assert result.exit_code, result.output
    assert why in str(result.exception)
    assert before.split("(")[0] == ties(world).split("(")[0]


def test_what_is_beyond_doubt_is_not_decided(world: World) -> None:
    """A tie that all fields agree on is mended in the entry or the record."""
    taken(world, {**FRIEND, "addresses": "9|Elm Road"})

    assert "no candidate" in str(decided(world, "reject").exception)


def test_a_record_that_nobody_saw_cannot_be_decided(world: World) -> None:
    """There is nothing to decide by, and nothing that a later change could be told from."""
    token = world.home / "token"
    token.write_text(world.issuer.token("T1002", "supervisor"))
    token.chmod(0o600)
    result = run(
        world,
        "reject",
        "T1001",
        "person/unseen",
        "--entry",
        "r1",
        "--token-file",
        str(token),
        "--reason",
        "somebody else altogether",
    )

    assert "nothing to decide by" in str(result.exception)


def test_verify_finds_what_was_altered(world: World) -> None:
    """Without showing whose it is."""
    import apsw  # noqa: PLC0415

    db = apsw.Connection(str(world.home / "store.db"))
    db.execute("UPDATE held SET until = 1")
    db.close()
    result = run(world, "verify")

    assert "not those that were sealed" in str(result.exception)


def test_a_role_that_nobody_has_decides_nothing(world: World) -> None:
    """A misspelt role in the settings is a fault with its line, not a lock without a key."""
    path = world.home / "purposegate.yaml"
    path.write_text(
        path.read_text().replace("  decide_roles:\n  - supervisor\n", "  decide_roles:\n  - supervisr\n")
    )
    result = run(world, "verify")

    assert ["facts.decide_roles.0"] == [finding.key for finding in getattr(result.exception, "findings", ())]
