"""The staff directory: who works for the force, since when, in which unit, and where they live.

It gives the ties nobody has to declare: self, colleague, the same household, the neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from purposegate.conflicts.written import Home, local_day, read_optional_day, read_person, staff_key
from purposegate.feeds.reading import Source, read_table
from purposegate.feeds.table import Line, Stamp, Table, required
from purposegate.model import Identity

COLUMNS = ("staff_id", "names", "born", "homes", "unit", "joined", "left", "phones", "plates")
OPTIONAL = ("kind", "vetting_expires", "training_expires", "place")
KINDS = ("person", "service")
DAY = "a day as YYYY-MM-DD, or nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """One member of staff, or a service that asks for them. `joined` is the first day in post, `left` the last.

    `vetting_expires` and `training_expires` are the last days on which each counts; `place` is where the roster has them.
    """

    id: str
    person: Identity
    homes: tuple[Home, ...]
    unit: str
    joined: date | None
    left: date | None
    is_service: bool = False
    vetting_expires: date | None = None
    training_expires: date | None = None
    place: str = ""

    def is_employed(self, today: date) -> bool:
        """Whether they work for the force today."""
        return not (self.joined and today < self.joined) and not (self.left and self.left < today)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The staff directory as imported, by `staff_key`. `as_of`: when it was true, UTC; `digest`: SHA-256 of the file, hex."""

    staff: Mapping[str, Staff]
    as_of: datetime
    digest: str
    stamp: Stamp

    def member(self, staff_id: str) -> Staff | None:
        """The member of staff with this id."""
        return self.staff.get(staff_key(staff_id))


def read_directory(path: Source, *, now: datetime, zone: ZoneInfo, at_least: int = 1) -> Directory:
    """Import the directory. Raises `ImportRefused` with every fault by line and column; then nothing of it is taken.

    With fewer members of staff than `at_least` it is refused as well: it gives ties that nobody declared.
    """
    table = read_table(path, (*COLUMNS, *OPTIONAL), now=now, optional=OPTIONAL)
    table.unique("staff_id", staff_key)
    today = local_day(now, zone)
    read = [_staff(table, line, today, zone) for line in table.lines]
    if not table.lines and not table.faults:
        # A force has staff: an empty export is a broken one, and would make everybody unknown and nobody related.
        table.fault(1, "(file)", "at least one member of staff")
    elif len(table.lines) < at_least and not table.faults:
        table.fault(
            1,
            "(file)",
            f"at least {at_least} members of staff, as the last one had more; reload to accept it",
        )
    table.close()
    return Directory(
        staff=MappingProxyType({staff_key(one.id): one for one in read if one}),
        as_of=table.as_of,
        digest=table.digest,
        stamp=table.stamp,
    )


def _staff(table: Table, line: Line, today: date, zone: ZoneInfo) -> Staff | None:
    faults = len(table.faults)
    identifier = table.take(line, "staff_id", required, "a staff id")
    read = read_person(table, line, today=today, zone=zone, homes="homes")
    joined = table.take(line, "joined", read_optional_day, DAY)
    left = table.take(line, "left", read_optional_day, DAY)
    if joined and left and left < joined:
        table.fault(line.number, "left", "a day not before joined")
    vetting, training = (
        table.take(line, column, read_optional_day, DAY) for column in ("vetting_expires", "training_expires")
    )
    kind = line.cells["kind"] or "person"
    if kind not in KINDS:
        table.fault(line.number, "kind", "person or service, or nothing for a person")
    if read and not read[0].names and kind == "person":
        table.fault(line.number, "names", "at least one name")
    if len(table.faults) > faults or identifier is None or read is None:
        return None
    person, homes = read
    return Staff(
        id=identifier,
        person=person,
        homes=homes,
        unit=line.cells["unit"],
        joined=joined,
        left=left,
        is_service=kind == "service",
        vetting_expires=vetting,
        training_expires=training,
        place=line.cells["place"],
    )
