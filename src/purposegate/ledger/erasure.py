"""Carrying out a retention request: recorded first, then the clear text is deleted where it lies.

The leaf stays, and with it the proof that the entry was made; what is lost is what its digests stand for. Deleting overwrites
the pages (secure_delete) and empties the WAL. It does not reach into copies: backups keep the ciphertext until they expire.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from purposegate.errors import SettingsError
from purposegate.ledger.brief import opened
from purposegate.ledger.entry import Leaf, Payload, read_leaf
from purposegate.ledger.index import Index, Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.location import Location
from purposegate.ledger.quorum import Witnesses
from purposegate.ledger.retention import (
    LEAST_FLOOR,
    Act,
    Recorded,
    Request,
    RetentionPolicy,
    Ruled,
    approved,
    outdated,
    recorded_in,
    ruled,
    why_not,
)
from purposegate.ledger.sqlite_file import SHARD_SHIFT
from purposegate.ledger.store import Reader, StoredEntry
from purposegate.ledger.terms import terms_of
from purposegate.model import Entry, EntryKind, Receipt

MAX_ENTRIES = 100_000
"""Entries of one request: they are gone through twice under two people's names, not a whole log by a slip."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What was done: the entry that records it, how many payloads went, and whether the store's own log is empty of them."""

    receipt: Receipt
    erased: int
    wal_emptied: bool


class Retention:
    """Retention of one ledger. Use from one thread."""

    def __init__(
        self,
        location: Location,
        reader: Reader,
        ring: KeyRing,
        index: Index,
        policy: RetentionPolicy,
        *,
        witnesses: Witnesses | None = None,
    ) -> None:
        """With `witnesses` the entry of a request is cosigned before anything is deleted, where they can."""
        self._witnesses = witnesses
        self._location = location
        self._reader = reader
        self._ring = ring
        self._index = index
        self._policy = policy
        self._opener = Opener(ring, reader.shards())
        self._numbers = {row.name: row.number for row in reader.shards()}

    def rulings(self) -> list[Ruled]:
        """Every request that the ledger holds and two of the policy's approvers signed.

        Read from the leaves, never from the search index: a row taken out there must not let go of what is held.
        """
        recorded: list[Recorded] = []
        names = {number: name for name, number in self._numbers.items()}
        for kind in (EntryKind.ERASE, EntryKind.HOLD):
            for shard, number in self._reader.of_kind(kind.value):
                for stored in self._reader.entries(shard, number, number + 1):
                    payload = self._opener.payload(shard, stored)
                    if payload is None:
                        raise SettingsError(
                            f"{names[shard]}/{number}: a hold or erase entry does not open; run `ledger verify`"
                        )
                    at = read_leaf(stored.leaf).at
                    recorded.append(recorded_in(payload.fields, names[shard], number, at))
        return ruled(recorded, {str(key) for key in self._policy.approvers})[0]

    def carry_out(self, note: bytes) -> Carried:
        """Record the request and do it. Asking again for what was recorded finishes what was cut short.

        Raises EvidenceError for a request without two approvers, SettingsError for entries that may not go, LedgerOutage.
        """
        request, signers = approved(note, self._policy.approvers)
        if request.origin != self._reader.meta["origin"].decode():
            raise SettingsError("this request is for a ledger of another origin")
        now = datetime.now(UTC)
        entries = list(self._covered(request))
        rulings = self.rulings()
        if request.act is Act.ERASE:
            self._require_erasable(rulings, entries, now)
        elif why := outdated(rulings, request, now):
            raise SettingsError(f"this request is not recorded: {why}")
        receipt = self._record(request, note, [str(key) for key in signers], now)
        if request.act is not Act.ERASE:
            return Carried(receipt, 0, wal_emptied=True)
        return Carried(receipt, *self._delete(entries))

    def _covered(self, request: Request) -> Iterator[tuple[str, StoredEntry, Leaf]]:
        if sum(span.last - span.first + 1 for span in request.spans) > MAX_ENTRIES:
            raise SettingsError(f"a request covers at most {MAX_ENTRIES} entries; make several")
        for span in request.spans:
            number = self._numbers.get(span.shard)
            found = [] if number is None else list(self._reader.entries(number, span.first, span.last + 1))
            if len(found) != span.last - span.first + 1:
                raise SettingsError(f"{span}: not all of these entries are in this ledger")
            yield from ((span.shard, stored, read_leaf(stored.leaf)) for stored in found)

    def _require_erasable(
        self, rulings: Sequence[Ruled], entries: Sequence[tuple[str, StoredEntry, Leaf]], now: datetime
    ) -> None:
        for shard, stored, leaf in entries:
            why = why_not(
                rulings,
                shard=shard,
                number=stored.index,
                kind=leaf.kind,
                made_at=leaf.at,
                at=now,
                floor=max(self._policy.floor, LEAST_FLOOR),
            )
            if why and stored.sealed is not None:
                raise SettingsError(f"{shard}/{stored.index} may not be erased: {why}; nothing was changed")

    def _record(self, request: Request, note: bytes, vkeys: list[str], now: datetime) -> Receipt:
        kind = EntryKind.ERASE if request.act is Act.ERASE else EntryKind.HOLD
        entry = Entry(
            kind=kind,
            lookup_id=str(uuid4()),
            at=now,
            released=False,
            fields={
                "request": note.decode(),
                "approvers": vkeys,
                "authority": request.authority,
                "rule": request.rule,
            },
        )
        origin = self._reader.meta["origin"].decode()
        with opened(self._location, origin, self._witnesses) as ledger:
            return ledger.append_wait(entry)

    def _delete(self, entries: Sequence[tuple[str, StoredEntry, Leaf]]) -> tuple[int, bool]:
        """Delete payloads, lower the counters that they raised, and take their search terms out.

        How many went, and whether the store's own log is empty of them.
        """
        gone: list[int] = []
        lowered: Counter[tuple[bytes, int]] = Counter()
        opened: list[tuple[int, int, Leaf, Payload]] = []
        for shard, stored, leaf in entries:
            if stored.sealed is None:
                continue
            number = self._numbers[shard]
            payload = self._opener.payload(number, stored)
            if payload is None:
                raise SettingsError(
                    f"{shard}/{stored.index} does not open; run `purposegate ledger verify` first"
                )
            gone.append((number << SHARD_SHIFT) + stored.index)
            lowered.update((token, number) for token in payload.tokens)
            opened.append((number, stored.index, leaf, payload))
        emptied = self._location.erase(gone, lowered)
        for number, place, leaf, payload in opened:
            self._index.forget(number, place, terms_of(leaf.lookup_id, payload.fields, payload.rows))
        return len(gone), emptied
