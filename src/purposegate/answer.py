"""Judging what comes back (laws 4 and 7): rows withheld, pages refilled, links sealed, headers by allow-list.

A list is filled to the size that the records system itself gave, from as many of its pages as that takes, and one row
further: a page link is offered only where a releasable row lies behind it, so that an empty page tells nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from purposegate.attempt import Attempt
from purposegate.enforcement import refusal
from purposegate.errors import AnswerOutage, Outage, UpstreamOutage
from purposegate.evidence import Judged
from purposegate.exchange import Headers, Held, Page, Reply
from purposegate.model import Action, Row
from purposegate.protocols import Match, Sheet, Upstream
from purposegate.reasons import Reason
from purposegate.telemetry import SPAN_UPSTREAM, span
from purposegate.weigh import as_outage, weigh

HTTP_OK = 200
GONE = frozenset({404, 410})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
RELEASED_HEADERS = frozenset({b"content-language"})
"""Beside content-type, which the gate writes itself. All others stay behind: each is a place for a name to hide."""
EXPORTED_HEADERS = frozenset({b"content-disposition"})
"""A file's name may be a person's or a count of rows, so it goes only with a file that is let out as it is."""


@dataclass(slots=True)
class Gathered:
    """Rows kept so far, each with the sheet it stands on, and where the next page begins."""

    first: Sheet | None = None
    kept: list[tuple[Sheet, Judged]] = field(default_factory=list)
    next_page: Page | None = None
    headers: Headers = ()


async def collect(attempt: Attempt, upstream: Upstream) -> Reply | None:
    """Ask the records system, judge its answer, write it again. None: refused, with `attempt.reasons` set.

    Raises `UpstreamOutage` or `AnswerOutage`, and what weighing raises.
    """
    match = _match(attempt)
    page = _first_page(attempt, match)
    held = await _ask(attempt, upstream, page)
    if held.status in GONE:
        return refusal.not_found(lookup_id=attempt.id)
    if held.status in REDIRECTS:
        return _redirected(match, held)
    if held.status != HTTP_OK:
        raise UpstreamOutage(Reason.UPSTREAM_FAILED, f"status {held.status}")
    if not match.judged:
        # Seen whole, though nobody here reads the file: a sight, in the entry and in the counts.
        attempt.kept = attempt.asked
        return Reply(status=HTTP_OK, headers=_headers(match, held, _content_type(held)), body=held.body)
    gathered = await _fill(attempt, upstream, held, page)
    return _released(attempt, match, gathered)


async def observe(attempt: Attempt, upstream: Upstream) -> None:
    """Monitor mode: hold the answer to the client's own request and record what judging it finds; nothing is changed."""
    attempt.kept, attempt.withheld = [], []
    match = attempt.match
    try:
        held = await upstream.original(cap_bytes=match.cap_bytes if match else 0)
        attempt.status = held.status
        if match is None or held.status != HTTP_OK or attempt.lookup is None:
            return
        if not match.judged:
            attempt.kept = attempt.asked
            return
        sheet = match.read(held)
        attempt.kept = list(await weigh(attempt, sheet.rows))
        found = dict.fromkeys(reason for one in attempt.kept for reason in one.outcome.reasons)
        attempt.reasons += [reason for reason in found if reason not in attempt.reasons]
    except Exception as fault:  # noqa: BLE001  monitor mode passes outages, recorded (law 10)
        outage = as_outage(fault, attempt.id)
        attempt.reasons.append(outage.reason)
        attempt.detail = attempt.detail or outage.detail


def _match(attempt: Attempt) -> Match:
    if attempt.match is None:
        raise Outage(Reason.GATE_FAULT, "an answer is judged only on a mapped route")
    return attempt.match


def _first_page(attempt: Attempt, match: Match) -> Page:
    if not match.page:
        return Page()
    return attempt.snapshot.cursors.unseal(match.page, principal_id=attempt.principal.id, match=match)


async def _ask(attempt: Attempt, upstream: Upstream, page: Page) -> Held:
    match, snapshot = _match(attempt), attempt.snapshot
    request = match.request(page).without(frozenset({snapshot.catalogue.field.lower().encode()}))
    if snapshot.declarations is not None:
        request = snapshot.declarations.stripped(request)
    with span(SPAN_UPSTREAM):
        return await upstream.ask(request, cap_bytes=match.cap_bytes)


async def _fill(attempt: Attempt, upstream: Upstream, held: Held, page: Page) -> Gathered:
    """Judge page after page until the list is as long as the first page was, and one releasable row further."""
    match, gathered = _match(attempt), Gathered(headers=held.headers)
    size, wanted_ids = 0, frozenset(match.records)
    for left in reversed(range(attempt.snapshot.refill_pages)):
        sheet = match.read(held)
        if gathered.first is None:
            gathered.first, size = sheet, len(sheet.rows)
        rows = sheet.rows[page.skip :]
        if match.action is Action.VIEW and not {row.record for row in rows} <= wanted_ids:
            raise AnswerOutage(Reason.ANSWER_UNREADABLE, "the answer holds a record that was not asked for")
        for offset, judged in enumerate(await weigh(attempt, rows)):
            if not _releasable(judged, match):
                attempt.withheld.append(judged)
            elif len(gathered.kept) == size:
                gathered.next_page = Page(page.token, page.skip + offset)
                return gathered
            else:
                gathered.kept.append((sheet, judged))
        if not sheet.next_token:
            return gathered
        page = Page(sheet.next_token)
        if not left:
            break
        held = await _ask(attempt, upstream, page)
        if held.status != HTTP_OK:
            raise UpstreamOutage(Reason.UPSTREAM_FAILED, f"status {held.status} on a further page")
    gathered.next_page = page
    return gathered


def _releasable(judged: Judged, match: Match) -> bool:
    """A row whose masks cover a criterion or sort key stays behind: its place in the list would tell the field."""
    return judged.outcome.released and not match.touches(judged.outcome.masks)


def _released(attempt: Attempt, match: Match, gathered: Gathered) -> Reply | None:
    if gathered.first is None:
        raise AnswerOutage(Reason.ANSWER_UNREADABLE, "the records system gave no page")
    if match.action is not Action.SEARCH and not gathered.kept:
        attempt.reasons = list(dict.fromkeys(_reasons(attempt.withheld))) or [Reason.ANSWER_UNREADABLE]
        return None
    attempt.kept = [judged for _, judged in gathered.kept]
    cursor = ""
    if gathered.next_page is not None:
        cursor = attempt.snapshot.cursors.seal(
            gathered.next_page, principal_id=attempt.principal.id, match=match
        )
    asked_masks = attempt.outcome.masks if attempt.outcome else frozenset[str]()
    kept: list[tuple[Sheet, Row, frozenset[str]]] = [
        (sheet, judged.row, judged.outcome.masks | asked_masks) for sheet, judged in gathered.kept
    ]
    searched = match.action is Action.SEARCH
    body, content_type = match.render(
        kept, first=gathered.first, cursor=cursor, notice=refusal.SEARCH_NOTICE if searched else ""
    )
    notice: Headers = ((b"purposegate-notice", refusal.SEARCH_NOTICE.encode()),) if searched else ()
    links = attempt.snapshot.ways.header(searched=searched)
    headers = _headers(match, gathered, content_type) + notice + links
    return Reply(
        status=HTTP_OK,
        headers=headers,
        body=body,
    )


def _reasons(judged: list[Judged]) -> Iterator[Reason]:
    for one in judged:
        yield from one.outcome.reasons


def _headers(match: Match, answer: Held | Gathered, content_type: bytes) -> Headers:
    allowed = RELEASED_HEADERS | match.headers
    if not match.judged:
        allowed |= EXPORTED_HEADERS
    passed = tuple(pair for pair in answer.headers if pair[0] in allowed)
    return ((b"content-type", content_type), *passed, *refusal.NO_STORE)


def _content_type(held: Held) -> bytes:
    values = held.values(b"content-type")
    return values[0] if len(values) == 1 else b"application/octet-stream"


def _redirected(match: Match, held: Held) -> Reply:
    """A redirect goes out without its body, and only to where the request itself could have pointed."""
    if not match.redirects_safely(held):
        raise UpstreamOutage(Reason.UPSTREAM_REDIRECTED, "")
    location = held.values(b"location")[0]
    return Reply(status=held.status, headers=((b"location", location), *refusal.NO_STORE))
