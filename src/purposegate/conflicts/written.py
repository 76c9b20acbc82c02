"""How people are written in the cells of the force's own files: names, dates of birth, addresses with the time lived there."""

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from purposegate.conflicts.addresses import folded_uprn, point
from purposegate.conflicts.dates import Interval, read_birth, read_day, read_end, read_start
from purposegate.conflicts.tables import Line, Table, parts, several
from purposegate.model import Address, Identity, Name, RecordRef

NAMES = "Given|Surname, several parted by ;"
BORN = "dates as YYYY-MM-DD, YYYY-MM or YYYY, not in the future, several parted by ;"
HOMES = "number|street|flat|locality|postcode|from|to|latitude|longitude|uprn, several parted by ;"
RECORDS = "kind:id, several parted by ;"


def staff_key(staff_id: str) -> str:
    """A staff id as compared: one system's `E1042` is another's `e1042 `, and a tie may not be missed over that."""
    return "".join(staff_id.split()).casefold()


class Home(NamedTuple):
    """An address and when somebody lived there."""

    address: Address
    lived: Interval


def read_names(text: str) -> tuple[Name, ...]:
    """Names of a cell. Raises ValueError, also for a name with neither part."""
    names = tuple(Name(*parts(value, most=2)) for value in several(text))
    if not all(any(name) for name in names):
        raise ValueError
    return names


def read_born(text: str, today: date) -> tuple[str, ...]:
    """Dates of birth of a cell. Raises ValueError."""
    read = [read_birth(value) for value in several(text)]
    if any(earliest > today for _, earliest in read):
        raise ValueError
    return tuple(written for written, _ in read)


def read_homes(text: str, zone: ZoneInfo) -> tuple[Home, ...]:
    """Addresses of a cell. Raises ValueError, also for an address without any part or one left before it was entered."""
    return tuple(_read_home(value, zone) for value in several(text))


def _read_home(value: str, zone: ZoneInfo) -> Home:
    number, street, unit, locality, postcode, start, end, *where = parts(value, most=10)
    latitude, longitude, uprn = where
    address = Address(number, street, unit, locality, postcode, latitude, longitude, uprn)
    lived = Interval(read_start(start, zone), read_end(end, zone))
    if not any(address) or lived.start >= lived.end:
        raise ValueError
    # A slip here would move the home and lose its neighbours, so what cannot be read is a fault, not something missing.
    if bool(latitude or longitude) != bool(point(latitude, longitude)) or bool(uprn) != bool(
        folded_uprn(uprn)
    ):
        raise ValueError
    return Home(address, lived)


def read_records(text: str) -> frozenset[RecordRef]:
    """Record ids of a cell. Raises ValueError."""
    found = [value.partition(":") for value in several(text)]
    if not all(kind.strip() and record.strip() for kind, _, record in found):
        raise ValueError
    return frozenset(RecordRef(kind.strip(), record.strip()) for kind, _, record in found)


def read_optional_day(text: str) -> date | None:
    """A day, or None for an empty cell. Raises ValueError."""
    return read_day(text) if text else None


def read_past_day(text: str, today: date) -> date | None:
    """A day not in the future, or None for an empty cell. Raises ValueError."""
    day = read_optional_day(text)
    if day and day > today:
        raise ValueError
    return day


def read_person(
    table: Table, line: Line, *, today: date, zone: ZoneInfo, homes: str
) -> tuple[Identity, tuple[Home, ...]] | None:
    """The person on a line, and where they lived; `homes` is the addresses' column. None, and faults, where it is wrong."""
    names = table.take(line, "names", read_names, NAMES)
    born = table.take(line, "born", lambda text: read_born(text, today), BORN)
    lived = table.take(line, homes, lambda text: read_homes(text, zone), HOMES)
    if names is None or born is None or lived is None:
        return None
    person = Identity(
        names=names,
        born=born,
        addresses=tuple(home.address for home in lived),
        phones=several(line.cells["phones"]),
        plates=several(line.cells["plates"]),
    )
    return person, lived


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The force's calendar day at a moment."""
    return at.astimezone(zone).date()
