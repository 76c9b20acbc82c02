"""What a person decided of a candidate: that the record is about the entry's person, or that it is about somebody else.

A decision keeps what was known when it was made. A rejection covers the record for as long as neither record nor entry says
anything more than it did then, whichever part of it a page shows; anything new, and the candidate is asked about again. A
confirmation stands likewise; after anything new it is a candidate once more, never nothing: whoever can edit a record may not
shed a tie with it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from purposegate.conflicts.people import Person, person
from purposegate.model import Conflict, Identity, RecordRef, Tier

HOME = ":home"
"""How the name of a tie's source ends where it is not a person but where they live."""


class Verdict(StrEnum):
    """What was decided."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision. `entry` is the tie's own name for its source (`register:r7`, `directory:E1`); `relation` what the tie was.

    `of_entry` and `of_record` are what was known of the entry's person and of the record's people then. `receipt` is the
    decision's entry in the ledger.
    """

    verdict: Verdict
    principal: str
    entry: str
    relation: str
    record: RecordRef
    of_entry: frozenset[str]
    of_record: frozenset[str]
    by: str
    at: datetime
    receipt: str

    def covers(self, of_entry: frozenset[str], of_record: frozenset[str]) -> bool:
        """Whether nothing is known now that was not known then."""
        return of_entry <= self.of_entry and of_record <= self.of_record


def known(people: Iterable[Person]) -> frozenset[str]:
    """Everything that is known of these people, fact by fact, so that less of it is a subset."""
    return frozenset(fact for one in people for fact in _facts(one))


def known_of(identity: Identity | None) -> frozenset[str]:
    """The same of one person as written."""
    return known([person(identity)]) if identity else frozenset()


def _facts(one: Person) -> Iterator[str]:
    for name in one.names:
        yield "name " + "|".join(part.text if part else "" for part in name)
    for birth in one.births:
        yield from ("born " + "-".join(birth[:precision]) for precision in (1, 2, 3) if birth[precision - 1])
    for place in one.places:
        yield from (f"{field} {value}" for field, value in zip(place._fields, place, strict=True) if value)
    yield from (f"phone {number}" for number in one.phones)
    yield from (f"plate {plate}" for plate in one.plates)


def settled(
    tie: Conflict, decisions: Sequence[Decision], of_entry: frozenset[str], of_record: frozenset[str]
) -> Tier | None:
    """The tier of a tie after what people decided of it; None where it was rejected. Only a candidate can be.

    A home may make its people a household and neighbours at once: then one that is confirmed says nothing of the other.
    """
    for decision in decisions:
        if decision.entry == tie.entry and decision.covers(of_entry, of_record):
            is_meant = decision.relation == tie.relation or not tie.entry.endswith(HOME)
            if decision.verdict is Verdict.CONFIRMED and is_meant:
                return Tier.CONFIRMED
            if decision.verdict is Verdict.REJECTED and tie.tier is Tier.CANDIDATE:
                return None
    return tie.tier
