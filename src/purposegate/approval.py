"""What an approval is bound to, and when the gate asks for one. Pure, but for asking.

Law 5 and 7: an approval carries out one obligation, `approve`. Where anything else refuses, a tie, the policies, a closed
route, another obligation, none is asked for, so none can override it.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from purposegate.model import Lookup, Obligation, Outcome, RecordRef
from purposegate.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What one approval is for: exactly this lookup by exactly this person, while exactly these policies stand."""

    principal: str
    action: str
    record: RecordRef
    purpose: str
    ref: str
    originator: str
    recipient: str
    policy: str

    @property
    def digest(self) -> str:
        """SHA-256, hex, over all of it."""
        parts = (
            self.principal,
            self.action,
            *self.record,
            self.purpose,
            self.ref,
            self.originator,
            self.recipient,
            self.policy,
        )
        return sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An approval that was taken for a lookup: spent, whatever becomes of the lookup."""

    id: str
    approver: str
    at: datetime


def binding_of(lookup: Lookup, record: RecordRef, policy: str) -> Binding:
    """What an approval of this lookup of this record must be bound to."""
    declared = lookup.declaration
    return Binding(
        principal=lookup.principal.id,
        action=lookup.action.value,
        record=record,
        purpose=declared.purpose,
        ref=declared.ref,
        originator=declared.originator,
        recipient=declared.recipient,
        policy=policy,
    )


def wants_approval(outcome: Outcome, fulfilled: Collection[Obligation]) -> bool:
    """Whether an approval is all that is missing: nothing else refuses, and no other obligation is open."""
    missing = outcome.obligations - frozenset(fulfilled)
    return outcome.reasons == (Reason.OBLIGATION_UNMET,) and missing == {Obligation.APPROVE}
