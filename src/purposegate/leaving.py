"""The one exit (law 1). Every lookup goes through `Exit.leave`, which returns only once the entry is durable.

Two replies are made elsewhere, before the pipeline: 401 and 429, in `turned_away`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from purposegate import evidence
from purposegate.afterwards import owed, unsent
from purposegate.attempt import Attempt
from purposegate.errors import EntryUnfit, LedgerOutage, Outage
from purposegate.exchange import Pass, Reply
from purposegate.model import CountKey, Entry, EntryKind, Mode
from purposegate.parts import Parts, bare_entry
from purposegate.reasons import Family
from purposegate.refusing import refused
from purposegate.telemetry import GAPS, SPAN_APPEND, span
from purposegate.throttle import MinuteTally, RefusalRate

LOG = logging.getLogger("purposegate")


class Exit:
    """Where the replies of one gate leave, and what it remembers between them: outages said, a gap in the ledger."""

    def __init__(
        self, *, rate: RefusalRate, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._outages = MinuteTally(clock=monotonic)
        self._gap: dict[str, Any] | None = None

    async def leave(self, parts: Parts, attempt: Attempt, reply: Reply | None) -> Reply | Pass:
        """The one exit: the entry becomes durable, and only then is there anything to send (law 1)."""
        monitored = attempt.mode is Mode.MONITOR
        released = monitored or not attempt.reasons
        attempt.status = reply.status if reply is not None else attempt.status
        if attempt.family is Family.OUTAGE:
            self._tell_operators(attempt)
        counted: Sequence[CountKey] = ()
        try:
            entry = attempt.entry(_kind(attempt), released=released)
            with span(SPAN_APPEND):
                receipt = await self.append(parts, attempt, entry)
            counted = entry.counts if receipt is not None else ()
        except LedgerOutage as outage:
            if count := self._outages.add(type(outage).__name__):
                said = "the ledger could not append: nothing is released (%d since last said)"
                LOG.error(said, count, exc_info=outage)  # noqa: TRY400
            reply = refused(attempt, outage.reason)
            if isinstance(outage, EntryUnfit):
                await self._say_unfit(parts, attempt, outage)
            return reply
        finally:
            attempt.settle(counted)
        if attempt.reasons and attempt.family is not Family.OUTAGE and not monitored:
            self._rate.note(attempt.principal.id)
        try:
            await owed(attempt)
        except Outage as outage:
            return refused(attempt, unsent(attempt, outage))
        if reply is None:
            return Pass.ORIGINAL
        headers = reply.headers if receipt is None else (*reply.headers, (b"purposegate-receipt", receipt))
        return Reply(status=reply.status, headers=headers, body=reply.body)

    async def _say_unfit(self, parts: Parts, attempt: Attempt, unfit: EntryUnfit) -> None:
        """Record in few words a lookup whose own entry does not fit: who asked for something too large is told all the same."""
        fields = {
            **evidence.principal_fields(attempt.principal),
            "reasons": [reason.value for reason in attempt.reasons],
            "route": attempt.match.route if attempt.match else "",
            "detail": str(unfit),
            "status": unfit.reason.wording.status,
        }
        entry = Entry(
            kind=EntryKind.OUTAGE, lookup_id=attempt.id, at=attempt.at, released=False, fields=fields
        )
        try:
            await parts.ledger.append(entry)
        except LedgerOutage as outage:
            LOG.error("lookup %s: refused, and not recorded: %s", attempt.id, outage)  # noqa: TRY400

    async def append(self, parts: Parts, attempt: Attempt, entry: Entry) -> bytes | None:
        """Append; the receipt header, or None where monitor mode is set to pass while the ledger is down.

        Raises `LedgerOutage`.
        """
        try:
            if self._gap is not None:
                gap, fields = self._gap, dict(self._gap)
                await parts.ledger.append(bare_entry(EntryKind.GAP, self._clock(), fields, released=True))
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

    def _tell_operators(self, attempt: Attempt) -> None:
        """One line a minute for each reason: a flood of lookups during an outage must not fill the log."""
        reason = attempt.reasons[0]
        count = self._outages.add(reason.value)
        if count:
            said = "lookup %s: outage %s: %s %s (%d since last said)"
            LOG.error(said, attempt.id, reason.value, reason.wording.auditor, attempt.detail, count)


def _kind(attempt: Attempt) -> EntryKind:
    """Law 3: the ledger tells an outage from a refusal. In monitor mode the kind is what enforcing would have written."""
    if not attempt.reasons:
        return EntryKind.RELEASE
    return EntryKind.OUTAGE if attempt.family is Family.OUTAGE else EntryKind.REFUSAL
