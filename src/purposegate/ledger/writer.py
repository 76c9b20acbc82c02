"""The one thread that writes a shard: natural group commit, and what happens when a commit's outcome is unknown.

A round takes whatever waits, writes it in one transaction and resolves the callers only after COMMIT returned. There is
no artificial delay: while one batch syncs, the next gathers.

States: `open` serves. An exception from a commit leaves its outcome *unknown* (the rows may be in the file even though
fsync failed), so the writer is `down`: everything is refused until the store has been reopened, made durable, and its
head found to be the one before or the one after the batch; a `recovery` entry then says which. A head that is neither
is `forked`: somebody else wrote, or the file was exchanged, and this writer never continues. `full` is too little room
on the disk: the closing entry is written, lookups are refused, and work resumes when there is room.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import apsw

from purposegate.errors import LedgerOutage
from purposegate.ledger.entry import Encoded, encode
from purposegate.ledger.growth import Growth, root_after, unfinished
from purposegate.ledger.keys import NONCE_BYTES, Cipher
from purposegate.ledger.merkle import Frontier, leaf_hash
from purposegate.ledger.pending import CosignedHead, Pending, SignedHead, tell
from purposegate.ledger.room import Room
from purposegate.ledger.store import Batch, Head, Store, StoreBusyError, Stored, StoreForkedError
from purposegate.model import Entry, EntryKind, Receipt

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 5.0
"""Back-off of reopening: quick for a passing fault, slow enough not to grind a dying disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one shard's writer."""

    batch_entries: int = 256
    """One transaction's entries: a tile's width, so that a batch fills at most two tiles of the lowest level."""
    batch_bytes: int = 1024 * 1024
    queue_entries: int = 8_192
    """Appends that may wait; at 6,000 a second that is 1.4 s, and whoever asks later is better told at once."""
    watermark_bytes: int = 256 * 1024 * 1024
    """Free space below which no lookup is accepted."""
    ballast_bytes: int = 16 * 1024 * 1024
    """Space kept taken, and given back for the closing entry when something else has filled the disk."""


class Doubt(NamedTuple):
    """A commit whose outcome is unknown."""

    before: Head
    after: Head
    lookup_ids: tuple[str, ...]
    cause: str


class Writer:
    """Serves one shard of one store. `submit` may be called from any thread; everything else runs in the writer's own."""

    def __init__(
        self,
        store: Store,
        *,
        shard: str,
        head: Head,
        cipher: Cipher,
        room: Room,
        limits: Limits,
        committed: Callable[[], object],
    ) -> None:
        """`committed` is called after each commit and on finding a fork, in the writer's thread; it must return at once."""
        self._store = store
        self._shard = shard
        self._cipher = cipher
        self._room = room
        self._limits = limits
        self._queue: SimpleQueue[Pending | SignedHead | CosignedHead | None] = SimpleQueue()
        self._signed: SignedHead | None = None
        self._cosigned: dict[str, CosignedHead] = {}
        self._committed = committed
        self._state = "open"
        self._why = ""
        self.found_fork = False
        """Whether the store was found not to be as this writer left it."""
        self._doubts: list[Doubt] = []
        self._retry_s = FIRST_RETRY_S
        self._retry_at = 0.0
        self._refused = 0
        self._load(head)
        self._thread = Thread(target=self._run, name=f"purposegate-ledger-{shard}", daemon=True)

    @property
    def head(self) -> Head:
        """The last head known to be committed."""
        return self._head

    @property
    def state(self) -> str:
        """`open`, `full`, `down`, `forked` or `closed`."""
        return self._state

    @property
    def serves(self) -> bool:
        """Whether the thread runs, and so owns the store's connection."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Queue one append. Raises LedgerOutage at once when it could not be served."""
        if self._state != "open":
            self._refused += 1
            raise LedgerOutage(self._why)
        if self._queue.qsize() >= self._limits.queue_entries:
            raise LedgerOutage(
                f"{self._limits.queue_entries} entries wait already; the disk is slower than the lookups"
            )
        self._queue.put(pending)

    def keep(self, head: SignedHead | CosignedHead) -> None:
        """Have a signed head, or a witness's line for one, kept with the next round; of several waiting, the last."""
        self._queue.put(head)

    def disown(self, why: str) -> None:
        """Refuse everything from now on: the signer found that the store contradicts what was signed."""
        self._leave("forked", why)

    def stop(self) -> None:
        """Serve what waits, then end. Blocks until the thread is gone. Idempotent."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._leave("closed", "the ledger is closed")

    def _load(self, head: Head) -> None:
        edges = [self._store.subtrees.hashes(*edge) for edge in unfinished(head.size)]
        self._head = head
        self._growth = Growth(Frontier.from_bytes(head.frontier), edges)

    def _fork(self, why: str) -> None:
        self.found_fork = True
        self._leave("forked", why)
        self._committed()  # what was acknowledged and is not there any more must be signed for now

    def _leave(self, state: str, why: str) -> None:
        self._why, self._state = why, state

    # The loop

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._gather()
            try:
                self._round(batch, stopping=stopping)
            except Exception as error:  # noqa: BLE001  # a disk that will not even say how full it is: refuse, never fall silent
                self._go_down(error)
                self._reject(batch, self._why)
        self._leave("closed", "the ledger is closed")
        self._reject(self._leftover(), self._why)

    def _round(self, batch: list[Pending], *, stopping: bool) -> None:
        if self._state != "open":
            self._reject(batch, self._why)
        elif batch:
            self._serve(batch)
        if self._state in {"open", "full"}:
            self._keep_signed()
        if self._state == "down" and time.monotonic() >= self._retry_at:
            self._recover()
        elif self._state == "full" and not stopping and self._room.is_ample():
            self._resume()

    def _gather(self) -> tuple[list[Pending], bool]:
        """Wait for one append, then take what else is there within the batch's bounds. True when it is time to end."""
        batch: list[Pending] = []
        room = self._limits.batch_bytes
        try:
            item = self._queue.get(timeout=None if self._state == "open" else FIRST_RETRY_S)
            while item is not None:
                if isinstance(item, SignedHead):
                    self._signed = item
                elif isinstance(item, CosignedHead):
                    self._cosigned[item.keyname] = item
                else:
                    batch.append(item)
                    room -= len(item.encoded.leaf) + len(item.encoded.payload)
                if room <= 0 or len(batch) >= self._limits.batch_entries:
                    return batch, False
                item = self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _leftover(self) -> list[Pending]:
        found: list[Pending] = []
        with suppress(Empty):
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, Pending):
                    found.append(item)
        return found

    def _serve(self, batch: list[Pending]) -> None:
        if self._room.is_low():
            self._reject(batch, "the disk is nearly full")
            self._close_for_room()
            return
        try:
            receipts = self._commit([each.encoded for each in batch], [each.lookup_id for each in batch])
        except StoreBusyError as error:
            self._reject(batch, str(error))
        except StoreForkedError as error:
            self._fork(f"{error}; another writer owns this shard, or the file was exchanged")
            self._reject(batch, self._why)
        except Exception as error:  # noqa: BLE001  # whatever it was, the outcome is unknown and nothing may be released
            self._go_down(error)
            self._reject(batch, self._why)
        else:
            self._resolve(batch, receipts)

    def _keep_signed(self) -> None:
        signed, self._signed = self._signed, None
        cosigned, self._cosigned = self._cosigned, {}
        try:
            if signed is not None:
                self._store.keep(*signed)
            for each in cosigned.values():
                self._store.keep_cosigned(*each)
        except (apsw.BusyError, StoreBusyError):
            self._signed, self._cosigned = signed, cosigned  # another worker is writing; with the next round
        except Exception as error:  # noqa: BLE001  # as in _serve: the connection cannot be trusted further
            self._go_down(error)

    # One commit

    def _commit(self, entries: Sequence[Encoded], lookup_ids: Sequence[str]) -> list[Receipt]:
        seen = self._head
        hashes = [leaf_hash(each.leaf) for each in entries]
        growth, tiles = self._growth.grown(hashes)
        frontier = growth.frontier
        after = Head(frontier.size, frontier.root(), frontier.to_bytes(), seen.epoch)

        def recheck(leaves: Sequence[bytes]) -> None:
            """Compare what the store would keep with what was hashed: Yeti 2022 was lost to one flipped bit."""
            if len(leaves) != len(entries) or root_after(seen.frontier, leaves) != after.root:
                raise RuntimeError("the leaves read back do not lead to the root computed")

        batch = Batch(
            seen, after, self._seal(entries, hashes, seen.size), tiles, sorted(_raised(entries).items())
        )
        self._doubts.append(Doubt(seen, after, tuple(lookup_ids), ""))
        try:
            self._store.commit(batch, recheck)
        except (StoreBusyError, StoreForkedError):
            self._doubts.pop()
            raise
        self._doubts.pop()
        self._head, self._growth = after, growth
        self._committed()
        return [
            Receipt(shard=self._shard, index=index, leaf_hash=each)
            for index, each in enumerate(hashes, seen.size)
        ]

    def _seal(self, entries: Sequence[Encoded], hashes: Sequence[bytes], first: int) -> list[Stored]:
        nonces = os.urandom(NONCE_BYTES * len(entries))
        kid, seal = self._cipher.kid, self._cipher.seal
        rows: list[Stored] = []
        for at, (each, hashed) in enumerate(zip(entries, hashes, strict=True)):
            nonce = nonces[at * NONCE_BYTES : (at + 1) * NONCE_BYTES]
            rows.append(Stored(each.leaf, hashed, kid, nonce, seal(each.payload, first + at, nonce)))
        return rows

    def write_notice(self, kind: EntryKind, fields: dict[str, Any]) -> Receipt:
        """Append an entry of the ledger's own, in a transaction of its own. Only before `start` or in the writer's thread."""
        name = kind.value
        entry = Entry(kind=kind, lookup_id=name, at=datetime.now(UTC), released=False, fields=fields)
        encoded = encode(entry, shard=self._shard, tokens=(), random=os.urandom)
        return self._commit([encoded], [name])[0]

    # When it goes wrong

    def _go_down(self, error: Exception) -> None:
        cause = type(error).__name__
        self._doubts[-1:] = [each._replace(cause=cause) for each in self._doubts[-1:]]
        if isinstance(error, apsw.FullError) or self._is_low():
            self._room.drop_ballast()
        self._leave("down", f"a commit failed ({cause}) and its outcome is being found out")
        self._retry_at = time.monotonic()

    def _is_low(self) -> bool:
        # A disk that does not say is not known to be full; whether it works shows on recovery.
        with suppress(OSError):
            return self._room.is_low()
        return False

    def _recover(self) -> None:
        """Find out what the last commits did, say so in an entry, and serve again."""
        try:
            self._store.reopen()
            head = self._store.head()
            last = self._doubts[-1] if self._doubts else None
            if head != self._head and (last is None or head != last.after):
                self._fork("the store came back with a head that this writer never wrote; open another shard")
                return
            # Asked first: what fails after the entry would bring another entry at every try.
            low = self._room.is_low()
            self._load(head)
            self.write_notice(EntryKind.RECOVERY, self._account())
        except StoreForkedError as error:
            self._fork(str(error))
        except Exception as error:  # noqa: BLE001  # any failure here means: still down, try later
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
            self._retry_at = time.monotonic() + self._retry_s
            self._why = f"the store cannot be reopened yet ({type(error).__name__})"
        else:
            self._doubts.clear()
            self._retry_s = FIRST_RETRY_S
            self._leave("open", "")
            if low:
                self._close_for_room()

    def _account(self) -> dict[str, Any]:
        """What the recovery entry says of the commits in doubt: which lookups, and whether their entries are there."""
        size = self._head.size
        return {
            "event": "commit-unknown",
            "refused": self._take_refused(),
            "commits": [
                {
                    "lookups": list(each.lookup_ids),
                    "first": each.before.size,
                    "present": each.after.size <= size,
                    "cause": each.cause,
                }
                for each in self._doubts
            ],
        }

    def _take_refused(self) -> int:
        refused, self._refused = self._refused, 0
        return refused

    def _close_for_room(self) -> None:
        """Write the closing entry with the ballast's space, then refuse."""
        self._leave("full", "the disk is nearly full; free some space, work resumes by itself")
        free = self._room.free_bytes()
        self._room.drop_ballast()
        self._notice_or_down({"event": "disk-full", "free_bytes": free})

    def _resume(self) -> None:
        try:
            self._room.keep_ballast()
        except LedgerOutage:
            return  # something took the space again; ask later
        if self._notice_or_down({"event": "disk-has-room", "refused": self._take_refused()}):
            self._leave("open", "")

    def _notice_or_down(self, fields: dict[str, Any]) -> bool:
        try:
            self.write_notice(EntryKind.RECOVERY, fields)
        except StoreBusyError:
            return False
        except StoreForkedError as error:
            self._fork(str(error))
            return False
        except Exception as error:  # noqa: BLE001  # as in _serve: unknown
            self._go_down(error)
            return False
        return True

    # Telling the callers

    def _resolve(self, batch: Sequence[Pending], receipts: Sequence[Receipt]) -> None:
        tell([(each, receipt) for each, receipt in zip(batch, receipts, strict=True)])

    def _reject(self, batch: Sequence[Pending], why: str) -> None:
        self._refused += len(batch)
        tell([(each, LedgerOutage(why)) for each in batch])


def _raised(entries: Sequence[Encoded]) -> Counter[bytes]:
    return Counter(token for each in entries for token in each.tokens)
