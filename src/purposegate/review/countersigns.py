"""Countersigns: a lookup on another's behalf goes out, and the originator says afterwards whether they asked for it.

Nothing runs by the clock: a countersign is overdue when somebody reads it past its deadline. An originator may also confirm
beforehand for one person and one reference, for some weeks; the policies then read `confirmed` for `named`.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from purposegate.model import CountKey, EntryKind, Principal, RecordRef
from purposegate.review.docket import Docket
from purposegate.review.matters import Matter, State, covering
from purposegate.review.terms import Terms

COUNTERSIGN = EntryKind.COUNTERSIGN


def standing_key(originator: str, covers: str, name: str, until: datetime) -> CountKey:
    """What the ledger counts when a standing confirmation is given: a changed row is not found."""
    return CountKey(originator, "confirms", RecordRef(name, f"{covers} {until.isoformat()}"))


def ended_key(name: str) -> CountKey:
    """What the ledger counts when it is taken back."""
    return CountKey("", "confirms-no-more", RecordRef("countersign", name))


class Countersigns:
    """Confirming and denying. Every method raises `Outage`; then nothing was said."""

    def __init__(self, docket: Docket, terms: Terms) -> None:
        self._docket = docket
        self._terms = terms

    async def expect(self, lookup_id: str, at: datetime, fields: Mapping[str, Any]) -> None:
        """Have a released lookup wait for its originator. The release is its entry; a second call changes nothing."""
        await self._docket.keep(asked(lookup_id, at, fields, self._terms))

    async def waiting_for(self, originator: str) -> list[Matter]:
        """What an originator has not answered yet, newest first; overdue ones among it."""
        found = await self._docket.found("for", COUNTERSIGN, originator)
        return [one for one in found if one.state is State.WAITING]

    async def answer(self, originator: Principal, name: str, *, confirms: bool, note: str) -> Matter | None:
        """Confirm or deny. None: nothing of that name waits for this person. A late answer is taken, as a late one."""
        matter = await self._docket.get(name)
        if matter is None or matter.kind is not COUNTERSIGN or matter.text("originator") != originator.id:
            return None
        if matter.state is not State.WAITING:
            return None
        async with self._docket.claimed(f"countersign {name}", originator.id) as mine:
            if not mine:
                return None
            fields = {
                "principal": originator.id,
                "roles": list(originator.roles),
                "on_behalf_of": originator.id,
                "looked_up_by": matter.text("principal"),
                "purpose": matter.text("purpose"),
                "ref": matter.text("ref"),
                "lookup": name,
                "note": note,
                "late": self._docket.clock() >= matter.until,
            }
            return await self._docket.move(matter, "confirmed" if confirms else "denied", fields)

    async def confirm_ahead(self, originator: Principal, principal: str, ref: str) -> Matter:
        """Confirm all that this person looks up for this reference on the originator's behalf, for some weeks."""
        name, covers = str(uuid.uuid4()), covering(principal, originator.id, ref)
        until = self._docket.clock() + timedelta(days=self._terms.standing_days)
        fields = {
            "principal": originator.id,
            "roles": list(originator.roles),
            "looks_up": principal,
            "ref": ref,
            "covers": covers,
        }
        key = standing_key(originator.id, covers, name, until)
        return await self._docket.begin(
            COUNTERSIGN, "standing", name, until=until, fields=fields, counts=[key]
        )

    async def standing(self, originator: str) -> list[Matter]:
        """An originator's own standing confirmations, newest first."""
        found = await self._docket.found("mine", COUNTERSIGN, originator)
        return [one for one in found if one.state is State.STANDING and one.is_open(self._docket.clock())]

    async def end(self, originator: Principal, name: str) -> Matter | None:
        """Take a standing confirmation back. None: this person has none of that name."""
        matter = await self._docket.get(name)
        if matter is None or matter.state is not State.STANDING or matter.text("principal") != originator.id:
            return None
        async with self._docket.claimed(f"end {name}", originator.id) as mine:
            if not mine:
                return None
            fields = {"principal": originator.id, "ref": matter.text("ref")}
            return await self._docket.move(matter, "ended", fields, counts=[ended_key(name)])

    async def covers(self, principal: str, originator: str, ref: str) -> bool:
        """Whether a standing confirmation covers this lookup now: in the store, and in the ledger."""
        covers = covering(principal, originator, ref)
        for one in await self._docket.found("standing", covers):
            key = standing_key(originator, covers, one.id, one.until)
            if (
                one.is_open(self._docket.clock())
                and await self._docket.counted(key) > 0
                and await self._docket.counted(ended_key(one.id)) == 0
            ):
                return True
        return False


def asked(lookup_id: str, at: datetime, fields: Mapping[str, Any], terms: Terms) -> Matter:
    """The matter that a release on another's behalf begins. `fields` are the release's own."""
    until = at + timedelta(hours=terms.countersign_hours)
    kept = ("principal", "originator", "purpose", "ref", "records", "reason")
    body = {name: fields[name] for name in kept if name in fields}
    body |= {"matter": lookup_id, "until": until.isoformat(), "state": State.WAITING.value}
    return Matter(id=lookup_id, kind=COUNTERSIGN, state=State.WAITING, at=at, until=until, step=1, body=body)
