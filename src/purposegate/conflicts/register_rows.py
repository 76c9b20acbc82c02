"""What one row of the register's database says once it is open: an entry, a pointer to one, or a person's decision.

Bodies are JSON lists in a fixed order: what was checked on import need not be read from words again at every lookup.
"""

from datetime import date, datetime
from typing import Any, NamedTuple

import orjson

from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval
from purposegate.conflicts.decisions import Decision, Verdict
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.written import Home
from purposegate.model import Address, Identity, Name, RecordRef

ENTRY = "entry"
POINTER = "pointer"
DECISION = "decision"


class Dates(NamedTuple):
    """What of a row stands in clear beside its tokens, each `YYYY-MM-DD` or nothing."""

    valid_from: str = ""
    valid_to: str = ""
    known_from: str = ""
    review: str = ""

    @classmethod
    def of(cls, entry: RegisterEntry) -> "Dates":
        """The dates of an entry."""
        days = (entry.valid_from, entry.valid_to, entry.known_from, entry.review)
        return cls(*(_iso(day) for day in days))


class Pointer(NamedTuple):
    """That an entry of `principal` names a record: where to look for it, and its relation, to see whether to look."""

    principal: str
    id: str
    relation: str


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


def entry_bytes(entry: RegisterEntry) -> bytes:
    """An entry as it is sealed."""
    person = entry.person
    return orjson.dumps(
        [
            ENTRY,
            entry.id,
            entry.principal,
            entry.relation,
            entry.provenance,
            list(map(list, person.names)),
            person.born,
            [[*home.address.as_list, *_lived(home.lived)] for home in entry.homes],
            person.phones,
            person.plates,
            sorted(map(list, entry.records)),
            *Dates.of(entry),
            entry.declared_by,
        ]
    )


def pointer_bytes(pointer: Pointer) -> bytes:
    """A pointer as it is sealed."""
    return orjson.dumps([POINTER, *pointer])


def read_body(clear: bytes) -> tuple[str, list[Any]]:
    """Which sort of row a body is, and the rest of it."""
    sort, *rest = orjson.loads(clear)
    return sort, rest


def read_entry(body: list[Any]) -> RegisterEntry:
    """An entry from its body, less its sort."""
    (
        identifier, principal, relation, provenance, names, born, homes, phones, plates, records,
        valid_from, valid_to, known_from, review, declared_by,
    ) = body  # fmt: skip
    lived = tuple([_home(home) for home in homes])
    return RegisterEntry(
        id=identifier,
        principal=principal,
        relation=relation,
        provenance=provenance,
        person=Identity(
            names=tuple([Name(given, surname) for given, surname in names]),
            born=tuple(born),
            addresses=tuple([home.address for home in lived]),
            phones=tuple(phones),
            plates=tuple(plates),
        ),
        homes=lived,
        records=frozenset([RecordRef(kind, record) for kind, record in records]),
        valid_from=date.fromisoformat(valid_from) if valid_from else None,
        valid_to=date.fromisoformat(valid_to) if valid_to else None,
        known_from=date.fromisoformat(known_from) if known_from else None,
        review=date.fromisoformat(review) if review else None,
        declared_by=declared_by,
    )


def _lived(interval: Interval) -> tuple[str, str]:
    """From and until, empty where always."""
    start = "" if interval.start == BEGINNING else interval.start.isoformat()
    return start, "" if interval.end == FOREVER else interval.end.isoformat()


def _home(written: list[str]) -> Home:
    *parts, start, end = written
    return Home(
        Address(*parts),
        Interval(
            datetime.fromisoformat(start) if start else BEGINNING,
            datetime.fromisoformat(end) if end else FOREVER,
        ),
    )


def decision_bytes(decision: Decision) -> bytes:
    """A decision as it is sealed."""
    return orjson.dumps(
        [
            DECISION,
            decision.verdict.value,
            decision.principal,
            decision.entry,
            decision.relation,
            *decision.record,
            sorted(decision.of_entry),
            sorted(decision.of_record),
            decision.by,
            decision.at.isoformat(),
            decision.receipt,
        ]
    )


def read_decision(body: list[Any]) -> Decision:
    """A decision from its body, less its sort."""
    verdict, principal, entry, relation, kind, record, of_entry, of_record, by, at, receipt = body
    return Decision(
        verdict=Verdict(verdict),
        principal=principal,
        entry=entry,
        relation=relation,
        record=RecordRef(kind, record),
        of_entry=frozenset(of_entry),
        of_record=frozenset(of_record),
        by=by,
        at=datetime.fromisoformat(at),
        receipt=receipt,
    )
