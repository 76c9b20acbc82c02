"""The ASGI entrance: lifespans, WebSockets, background work, crashes, and scopes nobody knows."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from gates import MINE, Gated, World, behind
from hostile import HostileApp, row_page
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.exchange import Request
from purposegate.gate import Gate, Parts
from purposegate.model import EntryKind, Mode
from purposegate.protocols import Match
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio


async def drive(app: Any, scope: dict[str, Any], *messages: Any) -> list[Any]:
    """Run one scope to its end; the messages it sent."""
    waiting, sent = list(messages), []

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def socket_scope(gated: Gated, path: str, **extensions: Any) -> dict[str, Any]:
    token = gated.token("T1001", "Detective")
    return {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"access-purpose", MINE.encode())],
        "extensions": extensions,
    }


async def chat(websocket: Any) -> None:
    await websocket.accept()
    await websocket.send_text("whitlam")
    await websocket.close()


SOCKETS = Starlette(routes=[WebSocketRoute("/people/person/{id}", chat), WebSocketRoute("/chat", chat)])


@pytest.mark.parametrize("path", ["/chat", "/people/person/rec-1070-dup-0"])
async def test_a_websocket_is_closed_with_an_entry(world: World, parts: Parts, path: str) -> None:
    """A WebSocket under the protected prefix is refused before the app sees it, and the attempt is on record."""
    gated = behind(world, SOCKETS, parts)
    sent = await drive(gated.asgi, socket_scope(gated, path), {"type": "websocket.connect"})

    assert ["websocket.close"] == [message["type"] for message in sent]
    assert [[Reason.WEBSOCKET_REFUSED]] == [entry.fields["reasons"] for entry in gated.entries]


async def test_a_websockets_refusal_has_a_body_where_the_server_can_send_one(
    world: World, parts: Parts
) -> None:
    """With the denial response extension the client reads the same problem document."""
    gated = behind(world, SOCKETS, parts)
    scope = socket_scope(gated, "/chat", **{"websocket.http.response": {}})
    sent = await drive(gated.asgi, scope, {"type": "websocket.connect"})

    assert ["websocket.http.response.start", "websocket.http.response.body"] == [
        message["type"] for message in sent
    ]
    assert 403 == sent[0]["status"]


async def test_monitor_mode_lets_a_websocket_pass_recorded(world: World, parts: Parts) -> None:
    """Law 10: the conversation goes on, and the entry says that enforcing would have closed it."""
    gated = behind(world, SOCKETS, parts, modes={"default": Mode.MONITOR})
    sent = await drive(gated.asgi, socket_scope(gated, "/chat"), {"type": "websocket.connect"})

    assert "whitlam" in [message.get("text") for message in sent]
    assert Reason.WEBSOCKET_REFUSED in gated.entries[-1].fields["reasons"]


async def test_an_unknown_scope_is_dropped(world: World, parts: Parts) -> None:
    """A protocol nobody has judged reaches neither the app nor the client."""
    app = HostileApp()
    gated = behind(world, app, parts)

    assert ([], []) == (await drive(gated.asgi, {"type": "telepathy"}), app.asked)


class Opening:
    """Parts whose opening and closing are remembered."""

    def __init__(self, parts: Parts, *, fault: Exception | None = None) -> None:
        self.parts, self.fault, self.seen = parts, fault, list[str]()

    async def __aenter__(self) -> Parts:
        if self.fault is not None:
            raise self.fault
        self.seen.append("opened")
        return self.parts

    async def __aexit__(self, *_: object) -> None:
        self.seen.append("closed")


LIFESPAN = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})


async def test_the_gate_starts_and_stops_with_the_app(parts: Parts) -> None:
    """Lifespan: the gate is up before the app says it is ready, and down before the app says it is done."""
    opening = Opening(parts)
    app = PurposeGateMiddleware(Starlette(), gate=Gate(opening))
    sent = await drive(app, {"type": "lifespan"}, *LIFESPAN)

    assert ["opened", "closed"] == opening.seen
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [
        message["type"] for message in sent
    ]


async def test_a_gate_that_cannot_start_stops_the_server(parts: Parts) -> None:
    """A host must not come up with a gate that could not."""
    opening = Opening(parts, fault=RuntimeError("no Cerbos"))
    app = PurposeGateMiddleware(Starlette(), gate=Gate(opening))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError):
        await app({"type": "lifespan"}, receive, send)

    assert "lifespan.startup.failed" == sent[0]["type"]


async def test_a_gate_that_cannot_start_answers_503(world: World, parts: Parts) -> None:
    """Without lifespan each request tries again, and nothing of the app is reached meanwhile."""
    app = HostileApp()
    gate = Gate(Opening(parts, fault=RuntimeError("no Cerbos")))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=PurposeGateMiddleware(app, gate=gate)), base_url="http://r"
    )
    answer = await client.get(world.path(world.cast.suspect))

    assert (503, []) == (answer.status_code, app.asked)


async def test_the_first_lookup_starts_the_gate_where_no_lifespan_does(world: World, parts: Parts) -> None:
    """Embedded hosts without lifespan support get a started gate all the same, once."""
    gated = behind(world, HostileApp(), parts)
    answers = await asyncio.gather(*(gated.ask("/nowhere") for _ in range(5)))

    assert [403] * 5 == [answer.status_code for answer in answers]


async def test_background_work_goes_on_after_the_answer(world: World, parts: Parts) -> None:
    """An app's background task runs to its end although the answer was held and written anew."""
    done: list[str] = []
    body = row_page(world.both.records[world.cast.suspect])

    async def page(_: Any) -> Any:
        return PlainTextResponse(
            body, media_type="application/json", background=BackgroundTask(done.append, "done")
        )

    gated = behind(world, Starlette(routes=[Route("/people/person/{id}", page)]), parts)
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (200, ["done"]) == (answer.status_code, done)


async def test_an_apps_exception_reaches_the_servers_log(world: World, parts: Parts) -> None:
    """The client gets the gate's 502; the server gets the exception, as without the gate."""
    gated = behind(world, HostileApp(messages=[], error=LookupError("bug")), parts)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=gated.asgi), base_url="http://r")
    headers = {"authorization": f"Bearer {gated.token('T1001', 'Detective')}", "access-purpose": MINE}

    with pytest.raises(LookupError):
        await client.get(world.path(world.cast.suspect), headers=headers)

    assert [EntryKind.OUTAGE] == [entry.kind for entry in gated.entries]


async def test_an_endless_answer_is_cut_off(world: World, parts: Parts) -> None:
    """An app that streams for ever is stopped at the cap; the request ends."""

    async def forever() -> Any:
        while True:
            yield b" " * 1024 * 1024

    async def page(_: Any) -> Any:
        return StreamingResponse(forever(), media_type="application/json")

    gated = behind(world, Starlette(routes=[Route("/people/person/{id}", page)]), parts)
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (502, [Reason.ANSWER_TOO_LARGE]) == (answer.status_code, gated.entries[-1].fields["reasons"])


async def test_monitor_mode_streams_what_is_over_the_cap(world: World, parts: Parts) -> None:
    """Law 10: an answer too large to judge passes whole, after its entry."""
    size = 10 * 1024 * 1024

    async def chunks() -> Any:
        for _ in range(10):
            yield b"x" * (size // 10)

    async def page(_: Any) -> Any:
        return StreamingResponse(chunks(), media_type="application/json")

    app = Starlette(routes=[Route("/people/person/{id}", page)])
    gated = behind(world, app, parts, modes={"default": Mode.MONITOR})
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (200, size) == (answer.status_code, len(answer.content))
    assert Reason.ANSWER_TOO_LARGE in gated.entries[-1].fields["reasons"]


async def test_a_body_over_the_cap_is_refused(gated: Gated) -> None:
    """No lookup route takes a body larger than the entrance reads."""
    answer = await gated.ask("/people/person.json", method="POST", content=b"x" * (2 * 1024 * 1024))

    assert answer.status_code in (403, 413)
    assert 1 == len(gated.entries)


@pytest.mark.parametrize(
    ("version", "announced"),
    [
        ("1.1", (b"content-length", b"1000000")),
        ("1.1", (b"transfer-encoding", b"chunked")),
        ("2", (b"x-nothing", b"announced")),
    ],
)
@pytest.mark.parametrize("who", [(), ((b"authorization", b"Bearer x.y.z"),)])
async def test_nobody_known_makes_the_gate_hold_a_body(
    world: World,
    parts: Parts,
    version: str,
    announced: tuple[bytes, bytes],
    who: tuple[tuple[bytes, bytes], ...],
) -> None:
    """A megabyte for each of a thousand strangers who never finish sending would be the host's memory."""
    gated = behind(world, HostileApp(), parts)
    read: list[str] = []

    async def receive() -> Any:
        read.append("read")
        return {"type": "http.request", "body": b"x", "more_body": False}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/people/person.json", "query_string": b"",
             "headers": [announced, *who], "http_version": version}  # fmt: skip
    await gated.asgi(scope, receive, send)

    assert (401, []) == (sent[0]["status"], read)


async def test_open_routes_pass_untouched_and_unrecorded(gated: Gated) -> None:
    """An address listed as open needs no identity and leaves no entry."""
    answer = await gated.ask("/-/static/app.css", who="", declared=None)

    assert (200, []) == (answer.status_code, gated.entries)


@pytest.mark.parametrize(
    "path",
    [
        "/-/static/app.css/",
        "/-/static/APP.css",
        "/-/static//app.css",
        "/-/static/app.css%2f..",
        "/-/static/app.js",
    ],
)
async def test_open_means_exactly_that_path(gated: Gated, path: str) -> None:
    """What only looks like an open address is closed."""
    answer = await gated.ask(path)

    assert answer.status_code in (400, 403)


async def test_the_gates_own_list_of_purposes_needs_an_identity(gated: Gated) -> None:
    """What one may declare is told to known principals only."""
    known = await gated.ask("/.purposegate/purposes")
    unknown = await gated.ask("/.purposegate/purposes", who="")

    assert (200, 401) == (known.status_code, unknown.status_code)
    assert "investigate.crime" in {purpose["code"] for purpose in known.json()["purposes"]}


async def test_open_routes_stay_open_after_the_end(world: World, parts: Parts) -> None:
    """A closed gate judges nothing any more; what needed no judging still goes on."""
    gated = behind(world, HostileApp(b"body {}", headers=[(b"content-type", b"text/css")]), parts)
    await gated.gate.start()
    await gated.gate.aclose()
    style, record = await gated.ask("/-/static/app.css"), await gated.ask(world.path(world.cast.suspect))

    assert (200, 503) == (style.status_code, record.status_code)


async def test_a_lookup_without_body_is_routed_once(world: World, parts: Parts) -> None:
    """What the entrance found out about the head holds for the whole; with a body it is found out again."""
    asked = list[bytes]()
    routes = parts.snapshot.routes

    class Counted:
        def match(self, request: Request) -> Match | None:
            asked.append(request.body)
            return routes.match(request)

    gated = behind(
        world, HostileApp(row_page(world.both.records[world.cast.suspect])), parts, routes=Counted()
    )
    await gated.gate.start()
    path = world.path(world.cast.suspect)
    statuses = [(await gated.ask(path, content=body)).status_code for body in (b"", b"x")]

    assert [b"", b"", b"x"] == asked
    assert 200 == statuses[0]
