"""The ledger a gate holds: one shard of a store, open for appending. Implements `protocols.Ledger`."""

import asyncio
import atexit
import os
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.entry import check_shard, encode
from purposegate.ledger.place import AUTO, Lock, creating, hold_shard, require_local
from purposegate.ledger.room import Room
from purposegate.ledger.sqlite_store import SCHEMA_VERSION, SqliteStore, create_file
from purposegate.ledger.store import Store
from purposegate.ledger.writer import Limits, Pending, Writer
from purposegate.model import CountKey, Entry, EntryKind, Receipt

__all__ = ["DurableLedger", "Limits"]


class DurableLedger:
    """An open shard. `append` is durable on return; any event loop and any thread of the opening process may call it."""

    def __init__(
        self, store: Store, writer: Writer, ring: keys.KeyRing, lock: Lock, *, shard: str, origin: str
    ) -> None:
        """Use `open`."""
        self._store = store
        self._writer = writer
        self._ring = ring
        self._lock = lock
        self._pid = os.getpid()
        self._closed = False
        self.shard = shard
        self.origin = origin

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        origin: str,
        shard: str = AUTO,
        key_file: Path | None = None,
        limits: Limits | None = None,
        vfs: str = "",
    ) -> Self:
        """Open the SQLite ledger at `path`, making it and its key file if neither exists. Blocks for some milliseconds.

        `origin` names the log to the world (C2SP tlog-checkpoint); the shard's own origin is `<origin>/<shard>`.
        `key_file` is `<path>.keys` unless given. `vfs` names an SQLite VFS, for encrypting or faulty disks.
        Raises SettingsError for files that are not this ledger's, with nothing changed, and LedgerOutage for disks and locks.
        """
        limits = limits or Limits()
        path = path.absolute()
        key_file = (key_file or path.with_name(path.name + ".keys")).absolute()
        _check_names(origin, shard)
        require_local(path.parent)
        room = Room(
            path.parent,
            watermark_bytes=limits.watermark_bytes,
            ballast=path.with_name(path.name + ".ballast"),
            ballast_bytes=limits.ballast_bytes,
        )
        try:
            with creating(path):
                ring = _prepare(path, key_file, origin, room, vfs)
        except OSError as error:
            raise LedgerOutage(f"{path}: cannot be made or read: {error.strerror}") from error
        store = SqliteStore(path, vfs=vfs)
        try:
            _check_meta(path, store.meta, origin, ring)
            name, lock = hold_shard(path, shard)
        except BaseException:
            store.close()
            raise
        try:
            writer = _start(store, origin=f"{origin}/{name}", shard=name, ring=ring, room=room, limits=limits)
        except BaseException:
            store.close()
            lock.release()
            raise
        ledger = cls(store, writer, ring, lock, shard=name, origin=origin)
        atexit.register(ledger.close)
        return ledger

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
        """How often durable entries of all shards counted each key. Raises LedgerOutage.

        Read on the caller's thread: some 20 us a key, less than handing it to another thread costs.
        """
        self._require_here()
        return tuple(self._store.counts([self._ring.token(key) for key in keys]))

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
        self._writer.stop()
        self._store.close()
        self._lock.release()

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


def _check_names(origin: str, shard: str) -> None:
    if not origin or not origin.isprintable() or any(character in origin for character in " +"):
        raise SettingsError(
            "ledger origin: want a name without spaces and '+', such as force.police.uk/purposegate/site"
        )
    try:
        check_shard(shard)
    except ValueError as error:
        raise SettingsError(f"ledger shard: {error}") from error


def _prepare(path: Path, key_file: Path, origin: str, room: Room, vfs: str) -> keys.KeyRing:
    """Make what is missing, in an order that a crash may cut anywhere: the key file first, the database last."""
    if not path.exists():
        if not key_file.exists():
            keys.create(key_file)
        ring = keys.load(key_file)
        if room.is_low():
            raise LedgerOutage(f"{path}: too little room on the disk to begin a ledger")
        create_file(path, {"origin": origin.encode(), **_fingerprints(ring)}, vfs=vfs)
    elif not key_file.exists():
        raise SettingsError(
            f"{key_file}: the ledger's key file is gone; restore it, a new one could not read the payloads"
        )
    return keys.load(key_file)


def _fingerprints(ring: keys.KeyRing) -> dict[str, bytes]:
    return {f"key {kid}": ring.fingerprint(kid) for kid in (0, *ring.payload)}


def _check_meta(path: Path, meta: dict[str, bytes], origin: str, ring: keys.KeyRing) -> None:
    if meta.get("origin") != origin.encode():
        raise SettingsError(
            f"{path}: this ledger has another origin; mend `origin` in the settings, or name another file"
        )
    if any(meta.get(name) != fingerprint for name, fingerprint in _fingerprints(ring).items()):
        raise SettingsError(
            f"{path}: the key file belongs to another ledger; restore the one made with this file"
        )


def _start(
    store: SqliteStore, *, origin: str, shard: str, ring: keys.KeyRing, room: Room, limits: Limits
) -> Writer:
    """Enter the shard, write its genesis if it is new, and begin to serve."""
    head = store.enter(shard, origin)
    writer = Writer(store, shard=shard, head=head, cipher=keys.Cipher(ring, origin), room=room, limits=limits)
    try:
        if not head.size:
            writer.write_notice(EntryKind.GENESIS, {"origin": origin, "schema": SCHEMA_VERSION})
        room.keep_ballast()
    except LedgerOutage:
        raise
    except Exception as error:
        raise LedgerOutage(
            f"shard {shard}: its first entry could not be written ({type(error).__name__})"
        ) from error
    writer.start()
    return writer
