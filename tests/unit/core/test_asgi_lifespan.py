"""A gate that cannot start says so to the server, once, in the words of its own fault."""

from types import TracebackType

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.errors import SettingsError
from purposegate.gate import Gate, Parts

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
