"""What a browser is shown instead of a problem document: the same answer as a page. Same status, same words, same links.

Negotiated by Accept, and only for navigations: a script that asks for data gets data (Fetch Metadata section 2.2). Where a
declaration is missing or cannot stand, the page is the one to declare on.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from purposegate.attempt import Snapshot
from purposegate.enforcement import rendering
from purposegate.enforcement.declaration_page import (
    MAX_INTERRUPTED_CHARS,
    WHERE,
    DeclarationPage,
    Shown,
)
from purposegate.enforcement.refusal import PREFIX, PROBLEM
from purposegate.errors import Outage
from purposegate.exchange import Headers, Reply, Request
from purposegate.model import Entry, Principal, Receipt
from purposegate.pages import FORM, Visit
from purposegate.reasons import Family, Reason
from purposegate.return_address import lookup_at

REPLACED = frozenset({b"content-type", b"cache-control", b"x-content-type-options"})
"""Headers of the problem document that the page has in its own words."""
TO_DECLARE = frozenset({"correct-declaration", "break-glass"})
HTML, JSON = "text/html", ("application/json", "application/problem+json")
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
"""RFC 9110 section 12.4.2."""
LOST = "What you sent was not passed on. Declare, go back, and send it again."


def wants_html(request: Request) -> bool:
    """Whether a person's browser goes to this address, and would rather have a page than data (RFC 9110 section 12.5.1)."""
    modes = request.values(b"sec-fetch-mode")
    if modes and modes != (b"navigate",):
        return False
    weights = _weights(request)
    html = weights.get(HTML, 0.0)
    return html > 0 and html >= max(weights.get(name, 0.0) for name in JSON)


class Browser:
    """Implements `protocols.Browser`."""

    def __init__(self, page: DeclarationPage) -> None:
        self._page = page

    async def shown(
        self, reply: Reply, *, request: Request, principal: Principal, snapshot: Snapshot, at: datetime
    ) -> Reply:
        """The reply as a page, if it is a problem and a browser asked; else as it is. Raises `Outage`."""
        if (b"content-type", PROBLEM) not in reply.headers or not wants_html(request):
            return reply
        problem = orjson.loads(reply.body)
        reason = _reason(problem)
        if principal.id and reason is not None and reason.wording.family is Family.DECLARATION:
            visit = Visit(
                id=str(problem["instance"]).removeprefix("urn:uuid:"),
                now=at,
                request=request,
                principal=principal,
                snapshot=snapshot,
                append=_nothing_to_append,
            )
            page = await self._page.shown(visit, _what(request, snapshot, problem, reason))
        else:
            page = rendering.page("refusal", problem=_with_because(problem), links=_links(request, problem))
        kept: Headers = tuple(pair for pair in reply.headers if pair[0] not in REPLACED)
        return replace(page, status=reply.status, headers=(*page.headers, *kept))


async def _nothing_to_append(_: Entry) -> Receipt:
    raise Outage(Reason.GATE_FAULT, "showing a page changes nothing")


def _weights(request: Request) -> dict[str, float]:
    """The weight of each media range in Accept that stands there by name; a malformed weight is none."""
    weights: dict[str, float] = {}
    for value in request.values(b"accept"):
        for part in value.decode("latin-1").lower().split(","):
            name, *parameters = (piece.strip() for piece in part.split(";"))
            q = next((one[2:] for one in parameters if one.startswith("q=")), "1")
            weights[name] = float(q) if _WEIGHT.fullmatch(q) else 0.0
    return weights


def _reason(problem: dict[str, Any]) -> Reason | None:
    name = str(problem["type"]).rpartition("/")[2]
    return Reason(name) if name in set(Reason) else None


def _what(request: Request, snapshot: Snapshot, problem: dict[str, Any], reason: Reason) -> Shown:
    """What the page is about: where to go on, a form that was interrupted, what was wrong with the declaration."""
    missing = reason in (Reason.PURPOSE_MISSING, Reason.DECLARATION_NOT_COVERING)
    errors = () if missing else (str(problem["detail"]),)
    back = request.raw_path.decode("latin-1")
    if request.query:
        back = f"{back}?{request.query.decode('latin-1')}"
    if request.method in ("GET", "HEAD"):
        match = lookup_at(snapshot, back)
        return Shown(back=back if match else "", match=match, errors=errors)
    # Another site's form must not come to be sent from here, with this site's own name on it.
    own = request.values(b"sec-fetch-site") == (b"same-origin",)
    form = request.values(b"content-type")[:1] == (FORM.encode(),) and request.body.isascii()
    match = lookup_at(snapshot, back, method=request.method, body=request.body) if own and form else None
    if match is None or request.method != "POST" or len(request.body) > MAX_INTERRUPTED_CHARS:
        return Shown(errors=errors, note=LOST)
    return Shown(back=back, match=match, interrupted=request.body.decode("ascii"), errors=errors)


def _with_because(problem: dict[str, Any]) -> dict[str, Any]:
    return {"because": [], **problem}


def _links(request: Request, problem: dict[str, Any]) -> list[dict[str, str]]:
    """The problem's links, those that are about declaring leading to the page for it."""
    back = request.raw_path + (b"?" + request.query if request.query else b"")
    page = f"{PREFIX}{WHERE}?return={quote(back, safe='')}" if request.method == "GET" else f"{PREFIX}{WHERE}"
    return [
        {**link, "href": page} if link.get("rel") in TO_DECLARE else link for link in problem.get("links", ())
    ]
