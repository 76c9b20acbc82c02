"""The desk: everything that people decide about lookups, as the gate asks it (`protocols.Review`) and as its pages do."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from purposegate.approval import Binding, Taken
from purposegate.evidence import declaration_fields, principal_fields
from purposegate.model import Entry, Lookup, Receipt
from purposegate.review.approvals import Approvals
from purposegate.review.countersigns import Countersigns
from purposegate.review.docket import Docket
from purposegate.review.glass import Glass
from purposegate.review.hand_overs import HandOvers
from purposegate.review.terms import Terms


class Desk:
    """Implements `protocols.Review`. It outlives snapshots; who may decide is asked of the snapshot in use."""

    def __init__(self, docket: Docket, terms: Terms) -> None:
        self.docket = docket
        self.terms = terms
        self.approvals = Approvals(docket, terms)
        self.hand_overs = HandOvers(docket)
        self.countersigns = Countersigns(docket, terms)
        self.glass = Glass(docket, terms)

    def through(self, append: Callable[[Entry], Awaitable[Receipt]], now: datetime) -> "Desk":
        """The same desk for one visit of one of its pages, whose entries go through the page's own `append`."""
        return Desk(self.docket.through(append, lambda: now), self.terms)

    def at(self, now: datetime) -> "Desk":
        """The same desk at a moment of the gate's own clock."""
        return Desk(self.docket.at(now), self.terms)

    async def take(
        self, binding: Binding, *, lookup: Lookup, fits: Callable[[str], Awaitable[bool]]
    ) -> Taken | None:
        """See `protocols.Review`."""
        return await self.at(lookup.at).approvals.take(binding, lookup_id=lookup.id, fits=fits)

    async def confirmed(self, lookup: Lookup, originator: str) -> bool:
        """See `protocols.Review`."""
        declared = lookup.declaration
        desk = self.at(lookup.at)
        return bool(declared.ref) and await desk.countersigns.covers(
            lookup.principal.id, originator, declared.ref
        )

    async def owes(self, lookup: Lookup) -> bool:
        """See `protocols.Review`."""
        return await self.at(lookup.at).glass.owes(lookup.principal.id)

    async def broken(self, lookup: Lookup, *, approved: bool) -> None:
        """See `protocols.Review`."""
        await self.at(lookup.at).glass.notice(lookup.id, _fields(lookup), approved=approved)

    async def on_behalf(self, lookup: Lookup, originator: str) -> None:
        """See `protocols.Review`."""
        fields = {**_fields(lookup), "originator": originator}
        await self.at(lookup.at).countersigns.expect(lookup.id, lookup.at, fields)


def _fields(lookup: Lookup) -> dict[str, object]:
    records = [list(record) for record in lookup.records]
    return {
        **principal_fields(lookup.principal),
        **declaration_fields(lookup.declaration),
        "records": records,
    }
