"""Broken glass, paid for afterwards: a notice to supervisors, a review due, and a higher price while reviews are missing.

How many uses were never reviewed is counted by the ledger, not by the store, so that deleting rows makes nothing cheaper.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from purposegate.errors import Outage
from purposegate.model import CountKey, EntryKind, Principal, RecordRef
from purposegate.reasons import Reason
from purposegate.review.docket import Docket
from purposegate.review.matters import Matter, State
from purposegate.review.reviewers import Bench
from purposegate.review.terms import Terms

GLASS = EntryKind.BROKEN_GLASS
SAME_USE = ("records", "purpose", "ref", "originator", "recipient")
"""What two uses of one person agree in to be one: who says anew whom it goes to, or what it is for, breaks glass anew."""
VERDICTS = ("proper", "improper", "unclear")

_TURNS: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


def broken_key(principal: str) -> CountKey:
    """What the ledger counts when somebody's use is noticed."""
    return CountKey(principal, "glass-broken", RecordRef("glass", ""))


def reviewed_key(principal: str) -> CountKey:
    """What it counts when one of them is reviewed."""
    return CountKey(principal, "glass-reviewed", RecordRef("glass", ""))


def review_key(name: str) -> CountKey:
    """What it counts for one use, so that none is reviewed twice."""
    return CountKey("", "glass-reviewed", RecordRef("glass", name))


class Glass:
    """Noticing and reviewing. Every method raises `Outage`."""

    def __init__(self, docket: Docket, terms: Terms) -> None:
        self._docket = docket
        self._terms = terms

    async def notice(self, lookup_id: str, fields: Mapping[str, Any], *, approved: bool) -> None:
        """Tell supervisors of a use: an entry and a matter that waits for them. One record within some minutes is one use.

        Several at the same moment each found that they owed nothing yet. Whoever then reads in the ledger that they are one too
        many, and has no approval, is sent nothing: as in turn through one gate; through several too strict, never too lax.
        """
        principal = str(fields.get("principal", ""))
        async with _turn(principal):
            if await self._is_told(principal, fields):
                return
            kept = ("principal", "roles", "originator", "recipient", "purpose", "ref", "reason", "records")
            said = {name: fields[name] for name in kept if name in fields}
            await self._docket.begin(
                GLASS,
                "noticed",
                lookup_id,
                until=self._docket.clock() + timedelta(hours=self._terms.glass_review_hours),
                fields={**said, "lookup": lookup_id, "notify": "supervisor"},
                counts=[broken_key(principal)],
            )
            if not approved and await self._unreviewed(principal) > self._terms.glass_unreviewed:
                raise Outage(
                    Reason.GATE_FAULT, "glass was broken more often at once than may stand unreviewed"
                )

    async def _is_told(self, principal: str, fields: Mapping[str, Any]) -> bool:
        """Whether supervisors have been told of this use some minutes ago, and have not reviewed it."""
        since = self._docket.clock() - timedelta(minutes=self._terms.glass_minutes)
        return any(
            one.at > since and all(one.body.get(name) == fields.get(name) for name in SAME_USE)
            for one in await self._docket.found("owed", principal)
        )

    async def waiting_for(self, reviewer: Principal, bench: Bench) -> list[Matter]:
        """The uses that this reviewer could review, newest first."""
        return [
            one for one in await self._docket.found("waiting", GLASS) if await bench.may_decide(reviewer, one)
        ]

    async def review(
        self, reviewer: Principal, name: str, bench: Bench, *, verdict: str, note: str
    ) -> Matter | None:
        """Review one use. None: nothing of that name waits for this reviewer."""
        matter = await self._docket.get(name)
        if matter is None or matter.kind is not GLASS or matter.state is not State.WAITING:
            return None
        if not await bench.may_decide(reviewer, matter) or await self._docket.counted(review_key(name)):
            return None
        async with self._docket.claimed(f"review {name}", reviewer.id) as mine:
            if not mine:
                return None
            principal = matter.text("principal")
            fields = {
                "principal": reviewer.id,
                "roles": list(reviewer.roles),
                "on_behalf_of": principal,
                "purpose": matter.text("purpose"),
                "ref": matter.text("ref"),
                "records": matter.body.get("records", []),
                "verdict": verdict,
                "note": note,
                "late": self._docket.clock() >= matter.until,
            }
            return await self._docket.move(
                matter, "reviewed", fields, counts=[reviewed_key(principal), review_key(name)]
            )

    async def owes(self, principal: str) -> bool:
        """Whether the next use needs an approval first: one is overdue, or too many are unreviewed."""
        now = self._docket.clock()
        if any(now >= one.until for one in await self._docket.found("owed", principal)):
            return True
        return await self._unreviewed(principal) >= self._terms.glass_unreviewed

    async def _unreviewed(self, principal: str) -> int:
        """How many uses nobody has reviewed, as the ledger counts them."""
        broken = await self._docket.counted(broken_key(principal))
        return broken - await self._docket.counted(reviewed_key(principal))


def _turn(principal: str) -> asyncio.Lock:
    """One person's notices one after another: views of one record at the same moment are one use, and told of once."""
    return _TURNS.setdefault((id(asyncio.get_running_loop()), principal), asyncio.Lock())


def is_late(matter: Matter, now: datetime) -> bool:
    """Whether a review or an answer is overdue."""
    return matter.state is State.WAITING and now >= matter.until
