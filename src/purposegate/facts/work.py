"""The force's work as its systems export it: references, who is assigned, which records they involve, who is on duty."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from purposegate.conflicts.dates import Interval, read_end, read_start
from purposegate.conflicts.written import staff_key
from purposegate.facts.sources import Source
from purposegate.feeds.reading import Source as Rows
from purposegate.feeds.reading import read_table
from purposegate.feeds.table import Line, Table, required
from purposegate.model import RecordRef

MOMENT = "a day as YYYY-MM-DD, or a moment with offset such as 2026-11-21T08:00:00Z, or nothing"
REFERENCE_COLUMNS = ("ref", "kind", "state", "opened", "closed")
ASSIGNMENT_COLUMNS = ("ref", "staff_id", "from", "to")
RECORD_COLUMNS = ("ref", "kind", "id")
DUTY_COLUMNS = ("staff_id", "from", "to")
STATES = frozenset({"open", "closed"})

Intervals = tuple[Interval, ...]


class Reference(NamedTuple):
    """A case, incident or operation: its kind, and when it was open."""

    kind: str
    open: Interval


class Assignment(NamedTuple):
    """Who is assigned to what: `reference_key` and `staff_key`."""

    ref: str
    staff_id: str


References = Source[Mapping[str, Reference]]
Assignments = Source[Mapping[Assignment, Intervals]]
ReferenceRecords = Source[Mapping[str, frozenset[RecordRef]]]
Duty = Source[Mapping[str, Intervals]]


def reference_key(ref: str) -> str:
    """A reference as compared: people write `cr/1042/26` and `CR/1042/26 ` for one."""
    return "".join(ref.split()).casefold()


def _interval(table: Table, line: Line, start: str, end: str, zone: ZoneInfo) -> Interval | None:
    first = table.take(line, start, lambda text: read_start(text, zone), MOMENT)
    last = table.take(line, end, lambda text: read_end(text, zone), MOMENT)
    if first is None or last is None:
        return None
    if not first < last:
        table.fault(line.number, end, f"a moment after {start}")
        return None
    return Interval(first, last)


def read_references(path: Rows, now: datetime, zone: ZoneInfo) -> References:
    """`ref,kind,state,opened,closed`. Raises `ImportRefused`."""
    table = read_table(path, REFERENCE_COLUMNS, now=now)
    found: dict[str, Reference] = {}
    for line in table.lines:
        key = table.take(line, "ref", lambda text: reference_key(required(text)), "a reference")
        kind = table.take(line, "kind", required, "a kind of reference")
        held = _interval(table, line, "opened", "closed", zone)
        state = line.cells["state"]
        if state not in STATES:
            table.fault(line.number, "state", "open or closed")
        if key in found:
            table.fault(line.number, "ref", "a reference that no earlier line has")
        if key and kind and held:
            # `closed` without a date is closed all the same: it was never open as far as anybody can tell.
            never = Interval(held.start, held.start)
            was_open = held if state == "open" or line.cells["closed"] else never
            found[key] = Reference(
                kind, Interval(was_open.start, min(was_open.end, now)) if state == "closed" else held
            )
    return Source.of(table, MappingProxyType(found))


def read_assignments(path: Rows, now: datetime, zone: ZoneInfo) -> Assignments:
    """`ref,staff_id,from,to`. Raises `ImportRefused`."""
    table = read_table(path, ASSIGNMENT_COLUMNS, now=now)
    found: dict[Assignment, Intervals] = {}
    for line in table.lines:
        key = table.take(line, "ref", lambda text: reference_key(required(text)), "a reference")
        staff_id = table.take(line, "staff_id", lambda text: staff_key(required(text)), "a staff id")
        held = _interval(table, line, "from", "to", zone)
        if key and staff_id and held:
            assignment = Assignment(key, staff_id)
            found[assignment] = (*found.get(assignment, ()), held)
    return Source.of(table, MappingProxyType(found))


def read_reference_records(path: Rows, now: datetime) -> ReferenceRecords:
    """`ref,kind,id`. Raises `ImportRefused`."""
    table = read_table(path, RECORD_COLUMNS, now=now)
    found: dict[str, set[RecordRef]] = {}
    for line in table.lines:
        key = table.take(line, "ref", lambda text: reference_key(required(text)), "a reference")
        kind = table.take(line, "kind", required, "a record kind")
        record = table.take(line, "id", required, "a record id")
        if key and kind and record:
            found.setdefault(key, set()).add(RecordRef(kind, record))
    return Source.of(table, MappingProxyType({key: frozenset(records) for key, records in found.items()}))


def read_duty(path: Rows, now: datetime, zone: ZoneInfo) -> Duty:
    """`staff_id,from,to`. Raises `ImportRefused`."""
    table = read_table(path, DUTY_COLUMNS, now=now)
    found: dict[str, Intervals] = {}
    for line in table.lines:
        staff_id = table.take(line, "staff_id", lambda text: staff_key(required(text)), "a staff id")
        held = _interval(table, line, "from", "to", zone)
        if staff_id and held:
            found[staff_id] = (*found.get(staff_id, ()), held)
    return Source.of(table, MappingProxyType(found))
