"""The register: who has a tie to whom, as the force was told. Imported whole or not at all, indexed by principal.

An entry of intelligence provenance is an error here: such entries exist only in the watcher's world (law 6).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from purposegate.conflicts.decisions import Decision
from purposegate.conflicts.relations import IMPORTABLE, INTELLIGENCE, SELF, SELF_DECLARED, Relation, Relations
from purposegate.conflicts.written import (
    RECORDS,
    Home,
    local_day,
    read_optional_day,
    read_past_day,
    read_person,
    read_records,
    staff_key,
)
from purposegate.feeds.reading import Source, opened
from purposegate.feeds.table import Line, Stamp, Table, required
from purposegate.model import Identity, RecordRef

COLUMNS = (
    "id", "principal", "relation", "provenance", "names", "born", "addresses", "phones", "plates", "records",
    "valid_from", "valid_to", "known_from", "declared_by", "review",
)  # fmt: skip
OPTIONAL = ("review",)
STAFF = "staff"
"""The record kind by which an entry says that its other person is staff too: `staff:E1042`. No records system's."""
ANOTHER = "somebody other than the member of staff themself"
ACYCLIC = "a relation that, with the other lines, makes nobody their own ancestor"
MOST_CYCLES = 20
DAY = "a day as YYYY-MM-DD, or nothing"
PAST = "a day as YYYY-MM-DD that is not in the future, or nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """One conflict entry. `person` is the other person; `records` are ids under which records systems hold them.

    `valid_from` and `valid_to` are the first and last day of the tie; `known_from` is when the force learnt of it; `review` is
    when somebody should look at the entry again. `chain` is empty but for a tie that was composed of several entries.
    """

    id: str
    principal: str
    relation: str
    provenance: str
    person: Identity
    homes: tuple[Home, ...]
    records: frozenset[RecordRef]
    valid_from: date | None
    valid_to: date | None
    known_from: date | None
    declared_by: str
    review: date | None = None
    chain: tuple["Link", ...] = ()

    @property
    def staff(self) -> tuple[str, ...]:
        """Who of the staff the other person is, by `staff_key`, where the entry says so itself."""
        return tuple(sorted(staff_key(record.id) for record in self.records if record.kind == STAFF))

    def counts(self, relation: Relation, today: date) -> bool:
        """Whether the tie holds today, or ended so recently that it still counts."""
        if self.valid_from and today < self.valid_from:
            return False
        return self.valid_to is None or today <= self.valid_to + timedelta(
            days=relation.counts_after_end_days
        )

    def is_declared_by(self, principal: str) -> bool:
        """Whether this member of staff told the force of it themself, so that naming it back tells them nothing."""
        tellers = {staff_key(one) for one in (self.principal, self.declared_by or principal, principal)}
        return self.provenance == SELF_DECLARED and len(tellers) == 1


class Link(NamedTuple):
    """One step of a composed tie: the relation as it is read along the chain, and the entry that says so."""

    relation: str
    entry: str


class Entries(Protocol):
    """A register that can be asked. `as_of` is when it was true, UTC; `digest` tells its states apart."""

    @property
    def as_of(self) -> datetime:
        """When the register was true, UTC."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all that it says."""
        ...

    @property
    def stamp(self) -> Stamp:
        """What tells whether it was changed since."""
        ...

    def entries_of(self, principal: str) -> tuple[RegisterEntry, ...]:
        """Every entry of one member of staff. Raises `FactsOutage`."""
        ...

    def naming(self, record: RecordRef, relations: frozenset[str]) -> tuple[RegisterEntry, ...]:
        """Every entry, of whomever, that names this record and has one of these relations. Raises `FactsOutage`."""
        ...

    def decisions_of(self, principal: str) -> tuple[Decision, ...]:
        """What people decided of this member of staff's candidates. Raises `FactsOutage`."""
        ...

    def each(self) -> Iterator[RegisterEntry]:
        """Every entry, one at a time. Raises `FactsOutage`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register in memory, by `staff_key`: the smallest set-up's. `digest` is the SHA-256 of the file, hex."""

    entries: Mapping[str, tuple[RegisterEntry, ...]]
    as_of: datetime
    digest: str
    stamp: Stamp

    def entries_of(self, principal: str) -> tuple[RegisterEntry, ...]:
        """See `Entries`."""
        return self.entries.get(staff_key(principal), ())

    def naming(self, record: RecordRef, relations: frozenset[str]) -> tuple[RegisterEntry, ...]:
        """See `Entries`."""
        return tuple(one for one in self._by_record.get(named(record), ()) if one.relation in relations)

    def decisions_of(self, principal: str) -> tuple[Decision, ...]:  # noqa: ARG002
        """See `Entries`. Decisions are kept in a store: a file is only read."""
        return ()

    def each(self) -> Iterator[RegisterEntry]:
        """See `Entries`."""
        return (entry for entries in self.entries.values() for entry in entries)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return sum(map(len, self.entries.values()))

    @cached_property
    def _by_record(self) -> Mapping[RecordRef, Sequence[RegisterEntry]]:
        found: dict[RecordRef, list[RegisterEntry]] = {}
        for entry in self.each():
            for record in entry.records:
                found.setdefault(named(record), []).append(entry)
        return found


def named(record: RecordRef) -> RecordRef:
    """A record's name as compared between entries: of staff, by `staff_key`."""
    return RecordRef(STAFF, staff_key(record.id)) if record.kind == STAFF else record


def read_register(
    source: Source, relations: Relations, *, now: datetime, zone: ZoneInfo, at_least: int = 0
) -> Register:
    """Read a register into memory. Raises `ImportRefused` with every fault by line and column; then nothing of it is taken.

    With fewer entries than `at_least` it is refused as well: an export that broke off must not clear conflicts.
    """
    entries: dict[str, list[RegisterEntry]] = {}
    with opened(source, COLUMNS, now=now, optional=OPTIONAL) as table:
        reading = Reading(table, relations, now=now, zone=zone)
        table.lines = list(table.rows)
        table.unique("id")
        for entry in reading.entries(table.lines):
            entries.setdefault(staff_key(entry.principal), []).append(entry)
        if len(table.lines) < at_least and not table.faults:
            table.fault(
                1, "(file)", f"at least {at_least} entries, as the last one had more; reload to accept it"
            )
        table.close()
    return Register(
        entries=MappingProxyType({principal: tuple(rows) for principal, rows in entries.items()}),
        as_of=table.as_of,
        digest=table.digest,
        stamp=table.stamp,
    )


class Reading:
    """Reads a table's rows as entries, noting faults in it; those that only all lines together show, at the end."""

    def __init__(self, table: Table, relations: Relations, *, now: datetime, zone: ZoneInfo) -> None:
        self._table = table
        self._relations = relations
        self._today = local_day(now, zone)
        self._zone = zone
        self._edges: dict[tuple[str, str, str], int] = {}
        self.relations: set[str] = set()

    def entries(self, lines: Iterable[Line]) -> Iterator[RegisterEntry]:
        """Each entry without fault, in order."""
        return (entry for _, entry in self.numbered(lines))

    def numbered(self, lines: Iterable[Line]) -> Iterator[tuple[int, RegisterEntry]]:
        """Each entry without fault, with the number of its line."""
        for line in lines:
            entry = _entry(self._table, line, self._relations, self._today, self._zone)
            if entry is not None:
                self._take(line, entry)
                yield line.number, entry
        for number in _circular(self._edges):
            self._table.fault(number, "relation", ACYCLIC)

    def _take(self, line: Line, entry: RegisterEntry) -> None:
        self.relations.add(entry.relation)
        relation = self._relations.by_name[entry.relation]
        for other in entry.staff if relation.acyclic else ():
            mine = staff_key(entry.principal)
            # One direction for both readings of one fact: that A is B's parent, and that B is A's child.
            edge = min((relation.name, mine, other), (relation.inverse, other, mine))
            self._edges.setdefault(edge, line.number)


def _circular(edges: Mapping[tuple[str, str, str], int]) -> Iterator[int]:
    """The lines that close a circle: each circle's last."""
    left = dict(edges)
    for _ in range(MOST_CYCLES):
        graph: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for name, one, other in left:
            graph.setdefault((name, one), set()).add((name, other))
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            nodes: list[tuple[str, str]] = error.args[1]
            # graphlib lists each node after one of its own set above.
            steps = [(one[0], one[1], other[1]) for one, other in zip(nodes[1:], nodes, strict=False)]
            found = [edge for edge in steps if edge in left]
            last = max(found, key=lambda edge: left[edge])
            yield left.pop(last)
        else:
            return


def _relation(table: Table, line: Line, relations: Relations) -> Relation | None:
    found = relations.known_as(line.cells["relation"])
    if found is None or found.name == SELF:
        table.fault(line.number, "relation", "a relation of conflicts.yaml, other than self")
    return found


def _provenance(table: Table, line: Line) -> str:
    provenance = line.cells["provenance"]
    if provenance == INTELLIGENCE:
        expected = "no entry from intelligence: covert entries never enter this register (law 6)"
        table.fault(line.number, "provenance", expected)
    elif provenance not in IMPORTABLE:
        table.fault(line.number, "provenance", f"one of {', '.join(sorted(IMPORTABLE))}")
    return provenance


def _entry(
    table: Table, line: Line, relations: Relations, today: date, zone: ZoneInfo
) -> RegisterEntry | None:
    faults = len(table.faults)
    relation = _relation(table, line, relations)
    provenance = _provenance(table, line)
    identifier = table.take(line, "id", required, "an id")
    principal = table.take(line, "principal", required, "a staff id")
    read = read_person(table, line, today=today, zone=zone, homes="addresses")
    records = table.take(line, "records", read_records, RECORDS)
    review = table.take(line, "review", read_optional_day, DAY)
    valid_from = table.take(line, "valid_from", lambda text: read_past_day(text, today), PAST)
    valid_to = table.take(line, "valid_to", read_optional_day, DAY)
    known_from = table.take(line, "known_from", lambda text: read_past_day(text, today), PAST)
    if valid_from and valid_to and valid_to < valid_from:
        table.fault(line.number, "valid_to", "a day not before valid_from")
    if principal and records and RecordRef(STAFF, staff_key(principal)) in map(named, records):
        table.fault(line.number, "records", ANOTHER)
    if read and not (read[0].names or read[0].phones or read[0].plates or records):
        table.fault(line.number, "names", "at least a name, a telephone number, a plate or a record id")
    if (
        len(table.faults) > faults
        or relation is None
        or identifier is None
        or principal is None
        or read is None
    ):
        return None
    person, homes = read
    return RegisterEntry(
        id=identifier,
        principal=principal,
        relation=relation.name,
        provenance=provenance,
        person=person,
        homes=homes,
        records=records or frozenset(),
        valid_from=valid_from,
        valid_to=valid_to,
        known_from=known_from,
        declared_by=line.cells["declared_by"],
        review=review,
    )
