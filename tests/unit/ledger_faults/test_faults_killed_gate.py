"""kill -9 of a gate that serves: every byte that a client received has its entry (law 1, seen from outside)."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.force import build_records_system
from fault_checks import Opened
from fault_gate import Answer, Exchange, KilledGate, answer_of
from gates import World, build_world
from purposegate.ledger.verify import verify_file

SHEET = re.compile(r"sheet ([a-z0-9-]+)")
RECORD = re.compile(rb"rec-[0-9]+-[a-z]+-[0-9]+")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def database(world: World) -> Path:
    path = world.home / "people.db"
    build_records_system(path, world.both.records.values())
    return path


def started(world: World, database: Path, name: str, *options: str) -> Iterator[KilledGate]:
    settings = world.settings(f"{name}.yaml", limits={"refusals_per_minute": 1_000_000})
    gate = KilledGate(settings, database, *options)
    try:
        yield gate
    finally:
        gate.close()


@pytest.fixture
def gate(world: World, database: Path) -> Iterator[KilledGate]:
    yield from started(world, database, "killed")


@pytest.fixture
def hasty_gate(world: World, database: Path) -> Iterator[KilledGate]:
    yield from started(world, database, "hasty", "answer before the entry")


class Evidence:
    """What the ledger says of lookups: by place, by the nonce in their reason, by lookup id."""

    def __init__(self, path: Path) -> None:
        self.opened = Opened(path)
        said = {
            place: fields.get("reason") or fields.get("declared_as_sent", "")
            for place, fields in self.opened.fields.items()
        }
        self.reasons = {found[1]: place for place, text in said.items() if (found := SHEET.search(text))}

    def lacks(self, exchange: Exchange) -> list[str]:
        """What the client got and the ledger does not account for."""
        if not exchange.received:
            return []
        answer = answer_of(exchange.received)
        place = self.reasons.get(exchange.nonce)
        if place is None:
            return [f"{exchange.nonce}: {len(exchange.received)} bytes of an answer without an entry"]
        if not answer.status:
            return []
        return [f"{exchange.nonce}: {fault}" for fault in self._differences(exchange, answer, place)]

    def _differences(self, exchange: Exchange, answer: Answer, place: tuple[str, int]) -> Iterator[str]:
        leaf, leaf_hash = self.opened.leaves[place]
        receipt = f"{place[0]};{place[1]};{leaf_hash}"
        if receipt != answer.headers.get("purposegate-receipt"):
            yield f"the receipt is {answer.headers.get('purposegate-receipt')}, the entry {receipt}"
        if (answer.status == 200) != leaf.released:
            yield f"status {answer.status}, and the entry says {'released' if leaf.released else 'withheld'}"
        if answer.status == 200:
            given = {row["id"] for row in self.opened.rows[place] if row["released"]}
            yield from (f"record {each} is in the answer alone" for each in records_in(answer.body) - given)
        elif len(answer.body) == int(answer.headers["content-length"]):
            problem = json.loads(answer.body)
            if problem["instance"] != f"urn:uuid:{leaf.lookup_id}":
                yield f"the problem names {problem['instance']}, the entry {leaf.lookup_id}"


def records_in(body: bytes) -> set[str]:
    """The ids of the people in a body, whole or cut off."""
    return {found.decode() for found in RECORD.findall(body)}


def received(gate: KilledGate, world: World, chance: random.Random, name: str) -> list[Exchange]:
    """What a detective's programs received until the gate was killed."""
    return gate.kill_under_load(world, world.issuer.token("T1001", "Detective"), chance, name)


def test_killed_gate_recorded_all_that_clients_received(world: World, gate: KilledGate, soak: bool) -> None:
    """After each kill -9 every answer of which one byte arrived has its entry: receipt, lookup id, records; verify says intact.

    The gate starts again on the same ledger each time, and nothing that an earlier round received is gone at the end.
    """
    chance = random.Random(20261121)
    ledger = world.home / "killed.db"
    exchanges: list[Exchange] = []
    for number in range(100 if soak else 5):
        round_ = received(gate, world, chance, f"r{number}")
        exchanges += round_
        evidence, report = Evidence(ledger), verify_file(ledger)

        assert [] == [fault for each in round_ for fault in evidence.lacks(each)]
        assert (0, []) == (report.exit_code, report.mismatches), report.text()
    statuses = Counter(answer_of(each.received).status for each in exchanges)

    assert [] == [fault for each in exchanges for fault in evidence.lacks(each)]
    assert ["shard-0"] == evidence.opened.shards
    assert {200, 403} <= statuses.keys()
    assert {b""} <= {each.received for each in exchanges}  # the kills came while clients waited


def test_harness_fails_for_a_gate_that_answers_too_early(world: World, hasty_gate: KilledGate) -> None:
    """A gate that answers while its entry is on its way is caught with answers in clients' hands and no entry."""
    chance = random.Random(20261121)
    lacking: list[str] = []
    for number in range(10):
        round_ = received(hasty_gate, world, chance, f"r{number}")
        evidence = Evidence(world.home / "hasty.db")
        lacking += [fault for each in round_ for fault in evidence.lacks(each)]
        if lacking:
            break

    assert [each for each in lacking if "without an entry" in each]
