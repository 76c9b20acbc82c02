"""The store of matters, built again from the ledger's entries: what `purposegate review rebuild` does."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.entry import Leaf, Payload, read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.store import Reader
from purposegate.ledger.verdict import Progress
from purposegate.model import Entry, EntryKind
from purposegate.review.countersigns import asked
from purposegate.review.docket import Sealing
from purposegate.review.matters import Matter, stepped
from purposegate.review.store import Store
from purposegate.review.terms import Terms

KINDS = frozenset({EntryKind.APPROVAL, EntryKind.HAND_OVER, EntryKind.COUNTERSIGN, EntryKind.BROKEN_GLASS})
BATCH = 2_048


def rebuild(
    store: Store, reader: Reader, ring: KeyRing, terms: Terms, progress: Progress | None = None
) -> int:
    """Forget what the store holds and file every matter of the ledger anew; returns how many. Raises `Outage`.

    Entries of several shards are put in the order of their times; a step that comes before its own cause, by a clock that was
    wrong, is taken once the cause is there.
    """
    matters: dict[str, Matter] = {}
    waiting: list[Entry] = []
    for leaf, payload in _opened(reader, ring, progress):
        if leaf.kind == EntryKind.RELEASE:
            begun = _on_behalf(leaf, payload.fields, terms)
            if begun is not None:
                matters[begun.id] = begun
        elif leaf.kind in KINDS:
            waiting.append(_entry(leaf, payload.fields))
    waiting.sort(key=lambda entry: entry.at)
    steps = [list(matters.values()), *_stepping(matters, waiting)]
    store.clear()
    sealing = Sealing(ring)
    for step in steps:
        for matter in step:
            store.put(sealing.seal(matter))
    return len(matters)


def _stepping(matters: dict[str, Matter], waiting: list[Entry]) -> Iterator[list[Matter]]:
    """Every step that the entries make, until a whole pass makes none."""
    while waiting:
        left: list[Entry] = []
        made: list[Matter] = []
        for entry in waiting:
            name = str(entry.fields.get("matter", ""))
            after = stepped(entry, matters.get(name))
            if after is None:
                left.append(entry)
            else:
                matters[name] = after
                made.append(after)
        yield made
        if not made:
            return
        waiting = left


def _opened(reader: Reader, ring: KeyRing, progress: Progress | None) -> Iterator[tuple[Leaf, Payload]]:
    shards = reader.shards()
    opener, total, done = Opener(ring, shards), sum(row.head.size for row in shards), 0
    wanted = {*KINDS, EntryKind.RELEASE}
    for row in shards:
        for first in range(0, row.head.size, BATCH):
            stop = min(first + BATCH, row.head.size)
            for stored in reader.entries(row.number, first, stop):
                with suppress(EvidenceMalformed):  # verify names it
                    leaf = read_leaf(stored.leaf)
                    payload = opener.payload(row.number, stored) if leaf.kind in wanted else None
                    if payload is not None:
                        yield leaf, payload
            done += stop - first
            if progress:
                progress(done, total)


def _entry(leaf: Leaf, fields: dict[str, Any]) -> Entry:
    return Entry(
        kind=EntryKind(leaf.kind), lookup_id=leaf.lookup_id, at=leaf.at, released=leaf.released, fields=fields
    )


def _on_behalf(leaf: Leaf, fields: dict[str, Any], terms: Terms) -> Matter | None:
    """The countersign that a release waits for, if it was on another's behalf and not confirmed ahead."""
    originator = fields.get("originator_known_as")
    if not leaf.released or not originator or fields.get("originator_confirmed") is not False:
        return None
    return asked(leaf.lookup_id, leaf.at, {**fields, "originator": originator}, terms)
