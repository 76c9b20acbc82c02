"""A scenario file, read strictly: its schema first, then what only the whole file can show, each fault at its line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from purposegate import documents
from purposegate.documents import Document, Key
from purposegate.errors import PolicyError
from purposegate.model import RecordRef
from purposegate.scenario.askings import Askings
from purposegate.scenario.cast import Home, Inventor, Person, Record, name_of
from purposegate.scenario.checking import Words, check
from purposegate.scenario.page import Page
from purposegate.scenario.story import (
    AFTERWARDS,
    Expected,
    Link,
    Member,
    Node,
    Reference,
    Span,
    Story,
    Tie,
)

DEFAULT_START = "2024-01-08T08:00"
"""A Monday. All moments lie in the past, where the watcher and the look back, which know the real time, take them."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read(path: Path, zone: ZoneInfo, words: Words | None = None) -> Story:
    """Read one file. Raises `PolicyError` with every fault found, each with its line.

    With the `words` of the policies, one that they do not know is a fault, too.
    """
    document = documents.parse(path)
    try:
        content = _written(document.content)
    except RecursionError as error:  # an alias within its own anchor
        raise PolicyError([document.finding((), documents.TOO_DEEP)]) from error
    document = documents.checked(Document(path, content), "scenario")
    check(document, words)
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
        self._page = Page(document, zone)
        self._inventor = Inventor()

    def story(self) -> Story:
        """The whole story, or `PolicyError`."""
        content = self._page.content
        start = self._page.moment(content.get("start", DEFAULT_START), ("start",))
        staff = dict(self._staff(content["staff"], start))
        people = self._people(content["records"], staff)
        records = {one.ref: one.record for one in self._records(content["records"], people)}
        references = dict(self._references(records))
        links = tuple(self._links(staff, references))
        register, covert = (
            tuple(self._ties(name, staff, people, records)) for name in ("register", "covert")
        )
        askings = sorted(Askings(self._page, staff, records).read(), key=lambda one: one.at)
        if not askings:
            self._page.fault((), "at least one lookup")
        if self._page.faults:
            raise PolicyError(sorted(self._page.faults, key=lambda fault: fault.line))
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

    # --- people -----------------------------------------------------------------------------------------------------

    def _staff(self, specs: Mapping[str, Any], start: datetime) -> Iterator[tuple[str, Member]]:
        for written, spec in specs.items():
            for staff_id in self._page.ids(written):
                yield staff_id, self._member(staff_id, spec, ("staff", written), start)

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
                self._page.fault((*keys, "days_in_post"), "either joined or days_in_post")
            local = start.astimezone(self._page.zone).date()
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
                yield self._page.span(one, (*keys, place))
        elif isinstance(spec, dict):
            yield from self._shifts(spec)

    def _shifts(self, spec: Mapping[str, Any]) -> Iterator[Span]:
        """A weekly roster over the whole story."""
        starts = [one["at"] for name in ("lookups", "lawful") for one in self._page.content.get(name, ())]
        days = [date.fromisoformat(text[:10]) for text in starts if re.match(r"\d{4}-\d\d-\d\d", text)]
        if not days:
            return
        first, last = time.fromisoformat(spec["from"]), time.fromisoformat(spec["to"])
        day, until = min(days) - timedelta(days=1), max(days) + timedelta(days=1500)
        while day <= until:
            if DAYS[day.weekday()] in spec["days"]:
                ends = day + timedelta(days=int(last <= first))
                yield Span(
                    datetime.combine(day, first, tzinfo=self._page.zone).astimezone(UTC),
                    datetime.combine(ends, last, tzinfo=self._page.zone).astimezone(UTC),
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
                    self._page.fault((*keys, "same_as"), "the id of a member of staff")
            else:
                known[record_id] = self._person(spec)
                if not known[record_id].names:
                    self._page.fault(keys, "a name, or same_as")
        return known

    def _somebody(self, spec: Any, people: Mapping[str, Person], keys: Sequence[Key]) -> Person:
        if isinstance(spec, dict):
            return self._person(spec)
        if spec not in people:
            self._page.fault(keys, "the id of a person record or of a member of staff, or a person described")
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
        for ref, spec in self._page.content.get("references", {}).items():
            keys = ("references", ref)
            named = [RecordRef(*one.split(":", 1)) for one in spec.get("records", ())]
            for place, one in enumerate(named):
                if one not in records:
                    self._page.fault((*keys, "records", place), "a record of this file, as kind:id")
            yield (
                ref,
                Reference(
                    ref=ref,
                    kind=spec["kind"],
                    open=self._page.span(spec, keys, "opened", "closed"),
                    records=tuple(_with_people(named, records)),
                ),
            )

    def _links(self, staff: Mapping[str, Member], references: Mapping[str, Reference]) -> Iterator[Link]:
        for ref, spec in self._page.content.get("references", {}).items():
            for place, one in enumerate(spec.get("assigned", ())):
                keys = ("references", ref, "assigned", place)
                named = one if isinstance(one, dict) else {"staff": one}
                if named["staff"] not in staff:
                    self._page.fault(keys, "the id of a member of staff")
                yield Link(
                    source=Node("staff", named["staff"]),
                    relation="assigned",
                    target=Node("reference", ref),
                    held=self._page.span(named, keys),
                )
        for place, spec in enumerate(self._page.content.get("links", ())):
            source, target = (Node(*spec[name].split(":", 1)) for name in ("source", "target"))
            for name, node in (("source", source), ("target", target)):
                known: Mapping[str, object] | None = {"staff": staff, "reference": references}.get(node.kind)
                if known is not None and node.id not in known:
                    self._page.fault(("links", place, name), f"a {node.kind} of this file")
            held = self._page.span(spec, ("links", place))
            yield Link(source=source, relation=spec["relation"], target=target, held=held)

    def _ties(
        self,
        section: str,
        staff: Mapping[str, Member],
        people: Mapping[str, Person],
        records: Mapping[RecordRef, Record],
    ) -> Iterator[Tie]:
        for place, spec in enumerate(self._page.content.get(section, ())):
            keys = (section, place)
            if spec["staff"] not in staff:
                self._page.fault((*keys, "staff"), "the id of a member of staff")
            named = [RecordRef(*one.split(":", 1)) for one in spec.get("records", ())]
            if unknown := [one for one in named if one not in records]:
                self._page.fault((*keys, "records"), f"records of this file; {len(unknown)} are not")
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
                known=self._page.moment(known, (*keys, "known_from")) if known else None,
                declared_by=spec.get("declared_by", ""),
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
