"""Dates: of birth, with as much precision as somebody wrote, and the intervals in which facts hold.

A date of birth in a record may be impossible (month 19): that is an error to be matched through, so records' dates are read
leniently. Dates in the force's own files are read strictly, one spelling each.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_LOOSE = re.compile(r"(\d{4})(?:[-/.]?(\d{2})(?:[-/.]?(\d{2}))?)?(?:[T ].*)?")
_PARTIAL = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

BIRTHS_KEPT = 16_384
"""Dates kept as read, about 2 MB: there are only some 30,000 days on which people now living were born."""
FOREVER = datetime.max.replace(tzinfo=UTC)
BEGINNING = datetime.min.replace(tzinfo=UTC)


class Birth(NamedTuple):
    """A date of birth, year first; "" where a part is not known. Digits, not numbers: a record's month may be 19."""

    year: str
    month: str = ""
    day: str = ""


def births(written: tuple[str, ...]) -> tuple[Birth, ...]:
    """Every date that can be read, each once; what cannot be read is no evidence, so it is left out."""
    return tuple(dict.fromkeys(birth for text in written if (birth := _birth(text))))


@lru_cache(BIRTHS_KEPT)
def _birth(text: str) -> Birth | None:
    match = _LOOSE.fullmatch(text.strip())
    return Birth(*match.groups(default="")) if match else None


def read_birth(text: str) -> tuple[str, date]:
    """A date of birth from the force's own files and the first day it can mean. Raises ValueError."""
    if not _PARTIAL.fullmatch(text):
        raise ValueError
    return text, date.fromisoformat(text + "-01-01"[len(text) - 4 :])


def read_day(text: str) -> date:
    """`YYYY-MM-DD` and no other spelling. Raises ValueError."""
    if not _DAY.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


class Interval(NamedTuple):
    """From `start` until just before `end`, UTC."""

    start: datetime = BEGINNING
    end: datetime = FOREVER

    def holds(self, at: datetime) -> bool:
        """Whether the moment lies within."""
        return self.start <= at < self.end


def read_start(text: str, zone: ZoneInfo) -> datetime:
    """A moment with offset, or the first moment of a day in `zone`; empty means always. Raises ValueError."""
    return _read_edge(text, zone, days=0) if text else BEGINNING


def read_end(text: str, zone: ZoneInfo) -> datetime:
    """A moment with offset, or the last of a day in `zone` (the day itself is within); empty means for good. ValueError."""
    return _read_edge(text, zone, days=1) if text else FOREVER


def _read_edge(text: str, zone: ZoneInfo, *, days: int) -> datetime:
    if _MOMENT.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    try:
        midnight = datetime.combine(read_day(text) + timedelta(days=days), time(), tzinfo=zone)
        return midnight.astimezone(UTC)
    except OverflowError as error:
        raise ValueError from error
