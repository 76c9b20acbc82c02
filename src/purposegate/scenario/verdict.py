"""What came of a story, beside what was expected of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from purposegate.scenario.afterwards import Hit
from purposegate.scenario.playing import Seen
from purposegate.scenario.raised import rows_of
from purposegate.scenario.story import By, Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A row of a list: the lookup's number, how many lookups there were by the time it stood there, and why."""

    number: int
    by: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One scenario's result. Numbers count lookups from 1; None is never.

    `released_after` counts lookups that went through after the first that was stopped. `lawful_raised` are lawful lookups on
    the work list: nobody was hindered, and somebody has to look.
    """

    id: str
    title: str
    lookups: int
    stopped_at: int | None
    stopped_why: tuple[str, ...]
    released_after: int
    asked_at: int | None
    raised_at: int | None
    raised_why: str
    lawful: int
    lawful_hindered: int
    lawful_why: tuple[str, ...]
    lawful_raised: int
    faults: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether every expectation was met."""
        return not self.faults


def verdict(story: Story, played: Sequence[Seen], hits: Sequence[Hit], quiet: Sequence[Seen] = ()) -> Verdict:
    """Compare. `quiet` is the same story played without its covert entries, where nobody may see a difference."""
    counted = [one for one in played if one.asking.number and not one.asking.lawful]
    lawful = [one for one in played if one.asking.lawful]
    stopped = [one for one in counted if one.is_stopped]
    hindered = [one for one in lawful if one.outcome != "released"]
    rows = sorted(_raised(counted, played, hits), key=lambda row: (row.by, row.number))
    stopped_at = stopped[0].asking.number if stopped else None
    raised_at = rows[0].by if rows else None
    faults = [*_wrong(played), *_unmet(story, stopped_at, raised_at, len(hindered))]
    if story.expected.quiet:
        faults += _loud(counted, played, quiet)
    return Verdict(
        id=story.id,
        title=story.title,
        lookups=sum(1 for one in played if one.asking.number),
        stopped_at=stopped_at,
        stopped_why=_why(stopped[:1]),
        released_after=sum(
            1 for one in counted if stopped_at and one.asking.number > stopped_at and not one.is_stopped
        ),
        asked_at=next((one.asking.number for one in counted if one.outcome == "asked"), None),
        raised_at=raised_at,
        raised_why=rows[0].why if rows else "",
        lawful=len(lawful),
        lawful_hindered=len(hindered),
        lawful_why=_why(hindered),
        lawful_raised=sum(1 for one in lawful if any(rows_of(entry) for entry in one.entries)),
        faults=tuple(faults),
    )


def _raised(counted: Sequence[Seen], played: Sequence[Seen], hits: Sequence[Hit]) -> Iterable[Raised]:
    """Every row that a counted lookup made, on the work list or on the lists beside it."""
    for one in counted:
        for entry in one.entries:
            for row in rows_of(entry):
                number = one.asking.number
                yield Raised(number=number, by=number, why=f"work list: {', '.join(row.reasons)}")
    numbers = {entry.lookup_id: one.asking for one in counted for entry in one.entries}
    for hit in hits:
        if hit.lookup in numbers:
            asking = numbers[hit.lookup]
            at = max(asking.at, hit.known or asking.at)
            yield Raised(number=asking.number, by=max(asking.number, _gone_by(played, at)), why=hit.why)


def _gone_by(played: Sequence[Seen], at: datetime) -> int:
    """How many of the numbered lookups had been made by a moment."""
    return max((one.asking.number for one in played if one.asking.at <= at), default=0)


def _wrong(played: Sequence[Seen]) -> Iterable[str]:
    for one in played:
        expected = one.asking.expect
        if expected and expected != one.outcome and not (expected == "stopped" and one.is_stopped):
            yield f"line {one.asking.line}: expected {expected}, was {one.outcome}"


def _unmet(story: Story, stopped_at: int | None, raised_at: int | None, hindered: int) -> Iterable[str]:
    for word, wanted, found in (
        ("stopped", story.expected.stop_by, stopped_at),
        ("raised", story.expected.raise_by, raised_at),
    ):
        if not _is_met(wanted, found):
            yield f"{word}: expected {_by(wanted)}, was {_by(found)}"
    if hindered > story.expected.lawful_hindered:
        yield f"lawful lookups hindered: expected {story.expected.lawful_hindered}, were {hindered}"


def _is_met(wanted: By, found: int | None) -> bool:
    if wanted is None:
        return True
    if wanted == "never":
        return found is None
    return found is not None and found <= wanted


def _by(number: By) -> str:
    return "never" if number in (None, "never") else f"by {number}"


def _loud(counted: Sequence[Seen], played: Sequence[Seen], quiet: Sequence[Seen]) -> Iterable[str]:
    """Whatever the person could have noticed."""
    if noticed := [one.asking.number for one in counted if one.outcome != "released"]:
        yield f"quiet: lookup {noticed[0]} was {counted[0].outcome}"
    if quiet and [(one.status, one.answer) for one in played] != [(one.status, one.answer) for one in quiet]:
        yield "quiet: the answers differ from those without the covert entries"


def _why(found: Sequence[Seen]) -> tuple[str, ...]:
    why: Mapping[str, None] = dict.fromkeys(
        text for one in found for text in (*one.reasons, *_policy_reasons(one), *_ties(one))
    )
    return tuple(why)


def _policy_reasons(one: Seen) -> tuple[str, ...]:
    return tuple(text for text in one.entry.fields.get("policy_reasons", ()) if text not in one.reasons)


def _ties(one: Seen) -> tuple[str, ...]:
    return tuple(tie["relation"] for row in one.entry.rows for tie in row["conflicts"])
