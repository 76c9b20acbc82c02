"""When a gate serves, and with which snapshot: started once, reloaded in one assignment, drained, taken down (law 9)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime

from purposegate.attempt import Snapshot
from purposegate.errors import LedgerOutage, Outage, SettingsError
from purposegate.model import EntryKind
from purposegate.parts import Parts, bare_entry
from purposegate.reasons import Reason

RESTART_S = 1.0
"""Between two attempts to start that mere requests cause: each may start Cerbos, and leaves a trace in the log."""


class Lifecycle:
    """The parts of one gate and the snapshot in use. `closing` runs before the parts are taken down."""

    def __init__(
        self,
        opening: AbstractAsyncContextManager[Parts],
        *,
        reload: Callable[[], Awaitable[Snapshot]] | None,
        closing: Callable[[Parts], Awaitable[None]],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._opening = opening
        self._reload = reload
        self._closing = closing
        self._clock = clock
        self._monotonic = monotonic
        self._serving: Counter[int] = Counter()
        self._drained = asyncio.Event()
        self._started = asyncio.Lock()
        self._closed = False
        self._retry_at = float("-inf")
        self._parts: Parts | None = None
        self._snapshot: Snapshot | None = None
        self._last_snapshot: Snapshot | None = None

    @property
    def last_snapshot(self) -> Snapshot | None:
        """The snapshot in use, or the last one that was; None before the start."""
        return self._last_snapshot

    async def start(self) -> None:
        """Build the parts. Idempotent. Raises what they raise; nothing is served before."""
        async with self._started:
            self._closed = False
            await self._open()

    async def _open(self) -> None:
        if self._parts is not None:
            return
        try:
            parts = await self._opening.__aenter__()
        except Exception:
            self._retry_at = self._monotonic() + RESTART_S
            raise
        self._parts = parts
        self._snapshot = self._last_snapshot = parts.snapshot

    async def ready(self) -> Parts:
        """The parts; built at the first lookup where no lifespan did. Raises `Outage` after the end, and what building does.

        Never built again after the end: nobody would take them down.
        """
        if self._parts is None:
            async with self._started:
                if not self._closed and self._monotonic() >= self._retry_at:
                    await self._open()
        if self._parts is None:
            raise Outage(Reason.GATE_FAULT, "the gate is closed, or could not start a moment ago")
        return self._parts

    def snapshot(self, parts: Parts) -> Snapshot:
        """The snapshot to serve the next request with."""
        return self._snapshot or parts.snapshot

    @contextmanager
    def serving(self, parts: Parts) -> Iterator[Snapshot]:
        """The snapshot for one request, which is not retired before the request is done."""
        snapshot = self.snapshot(parts)
        self._serving[id(snapshot)] += 1
        try:
            yield snapshot
        finally:
            self._serving[id(snapshot)] -= 1
            self._drained.set()

    async def aclose(self) -> None:
        """Take the parts down, `closing` first. Idempotent."""
        async with self._started:
            self._closed = True
            if self._parts is None:
                return
            await self._closing(self._parts)
            self._parts = self._snapshot = None
            await self._opening.__aexit__(None, None, None)

    async def reload(self) -> str:
        """Read everything anew and swap it in, or raise and change nothing. Returns the new digest."""
        if self._reload is None:
            raise SettingsError("this gate was built from parts: call swap with a snapshot")
        await self.ready()
        snapshot = await self._reload()
        await self.swap(snapshot)
        return snapshot.digest

    async def swap(self, snapshot: Snapshot) -> None:
        """Use another snapshot from the next request on; recorded first. Raises `LedgerOutage`, then nothing changed."""
        parts = await self.ready()
        fields = {"snapshot_digest": snapshot.digest, "policy_digest": snapshot.decider.digest}
        try:
            await parts.ledger.append(bare_entry(EntryKind.POLICY_CHANGE, self._clock(), fields))
        except LedgerOutage:
            await snapshot.retire()
            raise
        old, self._snapshot, self._last_snapshot = self.snapshot(parts), snapshot, snapshot
        while self._serving[id(old)]:
            self._drained.clear()
            await self._drained.wait()
        await old.retire()
