"""Every tie between one member of staff and the people in one record.

One record is compared with that person's own register entries, their own directory row and homes, and, for colleagues,
with the directory behind a narrow prefilter. Nothing found is kept: neighbours and households are computed and forgotten.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cachetools import LRUCache

from purposegate.conflicts.addresses import Place, place
from purposegate.conflicts.directory import Directory
from purposegate.conflicts.matching import Linker, Score
from purposegate.conflicts.neighbours import nearness
from purposegate.conflicts.people import Person, person
from purposegate.conflicts.prefilter import Pool, narrow_keys, wide_keys
from purposegate.conflicts.register import Register, RegisterEntry
from purposegate.conflicts.relations import (
    COLLEAGUE,
    DIRECTORY,
    EX_COLLEAGUE,
    HOUSEHOLD,
    NEIGHBOUR,
    SELF,
    Relations,
)
from purposegate.conflicts.written import Home, local_day
from purposegate.model import Conflict, RecordRef, Row, Tier, Whose

PRINCIPALS_KEPT = 2048
"""Members of staff whose entries are kept ready to compare: a busy hour's worth; the rest are made ready again in about 1 ms."""

TUNED_FOR = 5000
"""How many people the thresholds were fixed against (febrl3); against more, chance agreements rise in proportion."""

RECORD_ID_BITS = 60.0
"""The register names the record itself: nothing is left to chance, and no sum of fields reaches this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as it is to be compared: its name, and its people, folded once for all comparisons."""

    record: RecordRef
    persons: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class _Entries:
    rows: tuple[RegisterEntry, ...]
    pool: Pool


def seen(row: Row) -> Seen:
    """A row made ready to be compared; it may have no subjects yet, when only its id is known."""
    return Seen(row.record, tuple(person(subject) for subject in row.subjects))


class Ties:
    """The ties that one state of register, directory and conflicts.yaml knows. Read only: a reload makes another."""

    def __init__(
        self, relations: Relations, register: Register, directory: Directory, *, zone: ZoneInfo
    ) -> None:
        self._relations = relations
        self._register = register
        self._directory = directory
        self._zone = zone
        self._linker = Linker(relations.matching)
        self._ready: LRUCache[str, _Entries] = LRUCache(PRINCIPALS_KEPT)
        self._staff_ids = tuple(directory.staff)
        self._staff = Pool((person(member.person) for member in directory.staff.values()), narrow_keys)
        self._own = {staff_id: self._staff.persons[index] for index, staff_id in enumerate(self._staff_ids)}
        self._raised_bits = max(0.0, math.log2(max(1, len(self._staff_ids)) / TUNED_FOR))

    @property
    def as_of(self) -> datetime:
        """The older of register and directory, UTC."""
        return min(self._register.as_of, self._directory.as_of)

    def of(self, staff_id: str, whose: Whose, record: Seen, *, at: datetime) -> tuple[Conflict, ...]:
        """Every tie of this person to the record's people, the surest of each sort. Pure: no I/O.

        A person whom neither register nor directory knows has none; whether they may ask is not this room's question.
        """
        today = local_day(at, self._zone)
        found = [
            *self._registered(staff_id, whose, record, today),
            *self._from_directory(staff_id, whose, record, today),
            *self._near_home(staff_id, whose, record, at),
        ]
        best: dict[tuple[object, ...], Conflict] = {}
        for tie in found:
            sort = (tie.relation, tie.tier, tie.provenance, tie.default, tie.declared)
            if sort not in best or best[sort].score < tie.score:
                best[sort] = tie
        return tuple(best.values())

    def _registered(self, staff_id: str, whose: Whose, record: Seen, today: date) -> Iterator[Conflict]:
        entries = self._entries(staff_id)
        for entry in entries.rows:
            if record.record in entry.records and self._holds(entry, today):
                score = Score(RECORD_ID_BITS, (("record-id", RECORD_ID_BITS),), kinds=1)
                yield self._registered_tie(entry, whose, Tier.CONFIRMED, score)
        for someone in record.persons:
            for index in entries.pool.near(someone):
                entry = entries.rows[index]
                score = self._linker.score(entries.pool.persons[index], someone)
                tier = self._linker.tier(score)
                if tier and self._holds(entry, today):
                    yield self._registered_tie(entry, whose, tier, score)

    def _entries(self, staff_id: str) -> _Entries:
        ready = self._ready.get(staff_id)
        if ready is None:
            rows = self._register.entries_of(staff_id)
            ready = _Entries(rows, Pool((person(entry.person) for entry in rows), wide_keys))
            self._ready[staff_id] = ready
        return ready

    def _holds(self, entry: RegisterEntry, today: date) -> bool:
        return entry.counts(self._relations.by_name[entry.relation], today)

    def _registered_tie(self, entry: RegisterEntry, whose: Whose, tier: Tier, score: Score) -> Conflict:
        return Conflict(
            whose=whose,
            relation=entry.relation,
            tier=tier,
            provenance=entry.provenance,
            entry=f"register:{entry.id}",
            declared=whose is Whose.PRINCIPAL and entry.is_declared_by(entry.principal),
            default=self._relations.by_name[entry.relation].default(entry.provenance),
            score=round(score.bits, 2),
            table=tuple((field, round(bits, 2)) for field, bits in score.table),
        )

    def _from_directory(self, staff_id: str, whose: Whose, record: Seen, today: date) -> Iterator[Conflict]:
        for someone in record.persons:
            own = self._own.get(staff_id)
            if own is not None:
                score = self._linker.score(own, someone)
                if tier := self._linker.tier(score):
                    yield self._directory_tie(SELF, whose, tier, staff_id, score)
            for index in self._staff.near(someone):
                other = self._staff_ids[index]
                score = self._linker.score(self._staff.persons[index], someone)
                relation = self._colleague(other, today)
                tier = self._linker.tier(score, raised_bits=self._raised_bits)
                if tier and relation and other != staff_id:
                    yield self._directory_tie(relation, whose, tier, other, score)

    def _colleague(self, staff_id: str, today: date) -> str | None:
        member = self._directory.staff[staff_id]
        if member.is_employed(today):
            return COLLEAGUE
        counts = timedelta(days=self._relations.by_name[EX_COLLEAGUE].counts_after_end_days)
        return EX_COLLEAGUE if member.left and member.left < today <= member.left + counts else None

    def _near_home(self, staff_id: str, whose: Whose, record: Seen, at: datetime) -> Iterator[Conflict]:
        member = self._directory.member(staff_id)
        theirs = [one for someone in record.persons for one in someone.places]
        if member is None or not theirs:
            return
        for own, home in _placed(member.homes):
            for one in theirs:
                for near in nearness(own, one, numbers_within=self._relations.numbers_within):
                    if self._lived_lately(home, near.relation, at):
                        score = Score(0.0, ((f"{near.relation}:numbers-apart", float(near.apart)),), kinds=1)
                        yield self._directory_tie(near.relation, whose, near.tier, staff_id, score)

    def _lived_lately(self, home: Home, relation: str, at: datetime) -> bool:
        counts = timedelta(days=self._relations.by_name[relation].counts_after_end_days)
        return home.lived.start <= at and at - counts < home.lived.end

    def _directory_tie(
        self, relation: str, whose: Whose, tier: Tier, staff_id: str, score: Score
    ) -> Conflict:
        return Conflict(
            whose=whose,
            relation=relation,
            tier=tier,
            provenance=DIRECTORY,
            entry=f"directory:{staff_id}" + (":home" if relation in {HOUSEHOLD, NEIGHBOUR} else ""),
            declared=False,
            default=self._relations.by_name[relation].default(DIRECTORY),
            score=round(score.bits, 2),
            table=tuple((field, round(bits, 2)) for field, bits in score.table),
        )


def _placed(homes: Iterable[Home]) -> Iterator[tuple[Place, Home]]:
    for home in homes:
        folded = place(home.address)
        if folded:
            yield folded, home
