"""Addresses folded into parts that can be compared: number, street, unit, locality, postcode, and where they lie.

Small on purpose: no gazetteer, so only what is written is compared. Handles what records systems really hold: the number
at the head of the street line, `Flat 2`, `2/14`, ranges (`12-14`), letters (`12a`), street types long or short.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from purposegate.conflicts.names import SPELLINGS_KEPT, fold
from purposegate.model import Address

# Only what English-language addresses abbreviate in writing. "st" opening a street is a saint, closing one a street.
_TYPES = {
    "st": "street", "str": "street", "rd": "road", "ave": "avenue", "av": "avenue", "cres": "crescent",
    "cr": "crescent", "ct": "court", "crt": "court", "pl": "place", "dr": "drive", "drv": "drive", "ln": "lane",
    "cl": "close", "gdns": "gardens", "gdn": "gardens", "grn": "green", "gr": "grove", "gro": "grove",
    "sq": "square", "ter": "terrace", "terr": "terrace", "tce": "terrace", "pde": "parade", "hwy": "highway",
    "cct": "circuit", "bvd": "boulevard", "blvd": "boulevard", "wy": "way", "wlk": "walk", "pk": "park",
    "cottgs": "cottages", "hse": "house", "mt": "mount", "esp": "esplanade",
}  # fmt: skip
_UNIT = r"(?:flat|unit|apartment|apt|room|studio|suite|no)"
_LEADING_UNIT = re.compile(rf"^\s*{_UNIT}\.?\s+(?P<unit>[0-9]+[a-z]?|[a-z])\b[\s,]*", re.IGNORECASE)
_FLAT = re.compile(rf"\b(?:{_UNIT}|floor|maisonette)\b", re.IGNORECASE)
_STREET_OF_FLATS = re.compile(r"^\d+\S*\s+\D", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"\d{1,6}\s?[a-z]?(?:\s?[-/]\s?\d{1,6}[a-z]?)?", re.IGNORECASE)
_UNIT_POSTCODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\s*\d[a-z]{2}", re.IGNORECASE)
_SLASHED = re.compile(r"^\s*(?P<unit>\d{1,4}[a-z]?)\s*/\s*(?P<rest>\d.*)$", re.IGNORECASE)
_LEADING_NUMBER = re.compile(
    r"^\s*(?P<number>\d{1,5}\s?[a-z]?(?:\s*-\s*\d{1,5}[a-z]?)?)(?:\s*,\s*|\s+)(?=\D)", re.IGNORECASE
)
_DEGREES = re.compile(r"[+-]?\d{1,3}(?:\.\d{1,15})?", re.ASCII)
_UPRN = re.compile(r"\d{1,12}", re.ASCII)
_NUMBER = re.compile(r"(\d{1,6})\s*([a-z]?)(?:\s*-\s*(\d{1,6})\s*[a-z]?)?", re.IGNORECASE)


class Number(NamedTuple):
    """A house number: `low` to `high` for a range, else equal; `letter` as in 12a; `name` where a house has a name."""

    low: int
    high: int
    letter: str = ""
    name: str = ""

    def apart(self, other: "Number") -> int | None:
        """How many numbers lie between the two, 0 where they meet; None where either has only a name."""
        if self.name or other.name:
            return None
        return max(0, self.low - other.high, other.low - self.high)


class Point(NamedTuple):
    """Where something lies: WGS 84, decimal degrees."""

    latitude: float
    longitude: float


class Place(NamedTuple):
    """An address, folded; empty or None where a part is not known."""

    number: Number | None
    street: str
    unit: str
    locality: str
    postcode: str
    uprn: str = ""
    point: Point | None = None


def point(latitude: str, longitude: str) -> Point | None:
    """The point that two texts name, or None; also for 0, 0, which is in the sea and what systems write for "not known"."""
    if not (_DEGREES.fullmatch(latitude.strip()) and _DEGREES.fullmatch(longitude.strip())):
        return None
    found = Point(float(latitude), float(longitude))
    if abs(found.latitude) > 90 or abs(found.longitude) > 180:  # noqa: PLR2004  a quarter and half of a circle
        return None
    return found if any(found) else None


def folded_uprn(text: str) -> str:
    """The United Kingdom's number of one home or building, without leading zeros; empty where the text is none."""
    return text.strip().lstrip("0") if _UPRN.fullmatch(text.strip()) else ""


@lru_cache(SPELLINGS_KEPT)
def _number(text: str) -> Number | None:
    whole = _NUMBER.fullmatch(text.strip())
    if whole:
        low, letter, high = whole.groups()
        ends = sorted((int(low), int(high or low)))
        return Number(ends[0], ends[1], letter.lower())
    name = fold(text)
    return Number(0, 0, name=name.replace(" ", "")) if name else None


@lru_cache(SPELLINGS_KEPT)
def _street(text: str) -> str:
    words = fold(text).split()
    spelt = [_TYPES.get(one, one) if place else one for place, one in enumerate(words)]
    return "".join(spelt)


def _without_unit(text: str) -> tuple[str, str]:
    """The flat that a line begins with, or nothing, and the rest of the line."""
    found = _LEADING_UNIT.match(text)
    if found:
        return found["unit"], text[found.end() :]
    found = _SLASHED.match(text)
    return (found["unit"], found["rest"]) if found else ("", text)


def _unit(text: str) -> str:
    flat = _LEADING_UNIT.match(text)
    return fold(flat["unit"] if flat else text).replace(" ", "").lstrip("0")


def _spread(address: Address) -> Address:
    """An address of which one line holds several parts, in its parts: `Flat 2, Maple Court, 12, Fir Lane, Ashby, AB1 2CD`.

    The name of a house that has a number is left out, as nobody writes it always; parts that are given stay as they are.
    """
    segments = [one.strip() for one in address.street.split(",") if one.strip()]
    postcode = address.postcode
    if not postcode and len(segments) > 1 and _UNIT_POSTCODE.fullmatch(segments[-1]):
        postcode = segments.pop()
    units = [one for one in segments[:-1] if _FLAT.search(one) and not _STREET_OF_FLATS.search(one)]
    rest = [one for one in segments if one not in units]
    number, street = address.number, rest[:1]
    after = rest[1:]
    door = next((place for place, one in enumerate(rest) if one[0].isdigit()), None)
    if not number and door is not None:
        bare = _BARE_NUMBER.fullmatch(rest[door]) and door + 1 < len(rest)
        number, street = (rest[door], rest[door + 1 : door + 2]) if bare else ("", rest[door : door + 1])
        after = rest[door + (2 if bare else 1) :]
    elif not number and len(rest) > 2:  # noqa: PLR2004  a named house, its street and its town
        number, street, after = rest[0], rest[1:2], rest[2:]
    return address._replace(
        number=number,
        street="".join(street),
        unit=address.unit or "".join(units[:1]),
        locality=address.locality or "".join(after[-1:]),
        postcode=postcode,
    )


def place(address: Address) -> Place | None:
    """One address, or None when nothing comparable is left of it."""
    if "," in address.street:
        address = _spread(address)
    number, street, unit = address.number.strip(), address.street.strip(), address.unit.strip()
    # A bare number, which most are, holds no flat.
    if not unit and number and not number.isdigit():
        unit, number = _without_unit(number)
    if not unit and street:
        unit, street = _without_unit(street)
    if not number and (found := _LEADING_NUMBER.match(street)):
        number, street = found["number"], street[found.end() :]
    made = Place(
        number=_number(number) if number else None,
        street=_street(street),
        unit=_unit(unit) if unit else "",
        locality=fold(address.locality).replace(" ", ""),
        postcode=fold(address.postcode).replace(" ", ""),
        uprn=folded_uprn(address.uprn),
        point=point(address.latitude, address.longitude) if address.latitude else None,
    )
    return made if any(made) else None


def places(addresses: Iterable[Address]) -> tuple[Place, ...]:
    """Every address that has a comparable part, each once."""
    return tuple(dict.fromkeys(one for one in map(place, addresses) if one))
