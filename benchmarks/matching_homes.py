"""What is lost of households and neighbours when addresses are written down as people write them.

iceaddr's real addresses give the truth about metres; address-errors' own invented town, with its flats and postcode units, gives
addresses of which it says what was done to each.
"""

import random
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from math import cos, radians, sin
from pathlib import Path
from typing import Any

from purposegate.conflicts.addresses import Place, place
from purposegate.conflicts.neighbours import EARTH_M, nearness
from purposegate.conflicts.relations import HOUSEHOLD, NEIGHBOUR, NearBy
from purposegate.model import Address

PLACES = Path(__file__).parents[1] / ".cache/peers/places"
sys.path.append(str(PLACES))  # installed beside the virtual environment, which it stays out of

RADII = (25, 50, 100, 200)
HOMES = 10
TIMES = 20
TEXT = NearBy(numbers_within=2)
UNITS = NearBy(numbers_within=2, postcode_units=True)


def by_metres(seed: int = 4) -> Iterator[tuple[str, float]]:
    """For each radius: neighbours on which the gate and a straight line in space disagree, over the whole country; want 0."""
    country = list(_country())
    for metres in RADII:
        rules = NearBy(numbers_within=0, metres_within=metres)
        wrong = found = 0
        for home, (x, y, z) in random.Random(seed + metres).sample(country, HOMES):
            for other, (a, b, c) in country:
                within = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 <= metres**2
                near = bool(nearness(home, other, rules))
                found += within
                # An equal address is near by its text, wherever its point lies: that is no disagreement about metres.
                wrong += within is not near and not nearness(home, other._replace(point=None), rules)
        yield f"neighbours.iceaddr.disagreements.m{metres}", wrong
        yield f"neighbours.iceaddr.each.m{metres}", found / HOMES - 1


def _country() -> Iterator[tuple[Place, tuple[float, float, float]]]:
    with sqlite3.connect(f"file:{PLACES}/iceaddr/iceaddr.db?mode=ro", uri=True) as database:
        rows = database.execute(
            "select husnr || bokst, heiti_nf, postnr, lat_wgs84, long_wgs84 from stadfong"
        )
        for number, street, postcode, latitude, longitude in rows:
            lies = f"{latitude:.8f}", f"{longitude:.8f}"
            address = Address(str(number or ""), street or "", "", "", str(postcode or ""), *lies)
            made = place(address)
            if made:
                north, east = radians(latitude), radians(longitude)
                flat = EARTH_M * cos(north)
                yield made, (flat * cos(east), flat * sin(east), EARTH_M * sin(north))


def after_errors() -> Iterator[tuple[str, float]]:
    """Of households and neighbours that clean addresses show, the share still found when one of the two was written down anew."""
    corruption: Any = __import__("address_errors")
    town = corruption.load_components(corruption.example_path())
    clean = {row["uprn"]: _as_listed(row) for row in town}
    homes = {uprn: made for uprn, address in clean.items() if (made := place(address))}
    for name, controls in (
        ("", corruption.Controls(commas=True)),
        ("_twice", corruption.Controls(commas=True, prevalence=2.0)),
    ):
        kept: dict[str, list[int]] = {HOUSEHOLD: [0, 0], NEIGHBOUR: [0, 0]}
        invented = [0, 0]
        for seed in range(TIMES):
            writer = corruption.Corruptor(corruption.Profile.load(), seed=seed, controls=controls)
            writer.index(town)
            for row in writer.generate(list(homes)):
                written = place(
                    Address(street=row["recorded_address"], postcode=row["recorded_postcode"] or "")
                )
                if written:
                    _compare(homes, row["source_uprn"], written, kept, invented)
        for relation, (found, wanted) in kept.items():
            yield f"neighbours.{relation}.recall_written{name}", found / max(1, wanted)
        yield f"neighbours.false_household_each_written{name}", invented[0] / max(1, invented[1])


def _compare(
    homes: Mapping[str, Place],
    source: str,
    written: Place,
    kept: Mapping[str, list[int]],
    invented: list[int],
) -> None:
    invented[1] += 1
    for home in homes.values():
        truly = {near.relation for near in nearness(homes[source], home, TEXT)}
        now = {near.relation for near in nearness(written, home, TEXT)}
        for relation in truly:
            # One who was household and is now next door, or the other way, is still tied.
            kept[relation][0] += bool(now)
            kept[relation][1] += 1
        invented[0] += HOUSEHOLD in now and not truly


def _as_listed(row: Mapping[str, str]) -> Address:
    number = row["number"] or row["name"]
    return Address(number, row["streetname"], row["subname"], row["townname"], row["postcode"])
