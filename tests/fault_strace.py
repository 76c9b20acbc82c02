"""Faults injected into a running process's system calls, by strace: errors that its code cannot tell from a sick disk's.

strace is attached to a process that has imported everything already, so that its counters count the ledger's calls from the
first. They count for each thread apart: `when=7` strikes the seventh call of every thread that gets so far.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fault_load import PATIENCE_S, Child, Nursery, Told

CALLS = {
    "fdatasync": "fdatasync",
    "fsync": "fsync",
    "pwrite64": "pwrite64",
    "write": "write",
    "openat": "openat",
    "unlink": "?unlink,?unlinkat",
    "ftruncate": "ftruncate",
    "rename": "?rename,?renameat,?renameat2",
    "link": "?link,?linkat",
    "fallocate": "fallocate",
    "statfs": "?statfs,?fstatfs",
    "pread64": "pread64",
}
"""By what the sweep calls them, as strace names them; a name that this machine's kernel lacks is passed over by its `?`."""
NEEDED = "strace is missing, which injects the faults: on Debian and Ubuntu, apt-get install strace"
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


class Fault(NamedTuple):
    """`how` (error=EIO, signal=KILL...) for each thread's call number `at` of `call`, and all later ones if `on`."""

    call: str
    how: str
    at: int
    on: bool = False

    def __str__(self) -> str:
        return f"{self.call}:{self.how}:when={self.at}{'+' if self.on else ''}"


class Struck(NamedTuple):
    """What the process told, and whether the fault struck it."""

    told: Told
    struck: bool


def strike(nursery: Nursery, path: Path, stage: str, fault: Fault, log: Path, **job: object) -> Struck:
    """Run a stage with one fault injected."""
    names = CALLS[fault.call]
    when = f"when={fault.at}{'+' if fault.on else ''}"
    inject = ["-e", f"trace={names}", "-e", f"inject={names}:{fault.how}:{when}"]
    told = _traced(nursery.child(path, stage, **job), log, inject)
    text = log.read_text(encoding="utf-8", errors="replace")
    return Struck(told, "(INJECTED)" in text or "+++ killed by SIGKILL +++" in text)


def baseline(nursery: Nursery, path: Path, stage: str, log: Path, **job: object) -> dict[str, int]:
    """How often the busiest thread makes each call when nothing is wrong."""
    told = _traced(nursery.child(path, stage, **job), log, ["-e", f"trace={','.join(CALLS.values())}"])
    if not told.done or told.faults:
        raise RuntimeError(f"{stage}: the ledger failed before any fault was injected: {told}")
    made = Counter(_CALL.findall(log.read_text(encoding="utf-8", errors="replace")))
    counts: dict[str, int] = {}
    for call, names in CALLS.items():
        spelled = names.replace("?", "").split(",")
        counts[call] = max((n for (_, name), n in made.items() if name in spelled), default=0)
    return counts


def _traced(child: Child, log: Path, options: list[str]) -> Told:
    strace = shutil.which("strace")
    if strace is None:
        raise RuntimeError(NEEDED)
    command = [strace, "-f", "-p", str(child.pid), "-o", str(log), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        try:
            said = tracer.stderr.readline()
            if "attached" not in said:
                raise RuntimeError(f"strace could not attach, which takes the right to ptrace: {said}")
            child.go()
            told = child.hear()
            tracer.wait(PATIENCE_S)  # it ends after the last thread that it traces, its log then whole
        finally:
            tracer.terminate()
    return told
