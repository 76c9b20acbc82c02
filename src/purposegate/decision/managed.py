"""A Cerbos of our own: started, proved, watched, replaced when it dies, and exchanged whole when policies change."""

import asyncio
import threading
from pathlib import Path

from purposegate.decision import binary as binaries
from purposegate.decision import bundle as bundles
from purposegate.decision.binary import Binary
from purposegate.decision.cache import cache_for
from purposegate.decision.canary import unfit
from purposegate.decision.client import DEADLINE_S, CheckClient
from purposegate.decision.runtime import RuntimeDirectory, require_private
from purposegate.decision.serving import Decider, Serving
from purposegate.decision.supervisor import Supervisor

_NAME_DIGITS = 16
"""Of the digest, in a socket's name: the path has room for no more, and 64 bits do not collide by chance."""


class ManagedDecider(Decider):
    """Runs Cerbos on a Unix socket for this process, or one for all worker processes that share `runtime_dir`."""

    def __init__(
        self,
        policies_dir: Path,
        *,
        binary: Path | None = None,
        project: Path | None = None,
        runtime_dir: Path | None = None,
        shared: bool = False,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Nothing starts yet. `project` is where node_modules may stand: at or above it; the policies' place if None.

        Raises `ValueError` for `shared` without `runtime_dir`.
        """
        super().__init__()
        if shared and runtime_dir is None:
            raise ValueError("shared: needs runtime_dir, where the worker processes find each other")
        self._policies_dir = policies_dir
        self._explicit = binary
        self._project = policies_dir if project is None else project
        self._runtime_dir = runtime_dir
        self._shared = shared
        self._deadline_s = deadline_s
        self._lifecycle = threading.Lock()
        self._binary: Binary | None = None
        self._private: RuntimeDirectory | None = None
        self._supervisor: Supervisor | None = None
        self._generation = 0

    @property
    def pid(self) -> int | None:
        """Process id of the Cerbos this process owns; None where another worker owns it or none runs."""
        supervisor = self._supervisor
        return None if supervisor is None else supervisor.pid

    async def start(self) -> None:
        """Find the binary, load the policies, prove the Cerbos. Idempotent.

        Raises `PolicyError` for policies Cerbos will not load, `PdpOutage` (each with what to do) for all else.
        """
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        with self._lifecycle:
            if self._serving is not None:
                return
            self._binary = binaries.find(self._explicit, self._project)
            if not self._shared:
                self._private = RuntimeDirectory(self._runtime_dir)
            try:
                serving, self._supervisor = self._launch(self._policies_dir)
            except BaseException:
                self._clear()
                raise
            self._replace(serving)

    def _directory(self) -> Path:
        if self._private is not None:
            return self._private.ensure()
        if self._runtime_dir is None:
            raise unfit("the decider is not started.")
        require_private(self._runtime_dir)
        return self._runtime_dir

    def _launch(self, policies_dir: Path) -> tuple[Serving, Supervisor]:
        if self._binary is None:
            raise unfit("the decider is not started.")
        bundle = bundles.read(policies_dir)
        directory = self._directory()
        self._generation += 1
        # Workers find each other by the digest; a process of its own must not meet its own past under one name.
        name = bundle.digest[:_NAME_DIGITS] if self._shared else f"cerbos{self._generation}"
        supervisor = Supervisor(
            self._binary,
            prepare=lambda: bundles.place(bundle, self._directory()),
            directory=directory,
            name=name,
            shared=self._shared,
        )
        supervisor.start()
        serving = Serving(
            CheckClient(supervisor.address, deadline_s=self._deadline_s, epoch=lambda: supervisor.epoch),
            digest=bundle.digest,
            allow_rules=bundle.allow_rules,
            reads_record_ids=bundle.reads_record_ids,
            version=self._binary.version,
            fault=lambda: supervisor.fault,
            alive=lambda: supervisor.alive,
            cache=cache_for(bundle.reads, bundle.allow_rules),
        )
        return serving, supervisor

    def _clear(self) -> None:
        self._supervisor = None
        if self._private is not None:
            self._private.close()
            self._private = None

    async def reload(self, policies_dir: Path | None = None) -> str:
        """Change to the policies as they are now, in one step; returns their digest. A no-op where nothing changed.

        Raises `PolicyError` or `PdpOutage`; then the old policies go on deciding, untouched.
        """
        exchanged = await asyncio.to_thread(self._exchange, policies_dir or self._policies_dir)
        if exchanged is not None:
            old, supervisor = exchanged
            try:
                await old.drain()
            finally:
                await asyncio.to_thread(supervisor.stop)
        return self.digest

    def _exchange(self, policies_dir: Path) -> tuple[Serving, Supervisor] | None:
        with self._lifecycle:
            old, watching = self._serving, self._supervisor
            if old is None or watching is None:
                raise unfit("the decider is not started.")
            if bundles.policies_digest(policies_dir) == old.digest:
                return None
            serving, self._supervisor = self._launch(policies_dir)
            self._policies_dir = policies_dir
            self._replace(serving)
            return old, watching

    async def aclose(self) -> None:
        """Stop asking, then stop Cerbos. Idempotent; lookups that began are answered first."""
        old = self._replace(None)
        if old is not None:
            await old.drain()
        late = await asyncio.to_thread(self._stop)
        if late is not None:  # a start that was under way
            await late.client.aclose()

    def _stop(self) -> Serving | None:
        with self._lifecycle:
            late = self._replace(None)
            if self._supervisor is not None:
                self._supervisor.stop()
            self._clear()
            return late
