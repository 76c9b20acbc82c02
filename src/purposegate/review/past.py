"""Past lookups, read out of a ledger for looking back. Read-only."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from purposegate.conflicts.lookback import PastRow
from purposegate.conflicts.sightings import Sightings, Where
from purposegate.errors import EvidenceMalformed
from purposegate.ledger.entry import Leaf, Payload, read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.store import Reader, StoredEntry
from purposegate.ledger.verdict import Progress
from purposegate.model import POSTAL_PARTS, Address, Identity, Name, RecordRef

BATCH = 2_048
FREE_TEXT = "*"
"""What evidence calls the free text of a search."""
SEARCHED = RecordRef("search", "")
"""What stands for the record where somebody was searched for by name."""

_Seen = tuple[RecordRef, tuple[Identity, ...], bool]


class Past:
    """The past lookups of one ledger. `unread` counts entries whose payload was erased or does not open."""

    def __init__(self, reader: Reader, ring: KeyRing) -> None:
        self._reader = reader
        self._shards = reader.shards()
        self._names = {row.number: row.name for row in self._shards}
        self._opener = Opener(ring, self._shards)
        self.unread = 0

    def sizes(self) -> dict[int, int]:
        """How many entries each shard held when this was made, by its number."""
        return {row.number: row.head.size for row in self._shards}

    def rows(self, shard: int, start: int, stop: int) -> Iterator[PastRow]:
        """Every record of the lookups in entries [start, stop)."""
        for stored in self._reader.entries(shard, start, stop):
            yield from self._of(shard, stored)

    def at(self, places: Iterable[Where]) -> Iterator[PastRow]:
        """The rows at these places, which come in order; those erased meanwhile are left out."""
        for (shard, number), group in groupby(places, key=lambda where: (where.shard, where.number)):
            wanted = {where.row for where in group}
            yield from (row for row in self.rows(shard, number, number + 1) if row.row in wanted)

    def _of(self, shard: int, stored: StoredEntry) -> Iterator[PastRow]:
        try:
            leaf = read_leaf(stored.leaf)
        except EvidenceMalformed:  # verify names it
            self.unread += 1
            return
        payload = self._opener.payload(shard, stored)
        if payload is None:
            self.unread += 1
            return
        yield from rows_of(shard, self._names[shard], stored.index, leaf, payload)


def catch_up(past: Past, sightings: Sightings, progress: Progress | None = None) -> int:
    """Put into the index what the ledger holds and the index does not yet; returns how many entries were read.

    A shard shorter than what was indexed is one restored from a back-up: then everything is read again.
    """
    sizes = past.sizes()
    if any(size > sizes.get(shard, 0) for shard, size in sightings.sizes().items()):
        sightings.clear()
    known = sightings.sizes()
    total = sum(size - known.get(shard, 0) for shard, size in sizes.items())
    done = 0
    for shard, size in sizes.items():
        for first in range(known.get(shard, 0), size, BATCH):
            stop = min(first + BATCH, size)
            sightings.add(shard, stop, past.rows(shard, first, stop))
            done += stop - first
            if progress:
                progress(done, total)
    return total


def rows_of(shard: int, name: str, number: int, leaf: Leaf, payload: Payload) -> Iterator[PastRow]:
    """The records of one entry: those of its rows, or, where it has none, those that the request named; and its free text.

    Free text of a given name and a surname is a look at whoever bears them, also where nobody was found. Entries that are no
    lookups have none of these. Values of another shape than the gate's are passed over, never an error.
    """
    fields = payload.fields
    principal = _text(fields, "principal")
    if not principal:
        return
    rows = [row for row in map(_row, payload.rows) if row]
    named = _lists(fields.get("records"))
    asked: list[_Seen] = [
        (RecordRef(*one), (), False)
        for one in named
        if len(one) == len(RecordRef._fields) and all(map(_is_text, one))
    ]
    for place, (record, subjects, released) in enumerate([*(rows or asked), *_searched(fields)]):
        yield PastRow(
            shard=shard,
            shard_name=name,
            number=number,
            row=place,
            lookup_id=leaf.lookup_id,
            at=leaf.at,
            principal=principal,
            originator=_text(fields, "originator"),
            recipient=_text(fields, "recipient"),
            purpose=_text(fields, "purpose"),
            ref=_text(fields, "ref"),
            reason=_text(fields, "reason"),
            action=_text(fields, "action"),
            released=released,
            record=record,
            subjects=subjects,
        )


def _searched(fields: Mapping[str, Any]) -> Iterator[_Seen]:
    """Whom the free text of a search names. Criteria by field are not read: which field is a name, only records.yaml knows."""
    criteria = fields.get("criteria")
    text = _text(criteria, FREE_TEXT) if isinstance(criteria, Mapping) else ""
    if len(text.split()) > 1:
        yield SEARCHED, (Identity(names=(Name(surname=text),)),), False


def _row(row: Any) -> _Seen | None:
    match row:
        case {"kind": str(kind), "id": str(identifier)}:
            subjects = [_identity(one) for one in row.get("subjects") or () if isinstance(one, Mapping)]
            return RecordRef(kind, identifier), tuple(subjects), row.get("released") is True
    return None


def _identity(written: Mapping[str, Any]) -> Identity:
    """An identity snapshot, as `evidence.identity_row` wrote it."""
    names = [one for one in _lists(written.get("names")) if len(one) == len(Name._fields)]
    lengths = (POSTAL_PARTS, len(Address._fields))
    addresses = [one for one in _lists(written.get("addresses")) if len(one) in lengths]
    return Identity(
        names=tuple(Name(*one) for one in names if all(map(_is_text, one))),
        born=_texts(written.get("born")),
        addresses=tuple(Address(*one) for one in addresses if all(map(_is_text, one))),
        phones=_texts(written.get("phones")),
        plates=_texts(written.get("plates")),
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _lists(value: Any) -> list[list[Any]]:
    return [one for one in value if isinstance(one, list)] if isinstance(value, list) else []
