"""Dates of birth as compared, and the days and moments of the force's own files."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from purposegate.conflicts.dates import (
    BEGINNING,
    FOREVER,
    Birth,
    Interval,
    births,
    read_birth,
    read_day,
    read_end,
    read_start,
)

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1965-10-13", Birth("1965", "10", "13")),
        ("19651013", Birth("1965", "10", "13")),
        ("1965-10", Birth("1965", "10")),
        ("1965", Birth("1965")),
        ("1965-19-13", Birth("1965", "19", "13")),
        ("1965-10-13T00:00:00", Birth("1965", "10", "13")),
    ],
)
def test_records_dates_are_read_leniently(written: str, expected: Birth) -> None:
    """A record's date counts as far as it was written, even where no calendar has it."""
    assert (expected,) == births((written,))


@pytest.mark.parametrize("written", ["", "unknown", "13/10/1965", "65-10-13", "1965-1-3"])
def test_what_cannot_be_read_is_no_evidence(written: str) -> None:
    """A date in no known form is left out: it may not count against a match."""
    assert () == births((written,))


@pytest.mark.parametrize(
    ("written", "earliest"),
    [("1965-10-13", date(1965, 10, 13)), ("1965-10", date(1965, 10, 1)), ("1965", date(1965, 1, 1))],
)
def test_the_forces_dates_of_birth_have_one_spelling(written: str, earliest: date) -> None:
    """Year, year and month, or the day."""
    assert (written, earliest) == read_birth(written)


@pytest.mark.parametrize(
    "written", ["19651013", "1965-13", "1965-02-30", "1965-10-13 ", "\u0661\u0669\u0666\u0665", "1965-1"]
)
def test_other_spellings_are_refused(written: str) -> None:
    """No second spelling, no day that never was, no foreign digits."""
    with pytest.raises(ValueError):
        read_birth(written)


@pytest.mark.parametrize("written", ["2026-1-2", "20260102", "2026-02-30", "0000-01-01", "today"])
def test_days_have_one_spelling(written: str) -> None:
    """A day is YYYY-MM-DD."""
    with pytest.raises(ValueError):
        read_day(written)


def test_a_day_starts_and_ends_in_the_forces_zone() -> None:
    """In summer a London day begins at 23:00 UTC the day before, and the last day itself is within."""
    assert (datetime(2026, 6, 30, 23, tzinfo=UTC), datetime(2026, 7, 1, 23, tzinfo=UTC)) == (
        read_start("2026-07-01", LONDON),
        read_end("2026-07-01", LONDON),
    )


def test_moments_need_an_offset() -> None:
    """A clock time without its offset means two things twice a year, so it is refused."""
    assert datetime(2026, 7, 1, 8, tzinfo=UTC) == read_start("2026-07-01T09:00+01:00", LONDON)
    with pytest.raises(ValueError):
        read_start("2026-07-01T09:00", LONDON)


def test_empty_edges_are_open() -> None:
    """No start means always, no end means for good."""
    assert Interval(BEGINNING, FOREVER) == Interval(read_start("", LONDON), read_end("", LONDON))


def test_the_last_day_of_the_calendar_is_refused() -> None:
    """A day whose end cannot be written is a fault of the file, not of the gate."""
    with pytest.raises(ValueError):
        read_end("9999-12-31", LONDON)


def test_an_interval_ends_just_before_its_end() -> None:
    """The end itself is outside: an assignment that ends at noon does not hold at noon."""
    noon, later = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 13, tzinfo=UTC)

    assert (True, False) == (Interval(noon, later).holds(noon), Interval(noon, later).holds(later))
