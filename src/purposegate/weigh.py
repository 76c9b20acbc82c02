"""Weighing records: facts gathered, sights reserved, questions put, answers judged; and what break-glass may stand in for.

The order is fixed: a sight is reserved before it is decided, so that parallel lookups stop where lookups in turn would.
"""

import logging
import traceback
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from purposegate.approving import with_approval
from purposegate.attempt import Attempt
from purposegate.errors import Outage
from purposegate.evidence import SAME_REASON, Judged
from purposegate.judge import SELF, judge
from purposegate.model import (
    Action,
    Answer,
    Conflict,
    Lookup,
    Obligation,
    Outcome,
    Question,
    RecordFacts,
    RecordRef,
    Row,
    Standing,
    Tier,
)
from purposegate.reasons import Reason
from purposegate.telemetry import SPAN_DECIDE, SPAN_FACTS, span

LOG = logging.getLogger("purposegate")

DRAWN = "drawn"

ABSENT = frozenset(
    {
        Reason.PDP_UNAVAILABLE,
        Reason.FACTS_UNAVAILABLE,
        Reason.FACTS_STALE,
        Reason.REGISTER_STALE,
        Reason.GATE_FAULT,
    }
)
"""Outages that broken glass may stand in for: the table of design section 3. Never identity, never the ledger.

It opens a record and does no more: a list, an export or an edit waits for the policies, which alone know its masks."""
MALFORMED = frozenset({Reason.PDP_ANSWER_MALFORMED, Reason.POLICY_OUTPUT_MALFORMED})
"""The same, but only where no tie was found: otherwise one more tie could turn a refusal into a release (law 5)."""


async def gather(attempt: Attempt) -> None:
    """Learn what the force knows about the lookup itself. Raises `Outage` unless broken glass stands in for it."""
    facts, lookup = attempt.snapshot.facts, _lookup(attempt)
    try:
        with span(SPAN_FACTS):
            attempt.facts = await facts.about_lookup(lookup)
    except Exception as fault:
        outage = as_outage(fault, attempt.id)
        if not _stands_in(attempt, outage):
            raise outage from fault
        attempt.overridden = outage.reason
        attempt.facts = await facts.about_lookup(lookup, stale_ok=True)


async def weigh(attempt: Attempt, rows: Sequence[Row]) -> tuple[Judged, ...]:
    """Judge each row, in order. Raises `Outage`; a refusal is a value."""
    if attempt.overridden is not None:
        return await _by_broken_glass(attempt, rows)
    try:
        with span(SPAN_FACTS):
            found = await attempt.snapshot.facts.about_records(_lookup(attempt), rows)
        standings = await attempt.reserve(rows, found)
        outcomes = await _outcomes(attempt, rows, found, standings)
    except Exception as fault:
        outage = as_outage(fault, attempt.id)
        if not _stands_in(attempt, outage):
            raise outage from fault
        attempt.overridden = outage.reason
        return await _by_broken_glass(attempt, rows)
    return _judged(rows, outcomes, standings, found)


def nameless(kind: str) -> Row:
    """The row that stands for a search before its answer is known."""
    return Row(record=RecordRef(kind, ""), subjects=(), fields=frozenset(), place=0)


def named(records: Sequence[RecordRef]) -> tuple[Row, ...]:
    """Rows for records known by id alone, before the records system is asked."""
    return tuple(
        Row(record=record, subjects=(), fields=frozenset(), place=place)
        for place, record in enumerate(records)
    )


def as_outage(fault: Exception, lookup_id: str = "-") -> Outage:
    """An outage as it is; anything else is a fault of the gate, logged with its trace and told to nobody."""
    if isinstance(fault, Outage):
        return fault
    # Where it happened, and not what was said: an exception's message can quote a record.
    frames = "".join(traceback.format_list(traceback.extract_tb(fault.__traceback__)))
    LOG.error("lookup %s: the gate failed: %s\n%s", lookup_id, type(fault).__name__, frames)
    return Outage(Reason.GATE_FAULT, type(fault).__name__)


def _lookup(attempt: Attempt) -> Lookup:
    if attempt.lookup is None:
        raise Outage(Reason.GATE_FAULT, "a lookup is weighed only after its declaration stands")
    return attempt.lookup


def _stands_in(attempt: Attempt, outage: Outage) -> bool:
    return (
        attempt.breaks_glass
        and attempt.action is Action.VIEW
        and attempt.purpose is not None
        and attempt.purpose.breaks_glass_when_unavailable
        and outage.reason in ABSENT | MALFORMED
    )


def _judged(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    standings: Sequence[Standing],
    found: Sequence[RecordFacts],
) -> tuple[Judged, ...]:
    return tuple(
        Judged(
            row=row,
            outcome=outcome,
            standing=standing,
            explained_by=facts.explained_by,
            involvement=facts.involvement,
            patterns=tuple(sorted({*facts.patterns, *standing.patterns})),
        )
        for row, outcome, standing, facts in zip(rows, outcomes, standings, found, strict=True)
    )


async def _outcomes(
    attempt: Attempt, rows: Sequence[Row], found: Sequence[RecordFacts], standings: Sequence[Standing]
) -> list[Outcome]:
    """One outcome a row, from one batch: each row without conflict, and with each of its conflicts alone (law 5)."""
    plans: list[tuple[Question, list[tuple[Conflict, Question]]]] = []
    for row, facts, standing in zip(rows, found, standings, strict=True):
        plain = _question(attempt, row, facts, standing, None)
        tied = [(tie, _question(attempt, row, facts, standing, tie)) for tie in facts.conflicts]
        plans.append((plain, tied))
    answers = await _asked(attempt, [q for plain, tied in plans for q in (plain, *(q for _, q in tied))])
    outcomes: list[Outcome] = []
    for row, (plain, tied), standing in zip(rows, plans, standings, strict=True):
        ties = [(conflict, answers[question]) for conflict, question in tied]
        judged = partial(judge, answers[plain], ties, allow_rules=attempt.allow_rules)
        outcomes.append(await with_approval(attempt, row, judged, fulfilled=_fulfilled(attempt, standing)))
    return outcomes


def _fulfilled(attempt: Attempt, standing: Standing) -> frozenset[Obligation]:
    """What this entrance carries out. Words given for many others justify nothing, however full they are."""
    if SAME_REASON in standing.patterns:
        return attempt.fulfilled - {Obligation.JUSTIFY}
    return attempt.fulfilled


async def _asked(attempt: Attempt, questions: Sequence[Question]) -> Mapping[Question, Answer]:
    """Put the questions that this lookup has not put yet. One lookup hears one answer to one question, always."""
    fresh = [question for question in dict.fromkeys(questions) if question not in attempt.answers]
    if fresh:
        with span(SPAN_DECIDE):
            ruling = await attempt.snapshot.decider.decide(fresh, lookup_id=attempt.id)
        attempt.policy_digest, attempt.allow_rules = ruling.digest, ruling.allow_rules
        # An answer remembered names the call that gave it, and may be one that this lookup has named already.
        named_calls = dict.fromkeys([*attempt.call_ids, *filter(None, ruling.call_id.split(","))])
        attempt.call_ids = list(named_calls)
        attempt.answers.update(zip(fresh, ruling.answers, strict=True))
    return attempt.answers


async def _by_broken_glass(attempt: Attempt, rows: Sequence[Row]) -> tuple[Judged, ...]:
    """Judge without the PDP: released, flagged and told to a supervisor, unless a tie is confirmed.

    Raises `FactsOutage` when even stale data cannot say whether a tie is confirmed.
    """
    found = await attempt.snapshot.facts.about_records(_lookup(attempt), rows, stale_ok=True)
    reason = attempt.overridden or Reason.GATE_FAULT
    if reason in MALFORMED and any(facts.conflicts for facts in found):
        raise Outage(reason, "a tie was found, so broken glass does not stand in for the policies")
    standings = await attempt.reserve(rows, found)
    outcomes = [
        await with_approval(attempt, row, partial(_glass_outcome, facts), fulfilled=attempt.fulfilled)
        for row, facts in zip(rows, found, strict=True)
    ]
    return _judged(rows, outcomes, standings, found)


def _glass_outcome(facts: RecordFacts, *, fulfilled: Collection[Obligation]) -> Outcome:  # noqa: ARG001  it owes a flag alone
    confirmed = tuple(conflict for conflict in facts.conflicts if conflict.tier is Tier.CONFIRMED)
    selves = any(conflict.relation == SELF for conflict in confirmed)
    return Outcome(
        released=not confirmed,
        reasons=(Reason.SELF if selves else Reason.CONFLICT,) if confirmed else (),
        obligations=frozenset({Obligation.FLAG}),
        notify=frozenset({"supervisor"}),
        relations=facts.conflicts,
        refusing=confirmed,
        break_glass=True,
    )


def _question(
    attempt: Attempt, row: Row, facts: RecordFacts, standing: Standing, conflict: Conflict | None
) -> Question:
    snapshot, lookup, purpose, about = attempt.snapshot, _lookup(attempt), attempt.purpose, attempt.facts
    if purpose is None or about is None:
        raise Outage(Reason.GATE_FAULT, "a question needs a purpose and the lookup's facts")
    tie = {}
    if conflict is not None:
        tie = {
            "conflict": conflict.relation,
            "conflict_whose": conflict.whose.value,
            "conflict_tier": conflict.tier.value,
            "conflict_provenance": conflict.provenance,
            "conflict_default": conflict.default,
        }
    return Question(
        principal_id=lookup.principal.id,
        roles=lookup.principal.roles,
        unit=about.unit,
        tenure=about.tenure,
        on_duty=about.on_duty,
        action=lookup.action.value,
        kind=row.record.kind,
        record_id=row.record.id if snapshot.decider.reads_record_ids else "",
        purpose=purpose.code,
        purpose_family=purpose.family,
        entitled=purpose.entitles(lookup.principal),
        break_glass=attempt.breaks_glass,
        ref_state=about.ref_state,
        explained_by=facts.explained_by,
        repeat=standing.repeat,
        originator=_originator(attempt, lookup),
        recipient="named" if lookup.declaration.recipient else "none",
        vetting=about.vetting,
        training=about.training,
        involvement=facts.involvement,
        breadth=about.breadth,
        # One order and no repeats: rows that policies cannot tell apart are one question.
        patterns=tuple(sorted({*about.patterns, *facts.patterns, *standing.patterns})),
        challenge=DRAWN if DRAWN in (about.challenge, facts.challenge) else "none",
        **tie,
    )


def _originator(attempt: Attempt, lookup: Lookup) -> str:
    if not lookup.declaration.originator:
        return "none"
    return "confirmed" if attempt.originator_confirmed else "named"
