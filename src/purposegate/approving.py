"""Carrying out `approve` while a record is weighed, and the price of broken glass that nobody reviewed.

The approver is checked twice: when they decide, by the record's name alone, and here, by whoever is in the record, since only
the answer may tell whom it is about. A tie of theirs found here refuses as if there had been no approval, and it stays spent.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from purposegate.approval import Taken, binding_of, wants_approval
from purposegate.attempt import Attempt
from purposegate.model import (
    Action,
    Conflict,
    Declaration,
    Lookup,
    Mode,
    Obligation,
    Outcome,
    Principal,
    Row,
    Tier,
)
from purposegate.protocols import Facts
from purposegate.reasons import Reason

APPROVED = frozenset({Obligation.APPROVE})


class Judging(Protocol):
    """What judges one record, given the obligations that are carried out."""

    def __call__(self, *, fulfilled: frozenset[Obligation]) -> Outcome:
        """The outcome."""
        ...


async def with_approval(
    attempt: Attempt, row: Row, judged: Judging, *, fulfilled: frozenset[Obligation]
) -> Outcome:
    """One record's outcome, with an approval spent on it if that is all it lacks and one stands for exactly this lookup.

    `fulfilled` are the obligations that are carried out without an approval.
    """
    priced = await _owes(attempt)

    def again(carried_out: frozenset[Obligation]) -> Outcome:
        outcome = judged(fulfilled=carried_out)
        return _priced(outcome, carried_out) if priced else outcome

    outcome = again(fulfilled)
    lookup, review = attempt.lookup, attempt.snapshot.review
    if review is None or lookup is None or not wants_approval(outcome, fulfilled):
        return outcome
    # Monitor mode lets it through whatever is found, so nothing is spent on it; a list names no record to approve.
    if attempt.mode is Mode.MONITOR or row.record not in lookup.records:
        return outcome
    taken = attempt.approvals.get(row.record)
    if taken is not None:
        return again(fulfilled | APPROVED) if await _fits(attempt, lookup, row, taken.approver) else outcome

    async def fits(approver: str) -> bool:
        return await _fits(attempt, lookup, row, approver)

    binding = binding_of(lookup, row.record, attempt.snapshot.digest)
    found: Taken | None = await review.take(binding, lookup=lookup, fits=fits)
    if found is None:
        return outcome
    attempt.approvals[row.record] = found
    return again(fulfilled | APPROVED)


async def _owes(attempt: Attempt) -> bool:
    """Whether glass is broken by somebody whose earlier uses wait for review. Asked once a lookup."""
    review, lookup = attempt.snapshot.review, attempt.lookup
    if not attempt.breaks_glass or review is None or lookup is None:
        return False
    if attempt.owes_review is None:
        attempt.owes_review = await review.owes(lookup)
    return attempt.owes_review


def _priced(outcome: Outcome, carried_out: frozenset[Obligation]) -> Outcome:
    """The outcome with an approval owed on top. It can only refuse: what was refused stays so, with its reasons."""
    owed = replace(outcome, obligations=outcome.obligations | APPROVED)
    if not outcome.released or carried_out >= APPROVED:
        return owed
    return replace(owed, released=False, reasons=(Reason.OBLIGATION_UNMET,))


async def _fits(attempt: Attempt, lookup: Lookup, row: Row, approver: str) -> bool:
    """Whether nothing bars this approver now: they work here, are nobody in the lookup, and have no tie to its people."""
    facts, declared = attempt.snapshot.facts, lookup.declaration
    if not await facts.known_as(approver):
        return False
    others = [lookup.principal.id, declared.originator, declared.recipient]
    if await spelt(facts, approver) in {await spelt(facts, name) for name in others if name}:
        return False
    ties = await barring(facts, approver, [row], at=lookup.at)
    attempt.barred += [tie for tie in ties if tie not in attempt.barred]
    return not ties


async def spelt(facts: Facts, name: str) -> str:
    """One spelling for one person: the directory's, or, for somebody outside it, the text folded."""
    return await facts.known_as(name) or " ".join(name.casefold().split())


async def barring(facts: Facts, reviewer: str, rows: Sequence[Row], *, at: datetime) -> tuple[Conflict, ...]:
    """The ties of somebody who decides about these rows that bar them from it. Raises `FactsOutage`.

    As for principals under the shipped policies: those that are sure and that conflicts.yaml does not merely flag.
    """
    lookup = Lookup(
        id="review",
        at=at,
        principal=Principal(id=reviewer, roles=()),
        action=Action.VIEW,
        kind=rows[0].record.kind,
        records=tuple(row.record for row in rows),
        declaration=Declaration(purpose=""),
    )
    found = await facts.about_records(lookup, rows)
    ties = (tie for one in found for tie in one.conflicts)
    return tuple(tie for tie in ties if tie.tier is Tier.CONFIRMED and tie.default == "refuse")
