"""Names folded to what can be compared: case, accents, punctuation and spacing carry no evidence.

A name's rarity, in bits, comes from a fixed table of shares, never from the register itself: there, importing one more
entry would make another entry's name commoner and its match weaker, and an added conflict must never release (law 5).
"""

import csv
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jellyfish
from nicknames import NickNamer

from purposegate.errors import Finding, PolicyError
from purposegate.model import Name

# Letters that Unicode does not decompose, written as English-language records systems write them.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
_GAPS = re.compile(r"[\W_]+")
_DROPPED = re.compile(r"['\u2018\u2019\u02bc`.]")

_TITLES = frozenset(
    ["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "dame", "lord", "lady", "rev", "jr", "sr"]
)


SPELLINGS_KEPT = 16_384
"""Folded spellings kept: names, streets and postcodes of a busy hour, about 3 MB. A list repeats most of them."""


# What the two patterns above do, for ASCII: most of what is ever folded, and a lookup in a table beats a search.
_ASCII = {code: " " for code in range(128) if not chr(code).isalnum()} | dict.fromkeys(map(ord, "'`."))


@lru_cache(SPELLINGS_KEPT)
def fold(text: str) -> str:
    """Casefold, strip accents and punctuation: words of letters and digits, one space between."""
    if text.isascii():
        return text.lower() if text.isalnum() else " ".join(text.lower().translate(_ASCII).split())
    return _GAPS.sub(" ", _DROPPED.sub("", _bare(text))).strip()


def _bare(text: str) -> str:
    # Folded on both sides: some letters that decompose into capitals are no capitals themselves.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN)


class Word(NamedTuple):
    """One part of a name, folded: its words joined, those words, how it sounds (metaphone, possibly empty), its first word.

    People called by a short form are so beside a middle name as well: only the first words are looked up for it.
    """

    text: str
    words: frozenset[str]
    sound: str
    first: str


class FoldedName(NamedTuple):
    """One spelling of a name; None where that part is not known."""

    given: Word | None
    surname: Word | None


@lru_cache(SPELLINGS_KEPT)
def word(text: str) -> Word | None:
    """One part of a name, or None when nothing comparable is left of it."""
    words = fold(text).split()
    kept = [one for one in words if one not in _TITLES] or words
    joined = "".join(kept)
    return Word(joined, frozenset(kept), jellyfish.metaphone(joined), kept[0]) if joined else None


def folded(names: Iterable[Name]) -> tuple[FoldedName, ...]:
    """Every spelling that has at least one comparable part, each once, in the order given."""
    readings = (
        FoldedName(word(given), word(surname)) for name in names for given, surname in _readings(name)
    )
    return tuple(dict.fromkeys(reading for reading in readings if reading.given or reading.surname))


def _readings(name: Name) -> Iterator[Name]:
    """The name as written, and, where one column holds all of it, as its parts."""
    yield name
    whole = "" if name.given.strip() and name.surname.strip() else name.given.strip() or name.surname.strip()
    surname, comma, given = whole.partition(",")
    if comma:
        yield Name(given, surname)
    elif len(words := whole.split()) > 1:
        yield Name(" ".join(words[:-1]), words[-1])


@cache
def _nicknamer() -> NickNamer:
    return NickNamer()


def are_nicknames(one: str, other: str) -> bool:
    """Whether one given name is a short form of the other, or both are of one third; folded text."""
    namer = _nicknamer()
    if other in namer.nicknames_of(one) or other in namer.canonicals_of(one):
        return True
    return not namer.canonicals_of(one).isdisjoint(namer.canonicals_of(other))


@dataclass(frozen=True, slots=True)
class Shares:
    """How rare names are: bits = -log2(share of people who bear it). Names outside the table count as `unknown_bits`."""

    given: Mapping[str, float]
    surname: Mapping[str, float]
    unknown_bits: float

    def given_bits(self, name: str) -> float:
        """Bits of evidence in agreeing on this folded given name."""
        return self.given.get(name, self.unknown_bits)

    def surname_bits(self, name: str) -> float:
        """Bits of evidence in agreeing on this folded surname."""
        return self.surname.get(name, self.unknown_bits)


def load_shares(unknown_bits: float, path: Path | None = None) -> Shares:
    """Read a table of shares: the one shipped with the package, or a force's own. Raises `PolicyError`.

    CSV `part,name,per_million`, part `given` or `surname`. Shipped: names borne by at least 400 in a million in the United
    States census of 1990 (public domain); a force whose people bear other names replaces it.
    """
    shipped = resources.files("purposegate.conflicts").joinpath("shares.csv")
    label = path.name if path else "shares.csv"
    try:
        text = path.read_text(encoding="utf-8") if path else shipped.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError([Finding(label, 1, "(file)", "a readable CSV file in UTF-8")]) from error
    parts: dict[str, dict[str, float]] = {"given": {}, "surname": {}}
    faults: list[Finding] = []
    for line, row in enumerate(csv.reader(text.splitlines()), start=1):
        if line == 1 and row == ["part", "name", "per_million"]:
            continue
        whole = len(row) == 3 and row[0] in parts and re.fullmatch(r"[1-9][0-9]{0,5}", row[2])  # noqa: PLR2004
        joined = "".join(fold(row[1]).split()) if whole else ""
        if not joined:
            faults.append(
                Finding(label, line, "(row)", "part (given or surname), name, whole number per million")
            )
            continue
        parts[row[0]][joined] = min(unknown_bits, -math.log2(int(row[2]) / 1e6))
    if faults:
        raise PolicyError(faults)
    return Shares(parts["given"], parts["surname"], unknown_bits)
