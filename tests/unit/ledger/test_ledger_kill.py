"""kill -9 under load: what was acknowledged is there, and the log is whole."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ledgers import entry, open_ledger
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file

ROOT = Path(__file__).parents[3]

# Prints one line for each entry only after its append has returned, as a gate releases bytes only then.
LOAD = """
import asyncio, os, sys
sys.path[:0] = ["src", "tests"]
from ledgers import *

async def lookups(ledger, lane):
    for number in range(10**9):
        receipt = await ledger.append(entry(number, lookup_id=f"{lane}-{number}"))
        os.write(1, f"{receipt.shard} {receipt.index} {receipt.leaf_hash.hex()}\\n".encode())

async def main():
    ledger = open_ledger(Path(sys.argv[1]))
    await asyncio.gather(*(lookups(ledger, lane) for lane in range(16)))

asyncio.run(main())
"""


def killed(path: Path, after_lines: int) -> list[tuple[str, int, str]]:
    """Run the load until it has acknowledged so many entries, kill -9 it there, and return all that it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", LOAD, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(after_lines)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(shard, int(index), leaf_hash) for shard, index, leaf_hash in words]


def test_killed_writer_loses_nothing_acknowledged(tmp_path: Path, soak: bool) -> None:  # a fixture
    """After each kill -9 every acknowledged entry is there with its hash, verify says intact, and the log goes on."""
    path = tmp_path / "l.db"
    chance = random.Random(20261121)
    acknowledged: list[tuple[str, int, str]] = []
    for _ in range(100 if soak else 5):
        acknowledged += killed(path, chance.randrange(1, 400))
        reader = SqliteReader(path)
        (shard,) = reader.shards()
        found = {
            (shard.name, each.index, each.leaf_hash.hex()) for each in reader.entries(1, 0, shard.head.size)
        }
        reader.close()

        assert set(acknowledged) <= found
        assert [] == verify_file(path).mismatches
    with open_ledger(path, shard="shard-0") as ledger:
        assert len(found) == ledger.append_wait(entry(1)).index


@pytest.mark.parametrize("after_lines", [1, 40])
def test_two_killed_workers_lose_nothing_acknowledged(tmp_path: Path, after_lines: int) -> None:
    """The same with two workers on one file, one shard each, killed in turn."""
    path = tmp_path / "l.db"
    with open_ledger(path) as survivor:
        acknowledged = killed(path, after_lines)
        receipt = survivor.append_wait(entry(1))
    reader = SqliteReader(path)
    found = {
        (shard.name, each.index, each.leaf_hash.hex())
        for shard in reader.shards()
        for each in reader.entries(shard.number, 0, shard.head.size)
    }
    reader.close()

    assert {"shard-1"} == {shard for shard, _, _ in acknowledged}
    assert {*acknowledged, (receipt.shard, receipt.index, receipt.leaf_hash.hex())} <= found
    assert 0 == verify_file(path).exit_code
