"""People and records of a scenario, as the file describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from purposegate.model import Name

FIRST = (
    "Alda",
    "Bevan",
    "Corin",
    "Delyth",
    "Edda",
    "Fintan",
    "Gwenda",
    "Hollis",
    "Isolde",
    "Jorin",
    "Keziah",
    "Lowen",
)
LAST = (
    "Ashgrove",
    "Birkwell",
    "Cawdrey",
    "Dunmarsh",
    "Elstow",
    "Farrow",
    "Gaskarth",
    "Hexley",
    "Inkpen",
    "Jessop",
)
ENDS = ("", "ton", "by", "ham", "croft", "wick", "ley", "stead", "worth", "combe", "thorpe", "field")


class Home(NamedTuple):
    """An address as written, and the days between which somebody lived there; empty means always."""

    number: str = ""
    street: str = ""
    unit: str = ""
    locality: str = ""
    postcode: str = ""
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with what is known of them; empty parts are unknown."""

    names: tuple[Name, ...] = ()
    born: str = ""
    homes: tuple[Home, ...] = ()
    phones: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of the records system: the people it is about, in order, and the rest of its columns.

    `about` names the person records of those among them who have one.
    """

    kind: str
    id: str
    people: tuple[Person, ...]
    about: tuple[str, ...] = ()
    text: Mapping[str, str] = field(default_factory=dict)


def name_of(written: str) -> Name:
    """`Given Surname`: the last word is the surname."""
    given, _, surname = written.strip().rpartition(" ")
    return Name(given, surname)


def invented(number: int) -> Name:
    """A name for somebody whom the file leaves nameless. No two of the first 1,440 are alike."""
    surname = LAST[number % len(LAST)] + ENDS[(number // len(LAST)) % len(ENDS)]
    return Name(FIRST[(number // (len(LAST) * len(ENDS)) + number) % len(FIRST)], surname)


class Inventor:
    """Gives a new name each time it is asked."""

    def __init__(self) -> None:
        self._numbers = count()

    def name(self) -> Name:
        """The next name."""
        return invented(next(self._numbers))
