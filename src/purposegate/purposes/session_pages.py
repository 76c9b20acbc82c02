"""The gate's own addresses for declarations made ahead, in JSON: made, listed, ended."""

from typing import Any

from purposegate.errors import DeclarationRefused, PageRefused
from purposegate.exchange import Reply
from purposegate.model import Declaration
from purposegate.pages import Page, Visit, json_page
from purposegate.protocols import Match
from purposegate.purposes import declaration as wire
from purposegate.purposes import session_wire
from purposegate.purposes.desk import Desk
from purposegate.purposes.session import Session
from purposegate.return_address import lookup_at

WHERE = "/declarations"
FOR = "for"
PROBLEMS = {
    "lookup-unmapped": "`for` names no lookup of this records system: give its path and query, as it is asked.",
    "no-such-declaration": "You have no open declaration of this name.",
}


def pages(desk: Desk) -> tuple[Page, ...]:
    """`POST`, `GET /declarations` and `DELETE /declarations/{id}`."""

    async def make(visit: Visit) -> Reply:
        named = _named(visit)
        try:
            declaration = _declaration(visit)
        except DeclarationRefused as refused:
            sent = visit.request.body.decode("utf-8")  # it was JSON: what is not UTF-8 did not come this far
            await desk.unreadable(visit, refused, how="json", sent=sent)
            raise
        opened = await desk.open(visit, declaration, how="json", named=named)
        body = {
            **shown(opened.session),
            "token": opened.token,
            "send_as": f"{session_wire.FIELD}: {opened.token}",
        }
        reply = json_page(body, status=201)
        place = f"/.purposegate{WHERE}/{opened.session.id}".encode("ascii")
        return Reply(status=reply.status, headers=(*reply.headers, (b"location", place)), body=reply.body)

    async def listed(visit: Visit) -> Reply:
        live = await desk.live(visit.principal, visit.now)
        return json_page({"declarations": [shown(session) for session in live]})

    async def end(visit: Visit) -> Reply:
        if not await desk.end(visit, visit.values["id"]):
            raise PageRefused(404, "no-such-declaration", PROBLEMS["no-such-declaration"])
        return Reply(status=204, headers=((b"cache-control", b"no-store"), session_wire.drop_cookie()))

    return (
        Page("POST", WHERE, make, problems=PROBLEMS),
        Page("GET", WHERE, listed),
        Page("DELETE", WHERE + "/{id}", end),
    )


def shown(session: Session) -> dict[str, Any]:
    """What its owner is shown of a session. The token is shown once, when it is made."""
    return {
        "id": session.id,
        "purpose": session.declaration.purpose,
        "ref": session.declaration.ref,
        "reason": session.declaration.reason,
        "originator": session.declaration.originator,
        "recipient": session.declaration.recipient,
        "covers": "one lookup, and records that the reference explains"
        if session.named
        else "records that the reference explains",
        "declared_at": session.declared_at.isoformat(),
        "expires_at": session.expires_at.isoformat(),
    }


def _declaration(visit: Visit) -> Declaration:
    return wire.of_texts({name: value for name, value in visit.body.items() if name != FOR})


def _named(visit: Visit) -> Match | None:
    if FOR not in visit.body:
        return None
    match = lookup_at(visit.snapshot, visit.text(FOR, most_chars=4_000))
    if match is None:
        raise PageRefused(400, "lookup-unmapped", PROBLEMS["lookup-unmapped"])
    return match
