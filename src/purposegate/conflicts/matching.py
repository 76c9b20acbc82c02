"""Whether two descriptions are of one person: a Fellegi-Sunter score in bits, with the table that explains it.

Each field adds the log2 of how much likelier its agreement is for one person than for strangers; a missing field adds
nothing. Weights and thresholds stand in conflicts.yaml. Nothing here remembers anything or reads the register.
"""

from collections.abc import Iterator
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


@dataclass(frozen=True, slots=True)
class Score:
    """All the evidence that two descriptions are of one person: bits, and the lines they add up from."""

    bits: float
    table: tuple[Line, ...]
    kinds: int
    """How many kinds of evidence agree: the given name, the birth, where they live or what they call and drive."""


class Names(NamedTuple):
    """How two spellings of a name compared."""

    given: Part
    surname: Part
    swapped: float

    @property
    def bits(self) -> float:
        """All bits of the name."""
        return self.given.bits + self.surname.bits + self.swapped


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
        """The best that any of the names, dates of birth and addresses of the two can say. Symmetric."""
        names = self._names(one, other)
        birth = self._births(one, other)
        told_apart = names.given.level == "different" and birth.level == "different"
        where = self._addresses(one, other, in_household=told_apart)
        phone = 0.0 if one.phones.isdisjoint(other.phones) else self._matching.phone
        plate = 0.0 if one.plates.isdisjoint(other.plates) else self._matching.plate
        lines: list[Line] = [
            (f"given:{names.given.level}", names.given.bits),
            (f"surname:{names.surname.level}", names.surname.bits),
            ("swapped", names.swapped),
            (f"birth:{birth.level}", birth.bits),
            *where,
            ("phone", phone),
            ("plate", plate),
        ]
        table = tuple((field, round(bits, 2)) for field, bits in lines if bits)
        agreeing = (names.given.bits > 0, birth.bits > 0, sum(bits for _, bits in where) + phone + plate > 0)
        # A plate is one vehicle's, so it needs no second kind, unless the keeper's name says that it changed hands.
        kinds = sum(agreeing) + (1 if plate and names.bits >= 0 else 0)
        return Score(sum(bits for _, bits in lines), table, kinds)

    def _names(self, one: Person, other: Person) -> Names:
        pairs = (self._name(mine, theirs) for mine in one.names for theirs in other.names)
        return max(pairs, key=lambda names: names.bits, default=Names(MISSING, MISSING, 0.0))

    def _name(self, one: FoldedName, other: FoldedName) -> Names:
        straight = Names(self._given(one.given, other.given), self._surname(one.surname, other.surname), 0.0)
        if "exact" in {straight.given.level, straight.surname.level}:
            return straight  # one part stands where it should, so the other was not exchanged with it
        crossed = Names(
            self._given(one.given, other.surname),
            self._surname(one.surname, other.given),
            self._matching.name.swapped,
        )
        return max(straight, crossed, key=lambda names: names.bits)

    def _given(self, one: Word | None, other: Word | None) -> Part:
        if one is None or other is None:
            return MISSING
        bits = self._matching.shares.given_bits
        return self._word(one, other, min(bits(one.text), bits(other.text)), nicknames=True)

    def _surname(self, one: Word | None, other: Word | None) -> Part:
        if one is None or other is None:
            return MISSING
        bits = self._matching.shares.surname_bits
        return self._word(one, other, min(bits(one.text), bits(other.text)), nicknames=False)

    def _word(self, one: Word, other: Word, rarity: float, *, nicknames: bool) -> Part:
        weights = self._matching.name
        if one.text == other.text:
            return Part("exact", max(weights.far, rarity + weights.exact))
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
            or (nicknames and are_nicknames(one.text, other.text))
        ):
            return Part("near", max(weights.far, rarity + weights.near))
        if closeness >= FAR or (one.sound and one.sound == other.sound):
            return Part("far", weights.far)
        return Part("different", weights.different)

    def _births(self, one: Person, other: Person) -> Part:
        pairs = (self._birth(mine, theirs) for mine in one.births for theirs in other.births)
        return max(pairs, key=lambda part: part.bits, default=MISSING)

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

    def _addresses(self, one: Person, other: Person, *, in_household: bool) -> tuple[Line, ...]:
        weights = self._matching.address
        pairs = (tuple(self._address(mine, theirs)) for mine in one.places for theirs in other.places)
        best = max(pairs, key=lambda lines: sum(bits for _, bits in lines), default=())
        found = sum(bits for _, bits in best)
        kept = min(max(found, weights.least), weights.most_in_household if in_household else weights.most)
        return best if kept == found else (*best, ("address:bounded", kept - found))

    def _address(self, one: Place, other: Place) -> Iterator[Line]:
        weights = self._matching.address
        if one.postcode and other.postcode:
            wrong = OSA.distance(one.postcode, other.postcode, score_cutoff=1)
            levels = (
                ("exact", weights.postcode),
                ("near", weights.postcode_near),
                ("different", weights.postcode_different),
            )
            level, bits = levels[wrong]
            yield f"postcode:{level}", bits
        if one.number and other.number:
            same = one.number == other.number
            yield ("number:exact", weights.number) if same else ("number:different", weights.number_different)
        if one.street and other.street:
            closeness = JaroWinkler.similarity(one.street, other.street)
            if closeness == 1:
                yield "street:exact", weights.street
            elif closeness >= STREET_NEAR:
                yield "street:near", weights.street_near
            else:
                yield "street:different", weights.street_different
        if one.locality and other.locality:
            if one.locality == other.locality:
                yield "locality:exact", weights.locality
            elif JaroWinkler.similarity(one.locality, other.locality) >= STREET_NEAR:
                yield "locality:near", weights.locality_near
