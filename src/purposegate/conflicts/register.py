"""The register: who has a tie to whom, as the force was told. Imported whole or not at all, indexed by principal.

An entry of intelligence provenance is an error here: such entries exist only in the watcher's world (law 6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from purposegate.conflicts.relations import IMPORTABLE, INTELLIGENCE, SELF, SELF_DECLARED, Relation, Relations
from purposegate.conflicts.tables import Line, Stamp, Table, read_table, required
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
from purposegate.model import Identity, RecordRef

COLUMNS = (
    "id", "principal", "relation", "provenance", "names", "born", "addresses", "phones", "plates", "records",
    "valid_from", "valid_to", "known_from", "declared_by",
)  # fmt: skip
PAST = "a day as YYYY-MM-DD that is not in the future, or nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """One conflict entry. `person` is the other person; `records` are ids under which records systems hold them.

    `valid_from` and `valid_to` are the first and last day of the tie; `known_from` is when the force learnt of it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """The register as imported, by `staff_key`. `as_of` is when it was true, UTC; `digest` the SHA-256 of the file, hex."""

    entries: Mapping[str, tuple[RegisterEntry, ...]]
    as_of: datetime
    digest: str
    stamp: Stamp

    def entries_of(self, principal: str) -> tuple[RegisterEntry, ...]:
        """Every entry of one member of staff."""
        return self.entries.get(staff_key(principal), ())


def read_register(path: Path, relations: Relations, *, now: datetime, zone: ZoneInfo) -> Register:
    """Import the register. Raises `ImportRefused` with every fault by line and column; then nothing of it is taken."""
    table = read_table(path, COLUMNS, now=now)
    table.unique("id")
    today = local_day(now, zone)
    read = [_entry(table, line, relations, today, zone) for line in table.lines]
    table.close()
    entries: dict[str, list[RegisterEntry]] = {}
    for entry in filter(None, read):
        entries.setdefault(staff_key(entry.principal), []).append(entry)
    return Register(
        entries=MappingProxyType({principal: tuple(rows) for principal, rows in entries.items()}),
        as_of=table.as_of,
        digest=table.digest,
        stamp=table.stamp,
    )


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
    valid_from = table.take(line, "valid_from", lambda text: read_past_day(text, today), PAST)
    valid_to = table.take(line, "valid_to", read_optional_day, "a day as YYYY-MM-DD, or nothing")
    known_from = table.take(line, "known_from", lambda text: read_past_day(text, today), PAST)
    if valid_from and valid_to and valid_to < valid_from:
        table.fault(line.number, "valid_to", "a day not before valid_from")
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
    )
