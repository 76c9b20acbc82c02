"""A person made ready to be compared, once, and the keys by which two persons can be worth comparing at all."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from purposegate.conflicts.addresses import Place, places
from purposegate.conflicts.dates import Birth, births
from purposegate.conflicts.names import FoldedName, folded
from purposegate.model import Identity

_NOT_DIGITS = re.compile(r"\D")
_NOT_WORD = re.compile(r"[^0-9a-z]")
SHORTEST_PHONE = 6
TELLING_DIGITS = 9
"""Numbers are compared by their last nine digits, so that `+44 7700 900123` and `07700 900123` are one."""


class Key(NamedTuple):
    """Something two persons can share: what it is, and its value."""

    what: str
    value: str | tuple[str, ...] | tuple[int, str]


@dataclass(frozen=True, slots=True)
class Person:
    """An identity, folded; what could not be read is left out and counts neither way."""

    names: tuple[FoldedName, ...]
    births: tuple[Birth, ...]
    places: tuple[Place, ...]
    phones: frozenset[str]
    plates: frozenset[str]


def _phones(numbers: Iterable[str]) -> frozenset[str]:
    digits = (_NOT_DIGITS.sub("", number) for number in numbers)
    return frozenset(number[-TELLING_DIGITS:] for number in digits if len(number) >= SHORTEST_PHONE)


def _plates(plates: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, (_NOT_WORD.sub("", plate.casefold()) for plate in plates)))


def person(identity: Identity) -> Person:
    """Make an identity ready to be compared."""
    return Person(
        names=folded(identity.names),
        births=births(identity.born),
        places=places(identity.addresses),
        phones=_phones(identity.phones),
        plates=_plates(identity.plates),
    )


def _name_keys(name: FoldedName) -> Iterator[Key]:
    # Both parts under one label: a name written into the other column must still meet its like.
    for part in name:
        if part:
            yield Key("text", part.text)
            yield Key("sound", part.sound or part.text)
            yield from (Key("text", one) for one in part.words)


def _birth_keys(birth: Birth) -> Iterator[Key]:
    year, month, day = birth
    if month and day:
        # Any two parts right is enough to look closer; day and month stand sorted, so that a swap meets its like.
        low, high = sorted((month, day))
        yield from (Key("day", (low, high)), Key("year-month", (year, month)), Key("year-day", (year, day)))
        yield Key("year-month", (year, day))
    elif month:
        yield Key("year-month", (year, month))


def _place_keys(one: Place) -> Iterator[Key]:
    if one.postcode:
        yield Key("postcode", one.postcode)
    if one.number and one.street:
        yield Key("door", (one.number.low, one.street[:5]))


def keys(someone: Person) -> frozenset[Key]:
    """What this person can share with another; two persons with no key in common are not worth a comparison."""
    return frozenset(
        [
            *(key for name in someone.names for key in _name_keys(name)),
            *(key for birth in someone.births for key in _birth_keys(birth)),
            *(key for one in someone.places for key in _place_keys(one)),
            *(Key("phone", number) for number in someone.phones),
            *(Key("plate", plate) for plate in someone.plates),
        ]
    )
