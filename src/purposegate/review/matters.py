"""What waits for a person: approvals, hand-overs, countersigns, broken glass. Pure: entries in, their state out.

A *matter* is what the entries about it add up to. The ledger is the truth and the store of matters a copy: the same function
makes a matter when it happens and when the store is built again, so that the two cannot drift apart.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from purposegate.model import Entry, EntryKind


class State(StrEnum):
    """Where a matter stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    USED = "used"
    EXPIRED = "expired"
    TAKEN = "taken"
    RETURNED = "returned"
    DONE = "done"
    CONFIRMED = "confirmed"
    DENIED = "denied"
    STANDING = "standing"
    ENDED = "ended"
    REVIEWED = "reviewed"


STEPS: Mapping[tuple[EntryKind, str, State | None], State] = MappingProxyType(
    {
        (EntryKind.APPROVAL, "requested", None): State.WAITING,
        (EntryKind.APPROVAL, "approved", State.WAITING): State.APPROVED,
        (EntryKind.APPROVAL, "refused", State.WAITING): State.REFUSED,
        (EntryKind.APPROVAL, "used", State.APPROVED): State.USED,
        (EntryKind.APPROVAL, "expired", State.WAITING): State.EXPIRED,
        (EntryKind.APPROVAL, "expired", State.APPROVED): State.EXPIRED,
        (EntryKind.HAND_OVER, "passed", None): State.WAITING,
        (EntryKind.HAND_OVER, "taken", State.WAITING): State.TAKEN,
        (EntryKind.HAND_OVER, "returned", State.WAITING): State.RETURNED,
        (EntryKind.HAND_OVER, "returned", State.TAKEN): State.RETURNED,
        (EntryKind.HAND_OVER, "done", State.TAKEN): State.DONE,
        (EntryKind.COUNTERSIGN, "asked", None): State.WAITING,
        (EntryKind.COUNTERSIGN, "confirmed", State.WAITING): State.CONFIRMED,
        (EntryKind.COUNTERSIGN, "denied", State.WAITING): State.DENIED,
        (EntryKind.COUNTERSIGN, "standing", None): State.STANDING,
        (EntryKind.COUNTERSIGN, "ended", State.STANDING): State.ENDED,
        (EntryKind.BROKEN_GLASS, "noticed", None): State.WAITING,
        (EntryKind.BROKEN_GLASS, "reviewed", State.WAITING): State.REVIEWED,
    }
)
"""Every step a matter can take: its kind, the event, where it stood (None: it is new), where it stands then."""

OPEN = frozenset({State.WAITING, State.APPROVED, State.TAKEN, State.STANDING})

_NOT_KEPT = frozenset({"event", "system_user", "conflicts"})
"""Of an entry's fields, what stays in the ledger alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One matter as it stands. `until` is when it lapses or is overdue, UTC; `step` counts its entries, from 1.

    `body` holds what the entries said, later ones under their event's name where they speak of somebody else.
    """

    id: str
    kind: EntryKind
    state: State
    at: datetime
    until: datetime
    step: int
    body: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A text of the body; empty where there is none."""
        value = self.body.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def record(self) -> tuple[str, str]:
        """The record's kind and id; empty texts where the matter names none."""
        match self.body.get("records"):
            case [[str(kind), str(name)], *_]:
                return kind, name
        return "", ""

    def is_open(self, now: datetime) -> bool:
        """Whether it can still take a step that matters."""
        lapses = self.kind is EntryKind.APPROVAL or self.state is State.STANDING
        return self.state in OPEN and not (lapses and now >= self.until)


def stepped(entry: Entry, before: Matter | None) -> Matter | None:
    """The matter after one more entry about it, or None where the entry is no step that it can take."""
    fields = entry.fields
    event, name = fields.get("event"), fields.get("matter")
    if not isinstance(event, str) or not isinstance(name, str) or (before and before.id != name):
        return None
    state = STEPS.get((entry.kind, event, before.state if before else None))
    if state is None or (before is not None and before.kind is not entry.kind):
        return None
    said = {key: value for key, value in fields.items() if key not in _NOT_KEPT}
    if before is None:
        until = _moment(fields.get("until"))
        if until is None:
            return None
        return Matter(
            id=name,
            kind=entry.kind,
            state=state,
            at=entry.at,
            until=until,
            step=1,
            body={**said, "state": state.value},
        )
    later = {key: said[key] for key in ("principal", "note", "lookup", "verdict") if said.get(key)}
    return replace(
        before,
        state=state,
        step=before.step + 1,
        body={**before.body, "state": state.value, event: {**later, "at": entry.at.isoformat()}},
    )


def by(matter: Matter, event: str) -> str:
    """Who took a later step; empty where it was not taken."""
    step = matter.body.get(event)
    who = step.get("principal", "") if isinstance(step, Mapping) else ""
    return who if isinstance(who, str) else ""


def parties(matter: Matter) -> Iterator[tuple[str, ...]]:
    """What a matter is found by, in clear: the store keeps a keyed token of each.

    The newest of a party are shown. So what somebody has answered is no longer `for` them: it would hide what still waits.
    """
    person, kind = matter.text("principal"), matter.kind
    yield ("mine", kind, person)
    if kind is EntryKind.APPROVAL:
        if matter.state is State.WAITING:
            yield ("waiting", kind)
        if matter.state is State.APPROVED:
            yield ("bound", matter.text("binding"))
    elif kind is EntryKind.HAND_OVER:
        if matter.state in OPEN:
            yield ("for", kind, matter.text("to"))
    elif matter.state is State.STANDING:
        yield ("standing", matter.text("covers"))
    elif kind is EntryKind.COUNTERSIGN:
        if matter.state is State.WAITING:
            yield ("for", kind, matter.text("originator"))
    elif matter.state is State.WAITING:
        yield ("waiting", kind)
        yield ("owed", person)


def covering(principal: str, originator: str, ref: str) -> str:
    """What a standing confirmation covers, as one text."""
    return digest_of("covers", principal, originator, ref)


def digest_of(*parts: str) -> str:
    """The SHA-256, hex, of a list of texts that cannot run into each other."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def _moment(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
