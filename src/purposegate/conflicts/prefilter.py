"""Which of many persons are worth comparing with one: those that share a key. Cheap, in front of the scorer.

Two widths. For the few entries of one member of staff, any agreement will do (99.95 % of febrl3's true pairs pass, and 1.6 %
of strangers). For a whole directory one common surname would pass hundreds, so two agreements must meet in one key.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from purposegate.conflicts.people import Key, Person, keys

_NAMED = frozenset({"text", "sound"})
_BIRTH = frozenset({"day", "year-month", "year-day"})
_ALONE = frozenset({"phone", "plate"})


def wide_keys(someone: Person) -> frozenset[Key]:
    """Every single thing that two descriptions of this person may have in common."""
    return keys(someone)


def narrow_keys(someone: Person) -> frozenset[Key]:
    """Pairs of things that two descriptions of this person may have in common."""
    return frozenset(_narrow(someone))


def _narrow(someone: Person) -> Iterator[Key]:
    single = keys(someone)
    named = [key.value for key in single if key.what in _NAMED]
    births = [key.value for key in single if key.what in _BIRTH]
    homes = [key.value for key in single if key.what in {"door", "postcode"}]
    for name, other in product(named, named):
        if str(name) < str(other):
            yield Key("two-names", (str(name), str(other)))
    for name, birth in product(named, births):
        yield Key("name-birth", (str(name), str(birth)))
    for name, home in product(named, homes):
        yield Key("name-home", (str(name), str(home)))
    for birth, home in product(births, homes):
        yield Key("birth-home", (str(birth), str(home)))
    for birth in someone.births:
        if birth.day:
            yield Key("birth", "".join(birth))
    yield from (key for key in single if key.what in _ALONE)


class Pool:
    """Persons, found again by what they share with another. Built once, then only read."""

    def __init__(self, persons: Iterable[Person], keyed: Callable[[Person], frozenset[Key]]) -> None:
        self.persons: Sequence[Person] = tuple(persons)
        self._keyed = keyed
        self._places: dict[Key, list[int]] = {}
        for place, someone in enumerate(self.persons):
            for key in keyed(someone):
                self._places.setdefault(key, []).append(place)

    def near(self, someone: Person) -> list[int]:
        """Places of the persons worth comparing with this one, in order."""
        found: set[int] = set()
        for key in self._keyed(someone):
            found.update(self._places.get(key, ()))
        return sorted(found)
