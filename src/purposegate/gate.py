"""The one pipeline (design section 4): who, which record, declaration, facts, PDP, answer, people in it, entry, release.

Law 1 has one place: `Gate._leave`. Every reply that is not before the pipeline (401) or over the refusal rate (429) goes
through it, and it returns only once the entry is durable. I/O goes through four seams: facts, decider, ledger, upstream.
"""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import Span

from purposegate import own_pages
from purposegate.answer import collect, observe
from purposegate.attempt import Attempt, Snapshot
from purposegate.enforcement import refusal
from purposegate.errors import (
    DeclarationRefused,
    IdentityRefused,
    LedgerOutage,
    LookupRefused,
    Outage,
    RouteRefused,
    SettingsError,
)
from purposegate.exchange import WEBSOCKET, Pass, Reply, Request
from purposegate.model import Entry, EntryKind, Lookup, Mode, Obligation, Outcome, Principal
from purposegate.protocols import Ledger, Match, Upstream
from purposegate.reasons import Family, Reason
from purposegate.telemetry import (
    ATTR_ACTION,
    ATTR_FAMILY,
    ATTR_KIND,
    ATTR_MODE,
    ATTR_RELEASED,
    ATTR_ROUTE,
    DURATION,
    GAPS,
    LOOKUPS,
    SPAN_APPEND,
    SPAN_LOOKUP,
    STRANGERS,
    THROTTLED,
    TRACER,
)
from purposegate.throttle import MinuteTally, RefusalRate
from purposegate.weigh import as_outage, gather, named, nameless, weigh

LOG = logging.getLogger("purposegate")

RETRY_SOON = ((b"retry-after", b"5"),)
DEFAULT_REFUSALS_PER_MINUTE = 60
"""A person who mistypes all day stays far below; a script that probes does not."""


def _admit_all() -> None:
    """A ledger that asks no witness admits every lookup."""


RESTART_S = 1.0
"""Between two attempts to start that mere requests cause: each may start Cerbos, and leaves a trace in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a running gate is made of. `ledger` outlives snapshots."""

    ledger: Ledger
    snapshot: Snapshot
    refusals_per_minute: int = DEFAULT_REFUSALS_PER_MINUTE
    monitor_without_ledger: bool = False
    admit: Callable[[], None] = _admit_all
    """Raises `LedgerOutage` while the ledger wants no new lookups, though it can record that they were refused."""


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
        self._opening = opening
        self._reload = reload
        self._serving: Counter[int] = Counter()
        self._drained = asyncio.Event()
        self._clock = clock
        self._monotonic = monotonic
        self._started = asyncio.Lock()
        self._closed = False
        self._retry_at = float("-inf")
        self._parts: Parts | None = None
        self._snapshot: Snapshot | None = None
        self._last_snapshot: Snapshot | None = None
        self._rate: RefusalRate | None = None
        self._strangers = MinuteTally(clock=monotonic)
        self._throttled = MinuteTally(clock=monotonic)
        self._outages = MinuteTally(clock=monotonic)
        self._gap: dict[str, Any] | None = None

    async def start(self) -> None:
        """Build the parts: ledger, Cerbos, facts. Idempotent. Raises what they raise; nothing is served before."""
        async with self._started:
            self._closed = False
            await self._open()

    async def _open(self) -> None:
        if self._parts is not None:
            return
        try:
            parts = await self._opening.__aenter__()
        except Exception:
            self._retry_at = self._monotonic() + RESTART_S
            raise
        self._rate = RefusalRate(limit=parts.refusals_per_minute, clock=self._monotonic)
        self._parts, self._snapshot = parts, parts.snapshot
        self._last_snapshot = parts.snapshot

    async def aclose(self) -> None:
        """Write what was only counted, then take the parts down. Idempotent."""
        async with self._started:
            self._closed = True
            if self._parts is None:
                return
            for tally, kind in (
                (self._strangers, EntryKind.UNIDENTIFIED),
                (self._throttled, EntryKind.THROTTLED),
            ):
                for key, count in tally.drain().items():
                    await self._tallied(self._parts, kind, key, count)
            self._parts = self._snapshot = None
            await self._opening.__aexit__(None, None, None)

    async def reload(self) -> str:
        """Read settings, policies and facts anew and swap them in together, or raise and change nothing (law 9).

        Returns the new digest. Lookups under way finish with what they began with.
        """
        if self._reload is None:
            raise SettingsError("this gate was built from parts: call swap with a snapshot")
        await self._ready()
        snapshot = await self._reload()
        await self.swap(snapshot)
        return snapshot.digest

    async def swap(self, snapshot: Snapshot) -> None:
        """Use another snapshot from the next lookup on, in one assignment, recorded before it takes effect.

        Returns when the last lookup on the old one is done and its parts are down.
        """
        parts = await self._ready()
        fields = {"snapshot_digest": snapshot.digest, "policy_digest": snapshot.decider.digest}
        try:
            await parts.ledger.append(self._bare_entry(EntryKind.POLICY_CHANGE, fields))
        except LedgerOutage:
            await snapshot.retire()
            raise
        old, self._snapshot, self._last_snapshot = self._snapshot or parts.snapshot, snapshot, snapshot
        while self._serving[id(old)]:
            self._drained.clear()
            await self._drained.wait()
        await old.retire()

    def is_open(self, head: Request) -> bool:
        """Whether the request is listed as open: then it goes on untouched, its body unread.

        False before the start. After the end it is still what it was: open addresses need nothing of the gate.
        """
        snapshot = self._snapshot or self._last_snapshot
        if snapshot is None:
            return False
        match, refused = _match(snapshot, head)
        return match is None and refused is None

    async def is_known(self, head: Request) -> bool:
        """Whether somebody known asks, for an entrance to learn before it reads a body. `serve` asks again, and records."""
        try:
            parts = await self._ready()
            await (self._snapshot or parts.snapshot).identify(head)
        except Exception:  # noqa: BLE001  told apart, and counted, where the request is served
            return False
        return True

    async def serve(self, request: Request, upstream: Upstream) -> Reply | Pass:
        """Answer one request. What comes back may be sent as it is: its entry is durable.

        Raises nothing for a lookup: a fault of the gate itself is a 503 with its own reason.
        """
        try:
            parts = await self._ready()
        except Exception as fault:  # noqa: BLE001  without its parts the gate has no ledger: 503, and nothing is released
            return refusal.problem(as_outage(fault).reason, lookup_id=str(uuid.uuid4()), headers=RETRY_SOON)
        snapshot = self._snapshot or parts.snapshot
        self._serving[id(snapshot)] += 1
        try:
            return await self._serve(parts, snapshot, request, upstream)
        finally:
            self._serving[id(snapshot)] -= 1
            self._drained.set()

    async def _serve(
        self, parts: Parts, snapshot: Snapshot, request: Request, upstream: Upstream
    ) -> Reply | Pass:
        match, refused = _match(snapshot, request)
        if match is None and refused is None:
            return Pass.OPEN
        if request.method == WEBSOCKET:
            match, refused = None, RouteRefused(Reason.WEBSOCKET_REFUSED)
        try:
            principal = await snapshot.identify(request)
        except IdentityRefused as stranger:
            return await self._stranger(parts, stranger.reason)
        except Exception as fault:  # noqa: BLE001  who asks cannot be checked: nobody is let in (law 2)
            return await self._stranger(parts, as_outage(fault).reason)
        principal = await _as_the_directory_spells(snapshot, principal)
        own = own_pages.answer(request, snapshot, principal)
        if own is not None:
            return own
        attempt = self._attempt(snapshot, principal, request, match)
        if self._rate and self._rate.exceeded(principal.id) and attempt.mode is Mode.ENFORCE:
            return await self._too_many(parts, attempt)
        return await self._lookup(parts, attempt, refused, upstream)

    async def _ready(self) -> Parts:
        """The parts; built at the first lookup where no lifespan did. Never after the end: nobody would take them down."""
        if self._parts is None:
            async with self._started:
                if not self._closed and self._monotonic() >= self._retry_at:
                    await self._open()
        if self._parts is None:
            raise Outage(Reason.GATE_FAULT, "the gate is closed, or could not start a moment ago")
        return self._parts

    def _attempt(
        self, snapshot: Snapshot, principal: Principal, request: Request, match: Match | None
    ) -> Attempt:
        return Attempt(
            id=str(uuid.uuid4()),
            at=self._clock(),
            snapshot=snapshot,
            principal=principal,
            request=request,
            match=match,
        )

    async def _lookup(
        self, parts: Parts, attempt: Attempt, refused: RouteRefused | Outage | None, upstream: Upstream
    ) -> Reply | Pass:
        began = self._monotonic()
        with TRACER.start_as_current_span(SPAN_LOOKUP) as span:
            monitored = attempt.mode is Mode.MONITOR
            try:
                reply: Reply | None = await self._judged(parts, attempt, refused, upstream)
            except LookupRefused as refusal_:
                reply = self._refused(attempt, refusal_.reason, refusal_.detail)
            except Exception as fault:  # noqa: BLE001  a crash is an outage with its own reason, never a release (law 2)
                outage = as_outage(fault, attempt.id)
                reply = self._refused(attempt, outage.reason, outage.detail)
            except asyncio.CancelledError:
                attempt.settle(recorded=False)
                raise
            # Shielded: a client that hangs up must not part the durable entry from the counts it raised.
            result = await asyncio.shield(asyncio.ensure_future(self._leave(parts, attempt, reply)))
            _mark(span, attempt, result, monitored=monitored)
        labels = {ATTR_ACTION: attempt.action or "", ATTR_KIND: attempt.kind, ATTR_MODE: attempt.mode}
        went_out = result is Pass.ORIGINAL or not attempt.reasons
        LOOKUPS.add(1, labels | {ATTR_RELEASED: went_out, ATTR_FAMILY: attempt.family or "none"})
        DURATION.record(self._monotonic() - began, labels)
        return result

    async def _judged(
        self, parts: Parts, attempt: Attempt, refused: RouteRefused | Outage | None, upstream: Upstream
    ) -> Reply | None:
        """The reply to release, or None in monitor mode. Refusals and outages are raised, or noted in the attempt."""
        if attempt.mode is Mode.ENFORCE:
            parts.admit()
            await self._request_stage(attempt, refused)
            if attempt.reasons:
                return self._refused(attempt, *attempt.reasons[:1])
            if attempt.has_effects:
                await parts.ledger.append(attempt.entry(EntryKind.INTENT, released=False))
            reply = await collect(attempt, upstream)
            return reply if reply is not None else self._refused(attempt, *attempt.reasons[:1])
        try:
            parts.admit()
            await self._request_stage(attempt, refused)
        except LookupRefused as refusal_:
            attempt.reasons, attempt.detail = [refusal_.reason], refusal_.detail
        except Exception as fault:  # noqa: BLE001  monitor mode passes outages, recorded (law 10)
            outage = as_outage(fault, attempt.id)
            attempt.reasons, attempt.detail = [outage.reason], outage.detail
        if attempt.has_effects:
            await self._append(parts, attempt, attempt.entry(EntryKind.INTENT, released=False))
        await observe(attempt, upstream)
        return None

    async def _request_stage(self, attempt: Attempt, refused: RouteRefused | Outage | None) -> None:
        """Judge what can be judged before the records system is asked; a refusal stands in `attempt.reasons`."""
        if refused is not None:
            raise refused
        match, snapshot, request = attempt.match, attempt.snapshot, attempt.request
        if match is None:
            raise RouteRefused(Reason.ROUTE_UNMAPPED)
        if request.body_over_cap:
            raise RouteRefused(Reason.BODY_TOO_LARGE)
        if not await snapshot.facts.known_as(attempt.principal.id):
            raise IdentityRefused(Reason.PRINCIPAL_UNKNOWN)
        attempt.declaration = snapshot.catalogue.declared(request)
        attempt.purpose = snapshot.catalogue.accept(attempt.declaration)
        originator = attempt.declaration.originator
        if attempt.declaration.break_glass and not attempt.breaks_glass:
            raise DeclarationRefused(
                Reason.DECLARATION_MALFORMED,
                "break-glass: not open to your role under this purpose; leave it out.",
            )
        if originator and not await snapshot.facts.known_as(originator):
            raise DeclarationRefused(Reason.ORIGINATOR_UNKNOWN)
        if attempt.purpose.reason_is_full(attempt.declaration.reason):
            attempt.fulfilled |= {Obligation.JUSTIFY}
        attempt.lookup = Lookup(
            id=attempt.id,
            at=attempt.at,
            principal=attempt.principal,
            action=match.action,
            kind=match.kind,
            records=match.records,
            declaration=attempt.declaration,
            criteria=match.criteria,
        )
        await gather(attempt)
        judged = await weigh(attempt, named(match.records) or (nameless(match.kind),))
        attempt.outcome = _united([one.outcome for one in judged])
        reasons = list(attempt.outcome.reasons)
        if match.touches(attempt.outcome.masks):
            reasons.append(Reason.MASKED_CRITERION)
        attempt.reasons = reasons
        if reasons:
            attempt.withheld = list(judged)

    def _refused(self, attempt: Attempt, reason: Reason, detail: str = "") -> Reply:
        """Word a refusal or an outage. What is offered depends on the principal alone (law 7)."""
        if reason not in attempt.reasons:
            attempt.reasons.insert(0, reason)
        attempt.detail = detail or attempt.detail
        attempt.withheld, attempt.kept = [*attempt.kept, *attempt.withheld], []
        ways, catalogue, family = attempt.snapshot.ways, attempt.snapshot.catalogue, reason.wording.family
        breaks_glass = any(
            purpose.breaks_glass(attempt.principal) for purpose in catalogue.open_to(attempt.principal)
        )
        links = ways.links(breaks_glass=breaks_glass)
        if family is Family.POLICY:
            ties = refusal.named_ties(tie for one in attempt.withheld for tie in one.outcome.refusing)
            return refusal.refused(lookup_id=attempt.id, links=links, ties=ties)
        extra = None
        if family is Family.DECLARATION:
            extra = {"declare": attempt.snapshot.catalogue.offered(attempt.principal)}
        shown = detail if family in (Family.DECLARATION, Family.ROUTE) else ""
        headers = RETRY_SOON if reason.wording.status == 503 else ()  # noqa: PLR2004  RFC 9110 section 10.2.3
        return refusal.problem(
            reason, lookup_id=attempt.id, detail=shown, links=links, extra=extra, headers=headers
        )

    async def _leave(self, parts: Parts, attempt: Attempt, reply: Reply | None) -> Reply | Pass:
        """The one exit: the entry becomes durable, and only then is there anything to send (law 1)."""
        monitored = attempt.mode is Mode.MONITOR
        released = monitored or not attempt.reasons
        attempt.status = reply.status if reply is not None else attempt.status
        if attempt.family is Family.OUTAGE:
            self._tell_operators(attempt)
        recorded = False
        try:
            with TRACER.start_as_current_span(SPAN_APPEND):
                receipt = await self._append(parts, attempt, attempt.entry(_kind(attempt), released=released))
            recorded = True
        except LedgerOutage as outage:
            if count := self._outages.add(type(outage).__name__):
                said = "the ledger could not append: nothing is released (%d since last said)"
                LOG.error(said, count, exc_info=outage)  # noqa: TRY400
            return self._refused(attempt, outage.reason)
        finally:
            attempt.settle(recorded=recorded)
        if attempt.reasons and attempt.family is not Family.OUTAGE and not monitored and self._rate:
            self._rate.note(attempt.principal.id)
        if reply is None:
            return Pass.ORIGINAL
        headers = reply.headers if receipt is None else (*reply.headers, (b"purposegate-receipt", receipt))
        return Reply(status=reply.status, headers=headers, body=reply.body)

    def _tell_operators(self, attempt: Attempt) -> None:
        """One line a minute for each reason: a flood of lookups during an outage must not fill the log."""
        reason = attempt.reasons[0]
        count = self._outages.add(reason.value)
        if count:
            said = "lookup %s: outage %s: %s %s (%d since last said)"
            LOG.error(said, attempt.id, reason.value, reason.wording.auditor, attempt.detail, count)

    async def _append(self, parts: Parts, attempt: Attempt, entry: Entry) -> bytes | None:
        """Append; the receipt header, or None where monitor mode is set to pass while the ledger is down.

        Raises `LedgerOutage`.
        """
        try:
            if self._gap is not None:
                gap, fields = self._gap, dict(self._gap)
                await parts.ledger.append(self._bare_entry(EntryKind.GAP, fields, released=True))
                self._gap = None if self._gap is gap else self._gap
            receipt = await parts.ledger.append(entry)
        except LedgerOutage:
            if attempt.mode is not Mode.MONITOR or not parts.monitor_without_ledger:
                raise
            gap = self._gap or {"since": attempt.at.isoformat(), "lookups": 0}
            self._gap = gap | {"lookups": gap["lookups"] + 1}
            GAPS.add(1)
            return None
        return f"{receipt.shard};{receipt.index};{receipt.leaf_hash.hex()}".encode()

    def _bare_entry(self, kind: EntryKind, fields: dict[str, Any], *, released: bool = False) -> Entry:
        return Entry(
            kind=kind, lookup_id=str(uuid.uuid4()), at=self._clock(), released=released, fields=fields
        )

    async def _tallied(self, parts: Parts, kind: EntryKind, key: str, count: int) -> None:
        """One entry for what was only counted. Without a ledger the count is lost, and said so; nothing is released."""
        try:
            await parts.ledger.append(self._bare_entry(kind, {"key": key, "requests": count}))
        except LedgerOutage as outage:
            LOG.error("%d requests answered %s could not be recorded", count, kind.value, exc_info=outage)  # noqa: TRY400

    async def _stranger(self, parts: Parts, reason: Reason) -> Reply:
        """401, or 503 where identity cannot be checked: before the pipeline, counted, one entry a minute."""
        STRANGERS.add(1)
        count = self._strangers.add(reason.value)
        if count:
            await self._tallied(parts, EntryKind.UNIDENTIFIED, reason.value, count)
        challenge = ((b"www-authenticate", b"Bearer"),) if reason.wording.status == 401 else ()  # noqa: PLR2004
        return refusal.problem(reason, lookup_id=str(uuid.uuid4()), headers=challenge)

    async def _too_many(self, parts: Parts, attempt: Attempt) -> Reply:
        """429 over the refusal rate: counted, one entry a minute for each principal."""
        THROTTLED.add(1)
        count = self._throttled.add(attempt.principal.id)
        if count:
            await self._tallied(parts, EntryKind.THROTTLED, attempt.principal.id, count)
        return refusal.problem(
            Reason.REFUSALS_TOO_MANY, lookup_id=attempt.id, headers=((b"retry-after", b"60"),)
        )


async def _as_the_directory_spells(snapshot: Snapshot, principal: Principal) -> Principal:
    """One person under one id: an issuer that varies capitals must not give a second count, history or rate."""
    try:
        known_as = await snapshot.facts.known_as(principal.id)
    except Exception as fault:  # noqa: BLE001  weighed where the lookup is: an outage there, with its entry
        as_outage(fault)
        return principal
    return replace(principal, id=known_as or principal.id)


def _match(snapshot: Snapshot, request: Request) -> tuple[Match | None, RouteRefused | Outage | None]:
    """The route; or neither route nor fault, for an open request; or why the request goes nowhere."""
    try:
        return snapshot.routes.match(request), None
    except RouteRefused as refused:
        return None, refused
    except Exception as fault:  # noqa: BLE001  a crash of the map opens no door (law 2)
        return None, as_outage(fault)


def _united(outcomes: list[Outcome]) -> Outcome:
    """The outcomes of the records a request names, as one: released only if all are."""
    return Outcome(
        released=all(one.released for one in outcomes),
        reasons=tuple(dict.fromkeys(reason for one in outcomes for reason in one.reasons)),
        obligations=frozenset().union(*(one.obligations for one in outcomes)),
        masks=frozenset().union(*(one.masks for one in outcomes)),
        notify=frozenset().union(*(one.notify for one in outcomes)),
        relations=tuple(dict.fromkeys(tie for one in outcomes for tie in one.relations)),
        refusing=tuple(dict.fromkeys(tie for one in outcomes for tie in one.refusing)),
        policy_reasons=tuple(dict.fromkeys(text for one in outcomes for text in one.policy_reasons)),
        break_glass=any(one.break_glass for one in outcomes),
    )


def _kind(attempt: Attempt) -> EntryKind:
    """Law 3: the ledger tells an outage from a refusal. In monitor mode the kind is what enforcing would have written."""
    if not attempt.reasons:
        return EntryKind.RELEASE
    return EntryKind.OUTAGE if attempt.family is Family.OUTAGE else EntryKind.REFUSAL


def _mark(span: Span, attempt: Attempt, result: Reply | Pass, *, monitored: bool) -> None:
    span.set_attribute(ATTR_ROUTE, attempt.match.route if attempt.match else "")
    span.set_attribute(ATTR_ACTION, attempt.action or "")
    span.set_attribute(ATTR_KIND, attempt.kind)
    span.set_attribute(ATTR_MODE, "monitor" if monitored else "enforce")
    span.set_attribute(ATTR_RELEASED, not attempt.reasons or result is Pass.ORIGINAL)
    span.set_attribute(ATTR_FAMILY, attempt.family or "none")
