"""A gate that cannot start says so to the server, once, in the words of its own fault."""

import asyncio
from types import TracebackType

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.errors import SettingsError
from purposegate.gate import RESTART_S, Gate, Parts

pytestmark = pytest.mark.anyio


class Unstartable:
    """Parts that cannot be opened."""

    async def __aenter__(self) -> Parts:
        raise SettingsError("purposegate.yaml:3: ledger.path: want a local file")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise TypeError("what was never opened is never closed")


async def test_a_gate_that_cannot_start_fails_the_start_once() -> None:
    """Starlette answers the server too when its start-up fails; a second answer is a protocol error that hides the first."""
    asgi = PurposeGateMiddleware(Starlette(), gate=Gate(Unstartable()))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    with pytest.raises(SettingsError):
        await asgi({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]
    assert "ledger.path" in sent[0]["message"]


class Counting:
    """Opens given parts, or fails, and counts both ways."""

    def __init__(self, parts: Parts, *, fails: bool = False) -> None:
        self.opened = self.closed = 0
        self.fails = fails
        self._parts = parts

    async def __aenter__(self) -> Parts:
        self.opened += 1
        if self.fails:
            raise SettingsError("no Cerbos")
        return self._parts

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1


async def ask(gate: Gate) -> int:
    """The status of one request by nobody known."""
    asgi = PurposeGateMiddleware(Starlette(), gate=gate)
    transport = httpx.ASGITransport(app=asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://records.example") as client:
        return (await client.get("/people/person/rec-1-dup-0.json")).status_code


async def test_a_late_request_does_not_open_a_closed_gate_again(parts: Parts) -> None:
    """A server may stop the app while requests wait: nobody would take down what such a one started."""
    opening = Counting(parts)
    gate = Gate(opening)
    await gate.start()
    await gate.aclose()

    assert (503, 1, 1) == (await ask(gate), opening.opened, opening.closed)


async def test_a_gate_that_is_started_again_serves_again(parts: Parts) -> None:
    """Servers and tests run one app's lifespan more than once."""
    opening = Counting(parts)
    gate = Gate(opening)
    await gate.start()
    await gate.aclose()
    await gate.start()

    assert (401, 2) == (await ask(gate), opening.opened)


async def test_requests_do_not_hammer_a_gate_that_cannot_start(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """Without lifespan anybody's request starts the gate; a failure is tried again, and logged, once in a while."""
    now = 100.0
    opening = Counting(parts, fails=True)
    gate = Gate(opening, monotonic=lambda: now)
    statuses = await asyncio.gather(*(ask(gate) for _ in range(5)))
    assert ([503] * 5, 1, 1) == (statuses, opening.opened, len(caplog.records))

    now += RESTART_S
    opening.fails = False
    assert (401, 2) == (await ask(gate), opening.opened)
