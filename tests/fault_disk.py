"""A small disk that really fills up, for a process of its own.

A tmpfs in a mount namespace where this machine allows one (root, or an unprivileged user namespace): it is gone with the
process, however that dies. Elsewhere a limit on how long files may grow (RLIMIT_FSIZE), which needs no right at all.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from fault_checks import Opened, faults_of
from fault_load import Promise, environment
from ledgers import entry, open_ledger, until
from purposegate.errors import PurposegateError
from purposegate.ledger import sqlite_file
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.verify import verify_file

ROOT = Path(__file__).parents[1]
MIB = 1024 * 1024
DISK_MIB = 12
MARGIN = Limits(watermark_bytes=3 * MIB, ballast_bytes=MIB)
NO_MARGIN = Limits(watermark_bytes=0, ballast_bytes=0)
MOUNT = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "none"]
SPACES = (["unshare", "--mount"], ["unshare", "--mount", "--user", "--map-root-user"])


@cache
def namespace(probe: Path) -> tuple[str, ...]:
    """The command that gives a process mounts of its own; empty where this machine has none for us."""
    for command in SPACES:
        tried = subprocess.run([*command, *MOUNT, probe], capture_output=True, check=False)
        if not tried.returncode:
            return tuple(command)
    return ()


def run(scenario: str, folder: Path, space: tuple[str, ...]) -> dict[str, Any]:
    """Run a scenario in a process of its own, on a tmpfs if `space` is a namespace's command; what it saw."""
    how = "tmpfs" if space else "limit"
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*(space or bound), sys.executable, __file__, scenario, how, folder],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


class Disk(Protocol):
    """What scenarios do to a disk."""

    def fill(self) -> None:
        """Take all that is left."""

    def take(self, size: int) -> None:
        """Take so many bytes, or leave files so many to grow to."""

    def free(self) -> None:
        """Give back what was taken."""

    def lock(self) -> None:
        """Nothing new is written here: neither files nor, where this is possible, into files that are opened from now on."""

    def unlock(self) -> None:
        """As before."""


class Tmpfs:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([*MOUNT, folder], check=True)
        self._others = folder / "others"

    def fill(self) -> None:
        """Another program writes until not one byte is left."""
        with self._others.open("ab", buffering=0) as file:
            for size in (MIB, 65_536, 4_096, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def take(self, size: int) -> None:
        """Another program writes so much."""
        self._others.write_bytes(bytes(size))

    def free(self) -> None:
        """The other program's file goes."""
        self._others.unlink()

    def lock(self) -> None:
        """Mounted over itself, read-only. What is open already stays open for writing, as the kernel has it."""
        folder = self._others.parent
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

    def unlock(self) -> None:
        """That mount goes."""
        subprocess.run(["umount", self._others.parent], check=True)


class Limited:
    """The machine's own file system, on which no file of this process may grow any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """No file grows beyond what the longest has."""
        longest = max((path.stat().st_size for path in self._folder.iterdir()), default=0)
        self.take(longest)

    def take(self, size: int) -> None:
        """No file grows beyond this."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))

    def free(self) -> None:
        """Files grow again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    def lock(self) -> None:
        """The folder's mode says so; `run` has taken from root what would pass by it."""
        self._folder.chmod(0o500)

    def unlock(self) -> None:
        """The folder's mode again."""
        self._folder.chmod(0o700)


class Story:
    """One scenario's ledger: what it promised and refused."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.promises: list[Promise] = []
        self.refused: list[tuple[str, str]] = []
        self.ledger: DurableLedger = open_ledger(path, limits=limits)

    def append(self, *, bytes_each: int = 2_000) -> bool:
        """One append; whether it was promised."""
        lookup = f"lookup-{len(self.promises)}-{len(self.refused)}"
        fields = {"principal": "pc-42", "text": os.urandom(bytes_each // 2).hex()}
        try:
            receipt = self.ledger.append_wait(entry(1, lookup_id=lookup, fields=fields))
        except PurposegateError as error:
            self.refused.append((lookup, str(error)))
            return False
        self.promises.append(Promise(lookup, receipt.shard, receipt.index, receipt.leaf_hash.hex()))
        return True

    def until_refused(self, **more: int) -> None:
        """Append until one is refused: at most what fills the disk three times over."""
        for _ in range(3 * DISK_MIB * MIB // 2_000):
            if not self.append(**more):
                return
        raise RuntimeError("the disk never filled")

    def until_resumed(self) -> None:
        """Wait until appends are taken again."""
        until(lambda: self.ledger.state in {"open", "forked", "closed"})
        until(self.append)

    def seen(self, **more: Any) -> dict[str, Any]:
        """Close it; all there is to know of it."""
        self.ledger.close()
        wrong = faults_of(self.path, self.promises, refused=[lookup for lookup, _ in self.refused])
        opened = Opened(self.path)
        events = [opened.fields[place].get("event") for place in sorted(opened.leaves)]
        kinds = [opened.leaves[place][0].kind for place in sorted(opened.leaves)]
        told = [event if kind == "recovery" else kind for event, kind in zip(events, kinds, strict=True)]
        merged = [each for at, each in enumerate(told) if not at or each != told[at - 1]]
        return {"wrong": wrong, "told": merged, "refused": sorted({why for _, why in self.refused}), **more}


def slowly(disk: Disk, path: Path) -> dict[str, Any]:
    """The ledger itself fills the disk; somebody makes room."""
    story = Story(path, MARGIN)
    disk.take(4 * MIB)
    story.until_refused(bytes_each=60_000)
    state, verdict = story.ledger.state, verify_file(path).exit_code
    still = story.append()
    disk.free()
    story.until_resumed()
    return story.seen(state=state, verdict_while_full=verdict, taken_while_full=still)


def at_once(disk: Disk, path: Path) -> dict[str, Any]:
    """Another program takes the last byte between two lookups."""
    story = Story(path, MARGIN)
    story.append()
    disk.fill()
    story.until_refused()
    state, verdict = story.ledger.state, verify_file(path).exit_code
    disk.free()
    story.until_resumed()
    return story.seen(state=state, verdict_while_full=verdict)


def contended(disk: Disk, path: Path) -> dict[str, Any]:
    """Another program takes every byte that becomes free, the ballast's too."""
    story = Story(path, MARGIN)
    story.append()
    stop = threading.Event()

    def greed() -> None:
        while not stop.is_set():
            disk.fill()
            time.sleep(0.0005)

    greedy = threading.Thread(target=greed)
    greedy.start()
    story.until_refused()
    for _ in range(20):
        story.append()
        time.sleep(0.01)
    stop.set()
    greedy.join()
    disk.free()
    story.until_resumed()
    return story.seen()


def without_margin(disk: Disk, path: Path) -> dict[str, Any]:
    """Nothing is kept free, so that the commit itself meets the full disk."""
    story = Story(path, NO_MARGIN)
    story.append()
    disk.fill()
    story.until_refused()
    for _ in range(5):
        story.append()
        time.sleep(0.01)
    disk.free()
    story.until_resumed()
    return story.seen()


def at_birth(disk: Disk, path: Path) -> dict[str, Any]:
    """The disk is full before there is a ledger; later there is room."""
    disk.fill()
    refused = ""
    for limits in (MARGIN, NO_MARGIN):
        try:
            open_ledger(path, limits=limits).close()
        except PurposegateError as error:
            refused = type(error).__name__
    disk.free()
    story = Story(path, MARGIN)
    story.append()
    return story.seen(refused_at_birth=refused)


def locked_while_serving(disk: Disk, path: Path) -> dict[str, Any]:
    """The folder turns read-only below a ledger that serves, and is mended."""
    story = Story(path, MARGIN)
    story.append()
    until(lambda: story.ledger.signed_size == story.ledger.size)
    disk.lock()
    story.append()
    until(lambda: bool(story.ledger.fault))
    fault = story.ledger.fault
    disk.unlock()
    until(lambda: not story.ledger.fault)
    story.append()
    return story.seen(fault=fault)


def locked_while_closed(disk: Disk, path: Path) -> dict[str, Any]:
    """The folder is read-only when a ledger is opened that is there, and where one is to be made."""
    story = Story(path, MARGIN)
    story.append()
    story.ledger.close()
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    disk.lock()
    refused = []
    for each in (path, path.with_name("new.db")):
        try:
            open_ledger(each).close()
        except PurposegateError as error:
            refused.append(f"{type(error).__name__}: {each.name in str(error)}")
    try:
        verdict: Any = verify_file(path).exit_code
    except PurposegateError as error:
        verdict = str(error)
    disk.unlock()
    unchanged = before == {each.name: each.read_bytes() for each in path.parent.iterdir()}
    return story.seen(refused_locked=refused, verdict_while_locked=verdict, unchanged=unchanged)


SCENARIOS: dict[str, Callable[[Disk, Path], dict[str, Any]]] = {
    each.__name__: each
    for each in (
        slowly,
        at_once,
        contended,
        without_margin,
        at_birth,
        locked_while_serving,
        locked_while_closed,
    )
}


def main(scenario: str, how: str, folder: str) -> None:
    """Run one scenario and print what it saw."""
    logging.disable()
    sqlite_file.CHECKPOINT_PAGES = 40  # a WAL of a third of a megabyte, on a disk of twelve
    disk: Disk = Tmpfs(Path(folder)) if how == "tmpfs" else Limited(Path(folder))
    print(json.dumps(SCENARIOS[scenario](disk, Path(folder) / "l.db")))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
