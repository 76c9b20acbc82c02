"""Who is answered before the pipeline: strangers (401) and principals over their refusal rate (429).

Law 1's one exception, so that neither can fill the disk: they are counted, and each count leaves one entry a minute.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from purposegate.attempt import Attempt
from purposegate.enforcement import refusal
from purposegate.errors import LedgerOutage
from purposegate.exchange import Reply
from purposegate.ids import fresh_id
from purposegate.model import EntryKind
from purposegate.parts import Parts, bare_entry
from purposegate.reasons import Reason
from purposegate.telemetry import STRANGERS, THROTTLED
from purposegate.throttle import MinuteTally

LOG = logging.getLogger("purposegate")


class TurnedAway:
    """The tallies of one gate's strangers and throttled principals."""

    def __init__(self, *, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._strangers = MinuteTally(clock=monotonic)
        self._throttled = MinuteTally(clock=monotonic)

    async def stranger(self, parts: Parts, reason: Reason) -> Reply:
        """401, or 503 where identity cannot be checked: before the pipeline, counted, one entry a minute."""
        STRANGERS.add(1)
        count = self._strangers.add(reason.value)
        if count:
            await self._tallied(parts, EntryKind.UNIDENTIFIED, reason.value, count)
        challenge = ((b"www-authenticate", b"Bearer"),) if reason.wording.status == 401 else ()  # noqa: PLR2004
        return refusal.problem(reason, lookup_id=fresh_id(), headers=challenge)

    async def too_many(self, parts: Parts, attempt: Attempt) -> Reply:
        """429 over the refusal rate: counted, one entry a minute for each principal."""
        THROTTLED.add(1)
        count = self._throttled.add(attempt.principal.id)
        if count:
            await self._tallied(parts, EntryKind.THROTTLED, attempt.principal.id, count)
        return refusal.problem(
            Reason.REFUSALS_TOO_MANY, lookup_id=attempt.id, headers=((b"retry-after", b"60"),)
        )

    async def drain(self, parts: Parts) -> None:
        """Write what was only counted so far; for the end."""
        for tally, kind in (
            (self._strangers, EntryKind.UNIDENTIFIED),
            (self._throttled, EntryKind.THROTTLED),
        ):
            for key, count in tally.drain().items():
                await self._tallied(parts, kind, key, count)

    async def _tallied(self, parts: Parts, kind: EntryKind, key: str, count: int) -> None:
        """One entry for what was only counted. Without a ledger the count is lost, and said so; nothing is released."""
        try:
            await parts.ledger.append(bare_entry(kind, self._clock(), {"key": key, "requests": count}))
        except LedgerOutage as outage:
            LOG.error("%d requests answered %s could not be recorded", count, kind.value, exc_info=outage)  # noqa: TRY400
