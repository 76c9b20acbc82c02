"""What a lookup and its rows are counted by, and where that puts them: repeat budgets, breadth and fishing. Pure.

A sight of a row that nothing explains is counted three ways: by the record, by each data subject whatever record shows them,
and by the reference declared. `repeat` is the worst band of the three. Each key carries the moment of last work, so that new
work begins a new count; nothing is deleted, and time alone changes nothing.

**Explained sights do not count against unexplained ones.** They are counted under a key of their own, for the evidence, and owe
nothing. A paralegal with forty lawful views of an assigned case has not used up anything when he first opens somebody else's
record, or the same person's after the assignment: the budget is for looking without a known cause, and those looks had one. A
misuser gains nothing by it either: an explanation is a path in the force's own data, not a word of his, so a sight that it
covers would have been released whatever the count said; and every sight that it does not cover finds the budget exactly as
though the others had never been. Were explained sights counted, the most diligent would be stopped first; were they
subtracted, an assignment would buy unexplained looks. What somebody does under a standing explanation is watched by breadth,
by ties, and by the explanation's own end.

Counting needs no window in memory: a key's name holds the day, the week, or how many records were opened before, so that a new
bucket begins at nought in the ledger's durable counters, for all workers and after a restart alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from purposegate.conflicts.written import local_day
from purposegate.facts import fishing
from purposegate.facts.bands import RECORD, REFERENCE, SIGHTS, SUBJECT, VIEWED, Bands
from purposegate.facts.subjects import subject_keys
from purposegate.facts.work import reference_key
from purposegate.model import Action, CountKey, Lookup, RecordFacts, RecordRef, Row, Standing

EXPLAINED = "explained"
FORCE = "~force"
"""In a key's place for a principal: what everybody is counted under together."""
FEW_PEOPLE = 20
"""People in a record up to which it is a door to each of them: a file on a hundred is opened for none in particular."""

Ordinals = Mapping[CountKey, int]


class Distinct(NamedTuple):
    """Counts different things: `total` is raised only with the first `member`.

    Two first ones at the same moment both raise it, and one that comes to nothing while another waits may leave it one short:
    good enough for what only ranks or asks.
    """

    member: CountKey
    total: CountKey

    def is_new(self, ordinals: Ordinals) -> bool:
        """Whether this member was not counted before."""
        return ordinals[self.member] == 1

    def count(self, ordinals: Ordinals) -> int:
        """How many different ones there are, this one included."""
        return max(1, ordinals[self.total] - (not self.is_new(ordinals)))

    def raised(self, ordinals: Ordinals) -> tuple[CountKey, ...]:
        """What a release raises."""
        return (self.member, self.total) if self.is_new(ordinals) else (self.member,)


class Counting(NamedTuple):
    """What one row is counted by. `by` are keys by dimension; a row that an explanation covers has one key and owes nothing."""

    by: Mapping[str, tuple[CountKey, ...]]
    doors: tuple[Distinct, ...] = ()
    reasons: tuple[Distinct, ...] = ()
    crowds: tuple[Distinct, ...] = ()
    also: tuple[CountKey, ...] = ()
    is_explained: bool = False

    @property
    def keys(self) -> Iterator[CountKey]:
        """Every key to reserve."""
        for keys in self.by.values():
            yield from keys
        for one in (*self.doors, *self.reasons, *self.crowds):
            yield from one
        yield from self.also


class Words(NamedTuple):
    """What the lookup itself shows: two words for policies, numbers for the ledger, and what a release raises."""

    breadth: str
    patterns: tuple[str, ...]
    numbers: Mapping[str, int]
    counted: tuple[CountKey, ...]


class Budget:
    """The counting of one lookup. `tenure` is the principal's; new ones have half of each budget."""

    def __init__(self, bands: Bands, lookup: Lookup, *, tenure: str) -> None:
        self._bands = bands
        self._lookup = lookup
        self._tenure = tenure
        self._day = local_day(lookup.at, bands.zone)
        self._today = self._day.isoformat()
        self._sight = SIGHTS[lookup.action]
        self._is_search = lookup.action is Action.SEARCH
        self._partial = self._is_search and fishing.is_partial(lookup.criteria, bands.patterns)
        self.lookups = self._daily("lookups")
        self.searches = self._daily("searches")
        self.opens = self._daily("opens")

    def _daily(self, what: str, run: int | None = None) -> CountKey:
        bucket = self._today if run is None else f"{self._today}#{run}"
        return CountKey(self._lookup.principal.id, what, RecordRef("~day", bucket))

    @property
    def _is_first_page(self) -> bool:
        return not self._lookup.continues

    @property
    def opens_records(self) -> bool:
        """Whether the lookup opens what it names, rather than showing it in a list."""
        return self._sight == VIEWED

    @property
    def own(self) -> tuple[CountKey, ...]:
        """Keys of the lookup itself: how many today, a further page of a list not counted again."""
        if not self._is_first_page:
            return ()
        return (self.lookups, self.searches) if self._is_search else (self.lookups,)

    @property
    def look(self) -> tuple[CountKey, ...]:
        """Keys only looked at: the numbers of today's searches and opened records, which name the runs."""
        if self._sight == VIEWED or not self._is_first_page:
            return (self.searches,)
        return (self.opens,) if self._partial else ()

    def run(self, seen: Mapping[CountKey, int]) -> CountKey | None:
        """The run that this lookup goes on with, if any: opened records or pages since a search, searches since an opening."""
        if self._sight == VIEWED:
            return self._daily("opens-run", seen[self.searches]) if seen[self.searches] else None
        if not self._is_first_page:
            return self._daily("pages-run", seen[self.searches])
        return self._daily("partial-run", seen[self.opens]) if self._partial else None

    def counting(self, row: Row, facts: RecordFacts) -> Counting:
        """What this row is counted by; a row without a record, a search before its answer, by nothing."""
        principal, record = self._lookup.principal.id, row.record
        if not record.id:
            return Counting({})
        if facts.explained_by:
            key = CountKey(principal, f"{EXPLAINED}-{self._sight}", record)
            return Counting({RECORD: (key,)}, is_explained=True)
        since, ref_since = _since(facts.last_work), _since(facts.ref_work)
        opened = self._sight == VIEWED
        # A list's row is counted by the surest key of each person alone: it stops later anyway, and there are many rows.
        each = 1 if not opened else None
        people = dict.fromkeys(key for one in row.subjects for key in subject_keys(one)[:each])
        reference = reference_key(self._lookup.declaration.ref)
        by = {
            RECORD: (CountKey(principal, self._sight, record, since),),
            SUBJECT: tuple(
                CountKey(principal, self._sight, RecordRef("~subject", key), since) for key in people
            ),
            REFERENCE: (CountKey(principal, self._sight, RecordRef("~reference", reference), ref_since),)
            if reference
            else (),
        }
        if not opened:
            return Counting(by)
        few = len(row.subjects) <= FEW_PEOPLE
        doors = tuple(self._doors(record, people)) if few else ()
        crowds = tuple(self._crowds(row)) if few and self._bands.patterns.crowd else ()
        return Counting(by, doors, tuple(self._reasons(record)), crowds, (self.opens,))

    def _doors(self, record: RecordRef, people: Mapping[str, None]) -> Iterator[Distinct]:
        spell = _spell(self._day, self._bands.patterns.many_doors_days)
        for key in people:
            yield self._distinct("door", f"{spell}:{key}", record.kind)

    def _reasons(self, record: RecordRef) -> Iterator[Distinct]:
        said = fishing.reason_key(self._lookup.declaration.reason)
        if said:
            spell = _spell(self._day, self._bands.patterns.same_reason_days)
            yield self._distinct("reason", f"{spell}:{said}", "/".join(record))

    def _crowds(self, row: Row) -> Iterator[Distinct]:
        """Who opened each person here, by the surest key of each: one count for the whole force, so few keys."""
        spell = _spell(self._day, self._bands.patterns.crowd_days)
        for one in dict.fromkeys(key for subject in row.subjects for key in subject_keys(subject)[:1]):
            of = f"{spell}:{one}"
            yield Distinct(
                CountKey(self._lookup.principal.id, "crowd", RecordRef("~crowd", of)),
                CountKey(FORCE, "crowd", RecordRef("~crowds", of)),
            )

    def _distinct(self, what: str, of: str, member: str) -> Distinct:
        principal = self._lookup.principal.id
        return Distinct(
            CountKey(principal, what, RecordRef(f"~{what}", f"{of}:{member}")),
            CountKey(principal, what, RecordRef(f"~{what}s", of)),
        )

    def standing(self, counting: Counting, ordinals: Ordinals, run: CountKey | None) -> Standing:
        """Where a row stands once its keys are reserved."""
        if counting.is_explained:
            (key,) = counting.by[RECORD]
            return Standing(ordinal=ordinals[key], counted=(key,), numbers={EXPLAINED: ordinals[key]})
        dimensions = {
            name: max([ordinals[key] for key in keys]) for name, keys in counting.by.items() if keys
        }
        ordinal = dimensions.get(RECORD, 0)
        keys = [key for own in counting.by.values() for key in own]
        limits = self._bands.patterns
        found = {
            fishing.MANY_DOORS: max((one.count(ordinals) for one in counting.doors), default=0),
            fishing.SAME_REASON: max((one.count(ordinals) for one in counting.reasons), default=0),
            fishing.CROWD: max((one.count(ordinals) for one in counting.crowds), default=0),
            fishing.MANY_OPENS: ordinals[run] if run and counting.also else 0,
        }
        froms = {
            fishing.MANY_DOORS: limits.many_doors,
            fishing.SAME_REASON: limits.same_reason,
            fishing.CROWD: limits.crowd,
            fishing.MANY_OPENS: limits.many_opens,
        }
        keys += counting.also
        if run and counting.also:
            keys.append(run)
        for one in (*counting.doors, *counting.reasons, *counting.crowds):
            keys += one.raised(ordinals)
        return Standing(
            ordinal=ordinal,
            repeat=self._bands.repeat(self._lookup.action, dimensions, tenure=self._tenure),
            patterns=tuple(word for word, count in found.items() if count >= froms[word] > 0),
            counted=tuple(keys),
            numbers={**dimensions, **{word: count for word, count in found.items() if count > 1}},
        )

    def words(self, ordinals: Ordinals, run: CountKey | None) -> Words:
        """What the lookup itself shows once its own keys, and its run, are reserved."""
        numbers = {key.sight: ordinals[key] for key in self.own}
        today = numbers.get(self.lookups.sight, 0)
        patterns: Sequence[str] = ()
        counted = list(self.own)
        if run and self._sight != VIEWED:
            word, limit = (
                (fishing.PARTIAL_NAME, self._bands.patterns.partial_name)
                if self._is_first_page
                else (fishing.PAGED_THROUGH, self._bands.patterns.paged_through)
            )
            counted.append(run)
            numbers[run.sight] = ordinals[run]
            patterns = (word,) if ordinals[run] >= limit else ()
        limit = self._bands.breadth.high_from(self._lookup.principal)
        return Words("high" if today >= limit else "usual", tuple(patterns), numbers, tuple(counted))


def _since(worked: datetime | None) -> str:
    return worked.isoformat() if worked else ""


def _spell(day: date, days: int) -> int:
    """The number of the span of so many days that a day is in; spans of seven begin on Mondays."""
    return (day.toordinal() - 1) // days
