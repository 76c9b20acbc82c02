"""What every part of a scenario file is read with: faults with their lines, moments, spans, ranges of ids."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from purposegate.documents import Document, Key
from purposegate.errors import Finding
from purposegate.scenario.story import Span

_RANGE = re.compile(r"([A-Za-z]+)([0-9]+)\.\.([A-Za-z]+)([0-9]+)")


class Page:
    """One document being read. Faults are collected, to be raised together."""

    def __init__(self, document: Document, zone: ZoneInfo) -> None:
        self._document = document
        self.zone = zone
        self.content: Mapping[str, Any] = document.content
        self.faults: list[Finding] = []

    def fault(self, keys: Sequence[Key], expected: str) -> None:
        """Note a fault at the value that `keys` leads to."""
        self.faults.append(self._document.finding(keys, expected))

    def line(self, keys: Sequence[Key]) -> int:
        """The line of the value that `keys` leads to, 1 = the first."""
        return self._document.finding(keys, "").line

    def moment(self, text: str, keys: Sequence[Key], *, end: bool = False) -> datetime:
        """A moment, UTC. A day alone is its beginning, or, as an end, its last moment: the day itself is within."""
        try:
            if len(text) == len("2024-01-08"):
                day = date.fromisoformat(text) + timedelta(days=int(end))
                return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)
            read = datetime.fromisoformat(text.replace(" ", "T"))
            return (read if read.tzinfo else read.replace(tzinfo=self.zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fault(keys, "a day or moment that the calendar has")
            return datetime(2024, 1, 8, tzinfo=UTC)

    def span(
        self, spec: Mapping[str, Any], keys: Sequence[Key], first: str = "from", last: str = "to"
    ) -> Span:
        """The time between two values, with when the feeds know of it."""

        def at(name: str) -> datetime | None:
            return self.moment(spec[name], (*keys, name), end=name == last) if name in spec else None

        span = Span(at(first), at(last), at("known_from"))
        if span.start and span.end and span.end <= span.start:
            self.fault((*keys, last), f"a moment after {first}")
        return span

    def ids(self, written: str) -> list[str]:
        """The staff ids that a text stands for: one, or a range."""
        found = _RANGE.fullmatch(written)
        if found is None:
            return [written]
        prefix, first, other, last = found.groups()
        if prefix != other or not int(first) <= int(last) <= int(first) + 5000:
            self.fault(("staff", written), "one id, or a range such as W1..W80 of at most 5000")
            return []
        return [f"{prefix}{number}" for number in range(int(first), int(last) + 1)]
