"""Who may decide about somebody else's lookup: known here now, in a role the catalogue names, and with no part in it.

No part: neither the principal, originator nor recipient, and no tie to the record's people that conflicts.yaml lets refuse.
The same check as for a principal, through the same facts. What it finds is never told: to somebody with a part in it, the
matter is not there.
"""

from dataclasses import dataclass

from purposegate.approving import barring, spelt
from purposegate.model import Conflict, Principal, RecordRef, Row
from purposegate.protocols import Catalogue, Facts
from purposegate.review.matters import Matter


@dataclass(frozen=True, slots=True)
class Bench:
    """What reviewers are known by: the facts and the catalogue of one snapshot."""

    facts: Facts
    catalogue: Catalogue

    async def spelt(self, staff_id: str) -> str:
        """One spelling for one person: the directory's, or, for somebody outside it, the text folded."""
        return await spelt(self.facts, staff_id)

    async def may_decide(self, reviewer: Principal, matter: Matter) -> bool:
        """Whether this reviewer may decide this matter. Raises `Outage`."""
        return (
            self.holds_role(reviewer, matter)
            and bool(await self.facts.known_as(reviewer.id))
            and not await self.takes_part(reviewer.id, matter)
            and not await self.ties(reviewer.id, matter)
        )

    def holds_role(self, reviewer: Principal, matter: Matter) -> bool:
        """Whether a role of theirs approves under the matter's purpose. Under one no longer in the catalogue nobody does."""
        purpose = self.catalogue.named(matter.text("purpose"))
        return purpose is not None and not purpose.approvers.isdisjoint(reviewer.roles)

    async def takes_part(self, reviewer: str, matter: Matter) -> bool:
        """Whether they are one of the people in the matter."""
        named = [matter.text(name) for name in ("principal", "originator", "recipient")]
        others = {await self.spelt(name) for name in named if name}
        return await self.spelt(reviewer) in others

    async def ties(self, reviewer: str, matter: Matter) -> tuple[Conflict, ...]:
        """The ties that bar them, as far as the record's name alone tells. Raises `FactsOutage`."""
        kind, name = matter.record
        if not name:
            return ()
        row = Row(record=RecordRef(kind, name), subjects=(), fields=frozenset(), place=0)
        return await barring(self.facts, reviewer, [row], at=matter.at)
