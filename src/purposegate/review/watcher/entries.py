"""Covert entries as intelligence gives them: CSV or JSON Lines with the register's columns, all or nothing.

The opposite of the register's rule holds: every line must be of intelligence provenance, so that nothing lawfully overt is
hidden here. Faults name line and column and never echo a cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from purposegate.conflicts.register import COLUMNS, OPTIONAL, RegisterEntry
from purposegate.conflicts.relations import INTELLIGENCE, SELF, Relations
from purposegate.conflicts.written import (
    RECORDS,
    local_day,
    read_optional_day,
    read_past_day,
    read_person,
    read_records,
)
from purposegate.feeds.reading import read_table, stamp
from purposegate.feeds.table import Line, Table, required

PAST = "a day as YYYY-MM-DD that is not in the future, or nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A file of entries, read: each as its cells and as what they mean. `digest` is the file's SHA-256, hex."""

    digest: str
    cells: tuple[Mapping[str, str], ...]
    entries: tuple[RegisterEntry, ...] = field(repr=False)


def read_entries(path: Path, relations: Relations, *, now: datetime, zone: ZoneInfo) -> Offered:
    """Read a file. Raises `ImportRefused` with every fault by line and column; then nothing of it may be taken."""
    table = read_table(path, COLUMNS, now=now, optional=OPTIONAL)
    table.unique("id")
    entries = [entry_of(table, line, relations, now=now, zone=zone) for line in table.lines]
    if not table.lines and not table.faults:
        table.fault(1, "(file)", "at least one entry")
    table.close()
    return Offered(
        digest=table.digest,
        cells=tuple(line.cells for line in table.lines),
        entries=tuple(filter(None, entries)),
    )


def reread(
    cells: Sequence[Mapping[str, str]], relations: Relations, *, now: datetime, zone: ZoneInfo
) -> list[RegisterEntry]:
    """Entries from cells that were accepted before, by today's conflicts.yaml. Raises `ImportRefused`; lines are the store's."""
    table = Table("watcher store", now, "", stamp(Path(__file__)))
    table.lines = [Line(number, dict(each)) for number, each in enumerate(cells, 1)]
    entries = [entry_of(table, line, relations, now=now, zone=zone) for line in table.lines]
    table.close()
    return [entry for entry in entries if entry]


def entry_of(
    table: Table, line: Line, relations: Relations, *, now: datetime, zone: ZoneInfo
) -> RegisterEntry | None:
    """The entry of one line, or None with faults noted in the table."""
    faults, today = len(table.faults), local_day(now, zone)
    relation = relations.known_as(line.cells["relation"])
    if relation is None or relation.name == SELF:
        table.fault(line.number, "relation", "a relation of conflicts.yaml, other than self")
    if line.cells["provenance"] != INTELLIGENCE:
        table.fault(line.number, "provenance", f"{INTELLIGENCE}: other entries belong in the register")
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
    if len(table.faults) > faults or not (relation and identifier and principal and read):
        return None
    person, homes = read
    return RegisterEntry(
        id=identifier,
        principal=principal,
        relation=relation.name,
        provenance=INTELLIGENCE,
        person=person,
        homes=homes,
        records=records or frozenset(),
        valid_from=valid_from,
        valid_to=valid_to,
        known_from=known_from,
        declared_by=line.cells["declared_by"],
    )
