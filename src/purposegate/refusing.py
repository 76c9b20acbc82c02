"""Words a refusal or an outage for the principal. It makes the reply; only `leaving` lets it out, recorded."""

from purposegate.attempt import Attempt
from purposegate.enforcement import refusal
from purposegate.exchange import Headers, Reply
from purposegate.reasons import Family, Reason

RETRY_SOON = ((b"retry-after", b"5"),)


def refused(attempt: Attempt, reason: Reason, detail: str = "") -> Reply:
    """The reply for this reason, which now stands in the attempt. What it offers depends on the principal alone (law 7)."""
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
    headers: Headers = RETRY_SOON if reason.wording.status == 503 else ()  # noqa: PLR2004  RFC 9110 section 10.2.3
    if reason is Reason.STEP_UP_NEEDED and attempt.snapshot.step_up is not None:
        headers = ((b"www-authenticate", attempt.snapshot.step_up.challenge),)
    return refusal.problem(
        reason, lookup_id=attempt.id, detail=shown, links=links, extra=extra, headers=headers
    )
