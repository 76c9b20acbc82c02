"""What a principal could declare, ready for JSON: the 428 body and the gate's page of purposes show the same."""

from collections.abc import Iterable
from typing import Any

from purposegate.model import Declaration, Principal
from purposegate.purposes import declaration as wire
from purposegate.purposes.purpose import REQUIRED, CataloguePurpose

YOUR_REASON = "..."
"""Stands for the reason in example lines. It is no reason itself: sent unchanged, it is refused."""


def offered(
    purposes: Iterable[CataloguePurpose], principal: Principal, *, field: str = wire.DEFAULT_FIELD
) -> list[dict[str, Any]]:
    """Each purpose open to the principal: code, label, what it requires, notice, and an example header line.

    Depends on the principal's roles and the catalogue alone, never on a record (law 7).
    """
    return [_offer(purpose, principal, field) for purpose in purposes if purpose.entitles(principal)]


def _offer(purpose: CataloguePurpose, principal: Principal, field: str) -> dict[str, Any]:
    forms = [{"kind": kind.kind, "label": kind.label, "example": kind.example} for kind in purpose.references]
    return {
        "code": purpose.code,
        "label": purpose.label,
        "requires": {
            "reference": {"required": purpose.reference_required, "forms": forms},
            "reason": {"required": purpose.reason_required, "words": purpose.reason_words},
            "originator": purpose.originator,
            "recipient": purpose.recipient,
            "notice": "required" if purpose.must_acknowledge else "optional",
        },
        "opens": {
            kind: "all" if words is None else sorted(words) for kind, words in sorted(purpose.opens.items())
        },
        "valid_minutes": purpose.valid_s // 60,
        "break_glass": purpose.breaks_glass(principal),
        "notice": purpose.notice,
        "notice_digest": purpose.notice_digest,
        "example": wire.line(_example(purpose), field=field),
    }


def _example(purpose: CataloguePurpose) -> Declaration:
    """A declaration with exactly what the purpose requires, from its own made-up reference."""
    return Declaration(
        purpose=purpose.code,
        ref=purpose.references[0].example if purpose.reference_required else "",
        reason=YOUR_REASON if purpose.reason_required else "",
        originator=YOUR_REASON if purpose.originator == REQUIRED else "",
        recipient=YOUR_REASON if purpose.recipient == REQUIRED else "",
        notice=purpose.notice_digest if purpose.must_acknowledge else "",
    )
