"""What a release owes to others, done before it is sent: a notice of broken glass, a countersign to wait for.

A notice is an entry, and nothing goes out without it. A countersign that could not be filed is told to operators and no more:
the release says on whose behalf it was, and the work list finds it there.
"""

import logging

from purposegate.attempt import Attempt
from purposegate.errors import LedgerOutage, Outage
from purposegate.model import Mode
from purposegate.reasons import Reason

LOG = logging.getLogger("purposegate")


async def owed(attempt: Attempt) -> None:
    """Tell whom a durable release concerns. Raises `Outage`: then nothing of it may be sent."""
    review, lookup = attempt.snapshot.review, attempt.lookup
    if review is None or lookup is None or attempt.reasons:
        return
    if lookup.declaration.break_glass and attempt.kept and attempt.mode is Mode.ENFORCE:
        await review.broken(lookup, approved=bool(attempt.approvals))
    if attempt.originator and not attempt.originator_confirmed:
        try:
            await review.on_behalf(
                lookup, await attempt.snapshot.facts.known_as(lookup.declaration.originator)
            )
        except LedgerOutage:
            raise
        except Outage as outage:
            LOG.error("lookup %s: its countersign was not filed: %s", attempt.id, outage)  # noqa: TRY400


def unsent(attempt: Attempt, outage: Outage) -> Reason:
    """The reason why a release that stands in the ledger is not sent after all."""
    LOG.error("lookup %s: nobody could be told of it, so it is not sent: %s", attempt.id, outage)
    return outage.reason
