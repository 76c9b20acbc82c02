"""Serves the gate's own addresses under `/.purposegate/`: the standing pages, and those that rooms add (see `pages`).

The standing ones hold nothing of the records system, so they leave no entry: what a principal may declare, and what a
problem means. Everything else under the prefix is 404; nothing under it ever reaches the records system.
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from purposegate.attempt import Snapshot
from purposegate.enforcement import refusal
from purposegate.enforcement.refusal import NO_STORE, PREFIX, PROBLEM, not_found, problem_text
from purposegate.errors import IdentityRefused, LookupRefused, Outage, PageRefused
from purposegate.exchange import Reply, Request
from purposegate.ids import fresh_id
from purposegate.model import Entry, Principal, Receipt
from purposegate.page_body import path_segments, read_body, read_query, refuse_cross_site
from purposegate.pages import Found, Page, Pages, Visit, Who, json_page
from purposegate.parts import Parts
from purposegate.reasons import Reason
from purposegate.refusing import RETRY_SOON
from purposegate.weigh import as_outage

LOG = logging.getLogger("purposegate")
HTTP_ERRORS = 400

BREAK_GLASS_TEXT = (
    "Add ;break-glass to the declaration of a purpose that allows it. A record is opened where policy lets it, "
    "and the entry is flagged for a supervisor's review."
)
PROBLEM_TEXTS = {
    "method-not-allowed": "This page is asked in another way: the Allow header names the methods.",
    "cross-site": "The request was made by another site. Open the gate's own page and send it from there.",
    "body-too-large": "The request is larger than this page accepts.",
    "content-type": "This page reads JSON or a form, in UTF-8.",
    "form-malformed": "The form or query could not be read in one way only.",
    "json-malformed": "The JSON could not be read in one way only.",
    "field-missing": "The page needs a field that was not sent, or not as a text.",
    "field-too-long": "A field is longer than the page accepts.",
}


async def purposes(visit: Visit) -> Reply:
    """What this principal may declare, each with a line to copy."""
    catalogue, principal = visit.snapshot.catalogue, visit.principal
    content: dict[str, Any] = {"purposes": catalogue.offered(principal)}
    if any(purpose.breaks_glass(principal) for purpose in catalogue.open_to(principal)):
        content["break-glass"] = BREAK_GLASS_TEXT
    if step_up := visit.snapshot.step_up:
        content["step-up"] = {"acr_values": list(step_up.acr_values), "max_age": step_up.max_age_s}
    return json_page(content)


async def problems(visit: Visit) -> Reply:
    """What a problem type means and what to do next."""
    name = visit.values["name"]
    text = problem_text(name) or PROBLEM_TEXTS.get(name) or visit.snapshot.pages.problems.get(name)
    if text is None:
        return not_found(lookup_id=visit.id)
    return json_page({"problem": name, "text": text})


STANDING = Pages(
    # Readable while the directory is away, and by those whom it does not hold: they say what to do then.
    Page("GET", "/purposes", purposes, who=Who.IDENTIFIED),
    Page("GET", "/problems/{name}", problems, who=Who.IDENTIFIED),
)


def is_own(request: Request) -> bool:
    """Whether the address is the gate's own. Such a one is never open, and matches no route."""
    prefix = PREFIX.encode()
    return request.raw_path == prefix or request.raw_path.startswith(prefix + b"/")


def page_for(request: Request, snapshot: Snapshot) -> Found | frozenset[str]:
    """The page, or the methods that the address has. A room's page goes before a standing one at the same address."""
    segments = path_segments(request.raw_path.removeprefix(PREFIX.encode()))
    if segments is None:
        return frozenset()
    found = [table.find(request.method, segments) for table in (snapshot.pages, STANDING)]
    for one in found:
        if isinstance(one, Found):
            return one
    return frozenset[str]().union(*(one for one in found if isinstance(one, frozenset)))


async def answer(
    request: Request,
    found: Found | frozenset[str],
    *,
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal,
    now: datetime,
) -> Reply:
    """The reply of the gate's own page. Raises nothing: a refusal has its status, an outage or a crash is 503.

    `principal` is as `Who` has it: the caller has checked the token, and nothing more.
    """
    visit_id = fresh_id()
    if isinstance(found, frozenset):
        return _no_page(found, visit_id)
    appended: list[Receipt] = []

    async def append(entry: Entry) -> Receipt:
        receipt = await parts.ledger.append(entry)
        appended.append(receipt)
        return receipt

    page = found.page
    visit = Visit(
        id=visit_id,
        now=now,
        request=request,
        principal=principal,
        snapshot=snapshot,
        append=append,
        values=found.values,
    )
    try:
        reply = await _visited(page, visit)
        _require_appended(page, reply, appended)
    except PageRefused as refused:
        return _problem(refused.status, refused.problem, refused.detail, visit_id)
    except LookupRefused as refused:
        return refusal.problem(refused.reason, lookup_id=visit_id, detail=refused.detail)
    except Exception as fault:  # noqa: BLE001  a page that crashed has decided nothing (law 2)
        outage = as_outage(fault, visit_id)
        LOG.error("%s %s: outage %s: %s", page.method, page.template, outage.reason.value, outage.detail)  # noqa: TRY400
        return refusal.problem(outage.reason, lookup_id=visit_id, headers=RETRY_SOON)
    return reply


async def _visited(page: Page, visit: Visit) -> Reply:
    if page.who is Who.KNOWN and not await visit.snapshot.facts.known_as(visit.principal.id):
        raise IdentityRefused(Reason.PRINCIPAL_UNKNOWN)
    visit = replace(visit, query=read_query(visit.request))
    if not page.changes:
        return await page.answer(visit)
    refuse_cross_site(visit.request)
    visit = replace(visit, body=read_body(visit.request, page))
    # Shielded: a client that hangs up must not part the durable entry from the change it tells of.
    return await asyncio.shield(asyncio.ensure_future(page.answer(visit)))


def _require_appended(page: Page, reply: Reply, appended: Collection[Receipt]) -> None:
    """Raise `Outage` for a change that was made and told to nobody (law 1): a fault of the page."""
    if page.changes and page.appends and reply.status < HTTP_ERRORS and not appended:
        raise Outage(Reason.GATE_FAULT, f"{page.method} {page.template} appended no entry")


def _no_page(methods: frozenset[str], visit_id: str) -> Reply:
    if not methods:
        return not_found(lookup_id=visit_id)
    allowed = ", ".join(sorted(methods))
    reply = _problem(405, "method-not-allowed", f"Want {allowed}.", visit_id)
    return replace(reply, headers=(*reply.headers, (b"allow", allowed.encode())))


def _problem(status: int, name: str, detail: str, visit_id: str) -> Reply:
    body = {
        "type": f"{PREFIX}/problems/{name}",
        "title": "Not accepted",
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{visit_id}",
    }
    headers = ((b"content-type", PROBLEM), *NO_STORE)
    return Reply(status=status, headers=headers, body=orjson.dumps(body))
