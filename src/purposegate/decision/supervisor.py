"""Keeps one proved Cerbos behind one socket name: starts it, asks the canaries, watches it, brings it back.

A Cerbos starts under a name of its own; only when its canaries have sung is its socket renamed to the name lookups use.
So nobody, in this process or another that shares the directory, can ask one that is unproved.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from purposegate.decision import canary
from purposegate.decision.binary import Binary
from purposegate.decision.canary import unfit
from purposegate.decision.crew import Crew
from purposegate.decision.process import Child, http_socket
from purposegate.errors import PdpOutage, PurposegateError
from purposegate.reasons import Reason

STARTING_S = 20.0
"""A cold 100 MB binary on a loaded machine needs seconds; a warm one 0.1 s."""

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
STEADY_S = 10.0
"""A Cerbos that lasted this long had started well: its next death is answered without delay again."""

HEALTH_S = 2.0
HEALTH_ANSWER_S = 2.0
SICK_ANSWERS = 3
"""So many health checks in a row without an answer, and a Cerbos that still runs is killed and replaced."""

FOLLOWING_S = 0.2
"""How soon another worker process notices that the one which ran Cerbos is gone. One flock(2) a look."""


LOG = logging.getLogger("purposegate.decision")


class Supervisor:
    """One thread that owns one Cerbos, or follows one that another worker process owns.

    The thread lives as long as the child it starts: Linux ties the child to it.
    """

    def __init__(
        self, binary: Binary, *, prepare: Callable[[], Path], directory: Path, name: str, shared: bool
    ) -> None:
        """Nothing runs yet. `prepare` puts the policies in place before each start and says where; one at a time."""
        self._binary = binary
        self._prepare = prepare
        self._directory = directory
        self._name = name
        self._crew = Crew(directory, name) if shared else None
        self.socket = directory / f"{name}.sock"
        self.epoch = 0
        """How many Cerboses have stood behind the name. A connection to an earlier one is of no use."""
        self._stopping = False
        self._wake = threading.Event()
        self._settled = threading.Event()
        self._fault: PurposegateError | None = None
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._run, name=f"cerbos-{name}", daemon=True)

    @property
    def address(self) -> str:
        """Where lookups ask: gRPC's name of the socket."""
        return f"unix:{self.socket}"

    @property
    def fault(self) -> PurposegateError | None:
        """Why there is no Cerbos to ask just now; None while one serves."""
        return self._fault

    @property
    def alive(self) -> bool:
        """Whether the Cerbos behind the name has not ended, as far as can be told without asking it.

        True while another process owns it: then its channel tells.
        """
        child = self._child
        return self._fault is None and (child is None or child.alive)

    @property
    def pid(self) -> int | None:
        """The child's process id; None where another process owns it or none runs."""
        child = self._child
        return child.pid if child is not None and child.running else None

    def start(self) -> None:
        """Start, and return when a proved Cerbos serves. Blocks; call once.

        Raises `PolicyError` for policies it will not load, `PdpOutage` otherwise; then nothing runs.
        """
        self._thread.start()
        settled = self._settled.wait(STARTING_S + HEALTH_ANSWER_S)
        fault = self._fault if settled else unfit("Cerbos did not start in time.")
        if fault is not None:
            self.stop()
            raise fault

    def stop(self) -> None:
        """End the thread and the child it owns. Blocks; idempotent."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        delay = FIRST_DELAY_S
        while not self._stopping:
            began = time.monotonic()
            self._attempt()
            if not self._settled.is_set():  # the first start failed: `start` says so, and nothing is retried
                self._settled.set()
                break
            delay = FIRST_DELAY_S if time.monotonic() - began > STEADY_S else min(delay * 2, LONGEST_DELAY_S)
            if not self._stopping:
                LOG.warning("cerbos: %s Trying again in %.1f s.", self._fault, delay)
            self._pause(delay)
        if self._crew is not None:
            self._crew.leave()

    def _attempt(self) -> None:
        """Serve once. Whatever ends it is kept as the fault that lookups are told."""
        try:
            if self._crew is None or self._crew.join():
                self._serve()
            else:
                self._fault = unfit("the last worker process that shared Cerbos is just leaving.")
        except PurposegateError as error:
            self._fault = error
        except OSError as error:
            self._fault = unfit(f"Cerbos' directory: {error.strerror}.")
        except Exception as error:  # a thread that ended here would never bring Cerbos back
            LOG.exception("cerbos: the supervisor failed")
            self._fault = unfit(f"the supervisor of Cerbos failed: {type(error).__name__}.")

    def _serves(self) -> None:
        """A proved Cerbos stands behind the name."""
        self.epoch += 1
        self._fault = None
        self._settled.set()

    def _pause(self, seconds: float) -> None:
        """Wait, unless told to stop."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
            if not self._stopping:
                self._wake.clear()

    def _serve(self) -> None:
        """Own a Cerbos for its whole life, or follow another process's until that process is gone."""
        if self._crew is not None and not self._crew.own():
            self._follow(self._crew)
            return
        if not self._settled.is_set():
            self._fault = unfit("Cerbos is being started.")
        policies = self._prepare()
        starting = self._directory / f"{self._name}.new"
        log = self._directory / f"{self._name}.log"
        self._wake.clear()
        child = Child(self._binary, policies=policies, socket=starting, log=log, exited=self._wake.set)
        self._child = child
        published = 0
        try:
            self._prove(child, starting)
            http_socket(starting).unlink(missing_ok=True)
            published = starting.stat().st_ino
            starting.rename(self.socket)
            self._serves()
            self._watch(child, published)
            if self._crew is not None and self._stopping:
                self._crew.hand_over(serves=lambda: child.running and self._stands() == published)
        finally:
            self._fault = unfit("Cerbos ended and is being started again.")
            if self._stands() == published:  # not that of the worker process which took over
                self.socket.unlink(missing_ok=True)
            child.stop()

    def _stands(self) -> int:
        """The inode of the socket behind the name; 0 for none."""
        try:
            return self.socket.stat().st_ino
        except FileNotFoundError:
            return 0

    def _prove(self, child: Child, socket: Path) -> None:
        """Return when the canaries are answered rightly. A socket is there a moment before anybody listens on it."""
        until = time.monotonic() + STARTING_S
        while True:
            if not child.running:
                raise child.failure()
            if self._stopping or time.monotonic() > until:
                raise unfit("Cerbos did not start in time.")
            if socket.exists() and self._sang(socket):
                return
            self._wake.wait(0.01)

    def _sang(self, socket: Path) -> bool:
        """Whether it answered; a wrong answer raises, none at all does not."""
        try:
            with canary.open_channel(f"unix:{socket}", None) as channel:
                canary.prove(channel, version="", timeout_s=HEALTH_ANSWER_S)
        except PdpOutage as error:
            if error.reason is Reason.PDP_UNAVAILABLE:
                return False
            raise
        return True

    def _watch(self, child: Child, published: int) -> None:
        """Return when the child has ended or lost its name, when it has stopped answering, or when told to stop."""
        sick = 0
        with canary.open_channel(self.address, None) as channel:
            while (
                self._stands() == published and child.running and not self._stopping and sick < SICK_ANSWERS
            ):
                self._wake.wait(HEALTH_S)
                if self._wake.is_set() or self._stopping:
                    self._wake.clear()
                    continue
                try:
                    canary.server_version(channel, HEALTH_ANSWER_S)
                    sick = 0
                except PdpOutage:
                    sick += 1
        if sick == SICK_ANSWERS:
            child.kill()  # it would not hear anything gentler

    def _follow(self, crew: Crew) -> None:
        """Use the Cerbos that another worker process owns, until its lock is free."""
        until = time.monotonic() + STARTING_S
        proved = False
        while not self._stopping and not crew.own():
            if not self.socket.exists():
                proved = False
                self._fault = unfit("the worker process that runs Cerbos is starting it.")
            elif not proved:
                proved = self._followable()
            if not proved and not self._settled.is_set() and time.monotonic() > until:
                raise unfit("the worker process that runs Cerbos did not start it in time.")
            self._wake.wait(FOLLOWING_S)

    def _followable(self) -> bool:
        try:
            with canary.open_channel(self.address, None) as channel:
                canary.prove(channel, version="", timeout_s=HEALTH_ANSWER_S)
        except PdpOutage as error:
            self._fault = error
            return False
        self._serves()
        return True
