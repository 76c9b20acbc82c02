"""Reviews for tests: a gate whose policies always want an approval, and the requests that its people send."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.types import ASGIApp

from gates import Gated, GivenParts, World, behind
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.gate import Gate, Parts
from purposegate.model import Answer, Output, Question, Ruling
from purposegate.pages import Pages
from purposegate.protocols import Decider
from purposegate.review.desk import Desk
from purposegate.review.pages import pages

PRINCIPAL, SUPERVISOR = "T1001", "T1005"
REASON = "Checking the address for the allocated burglary case"
DECLARED = f'investigate.crime;ref="CR/1042/26";reason="{REASON}"'
SERGEANT: dict[str, Any] = {"who": SUPERVISOR, "roles": ("Sergeant",), "declared": None}


class Demanding:
    """The real PDP, with one more obligation on every answer that allows."""

    def __init__(self, real: Decider, obligation: str = "approve") -> None:
        self._real = real
        self._obligation = obligation
        self.reads_record_ids = real.reads_record_ids
        self.digest = real.digest

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        ruling = await self._real.decide(questions, lookup_id=lookup_id)
        demand = Output("test", {"obligations": [self._obligation]})
        answers = tuple(
            Answer(one.allowed, (*one.outputs, demand)) if one.allowed else one for one in ruling.answers
        )
        return Ruling(
            answers=answers, allow_rules=ruling.allow_rules, digest=ruling.digest, call_id=ruling.call_id
        )


def demanding(
    world: World, app: ASGIApp, parts: Parts, *, obligation: str = "approve", **changes: Any
) -> Gated:
    """A gate under which nothing is released without an approval."""
    decider = Demanding(parts.snapshot.decider, obligation)
    return remembering(behind(world, app, parts, decider=decider, **changes))


def remembering(gated: Gated, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Gated:
    """The gate with its desk and pages writing through the ledger that the test reads."""
    real = gated.parts.snapshot.review
    assert isinstance(real, Desk)
    desk = Desk(real.docket.through(gated.ledger.append, clock), real.terms)
    snapshot = replace(gated.parts.snapshot, review=desk, pages=Pages(*pages(desk)))
    parts = replace(gated.parts, snapshot=snapshot)
    gate = Gate(GivenParts(parts), clock=clock)
    asgi = PurposeGateMiddleware(gated.app, gate=gate)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=asgi, raise_app_exceptions=False), base_url="http://records.example"
    )
    return replace(gated, parts=parts, gate=gate, asgi=asgi, client=client)


def asked(gated: Gated, number: str, **changes: Any) -> dict[str, Any]:
    """The body of a request for approval of one view."""
    record = {"kind": "person", "id": gated.world.both.record_id(number)}
    body = {"record": record, "purpose": "investigate.crime", "ref": "CR/1042/26", "reason": REASON}
    return body | changes


async def request(gated: Gated, number: str, *, who: str = PRINCIPAL, **changes: Any) -> str:
    """Ask for an approval; its id."""
    answer = await gated.ask(
        "/.purposegate/approvals",
        who=who,
        declared=None,
        method="POST",
        json=asked(gated, number, **changes),
    )
    assert 202 == answer.status_code, answer.text
    return str(answer.json()["matter"])


async def decide(gated: Gated, matter: str, verdict: str = "approve", **changes: Any) -> httpx.Response:
    """Decide about a request, as the sergeant unless said otherwise."""
    who = SERGEANT | changes
    return await gated.ask(
        f"/.purposegate/approvals/{matter}", method="POST", json={"verdict": verdict, "note": "seen"}, **who
    )


async def approved(gated: Gated, number: str, **changes: Any) -> str:
    """Ask for an approval and get it; its id."""
    matter = await request(gated, number, **changes)
    answer = await decide(gated, matter)
    assert 200 == answer.status_code, answer.text
    return matter


async def view(gated: Gated, number: str, **changes: Any) -> httpx.Response:
    """Look a person up for the allocated case."""
    return await gated.ask(gated.world.path(number), **{"declared": DECLARED, **changes})
