"""A watcher's home and its work: import, one cycle of matching, reading what was found. Every method is synchronous.

The cycle does the same whether or not there are covert entries: it verifies the copy, opens every new ledger entry and
indexes it. Only then are entries, if any, weighed against what shares a token with them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import apsw

from purposegate.conflicts.lookback import LookBack, PastHit
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.sightings import Sightings
from purposegate.conflicts.tables import stamp
from purposegate.conflicts.written import local_day
from purposegate.errors import SettingsError
from purposegate.ledger import keys
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.policy import Policy
from purposegate.ledger.reading import ReadingDeclared
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.model import Entry, EntryKind, Receipt
from purposegate.review.past import Past, catch_up
from purposegate.review.watcher.copy import CopyRefused, Position, continues, require_shipped, require_whole
from purposegate.review.watcher.entries import read_entries, reread
from purposegate.review.watcher.store import Hit, Store, alone

ORIGIN = "watcher/chain"
"""The chain's own name. It is never pushed to the ledger's witnesses: that somebody watches is itself covert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What one cycle did: ledger entries read, covert entries weighed, hits that are new, payloads that did not open."""

    read: int
    weighed: int
    hits: int
    unread: int


class Watcher:
    """One watcher, in a folder of its own: `entries.db`, `watcher.keys`, `chain.db` and the index `seen.db`."""

    def __init__(self, home: Path, relations: Relations, *, zone: ZoneInfo) -> None:
        """Make the folder and its key file if they are not there. Raises SettingsError for a folder that others can read."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_mode & 0o077:
            raise SettingsError(f"{home}: others can look into this folder; run `chmod 700` on it")
        self._home = home
        self._relations = relations
        self._zone = zone
        self._looking = LookBack(relations.matching, zone=zone)
        self._verified: tuple[object, ...] = ()
        key_file = home / "watcher.keys"
        if not key_file.exists():
            if (home / "entries.db").exists():
                raise SettingsError(f"{key_file}: is gone; bring it back, a new one opens nothing")
            keys.create(key_file)
        self._ring = keys.load(key_file)

    @contextmanager
    def _open(self) -> Iterator[Store]:
        with alone(self._home), Store(self._home / "entries.db", self._ring) as store:
            yield store

    @contextmanager
    def _chain(self) -> Iterator[DurableLedger]:
        with DurableLedger.open(
            self._home / "chain.db", origin=ORIGIN, shard="watcher", limits=Limits(ballast_bytes=0)
        ) as chain:
            yield chain

    def take(self, path: Path, reading: ReadingDeclared) -> tuple[int, int]:
        """Import a file of entries, all or nothing, and say so in the chain first. Returns how many are new and changed.

        An entry of an id known before replaces it. Raises `ImportRefused` with every fault.
        """
        reading.require()
        offered = read_entries(path, self._relations, now=datetime.now(UTC), zone=self._zone)
        with self._open() as store, self._chain() as chain:
            asked = {"digest": offered.digest, "entries": len(offered.cells)}
            chain.append_wait(_entry(EntryKind.IMPORT, _declared(reading, asked)))
            return store.take(offered.cells)

    def restored(self, shard: str, reading: ReadingDeclared) -> Position:
        """Accept that a shard was put back to an older state; its next copy is read from the beginning, as a first one.

        Returns what was read of it before, which the chain keeps. Raises SettingsError for a shard never read.
        """
        reading.require()
        with self._open() as store, self._chain() as chain:
            known = store.positions().get(shard)
            if known is None:
                raise SettingsError(f"{shard}: nothing of such a shard was read yet")
            asked = {"restored": shard, "size": known.size, "root": known.root.hex()}
            chain.append_wait(_entry(EntryKind.READING, _declared(reading, asked)))
            store.forget_position(shard)
        self._verified = ()
        return known

    def cycle(self, ledger: Path, key_file: Path, policy: Policy | None = None) -> Cycle:
        """Read what is new in the copy and match it. Raises CopyRefused, SettingsError, LedgerOutage: then nothing is kept.

        A cycle that was cut short is done again by the next: hits are named by entry, lookup, record and model.
        """
        require_shipped(ledger)
        before = stamp(ledger)
        with self._open() as store:
            known = store.positions()
            if self._verified != (before, policy):
                require_whole(ledger, key_file, known, policy)
            reader = SqliteReader(ledger)
            try:
                done = self._match(store, reader, keys.load(key_file), lambda: stamp(ledger) == before)
            except apsw.Error as error:
                raise CopyRefused(
                    f"{ledger}: it, or the store, cannot be read: {type(error).__name__}"
                ) from error
            finally:
                reader.close()
            self._verified = (before, policy)
            with self._chain() as chain:  # opened each time, hits or none
                self._write_hits(store, chain)
        return done

    def _match(
        self, store: Store, reader: SqliteReader, ring: keys.KeyRing, is_unchanged: Callable[[], bool]
    ) -> Cycle:
        known = store.positions()
        positions = continues(reader, known)
        past = Past(reader, ring)
        numbers = {row.name: row.number for row in reader.shards()}
        sightings = Sightings(self._home / "seen.db", self._ring.index)
        try:
            read = catch_up(past, sightings)
            kept = store.entries()
            now = datetime.now(UTC)
            entries = reread([each.cells for each in kept], self._relations, now=now, zone=self._zone)
            after = {numbers[name]: at.size for name, at in known.items()}
            model, found = self._looking.model, list[tuple[list[str], dict[str, Any]]]()
            for each, entry in zip(kept, entries, strict=True):
                places = sightings.candidates(entry, after if each.model == model else {})
                for row in past.at(places):
                    hit = self._looking.weigh(entry, row, known_by=local_day(now, self._zone))
                    if hit:
                        name = [entry.id, row.lookup_id, *row.record, model]
                        found.append((name, hit_body(hit, model=model, entry_number=each.number)))
            if not is_unchanged():
                sightings.clear()  # what it took from the other file was not verified
                raise CopyRefused("the copy was exchanged while it was read; rename a finished copy over it")
        finally:
            sightings.close()
        added = store.advance(positions, found, kept, model)
        return Cycle(read=read, weighed=len(entries), hits=added, unread=past.unread)

    def _write_hits(self, store: Store, chain: DurableLedger) -> None:
        """Put hits into the chain: at least once each, under the name that the store has for them."""
        for hit in store.hits(unchained=True):
            chain.append_wait(_entry(EntryKind.MATCH, {"hit": hit.number, **hit.body}, name=hit.tok))
            store.chained(hit.number)

    def hits(self, reading: ReadingDeclared, *, number: int | None = None) -> tuple[list[Hit], Receipt]:
        """Hits, for a named reader: all, or one. The reading stands in the chain before anything is returned (law 11)."""
        reading.require()
        with self._open() as store, self._chain() as chain:
            found = store.hits(number=number)
            asked: dict[str, Any] = (
                {"list": "hits", "found": len(found)} if number is None else {"hit": number}
            )
            receipt = chain.append_wait(_entry(EntryKind.READING, _declared(reading, asked)))
        return found, receipt


def hit_body(hit: PastHit, *, model: str, entry_number: int) -> dict[str, Any]:
    """A hit as a row: who, which record, when, what was declared, how sure and why, and where it stands in the ledger."""
    row, entry = hit.row, hit.entry
    return {
        "entry": entry.id,
        "entry_number": entry_number,
        "relation": entry.relation,
        "principal": row.principal,
        "whose": hit.whose.value,
        "staff_id": entry.principal,
        "record": list(row.record),
        "at": row.at.isoformat(),
        "action": row.action,
        "released": row.released,
        "purpose": row.purpose,
        "ref": row.ref,
        "reason": row.reason,
        "tier": hit.tier.value,
        "score_bits": hit.score_bits,
        "table": [list(line) for line in hit.table],
        "timing": hit.timing.value,
        "knowledge": hit.knowledge.value,
        "ledger": f"{row.shard_name}/{row.number}",
        "row": row.row,
        "lookup": row.lookup_id,
        "model": model,
    }


def _entry(kind: EntryKind, fields: Mapping[str, Any], *, name: str = "") -> Entry:
    return Entry(
        kind=kind,
        lookup_id=name or str(uuid4()),
        at=datetime.now(UTC),
        released=kind is EntryKind.READING,
        fields=fields,
    )


def _declared(reading: ReadingDeclared, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "principal": reading.reader,
        "system_user": reading.system_user,
        "purpose": reading.purpose,
        "reason": reading.reason,
        "ref": reading.ref,
        "asked": dict(asked),
    }
