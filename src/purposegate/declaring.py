"""What a lookup is declared for, whichever way it was declared, and how far that declaration and its purpose reach.

A declaration sent with a lookup is for that lookup. One made ahead, in a session or with the token, is for the lookup that it
named, and otherwise for records that its reference explains by the principal's own work: never for "any". Whether it reaches
is settled before anything is weighed and tells only what the principal's own work is: never a tie, a rule, or whether there is
such a record (law 7).
"""

from dataclasses import replace

from purposegate.attempt import Attempt
from purposegate.errors import DeclarationRefused, Outage
from purposegate.model import Declaration, Declared, Lookup
from purposegate.protocols import Match, Purpose
from purposegate.reasons import Reason
from purposegate.service import require_person


async def declare(attempt: Attempt, match: Match) -> tuple[Declaration, Purpose]:
    """Learn declaration and purpose. Raises `DeclarationRefused`; `Outage` where a session or the directory cannot be read."""
    snapshot, principal = attempt.snapshot, attempt.principal
    if snapshot.declarations is None:
        made = Declared(snapshot.catalogue.declared(attempt.request), "header", "", covers=True)
    else:
        made = await snapshot.declarations.declared(
            attempt.request, principal=principal, match=match, at=attempt.at
        )
    attempt.made, attempt.declaration = made, made.declaration
    attempt.purpose = purpose = snapshot.catalogue.accept(made.declaration)
    if not purpose.opens_kind(match.kind):
        raise DeclarationRefused(
            Reason.KIND_NOT_OPENED, "purpose: choose one that opens this kind of record."
        )
    await require_person(snapshot.facts, principal, purpose, made.declaration)
    return made.declaration, purpose


async def require_reach(attempt: Attempt, match: Match, lookup: Lookup) -> None:
    """Return if the declaration was made for this lookup, or its reference explains each record that is named.

    A search names none, so one made ahead reaches it only by naming it; glass is broken for one lookup and no other.
    Raises `DeclarationRefused`, and what facts raise.
    """
    if attempt.made is not None and attempt.made.covers:
        return
    broken = lookup.declaration.break_glass
    if broken or not await attempt.snapshot.facts.reference_explains(lookup, match.records):
        raise DeclarationRefused(
            Reason.DECLARATION_NOT_COVERING,
            "It was made for one other lookup, or for records that its reference explains.",
        )


def close_fields(attempt: Attempt, match: Match) -> None:
    """Mask what the purpose does not open, beside what policies mask."""
    purpose, outcome = attempt.purpose, attempt.outcome
    if purpose is None or outcome is None:
        raise Outage(Reason.GATE_FAULT, "fields are closed only after a purpose was declared and weighed")
    opened = purpose.opened(match.kind)
    if opened is not None:
        closed = match.fields - match.hidden(opened)
        attempt.outcome = replace(outcome, masks=outcome.masks | closed)
