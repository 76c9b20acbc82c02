"""Approvals: asked for alike whatever stands behind the record, given by somebody with no part in it, used once.

Law 7: asking tells nothing. A request is taken for any record there could be, needed or not, and answered the same.

An approval counts only if the ledger counted it. The approver's entry raises a counter whose key is made of everything the
approval is bound to, under the ledger's own key; using it raises another. So a row that somebody wrote into the store, changed
or put back to an earlier state approves nothing, and of two gates that use one approval at the same moment at most one reads
its own use as the only one: whoever is second to append reads two.

Spent stays spent. An approval whose lookup then fails is not given back: that would need certainty that nothing had left, and
whoever can make lookups fail could use one approval many times. Asking again costs a minute.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from purposegate.approval import Binding, Taken
from purposegate.model import CountKey, EntryKind, Principal, RecordRef
from purposegate.review.docket import Docket
from purposegate.review.matters import Matter, State, by
from purposegate.review.reviewers import Bench
from purposegate.review.terms import Terms

APPROVAL = EntryKind.APPROVAL
CANDIDATES = 8
"""Approvals of one and the same lookup that can stand at a time and be looked at."""


def given_key(approver: str, name: str, binding: str, until: datetime) -> CountKey:
    """What the ledger counts when an approval is given: nothing of it can be changed and still be found."""
    return CountKey(approver, "approved", RecordRef(name, f"{binding} {until.isoformat()}"))


def used_key(name: str) -> CountKey:
    """What the ledger counts when it is used."""
    return CountKey("", "approval-used", RecordRef("approval", name))


class Approvals:
    """Asking, deciding and taking. Every method raises `Outage`; then nothing was decided."""

    def __init__(self, docket: Docket, terms: Terms) -> None:
        self._docket = docket
        self._terms = terms

    async def ask(self, binding: Binding, *, roles: tuple[str, ...], reason: str) -> Matter:
        """Ask for an approval of one lookup. Its entry is durable on return."""
        until = self._docket.clock() + timedelta(minutes=self._terms.approval_minutes)
        asked = {name: value for name, value in asdict(binding).items() if name != "record"}
        fields = {**asked, "roles": list(roles), "reason": reason, "records": [list(binding.record)]}
        fields["binding"] = binding.digest
        return await self._docket.begin(APPROVAL, "requested", str(uuid.uuid4()), until=until, fields=fields)

    async def mine(self, principal: str) -> list[Matter]:
        """Somebody's own requests, newest first; those found lapsed are noted in the ledger."""
        return [await self._noticed(one) for one in await self._docket.found("mine", APPROVAL, principal)]

    async def waiting_for(self, reviewer: Principal, bench: Bench) -> list[Matter]:
        """What this reviewer could decide now. What they have a part in, or a tie to, is not among it."""
        waiting = [await self._noticed(one) for one in await self._docket.found("waiting", APPROVAL)]
        return [
            one for one in waiting if one.state is State.WAITING and await bench.may_decide(reviewer, one)
        ]

    async def decide(
        self, reviewer: Principal, name: str, bench: Bench, *, approves: bool, note: str
    ) -> Matter | None:
        """Approve or refuse. None: there is nothing of that name for this reviewer to decide, for whatever cause."""
        matter = await self._docket.get(name)
        if matter is None or matter.kind is not APPROVAL:
            return None
        matter = await self._noticed(matter)
        if matter.state is not State.WAITING or not bench.holds_role(reviewer, matter):
            return None
        ties = await bench.ties(reviewer.id, matter)
        if ties or not await bench.may_decide(reviewer, matter):
            await self._attempted(reviewer, matter, tied=bool(ties))
            return None
        async with self._docket.claimed(f"decide {name}", reviewer.id) as mine:
            if not mine:
                return None
            fields = {
                **_spoken_of(matter, naming=True),
                "principal": reviewer.id,
                "roles": list(reviewer.roles),
                "note": note,
            }
            if not approves:
                return await self._docket.move(matter, "refused", fields)
            key = given_key(reviewer.id, name, matter.text("binding"), matter.until)
            return await self._docket.move(matter, "approved", fields, counts=[key])

    async def _attempted(self, reviewer: Principal, matter: Matter, *, tied: bool) -> None:
        """Trying to decide where one has a part in it is worth an entry, though it is answered as if nothing were there."""
        fields = {
            **_spoken_of(matter, naming=True),
            "principal": reviewer.id,
            "event": "barred",
            "matter": matter.id,
            "tied": tied,
        }
        await self._docket.note(APPROVAL, matter.id, fields)

    async def take(
        self, binding: Binding, *, lookup_id: str, fits: Callable[[str], Awaitable[bool]]
    ) -> Taken | None:
        """Spend an approval of exactly this lookup, if one stands: its use is durable on return.

        `fits` says of an approver whether nothing known now bars them; it is asked before anything is spent.
        """
        digest = binding.digest
        for matter in await self._docket.found("bound", digest, limit=CANDIDATES):
            if not await self._stands(matter, digest) or not await fits(by(matter, "approved")):
                continue
            if not await self._docket.claim(f"use {matter.id}", lookup_id):
                continue
            used = used_key(matter.id)
            fields = {**_spoken_of(matter), "principal": binding.principal, "lookup": lookup_id}
            await self._docket.move(matter, "used", fields, counts=[used])
            if await self._docket.counted(used) == 1:
                return Taken(id=matter.id, approver=by(matter, "approved"), at=self._docket.clock())
        return None

    async def _stands(self, matter: Matter, digest: str) -> bool:
        """Whether the ledger says so: approved by this person, for this binding, until then, and never used."""
        approver = by(matter, "approved")
        matter = await self._noticed(matter)
        if matter.state is not State.APPROVED or not approver:
            return False
        given = given_key(approver, matter.id, digest, matter.until)
        return await self._docket.counted(given) > 0 and await self._docket.counted(used_key(matter.id)) == 0

    async def _noticed(self, matter: Matter) -> Matter:
        """The matter, or, where its time is over and nobody has said so yet, the same with that entered."""
        if matter.state not in (State.WAITING, State.APPROVED) or self._docket.clock() < matter.until:
            return matter
        async with self._docket.claimed(f"expire {matter.id}", matter.id) as mine:
            if mine:
                return await self._docket.move(matter, "expired", _spoken_of(matter))
        return replace(matter, state=State.EXPIRED)


def _spoken_of(matter: Matter, *, naming: bool = False) -> dict[str, Any]:
    """What every entry about an approval repeats, so that each can be read alone; with `naming`, the record too.

    Only what somebody did about the record names it: who uses an approval leaves the lookup's own entry, which does.
    """
    said: dict[str, Any] = {
        "principal": matter.text("principal"),
        "on_behalf_of": matter.text("principal"),
        "purpose": matter.text("purpose"),
        "ref": matter.text("ref"),
        "binding": matter.text("binding"),
    }
    return said | ({"records": [list(matter.record)]} if naming else {})
