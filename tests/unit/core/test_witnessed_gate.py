"""A gate whose settings want a witness: refused without one, each refusal recorded, and served again by itself."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from starlette.types import ASGIApp

from gates import Gated, World, behind, opened
from ledgers import open_ledger
from purposegate.errors import LedgerOutage
from purposegate.ledger import pushing
from purposegate.model import EntryKind, Mode
from purposegate.reasons import Reason
from witnesses import RunningWitness, vkeys

pytestmark = pytest.mark.anyio

ORIGIN = "northam.example/purposegate/demo"


@pytest.fixture(scope="module")
def psd(world: World) -> Iterator[RunningWitness]:
    """A witness that knows the gate's shard, not running yet."""
    path = world.home / "witnessed.db"
    open_ledger(path, origin=ORIGIN).close()
    made = RunningWitness(world.home / "psd")
    made.know(*vkeys(path))
    yield made
    made.kill()


@pytest.fixture
async def stopping(
    world: World, records_system: ASGIApp, psd: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gated]:
    """A gate that wants this witness, and stops without it."""
    monkeypatch.setattr(pushing, "LAST_RETRY_S", 0.2)
    ledger = {
        "witnesses": [{"url": psd.url, "key": psd.vkey}],
        "witness_every_s": 0.1,
        "max_unwitnessed_s": 2,
        "when_unwitnessed": "stop",
    }
    async with opened(world, "witnessed", ledger=ledger) as parts:
        yield behind(world, records_system, parts)


async def status_becomes(gated: Gated, path: str, wanted: int) -> None:
    """Ask until the gate answers so; past a minute it never will."""
    for _ in range(600):
        if (await gated.ask(path)).status_code == wanted:
            return
        await anyio.sleep(0.1)
    raise AssertionError("the answer that the test waits for did not come")


async def test_gate_serves_only_while_it_is_witnessed(
    stopping: Gated, world: World, psd: RunningWitness
) -> None:
    """503 with an entry before the witness is there, released once it cosigned, 503 again after it is gone, and back."""
    path = world.path(world.cast.suspect)
    refused = await stopping.ask(path)
    (entry,) = stopping.entries
    psd.start()
    await status_becomes(stopping, path, 200)
    psd.kill()
    await status_becomes(stopping, path, 503)
    psd.start()
    await status_becomes(stopping, path, 200)

    assert (503, EntryKind.OUTAGE, False) == (refused.status_code, entry.kind, entry.released)
    assert [Reason.LEDGER_UNAVAILABLE.value] == entry.fields["reasons"]
    assert "no quorum of witnesses" in entry.fields["detail"]
    assert "purposegate-receipt" in refused.headers


async def test_monitor_mode_passes_and_records_the_gap(stopping: Gated, world: World) -> None:
    """What can be recorded is released in monitor mode, with what enforcing would have done."""
    ledger = stopping.parts.ledger
    watched = behind(
        world, stopping.app, stopping.parts, modes={"default": Mode.MONITOR}, admit=_refusing, ledger=ledger
    )
    answer = await watched.ask(world.path(world.cast.suspect))

    assert (200, [EntryKind.OUTAGE]) == (answer.status_code, [entry.kind for entry in watched.entries])


def _refusing() -> None:
    raise LedgerOutage("no quorum of witnesses")
