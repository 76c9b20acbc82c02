"""The work list as people read it: groups and rows, opened from the ledger for as long as they are shown."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.store import Reader
from purposegate.model import Entry, EntryKind
from purposegate.review.bodies import Body
from purposegate.review.raised import Raised, raised
from purposegate.review.terms import Terms
from purposegate.review.work_index import Group, Item, WorkIndex

DISPOSITIONS = ("open", "upheld", "no-concern", "referred", "training")
"""What became of a row: misuse was found; it was not; somebody else has it; the person was told the rule."""
MOST_ROWS = 1_000
"""Rows of one group that one command shows or closes."""


class Line(NamedTuple):
    """One row, opened. `row` is None where the entry's payload was erased."""

    entry: str
    at: datetime
    lookup: str
    row: Raised | None
    disposition: str

    def plain(self) -> dict[str, Any]:
        """The line as a JSON-able map."""
        row = self.row
        return {
            "entry": self.entry,
            "time": self.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "lookup": self.lookup,
            "principal": row.principal if row else "(erased)",
            "record": "/".join(row.record) if row else "",
            "subject": row.subject if row else "",
            "reasons": list(row.reasons) if row else [],
            "why": row.why if row else "",
            "score": row.score if row else 0.0,
            "disposition": self.disposition,
        }


class WorkList:
    """One ledger's work list, open. Use from one thread."""

    def __init__(self, index: WorkIndex, reader: Reader, ring: KeyRing, terms: Terms) -> None:
        self.index = index
        self._reader = reader
        self._terms = terms
        shards = reader.shards()
        self._names = {row.number: row.name for row in shards}
        self._opener = Opener(ring, shards)

    def lines(
        self, group: Group, *, now: datetime, limit: int = MOST_ROWS, closed: bool = False
    ) -> list[Line]:
        """A group's rows, the heaviest first."""
        items = self.index.items(group, now=now, limit=limit, closed=closed)
        return [line for item in items for line in self._line(item)]

    def about(self, group: Group, *, now: datetime) -> str:
        """Whom a group is about: a person, where any of its entries knows one, or else the heaviest row's record."""
        for named in (True, False):
            for item in self.index.items(group, now=now, limit=1, closed=True, named=named):
                for line in self._line(item):
                    if line.row is not None:
                        return line.row.subject or "/".join(line.row.record).strip("/")
        return "(erased)"

    def _line(self, item: Item) -> Iterator[Line]:
        for stored in self._reader.entries(item.shard, item.number, item.number + 1):
            leaf, payload = read_leaf(stored.leaf), self._opener.payload(item.shard, stored)
            rows = raised(Body.of(leaf, payload), self._terms) if payload else ()
            row = rows[item.place] if item.place < len(rows) else None
            where = f"{self._names.get(item.shard, item.shard)}/{item.number}"
            yield Line(where, leaf.at, leaf.lookup_id, row, item.disposition)


def disposed(
    lines: Sequence[Line],
    group: Group,
    *,
    lookup_id: str,
    at: datetime,
    disposition: str,
    fields: Mapping[str, Any],
) -> Entry:
    """The entry that says what became of these rows. `fields` say who decided, and why they read the evidence."""
    rows = []
    for line in lines:
        if line.row is not None:
            shard, _, number = line.entry.rpartition("/")
            rows.append(
                {
                    "shard": shard,
                    "number": int(number),
                    "record": "/".join(line.row.record),
                    "subject": line.row.subject,
                }
            )
    whose = next((line.row.principal for line in lines if line.row), "")
    return Entry(
        kind=EntryKind.DISPOSITION,
        lookup_id=lookup_id,
        at=at,
        released=False,
        fields={**fields, "group": group.id, "on_behalf_of": whose, "disposition": disposition},
        rows=rows,
    )
