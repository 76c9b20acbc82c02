"""Who lives near whom, over a whole country's real addresses: the gate's own rule beside a sum of squares in space.

iceaddr's 139,409 address points of Iceland (Registers Iceland and the Land Survey, CC BY 4.0).
"""

import random
import sqlite3
from math import cos, radians, sin
from pathlib import Path
from typing import NamedTuple

import pytest

from purposegate.conflicts.addresses import Place, place
from purposegate.conflicts.neighbours import EARTH_M, nearness
from purposegate.conflicts.relations import NearBy
from purposegate.model import Address

DATABASE = Path(__file__).parents[2] / ".cache/peers/places/iceaddr/iceaddr.db"
HOMES = 5
RADII = (25, 50, 100, 200)


class Listed(NamedTuple):
    """One address of the register, as the gate compares it and as a point in space, metres."""

    place: Place
    at: tuple[float, float, float]


@pytest.fixture(scope="module")
def country() -> list[Listed]:
    with sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True) as database:
        rows = database.execute(
            "select husnr || bokst, heiti_nf, postnr, lat_wgs84, long_wgs84 from stadfong order by hnitnum"
        ).fetchall()
    found = []
    for number, street, postcode, latitude, longitude in rows:
        texts = (str(number or ""), street or "", str(postcode or ""), f"{latitude:.8f}", f"{longitude:.8f}")
        made = place(Address(*texts[:2], postcode=texts[2], latitude=texts[3], longitude=texts[4]))
        if made is None:
            raise AssertionError
        north, east = radians(float(texts[3])), radians(float(texts[4]))
        flat = EARTH_M * cos(north)
        found.append(Listed(made, (flat * cos(east), flat * sin(east), EARTH_M * sin(north))))
    return found


def test_the_whole_register_is_there(country: list[Listed]) -> None:
    """Every address point, each with a place on Earth."""
    assert 139_409 == len(country)
    assert all(one.place.point for one in country)


@pytest.mark.parametrize("metres", RADII)
def test_nearness_is_what_brute_force_finds(country: list[Listed], metres: int) -> None:
    """Each sampled home against every address of the country: the same neighbours, none more and none fewer."""
    rules, neighbours = NearBy(numbers_within=0, metres_within=metres), 0
    for home in random.Random(metres).sample(country, HOMES):
        x, y, z = home.at
        # Below 200 m the straight line through the Earth and the way along it differ by less than a hair's breadth.
        within = {
            index
            for index, other in enumerate(country)
            if (x - other.at[0]) ** 2 + (y - other.at[1]) ** 2 + (z - other.at[2]) ** 2 <= metres**2
        }
        found = {
            index
            for index, other in enumerate(country)
            if any(near.by == "metres-apart" for near in nearness(home.place, other.place, rules))
        }

        assert set() == {
            index for index in within ^ found if not _same_door(home.place, country[index].place)
        }
        neighbours += len(found)

    assert neighbours  # a farm may have none; five homes have some


def _same_door(one: Place, other: Place) -> bool:
    """Whether the text alone says so: such pairs are neighbours already, so that metres are not asked."""
    return bool(nearness(one, other._replace(point=None), NearBy(numbers_within=0)))
