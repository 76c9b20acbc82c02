"""Hand-overs: a task's reference and purpose go to a colleague; the record that was refused is never named.

There is no free text: it would name the record for whoever must not name it.
"""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from purposegate.model import EntryKind, Principal
from purposegate.review.docket import Docket
from purposegate.review.matters import Matter, State

HAND_OVER = EntryKind.HAND_OVER
OPEN_DAYS = 28
"""A task nobody took for a month is handed over anew, or was not needed."""
STEPS_OF_RECIPIENT: Mapping[State, frozenset[str]] = MappingProxyType(
    {State.WAITING: frozenset({"taken", "returned"}), State.TAKEN: frozenset({"returned", "done"})}
)


class HandOvers:
    """Passing tasks on. Every method raises `Outage`; then nothing was passed."""

    def __init__(self, docket: Docket) -> None:
        self._docket = docket

    async def hand(self, giver: Principal, to: str, *, purpose: str, ref: str) -> Matter:
        """Pass a reference on. `to` is the directory's spelling of a colleague. Its entry is durable on return."""
        until = self._docket.clock() + timedelta(days=OPEN_DAYS)
        fields = {"principal": giver.id, "roles": list(giver.roles), "to": to, "purpose": purpose, "ref": ref}
        return await self._docket.begin(HAND_OVER, "passed", str(uuid.uuid4()), until=until, fields=fields)

    async def for_recipient(self, recipient: str) -> list[Matter]:
        """The open tasks that were handed to somebody, newest first."""
        now = self._docket.clock()
        found = await self._docket.found("for", HAND_OVER, recipient)
        return [one for one in found if one.is_open(now) and now < one.until]

    async def given_by(self, giver: str) -> list[Matter]:
        """What somebody handed over, newest first."""
        return await self._docket.found("mine", HAND_OVER, giver)

    async def answer(self, recipient: Principal, name: str, step: str) -> Matter | None:
        """Take a task, return it, or end it. None: nothing of that name waits for this person and this step."""
        matter = await self._docket.get(name)
        if matter is None or matter.kind is not HAND_OVER or matter.text("to") != recipient.id:
            return None
        if step not in STEPS_OF_RECIPIENT.get(matter.state, frozenset()):
            return None
        async with self._docket.claimed(f"{step} {name} {matter.step}", recipient.id) as mine:
            if not mine:
                return None
            fields: Mapping[str, Any] = {
                "principal": recipient.id,
                "roles": list(recipient.roles),
                "from": matter.text("principal"),
                "purpose": matter.text("purpose"),
                "ref": matter.text("ref"),
            }
            return await self._docket.move(matter, step, fields)
