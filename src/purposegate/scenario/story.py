"""One scenario, read: nouns without I/O. Moments are aware and in UTC; days are texts as the feeds write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from purposegate.model import Declaration, RecordRef
from purposegate.scenario.cast import Person, Record

By = int | Literal["never"] | None
"""By which lookup something must have happened (1 = the first); never; or no demand."""


class Span(NamedTuple):
    """From `start` until just before `end`; None is without that bound. The feeds tell of it from `known` on."""

    start: datetime | None = None
    end: datetime | None = None
    known: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of staff. `on_duty` lists the shifts."""

    id: str
    person: Person
    roles: tuple[str, ...]
    unit: str
    joined: str
    left: str
    on_duty: tuple[Span, ...]
    vetting: str
    training: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A case, incident or operation, and the records that it names."""

    ref: str
    kind: str
    open: Span
    records: tuple[RecordRef, ...]


class Node(NamedTuple):
    """One end of a link: its kind and id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Something that a feed says of two nodes."""

    source: Node
    relation: str
    target: Node
    held: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """A register entry, or a covert one."""

    id: str
    staff: str
    relation: str
    provenance: str
    person: Person
    records: tuple[RecordRef, ...]
    start: str
    end: str
    known: datetime | None
    declared_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for. With `starts`, names are only how they begin."""

    kind: str
    text: str = ""
    given: str = ""
    surname: str = ""
    starts: bool = False
    pages: int = 1
    size: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One lookup of the story, at one moment. `justification` is what the person says when asked for more.

    `number` counts the lookups under `lookups`, from 1; those under `lawful` have 0. `line` is where the file says it.
    """

    at: datetime
    who: str
    action: str
    record: RecordRef | None
    search: Search | None
    declaration: Declaration
    justification: str
    lawful: bool
    number: int
    expect: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of the scenario."""

    stop_by: By = None
    raise_by: By = None
    quiet: bool = False
    lawful_hindered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A whole scenario. `askings` stand in order of time; `end` is when nothing more happens."""

    id: str
    title: str
    source: str
    start: datetime
    end: datetime
    staff: Mapping[str, Member]
    records: Mapping[RecordRef, Record]
    references: Mapping[str, Reference]
    links: tuple[Link, ...]
    register: tuple[Tie, ...]
    covert: tuple[Tie, ...]
    askings: tuple[Asking, ...]
    expected: Expected
    text: Mapping[str, object] = field(default_factory=dict)


AFTERWARDS = timedelta(days=1)
"""How long after the last lookup the story goes on: the night's feeds run once more."""
