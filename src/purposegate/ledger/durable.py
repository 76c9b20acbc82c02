"""The ledger a gate holds: one shard of a store, open for appending. Implements `protocols.Ledger`."""

import asyncio
import atexit
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

from purposegate.errors import LedgerOutage, PurposegateError, SettingsError
from purposegate.ledger import home as files
from purposegate.ledger import keys
from purposegate.ledger.attest import HeadKeeper
from purposegate.ledger.entry import check_shard, encode
from purposegate.ledger.merkle import consistency_proof
from purposegate.ledger.pending import CosignedHead, Pending, SignedHead
from purposegate.ledger.place import AUTO, hold_shard, require_local
from purposegate.ledger.pushing import PushedShard, Pusher
from purposegate.ledger.quorum import Witnesses, WitnessState
from purposegate.ledger.room import Room
from purposegate.ledger.sqlite_file import SCHEMA_VERSION
from purposegate.ledger.sqlite_store import SqliteStore
from purposegate.ledger.store import Store
from purposegate.ledger.writer import Limits, Writer
from purposegate.model import Counted, CountKey, Entry, EntryKind, Receipt

__all__ = ["DurableLedger", "Limits"]

LOG = logging.getLogger("purposegate.ledger")


class DurableLedger:
    """An open shard. `append` is durable on return; any event loop and any thread of the opening process may call it."""

    def __init__(
        self, store: Store, standing: files.Standing, secrets: files.Secrets, room: Room, limits: Limits
    ) -> None:
        """Use `open`. Enters the shard and serves once `_begin` was called."""
        self._store = store
        self._ring = secrets.ring
        self._room = room
        self._signer = standing.signer
        self._lost = standing.lost
        self._pid = os.getpid()
        self._closed = False
        self._resources = ExitStack()
        self._due = Event()
        self._pusher: Pusher | None = None
        self.shard = standing.name
        self.origin = standing.signer.origin
        self._writer = Writer(
            store,
            shard=self.shard,
            head=store.enter(self.shard, standing.signer.key),
            cipher=keys.Cipher(secrets.ring, self.origin),
            room=room,
            limits=limits,
            committed=self._due.set,
        )
        self._keeper = HeadKeeper(
            standing.signer,
            head=lambda: self._writer.head,
            subtrees=store.subtrees,
            keep=self._keep,
            disown=self._writer.disown,
            is_forked=lambda: self._writer.found_fork,
            due=self._due,
        )

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        origin: str,
        shard: str = AUTO,
        key_file: Path | None = None,
        signer_file: Path | None = None,
        limits: Limits | None = None,
        vfs: str = "",
    ) -> Self:
        """Open the SQLite ledger at `path`, making it and its key files if none exists. Blocks for some milliseconds.

        `origin` names the log to the world (C2SP tlog-checkpoint); the shard's own origin is `<origin>/<shard>`.
        `key_file` is `<path>.keys` and `signer_file` `<path>.signer` unless given: better elsewhere. `vfs` names an
        SQLite VFS, for encrypting or faulty disks.
        Raises SettingsError for files that are not this ledger's, with nothing changed, and LedgerOutage for disks and locks.
        """
        limits = limits or Limits()
        check_names(origin, shard)
        path = path.resolve()  # so that a link's name and the file's own lead to the same locks and keys
        home = files.Home.of(path, origin, key_file, signer_file)
        require_local(path.parent)
        room = Room(
            path.parent,
            watermark_bytes=limits.watermark_bytes,
            ballast=path.with_name(path.name + ".ballast"),
            ballast_bytes=limits.ballast_bytes,
        )
        secrets = files.prepare(path, home, room, vfs)
        with ExitStack() as resources:
            store = SqliteStore(path, vfs=vfs)
            resources.callback(store.close)
            files.recognise(home, store.meta, secrets)
            name, lock = hold_shard(path, shard)
            resources.callback(lock.release)
            with _outage(path):
                standing = files.stand(store, home, secrets, name)
            return cls.serve(store, standing, secrets, room=room, limits=limits, resources=resources)

    @classmethod
    def serve(
        cls,
        store: Store,
        standing: files.Standing,
        secrets: files.Secrets,
        *,
        room: Room,
        limits: Limits,
        resources: ExitStack,
    ) -> Self:
        """Serve a shard of a store that is open, held and recognised: how each kind of store opens. `resources` end with it."""
        with _outage(standing.name):
            ledger = cls(store, standing, secrets, room, limits)
            ledger._begin()
        ledger._resources = resources.pop_all()
        atexit.register(ledger.close)
        return ledger

    def _begin(self) -> None:
        """Write the genesis if the shard is new, and serve."""
        try:
            if not self._writer.head.size:
                fields: dict[str, Any] = {
                    "origin": self.origin,
                    "schema": SCHEMA_VERSION,
                    "vkey": str(self._signer.key),
                    **({"lost": self._lost} if self._lost else {}),
                }
                self._writer.write_notice(EntryKind.GENESIS, fields)
            self._room.keep_ballast()
        except LedgerOutage:
            raise
        except Exception as error:
            raise LedgerOutage(
                f"{self.shard}: its first entry could not be written ({type(error).__name__})"
            ) from error
        if self._lost:
            LOG.critical(
                "The store is older than the last signed head of %s: writing %s",
                self._lost["shard"],
                self.shard,
            )
        self._cosigned_before = self._store.cosigned()
        self._keeper.sign()  # before the first lookup: a shard without a signed head says nothing to anybody
        if self._keeper.fault:
            raise LedgerOutage(f"{self.shard}: {self._keeper.fault}")
        self._writer.start()
        self._keeper.start()

    def _keep(self, head: SignedHead | CosignedHead) -> None:
        if self._writer.serves:
            self._writer.keep(head)
        # Its thread has not begun or has ended: this one may use the connection.
        elif isinstance(head, SignedHead):
            self._store.keep(*head)
        else:
            self._store.keep_cosigned(*head)

    def push_to(self, witnesses: Witnesses) -> None:
        """Have the shard's heads cosigned from now on; once, after opening.

        Raises LedgerOutage where a witness contradicted this shard before.
        """
        signer, subtrees = self._signer, self._store.subtrees
        self._pusher = Pusher(
            witnesses,
            PushedShard(
                key=signer.key,
                newest=lambda: signer.note,
                prove=lambda old, new: consistency_proof(old, new, subtrees),
                keep=self._keep,
                notice=self._notice_gap,
                disown=self._writer.disown,
                memory=signer.memory,
                cosigned=self._cosigned_before,
            ),
        )
        self._pusher.start()

    def _notice_gap(self, fields: dict[str, Any]) -> Receipt:
        entry = Entry(
            kind=EntryKind.WITNESS_GAP,
            lookup_id=EntryKind.WITNESS_GAP.value,
            at=datetime.now(UTC),
            released=False,
            fields=fields,
        )
        return self.append_wait(entry)

    def require_witnessed(self) -> None:
        """Return if a new lookup may begin, by what the witnesses say. Raises LedgerOutage; at once, and from any thread."""
        if self._pusher is not None:
            self._pusher.require_witnessed()

    @property
    def witness_age_s(self) -> float | None:
        """Seconds since the quorum of witnesses last stood; None where no witness is asked."""
        return self._pusher.age_s if self._pusher else None

    @property
    def witness_states(self) -> list[WitnessState]:
        """Each witness as it stands; empty where none is asked."""
        return self._pusher.states if self._pusher else []

    @property
    def size(self) -> int:
        """How many entries this shard holds, its genesis included."""
        return self._writer.head.size

    @property
    def state(self) -> str:
        """`open`, or why appends are refused: `full`, `down`, `forked`, `closed`."""
        return self._writer.state

    async def append(self, entry: Entry) -> Receipt:
        """Append one entry: durable when this returns. Raises LedgerOutage; then nothing may be released.

        Cancelling it does not take the entry back.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Receipt] = loop.create_future()
        self._writer.submit(self._pending(entry, loop, future))
        return await future

    def append_wait(self, entry: Entry, *, timeout_s: float = 10.0) -> Receipt:
        """The same for callers without an event loop. Blocks; past `timeout_s` LedgerOutage, and the entry may yet stand."""
        future: Future[Receipt] = Future()
        self._writer.submit(self._pending(entry, None, future))
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            raise LedgerOutage(f"the disk did not answer within {timeout_s:g} s") from error

    def _pending(
        self,
        entry: Entry,
        loop: asyncio.AbstractEventLoop | None,
        future: "asyncio.Future[Receipt] | Future[Receipt]",
    ) -> Pending:
        self._require_here()
        tokens = [self._ring.token(key) for key in entry.counts]
        encoded = encode(entry, shard=self.shard, tokens=tokens, random=os.urandom)
        return Pending(encoded, entry.lookup_id, loop, future)

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """How often durable entries of all shards counted each key. Raises LedgerOutage."""
        return tuple(one.total for one in await self.counted(keys))

    async def counted(self, keys: Sequence[CountKey]) -> tuple[Counted, ...]:
        """The same, with what other workers and gates have counted told apart; all as of one moment. Raises LedgerOutage.

        A file is read on the caller's thread: some 10 us and 4 us a key, less than handing it to another thread costs.
        """
        self._require_here()
        tokens = [self._ring.token(key) for key in keys]
        if self._store.is_remote:
            found = await asyncio.to_thread(self._store.counts, tokens)
        else:
            found = self._store.counts(tokens)
        return tuple(Counted(*one) for one in found)

    def _require_here(self) -> None:
        if self._closed:
            raise LedgerOutage("the ledger is closed")
        if os.getpid() != self._pid:
            raise LedgerOutage("this ledger was opened before the process forked; open one in each worker")

    def close(self) -> None:
        """Write what waits, then let go of everything. Blocks. Idempotent, and does nothing in a forked child."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._pusher is not None:
            self._pusher.stop()
        self._writer.stop()
        self._keeper.stop()
        if self._pusher is not None:
            self._pusher.finish()
        self._resources.close()

    @property
    def signed_size(self) -> int:
        """How many entries the last signed head covers."""
        return self._signer.size

    @property
    def fault(self) -> str:
        """Why the head cannot be signed at present; empty when all is well."""
        return self._keeper.fault

    async def aclose(self) -> None:
        """The same without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.aclose()


def check_names(origin: str, shard: str) -> None:
    """Return if a ledger and its shard can be called so; else SettingsError."""
    if not origin or not origin.isprintable() or any(character in origin for character in " +"):
        raise SettingsError(
            "ledger origin: want a name without spaces and '+', such as force.police.uk/purposegate/site"
        )
    try:
        check_shard(shard)
    except ValueError as error:
        raise SettingsError(f"ledger shard: {error}") from error


@contextmanager
def _outage(what: object) -> Iterator[None]:
    """Whatever the database raises is an outage; what is said on purpose stays as it is."""
    try:
        yield
    except PurposegateError:
        raise
    except Exception as error:
        raise LedgerOutage(f"{what}: cannot be read or written: {type(error).__name__}") from error
