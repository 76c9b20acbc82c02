"""The lookups of a scenario file: who asks for what, when and how often, numbered in order of time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from purposegate.documents import Key
from purposegate.model import Declaration, RecordRef
from purposegate.scenario.cast import Record
from purposegate.scenario.page import Page
from purposegate.scenario.story import Asking, Member, Search

DEFAULT_REASON = "Reading the statements before the hearing"
DEFAULT_JUSTIFICATION = (
    "Reading the statements and the custody notes again before the hearing on Friday, since the case lead wants the"
    " addresses and dates of the second interview compared"
)
"""What somebody says who wants the record and is asked why: a full sentence, true or not."""
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOST_LOOKUPS = 200_000


class Askings:
    """Reads the sections `lookups` and `lawful`; faults are noted in the page."""

    def __init__(self, page: Page, staff: Mapping[str, Member], records: Mapping[RecordRef, Record]) -> None:
        self._page = page
        self._staff = staff
        self._records = records
        self._number = 0

    def read(self) -> Iterator[Asking]:
        """Every lookup, those that count with their number; in order of time within each section."""
        for section in ("lookups", "lawful"):
            specs = self._page.content.get(section, ())
            if sum(one.get("times", 1) for one in specs) > MOST_LOOKUPS:
                self._page.fault((section,), f"at most {MOST_LOOKUPS} lookups")
                continue
            found = [one for place, spec in enumerate(specs) for one in self._asked(spec, (section, place))]
            for one in sorted(found, key=lambda asking: asking.at):
                yield self._numbered(one) if section == "lookups" else one

    def _numbered(self, one: Asking) -> Asking:
        self._number += 1
        return replace(one, number=self._number)

    def _asked(self, spec: Mapping[str, Any], keys: Sequence[Key]) -> Iterator[Asking]:
        who = spec["who"] if isinstance(spec["who"], list) else [spec["who"]]
        askers = [one for written in who for one in self._page.ids(written)]
        if unknown := [one for one in askers if one not in self._staff]:
            self._page.fault((*keys, "who"), f"ids of staff of this file; {len(unknown)} are not")
        written = spec.get("record", [])
        named = [
            RecordRef(*one.split(":", 1)) for one in ([written] if isinstance(written, str) else written)
        ]
        if unknown_records := [one for one in named if one not in self._records]:
            self._page.fault(
                (*keys, "record"), f"records of this file, as kind:id; {len(unknown_records)} are not"
            )
        action = spec.get("action", "search" if "search" in spec else "view")
        if (action == "search") is not ("search" in spec):
            self._page.fault((*keys, "action"), "search exactly where search says what is searched for")
        if not askers or (action != "search" and not named):
            return
        searched = Search(**spec["search"]) if "search" in spec else None
        said = spec.get("reason", DEFAULT_REASON)
        reasons = [said] if isinstance(said, str) else said
        first, step = self._page.moment(spec["at"], (*keys, "at")), _step(spec.get("every", "1d"))
        for turn in range(spec.get("times", 1)):
            yield Asking(
                at=_after(first, step * turn, self._page.zone),
                who=askers[turn % len(askers)],
                action=action,
                record=named[turn % len(named)] if named else None,
                search=searched,
                declaration=Declaration(
                    purpose=spec["purpose"],
                    ref=spec.get("ref", ""),
                    reason=reasons[turn % len(reasons)],
                    originator=spec.get("originator", ""),
                    recipient=spec.get("recipient", ""),
                    break_glass=spec.get("break_glass", False),
                ),
                justification=spec.get("justification", DEFAULT_JUSTIFICATION),
                lawful=spec.get("lawful", keys[0] == "lawful"),
                number=0,
                expect=spec.get("expect", ""),
                line=self._page.line(keys),
            )


def _step(text: str) -> timedelta:
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def _after(first: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """The same hour by the wall clock, so many days on: people's days have no summer time."""
    if step.seconds:
        return first + step
    return (first.astimezone(zone) + step).astimezone(UTC)
