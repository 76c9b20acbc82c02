"""Households and neighbours, from two addresses as written. Computed when needed, never stored.

No coordinates yet: a house behind, on another street, is not seen.
"""

from typing import NamedTuple

from rapidfuzz.distance import OSA

from purposegate.conflicts.addresses import Place
from purposegate.conflicts.relations import HOUSEHOLD, NEIGHBOUR
from purposegate.model import Tier

LONGEST_SLIP = 7
"""One wrong letter in a street name shorter than this makes another street (`oak street`, `ash street` keep their types)."""


class Nearness(NamedTuple):
    """How near two addresses are: the relation, how sure, and how many house numbers lie between."""

    relation: str
    tier: Tier
    apart: int


def _same_street(one: Place, other: Place) -> Tier | None:
    if not (one.street and other.street):
        return Tier.CANDIDATE
    if one.street == other.street:
        return Tier.CONFIRMED
    long_enough = min(len(one.street), len(other.street)) > LONGEST_SLIP
    return (
        Tier.CANDIDATE
        if long_enough and OSA.distance(one.street, other.street, score_cutoff=1) == 1
        else None
    )


def _same_area(one: Place, other: Place) -> Tier | None:
    if one.postcode and other.postcode:
        return Tier.CONFIRMED if one.postcode == other.postcode else None
    # Without postcodes a street name is only as good as the place it lies in.
    alike = one.street and one.street == other.street and one.locality and one.locality == other.locality
    return Tier.CANDIDATE if alike else None


def _surer(*tiers: Tier) -> Tier:
    return Tier.CANDIDATE if Tier.CANDIDATE in tiers else Tier.CONFIRMED


def nearness(one: Place, other: Place, *, numbers_within: int) -> tuple[Nearness, ...]:
    """What the two addresses are to each other: household, neighbour, both where the flat is not known, or nothing."""
    area, street = _same_area(one, other), _same_street(one, other)
    if area is None or street is None or one.number is None or other.number is None:
        return ()
    tier = _surer(area, street)
    if one.number == other.number:
        if one.unit == other.unit:
            return (Nearness(HOUSEHOLD, tier, 0),)
        if one.unit and other.unit:
            return (Nearness(NEIGHBOUR, tier, 0),)
        return (Nearness(HOUSEHOLD, Tier.CANDIDATE, 0), Nearness(NEIGHBOUR, tier, 0))
    apart = one.number.apart(other.number)
    if apart is None or apart > numbers_within:
        return ()
    return (Nearness(NEIGHBOUR, tier, apart),)
