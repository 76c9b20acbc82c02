"""Every system call of the ledger fails once, in its turn: by an error, by a full disk, by kill -9 (Tessera's method)."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from fault_checks import faults_of
from fault_load import Nursery, nursery
from fault_strace import CALLS, Fault, baseline, strike
from ledgers import open_ledger

STAGES = ("create", "serve", "reopen", "full")
ERRORS = ("error=EIO", "error=ENOSPC", "signal=KILL")
READING = {"pread64": ("error=EIO",), "statfs": ("error=EIO",)}
"""Reading changes nothing, so neither a full disk nor a kill there is a case of its own."""
NOT_STRUCK = "the fault did not come about"


class Field(NamedTuple):
    """Where stages run: a nursery, and for each stage the files that it begins with."""

    children: Nursery
    folder: Path

    def run(self, stage: str, fault: Fault, **job: object) -> list[str]:
        """Strike once, in a copy of what the stage begins with, and say all that is wrong afterwards."""
        path = self.fresh(stage)
        told, struck = strike(self.children, path, stage, fault, path.parent / "strace.log", **job)
        killed = "KILL" in fault.how
        wrong = [] if struck else [NOT_STRUCK]
        wrong += [f"raised: {each}" for each in told.faults]
        wrong += [f"hung: {why}" for _, why in told.refused if "did not answer" in why]
        if not killed and (not told.done or (told.gave_up and not fault.on)):
            wrong.append(f"did not recover: {told.refused[-1:]} {told.not_opened[-1:]} status {told.status}")
        refused = [lookup for lookup, _ in told.refused]
        wrong += faults_of(path, told.promises, refused=refused, killed=killed or fault.on)
        return wrong

    def fresh(self, stage: str) -> Path:
        """A copy of the stage's files, in place of the case before."""
        shutil.rmtree(self.folder / "case", ignore_errors=True)
        shutil.copytree(self.folder / f"begin-{stage}", self.folder / "case")
        return self.folder / "case" / "l.db"

    def counts(self, stage: str) -> dict[str, int]:
        """How often each call is made when nothing is wrong."""
        path = self.fresh(stage)
        return baseline(self.children, path, stage, path.parent / "strace.log")


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    """In memory where there is room: a call is failed before it reaches a disk, so how busy the disk is does not matter."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory, prefix="purposegate-") as made, nursery() as children:
        folder = Path(made)
        for stage in STAGES:
            (folder / f"begin-{stage}").mkdir()
        for stage in ("serve", "full"):
            open_ledger(folder / f"begin-{stage}" / "l.db").close()
        job = {"entries": 30, "dies_at": 25, "checkpoint_pages": 4_000}  # leaves a long WAL
        killed = children.child(folder / "begin-reopen" / "l.db", "create", **job)
        killed.go()
        killed.hear()
        yield Field(children, folder)


@pytest.mark.parametrize("stage", STAGES)
def test_no_failing_call_costs_an_acknowledged_entry(field: Field, stage: str, soak: bool) -> None:
    """Wherever one call fails or kills: what was promised is there, verify says intact, and the ledger goes on.

    Errors are recovered from without help; `recovery` entries say truly which refused lookups stand in the log.
    """
    chance = random.Random(f"20261121 {stage}")
    made = {call: count for call, count in field.counts(stage).items() if count}
    wrong: dict[str, list[str]] = {}
    struck = set()
    for call, count in made.items():
        for how in READING.get(call, ERRORS):
            for at in range(1, count + 1) if soak else {chance.randint(1, count), chance.randint(1, count)}:
                found = field.run(stage, Fault(call, how, at))
                if NOT_STRUCK in found:  # with other timing a thread may make fewer calls
                    found.remove(NOT_STRUCK)
                else:
                    struck.add(call)
                if found:
                    wrong[str(Fault(call, how, at))] = found

    assert {} == wrong
    assert made.keys() >= struck
    assert {"fdatasync", "fsync", "pwrite64", "write", "openat", "rename"} <= struck


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite64", "write", "openat", "rename", "statfs"])
def test_call_that_goes_on_failing_is_refused(field: Field, call: str, soak: bool) -> None:
    """From some call on each one fails: whatever was promised stands, the rest is refused, and closing ends."""
    wrong: dict[int, list[str]] = {}
    struck = 0
    for at in range(1, field.counts("serve")[call] + 1) if soak else (2,):
        found = field.run("serve", Fault(call, "error=EIO", at, on=True), attempts=3)
        struck += NOT_STRUCK not in found
        if set(found) - {NOT_STRUCK}:
            wrong[at] = found

    assert {} == wrong
    assert struck


@pytest.mark.parametrize(
    ("mutant", "how", "fault"),
    [
        ("resolve before commit", "signal=KILL", "promised and gone"),
        ("resolve in spite of an error", "error=EIO", "promised and gone"),
        ("never reopen", "error=EIO", "did not recover"),
    ],
)
def test_harness_fails_for_a_wrong_ledger(field: Field, mutant: str, how: str, fault: str) -> None:
    """A ledger that tells its callers too early, takes an error for success or stays down does not pass the same sweep."""
    found: list[str] = []
    for at in range(1, field.counts("serve")["fdatasync"]):
        found = field.run("serve", Fault("fdatasync", how, at), mutant=mutant, attempts=20)
        if any(each.startswith(fault) for each in found):
            break

    assert [each for each in found if each.startswith(fault)]


def test_every_kind_of_call_is_swept(field: Field) -> None:
    """The stages make, together, every call that the sweep knows; a call that none makes would be swept in vain."""
    made = {call for stage in STAGES for call, count in field.counts(stage).items() if count}

    assert set(CALLS) == made
