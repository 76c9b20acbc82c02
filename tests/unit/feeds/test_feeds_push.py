"""`POST /.purposegate/feeds/{feed}` at a whole gate: who may, what is refused, and the entry before the effect."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from gates import Gated, World, behind, build_world
from hostile import HostileApp
from ledgers import ORIGIN
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.cli.conflicts import conflicts as command
from purposegate.facts import ForceFacts
from purposegate.gate import Parts
from purposegate.model import EntryKind, RecordRef
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio

ENTRY = {"id": "p1", "principal": "T1001", "relation": "friend", "provenance": "hr", "records": "person:4711"}
FEED = "/.purposegate/feeds/hr"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A force whose register is a store that was imported once, and whose settings let two services push."""
    made = build_world(tmp_path_factory.mktemp("force"))
    path = made.settings()
    yaml = YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    del content["facts"]["register"]
    content["facts"] |= {
        "register_store": {"path": "store.db"},
        "push": {"hr": ["hr-feed"], "duty": ["rota"], "directory": ["hr-feed"]},
    }
    content["identity"]["roles"] |= {"hr-feed": "hr-feed", "rota": "rota"}
    content["ledger"]["origin"] = ORIGIN
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    words = ("import", str(made.home / "register.csv"), "--as", "hr-9", "--settings", str(path))
    first = CliRunner().invoke(command, words)
    assert 0 == first.exit_code, first.exception
    return made


@pytest.fixture(scope="module")
async def parts(pushed: World, anyio_backend: str) -> AsyncIterator[Parts]:
    async with Application(settings_file.load(pushed.home / "purposegate.yaml")) as real:
        yield real


@pytest.fixture
def gated(pushed: World, parts: Parts) -> Gated:
    return behind(pushed, HostileApp(b""), parts)


async def push(
    gated: Gated, *rows: dict[str, Any], feed: str = FEED, role: str = "hr-feed", **more: Any
) -> httpx.Response:
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    sent = {"headers": {"content-type": "application/x-ndjson"}, "content": body, **more}
    return await gated.ask(feed, who="svc-hr", roles=(role,), declared=None, method="POST", **sent)


def ties(parts: Parts, record: str = "4711") -> list[str]:
    facts = parts.snapshot.facts
    assert isinstance(facts, ForceFacts)
    found = facts._snapshot.register.naming(RecordRef("person", record), frozenset(facts.relations.by_name))
    return [one.id for one in found]


async def test_a_pushed_feed_is_taken_whole(gated: Gated, parts: Parts) -> None:
    """Its entry names who pushed it, with counts and digests; the gate finds its ties at the next refresh, digest and all."""
    facts = parts.snapshot.facts
    assert isinstance(facts, ForceFacts)
    before = facts.digest
    answer = await push(gated, ENTRY)
    unseen = ties(parts)
    await facts.refresh()

    assert (200, 1, 1) == (answer.status_code, answer.json()["rows"], answer.json()["added"])
    assert ([], ["hr/p1"], False) == (unseen, ties(parts), before == facts.digest)
    (entry,) = [entry for entry in gated.entries if entry.kind is EntryKind.IMPORT]
    assert ("svc-hr", answer.json()) == (entry.fields["principal"], entry.fields["import"])


async def test_faults_are_told_by_line(gated: Gated, parts: Parts) -> None:
    """Nothing is taken, nothing is entered, nobody is named."""
    answer = await push(gated, ENTRY, {**ENTRY, "id": "p2", "relation": "Featherstonehaugh"})

    assert (422, []) == (answer.status_code, gated.entries)
    assert "hr:2: relation" in answer.text
    assert "Featherstonehaugh" not in answer.text


async def test_intelligence_is_not_taken(gated: Gated) -> None:
    """By no door (law 6)."""
    answer = await push(gated, {**ENTRY, "provenance": "intelligence"})

    assert (422, True) == (answer.status_code, "law 6" in answer.text)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"role": "officer"}, 403),
        ({"role": "rota"}, 403),
        ({"feed": "/.purposegate/feeds/vetting"}, 403),
        ({"headers": {"content-type": "text/plain"}}, 415),
        ({"headers": {"content-type": "application/json"}, "content": b"{}"}, 415),
        ({"content": b""}, 422),
        ({"headers": {"content-type": "text/csv"}, "content": b"id\n1\n"}, 422),
        ({"content": b"x" * (1024 * 1024 + 1)}, 413),
    ],
)
async def test_what_is_not_taken(gated: Gated, more: dict[str, Any], status: int) -> None:
    """Without the feed's role, in another form, empty, or too large."""
    answer = await push(gated, ENTRY, **more)

    assert (status, []) == (answer.status_code, gated.entries)


async def test_without_its_entry_there_is_no_import(pushed: World, parts: Parts) -> None:
    """A ledger that does not take the entry leaves the register as it was (law 1)."""
    gated = behind(pushed, HostileApp(b""), parts, ledger=DeadLedger(parts))
    answer = await push(gated, {**ENTRY, "id": "p9", "records": "person:4712"})
    facts = parts.snapshot.facts
    assert isinstance(facts, ForceFacts)
    await facts.refresh()

    assert (503, []) == (answer.status_code, ties(parts, "4712"))


async def test_a_file_of_facts_may_be_pushed(gated: Gated, pushed: World, parts: Parts) -> None:
    """What was accepted stands in the file's place, for every worker to read."""
    kept = shutil.copy(pushed.home / "duty.csv", pushed.home / "duty.kept")
    rows = {"staff_id": "T1001", "from": "2026-01-01", "to": ""}
    refused = await push(gated, {**rows, "from": "soon"}, feed="/.purposegate/feeds/duty", role="rota")
    unchanged = (pushed.home / "duty.csv").read_bytes() == Path(kept).read_bytes()
    taken = await push(gated, rows, feed="/.purposegate/feeds/duty", role="rota")

    assert (422, True, 200) == (refused.status_code, unchanged, taken.status_code)
    assert "T1001,2026-01-01," in (pushed.home / "duty.csv").read_text(encoding="utf-8")
    assert ["duty"] == [entry.fields["import"]["feed"] for entry in gated.entries]


async def test_a_directory_that_broke_off_is_not_taken(gated: Gated, pushed: World) -> None:
    """It would clear the ties that nobody declared; the file stays as it is."""
    before = (pushed.home / "directory.csv").read_bytes()
    row = {"staff_id": "T1001", "names": "Only|One"}
    answer = await push(gated, row, feed="/.purposegate/feeds/directory")

    assert (422, [], before) == (
        answer.status_code,
        gated.entries,
        (pushed.home / "directory.csv").read_bytes(),
    )


async def test_feeds_pushed_at_once_are_taken_one_after_another(gated: Gated, pushed: World) -> None:
    """No two write into one draft: each push answered well was taken whole, and what stands is what the last entry says."""
    rows = [{"staff_id": f"T{number}", "from": "2026-01-01", "to": ""} for number in range(2_000)]
    sizes = [len(rows) - 200 * number for number in range(8)]
    answers = await asyncio.gather(
        *(push(gated, *rows[:size], feed="/.purposegate/feeds/duty", role="rota") for size in sizes)
    )
    stated, _, *lines = (pushed.home / "duty.csv").read_text(encoding="utf-8").splitlines()

    assert [200] * len(sizes) == [answer.status_code for answer in answers]
    assert gated.entries[-1].fields["import"]["rows"] == len(lines)
    assert stated.endswith(f"rows={len(lines)}")
    assert not list(pushed.home.glob(".duty.csv.*"))
