"""The gate over Datasette with everything real: repeats, refilled pages, reloads, a dead Cerbos, stale data."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.__main__ import cerbos_children
from demo.walk import declare
from gates import MINE, Gated, World, behind, build_world, copied_policies, opened
from hostile import HostileApp, row_page, table_page
from purposegate import load_gate
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.errors import LedgerOutage, PolicyError, SettingsError
from purposegate.gate import Parts
from purposegate.model import EntryKind
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio

PAPER = declare(
    "prosecute.casefile",
    "CR/1042/26",
    "Checking the address on the witness statement again before the interview at two, as asked by the case lead",
)
OWENS = 3
"""Views of one record that nothing explains to Owen: he is new in post, so that the fourth is over."""
OWEN: dict[str, Any] = {"who": "T1004", "roles": ("Paralegal",), "declared": PAPER}


async def test_parallel_lookups_stop_where_lookups_in_turn_would(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """A hundred at once release exactly as many views of one record as a hundred one after the other."""
    gated = behind(world, records_system, parts, refusals_per_minute=1000)
    people = list(world.both.records)[300:302]
    in_turn = [await gated.ask(world.path(people[0]), **OWEN) for _ in range(20)]
    at_once = await asyncio.gather(*(gated.ask(world.path(people[1]), **OWEN) for _ in range(100)))

    released = [sum(answer.status_code == 200 for answer in answers) for answers in (in_turn, at_once)]
    assert [OWENS, OWENS] == released


async def test_repeats_outlive_the_process(world: World, records_system: ASGIApp) -> None:
    """The count is durable: a gate opened again on the same ledger goes on where the last one stopped."""
    person = list(world.both.records)[400]
    seen = []
    for _ in range(2):
        async with opened(world, "reopened") as parts:
            gated = behind(world, records_system, parts)
            seen += [(await gated.ask(world.path(person), **OWEN)).status_code for _ in range(5)]

    assert [200] * OWENS + [403] * (10 - OWENS) == seen


async def test_an_explained_lookup_is_not_counted_out(gated: Gated) -> None:
    """Somebody assigned to the case that names the record opens it as often as the work needs."""
    path = gated.world.path(gated.world.cast.suspect)
    statuses = {(await gated.ask(path)).status_code for _ in range(20)}

    assert {200} == statuses


async def test_a_walk_through_all_pages_is_the_list_without_the_withheld(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Pages of ten over a real table: every page full, nobody twice, only the conflicted missing, no page at the end empty."""
    gated = behind(world, records_system, parts)
    relative = world.both.records[world.cast.relative]
    path: str | None = f"/people/person.json?_size=10&_sort=rec_id&state={relative['state']}&surname__gte=m"
    mates = [
        row["rec_id"]
        for row in world.both.records.values()
        if row["state"] == relative["state"] and row["surname"] >= "m"
    ]
    walked: list[list[str]] = []
    while path and len(walked) < 1000:
        answer = (await gated.ask(path)).json()
        column = answer["columns"].index("rec_id")
        walked.append([row[column] for row in answer["rows"]])
        path = f"{path.partition('&_next=')[0]}&_next={answer['next']}" if answer["next"] else None

    hidden = {world.both.record_id(world.cast.relative)} & set(mates)
    assert sorted(set(mates) - hidden) == [one for page in walked for one in page]
    assert {10} >= {len(page) for page in walked[:-1]}
    assert walked[-1]


async def test_a_page_link_fits_nobody_else(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """A cursor is sealed for one principal and one search."""
    gated = behind(world, records_system, parts)
    cursor = (await gated.ask("/people/person.json?_size=10")).json()["next"]
    other = await gated.ask(f"/people/person.json?_size=10&_next={cursor}", who="T1003", roles=("Constable",))
    elsewhere = await gated.ask(f"/people/person.json?_size=10&state=nsw&_next={cursor}")
    forged = await gated.ask("/people/person.json?_size=10&_next=rec-1070-dup-0")

    assert [400] * 3 == [answer.status_code for answer in (other, elsewhere, forged)]


async def test_a_withheld_tail_leaves_no_empty_page(world: World, parts: Parts) -> None:
    """A list whose last row is withheld ends where it would if that row did not exist."""
    cast, records = world.cast, world.both.records

    class Paged(HostileApp):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            last = b"_next=2" in scope["query_string"]
            page = (
                table_page([records[cast.relative]])
                if last
                else table_page([records[cast.suspect]], next_token="2")
            )
            await HostileApp(page)(scope, receive, send)

    answer = await behind(world, Paged(), parts).ask("/people/person.json?_size=1")

    assert (1, None) == (len(answer.json()["rows"]), answer.json()["next"])


def kill_outright(pid: int) -> None:
    """Return when the kernel has ended the process: a signal takes a moment to arrive, and until then it answers."""
    with contextlib.suppress(ProcessLookupError):
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([ended], [], [], 20)
        os.close(ended)


async def test_a_killed_cerbos_is_503_and_its_return_is_noticed(
    world: World, records_system: ASGIApp
) -> None:
    """A kill -9 of the PDP: an outage with an entry, then service again without anybody's help."""
    async with opened(world, "killed") as parts:
        gated = behind(world, records_system, parts)
        before = await gated.ask(world.path(world.cast.suspect))
        for child in cerbos_children(os.getpid()):
            kill_outright(child)
        down = await gated.ask(world.path(world.cast.suspect))
        back = down
        for _ in range(300):
            back = await gated.ask(world.path(world.cast.suspect))
            if back.status_code == 200:
                break
            await asyncio.sleep(0.1)

        assert [200, 503, 200] == [before.status_code, down.status_code, back.status_code]
        assert EntryKind.OUTAGE is gated.entries[1].kind


@pytest.fixture
def own_world(tmp_path: Path) -> World:
    """A force whose files a test may change."""
    return build_world(tmp_path)


@pytest.mark.parametrize(
    ("file", "reason"),
    [("register.csv", "register-stale"), ("duty.csv", "facts-stale"), ("assignments.csv", "facts-stale")],
)
async def test_stale_data_is_an_outage_of_its_own(
    own_world: World, records_system: ASGIApp, file: str, reason: str
) -> None:
    """A feed older than its limit refuses with its own reason, even where the policies would permit."""
    os.utime(own_world.home / file, (1_600_000_000, 1_600_000_000))
    async with opened(own_world, "stale") as parts:
        gated = behind(own_world, records_system, parts)
        answer = await gated.ask(own_world.path(own_world.cast.suspect))

    assert (503, [reason]) == (answer.status_code, gated.entries[-1].fields["reasons"])


async def test_a_reload_swaps_everything_at_once(
    own_world: World, records_system: ASGIApp, tmp_path: Path
) -> None:
    """Policies change from one lookup to the next, the change is an entry, and the digest in the entries changes with it."""
    policies = copied_policies(tmp_path / "policies")
    path = own_world.settings("reload.yaml", policies=str(policies))  # type: ignore[arg-type]
    gate = load_gate(path)
    gated = _over(own_world, records_system, gate)
    record = own_world.path(own_world.cast.suspect)
    try:
        before = await gated(record)
        _edit(policies / "purposes.yaml", "Allocated investigation", "Allocated crime investigation")
        _edit(policies / "records.yaml", "name: person-json", "name: person-json-2")
        digest = await gate.reload()
        after = await gated(record)
    finally:
        await gate.aclose()

    assert [200, 200] == [before.status_code, after.status_code]
    assert 64 == len(digest)


async def test_a_broken_policy_changes_nothing(
    own_world: World, records_system: ASGIApp, tmp_path: Path
) -> None:
    """A reload that fails raises with file and line, and the gate goes on with what it had."""
    policies = copied_policies(tmp_path / "policies")
    path = own_world.settings("broken.yaml", policies=str(policies))  # type: ignore[arg-type]
    gate = load_gate(path)
    gated = _over(own_world, records_system, gate)
    record = own_world.path(own_world.cast.suspect)
    try:
        before = await gated(record)
        with (policies / "purposes.yaml").open("a", encoding="utf-8") as file:
            file.write("\nsurprise: 1\n")
        with pytest.raises(PolicyError, match=r"purposes\.yaml:\d+: surprise"):
            await gate.reload()
        after = await gated(record)
    finally:
        await gate.aclose()

    assert [200, 200] == [before.status_code, after.status_code]


@pytest.mark.parametrize(
    "name", ["purposegate.yaml", "purposes.yaml", "records.yaml", "conflicts.yaml", "facts.yaml"]
)
async def test_files_that_change_while_they_are_read_are_not_taken(
    own_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Law 9: an entry never names the digest of files that did not decide; what was built from them is taken down."""
    policies = copied_policies(tmp_path / "policies")
    settings = settings_file.load(own_world.settings("purposegate.yaml", policies=str(policies)))  # type: ignore[arg-type]
    changed = settings.path if name == "purposegate.yaml" else policies / name
    taken_down: list[str] = []

    class Late:
        """A Cerbos during whose start somebody saves a file."""

        digest = "0" * 64

        async def start(self) -> None:
            with changed.open("a", encoding="utf-8") as file:
                file.write("# saved\n")

        async def aclose(self) -> None:
            taken_down.append("down")

    monkeypatch.setattr("purposegate.application._decider", lambda _: Late())
    with pytest.raises(SettingsError, match="changed while they were read"):
        async with Application(settings):
            pass

    assert ["down"] == taken_down


def _over(world: World, app: ASGIApp, gate: Any) -> Any:
    asgi = PurposeGateMiddleware(app, gate=gate)
    token = world.issuer.token("T1001", "Detective")
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi), base_url="http://r")

    async def ask(path: str) -> Any:
        return await client.get(path, headers={"authorization": f"Bearer {token}", "access-purpose": MINE})

    return ask


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


async def test_unknown_settings_name_file_line_and_key(own_world: World) -> None:
    """A typing mistake in purposegate.yaml is found before anything starts."""
    path = own_world.settings("typo.yaml")
    content = YAML().load(path.read_text(encoding="utf-8"))
    content["ledgre"] = {}
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)

    with pytest.raises(PolicyError, match=r"typo\.yaml:\d+: ledgre: unknown key"):
        load_gate(path)


async def test_a_second_gate_on_the_same_ledger_is_a_shard_of_its_own(
    own_world: World, records_system: ASGIApp
) -> None:
    """Two worker processes' gates write side by side; the repeat counts of both are one."""
    person = list(own_world.both.records)[500]
    async with opened(own_world, "shared") as one:
        shutil.copy(own_world.home / "shared.yaml", own_world.home / "again.yaml")
        async with contextlib.AsyncExitStack() as stack:
            two = await stack.enter_async_context(
                Application(settings_file.load(own_world.home / "again.yaml"))
            )
            gates = [behind(own_world, records_system, parts) for parts in (one, two)]
            statuses = [
                (await gates[turn % 2].ask(own_world.path(person), **OWEN)).status_code for turn in range(9)
            ]

    assert [200] * OWENS + [403] * (9 - OWENS) == statuses


async def test_a_mode_for_an_unknown_kind_stops_the_start(own_world: World) -> None:
    """`modes: {persn: monitor}` is a mistake that would leave a kind enforced, or worse, believed to be."""
    with pytest.raises(SettingsError, match="modes"):
        async with opened(own_world, "modes", modes={"persn": "monitor"}):
            pass


async def test_a_reload_that_cannot_be_recorded_changes_nothing(world: World, parts: Parts) -> None:
    """Law 9: a change of policies takes effect only once it is on record; what was built for it is taken down."""
    retired: list[str] = []

    async def retire() -> None:
        retired.append("retired")

    gated = behind(world, HostileApp(table_page([])), parts, ledger=DeadLedger(parts))
    with pytest.raises(LedgerOutage):
        await gated.gate.swap(replace(parts.snapshot, digest="new", retire=retire))

    assert ["retired"] == retired


async def test_one_person_has_one_count_however_the_issuer_spells_them(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Tokens for `t1004` and `T1004` are the same person: their views of one record add up."""
    gated = behind(world, records_system, parts)
    path = world.path(list(world.both.records)[600])
    statuses = [
        (await gated.ask(path, **(OWEN | {"who": who}))).status_code
        for who in ("T1004", "t1004", " T1004") * 3
    ]

    assert [200] * OWENS + [403] * (9 - OWENS) == statuses
    assert {"T1004"} == {entry.fields["principal"] for entry in gated.entries}


async def test_what_was_swapped_out_goes_down_once_and_after_its_last_lookup(
    world: World, parts: Parts
) -> None:
    """A lookup keeps the policies it began with until its end, whatever is swapped in meanwhile."""
    asked, answered, retired = asyncio.Event(), asyncio.Event(), list[str]()

    class Slow(HostileApp):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            asked.set()
            await answered.wait()
            await super().__call__(scope, receive, send)

    def named(name: str) -> Any:
        async def retire() -> None:
            retired.append(name)

        return replace(parts.snapshot, digest=name, retire=retire)

    row = world.both.records[world.cast.suspect]
    gated = behind(world, Slow(row_page(row)), replace(parts, snapshot=named("first")))
    lookup = asyncio.create_task(gated.ask(world.path(world.cast.suspect)))
    await asked.wait()
    swap = asyncio.create_task(gated.gate.swap(named("second")))
    await asyncio.wait([swap], timeout=0.2)
    before = list(retired)
    answered.set()
    answer = await lookup
    await swap
    await gated.gate.swap(named("third"))

    assert ([], ["first", "second"]) == (before, retired)
    assert (200, "first") == (answer.status_code, gated.entries[-2].fields["snapshot_digest"])


async def test_searching_for_one_person_for_ever_is_stopped_too(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """A search that shows one record is no way around the limit on views: past its own limit the row stays behind."""
    gated = behind(world, records_system, parts)
    record = world.both.record_id(list(world.both.records)[700])
    path = f"/people/person.json?rec_id={record}&_size=1"
    shown = [len((await gated.ask(path, **OWEN)).json()["rows"]) for _ in range(50)]

    assert [1] * 19 + [0] * 31 == shown
