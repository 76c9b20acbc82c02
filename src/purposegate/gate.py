"""The one pipeline (design section 4): who, which record, declaration, facts, PDP, answer, people in it, entry, release.

Law 1 has one place: `leaving.Exit`. Every reply that is not before the pipeline (401) or over the refusal rate (429) goes
through it, and it returns only once the entry is durable. I/O goes through four seams: facts, decider, ledger, upstream.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from opentelemetry.trace import Span

from purposegate import own_pages
from purposegate.attempt import Attempt, Snapshot
from purposegate.enforcement import refusal
from purposegate.errors import IdentityRefused, LookupRefused, Outage, RouteRefused
from purposegate.exchange import WEBSOCKET, Pass, Reply, Request
from purposegate.ids import fresh_id
from purposegate.leaving import Exit
from purposegate.lifecycle import RESTART_S, Lifecycle
from purposegate.model import EntryKind, Mode, Principal
from purposegate.pages import NOBODY, Found, Who
from purposegate.parts import DEFAULT_REFUSALS_PER_MINUTE, Parts
from purposegate.protocols import Match, Upstream
from purposegate.reasons import Reason
from purposegate.refusing import RETRY_SOON, refused
from purposegate.stages import judged
from purposegate.telemetry import (
    ATTR_ACTION,
    ATTR_FAMILY,
    ATTR_KIND,
    ATTR_MODE,
    ATTR_RELEASED,
    ATTR_ROUTE,
    DURATION,
    LOOKUPS,
    SPAN_LOOKUP,
    span,
)
from purposegate.throttle import RefusalRate
from purposegate.turned_away import TurnedAway
from purposegate.weigh import as_outage

HTTP_ERRORS = 400

__all__ = ["DEFAULT_REFUSALS_PER_MINUTE", "RESTART_S", "Gate", "Parts", "Routed"]


class Routed(NamedTuple):
    """Where one request leads under one snapshot: to a route, nowhere and why, or to neither where it is open."""

    snapshot: Snapshot
    head: Request
    match: Match | None
    no_route: RouteRefused | Outage | None

    @property
    def is_open(self) -> bool:
        """Whether the request is listed as open: then it goes on untouched, its body unread."""
        return self.match is None and self.no_route is None


class Gate:
    """One gate in front of one records system. Safe for any number of concurrent lookups on one event loop.

    `opening` builds the parts and takes them down again; it is entered at lifespan or at the first lookup.
    """

    def __init__(
        self,
        opening: AbstractAsyncContextManager[Parts],
        *,
        reload: Callable[[], Awaitable[Snapshot]] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._rate = RefusalRate(clock=monotonic)
        self._turned_away = TurnedAway(clock=clock, monotonic=monotonic)
        self._exit = Exit(rate=self._rate, clock=clock, monotonic=monotonic)
        self._life = Lifecycle(
            opening, reload=reload, closing=self._turned_away.drain, clock=clock, monotonic=monotonic
        )

    async def start(self) -> None:
        """Build the parts: ledger, Cerbos, facts. Idempotent. Raises what they raise; nothing is served before."""
        await self._life.start()

    async def aclose(self) -> None:
        """Write what was only counted, then take the parts down. Idempotent."""
        await self._life.aclose()

    async def reload(self) -> str:
        """Read settings, policies and facts anew and swap them in together, or raise and change nothing (law 9).

        Returns the new digest. Lookups under way finish with what they began with.
        """
        return await self._life.reload()

    async def swap(self, snapshot: Snapshot) -> None:
        """Use another snapshot from the next lookup on, in one assignment, recorded before it takes effect.

        Returns when the last lookup on the old one is done and its parts are down.
        """
        await self._life.swap(snapshot)

    def route(self, head: Request) -> Routed | None:
        """Where a request leads by its head alone; None before the start, and for the gate's own pages.

        Hand it to `serve` with the very same request, where no body follows: its route is then not looked for again.
        After the end it is still what it was: open addresses need nothing of the gate.
        """
        snapshot = self._life.last_snapshot
        if snapshot is None or own_pages.is_own(head):
            return None
        return Routed(snapshot, head, *_match(snapshot, head))

    async def is_known(self, head: Request) -> bool:
        """Whether somebody known asks, for an entrance to learn before it reads a body. `serve` asks again, and records."""
        try:
            parts = await self._life.ready()
            await self._life.snapshot(parts).identify(head)
        except Exception:  # noqa: BLE001  told apart, and counted, where the request is served
            return False
        return True

    async def serve(
        self, request: Request, upstream: Upstream, *, routed: Routed | None = None
    ) -> Reply | Pass:
        """Answer one request. What comes back may be sent as it is: its entry is durable. `routed` is what `route` said.

        Raises nothing for a lookup: a fault of the gate itself is a 503 with its own reason.
        """
        try:
            parts = await self._life.ready()
        except Exception as fault:  # noqa: BLE001  without its parts the gate has no ledger: 503, and nothing is released
            return refusal.problem(as_outage(fault).reason, lookup_id=fresh_id(), headers=RETRY_SOON)
        with self._life.serving(parts) as snapshot:
            return await self._serve(parts, snapshot, request, upstream, routed)

    async def _serve(
        self,
        parts: Parts,
        snapshot: Snapshot,
        request: Request,
        upstream: Upstream,
        routed: Routed | None,
    ) -> Reply | Pass:
        if own_pages.is_own(request):
            own, visitor = await self._own_page(parts, snapshot, request)
            return await self._dressed(own, request, snapshot, visitor)
        if routed is None or routed.head is not request or routed.snapshot is not snapshot:
            routed = Routed(snapshot, request, *_match(snapshot, request))
        if routed.is_open:
            return Pass.OPEN
        match, no_route = routed.match, routed.no_route
        if request.method == WEBSOCKET:
            match, no_route = None, RouteRefused(Reason.WEBSOCKET_REFUSED)
        principal = await self._principal(parts, snapshot, request)
        if isinstance(principal, Reply):
            return await self._dressed(principal, request, snapshot, NOBODY)
        attempt = Attempt(
            id=fresh_id(),
            at=self._clock(),
            snapshot=snapshot,
            principal=principal,
            request=request,
            match=match,
        )
        if attempt.mode is Mode.ENFORCE and self._rate.exceeded(principal.id, parts.refusals_per_minute):
            turned_away = await self._turned_away.too_many(parts, attempt)
            return await self._dressed(turned_away, request, snapshot, principal)
        answer = await self._lookup(parts, attempt, no_route, upstream)
        return await self._dressed(answer, request, snapshot, principal)

    async def _dressed(
        self, answer: Reply | Pass, request: Request, snapshot: Snapshot, principal: Principal
    ) -> Reply | Pass:
        """A refusal as the page that a person's browser asked for; the entry stands already. Raises nothing."""
        if not isinstance(answer, Reply) or answer.status < HTTP_ERRORS or snapshot.browser is None:
            return answer
        try:
            return await snapshot.browser.shown(
                answer, request=request, principal=principal, snapshot=snapshot, at=self._clock()
            )
        except Exception as fault:  # noqa: BLE001  the same answer stands, as a program reads it
            as_outage(fault)
            return answer

    async def _principal(self, parts: Parts, snapshot: Snapshot, request: Request) -> Principal | Reply:
        """Who asks, as the directory spells them; or the answer to a stranger."""
        try:
            principal = await snapshot.identify(request)
        except IdentityRefused as stranger:
            return await self._turned_away.stranger(parts, stranger.reason)
        except Exception as fault:  # noqa: BLE001  who asks cannot be checked: nobody is let in (law 2)
            return await self._turned_away.stranger(parts, as_outage(fault).reason)
        return await _as_the_directory_spells(snapshot, principal)

    async def _own_page(self, parts: Parts, snapshot: Snapshot, request: Request) -> tuple[Reply, Principal]:
        found, principal = own_pages.page_for(request, snapshot), NOBODY
        if not isinstance(found, Found) or found.page.who is not Who.ANYBODY:
            known = await self._principal(parts, snapshot, request)
            if isinstance(known, Reply):
                return known, NOBODY
            principal = known
        reply = await own_pages.answer(
            request, found, parts=parts, snapshot=snapshot, principal=principal, now=self._clock()
        )
        return reply, principal

    async def _lookup(
        self, parts: Parts, attempt: Attempt, no_route: RouteRefused | Outage | None, upstream: Upstream
    ) -> Reply | Pass:
        began = self._monotonic()

        async def intend() -> None:
            await self._exit.append(parts, attempt, attempt.entry(EntryKind.INTENT, released=False))

        with span(SPAN_LOOKUP) as traced:
            try:
                reply = await judged(attempt, no_route, upstream, admit=parts.admit, intend=intend)
            except LookupRefused as found:
                reply = refused(attempt, found.reason, found.detail)
            except Exception as fault:  # noqa: BLE001  a crash is an outage with its own reason, never a release (law 2)
                outage = as_outage(fault, attempt.id)
                reply = refused(attempt, outage.reason, outage.detail)
            except asyncio.CancelledError:
                attempt.settle()
                raise
            # Shielded: a client that hangs up must not part the durable entry from the counts it raised.
            leaving = asyncio.ensure_future(self._exit.leave(parts, attempt, reply))
            try:
                result = await asyncio.shield(leaving)
            except Exception as fault:  # noqa: BLE001  nothing is sent that did not come all the way out (laws 1 and 2)
                result = refused(attempt, as_outage(fault, attempt.id).reason)
            _mark(traced, attempt, result)
        labels = {ATTR_ACTION: attempt.action or "", ATTR_KIND: attempt.kind, ATTR_MODE: attempt.mode}
        went_out = result is Pass.ORIGINAL or not attempt.reasons
        LOOKUPS.add(1, labels | {ATTR_RELEASED: went_out, ATTR_FAMILY: attempt.family or "none"})
        DURATION.record(self._monotonic() - began, labels)
        return result


async def _as_the_directory_spells(snapshot: Snapshot, principal: Principal) -> Principal:
    """One person under one id: an issuer that varies capitals must not give a second count, history or rate."""
    try:
        known_as = await snapshot.facts.known_as(principal.id)
    except Exception as fault:  # noqa: BLE001  weighed where the lookup is: an outage there, with its entry
        as_outage(fault)
        return principal
    return principal if known_as in ("", principal.id) else replace(principal, id=known_as)


def _match(snapshot: Snapshot, request: Request) -> tuple[Match | None, RouteRefused | Outage | None]:
    """The route; or neither route nor fault, for an open request; or why the request goes nowhere."""
    try:
        return snapshot.routes.match(request), None
    except RouteRefused as no_route:
        return None, no_route
    except Exception as fault:  # noqa: BLE001  a crash of the map opens no door (law 2)
        return None, as_outage(fault)


def _mark(span: Span, attempt: Attempt, result: Reply | Pass) -> None:
    if not span.is_recording():
        return
    span.set_attribute(ATTR_ROUTE, attempt.match.route if attempt.match else "")
    span.set_attribute(ATTR_ACTION, attempt.action or "")
    span.set_attribute(ATTR_KIND, attempt.kind)
    span.set_attribute(ATTR_MODE, attempt.mode.value)
    span.set_attribute(ATTR_RELEASED, not attempt.reasons or result is Pass.ORIGINAL)
    span.set_attribute(ATTR_FAMILY, attempt.family or "none")
