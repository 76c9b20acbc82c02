"""Households and neighbours, from two addresses. Computed when needed, never stored.

Five rules, each of which can only add: the same home (as written, or by its UPRN), the same house, the same street within some
house numbers, within some metres, the same postcode unit. What is not known of an address speaks neither way.
"""

import re
from collections.abc import Iterator
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

from rapidfuzz.distance import OSA

from purposegate.conflicts.addresses import Place, Point
from purposegate.conflicts.relations import HOUSEHOLD, NEIGHBOUR, NearBy
from purposegate.model import Tier

LONGEST_SLIP = 7
"""One wrong letter in a street name shorter than this makes another street (`oak street`, `ash street` keep their types)."""

EARTH_M = 6_371_008.8
"""The Earth's mean radius, metres (IUGG). On it distances below a kilometre are right to half of one per cent."""
METRES_A_DEGREE = EARTH_M * radians(1)

_UNIT_POSTCODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}")
"""A full United Kingdom postcode, folded: other countries' postcodes cover a town."""


class Nearness(NamedTuple):
    """How near two addresses are: the relation, how sure, which rule says so, and how far apart in that rule's own measure."""

    relation: str
    tier: Tier
    by: str
    apart: float


def nearness(one: Place, other: Place, rules: NearBy) -> tuple[Nearness, ...]:
    """What the two addresses are to each other: household, neighbour, both where the flat is not known, or nothing. Symmetric."""
    written = _as_written(one, other, rules)
    if any(near.tier is Tier.CONFIRMED for near in written):
        # Neighbours by number need no second proof, and who lives in a home is near it.
        return (*_by_home(one, other), *written)
    return (*_by_home(one, other), *written, *_by_place(one, other, rules))


def metres(one: Point, other: Point) -> float:
    """How far two points are apart on a sphere, by the haversine formula."""
    middle = radians(one.latitude), radians(other.latitude)
    rise, run = middle[1] - middle[0], radians(other.longitude - one.longitude)
    half = sin(rise / 2) ** 2 + cos(middle[0]) * cos(middle[1]) * sin(run / 2) ** 2
    return 2 * EARTH_M * asin(min(1.0, sqrt(half)))


def _by_home(one: Place, other: Place) -> Iterator[Nearness]:
    if one.uprn and one.uprn == other.uprn:
        # A building has a UPRN of its own beside those of its flats.
        sure = Tier.CONFIRMED if one.unit == other.unit or not (one.unit and other.unit) else Tier.CANDIDATE
        yield Nearness(HOUSEHOLD, sure, "same-uprn", 0.0)


def _by_place(one: Place, other: Place, rules: NearBy) -> Iterator[Nearness]:
    furthest = max(rules.metres_within, rules.metres_perhaps)
    if one.point and other.point and _may_be_within(furthest, one.point, other.point):
        apart = metres(one.point, other.point)
        if apart <= furthest:
            tier = Tier.CONFIRMED if apart <= rules.metres_within else Tier.CANDIDATE
            yield Nearness(NEIGHBOUR, tier, "metres-apart", apart)
    if (
        rules.postcode_units
        and one.postcode
        and one.postcode == other.postcode
        and _UNIT_POSTCODE.fullmatch(one.postcode)
    ):
        yield Nearness(NEIGHBOUR, Tier.CANDIDATE, "same-postcode-unit", 0.0)


def _may_be_within(furthest: float, one: Point, other: Point) -> bool:
    """Whether the latitudes allow it: most pairs are far apart, which this shows without an angle function."""
    return furthest > 0 and abs(one.latitude - other.latitude) * METRES_A_DEGREE <= furthest + 1


def _as_written(one: Place, other: Place, rules: NearBy) -> tuple[Nearness, ...]:
    area, street = _same_area(one, other), _same_street(one, other)
    if area is None or street is None or one.number is None or other.number is None:
        return ()
    tier = _surer(area, street)
    if one.number == other.number:
        if one.unit == other.unit:
            return (Nearness(HOUSEHOLD, tier, "numbers-apart", 0.0),)
        if one.unit and other.unit:
            return (Nearness(NEIGHBOUR, tier, "numbers-apart", 0.0),)
        return (
            Nearness(HOUSEHOLD, Tier.CANDIDATE, "numbers-apart", 0.0),
            Nearness(NEIGHBOUR, tier, "numbers-apart", 0.0),
        )
    apart = one.number.apart(other.number)
    if apart is None or apart > rules.numbers_within:
        return ()
    return (Nearness(NEIGHBOUR, tier, "numbers-apart", float(apart)),)


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
