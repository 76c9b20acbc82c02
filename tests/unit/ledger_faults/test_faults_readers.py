"""Somebody reads for long while the disk fails: a verification of millions of entries must not keep lookups waiting."""

from pathlib import Path

import pytest

from fault_checks import Opened, broken_promises
from fault_load import Promise
from ledgers import entry, faulty_disk, open_ledger, until
from purposegate.errors import LedgerOutage
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file


def test_recovery_does_not_wait_for_readers(tmp_path: Path) -> None:
    """With a view held open all the while, a failed sync is recovered from, and another worker starts."""
    path = tmp_path / "l.db"
    with faulty_disk() as disk:
        with open_ledger(path, vfs=disk.name) as ledger:
            ledger.append_wait(entry(1))
            reader = SqliteReader(path)
            reader.hold()
            seen = reader.shards()
            receipt = ledger.append_wait(entry(2))
            at = disk.ordinals["sync"] + 1
            disk.fault = lambda operation, _file, ordinal: operation == "sync" and ordinal == at
            with pytest.raises(LedgerOutage):
                ledger.append_wait(entry(3))
            until(lambda: ledger.state != "down")
            with open_ledger(path, vfs=disk.name) as worker:
                worker.append_wait(entry(4))
            states = (ledger.state, [row.head.size for row in reader.shards()])
            reader.close()
        promise = Promise("lookup-2", receipt.shard, receipt.index, receipt.leaf_hash.hex())
    opened = Opened(path)

    assert ("open", [row.head.size for row in seen]) == states
    assert ["shard-0", "shard-1"] == opened.shards
    assert ([], 0) == (broken_promises(opened, [promise]), verify_file(path).exit_code)
