"""Links: who works on what, and what that is about, each with the time in which it held.

A link is (source kind, source id) -relation-> (target kind, target id), from, to. A thing's name is one text, its *node*:
`person:77`, `case:cr/1/26`, `staff:e1042`. Stores keep every link from both of its ends, so that a path can be followed
against an arrow: `>assigned` leads from the member of staff to the case, `<assigned` back.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from purposegate.conflicts.dates import Interval
from purposegate.conflicts.written import staff_key
from purposegate.errors import FactsOutage
from purposegate.facts.work import reference_key
from purposegate.model import RecordRef
from purposegate.reasons import Reason

STAFF = "staff"
AS_WRITTEN = frozenset({"person", "vehicle", "address", "phone"})
"""Kinds whose ids are the records system's own and are compared to the letter; all others are compared as references are."""
NO_REFERENCES = AS_WRITTEN | {STAFF}

MOST_LINKS_OF_A_NODE = 1_000
"""Links read from one node of a path. A node with more is a crossroads that explains nothing: everybody passes it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Edge(NamedTuple):
    """One link as seen from one of its ends: the signed relation, the other end, and the seconds in which it held."""

    relation: str
    node: str
    start: int
    end: int


class Link(NamedTuple):
    """One link as it is fed, its ends as nodes."""

    source: str
    relation: str
    target: str
    held: Interval


class Feed(Protocol):
    """Links on their way into a store, each given once. `digest` stands once all were taken."""

    @property
    def as_of(self) -> datetime:
        """When the links were true, UTC."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of what was read, hex."""
        ...

    def __iter__(self) -> Iterator[Link]:
        """Every link. Raises `ImportRefused` at the end if anything was wrong with any."""
        ...


class LinkStore(Protocol):
    """Links that can be asked for, in one state. Methods raise `FactsOutage` where the store does not answer."""

    @property
    def as_of(self) -> datetime:
        """When the links were true, UTC."""
        ...

    async def near(
        self, nodes: Collection[str], relations: Callable[[str], Sequence[str]]
    ) -> Mapping[str, Sequence[Edge] | None]:
        """The links of these nodes by the signed relations wanted of each; None for one with more than the bound."""
        ...

    async def between(
        self, start: str, relations: Callable[[str], Sequence[str]], ends: Collection[str]
    ) -> Sequence[Edge]:
        """The links from one node to any of these others, by the signed relations wanted to each."""
        ...


class LinkSource(Protocol):
    """Where links come from; `view` gives one state of it, which a lookup keeps."""

    @property
    def name(self) -> str:
        """What refusals and limits of age call it."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256, hex, of what is in use; of a source that names no state, of where it is."""
        ...

    async def view(self, principal: str, at: datetime) -> LinkStore:
        """The links around a member of staff, as known now. Raises `FactsOutage`."""
        ...

    async def refresh(self) -> str:
        """Take what is newer, off the loop. What went wrong, or nothing: the old state then stays, and ages."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


def node(kind: str, written: str) -> str:
    """The one name of a thing, however its id was written."""
    kind = kind.strip().casefold().replace(":", "-")
    if kind == STAFF:
        return f"{kind}:{staff_key(written)}"
    return f"{kind}:{written.strip() if kind in AS_WRITTEN else reference_key(written)}"


def record_node(record: RecordRef) -> str:
    """A record's node."""
    return node(record.kind, record.id)


def kind_of(name: str) -> str:
    """The kind of the thing that a node names."""
    return name.partition(":")[0]


def is_reference(name: str) -> bool:
    """Whether a node names a task, case, incident, operation or the like, and neither staff nor what work is about."""
    return kind_of(name) not in NO_REFERENCES


def seconds(moment: datetime) -> int:
    """Seconds since 1970, UTC, rounded down."""
    return (moment - _EPOCH) // _SECOND


def moment(at: int) -> datetime:
    """The moment of so many seconds."""
    return _EPOCH + at * _SECOND


_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - _EPOCH


def both_ways(link: Link) -> tuple[tuple[str, str, str, int, int], tuple[str, str, str, int, int]]:
    """The two rows that a store keeps of a link: node, signed relation, other node, start, end."""
    source, relation, target, held = link
    start, end = seconds(held.start), seconds(held.end)
    return (source, f">{relation}", target, start, end), (target, f"<{relation}", source, start, end)


def unavailable(what: str) -> FactsOutage:
    """The outage of a source of links that did not answer."""
    return FactsOutage(Reason.FACTS_UNAVAILABLE, what)
