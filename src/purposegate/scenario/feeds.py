"""What the force's feeds say at a moment of the story, written in the formats that the gate reads.

Feeds learn: a row stands in a file from when it is known, and its end once it has come. Every file states the moment it was
true. Nothing that the story holds and the feeds do not know yet reaches the gate.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval
from purposegate.facts.links import Link as FedLink
from purposegate.facts.links import node
from purposegate.facts.links_reading import LinkFeed
from purposegate.facts.links_sqlite import write_generation
from purposegate.scenario.cast import Home, Person
from purposegate.scenario.story import Link, Node, Span, Story, Tie

EVERY = timedelta(hours=12)
"""Files are written at least this often, as nightly and noon exports are, so that none grows stale."""

REGISTER_COLUMNS = (
    "id", "principal", "relation", "provenance", "names", "born", "addresses", "phones", "plates", "records",
    "valid_from", "valid_to", "known_from", "declared_by",
)  # fmt: skip

Rows = list[tuple[str, ...]]


class Feeds:
    """Writes the files of one story, and writes again those that time has changed."""

    def __init__(self, story: Story, folder: Path, zone: ZoneInfo) -> None:
        self._story = story
        self._folder = folder
        self._zone = zone
        self._said: dict[str, tuple[Rows, datetime]] = {}
        self._linked: tuple[list[FedLink], datetime] | None = None
        self._next = story.start

    def write(self, now: datetime) -> bool:
        """Bring the files up to a moment. Returns whether one was written."""
        if now < self._next and self._said:
            return False
        written = False
        for name, (header, rows_at) in _FILES.items():
            rows = list(rows_at(self, now))
            known = self._said.get(name)
            if known is None or known[0] != rows or now - known[1] >= EVERY:
                self._put(name, header, rows, now)
                self._said[name] = (rows, now)
                written = True
        written = self._write_links(now) or written
        self._next = self._when(now)
        return written

    def _write_links(self, now: datetime) -> bool:
        """Everything that the other files do not say, as one generation of links."""
        links = [link for link in self._story.links if not is_assignment(link) and _is_known(link.held, now)]
        fed = [self._fed(link, now) for link in links]
        if self._linked is not None and self._linked[0] == fed and now - self._linked[1] < EVERY:
            return False
        write_generation(self._folder / "links.db", LinkFeed(fed, now))
        self._linked = (fed, now)
        return True

    def _fed(self, link: Link, now: datetime) -> FedLink:
        end = link.held.end if link.held.end and link.held.end <= now else None
        held = Interval(link.held.start or BEGINNING, end or FOREVER)
        return FedLink(self._node(link.source), link.relation, self._node(link.target), held)

    def _node(self, one: Node) -> str:
        """A reference is known by its kind, such as a case; everything else by the kind that the link names."""
        reference = self._story.references.get(one.id) if one.kind == "reference" else None
        return node(reference.kind if reference else one.kind, one.id)

    def _when(self, now: datetime) -> datetime:
        """The next moment at which a file must be written."""
        changes = [one for one in _moments(self._story, self._zone) if one > now]
        return min([*changes, now + EVERY])

    def _put(self, name: str, header: str, rows: Rows, now: datetime) -> None:
        text = io.StringIO(newline="")
        text.write(f"#as_of={_written(now)} rows={len(rows)}\n")
        writer = csv.writer(text)
        writer.writerow(header.split(","))
        writer.writerows(rows)
        draft = self._folder / f".{name}.part"
        draft.write_text(text.getvalue(), encoding="utf-8", newline="")
        draft.rename(self._folder / name)

    def directory(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """Who works there."""
        today = now.astimezone(self._zone).date().isoformat()
        for one in self._story.staff.values():
            left = one.left if one.left and one.left <= today else ""
            yield (
                one.id,
                names_cell(one.person),
                one.person.born,
                homes_cell(one.person),
                one.unit,
                one.joined,
                left,
                ";".join(one.person.phones),
                ";".join(one.person.plates),
                one.vetting,
                one.training,
            )

    def register(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """Ties that the force knows of by now."""
        for one in self._story.register:
            if one.known is None or one.known <= now:
                yield tie_row(one, self._zone)

    def references(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """Cases, incidents and operations, open and closed."""
        for one in self._story.references.values():
            if _is_known(one.open, now):
                is_closed = one.open.end is not None and one.open.end <= now
                start, end = _edges(one.open, now)
                yield one.ref, one.kind, "closed" if is_closed else "open", start, end

    def assignments(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """Who is assigned to what, since when, until when."""
        for link in self._story.links:
            if is_assignment(link) and _is_known(link.held, now):
                yield link.target.id, link.source.id, *_edges(link.held, now)

    def reference_records(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """Which records a reference names."""
        for one in self._story.references.values():
            if _is_known(one.open, now):
                for record in one.records:
                    yield one.ref, record.kind, record.id

    def duty(self, now: datetime) -> Iterator[tuple[str, ...]]:
        """The roster, a month ahead."""
        until = now + timedelta(days=31)
        for one in self._story.staff.values():
            for shift in one.on_duty:
                if shift.start is None or shift.start <= until:
                    yield one.id, _written(shift.start), _written(shift.end)


_FILES: Mapping[str, tuple[str, Callable[[Feeds, datetime], Iterable[tuple[str, ...]]]]] = {
    "directory.csv": (
        "staff_id,names,born,homes,unit,joined,left,phones,plates,vetting_expires,training_expires",
        Feeds.directory,
    ),
    "register.csv": (",".join(REGISTER_COLUMNS), Feeds.register),
    "references.csv": ("ref,kind,state,opened,closed", Feeds.references),
    "assignments.csv": ("ref,staff_id,from,to", Feeds.assignments),
    "reference_records.csv": ("ref,kind,id", Feeds.reference_records),
    "duty.csv": ("staff_id,from,to", Feeds.duty),
}


def is_assignment(link: Link) -> bool:
    """Whether the assignments' own file says it."""
    return link.relation == "assigned" and (link.source.kind, link.target.kind) == ("staff", "reference")


def names_cell(person: Person) -> str:
    """Names as the files write them."""
    return ";".join(f"{name.given}|{name.surname}" for name in person.names)


def homes_cell(person: Person) -> str:
    """Addresses as the files write them."""
    return ";".join(map(_home_cell, person.homes))


def _home_cell(home: Home) -> str:
    cells = [home.number, home.street, home.unit, home.locality, home.postcode]
    return "|".join([*cells, home.start, home.end] if home.start or home.end else cells)


def tie_row(tie: Tie, zone: ZoneInfo) -> tuple[str, ...]:
    """A tie as the register's file, and the watcher's, write it."""
    return (
        tie.id,
        tie.staff,
        tie.relation,
        tie.provenance,
        names_cell(tie.person),
        tie.person.born,
        homes_cell(tie.person),
        ";".join(tie.person.phones),
        ";".join(tie.person.plates),
        ";".join(f"{one.kind}:{one.id}" for one in tie.records),
        tie.start,
        tie.end,
        tie.known.astimezone(zone).date().isoformat() if tie.known else "",
        tie.declared_by,
    )


def _is_known(held: Span, now: datetime) -> bool:
    known = held.known or held.start
    return known is None or known <= now


def _edges(held: Span, now: datetime) -> tuple[str, str]:
    """The start, and the end once it has come: until then nobody knows of it."""
    return _written(held.start), _written(held.end) if held.end and held.end <= now else ""


def _written(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else ""


def _moments(story: Story, zone: ZoneInfo) -> Iterator[datetime]:
    """Every moment at which something that the feeds say may change."""
    spans = [*(one.open for one in story.references.values()), *(link.held for link in story.links)]
    for span in spans:
        yield from filter(None, span)
    yield from (one.known for one in story.register if one.known)
    for member in story.staff.values():
        if member.left:
            yield datetime.fromisoformat(member.left).replace(tzinfo=zone).astimezone(UTC)
