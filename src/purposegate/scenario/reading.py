"""A scenario file, read strictly: its schema first, then what only the whole file can show, each fault at its line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from purposegate import documents
from purposegate.documents import Document, Key
from purposegate.errors import Finding, PolicyError
from purposegate.model import Declaration, RecordRef
from purposegate.scenario.cast import Home, Inventor, Person, Record, name_of
from purposegate.scenario.story import (
    AFTERWARDS,
    Asking,
    Expected,
    Link,
    Member,
    Node,
    Reference,
    Search,
    Span,
    Story,
    Tie,
)

DEFAULT_START = "2024-01-08T08:00"
"""A Monday. All moments lie in the past, where the watcher and the look back, which know the real time, take them."""
DEFAULT_REASON = "Reading the statements before the hearing"
DEFAULT_JUSTIFICATION = (
    "Reading the statements and the custody notes again before the hearing on Friday, since the case lead wants the"
    " addresses and dates of the second interview compared"
)
"""What somebody says who wants the record and is asked why: a full sentence, true or not."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOST_LOOKUPS = 200_000
_RANGE = re.compile(r"([A-Za-z]+)([0-9]+)\.\.([A-Za-z]+)([0-9]+)")


def read(path: Path, zone: ZoneInfo) -> Story:
    """Read one file. Raises `PolicyError` with every fault found, each with its line."""
    document = documents.parse(path)
    document = documents.checked(Document(path, _written(document.content)), "scenario")
    return _Reader(document, zone).story()


def _written(node: Any) -> Any:
    """The same tree with dates as they were written: YAML reads 2024-01-08 as a date, the feeds want its text."""
    if isinstance(node, dict):
        for key, value in node.items():
            node[key] = _written(value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            node[place] = _written(value)
    elif isinstance(node, date):  # a datetime is one, too
        return node.isoformat()
    return node


class _Reader:
    """Reads one document; faults are collected, and raised together at the end."""

    def __init__(self, document: Document, zone: ZoneInfo) -> None:
        self._document = document
        self._content: Mapping[str, Any] = document.content
        self._zone = zone
        self._faults: list[Finding] = []
        self._inventor = Inventor()
        self._number = 0

    def story(self) -> Story:
        """The whole story, or `PolicyError`."""
        content = self._content
        start = self._moment(content.get("start", DEFAULT_START), ("start",))
        staff = dict(self._staff(content["staff"], start))
        people = self._people(content["records"], staff)
        records = {one.ref: one.record for one in self._records(content["records"], people)}
        references = dict(self._references(records))
        links = tuple(self._links(staff, references))
        register, covert = (
            tuple(self._ties(name, staff, people, records)) for name in ("register", "covert")
        )
        askings = sorted(self._askings(staff, records), key=lambda one: one.at)
        if self._faults:
            raise PolicyError(sorted(self._faults, key=lambda fault: fault.line))
        expected = content["expect"]
        return Story(
            id=content["id"],
            title=content.get("title", content["id"]),
            source=content.get("source", ""),
            start=min([start, *(one.at for one in askings)]),
            end=askings[-1].at + AFTERWARDS,
            staff=staff,
            records=records,
            references=references,
            links=links,
            register=register,
            covert=covert,
            askings=tuple(askings),
            expected=Expected(
                stop_by=expected.get("stop_by"),
                raise_by=expected.get("raise_by"),
                quiet=expected.get("quiet", False),
                lawful_hindered=expected.get("lawful_hindered", 0),
            ),
            text=content,
        )

    def _fault(self, keys: Sequence[Key], expected: str) -> None:
        self._faults.append(self._document.finding(keys, expected))

    def _line(self, keys: Sequence[Key]) -> int:
        return self._document.finding(keys, "").line

    def _moment(self, text: str, keys: Sequence[Key], *, end: bool = False) -> datetime:
        """A moment, UTC. A day alone is its beginning, or, as an end, its last moment: the day itself is within."""
        try:
            if len(text) == len("2024-01-08"):
                day = date.fromisoformat(text) + timedelta(days=int(end))
                return datetime.combine(day, time(), tzinfo=self._zone).astimezone(UTC)
            read = datetime.fromisoformat(text.replace(" ", "T"))
            return (read if read.tzinfo else read.replace(tzinfo=self._zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            self._fault(keys, "a day or moment that the calendar has")
            return datetime(2024, 1, 8, tzinfo=UTC)

    def _span(
        self, spec: Mapping[str, Any], keys: Sequence[Key], first: str = "from", last: str = "to"
    ) -> Span:
        def at(name: str) -> datetime | None:
            return self._moment(spec[name], (*keys, name), end=name == last) if name in spec else None

        span = Span(at(first), at(last), at("known_from"))
        if span.start and span.end and span.end <= span.start:
            self._fault((*keys, last), f"a moment after {first}")
        return span

    # --- people -----------------------------------------------------------------------------------------------------

    def _staff(self, specs: Mapping[str, Any], start: datetime) -> Iterator[tuple[str, Member]]:
        for written, spec in specs.items():
            for staff_id in self._ids(written):
                yield staff_id, self._member(staff_id, spec, ("staff", written), start)

    def _ids(self, written: str) -> list[str]:
        found = _RANGE.fullmatch(written)
        if found is None:
            return [written]
        prefix, first, other, last = found.groups()
        if prefix != other or not int(first) <= int(last) <= int(first) + 5000:
            self._fault(("staff", written), "one id, or a range such as W1..W80 of at most 5000")
            return []
        return [f"{prefix}{number}" for number in range(int(first), int(last) + 1)]

    def _member(self, staff_id: str, spec: Mapping[str, Any], keys: Sequence[Key], start: datetime) -> Member:
        person = self._person(spec)
        if not person.names:
            person = Person(
                names=(self._inventor.name(),),
                born=person.born,
                homes=person.homes,
                phones=person.phones,
                plates=person.plates,
            )
        joined = spec.get("joined", "")
        if "days_in_post" in spec:
            if joined:
                self._fault((*keys, "days_in_post"), "either joined or days_in_post")
            local = start.astimezone(self._zone).date()
            joined = (local - timedelta(days=spec["days_in_post"])).isoformat()
        return Member(
            id=staff_id,
            person=person,
            roles=tuple(spec.get("roles", ("officer",))),
            unit=spec.get("unit", "response"),
            joined=joined or "2010-01-04",
            left=spec.get("left", ""),
            on_duty=tuple(self._duty(spec.get("duty", True), (*keys, "duty"))),
            vetting=spec.get("vetting", ""),
            training=spec.get("training", ""),
        )

    def _duty(self, spec: Any, keys: Sequence[Key]) -> Iterator[Span]:
        if spec is True:
            yield Span()
        elif isinstance(spec, list):
            for place, one in enumerate(spec):
                yield self._span(one, (*keys, place))
        elif isinstance(spec, dict):
            yield from self._shifts(spec)

    def _shifts(self, spec: Mapping[str, Any]) -> Iterator[Span]:
        """A weekly roster over the whole story."""
        starts = [one["at"] for name in ("lookups", "lawful") for one in self._content.get(name, ())]
        days = [date.fromisoformat(text[:10]) for text in starts if re.match(r"\d{4}-\d\d-\d\d", text)]
        if not days:
            return
        first, last = time.fromisoformat(spec["from"]), time.fromisoformat(spec["to"])
        day, until = min(days) - timedelta(days=1), max(days) + timedelta(days=1500)
        while day <= until:
            if DAYS[day.weekday()] in spec["days"]:
                ends = day + timedelta(days=int(last <= first))
                yield Span(
                    datetime.combine(day, first, tzinfo=self._zone).astimezone(UTC),
                    datetime.combine(ends, last, tzinfo=self._zone).astimezone(UTC),
                )
            day += timedelta(days=1)

    def _person(self, spec: Mapping[str, Any]) -> Person:
        written = spec.get("name", [])
        homes = spec.get("home", [])
        return Person(
            names=tuple(map(name_of, [written] if isinstance(written, str) else written)),
            born=spec.get("born", ""),
            homes=tuple(map(_home, [homes] if isinstance(homes, dict) else homes)),
            phones=tuple(spec.get("phones", ())),
            plates=tuple(spec.get("plates", ())),
        )

    def _people(self, records: Mapping[str, Any], staff: Mapping[str, Member]) -> dict[str, Person]:
        """Everybody who has an id: records of the kind person, then staff."""
        known = {staff_id: member.person for staff_id, member in staff.items()}
        for record_id, spec in records.get("person", {}).items():
            keys = ("records", "person", record_id)
            if "same_as" in spec:
                known[record_id] = known.get(spec["same_as"], Person())
                if spec["same_as"] not in staff:
                    self._fault((*keys, "same_as"), "the id of a member of staff")
            else:
                known[record_id] = self._person(spec)
                if not known[record_id].names:
                    self._fault(keys, "a name, or same_as")
        return known

    def _somebody(self, spec: Any, people: Mapping[str, Person], keys: Sequence[Key]) -> Person:
        if isinstance(spec, dict):
            return self._person(spec)
        if spec not in people:
            self._fault(keys, "the id of a person record or of a member of staff, or a person described")
        return people.get(spec, Person())

    # --- records and references -------------------------------------------------------------------------------------

    def _records(self, specs: Mapping[str, Any], people: Mapping[str, Person]) -> Iterator["_Named"]:
        for kind, records in specs.items():
            for record_id, spec in records.items():
                keys = ("records", kind, record_id)
                about = (people[record_id],) if kind == "person" else tuple(self._about(spec, people, keys))
                text = {name: str(value) for name, value in spec.get("text", {}).items()}
                people_named = [spec.get("keeper"), *spec.get("people", ())]
                named = tuple(
                    one for one in people_named if isinstance(one, str) and one in specs.get("person", {})
                )
                yield _Named(
                    RecordRef(kind, record_id),
                    Record(kind=kind, id=record_id, people=about, about=named, text=text),
                )

    def _about(
        self, spec: Mapping[str, Any], people: Mapping[str, Person], keys: Sequence[Key]
    ) -> Iterator[Person]:
        """The people of a record of another kind. A plate, telephone or address of the record is theirs, or nobody's yet."""
        written = [spec["keeper"], *spec.get("people", ())] if "keeper" in spec else spec.get("people", ())
        found = [self._somebody(one, people, keys) for one in written]
        plates = (spec["plate"],) if "plate" in spec else ()
        phones = (spec["phone"],) if "phone" in spec else ()
        homes = (_home(spec["address"]),) if "address" in spec else ()
        if not (plates or phones or homes):
            yield from found
            return
        for one in found or [Person()]:
            yield Person(
                names=one.names,
                born=one.born,
                homes=(*homes, *one.homes),
                phones=(*phones, *one.phones),
                plates=(*plates, *one.plates),
            )

    def _references(self, records: Mapping[RecordRef, Record]) -> Iterator[tuple[str, Reference]]:
        for ref, spec in self._content.get("references", {}).items():
            keys = ("references", ref)
            named = [RecordRef(*one.split(":", 1)) for one in spec.get("records", ())]
            for place, one in enumerate(named):
                if one not in records:
                    self._fault((*keys, "records", place), "a record of this file, as kind:id")
            yield (
                ref,
                Reference(
                    ref=ref,
                    kind=spec["kind"],
                    open=self._span(spec, keys, "opened", "closed"),
                    records=tuple(_with_people(named, records)),
                ),
            )

    def _links(self, staff: Mapping[str, Member], references: Mapping[str, Reference]) -> Iterator[Link]:
        for ref, spec in self._content.get("references", {}).items():
            for place, one in enumerate(spec.get("assigned", ())):
                keys = ("references", ref, "assigned", place)
                named = one if isinstance(one, dict) else {"staff": one}
                if named["staff"] not in staff:
                    self._fault(keys, "the id of a member of staff")
                yield Link(
                    source=Node("staff", named["staff"]),
                    relation="assigned",
                    target=Node("reference", ref),
                    held=self._span(named, keys),
                )
        for place, spec in enumerate(self._content.get("links", ())):
            source, target = (Node(*spec[name].split(":", 1)) for name in ("source", "target"))
            for name, node in (("source", source), ("target", target)):
                known: Mapping[str, object] | None = {"staff": staff, "reference": references}.get(node.kind)
                if known is not None and node.id not in known:
                    self._fault(("links", place, name), f"a {node.kind} of this file")
            held = self._span(spec, ("links", place))
            yield Link(source=source, relation=spec["relation"], target=target, held=held)

    def _ties(
        self,
        section: str,
        staff: Mapping[str, Member],
        people: Mapping[str, Person],
        records: Mapping[RecordRef, Record],
    ) -> Iterator[Tie]:
        for place, spec in enumerate(self._content.get(section, ())):
            keys = (section, place)
            if spec["staff"] not in staff:
                self._fault((*keys, "staff"), "the id of a member of staff")
            named = [RecordRef(*one.split(":", 1)) for one in spec.get("records", ())]
            if unknown := [one for one in named if one not in records]:
                self._fault((*keys, "records"), f"records of this file; {len(unknown)} are not")
            known = spec.get("known_from", spec.get("from"))
            yield Tie(
                id=spec.get("id", f"{section[0].upper()}-{place + 1}"),
                staff=spec["staff"],
                relation=spec["relation"],
                provenance=spec.get("provenance", "self-declared")
                if section == "register"
                else "intelligence",
                person=self._somebody(spec["person"], people, (*keys, "person")),
                records=tuple(named),
                start=spec.get("from", ""),
                end=spec.get("to", ""),
                known=self._moment(known, (*keys, "known_from")) if known else None,
                declared_by=spec.get("declared_by", ""),
            )

    # --- lookups ----------------------------------------------------------------------------------------------------

    def _askings(self, staff: Mapping[str, Member], records: Mapping[RecordRef, Record]) -> Iterator[Asking]:
        for section in ("lookups", "lawful"):
            specs = self._content.get(section, ())
            if sum(one.get("times", 1) for one in specs) > MOST_LOOKUPS:
                self._fault((section,), f"at most {MOST_LOOKUPS} lookups")
                continue
            found = [
                one
                for place, spec in enumerate(specs)
                for one in self._asked(spec, (section, place), staff, records)
            ]
            for one in sorted(found, key=lambda asking: asking.at):
                yield self._numbered(one) if section == "lookups" else one

    def _numbered(self, one: Asking) -> Asking:
        self._number += 1
        return replace(one, number=self._number)

    def _asked(
        self,
        spec: Mapping[str, Any],
        keys: Sequence[Key],
        staff: Mapping[str, Member],
        records: Mapping[RecordRef, Record],
    ) -> Iterator[Asking]:
        who = spec["who"] if isinstance(spec["who"], list) else [spec["who"]]
        askers = [one for written in who for one in self._ids(written)]
        if unknown := [one for one in askers if one not in staff]:
            self._fault((*keys, "who"), f"ids of staff of this file; {len(unknown)} are not")
        written = spec.get("record", [])
        named = [
            RecordRef(*one.split(":", 1)) for one in ([written] if isinstance(written, str) else written)
        ]
        if unknown_records := [one for one in named if one not in records]:
            self._fault(
                (*keys, "record"), f"records of this file, as kind:id; {len(unknown_records)} are not"
            )
        action = spec.get("action", "search" if "search" in spec else "view")
        if (action == "search") is not ("search" in spec):
            self._fault((*keys, "action"), "search exactly where search says what is searched for")
        if not askers or (action != "search" and not named):
            return
        searched = Search(**spec["search"]) if "search" in spec else None
        said = spec.get("reason", DEFAULT_REASON)
        reasons = [said] if isinstance(said, str) else said
        first, step = self._moment(spec["at"], (*keys, "at")), _step(spec.get("every", "1d"))
        for turn in range(spec.get("times", 1)):
            yield Asking(
                at=_after(first, step * turn, self._zone),
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
                line=self._line(keys),
            )


def _with_people(named: Sequence[RecordRef], records: Mapping[RecordRef, Record]) -> Iterator[RecordRef]:
    """The records that a reference names, and the person records of those whom they are about."""
    about = (RecordRef("person", one) for ref in named if ref in records for one in records[ref].about)
    yield from dict.fromkeys([*named, *about])


class _Named:
    """A record and its name."""

    def __init__(self, ref: RecordRef, record: Record) -> None:
        self.ref = ref
        self.record = record


def _home(spec: Mapping[str, Any]) -> Home:
    return Home(
        number=spec.get("number", ""),
        street=spec.get("street", ""),
        unit=spec.get("unit", ""),
        locality=spec.get("locality", ""),
        postcode=spec.get("postcode", ""),
        start=spec.get("from", ""),
        end=spec.get("to", ""),
    )


def _step(text: str) -> timedelta:
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def _after(first: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """The same hour by the wall clock, so many days on: people's days have no summer time."""
    if step.seconds:
        return first + step
    return (first.astimezone(zone) + step).astimezone(UTC)
