"""Laws 1, 3 and 10: nothing leaves unrecorded, outage is not refusal, monitor mode changes release and never recording."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from demo.walk import declare
from gates import MINE, Gated, World, behind, opened
from hostile import HostileApp, row_page
from purposegate.errors import SettingsError
from purposegate.gate import Parts
from purposegate.model import Entry, EntryKind, Mode, Receipt
from purposegate.reasons import Family, Reason
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio


paths = st.sampled_from(
    [
        "/people/person/{suspect}.json", "/people/person/{relative}.json", "/people/person/{suspect}", "/people/person.json",
        "/people/person.json?_search=a", "/people/person?surname=x", "/people.db", "/people.json?sql=select+1", "/nowhere",
        "/people/person/none.json", "/people/person/%2e%2e/x", "/people//person.json", "/.purposegate/other", "/",
    ]
)  # fmt: skip
declarations = st.sampled_from(
    [
        None, MINE, "curiosity.idle", "investigate.crime", declare("investigate.crime", "CR/2200/26"), "a=b;;", "\x00",
        declare("respond.missing", reason="Missing teenager threatens to jump, on the phone now", broken=True),
    ]
)  # fmt: skip
methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths, declared=declarations, method=methods)
async def test_an_entry_is_durable_before_the_first_byte(
    world: World, records_system: ASGIApp, parts: Parts, path: str, declared: str | None, method: str
) -> None:
    """Law 1: whatever is asked, each answer's entry is in the ledger before `http.response.start` is sent."""
    gated = behind(world, records_system, parts, refusals_per_minute=10**6)
    known = {
        "suspect": world.both.record_id(world.cast.suspect),
        "relative": world.both.record_id(world.cast.relative),
    }
    raw, _, query = path.format(**known).partition("?")
    headers = [(b"authorization", f"Bearer {gated.token('T1001', 'Detective')}".encode())]
    headers += [(b"access-purpose", declared.encode())] if declared is not None else []
    scope = {
        "type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "query_string": query.encode(),
        "headers": headers, "extensions": {}, "http_version": "1.1", "scheme": "http", "root_path": "",
    }  # fmt: skip
    durable_at_start: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            durable_at_start.append(len(gated.entries))

    await gated.asgi(scope, receive, send)

    own_page = raw.startswith("/.purposegate/")
    assert [0 if own_page else 1] == durable_at_start


async def test_nothing_is_released_without_an_entry(world: World, parts: Parts) -> None:
    """Law 1: a dead ledger is 503, and no byte of the record leaves."""
    row = world.both.records[world.cast.suspect]
    gated = behind(world, HostileApp(row_page(row)), parts, ledger=DeadLedger(parts))
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)


@pytest.mark.parametrize("declared", [None, "curiosity.idle", declare("investigate.crime", "CR/2200/26")])
async def test_nothing_is_refused_without_an_entry(world: World, parts: Parts, declared: str | None) -> None:
    """Law 1: a refusal that cannot be recorded is an outage."""
    gated = behind(world, HostileApp(), parts, ledger=DeadLedger(parts))
    answer = await gated.ask(world.path(world.cast.suspect), declared=declared)

    assert (503, "/.purposegate/problems/outage") == (answer.status_code, answer.json()["type"])


async def test_a_lookup_too_large_for_its_entry_is_recorded_in_few_words(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: an answer whose entry does not fit is an outage, and its entry still says who asked and why nothing came."""
    row = world.both.records[world.cast.suspect]
    gated = behind(world, HostileApp(row_page(row)), parts)
    monkeypatch.setattr("purposegate.ledger.entry.MAX_PAYLOAD_BYTES", 900)
    answer = await gated.ask(world.path(world.cast.suspect))
    (entry,) = gated.entries

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)
    assert (EntryKind.OUTAGE, "T1001", False) == (entry.kind, entry.fields["principal"], entry.released)
    assert [Reason.LEDGER_UNAVAILABLE.value] == entry.fields["reasons"]
    assert "at most 900 fit" in entry.fields["detail"]


async def test_strangers_are_counted_and_leave_one_entry_a_minute(gated: Gated) -> None:
    """Law 1: requests without identity cannot fill the disk."""
    answers = [await gated.ask("/people/person.json", who="") for _ in range(20)]

    assert ([401] * 20, [EntryKind.UNIDENTIFIED]) == (
        [answer.status_code for answer in answers],
        [entry.kind for entry in gated.entries],
    )


async def test_what_was_only_counted_is_recorded_at_the_end(world: World, parts: Parts) -> None:
    """Strangers after the minute's entry are in the ledger by the time the gate is closed."""
    gated = behind(world, HostileApp(), parts)
    for _ in range(20):
        await gated.ask("/people/person.json", who="")
    await gated.gate.aclose()

    assert 20 == sum(entry.fields["requests"] for entry in gated.entries)


async def test_over_the_refusal_rate_attempts_are_counted(world: World, parts: Parts) -> None:
    """Law 1: a principal who keeps being refused gets 429 and cannot fill the disk."""
    gated = behind(world, HostileApp(), parts, refusals_per_minute=5)
    answers = [await gated.ask("/nowhere") for _ in range(50)]

    assert [403] * 5 + [429] * 45 == [answer.status_code for answer in answers]
    assert [EntryKind.REFUSAL] * 5 + [EntryKind.THROTTLED] == [entry.kind for entry in gated.entries]


async def test_one_principals_refusals_throttle_nobody_else(world: World, parts: Parts) -> None:
    """The rate is each principal's own."""
    gated = behind(world, HostileApp(), parts, refusals_per_minute=1)
    await gated.ask("/nowhere")
    mine, theirs = await gated.ask("/nowhere"), await gated.ask("/nowhere", who="T1003")

    assert (429, 403) == (mine.status_code, theirs.status_code)


async def test_an_outage_throttles_nobody(world: World, parts: Parts) -> None:
    """Law 3: a principal is not punished for what they did not do."""
    gated = behind(world, HostileApp(status=500), parts, refusals_per_minute=1)
    answers = [await gated.ask(world.path(world.cast.suspect)) for _ in range(3)]

    assert [502] * 3 == [answer.status_code for answer in answers]


def test_refusals_and_outages_have_kinds_of_their_own() -> None:
    """Law 3: no reason is both."""
    outages = {reason for reason in Reason if reason.wording.family is Family.OUTAGE}

    assert {500 <= reason.wording.status for reason in outages} == {True}
    assert {500 <= reason.wording.status for reason in set(Reason) - outages} == {False}


async def test_cancelling_the_client_does_not_part_entry_and_count(world: World, parts: Parts) -> None:
    """A client that hangs up while the entry is written leaves a count as if it had stayed."""
    row = world.both.records[world.cast.missing]
    entered, go_on = asyncio.Event(), asyncio.Event()

    class SlowLedger(DeadLedger):
        async def append(self, entry: Entry) -> Receipt:
            entered.set()
            await go_on.wait()
            return await parts.ledger.append(entry)

    gated = behind(world, HostileApp(row_page(row)), parts, ledger=SlowLedger(parts))
    lookup = asyncio.create_task(gated.ask(world.path(world.cast.missing)))
    await entered.wait()
    lookup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lookup
    go_on.set()
    again = behind(world, HostileApp(row_page(row)), parts)
    for _ in range(50):
        await asyncio.sleep(0.01)
        if gated.entries:
            break
    await again.ask(world.path(world.cast.missing))

    assert [1, 2] == [gated.entries[0].rows[0]["sight"], again.entries[0].rows[0]["sight"]]


@pytest.fixture
def monitored(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    return behind(world, records_system, parts, modes={"default": Mode.MONITOR})


@pytest.mark.parametrize(
    ("path", "declared", "reason"),
    [
        ("{suspect}", None, Reason.PURPOSE_MISSING),
        ("{suspect}", "a=b;;", Reason.DECLARATION_MALFORMED),
        ("{relative}", MINE, Reason.CONFLICT),
        ("{suspect}", declare("investigate.crime", "CR/917/25"), Reason.POLICY_REFUSED),
        ("/people.db", MINE, Reason.ROUTE_FORBIDDEN),
        ("/nowhere", MINE, Reason.ROUTE_UNMAPPED),
    ],
)
async def test_monitor_mode_passes_and_records_what_enforcing_would_have_done(
    monitored: Gated, path: str, declared: str | None, reason: Reason
) -> None:
    """Law 10: the answer is the records system's own, the entry names the reason that would have refused."""
    world = monitored.world
    known = {name: world.path(getattr(world.cast, name)) for name in ("suspect", "relative")}
    answer = await monitored.ask(path.format(**known), declared=declared)
    entry = monitored.entries[-1]

    assert "application/problem+json" != answer.headers.get("content-type")
    assert (True, EntryKind.REFUSAL, "monitor") == (entry.released, entry.kind, entry.fields["mode"])
    assert reason in entry.fields["reasons"]


async def test_monitor_mode_gives_the_same_bytes_as_no_gate(
    monitored: Gated, records_system: ASGIApp
) -> None:
    """Law 10: status, headers and body of the app itself."""
    path = monitored.world.path(monitored.world.cast.suspect)
    answer = await monitored.ask(path)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=records_system), base_url="http://r"
    ) as client:
        bare = await client.get(path)

    drop = "query_ms"
    assert {k: v for k, v in bare.json().items() if k != drop} == {
        k: v for k, v in answer.json().items() if k != drop
    }
    assert set(bare.headers) == set(answer.headers)


async def test_monitor_mode_counts_sights_like_enforcing(monitored: Gated) -> None:
    """Law 10: what was seen under monitor counts when enforcing begins."""
    path = monitored.world.path(monitored.world.cast.neighbour)
    for _ in range(3):
        await monitored.ask(path)

    assert [1, 2, 3] == [entry.rows[0]["sight"] for entry in monitored.entries]


async def test_monitor_mode_without_a_ledger_is_503(world: World, parts: Parts) -> None:
    """Law 1 holds in monitor mode too, unless the operator sets otherwise."""
    row = world.both.records[world.cast.suspect]
    gated = behind(
        world, HostileApp(row_page(row)), parts, modes={"default": Mode.MONITOR}, ledger=DeadLedger(parts)
    )
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)


async def test_a_gap_is_recorded_when_the_ledger_returns(world: World, parts: Parts) -> None:
    """By setting, monitor mode passes while the ledger is down; its return begins with one gap entry that counts."""
    ledger = DeadLedger(parts)
    row = world.both.records[world.cast.suspect]
    gated = behind(
        world,
        HostileApp(row_page(row)),
        parts,
        modes={"default": Mode.MONITOR},
        ledger=ledger,
        monitor_without_ledger=True,
    )
    statuses = [(await gated.ask(world.path(world.cast.suspect))).status_code for _ in range(3)]
    ledger.mended = True
    for _ in range(2):
        await gated.ask(world.path(world.cast.suspect))

    assert [200] * 3 == statuses
    assert [EntryKind.GAP, EntryKind.RELEASE, EntryKind.RELEASE] == [entry.kind for entry in gated.entries]
    assert 3 == gated.entries[0].fields["lookups"]


async def test_passing_without_a_ledger_is_for_monitor_mode_alone(world: World, parts: Parts) -> None:
    """Law 1: the setting that lets monitored kinds pass unrecorded opens nothing that is enforced."""
    row = world.both.records[world.cast.suspect]
    gated = behind(
        world, HostileApp(row_page(row)), parts, ledger=DeadLedger(parts), monitor_without_ledger=True
    )
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)


async def test_monitor_mode_neither_counts_refusals_nor_stops_at_them(world: World, parts: Parts) -> None:
    """Law 10: a person whom monitored lookups would have refused is not answered 429 there, nor where lookups are enforced."""
    row = world.both.records[world.cast.suspect]
    modes = {"person": Mode.MONITOR, "default": Mode.ENFORCE}
    gated = behind(world, HostileApp(row_page(row)), parts, modes=modes, refusals_per_minute=2)
    path = world.path(world.cast.suspect)
    monitored = [(await gated.ask(path, declared=None)).status_code for _ in range(4)]
    enforced = [(await gated.ask("/nowhere")).status_code for _ in range(3)]
    monitored += [(await gated.ask(path, declared=None)).status_code]

    assert ([200] * 5, [403, 403, 429]) == (monitored, enforced)


async def test_a_ledger_that_cannot_be_made_stops_the_start(world: World, tmp_path: Path) -> None:
    """A ledger directory that cannot be written is an error with a remedy, before anything is served."""
    blocker = tmp_path / "file"
    blocker.write_text("a file where a directory must be", encoding="utf-8")
    with pytest.raises(SettingsError, match="ledger"):
        async with opened(world, "blocked", ledger={"path": str(blocker / "ledger.db")}):
            pass


async def test_a_declaration_that_cannot_be_read_is_kept_as_sent(gated: Gated) -> None:
    """A false or broken declaration is evidence: the entry holds it verbatim, and the door that was tried."""
    await gated.ask("/people/person.json?surname=whitlam", declared="just looking !!")
    fields = gated.entries[-1].fields

    assert ("just looking !!", "/people/person.json?surname=whitlam", "127.0.0.1") == (
        fields["declared_as_sent"],
        fields["target"],
        fields["peer"],
    )


async def test_an_entry_holds_no_more_of_a_request_than_a_hearing_needs(world: World, parts: Parts) -> None:
    """Law 1: nobody fills the disk by what they call themselves, or the method; a proxy's header names the peer."""
    gated = behind(world, HostileApp(), parts)
    transport = httpx.ASGITransport(app=gated.asgi, client=("9" * 60_000, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://records.example") as client:
        headers = {"authorization": f"Bearer {gated.token('T1001', 'Detective')}"}
        await client.request("B" * 60_000, "/people/" + "c" * 3_000, headers=headers)
    fields = gated.entries[-1].fields

    assert {"peer": 64, "method": 32, "target": 2048} == {
        name: len(fields[name]) for name in ("peer", "method", "target")
    }
