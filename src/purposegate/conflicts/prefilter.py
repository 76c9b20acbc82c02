"""Which of many persons are worth comparing with one: those that share a key. Cheap, in front of the scorer.

Two widths. For the few entries of one member of staff, any one agreement will do (99.95 % of febrl3's true pairs pass, and
1.6 % of strangers). For a whole directory one common surname would pass hundreds, so two agreements must meet in one key.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from purposegate.conflicts.addresses import Place
from purposegate.conflicts.dates import BIRTHS_KEPT, Birth
from purposegate.conflicts.names import SPELLINGS_KEPT, FoldedName, Word
from purposegate.conflicts.people import Person

Key = tuple[object, ...]
"""What kind of thing is shared, and its value. Plain tuples: a lookup makes some twenty of them for every row."""


@lru_cache(SPELLINGS_KEPT)
def _word_keys(part: Word) -> tuple[Key, ...]:
    # One label for both parts of a name: what was written into the other column must still meet its like.
    several = (("text", one) for one in part.words) if len(part.words) > 1 else ()
    return ("sound", part.sound or part.text), ("text", part.text), *several


@lru_cache(BIRTHS_KEPT)
def _birth_keys(birth: Birth) -> tuple[Key, ...]:
    year, month, day = birth
    if day:
        # Any two parts right is enough to look closer; day and month stand sorted, so that a swap meets its like.
        sorted_day = ("day", month, day) if month < day else ("day", day, month)
        return sorted_day, ("year", year, month), ("year", year, day)
    return (("year", year, month),) if month else ()


def _place_keys(one: Place) -> list[Key]:
    found: list[Key] = [("postcode", one.postcode)] if one.postcode else []
    if one.number and one.street:
        found.append(("door", one.number.low, one.street[:5]))
    return found


def _handles(someone: Person) -> Iterator[Key]:
    yield from (("phone", number) for number in someone.phones)
    yield from (("plate", plate) for plate in someone.plates)


def wide_keys(someone: Person) -> frozenset[Key]:
    """Every single thing that two descriptions of this person may have in common."""
    # Written out: every row of every list passes here.
    found: list[Key] = []
    for given, surname in someone.names:
        if given:
            found += _word_keys(given)
        if surname:
            found += _word_keys(surname)
    for birth in someone.births:
        found += _birth_keys(birth)
    for one in someone.places:
        found += _place_keys(one)
    if someone.phones or someone.plates:
        found += _handles(someone)
    return frozenset(found)


def _sounds(name: FoldedName) -> list[str]:
    return sorted([part.sound or part.text for part in name if part])


def _pair(name: FoldedName) -> Iterator[Key]:
    sounds = _sounds(name)
    if len(sounds) > 1:
        yield "name", *sounds


def _door(one: Place) -> Iterator[Key]:
    if one.number and one.postcode:
        yield "door-postcode", one.number.low, one.postcode
    if one.number and one.street and one.locality:
        yield "door-locality", one.number.low, one.street[:5], one.locality[:5]


class Narrow(NamedTuple):
    """What two descriptions of this person may have in common two at a time, and what is rare alone."""

    alone: frozenset[Key]
    births: tuple[Key, ...]
    homes: tuple[Key, ...]
    hints: frozenset[str]
    """How each part of a name sounds, and how it begins: with a birth or a home, enough to look closer."""


def narrow_keys(someone: Person) -> Narrow:
    """The person's pairs, not yet put together: a search puts together only those that may meet."""
    parts = [part for name in someone.names for part in name if part]
    return Narrow(
        alone=frozenset(
            [
                *(key for name in someone.names for key in _pair(name)),
                *(("birth", *birth) for birth in someone.births if birth.day),
                *(key for one in someone.places for key in _door(one)),
                *_handles(someone),
            ]
        ),
        births=tuple(key for birth in someone.births for key in _birth_keys(birth)),
        homes=tuple(key for one in someone.places for key in _place_keys(one)),
        hints=frozenset([*(part.sound for part in parts), *(part.text[:3] for part in parts)]),
    )


class Pool:
    """Persons, found again by what they share with another. Built once, then only read."""

    def __init__(self, persons: Iterable[Person], keyed: Callable[[Person], frozenset[Key]]) -> None:
        self.persons: Sequence[Person] = tuple(persons)
        self._places: dict[Key, list[int]] = {}
        for place, someone in enumerate(self.persons):
            for key in keyed(someone):
                self._places.setdefault(key, []).append(place)
        self._keys = frozenset(self._places)

    def near(self, shared: frozenset[Key]) -> Sequence[int]:
        """Places of the persons who share one of these keys, in order."""
        if self._keys.isdisjoint(shared):
            return []
        found: set[int] = set()
        for key in shared & self._keys:
            found.update(self._places[key])
        return sorted(found)


class PairPool:
    """Persons, found again by what they share two at a time with another. Built once, then only read."""

    def __init__(self, persons: Iterable[Person]) -> None:
        self.persons: Sequence[Person] = tuple(persons)
        self._alone: dict[Key, list[int]] = {}
        self._pairs: dict[Key, dict[Key | str, list[int]]] = {}
        for place, someone in enumerate(self.persons):
            narrow = narrow_keys(someone)
            for key in narrow.alone:
                self._alone.setdefault(key, []).append(place)
            for first, seconds in _pairs(narrow):
                under = self._pairs.setdefault(first, {})
                for second in seconds:
                    under.setdefault(second, []).append(place)
        self._sounds = {word for one in self.persons for name in one.names for word in _sounds(name)}

    def may_be_near(self, someone: Person, wide: frozenset[Key]) -> bool:
        """Whether it is worth making this person's pairs: False only where none of them could be met here.

        A pair holds a birth or a home, which stand among the wide keys too, or two names, or is a telephone or a plate.
        """
        return (
            not wide.isdisjoint(self._pairs.keys())
            or bool(someone.phones or someone.plates)
            or any(
                name.given and name.surname and self._sounds.issuperset(_sounds(name))
                for name in someone.names
            )
        )

    def near(self, shared: Narrow) -> Sequence[int]:
        """Places of the persons who share a pair or something rare, in order."""
        found: set[int] = set()
        for key in shared.alone & self._alone.keys():
            found.update(self._alone[key])
        for first, seconds in _pairs(shared):
            under = self._pairs.get(first)
            if under:
                for second in seconds & under.keys():
                    found.update(under[second])
        return sorted(found)


def _pairs(narrow: Narrow) -> Iterator[tuple[Key, frozenset[Key | str]]]:
    """Each birth with name or home, each home with name."""
    with_birth = narrow.hints | frozenset(narrow.homes)
    yield from ((birth, with_birth) for birth in dict.fromkeys(narrow.births))
    yield from ((home, narrow.hints) for home in dict.fromkeys(narrow.homes))
