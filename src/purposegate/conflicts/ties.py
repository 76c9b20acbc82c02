"""Every tie between one member of staff and the people in one record.

One record is compared with that person's own register entries, their own directory row and homes, and, for colleagues,
with the directory behind a narrow prefilter. Nothing found is kept: neighbours and households are computed and forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cachetools import LRUCache

from purposegate.conflicts.circle import Around, Colleagues, Seen, Subject, around, seen
from purposegate.conflicts.composition import Composer
from purposegate.conflicts.decisions import Verdict, known, known_of, settled
from purposegate.conflicts.directory import Directory, Staff
from purposegate.conflicts.matching import Line, Linker, Score
from purposegate.conflicts.neighbours import nearness
from purposegate.conflicts.register import Entries, RegisterEntry
from purposegate.conflicts.relations import COLLEAGUE, DIRECTORY, EX_COLLEAGUE, NEIGHBOUR, SELF, Relations
from purposegate.conflicts.written import Home, local_day, staff_key
from purposegate.model import Conflict, Identity, RecordRef, Row, Tier, Whose

PRINCIPALS_KEPT = 2048
"""Members of staff whose entries are kept ready to compare: a busy hour's worth; the rest are made ready again in about 1 ms."""

# Asked again for every row of a list, and the same for all of them.
_staff_key = lru_cache(PRINCIPALS_KEPT)(staff_key)
_local_day = lru_cache(8)(local_day)

RECORD_ID_BITS = 60.0
"""The register names the record itself: nothing is left to chance, and no sum of fields reaches this."""


class Ties:
    """The ties that one state of register, directory and conflicts.yaml knows. Read only: a reload makes another."""

    def __init__(
        self,
        relations: Relations,
        register: Entries,
        directory: Directory,
        *,
        zone: ZoneInfo,
        colleagues: Colleagues | None = None,
    ) -> None:
        """`colleagues` are those of earlier ties with the same directory, which take long to make ready."""
        self._relations = relations
        self._register = register
        self._directory = directory
        self._zone = zone
        self._linker = Linker(relations.matching)
        self._ready: LRUCache[str, Around] = LRUCache(PRINCIPALS_KEPT)
        self.colleagues = colleagues or Colleagues(directory)
        self._composer = Composer(relations, register, directory, self._beyond_doubt)

    def of(self, staff_id: str, whose: Whose, record: Seen, *, at: datetime) -> tuple[Conflict, ...]:
        """Every tie of this person to the record's people, the surest of each sort. Pure: no I/O.

        A person whom neither register nor directory knows has none but colleagues; whether they may ask is not this
        room's question.
        """
        today = _local_day(at, self._zone)
        key = _staff_key(staff_id)
        own = self._around(key)
        found = [
            *self._registered(own, whose, record, today),
            *self._colleague_ties(key, whose, record, today),
            *self._near_home(own, whose, record, at),
        ]
        if not found and not own.decided(record.record):
            return ()
        if own.decided(record.record):
            found = [*self._settled(found, own, record, whose=whose, today=today)]
        best: dict[tuple[object, ...], Conflict] = {}
        for tie in found:
            sort = (tie.relation, tie.tier, tie.provenance, tie.default, tie.declared)
            if sort not in best or best[sort].score < tie.score:
                best[sort] = tie
        return tuple(best.values())

    def is_sought(self, staff_id: str, sought: Identity, *, at: datetime) -> bool:
        """Whether a search for this person is a search for somebody they have a tie to. Pure: no I/O.

        Only where it means one person: a telephone, a plate, or a name with a whole birth or a home. A neighbour is sought only
        beyond doubt: half of a town lives in some candidate's street.
        """
        record = seen(Row(record=RecordRef("", ""), subjects=(sought,), fields=frozenset(), place=0))
        return any(map(_means_one, record.subjects)) and any(
            tie.tier is Tier.CONFIRMED or tie.relation != NEIGHBOUR
            for tie in self.of(staff_id, Whose.PRINCIPAL, record, at=at)
        )

    def _around(self, key: str) -> Around:
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = self.prepare(key)
        return ready

    def is_ready(self, staff_id: str) -> bool:
        """Whether what is known around somebody is at hand."""
        return staff_key(staff_id) in self._ready

    def prepare(self, staff_id: str) -> Around:
        """What is known around somebody, read anew. May wait for a database, and may run in a thread. Raises `FactsOutage`."""
        return around(staff_key(staff_id), self._register, self._directory, self._composer)

    def keep(self, staff_id: str, ready: Around) -> None:
        """Have at hand what `prepare` gave."""
        self._ready[staff_key(staff_id)] = ready

    def _beyond_doubt(self, identity: Identity) -> tuple[str, ...]:
        (subject,) = seen(
            Row(record=RecordRef("", ""), subjects=(identity,), fields=frozenset(), place=0)
        ).subjects
        return tuple(
            staff_key(member.id) for member, _, tier in self._staff_like(subject) if tier is Tier.CONFIRMED
        )

    def _settled(
        self, found: Sequence[Conflict], own: Around, record: Seen, *, whose: Whose, today: date
    ) -> Iterator[Conflict]:
        """The ties found, and those confirmed that were not, as people decided of them."""
        decisions = own.decided(record.record)
        of_record = known(subject.person for subject in record.subjects)
        for tie in found:
            tier = settled(tie, decisions, self.known_of(own, tie.entry), of_record)
            if tier:
                yield replace(tie, tier=tier)
        names = {tie.entry for tie in found}
        for decision in decisions:
            if decision.verdict is Verdict.CONFIRMED and decision.entry not in names:
                covers = decision.covers(self.known_of(own, decision.entry), of_record)
                tier = Tier.CONFIRMED if covers else Tier.CANDIDATE
                score = Score(RECORD_ID_BITS, (("confirmed-by-a-person", RECORD_ID_BITS),), kinds=1)
                entry = own.entry(decision.entry)
                if entry and self._holds(entry, today):
                    yield self._entry_tie(entry, whose, tier, score)
                elif entry is None and decision.entry == own.source:
                    yield self._tie(SELF, whose, tier, own.source, score)

    def known_of(self, own: Around, entry: str) -> frozenset[str]:
        """What is known of the person whom a tie's source is about, as decisions compare it."""
        if entry.startswith("directory:"):
            member = self._directory.member(entry.removeprefix("directory:").removesuffix(":home"))
            return known_of(member.person if member else None)
        found = own.entry(entry)
        return known_of(found.person if found else None)

    def _registered(self, own: Around, whose: Whose, record: Seen, today: date) -> Iterator[Conflict]:
        for entry in own.naming(record.record):
            if self._holds(entry, today):
                score = Score(RECORD_ID_BITS, (("record-id", RECORD_ID_BITS),), kinds=1)
                yield self._entry_tie(entry, whose, Tier.CONFIRMED, score)
        for subject in record.subjects:
            for near, person in own.near(subject):
                score = self._linker.score(person, subject.person)
                tier = self._linker.tier(score)
                if tier and near is None:
                    yield self._tie(SELF, whose, tier, own.source, score)
                elif tier and near and self._holds(near, today):
                    yield self._entry_tie(near, whose, tier, score)

    def _holds(self, entry: RegisterEntry, today: date) -> bool:
        return entry.counts(self._relations.by_name[entry.relation], today)

    def _colleague_ties(self, key: str, whose: Whose, record: Seen, today: date) -> Iterator[Conflict]:
        for subject in record.subjects:
            for member, score, tier in self._staff_like(subject):
                relation = self._colleague(member, today)
                if relation and staff_key(member.id) != key:
                    yield self._tie(relation, whose, tier, f"directory:{member.id}", score)

    def _staff_like(self, subject: Subject) -> Iterator[tuple[Staff, Score, Tier]]:
        for member, person in self.colleagues.near(subject):
            score = self._linker.score(person, subject.person)
            tier = self._linker.tier(score, raised_bits=self._relations.matching.colleague_more_bits)
            if tier:
                yield member, score, tier

    def _colleague(self, member: Staff, today: date) -> str | None:
        if member.is_employed(today):
            return COLLEAGUE
        counts = timedelta(days=self._relations.by_name[EX_COLLEAGUE].counts_after_end_days)
        return EX_COLLEAGUE if member.left and member.left < today <= member.left + counts else None

    def _near_home(self, own: Around, whose: Whose, record: Seen, at: datetime) -> Iterator[Conflict]:
        theirs = (
            [place for subject in record.subjects for place in subject.person.places] if own.homes else ()
        )
        for mine, home in own.homes:
            for place in theirs:
                for near in nearness(mine, place, self._relations.near_by):
                    if self._lived_lately(home, near.relation, at):
                        score = Score(0.0, ((f"{near.relation}:{near.by}", near.apart),), kinds=1)
                        yield self._tie(near.relation, whose, near.tier, f"{own.source}:home", score)

    def _lived_lately(self, home: Home, relation: str, at: datetime) -> bool:
        counts = timedelta(days=self._relations.by_name[relation].counts_after_end_days)
        return home.lived.start <= at and at - counts < home.lived.end

    def _entry_tie(self, entry: RegisterEntry, whose: Whose, tier: Tier, score: Score) -> Conflict:
        return Conflict(
            whose=whose,
            relation=entry.relation,
            tier=tier,
            provenance=entry.provenance,
            entry=f"register:{entry.id}",
            declared=whose is Whose.PRINCIPAL and entry.is_declared_by(entry.principal),
            default=self._relations.by_name[entry.relation].default(entry.provenance),
            score=round(score.bits, 2),
            table=_rounded(score.table),
        )

    def _tie(self, relation: str, whose: Whose, tier: Tier, source: str, score: Score) -> Conflict:
        """A tie that the directory alone gives."""
        return Conflict(
            whose=whose,
            relation=relation,
            tier=tier,
            provenance=DIRECTORY,
            entry=source,
            declared=False,
            default=self._relations.by_name[relation].default(DIRECTORY),
            score=round(score.bits, 2),
            table=_rounded(score.table),
        )


def _means_one(subject: Subject) -> bool:
    """Whether a description is of one person, and not of all who share a name or a street."""
    one = subject.person
    named = any(name.given and name.surname for name in one.names)
    homes = any(home.number and (home.postcode or home.street) for home in one.places)
    return bool(one.phones or one.plates) or (named and (homes or any(birth.day for birth in one.births)))


def _rounded(table: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple((field, round(bits, 2)) for field, bits in table)
