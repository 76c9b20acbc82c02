"""A person made ready to be compared, once for all comparisons."""

import re
from collections.abc import Iterable
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


class Person(NamedTuple):
    """An identity, folded; what could not be read is left out and counts neither way."""

    names: tuple[FoldedName, ...]
    births: tuple[Birth, ...]
    places: tuple[Place, ...]
    phones: frozenset[str]
    plates: frozenset[str]


NONE: frozenset[str] = frozenset()


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
        phones=_phones(identity.phones) if identity.phones else NONE,
        plates=_plates(identity.plates) if identity.plates else NONE,
    )
