"""The power fails: what was acknowledged is on the disk, whatever the disk had not yet written."""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import apsw
import pytest

from fault_checks import KeyFiles, faults_of
from fault_load import Promise
from fault_power import Frozen, LossyDisk, lossy_disk
from ledgers import entry, open_ledger
from purposegate.errors import LedgerOutage, PurposegateError
from purposegate.ledger import attest, keys, sqlite_file, sqlite_store, writer
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.signing import HeadSigner
from purposegate.ledger.store import Batch


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens once in a long while happens often here: signed heads, and tries."""
    monkeypatch.setattr(attest, "GATHER_S", 0.002)
    monkeypatch.setattr(writer, "FIRST_RETRY_S", 0.005)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is room: the disk is the model's alone."""
    with TemporaryDirectory(
        dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, prefix="purposegate-"
    ) as made:
        yield Path(made)


def append_some(ledger: DurableLedger, lane: int, promises: list[Promise]) -> None:
    for number in range(8):
        lookup = f"{id(ledger)}-{lane}-{number}"
        try:
            receipt = ledger.append_wait(entry(number, lookup_id=lookup))
        except LedgerOutage:
            continue
        promises.append(Promise(lookup, receipt.shard, receipt.index, receipt.leaf_hash.hex()))


def apart(root: Path) -> KeyFiles:
    """Key files in a directory of their own, as docs/ advise: its names must be durable before the ledger's."""
    return KeyFiles(root / "keys" / "l.keys", root / "keys" / "l.signer")


def lived(root: Path, chance: random.Random, *, sick: float = 0, dies: bool = False) -> list[Frozen]:
    """A ledger's life from its making on: three lanes, opened three times; frozen at random moments."""
    promises: list[Promise] = []
    (root / "keys").mkdir(parents=True)
    pages = patch.object(sqlite_file, "CHECKPOINT_PAGES", chance.choice([8, 4_000]))
    with pages, lossy_disk(root, chance, lambda: tuple(promises), every=0.02) as disk:
        for _ in range(3):
            with open_ledger(root / "l.db", vfs=disk.name, **apart(root)._asdict()) as ledger:
                disk.sick = lambda: chance.random() < sick
                lanes = [threading.Thread(target=append_some, args=(ledger, n, promises)) for n in range(3)]
                for lane in lanes:
                    lane.start()
                for lane in lanes:
                    lane.join()
                if dies:
                    die_on_a_failed_sync(ledger, disk, promises)
                disk.sick = lambda: False
        return disk.frozen


def die_on_a_failed_sync(ledger: DurableLedger, disk: LossyDisk, promises: list[Promise]) -> None:
    """The last commit's sync fails, and the process is gone before it could find out: nothing is folded or taken back."""
    store = ledger._store
    assert isinstance(store, sqlite_store.SqliteStore)
    with ExitStack() as nothing_more:
        nothing_more.enter_context(patch.object(ledger._writer, "_recover", lambda: None))
        nothing_more.enter_context(patch.object(ledger._writer, "_keep_signed", lambda: None))
        nothing_more.enter_context(patch.object(ledger._keeper, "sign", lambda: True))
        disk.sick = lambda: True
        append_some(ledger, 9, promises)
        disk.sick = lambda: False
        ledger._writer.stop()
        ledger._keeper.stop()
        for connection in (store._reader, store._writer):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        ledger.close()


class Cut(NamedTuple):
    """One power cut: how much had been promised, and what was wrong when the ledger was opened again."""

    promised: int
    wrong: list[str]


def cuts(root: Path, seeds: int, *, sick: float = 0, dies: bool = False) -> list[Cut]:
    """Many lives, each cut at many moments, each ledger opened as it was left: what came of them."""
    found: list[Cut] = []
    for seed in range(seeds):
        chance = random.Random(f"20261121 {seed}")
        life = root / f"life-{seed}"
        for number, frozen in enumerate(lived(life, chance, sick=sick, dies=dies)):
            left = root / f"left-{seed}-{number}"
            (left / "keys").mkdir(parents=True)
            frozen.cut(life, left, chance)
            try:
                wrong = faults_of(left / "l.db", frozen.known, killed=True, keys=apart(left))
            except PurposegateError as error:  # it will not even open
                wrong = [f"refused: {error}"]
            found.append(Cut(len(frozen.known), wrong))
            shutil.rmtree(left)
        shutil.rmtree(life)
    return found


def test_power_cut_costs_no_acknowledged_entry(memory: Path, soak: bool) -> None:
    """Whatever unsynced bytes and names are lost: each promised entry is there, verify says intact, the shard goes on."""
    found = cuts(memory, 2_000 if soak else 50)

    assert [] == [cut for cut in found if cut.wrong]
    assert {True, False} == {cut.promised > 0 for cut in found}  # while it was made, and while it served


def test_power_cut_after_failed_syncs_costs_no_acknowledged_entry(memory: Path, soak: bool) -> None:
    """The same on a disk whose syncs fail now and then, and whose pages are then taken for written."""
    assert [] == [cut for cut in cuts(memory, 1_000 if soak else 25, sick=0.1) if cut.wrong]


def test_power_cut_after_dying_on_a_failed_sync_costs_no_acknowledged_entry(memory: Path, soak: bool) -> None:
    """A process whose sync failed is gone; the next one reads pages that only memory holds, and must not build on them."""
    found = cuts(memory, 1_000 if soak else 25, dies=True)

    assert [] == [cut for cut in found if cut.wrong]


def without_syncing_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """PRAGMA synchronous = NORMAL, and nothing checks."""
    monkeypatch.setattr(sqlite_file, "FULL", 1)


def without_syncing_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key files whose directory is never synced."""
    monkeypatch.setattr(keys, "sync_directory", lambda _path: None)
    monkeypatch.setattr(sqlite_file, "sync_directory", lambda _path: None)


def signing_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads signed when they are computed, not when they are durable, by a signer who asks for no proof."""
    commit = sqlite_store.SqliteStore.commit
    signers: list[HeadSigner] = []
    begin = HeadSigner.__init__

    def known(self: HeadSigner, *arguments: Any) -> None:
        begin(self, *arguments)
        signers.append(self)

    def hasty(self: Any, batch: Batch, recheck: Any) -> None:
        note = Checkpoint(signers[-1].origin, batch.after.size, batch.after.root).signed_by(
            signers[-1]._signer
        )
        keys.replace_private(signers[-1].memory, note)
        commit(self, batch, recheck)

    monkeypatch.setattr(HeadSigner, "__init__", known)
    monkeypatch.setattr(sqlite_store.SqliteStore, "commit", hasty)


@pytest.mark.parametrize(
    ("mutant", "fault"),
    [
        (without_syncing_commits, "promised and gone"),
        (without_syncing_commits, "verify exits 1"),
        (without_syncing_names, "refused"),
        (signing_first, "the shard was given up"),
    ],
)
def test_harness_fails_for_a_ledger_that_does_not_sync(
    memory: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[pytest.MonkeyPatch], None],
    fault: str,
) -> None:
    """With synchronous=NORMAL, with names left unsynced, or with heads signed too early, power cuts cost what was promised."""
    mutant(monkeypatch)

    assert [each for cut in cuts(memory, 12) for each in cut.wrong if each.startswith(fault)]
