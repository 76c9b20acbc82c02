"""The stages of one lookup, in their order: declaration, facts, questions, then the records system's own answer.

Nothing here sends: each stage raises, notes its reasons in the attempt, or returns what `leaving` may let out.
"""

from collections.abc import Awaitable, Callable

from purposegate.answer import collect, observe
from purposegate.attempt import Attempt
from purposegate.declaring import close_fields, declare, require_reach
from purposegate.errors import DeclarationRefused, IdentityRefused, LookupRefused, Outage, RouteRefused
from purposegate.exchange import Reply
from purposegate.model import Action, Lookup, Mode, Obligation, Outcome
from purposegate.protocols import Match, Upstream
from purposegate.reasons import Reason
from purposegate.refusing import refused
from purposegate.weigh import as_outage, gather, named, nameless, weigh


async def judged(
    attempt: Attempt,
    refusal: RouteRefused | Outage | None,
    upstream: Upstream,
    *,
    admit: Callable[[], None],
    intend: Callable[[], Awaitable[None]],
) -> Reply | None:
    """The reply to release, or None in monitor mode. Refusals and outages are raised, or noted in the attempt.

    `refusal` is why no route was found. `admit` raises while no lookup may begin; `intend` makes the intent durable before
    the records system does more than read (law 1).
    """
    if attempt.mode is Mode.MONITOR:
        await _monitored(attempt, refusal, upstream, admit=admit, intend=intend)
        return None
    admit()
    await _request_stage(attempt, refusal)
    if attempt.reasons:
        return refused(attempt, *attempt.reasons[:1])
    if attempt.has_effects:
        await intend()
    reply = await collect(attempt, upstream)
    return reply if reply is not None else refused(attempt, *attempt.reasons[:1])


async def _monitored(
    attempt: Attempt,
    refusal: RouteRefused | Outage | None,
    upstream: Upstream,
    *,
    admit: Callable[[], None],
    intend: Callable[[], Awaitable[None]],
) -> None:
    """Judge as enforcing would and let the request through all the same; what was found stands in the attempt (law 10)."""
    try:
        admit()
        await _request_stage(attempt, refusal)
    except LookupRefused as found:
        attempt.reasons, attempt.detail = [found.reason], found.detail
    except Exception as fault:  # noqa: BLE001  monitor mode passes outages, recorded (law 10)
        outage = as_outage(fault, attempt.id)
        attempt.reasons, attempt.detail = [outage.reason], outage.detail
    if attempt.has_effects:
        await intend()
    await observe(attempt, upstream)


async def _request_stage(attempt: Attempt, refusal: RouteRefused | Outage | None) -> None:
    """Judge what can be judged before the records system is asked; a refusal stands in `attempt.reasons`."""
    if refusal is not None:
        raise refusal
    match = attempt.match
    if match is None:
        raise RouteRefused(Reason.ROUTE_UNMAPPED)
    if attempt.request.body_over_cap:
        raise RouteRefused(Reason.BODY_TOO_LARGE)
    attempt.lookup = await _declared(attempt, match)
    await require_reach(attempt, match, attempt.lookup)
    await gather(attempt)
    weighed = await weigh(attempt, named(match.records) or (nameless(match.kind),))
    attempt.asked = [one for one in weighed if one.row.record.id]
    attempt.outcome = _united([one.outcome for one in weighed])
    close_fields(attempt, match)
    reasons = list(attempt.outcome.reasons)
    if match.touches(attempt.outcome.masks):
        reasons.append(Reason.MASKED_CRITERION)
    attempt.reasons = reasons
    if reasons:
        attempt.withheld = list(weighed)


async def _declared(attempt: Attempt, match: Match) -> Lookup:
    """The lookup as declared. Raises `IdentityRefused`, `DeclarationRefused`, and what the directory raises."""
    snapshot = attempt.snapshot
    if not await snapshot.facts.known_as(attempt.principal.id):
        raise IdentityRefused(Reason.PRINCIPAL_UNKNOWN)
    declaration, purpose = await declare(attempt, match)
    originator = declaration.originator
    _require_sign_in(attempt, match)
    attempt.originator = await snapshot.facts.known_as(originator) if originator else ""
    if originator and not attempt.originator:
        raise DeclarationRefused(Reason.ORIGINATOR_UNKNOWN)
    if purpose.reason_is_full(declaration.reason):
        attempt.fulfilled |= {Obligation.JUSTIFY}
    lookup = Lookup(
        id=attempt.id,
        at=attempt.at,
        principal=attempt.principal,
        action=match.action,
        kind=match.kind,
        records=match.records,
        declaration=declaration,
        criteria=match.criteria,
        sought=match.sought,
        grace_s=purpose.grace_s,
        continues=bool(match.page),
    )
    if attempt.originator:
        attempt.originator_confirmed = await _confirmed(attempt, lookup, attempt.originator)
    return lookup


def _require_sign_in(attempt: Attempt, match: Match) -> None:
    """Return if glass, where declared broken, may be: by this role, for one record, by somebody who proved themself anew.

    All of it depends on the request and the principal alone (law 7). Raises `DeclarationRefused`, `IdentityRefused`.
    """
    step_up, glass = attempt.snapshot.step_up, attempt.declaration and attempt.declaration.break_glass
    if step_up is not None and step_up.holds(attempt.principal, attempt.at):
        attempt.fulfilled |= {Obligation.STEP_UP}
    if not glass:
        return
    if not attempt.breaks_glass:
        raise DeclarationRefused(
            Reason.DECLARATION_MALFORMED,
            "break-glass: not open to your role under this purpose; leave it out.",
        )
    if match.action is not Action.VIEW or len(match.records) != 1:
        raise DeclarationRefused(
            Reason.DECLARATION_MALFORMED, "break-glass: opens one record; leave it out for anything else."
        )
    if step_up is not None and Obligation.STEP_UP not in attempt.fulfilled:
        raise IdentityRefused(Reason.STEP_UP_NEEDED)


async def _confirmed(attempt: Attempt, lookup: Lookup, originator: str) -> bool:
    """Whether the originator need not countersign: they have confirmed ahead, or the principal named themself."""
    if originator == lookup.principal.id:
        return True
    review = attempt.snapshot.review
    return review is not None and await review.confirmed(lookup, originator)


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
