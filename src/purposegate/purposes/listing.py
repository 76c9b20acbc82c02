"""What a principal could declare, ready for JSON: the 428 body and the list of purposes show the same."""

from typing import Any

from purposegate.model import Declaration, Principal
from purposegate.purposes import declaration as wire
from purposegate.purposes.catalogue import PurposeCatalogue
from purposegate.purposes.purpose import REQUIRED, CataloguePurpose

YOUR_REASON = "..."
"""Stands for the reason in example lines. It is no reason itself: sent unchanged, it is refused."""


def offered(catalogue: PurposeCatalogue, principal: Principal) -> list[dict[str, Any]]:
    """Each purpose open to the principal: code, label, what it requires, notice, and an example header line.

    Depends on the principal's roles and the catalogue alone, never on a record (law 7).
    """
    return [_offer(catalogue, purpose, principal) for purpose in catalogue.open_to(principal)]


def _offer(catalogue: PurposeCatalogue, purpose: CataloguePurpose, principal: Principal) -> dict[str, Any]:
    return {
        "code": purpose.code,
        "label": purpose.label,
        "requires": {
            "reference": {
                "required": purpose.reference_required,
                "forms": [
                    {"kind": kind.kind, "label": kind.label, "example": kind.example}
                    for kind in purpose.references
                ],
            },
            "reason": {"required": purpose.reason_required, "words": purpose.reason_words},
            "originator": purpose.originator,
            "recipient": purpose.recipient,
        },
        "break_glass": purpose.breaks_glass(principal),
        "notice": purpose.notice,
        "example": wire.line(_example(purpose), field=catalogue.field),
    }


def _example(purpose: CataloguePurpose) -> Declaration:
    """A declaration with exactly what the purpose requires, from its own made-up reference."""
    return Declaration(
        purpose=purpose.code,
        ref=purpose.references[0].example if purpose.reference_required and purpose.references else "",
        reason=YOUR_REASON if purpose.reason_required else "",
        originator=YOUR_REASON if purpose.originator == REQUIRED else "",
        recipient=YOUR_REASON if purpose.recipient == REQUIRED else "",
    )
