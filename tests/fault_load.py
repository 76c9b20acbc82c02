"""A ledger under load in a process of its own, which a test may then starve, trace or kill.

Everything is imported once, in a process that only forks; each child then starts in some milliseconds and its system calls
are the ledger's own. A child tells what it was promised over a socket (`sendto`), so that `write` is the ledger's alone too.
"""

import ctypes
import faulthandler
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import apsw

from ledgers import NO_MARGIN, ORIGIN, entry
from purposegate.errors import LedgerOutage, PurposegateError
from purposegate.ledger import attest, sqlite_file, sqlite_store, writer
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.merkle import leaf_hash
from purposegate.ledger.room import Room
from purposegate.model import Receipt

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
"""How long a child may say nothing before it counts as hung: far beyond every time-out of its own."""
APPEND_S = 6.0
"""How long one append may take: beyond what SQLite itself waits for a lock."""
SMALL_BALLAST = Limits(watermark_bytes=1_000_000, ballast_bytes=65_536)
PR_SET_PTRACER = 0x59616D61


def environment() -> dict[str, str]:
    """This process's own, with what the project's Python programs import."""
    paths = [str(ROOT / name) for name in ("src", "tests", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}


class Promise(NamedTuple):
    """What a child was told is durable."""

    lookup: str
    shard: str
    number: int
    leaf_hash: str


@dataclass(slots=True)
class Told:
    """What a child said before it ended. `faults` are exceptions that nobody may raise, `status` its wait status."""

    promises: list[Promise] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    not_opened: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    gave_up: bool = False
    done: bool = False
    status: int = 0

    def take(self, kind: str, *rest: Any) -> None:
        """Note one message."""
        if kind == "promise":
            self.promises.append(Promise(*rest))
        elif kind == "refused":
            self.refused.append(rest)
        elif kind == "not-opened":
            self.not_opened.append(*rest)
        elif kind == "fault":
            self.faults.append(*rest)
        elif kind == "gave-up":
            self.gave_up = True
        elif kind == "done":
            self.done = True


class Child:
    """One forked child: `ready` once it waits, told to `go`, heard to its end."""

    def __init__(self, pid: int, line: socket.socket, control: socket.socket) -> None:
        self.pid = pid
        self._lines = line.makefile("r", encoding="utf-8")
        self._line = line
        self._control = control
        self.ready = self._lines.readline() == "ready\n"

    def go(self) -> None:
        """Let it begin."""
        self._line.sendall(b"g")

    def hear(self, each: Callable[[Told], object] = lambda _told: None) -> Told:
        """All that it says, `each` called after every message. Raises TimeoutError when it says nothing for too long."""
        told = Told()
        self._line.settimeout(PATIENCE_S)
        for line in self._lines:
            if line.endswith("\n"):  # of a killed child the last message may be cut short
                told.take(*json.loads(line))
                each(told)
        told.status = int(self._control.recv(64))
        self._lines.close()
        self._line.close()
        return told


class Nursery:
    """The process that forks children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def child(self, path: Path, stage: str, **more: Any) -> Child:
        """Fork a child that will run `stage` on the ledger at `path`."""
        here, there = socket.socketpair()
        job = json.dumps({"path": str(path), "stage": stage, **more}).encode()
        with there:
            socket.send_fds(self._control, [job], [there.fileno()])
        return Child(int(self._control.recv(64)), here, self._control)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery for as long as a test module needs it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(there.fileno())]
    with there:
        process = subprocess.Popen(command, pass_fds=[there.fileno()], cwd=ROOT, env=environment())
    with process, here:
        try:
            here.settimeout(PATIENCE_S)
            yield Nursery(here)
        finally:
            process.kill()


# In the nursery and its children


def _serve(control: socket.socket) -> None:
    while True:
        job, descriptors, _, _ = socket.recv_fds(control, 65_536, 1)
        if not job:
            return
        pid = os.fork()
        if not pid:
            control.close()
            _run(json.loads(job), socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        control.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        control.send(str(status).encode())


def _run(job: dict[str, Any], line: socket.socket) -> None:
    ctypes.CDLL(None).prctl(
        PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0
    )  # a sibling may trace it, where that is asked
    logging.disable()  # what is wrong is told over the line
    faulthandler.dump_traceback_later(PATIENCE_S / 2, exit=True)  # a child that hangs says where
    speaking = threading.Lock()

    def say(*message: Any) -> None:
        with speaking:
            line.sendall(json.dumps(message).encode() + b"\n")

    threading.excepthook = lambda raised: say(
        "fault", f"thread died: {raised.exc_type.__name__}: {raised.exc_value}"
    )
    try:
        Load(job, say, line).run()
        say("done")
    except BaseException:  # noqa: BLE001  # all of it is told: the test decides
        say("fault", traceback.format_exc())
    os._exit(0)


class Load:
    """One child's work. `job`: path, stage, how many `entries`, how many `attempts` each; `dies_at`, `mutant`."""

    def __init__(self, job: dict[str, Any], say: Callable[..., None], line: socket.socket) -> None:
        self._path = Path(job["path"])
        self._stage: str = job["stage"]
        self._entries: int = job.get("entries", 12)
        self._attempts: int = job.get("attempts", 400)
        self._dies_at: int | None = job.get("dies_at")
        self._say = say
        self._line = line
        self._low = False
        # Everything that happens once in a long while happens often here.
        sqlite_file.CHECKPOINT_PAGES = job.get("checkpoint_pages", 6)
        attest.GATHER_S, attest.RETRY_S = 0.002, 0.02
        writer.FIRST_RETRY_S, writer.LAST_RETRY_S = 0.005, 0.05
        if "mutant" in job:
            MUTANTS[job["mutant"]]()

    def run(self) -> None:
        """The stage, from the word go."""
        ledger = self._opened() if self._stage in {"serve", "full"} else None
        self._say_ready()
        ledger = ledger or self._opened()
        if ledger is None:
            return
        for number in range(self._entries):
            if number == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._stage == "full":
                self._low = number % 6 in {2, 3}
            if not self._append(ledger, number):
                self._say("gave-up")
                break
        ledger.close()

    def _say_ready(self) -> None:
        self._line.sendall(b"ready\n")
        if self._line.recv(1) != b"g":
            os._exit(0)

    def _opened(self) -> DurableLedger | None:
        limits = NO_MARGIN
        if self._stage == "full":
            limits = SMALL_BALLAST
            patch.object(Room, "free_bytes", lambda _room: 100 if self._low else 10**9).start()
        for _ in range(min(self._attempts, 20)):
            try:
                return DurableLedger.open(self._path, origin=ORIGIN, limits=limits)
            except PurposegateError as error:
                self._say("not-opened", f"{type(error).__name__}: {error}")
        return None

    def _append(self, ledger: DurableLedger, number: int) -> bool:
        for attempt in range(self._attempts):
            lookup = f"{os.getpid()}-{number}-{attempt}"
            try:
                receipt = ledger.append_wait(entry(number, lookup_id=lookup), timeout_s=APPEND_S)
            except LedgerOutage as error:
                self._say("refused", lookup, str(error))
                if self._low:
                    return True  # as it must be: the disk is full
                if "did not answer" in str(error):
                    return False  # nobody is there any more
                time.sleep(0.01)
            else:
                self._promise(lookup, receipt)
                return True
        return False

    def _promise(self, lookup: str, receipt: Receipt) -> None:
        self._say("promise", lookup, receipt.shard, receipt.index, receipt.leaf_hash.hex())


# Ledgers that are wrong on purpose: a harness that passes them shows nothing.


def _resolve_before_commit() -> None:
    """Callers are told before COMMIT."""
    commit = writer.Writer._commit

    def early(self: Any, batch: list[Any]) -> None:
        first = self._head.size
        for at, each in enumerate(batch):
            each.future.set_result(
                Receipt(shard=self._shard, index=first + at, leaf_hash=leaf_hash(each.encoded.leaf))
            )
        time.sleep(0.005)
        commit(self, [each.encoded for each in batch], [each.lookup_id for each in batch])

    patch.object(writer.Writer, "_serve", early).start()


def _resolve_in_spite_of_an_error() -> None:
    """A COMMIT that raised is taken for one that succeeded."""
    commit = sqlite_store.SqliteStore.commit

    def shrug(self: Any, *arguments: Any) -> None:
        with suppress(apsw.Error):
            commit(self, *arguments)

    patch.object(sqlite_store.SqliteStore, "commit", shrug).start()


def _never_reopen() -> None:
    """A writer that went down stays down."""
    patch.object(writer.Writer, "_recover", lambda _writer: None).start()


MUTANTS: dict[str, Callable[[], None]] = {
    "resolve before commit": _resolve_before_commit,
    "resolve in spite of an error": _resolve_in_spite_of_an_error,
    "never reopen": _never_reopen,
}


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
