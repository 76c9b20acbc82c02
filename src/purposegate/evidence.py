"""What an entry says about a lookup: names of fields released and withheld, never values. Pure.

One exception, which looking back needs: the identity snapshot of each data subject seen, sealed in the erasable payload.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from purposegate.approval import Taken
from purposegate.exchange import Request
from purposegate.model import (
    Action,
    Conflict,
    CountKey,
    Declaration,
    Declared,
    Identity,
    Login,
    LookupFacts,
    Outcome,
    Principal,
    RecordRef,
    Row,
    Standing,
)
from purposegate.protocols import Purpose
from purposegate.reasons import Reason

SAME_REASON = "same-reason"
"""The pattern of a reason whose words were given for many records."""
MAX_TARGET_BYTES = 2048
MAX_DECLARED_BYTES = 8192
MAX_METHOD_CHARS = 32
MAX_PEER_CHARS = 64
"""What is kept of what cannot be read: enough for a hearing, too little to fill a disk with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row with its outcome, where it stands in the principal's budgets, and what explains it."""

    row: Row
    outcome: Outcome
    standing: Standing
    explained_by: tuple[str, ...] = ()
    involvement: str = "none"
    patterns: tuple[str, ...] = ()


def count_keys(own: Iterable[CountKey], rows: Iterable[Judged]) -> tuple[CountKey, ...]:
    """What a durable release raises by one: the lookup's own counts, and those of the rows in it, each once."""
    return tuple(dict.fromkeys([*own, *(key for judged in rows for key in judged.standing.counted)]))


def principal_fields(principal: Principal) -> dict[str, Any]:
    """Who asked (DPA 2018 s.62(2); EU LED Art. 25)."""
    return {"principal": principal.id, "roles": list(principal.roles)}


def request_fields(request: Request, declared_in: str, *, parsed: bool) -> dict[str, Any]:
    """Which door was tried and from where; and what was declared, as sent, where it could not be read."""
    target = request.raw_path + (b"?" + request.query if request.query else b"")
    fields = {
        "method": request.method[:MAX_METHOD_CHARS],
        "target": target[:MAX_TARGET_BYTES].decode("latin-1"),
        "peer": request.peer[:MAX_PEER_CHARS],
    }
    if not parsed:
        lines = request.values(declared_in.lower().encode())
        fields["declared_as_sent"] = b"\n".join(lines)[:MAX_DECLARED_BYTES].decode("latin-1")
    return fields


def declaration_fields(declaration: Declaration | None) -> dict[str, Any]:
    """Why, for whom and to whom, verbatim: a false reason is evidence."""
    if declaration is None:
        return {}
    return {
        "purpose": declaration.purpose,
        "ref": declaration.ref,
        "reason": declaration.reason,
        "originator": declaration.originator,
        "recipient": declaration.recipient,
        "declared_break_glass": declaration.break_glass,
    }


def made_fields(made: Declared | None, login: Login) -> dict[str, Any]:
    """How the declaration came; and what the token was granted for, as sent, where no declaration could be read."""
    if made is not None:
        return {"declared_by": made.how} | ({"declaration": made.id} if made.id else {})
    if login.authorization_details is None:
        return {}
    return {"granted_as_sent": json.dumps(login.authorization_details)[:MAX_DECLARED_BYTES]}


def facts_fields(facts: LookupFacts) -> dict[str, Any]:
    """What the force's own data said of the lookup: the words that policies read, and the numbers behind them."""
    return {
        "ref_state": facts.ref_state,
        "on_duty": facts.on_duty,
        "unit": facts.unit,
        "tenure": facts.tenure,
        "vetting": facts.vetting,
        "training": facts.training,
        "breadth": facts.breadth,
        "patterns": list(facts.patterns),
        "challenge": facts.challenge,
        "facts_as_of": facts.as_of.isoformat(),
        "numbers": dict(facts.numbers),
    }


def reason_fields(
    declaration: Declaration | None, purpose: Purpose | None, facts: LookupFacts, judged: Iterable[Judged]
) -> dict[str, Any]:
    """What stands against the reason given, in sentences; an empty list where nothing does."""
    if declaration is None or purpose is None:
        return {}
    is_recycled = any(SAME_REASON in one.standing.patterns for one in judged)
    against = purpose.judge_reason(declaration.reason, ref_state=facts.ref_state, is_recycled=is_recycled)
    return {"reason_judged": [list(one) for one in against]}


OPERATIONS: Mapping[Action, str] = MappingProxyType(
    {
        Action.VIEW: "consultation",
        Action.SEARCH: "consultation",
        Action.COUNT: "consultation",
        Action.EXPORT: "disclosure",
        Action.EDIT: "alteration",
    }
)
"""The words of Directive (EU) 2016/680 Article 25 and DPA 2018 s.62(1). What is exported leaves, so it is disclosed."""


def operations(action: Action, recipient: str) -> list[str]:
    """The law's words for a lookup; naming a recipient makes it a disclosure as well."""
    named = ("disclosure",) if recipient else ()
    return list(dict.fromkeys((OPERATIONS[action], *named)))


@cache
def notice_digest(notice: str) -> str:
    """The first 128 bits of a notice's SHA-256, hex: which wording of the rule stood in the catalogue."""
    return sha256(notice.encode()).hexdigest()[:32]


def legal_fields(
    action: Action, declaration: Declaration | None, purpose: Purpose | None, agency: Mapping[str, str]
) -> dict[str, Any]:
    """What logging laws want in words of their own: operation, purpose code, agency, and the notice in force.

    One field, since none of it is personal: it may be disclosed as one.
    """
    legal: dict[str, Any] = {"operations": operations(action, declaration.recipient if declaration else "")}
    if declaration is not None and declaration.notice:
        legal["notice_acknowledged"] = declaration.notice
    if purpose is not None:
        legal["notice"] = notice_digest(purpose.notice)
        if codes := purpose.aliases.get("ncic"):
            legal["ncic"] = list(codes)
    return {"legal": legal | {name: value for name, value in agency.items() if value}}


def outcome_fields(outcome: Outcome | None, reasons: Sequence[Reason], detail: str) -> dict[str, Any]:
    """What was decided and every reason that held, in the auditor's words' codes."""
    fields: dict[str, Any] = {"reasons": [reason.value for reason in reasons]}
    if detail:
        fields["detail"] = detail
    if outcome is not None:
        fields |= {
            "obligations": sorted(outcome.obligations),
            "masks": sorted(outcome.masks),
            "notify": sorted(outcome.notify),
            "policy_reasons": list(outcome.policy_reasons),
            "decided_by_broken_glass": outcome.break_glass,
        }
    return fields


def conflict_row(conflict: Conflict) -> dict[str, Any]:
    """One tie weighed: which register row, how it is known, how sure, and why."""
    return {
        "whose": conflict.whose.value,
        "relation": conflict.relation,
        "tier": conflict.tier.value,
        "provenance": conflict.provenance,
        "entry": conflict.entry,
        "score_bits": round(conflict.score, 2),
        "table": [[name, round(bits, 2)] for name, bits in conflict.table],
    }


def identity_row(identity: Identity) -> dict[str, Any]:
    """The sealed snapshot of who was seen: names, births, addresses, telephones, plates."""
    return {
        "names": [list(name) for name in identity.names],
        "born": list(identity.born),
        "addresses": [address.as_list for address in identity.addresses],
        "phones": list(identity.phones),
        "plates": list(identity.plates),
    }


def approval_fields(approvals: Iterable[Taken], barred: Iterable[Conflict]) -> dict[str, Any]:
    """Which approvals the lookup spent, whose, and which ties of an approver stood in the way."""
    spent = [{"matter": one.id, "approver": one.approver} for one in approvals]
    ties = [conflict_row(tie) for tie in barred]
    return ({"approvals": spent} if spent else {}) | ({"approver_conflicts": ties} if ties else {})


def originator_fields(known_as: str, *, confirmed: bool) -> dict[str, Any]:
    """Who is to countersign, as the directory spells them, and whether they need not."""
    return {"originator_known_as": known_as, "originator_confirmed": confirmed} if known_as else {}


def row_fields(judged: Judged, *, released: bool, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """One record of the answer: released or withheld, which fields, which ties, which sight of it.

    `hidden` are the fields and mask words that were held back from a row that was released.
    """
    outcome, row = judged.outcome, judged.row
    return {
        "kind": row.record.kind,
        "id": row.record.id,
        "released": released,
        "reasons": [reason.value for reason in outcome.reasons],
        "fields_released": sorted(row.fields - hidden) if released else [],
        "fields_withheld": sorted(row.fields & hidden) if released else sorted(row.fields),
        "obligations": sorted(outcome.obligations),
        "conflicts": [conflict_row(conflict) for conflict in outcome.relations],
        "sight": judged.standing.ordinal,
        "repeat": judged.standing.repeat,
        "counts": dict(judged.standing.numbers),
        "explained_by": list(judged.explained_by),
        "involvement": judged.involvement,
        "patterns": list(judged.patterns),
        "subjects": [identity_row(identity) for identity in row.subjects],
    }


def record_fields(records: Sequence[RecordRef], criteria: Mapping[str, str]) -> dict[str, Any]:
    """What was asked for: the records named, and the criteria of a search."""
    return {"records": [list(record) for record in records], "criteria": dict(criteria)}
