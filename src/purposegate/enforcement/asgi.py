"""ASGI middleware: reads the request, runs the gate, sends what the gate returns. Pure ASGI 3, nothing kept on the class.

The wrapped app runs as its own task with its messages held, so that its answer can be judged when it is complete while its
background work goes on. Extensions that send past `http.response.body` are taken out of the scope first.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from purposegate.errors import AnswerOutage, UpstreamOutage
from purposegate.exchange import WEBSOCKET, Held, Pass, Reply, Request
from purposegate.gate import Gate
from purposegate.reasons import Reason

DEFAULT_BODY_CAP_BYTES = 1024 * 1024
"""Search forms are small; what is larger is an upload, which no lookup route maps."""
BYPASSES = frozenset(
    {
        "http.response.pathsend",
        "http.response.zerocopysend",
        "http.response.push",
        "http.response.early_hint",
        "http.response.trailers",
        "http.response.debug",
    }
)
"""Extensions by which an app sends bytes or headers that no `http.response.body` carries."""


class PurposeGateMiddleware:
    """Puts a gate in front of an ASGI app. Place it outermost: what it has not judged must not leave."""

    def __init__(self, app: ASGIApp, *, gate: Gate, body_cap_bytes: int = DEFAULT_BODY_CAP_BYTES) -> None:
        self.app = app
        self.gate = gate
        self.body_cap_bytes = body_cap_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        # Any other scope carries a protocol that nobody has judged: it is dropped unanswered.

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = read_request(scope)
        routed = self.gate.route(head)
        if routed is not None and routed.is_open:
            await self.app(scope, receive, send)
            return
        if _may_have_body(scope, head) and not await self.gate.is_known(head):
            body = _Body.unread(receive)  # it is answered 401: nobody unknown makes the gate hold a body
        else:
            body = await _Body.read(receive, self.body_cap_bytes)
        # Where there is no body, the request is its head, and leads where the head did.
        request = head if body.is_empty else read_request(scope, body)
        upstream = AsgiUpstream(self.app, scope, request, body)
        try:
            answer = await self.gate.serve(request, upstream, routed=routed)
            if answer is Pass.ORIGINAL:
                await upstream.pass_on(send)
            elif isinstance(answer, Reply):
                await _send_reply(send, answer, head=scope["method"] == "HEAD")
                upstream.refuse_rest()
            else:
                await self.app(scope, body.replay(), send)
            await upstream.finish()
        finally:
            upstream.cancel()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.gate.serve(read_request(scope), _NoAnswer())
        if not isinstance(answer, Reply):
            await self.app(scope, receive, send)
            return
        await receive()  # websocket.connect: ASGI allows an answer only after it
        if "websocket.http.response" in scope.get("extensions", {}):
            await send(
                {
                    "type": "websocket.http.response.start",
                    "status": answer.status,
                    "headers": list(answer.headers),
                }
            )
            await send({"type": "websocket.http.response.body", "body": answer.body})
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "closed by policy"})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the gate before the app says it is ready, and close it after the app is done."""
        failed = False

        async def starting(message: Message) -> None:
            nonlocal failed
            if failed:
                return  # the app hears the gate's fault raised and reports it too; ASGI allows the server one answer
            if message["type"] == "lifespan.startup.complete":
                try:
                    await self.gate.start()
                except Exception as error:
                    failed = True
                    await send({"type": "lifespan.startup.failed", "message": f"purposegate: {error}"})
                    raise
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self.gate.aclose()
            await send(message)

        await self.app(scope, receive, starting)


def read_request(scope: Scope, body: "_Body | None" = None) -> Request:
    """The request as the gate sees it. A server that keeps no raw path gives its decoded one, encoded again by nobody."""
    raw_path = scope.get("raw_path")
    return Request(
        method=WEBSOCKET if scope["type"] == "websocket" else scope["method"],
        raw_path=raw_path if raw_path is not None else scope["path"].encode("utf-8", "surrogateescape"),
        path=scope["path"],
        query=scope.get("query_string", b""),
        headers=tuple((name.lower(), value) for name, value in scope["headers"]),
        body=b"".join(body.chunks) if body else b"",
        body_over_cap=body.is_cut if body else False,
        peer=str((scope.get("client") or ("",))[0]),
    )


def _may_have_body(scope: Scope, head: Request) -> bool:
    """Whether a body may follow. HTTP/1 says so (RFC 9112 section 6), so that most lookups are not identified twice."""
    announced = head.values(b"content-length") or head.values(b"transfer-encoding")
    return bool(announced) or not scope.get("http_version", "1.1").startswith("1")


async def _send_reply(send: Send, reply: Reply, *, head: bool) -> None:
    bodiless = reply.status in (204, 304)
    length = () if bodiless else ((b"content-length", str(len(reply.body)).encode()),)
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, *length]})
    await send({"type": "http.response.body", "body": b"" if head or bodiless else reply.body})


class _Body:
    """A request body read up to a cap, and replayable to the app any number of times."""

    def __init__(self, receive: Receive) -> None:
        self.chunks: list[bytes] = []
        self.more = False
        self.is_cut = False
        """What was read is not all of the body, or more of it than the cap."""
        self.gone = False
        self._receive = receive

    @property
    def is_empty(self) -> bool:
        """Whether all of it was read, and it holds nothing."""
        return not self.is_cut and not any(self.chunks)

    @classmethod
    def unread(cls, receive: Receive) -> "_Body":
        """A body left where it is; a request that is served all the same is one whose body was cut."""
        body = cls(receive)
        body.more = body.is_cut = True
        return body

    @classmethod
    async def read(cls, receive: Receive, cap_bytes: int) -> "_Body":
        body, size = cls(receive), 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.gone, body.is_cut = True, body.more
                return body
            chunk = message.get("body", b"")
            size += len(chunk)
            body.chunks.append(chunk)
            body.more = message.get("more_body", False)
            if not body.more or size > cap_bytes:
                body.is_cut = size > cap_bytes
                return body

    def replay(self) -> Receive:
        """A `receive` that gives the body again, then whatever the client still sends."""
        pending = [{"type": "http.request", "body": b"".join(self.chunks), "more_body": self.more}]
        if self.gone:
            pending = [{"type": "http.disconnect"}]

        async def receive() -> Message:
            return pending.pop() if pending else await self._receive()

        return receive


class AsgiUpstream:
    """The wrapped app as `protocols.Upstream`: each question runs it once, its answer held."""

    def __init__(self, app: ASGIApp, scope: Scope, request: Request, body: _Body) -> None:
        self._app = app
        self._scope = _plain(scope)
        self._request = request
        self._body = body
        self._runs: list[_Run] = []

    async def ask(self, request: Request, *, cap_bytes: int) -> Held:
        """Run the app on this request. Raises `UpstreamOutage`, or `AnswerOutage` past the cap."""
        scope = {
            **self._scope,
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query,
            "headers": [list(pair) for pair in request.headers],
        }
        return await self._run(scope, cap_bytes)

    async def original(self, *, cap_bytes: int) -> Held:
        """Run the app on the client's own request, whose answer `pass_on` then releases."""
        return await self._run(self._scope, cap_bytes)

    async def _run(self, scope: MutableMapping[str, Any], cap_bytes: int) -> Held:
        run = _Run(self._app, scope, self._body.replay(), cap_bytes)
        self._runs.append(run)
        return await run.held()

    async def pass_on(self, send: Send) -> None:
        """Release the app's own answer as it came, and what it still sends. Monitor mode only."""
        if not self._runs:
            self._runs.append(_Run(self._app, self._scope, self._body.replay(), 0))
        await self._runs[-1].pass_on(send)

    def refuse_rest(self) -> None:
        """The client has its reply: whatever the app still sends is dropped, as after a disconnect."""
        for run in self._runs:
            run.close()

    async def finish(self) -> None:
        """Wait for the app's background work. Raises what the app raised, for the server's log."""
        for run in self._runs:
            await run.task

    def cancel(self) -> None:
        """Stop what still runs. Nothing does after `finish`."""
        for run in self._runs:
            run.task.cancel()


class _Run:
    """One run of the app with its messages held."""

    def __init__(
        self, app: ASGIApp, scope: MutableMapping[str, Any], receive: Receive, cap_bytes: int
    ) -> None:
        self._cap = cap_bytes
        self._messages: list[Message] = []
        self._size = 0
        self._complete = asyncio.Event()
        self._over = asyncio.Event()
        self._decided = asyncio.Event()
        self._client: Send | None = None
        self._closed = False
        self.task = asyncio.ensure_future(app(scope, receive, self._send))

    async def _send(self, message: Message) -> None:
        if self._client is not None:
            await self._client(message)
            return
        if self._closed:
            raise OSError("the client has its reply already")
        if message["type"] == "http.response.body":
            # An app may write its next part into the same buffer: what is held, and judged, must be this one.
            message = {**message, "body": bytes(message.get("body", b""))}
            self._size += len(message["body"])
        self._messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._complete.set()
            return
        if self._size > self._cap:
            self._over.set()
            await self._decided.wait()

    async def held(self) -> Held:
        """Wait for the whole answer. Raises `UpstreamOutage` when the app fails, `AnswerOutage` past the cap."""
        waits = [asyncio.ensure_future(self._complete.wait()), asyncio.ensure_future(self._over.wait())]
        try:
            await asyncio.wait([self.task, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._size > self._cap:
            raise AnswerOutage(Reason.ANSWER_TOO_LARGE, f"over {self._cap} bytes")
        start = next(
            (message for message in self._messages if message["type"] == "http.response.start"), None
        )
        if start is None or not self._complete.is_set():
            raise UpstreamOutage(Reason.UPSTREAM_FAILED, "no complete answer")
        return Held(
            status=start["status"],
            headers=tuple((bytes(name).lower(), bytes(value)) for name, value in start.get("headers", ())),
            body=b"".join(
                message.get("body", b"")
                for message in self._messages
                if message["type"] == "http.response.body"
            ),
        )

    async def pass_on(self, send: Send) -> None:
        """Send what was held, then let the app send for itself."""
        while self._messages:
            await send(self._messages.pop(0))
        self._client = send
        self._decided.set()
        await self.task

    def close(self) -> None:
        """Drop what the app still sends."""
        self._closed = True
        self._decided.set()


class _NoAnswer:
    """The upstream of a WebSocket: it has no answer that could be held or judged."""

    async def ask(self, request: Request, *, cap_bytes: int) -> Held:  # noqa: ARG002
        raise AnswerOutage(Reason.ANSWER_UNREADABLE, "a WebSocket has no answer to judge")

    async def original(self, *, cap_bytes: int) -> Held:  # noqa: ARG002
        raise AnswerOutage(Reason.ANSWER_UNREADABLE, "a WebSocket has no answer to judge")


def _plain(scope: Scope) -> Scope:
    extensions = {
        name: value for name, value in (scope.get("extensions") or {}).items() if name not in BYPASSES
    }
    return {**scope, "extensions": extensions}
