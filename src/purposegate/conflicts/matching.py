"""Whether two descriptions are of one person: a Fellegi-Sunter score in bits, with the table that explains it.

Each field adds the log2 of how much likelier its agreement is for one person than for strangers; a missing field adds
nothing. Weights and thresholds stand in conflicts.yaml. Nothing here remembers anything or reads the register.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler

from purposegate.conflicts.addresses import Place
from purposegate.conflicts.dates import Birth
from purposegate.conflicts.names import FoldedName, Word, are_nicknames
from purposegate.conflicts.people import Person
from purposegate.conflicts.relations import Matching
from purposegate.model import Tier

NEAR = 0.92
"""Jaro-Winkler above which two spellings are one name mistyped: 14 % of febrl3's true pairs, 0.1 % of strangers."""

FAR = 0.85
STREET_NEAR = 0.90
SHORTEST_SLIP = 4
"""One wrong letter in a name shorter than this makes another name (Ann, Jan)."""

KINDS_TO_CONFIRM = 2
"""A name alone, however rare, and a home with a surname alone (a relative under the same roof) stay candidates."""

Line = tuple[str, float]
"""One line of the table: field and how it agreed (`surname:near`), and its bits."""


class Part(NamedTuple):
    """How one field compared: its level, and its bits."""

    level: str
    bits: float


MISSING = Part("missing", 0.0)
SAME_DOOR = "number:exact"
RARER_TELLS_MORE = frozenset({"exact", "near"})
"""Levels of a name to whose weight its own rarity is added."""


@dataclass(frozen=True, slots=True)
class Score:
    """All the evidence that two descriptions are of one person: bits, and the lines they add up from."""

    bits: float
    table: tuple[Line, ...]
    kinds: int
    """How many kinds of evidence agree: the given name, the birth, where they live or what they call and drive."""


class Names(NamedTuple):
    """How two spellings of a name compared. `swapped` is None, or the bits for parts that stand in each other's place."""

    given: Part
    surname: Part
    swapped: float | None = None

    @property
    def bits(self) -> float:
        """All bits of the name."""
        return self.given.bits + self.surname.bits + (self.swapped or 0.0)

    @property
    def is_missing(self) -> bool:
        """Whether either side has no name at all to compare."""
        return self.given is MISSING and self.surname is MISSING

    @property
    def given_agrees(self) -> bool:
        """Whether the given name speaks for one person; of swapped parts nobody knows which it is, so both must."""
        return self.given.bits > 0 and (self.swapped is None or self.surname.bits > 0)

    @property
    def given_differs(self) -> bool:
        """Whether the given name speaks for two persons."""
        differs = self.given.level == "different"
        return differs if self.swapped is None else differs or self.surname.level == "different"


class Linker:
    """Scores pairs of persons by the weights it was given. Stateless."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def tier(self, score: Score, *, raised_bits: float = 0.0) -> Tier | None:
        """The tier a score reaches, or None. `raised_bits` is log2 of how many more chances there were to agree."""
        if score.bits >= self._matching.confirmed_bits + raised_bits and score.kinds >= KINDS_TO_CONFIRM:
            return Tier.CONFIRMED
        return Tier.CANDIDATE if score.bits >= self._matching.candidate_bits + raised_bits else None

    def score(self, one: Person, other: Person) -> Score:
        """The best that any of the names, dates of birth and addresses of the two can say. Symmetric.

        Every reading competes, so one more alias or date on either side can only find more.
        """
        homes = tuple(self._address(mine, theirs) for mine in one.places for theirs in other.places)
        best = max(homes, key=_bits, default=())
        readings = (
            self._reading(one, other, names, birth, best)
            for names in self._names(one, other)
            for birth in self._births(one, other)
        )
        confirmed = self._matching.confirmed_bits
        return max(
            readings,
            key=lambda score: (score.bits >= confirmed and score.kinds >= KINDS_TO_CONFIRM, score.bits),
        )

    def _reading(
        self, one: Person, other: Person, names: Names, birth: Part, home: tuple[Line, ...]
    ) -> Score:
        told_apart = _told_apart(names, birth, known=bool(one.births or other.births))
        phone = 0.0 if one.phones.isdisjoint(other.phones) else self._matching.phone
        plate = 0.0 if one.plates.isdisjoint(other.plates) else self._matching.plate
        # Of somebody of whom nothing else is known, another door of the same street is another home.
        nobody = names.is_missing and birth is MISSING and not (phone or plate)
        where = self._bounded(
            home, in_household=told_apart or (nobody and SAME_DOOR not in map(_field, home))
        )
        lines: list[Line] = [
            (f"given:{names.given.level}", names.given.bits),
            (f"surname:{names.surname.level}", names.surname.bits),
            ("swapped", names.swapped or 0.0),
            (f"birth:{birth.level}", birth.bits),
            *where,
            ("phone", phone),
            ("plate", plate),
        ]
        agreeing = (names.given_agrees, birth.bits > 0, _bits(where) + phone + plate > 0)
        # A plate is one vehicle's, so it needs no second kind, unless the keeper's name says that it changed hands.
        kinds = sum(agreeing) + (1 if plate and names.bits >= 0 else 0)
        return Score(_bits(lines), tuple(line for line in lines if line[1]), kinds)

    def _names(self, one: Person, other: Person) -> Sequence[Names]:
        pairs = [self._name(mine, theirs) for mine in one.names for theirs in other.names]
        return pairs or [Names(MISSING, MISSING)]

    def _name(self, one: FoldedName, other: FoldedName) -> Names:
        shares = self._matching.shares
        straight = Names(
            self._part(one.given, other.given, (shares.given_bits,), nicknames=True),
            self._part(one.surname, other.surname, (shares.surname_bits,), nicknames=False),
        )
        if "exact" in {straight.given.level, straight.surname.level}:
            return straight  # one part stands where it should, so the other was not exchanged with it
        either = (shares.given_bits, shares.surname_bits)
        crossed = Names(
            self._part(one.given, other.surname, either, nicknames=True),
            self._part(one.surname, other.given, either, nicknames=True),
            self._matching.name.swapped,
        )
        return max(straight, crossed, key=lambda names: names.bits)

    def _part(
        self,
        one: Word | None,
        other: Word | None,
        rarities: Sequence[Callable[[str], float]],
        *,
        nicknames: bool,
    ) -> Part:
        if one is None or other is None:
            return MISSING
        part = self._word(one, other, nicknames=nicknames)
        if part.level not in RARER_TELLS_MORE:
            return part
        rarity = min(bits(word.text) for bits in rarities for word in (one, other))
        return Part(part.level, max(self._matching.name.far, rarity + part.bits))

    def _word(self, one: Word, other: Word, *, nicknames: bool) -> Part:
        weights = self._matching.name
        if one.text == other.text:
            return Part("exact", weights.exact)
        if len(one.text) == 1 or len(other.text) == 1:
            alike = one.text[0] == other.text[0]
            return Part("initial", weights.initial) if alike else Part("different", weights.different)
        closeness = JaroWinkler.similarity(one.text, other.text)
        if (
            closeness >= NEAR
            or one.words < other.words
            or other.words < one.words
            or (
                min(len(one.text), len(other.text)) >= SHORTEST_SLIP
                and OSA.distance(one.text, other.text) == 1
            )
            or (nicknames and are_nicknames(one.first, other.first))
        ):
            return Part("near", weights.near)
        if closeness >= FAR or (one.sound and one.sound == other.sound):
            return Part("far", weights.far)
        return Part("different", weights.different)

    def _births(self, one: Person, other: Person) -> Sequence[Part]:
        return [self._birth(mine, theirs) for mine in one.births for theirs in other.births] or [MISSING]

    def _birth(self, one: Birth, other: Birth) -> Part:
        weights = self._matching.birth
        if not (one.day and other.day):
            return self._coarse_birth(one, other)
        alike = sum(mine == theirs for mine, theirs in zip(one, other, strict=True))
        levels = (
            (one == other, Part("exact", weights.exact)),
            (
                (one.year, one.month, one.day) == (other.year, other.day, other.month),
                Part("swapped", weights.swapped),
            ),
            (OSA.distance("".join(one), "".join(other)) == 1, Part("slip", weights.slip)),
            (alike == len(Birth._fields) - 1, Part("two-parts", weights.two_parts)),
        )
        return next((part for holds, part in levels if holds), Part("different", weights.different))

    def _coarse_birth(self, one: Birth, other: Birth) -> Part:
        weights = self._matching.birth
        if one.year != other.year or (one.month and other.month and one.month != other.month):
            return Part("different", weights.different)
        if one.month and other.month:
            return Part("year-month", weights.year_month)
        return Part("year", weights.year)

    def _bounded(self, home: tuple[Line, ...], *, in_household: bool) -> tuple[Line, ...]:
        weights, found = self._matching.address, _bits(home)
        kept = min(max(found, weights.least), weights.most_in_household if in_household else weights.most)
        return home if kept == found else (*home, ("address:bounded", kept - found))

    def _address(self, one: Place, other: Place) -> tuple[Line, ...]:
        weights = self._matching.address
        lines: list[Line] = []
        if one.postcode and other.postcode:
            wrong = OSA.distance(one.postcode, other.postcode, score_cutoff=1)
            levels = (
                ("exact", weights.postcode),
                ("near", weights.postcode_near),
                ("different", weights.postcode_different),
            )
            lines.append((f"postcode:{levels[wrong][0]}", levels[wrong][1]))
        if one.number and other.number:
            same = one.number == other.number
            lines.append(
                (SAME_DOOR, weights.number) if same else ("number:different", weights.number_different)
            )
        if one.street and other.street:
            grades = (weights.street, weights.street_near, weights.street_different)
            lines.append(_alike("street", one.street, other.street, grades))
        if one.locality and other.locality:
            # One place has many names (a suburb, its city), so another name is no evidence against.
            lines.append(
                _alike(
                    "locality", one.locality, other.locality, (weights.locality, weights.locality_near, 0.0)
                )
            )
        return tuple(lines)


def _told_apart(names: Names, birth: Part, *, known: bool) -> bool:
    """Whether an equal address may mean only the same home: families share a surname, hostels and barracks a given name.

    An equal birth outweighs another name. One that neither side could hold against the other, because neither has any, says
    nothing; one that a side has (`known`) and the other cannot confirm is no agreement.
    """
    if birth.level == "different":
        return names.given_differs or names.surname.level == "different" or names.given.level == "far"
    confirms = birth.level != "two-parts" and (birth is not MISSING or not known)
    return not confirms and (names.given_differs or names.surname.level == "different")


def _field(line: Line) -> str:
    return line[0]


def _bits(lines: Iterable[Line]) -> float:
    return sum(bits for _, bits in lines)


def _alike(field: str, one: str, other: str, grades: tuple[float, float, float]) -> Line:
    exact, near, different = grades
    if one == other:
        return f"{field}:exact", exact
    is_near = JaroWinkler.similarity(one, other) >= STREET_NEAR
    return (f"{field}:near", near) if is_near else (f"{field}:different", different)
