"""Commits whose outcome is unknown, disks that fill up, and stores that change under the writer."""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import FaultyDisk, entry, faulty_disk, open_ledger, until
from naive_tree import mth
from purposegate.errors import LedgerOutage
from purposegate.ledger import keys
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.entry import read_leaf, read_payload
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import StoredEntry
from purposegate.ledger.verify import verify_file

ROOT = Path(__file__).parents[3]


def stored(path: Path, shard: int = 1) -> list[StoredEntry]:
    reader = SqliteReader(path)
    try:
        return list(reader.entries(shard, 0, 10_000))
    finally:
        reader.close()


def fields(path: Path, found: StoredEntry) -> dict[str, Any]:
    """What an entry of the first shard disclosed."""
    (row,) = (row for row in SqliteReader(path).shards() if row.number == 1)
    cipher = keys.Cipher(keys.load(path.with_name(path.name + ".keys")), row.origin)
    assert found.sealed is not None
    assert found.kid is not None
    assert found.nonce is not None
    return read_payload(cipher.open(found.sealed, index=found.index, kid=found.kid, nonce=found.nonce)).fields


def until_open(ledger: DurableLedger) -> None:
    """Wait for the writer to serve again, or to give up."""
    until(lambda: ledger.state in {"open", "forked"})


def lookups(path: Path) -> list[str]:
    return [read_leaf(each.leaf).lookup_id for each in stored(path)]


def kinds(path: Path) -> list[str]:
    return [read_leaf(each.leaf).kind for each in stored(path)]


@settings(max_examples=25)
@given(groups=st.lists(st.integers(1, 70), min_size=1, max_size=9))
def test_any_grouping_gives_the_naive_root(groups: list[int]) -> None:
    """Whatever entries are committed together, the root is RFC 6962's over the leaves, and verify says intact."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "l.db"
        for size in groups:
            limits = Limits(watermark_bytes=0, ballast_bytes=0, batch_entries=size)
            with open_ledger(path, limits=limits) as ledger:
                pendings = [ledger._pending(entry(number), None, Future()) for number in range(size)]
                for pending in pendings:
                    ledger._writer.submit(pending)
                for pending in pendings:
                    pending.future.result(30)
        report = verify_file(path)

        assert [] == report.mismatches
        assert [mth(tuple(each.leaf for each in stored(path)))] == [shard.root for shard in report.shards]


def fail_once(disk: FaultyDisk, operation: str, after: int = 0) -> None:
    """Let the next but `after` such operation on the WAL fail, and none later."""
    at = disk.ordinals.get(operation, 0) + 1 + after
    disk.fault = lambda op, file, ordinal: op == operation and file.endswith("-wal") and ordinal == at


def test_failed_sync_is_refused_then_explained(tmp_path: Path) -> None:
    """A COMMIT whose sync fails releases nothing; the recovery entry says whether its entry stands, and it is so."""
    path = tmp_path / "l.db"
    with faulty_disk() as disk:
        with open_ledger(path, vfs=disk.name) as ledger:
            ledger.append_wait(entry(1))
            fail_once(disk, "sync")
            with pytest.raises(LedgerOutage, match="outcome"):
                ledger.append_wait(entry(2))
            until_open(ledger)
            ledger.append_wait(entry(3))
        account = fields(path, next(each for each in stored(path) if b'"k":"recovery"' in each.leaf))
    ((present, named),) = [(each["present"], each["lookups"]) for each in account["commits"]]

    assert (["lookup-2"], present) == (named, "lookup-2" in lookups(path))
    assert 0 == verify_file(path).exit_code


def test_failed_write_is_refused_then_explained(tmp_path: Path) -> None:
    """A COMMIT whose write fails leaves no entry; the recovery entry names the lookup and says it is absent."""
    path = tmp_path / "l.db"
    with faulty_disk() as disk:
        with open_ledger(path, vfs=disk.name) as ledger:
            fail_once(disk, "write")
            with pytest.raises(LedgerOutage):
                ledger.append_wait(entry(2))
            until_open(ledger)
            ledger.append_wait(entry(3))
        account = fields(path, stored(path)[1])

    assert ["genesis", "recovery", "release"] == kinds(path)
    assert [{"lookups": ["lookup-2"], "first": 1, "present": False, "cause": "IOError"}] == account["commits"]
    assert 0 == verify_file(path).exit_code


def test_nothing_is_accepted_while_the_disk_is_sick(tmp_path: Path) -> None:
    """While syncs fail every append is refused; when they succeed again work resumes by itself, all of it verified."""
    path = tmp_path / "l.db"
    with faulty_disk() as disk, open_ledger(path, vfs=disk.name) as ledger:
        disk.fault = lambda operation, _file, _ordinal: operation == "sync"
        for number in range(5):
            with pytest.raises(LedgerOutage):
                ledger.append_wait(entry(number))
        disk.fault = lambda _operation, _file, _ordinal: False
        until_open(ledger)
        receipt = ledger.append_wait(entry(9))
        ledger.close()

        assert 0 == verify_file(path).exit_code
        assert receipt.index == len(stored(path)) - 1


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("ordinal", range(12))
def test_every_early_fault_is_survived(tmp_path: Path, operation: str, ordinal: int) -> None:
    """Wherever one write or sync fails, each acknowledged entry is there, each refused one accounted for, all verified."""
    path = tmp_path / "l.db"
    acknowledged: list[int] = []
    with faulty_disk() as disk:
        with open_ledger(path, vfs=disk.name) as ledger:
            at = disk.ordinals.get(operation, 0) + 1 + ordinal
            disk.fault = lambda op, _file, count: op == operation and count == at
            for number in range(8):
                try:
                    acknowledged.append(ledger.append_wait(entry(number)).index)
                except LedgerOutage:
                    until_open(ledger)
        found = {each.index for each in stored(path)}

        assert set(acknowledged) <= found
        assert [] == verify_file(path).mismatches


def test_busy_store_refuses_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store held by somebody else past the time-out is an outage without doubt: no recovery entry follows."""
    path = tmp_path / "l.db"
    monkeypatch.setattr("purposegate.ledger.sqlite_file.LOCK_WAIT_MS", 20)
    with open_ledger(path) as ledger:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(10_000)  # the ledger itself may be keeping a signed head at this moment
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerOutage, match="another worker"):
            ledger.append_wait(entry(1))
        connection.execute("ROLLBACK")
        connection.close()
        ledger.append_wait(entry(2))

    assert ["genesis", "release"] == kinds(path)


def test_full_queue_is_told_at_once(tmp_path: Path) -> None:
    """When more wait than may, the next one is refused instead of waiting without end."""
    limits = Limits(watermark_bytes=0, ballast_bytes=0, queue_entries=0)
    with (
        open_ledger(tmp_path / "l.db", limits=limits) as ledger,
        pytest.raises(LedgerOutage, match="wait already"),
    ):
        ledger.append_wait(entry(1))


def test_low_disk_writes_the_closing_entry_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the watermark the closing entry is written, lookups are refused, and with room again work resumes."""
    path = tmp_path / "l.db"
    free = [1_000_000_000]
    monkeypatch.setattr("purposegate.ledger.room.Room.free_bytes", lambda _self: free[0])
    with open_ledger(path, limits=Limits(ballast_bytes=4096)) as ledger:
        ledger.append_wait(entry(1))
        ballast_before = (tmp_path / "l.db.ballast").exists()
        free[0] = 100_000_000
        for number in (2, 3):
            with pytest.raises(LedgerOutage, match="nearly full"):
                ledger.append_wait(entry(number))
        until(lambda: not (tmp_path / "l.db.ballast").exists())
        free[0] = 1_000_000_000
        until_open(ledger)
        ledger.append_wait(entry(4))

    assert (True, True) == (ballast_before, (tmp_path / "l.db.ballast").exists())
    assert ["genesis", "release", "recovery", "recovery", "release"] == kinds(path)
    events = [fields(path, each)["event"] for each in stored(path)[2:4]]
    assert ["disk-full", "disk-has-room"] == events
    assert 0 == verify_file(path).exit_code


FILL = """
import json, resource, sys
sys.path[:0] = ["src", "tests"]
from ledgers import *
from purposegate.errors import LedgerOutage
ledger = open_ledger(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
acknowledged = []
for number in range(400):
    try:
        acknowledged.append(ledger.append_wait(entry(number)).index)
    except LedgerOutage:
        break
print(json.dumps(acknowledged), ledger.state != "open")
"""


def test_file_size_limit_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Where the system refuses to let the file grow, appends are refused and every acknowledged entry is there."""
    path = tmp_path / "l.db"
    run = subprocess.run(
        [sys.executable, "-c", FILL, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    acknowledged, refused = run.stdout.rsplit(" ", 1)

    assert "True\n" == refused
    assert set(json.loads(acknowledged)) <= {each.index for each in stored(path)}
    assert 0 == verify_file(path).exit_code


def test_torn_wal_tail_is_cut_off(tmp_path: Path) -> None:
    """Half a frame at the end of the WAL, as a power cut may leave it, is ignored; the log goes on from the whole frames."""
    path = tmp_path / "l.db"
    script = (
        "import os, sys; sys.path[:0] = ['src', 'tests']\n"
        "from ledgers import *\n"
        "ledger = open_ledger(Path(sys.argv[1]))\n"
        "for number in range(20): ledger.append_wait(entry(number))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=False)
    with (tmp_path / "l.db-wal").open("ab") as wal:
        wal.write(b"\x00\x00\x00\x07" * 700)
    with open_ledger(path) as ledger:
        receipt = ledger.append_wait(entry(21))

    assert (21, 0) == (receipt.index, verify_file(path).exit_code)
