"""Looking back: whether a register entry ties somebody to a record that they looked up before the entry was made.

Each past lookup left the ids of its records and an identity snapshot of their people. Both are compared as the gate compares
them in line: the same keys, the same scorer, the same tiers. Each hit is told on two clocks, that of the tie and that of the
force's knowledge: a lookup before the force knew broke no flag, and may still be a late declaration. Pure.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hmac import digest as hmac_digest
from zoneinfo import ZoneInfo

from purposegate.conflicts.matching import Line, Linker, Score
from purposegate.conflicts.people import person
from purposegate.conflicts.prefilter import Key, wide_keys
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.relations import Matching
from purposegate.conflicts.ties import RECORD_ID_BITS
from purposegate.conflicts.written import local_day, staff_key
from purposegate.model import Address, Identity, Name, RecordRef, Tier, Whose

HALF_BITS = 32
_SIGN = 1 << 63
_PROBES = (
    Identity(
        names=(Name("Mary-Ann", "O'Neill"), Name("Maryann", "de la Cruz")),
        born=("1981-11-05", "1981-11", "1981"),
        addresses=(Address(number="12a", street="St John's Rd", locality="Ashby", postcode="AB1 2CD"),),
        phones=("+44 7700 900123",),
        plates=("AB12 CDE",),
    ),
    Identity(names=(Name("", "Smith, Jørgen"),), addresses=(Address(street="Flat 2, 14 Mill Ln"),)),
)


class Timing(StrEnum):
    """Where a lookup stands in the time of the tie."""

    BEFORE = "before_relationship"
    DURING = "during"
    AFTER = "after"


class Knowledge(StrEnum):
    """Where a lookup stands in the time of what the force knew."""

    BEFORE = "before_known"
    KNOWN = "known"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRow:
    """One record of one past lookup, as its ledger entry tells it. `shard`, `number` and `row` say where it stands.

    `released` says whether this record went out; one that was refused or withheld was asked for all the same.
    """

    shard: int
    shard_name: str
    number: int
    row: int
    lookup_id: str
    at: datetime
    principal: str
    originator: str
    recipient: str
    purpose: str
    ref: str
    reason: str
    action: str
    released: bool
    record: RecordRef
    subjects: tuple[Identity, ...]

    @property
    def behind(self) -> Iterator[tuple[Whose, str]]:
        """Everybody on whose behalf the record was asked for."""
        people = (self.principal, self.originator, self.recipient)
        return ((whose, staff_id) for whose, staff_id in zip(Whose, people, strict=True) if staff_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastHit:
    """One past lookup that an entry ties its principal to, with the table that explains the score."""

    entry: RegisterEntry
    row: PastRow
    whose: Whose
    tier: Tier
    score_bits: float
    table: tuple[Line, ...]
    timing: Timing
    knowledge: Knowledge


class LookBack:
    """Weighs entries against past lookups by one state of conflicts.yaml. Stateless; days are of the force's zone."""

    def __init__(self, matching: Matching, *, zone: ZoneInfo) -> None:
        self._linker = Linker(matching)
        self._zone = zone
        self.model = f"{matching.version}-{hashlib.sha256(repr(matching).encode()).hexdigest()[:12]}"
        """What weighed: the version that conflicts.yaml states, and a digest of all weights, should it not have been raised."""

    def weigh(self, entry: RegisterEntry, row: PastRow, *, known_by: date) -> PastHit | None:
        """The hit that this row is, or None. `known_by` is when the force knew at the latest, if the entry does not say."""
        key = staff_key(entry.principal)
        whose = next((whose for whose, staff_id in row.behind if staff_key(staff_id) == key), None)
        if whose is None:
            return None
        score, tier = self._score(entry, row)
        if tier is None:
            return None
        day = local_day(row.at, self._zone)
        return PastHit(
            entry=entry,
            row=row,
            whose=whose,
            tier=tier,
            score_bits=round(score.bits, 2),
            table=tuple((field, round(bits, 2)) for field, bits in score.table),
            timing=timing(entry, day),
            knowledge=Knowledge.BEFORE if day < (entry.known_from or known_by) else Knowledge.KNOWN,
        )

    def _score(self, entry: RegisterEntry, row: PastRow) -> tuple[Score, Tier | None]:
        if row.record in entry.records:
            return Score(RECORD_ID_BITS, (("record-id", RECORD_ID_BITS),), kinds=1), Tier.CONFIRMED
        other = person(entry.person)
        scores = [self._linker.score(other, person(subject)) for subject in row.subjects]
        tiers = {Tier.CONFIRMED: 2, Tier.CANDIDATE: 1, None: 0}
        weighed = [(score, self._linker.tier(score)) for score in scores]
        return max(weighed, key=lambda one: (tiers[one[1]], one[0].bits), default=(Score(0.0, (), 0), None))


def timing(entry: RegisterEntry, day: date) -> Timing:
    """Where a day stands in the time of the tie; an edge that the entry does not state has not been reached."""
    if entry.valid_from and day < entry.valid_from:
        return Timing.BEFORE
    return Timing.AFTER if entry.valid_to and entry.valid_to < day else Timing.DURING


def entry_keys(entry: RegisterEntry) -> frozenset[Key]:
    """What past lookups of the entry's person would share with it."""
    return wide_keys(person(entry.person)).union(map(_record_key, entry.records))


def row_keys(row: PastRow) -> frozenset[Key]:
    """What entries about this record, or its people, would share with it."""
    return frozenset([_record_key(row.record)]).union(*(wide_keys(person(one)) for one in row.subjects))


def _record_key(record: RecordRef) -> Key:
    return ("record", *record)


class Tokens:
    """What keys are called in an index: 64 bits, half for the member of staff and half for the key under them.

    Keyed, so that the index alone names nobody; the key's half is derived under the member of staff's, so that a common name
    cannot be told by how many members of staff share its token. Tokens of one member of staff lie together.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, staff_id: str, keys: Sequence[Key] | frozenset[Key]) -> list[int]:
        """Signed 64-bit tokens of these keys for one member of staff, in no order."""
        own = hmac_digest(
            self._secret, b"staff\0" + staff_key(staff_id).encode("utf-8", "surrogatepass"), "sha256"
        )
        high = int.from_bytes(own[:4], "big") << HALF_BITS
        low = (int.from_bytes(hmac_digest(own, _spelt(key), "sha256")[:4], "big") for key in keys)
        return [(high | half) - ((high & _SIGN) << 1) for half in low]

    def digest(self, text: str) -> bytes:
        """32 bytes that tell texts apart, and to whoever has no key tell nothing of them."""
        return hmac_digest(self._secret, b"text\0" + text.encode("utf-8", "surrogatepass"), "sha256")


def _spelt(key: Key) -> bytes:
    parts = (str(part).encode("utf-8", "surrogatepass") for part in key)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def keys_version() -> str:
    """What tells one way of making keys from another: an index made in another way finds nothing it should."""
    spelt = b"\0".join(sorted(_spelt(key) for one in _PROBES for key in wide_keys(person(one))))
    return hashlib.sha256(spelt).hexdigest()[:16]
