"""The docket: matters sealed in their store, moved by entries that are durable first.

A step is: claim it, append its entry, then write the matter as the entry says. A crash between the last two leaves the store a
step behind the ledger: too strict, never too lax, and `purposegate review rebuild` mends it.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from purposegate.errors import Outage
from purposegate.ledger.keys import NONCE_BYTES, KeyRing
from purposegate.model import CountKey, Entry, EntryKind, Receipt
from purposegate.protocols import Ledger
from purposegate.reasons import Reason
from purposegate.review.matters import Matter, State, parties, stepped
from purposegate.review.store import Row, Store

SHOWN = 200
"""The most matters that one question lists; more than a screen, less than a database."""


class Sealing:
    """Seals matters for the store. The key is the ledger's own, which is outside the database."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.payload.items()}

    def token(self, party: Sequence[str]) -> bytes:
        """What a party is called in the store."""
        return self._ring.term("review", party)

    def seal(self, matter: Matter) -> Row:
        """The matter as a row, its names tokens and its body sealed to its id and step."""
        nonce, kid = os.urandom(NONCE_BYTES), self._ring.current
        body = json.dumps({"state": matter.state, "at": matter.at.isoformat(), "body": dict(matter.body)})
        sealed = self._ciphers[kid].encrypt(nonce, body.encode(), _bound(matter.kind, matter.id, matter.step))
        return Row(
            id=matter.id,
            kind=matter.kind,
            step=matter.step,
            at=int(matter.at.timestamp() * 1_000_000),
            until=int(matter.until.timestamp()),
            kid=kid,
            nonce=nonce,
            sealed=sealed,
            tokens=tuple(self.token(party) for party in parties(matter)),
        )

    def open(self, row: Row | None) -> Matter | None:
        """The matter of a row, or None where there is no row or nobody with the key wrote it."""
        if row is None:
            return None
        try:
            clear = self._ciphers[row.kid].decrypt(row.nonce, row.sealed, _bound(row.kind, row.id, row.step))
        except (KeyError, InvalidTag, ValueError):
            return None
        said = json.loads(clear)
        return Matter(
            id=row.id,
            kind=EntryKind(row.kind),
            state=State(said["state"]),
            at=datetime.fromisoformat(said["at"]),
            until=datetime.fromisoformat(said["body"]["until"]),
            step=row.step,
            body=said["body"],
        )


def _bound(kind: str, name: str, step: int) -> bytes:
    return json.dumps(["purposegate review", kind, name, step]).encode()


class Docket:
    """The matters of one ledger. Any number of gates may hold one; a store that is remote or a file is asked off the loop."""

    def __init__(
        self,
        store: Store,
        sealing: Sealing,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        append: Callable[[Entry], Awaitable[Receipt]] | None = None,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._ledger = ledger
        self._append = append or ledger.append
        self.clock = clock

    def through(
        self, append: Callable[[Entry], Awaitable[Receipt]], clock: Callable[[], datetime]
    ) -> "Docket":
        """The same docket, appending in another way, such as a page of the gate's own does."""
        return Docket(self._store, self._sealing, self._ledger, clock=clock, append=append)

    def at(self, now: datetime) -> "Docket":
        """The same docket at one moment."""
        return self.through(self._append, lambda: now)

    async def get(self, name: str) -> Matter | None:
        """The matter of this id. Raises `Outage`."""
        return self._sealing.open(await asyncio.to_thread(self._store.get, name))

    async def found(self, *party: str, limit: int = SHOWN) -> list[Matter]:
        """The newest matters of a party; see `matters.parties`. Raises `Outage`."""
        token = self._sealing.token(party)
        rows = await asyncio.to_thread(self._store.found, token, limit=limit)
        matters = (self._sealing.open(row) for row in rows)
        # A row is found by its token alone: one that somebody filed under another name is left where it is.
        return [one for one in matters if one is not None and tuple(party) in parties(one)]

    async def counted(self, key: CountKey) -> int:
        """How often durable entries counted this. Raises `LedgerOutage`."""
        (count,) = await self._ledger.counts([key])
        return count

    async def begin(
        self,
        kind: EntryKind,
        event: str,
        name: str,
        *,
        until: datetime,
        fields: Mapping[str, Any],
        counts: Sequence[CountKey] = (),
    ) -> Matter:
        """Make a new matter: its entry is durable on return. Raises `Outage`."""
        entry = self._entry(kind, name, {**fields, "until": until.isoformat(), "event": event}, counts)
        return await self._step(entry, None)

    async def move(
        self, matter: Matter, event: str, fields: Mapping[str, Any], *, counts: Sequence[CountKey] = ()
    ) -> Matter:
        """Take a matter's next step: its entry is durable on return. Raises `Outage`, also where the step is not open to it."""
        return await self._step(
            self._entry(matter.kind, matter.id, {**fields, "event": event}, counts), matter
        )

    def _entry(
        self, kind: EntryKind, name: str, fields: Mapping[str, Any], counts: Sequence[CountKey]
    ) -> Entry:
        said = {**fields, "matter": name}
        return Entry(kind=kind, lookup_id=name, at=self.clock(), released=False, fields=said, counts=counts)

    async def _step(self, entry: Entry, before: Matter | None) -> Matter:
        after = stepped(entry, before)
        if after is None:
            raise Outage(Reason.GATE_FAULT, f"{entry.kind}: no such step as {entry.fields.get('event')}")
        await self._append(entry)
        await self.keep(after)
        return after

    async def keep(self, matter: Matter) -> bool:
        """Write a matter whose entry is durable. Raises `Outage`."""
        return await asyncio.to_thread(self._store.put, self._sealing.seal(matter))

    async def note(self, kind: EntryKind, name: str, fields: Mapping[str, Any]) -> Receipt:
        """Append an entry about a matter that does not move it. Raises `LedgerOutage`."""
        return await self._append(self._entry(kind, name, fields, ()))

    async def claim(self, what: str, by: str) -> bool:
        """Be the one who does something, for good: see `Store.claim`. Raises `Outage`."""
        return await asyncio.to_thread(self._store.claim, what, by, int(self.clock().timestamp()))

    @asynccontextmanager
    async def claimed(self, what: str, by: str) -> AsyncIterator[bool]:
        """The same for something that may be tried again when it fails."""
        mine = await self.claim(what, by)
        try:
            yield mine
        except Exception:
            if mine:
                await asyncio.to_thread(self._store.unclaim, what, by)
            raise
