import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from ledgers import ORIGIN, entry, open_ledger, sight
from purposegate.errors import EntryUnfit, LedgerOutage, SettingsError
from purposegate.ledger import verify
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.merkle import leaf_hash
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.model import Receipt

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.anyio


async def test_append_says_where_the_entry_stands(tmp_path: Path) -> None:
    """The receipt names shard, index and leaf hash, and that leaf is in the file."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        await ledger.append(entry(1))
        receipt = await ledger.append(entry(2))
        stored = list(SqliteReader(tmp_path / "l.db").entries(1, 2, 3))

    assert Receipt(shard="shard-0", index=2, leaf_hash=leaf_hash(stored[0].leaf)) == receipt


async def test_first_entry_is_genesis(tmp_path: Path) -> None:
    """A new ledger holds one entry, its genesis."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        size = ledger.size
        (first,) = SqliteReader(tmp_path / "l.db").entries(1, 0, 10)

    assert (1, True) == (size, b'"k":"genesis"' in first.leaf)


async def test_counts_see_what_append_returned(tmp_path: Path) -> None:
    """A count includes every entry whose append has returned, and no other principal's."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        for _ in range(3):
            await ledger.append(entry(1, counts=[sight(1), sight(2)]))
        await ledger.append(entry(1, counts=[sight(1), sight(1)]))

        assert (5, 3, 0) == await ledger.counts([sight(1), sight(2), sight(1, "pc-43")])


async def test_counts_and_entries_outlive_the_process_object(tmp_path: Path) -> None:
    """A ledger opened again goes on where it stopped."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        await ledger.append(entry(1))
    async with open_ledger(tmp_path / "l.db") as ledger:
        receipt = await ledger.append(entry(2))

        assert (2, (1,)) == (receipt.index, await ledger.counts([sight(1)]))


def test_several_loops_and_threads_share_one_ledger(tmp_path: Path) -> None:
    """Callers on different event loops and on none append at once; each gets its own receipt."""
    indexes: list[int] = []

    async def append_some(ledger: DurableLedger) -> None:
        found = await asyncio.gather(*(ledger.append(entry(number)) for number in range(20)))
        indexes.extend(each.index for each in found)

    with open_ledger(tmp_path / "l.db") as ledger:
        threads = [threading.Thread(target=lambda: asyncio.run(append_some(ledger))) for _ in range(3)]
        threads.append(threading.Thread(target=lambda: indexes.append(ledger.append_wait(entry(1)).index)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert list(range(1, 62)) == sorted(indexes)


async def test_cancelled_append_leaves_its_entry(tmp_path: Path) -> None:
    """A caller who goes away does not disturb the others; the entry stands, and verify finds all intact."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        gone = asyncio.ensure_future(ledger.append(entry(1)))
        await asyncio.sleep(0)
        gone.cancel()
        receipt = await ledger.append(entry(2))

    assert (2, 0) == (receipt.index, verify.verify_file(tmp_path / "l.db").exit_code)


async def test_unfit_entry_harms_no_other(tmp_path: Path) -> None:
    """An entry that cannot be written is refused alone."""
    async with open_ledger(tmp_path / "l.db") as ledger:
        found = await asyncio.gather(
            ledger.append(entry(1)),
            ledger.append(entry(2, lookup_id="")),
            ledger.append(entry(3)),
            return_exceptions=True,
        )

    assert [Receipt, EntryUnfit, Receipt] == [type(each) for each in found]


async def test_closed_ledger_refuses(tmp_path: Path) -> None:
    """After close, append and counts are outages; closing twice is harmless."""
    ledger = open_ledger(tmp_path / "l.db")
    await ledger.aclose()
    ledger.close()

    with pytest.raises(LedgerOutage, match="closed"):
        await ledger.append(entry(1))
    with pytest.raises(LedgerOutage, match="closed"):
        await ledger.counts([sight(1)])


async def test_close_writes_what_waits(tmp_path: Path) -> None:
    """Appends already queued are durable, not dropped, when the ledger closes."""
    ledger = open_ledger(tmp_path / "l.db")
    waiting = [asyncio.ensure_future(ledger.append(entry(number))) for number in range(50)]
    await asyncio.sleep(0)
    await ledger.aclose()

    assert list(range(1, 51)) == sorted(each.index for each in await asyncio.gather(*waiting))


def test_second_worker_takes_the_next_shard(tmp_path: Path) -> None:
    """Each opener of one file writes a log of its own; counts unite them."""
    with open_ledger(tmp_path / "l.db") as first, open_ledger(tmp_path / "l.db") as second:
        first.append_wait(entry(1))
        second.append_wait(entry(1))
        counted = asyncio.run(second.counts([sight(1)]))
        names = (first.shard, second.shard)

    assert (("shard-0", "shard-1"), (2,)) == (names, counted)


def test_held_shard_is_refused_by_name(tmp_path: Path) -> None:
    """A shard that a running worker holds cannot be opened by another."""
    with open_ledger(tmp_path / "l.db", shard="front"), pytest.raises(LedgerOutage, match="front is held"):
        open_ledger(tmp_path / "l.db", shard="front")


def test_freed_shard_is_taken_again(tmp_path: Path) -> None:
    """After a restart a worker goes on with the lowest shard that nobody holds."""
    with open_ledger(tmp_path / "l.db"):
        pass
    with open_ledger(tmp_path / "l.db") as again:
        assert "shard-0" == again.shard


def test_shard_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The lock dies with its process, however it dies."""
    script = (
        "import os, sys; sys.path[:0] = ['src', 'tests']\n"
        "from ledgers import *\n"
        "open_ledger(Path(sys.argv[1])); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "l.db"], cwd=ROOT, check=False)
    with open_ledger(tmp_path / "l.db", shard="shard-0") as again:
        assert "shard-0" == again.shard


def test_forked_child_is_refused(tmp_path: Path) -> None:
    """A ledger opened before a fork refuses in the child, whose writer thread does not exist."""
    with open_ledger(tmp_path / "l.db") as ledger:
        child = os.fork()
        if not child:
            try:
                ledger.append_wait(entry(1), timeout_s=1)
            except LedgerOutage as error:
                os._exit(0 if "forked" in str(error) else 2)
            os._exit(1)

        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_files_are_private(tmp_path: Path) -> None:
    """Database and keys can be read by their owner alone."""
    open_ledger(tmp_path / "l.db").close()

    assert {0o600} == {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}


def test_open_key_file_is_refused(tmp_path: Path) -> None:
    """A key file that others can read is refused with what to do."""
    open_ledger(tmp_path / "l.db").close()
    (tmp_path / "l.db.keys").chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        open_ledger(tmp_path / "l.db")


def test_lost_key_file_is_not_replaced(tmp_path: Path) -> None:
    """With the key file gone nothing new is made in its place: that would hide the loss of every payload."""
    open_ledger(tmp_path / "l.db").close()
    (tmp_path / "l.db.keys").unlink()

    with pytest.raises(SettingsError, match="restore"):
        open_ledger(tmp_path / "l.db")
    assert not (tmp_path / "l.db.keys").exists()


def test_wrong_key_file_is_refused(tmp_path: Path) -> None:
    """Another ledger's key file is refused before anything is sealed with it."""
    open_ledger(tmp_path / "l.db").close()
    open_ledger(tmp_path / "other.db").close()

    with pytest.raises(SettingsError, match="another ledger"):
        open_ledger(tmp_path / "l.db", key_file=tmp_path / "other.db.keys")


def test_other_origin_is_refused(tmp_path: Path) -> None:
    """A file made under another origin is refused: its checkpoints would change their log's name."""
    open_ledger(tmp_path / "l.db").close()

    with pytest.raises(SettingsError, match="another origin"):
        open_ledger(tmp_path / "l.db", origin=ORIGIN + "x")


def test_wrong_signer_file_is_refused(tmp_path: Path) -> None:
    """Another ledger's signer file is refused before it puts its name to anything."""
    open_ledger(tmp_path / "l.db").close()
    open_ledger(tmp_path / "other.db").close()

    with pytest.raises(SettingsError, match="another ledger"):
        open_ledger(tmp_path / "l.db", signer_file=tmp_path / "other.db.signer")


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\n"])
def test_odd_origins_are_refused(tmp_path: Path, origin: str) -> None:
    """An origin is also a key name, which signed notes restrict; nothing is made for one that cannot be."""
    with pytest.raises(SettingsError, match="origin"):
        open_ledger(tmp_path / "l.db", origin=origin)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("shard", ["", "Upper", "a/b", "../x", "x" * 64])
def test_odd_shard_names_are_refused(tmp_path: Path, shard: str) -> None:
    """A shard's name is part of file names and origins."""
    with pytest.raises(SettingsError, match="shard"):
        open_ledger(tmp_path / "l.db", shard=shard)


def foreign_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE leaf (idx INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    "make", [foreign_sqlite, lambda path: path.write_bytes(b"text" * 500), lambda path: path.touch()]
)
def test_foreign_file_is_refused_unchanged(tmp_path: Path, make: object) -> None:
    """Another program's database, a text, an empty file: refused, and not one byte changed."""
    assert callable(make)
    make(tmp_path / "l.db")
    before = (tmp_path / "l.db").read_bytes()

    with pytest.raises(SettingsError, match="not a ledger"):
        open_ledger(tmp_path / "l.db")
    assert before == (tmp_path / "l.db").read_bytes()


def test_future_schema_is_refused_unchanged(tmp_path: Path) -> None:
    """A file of a later release is refused, not written to with old habits."""
    open_ledger(tmp_path / "l.db").close()
    connection = apsw.Connection(str(tmp_path / "l.db"))
    connection.pragma("user_version", 2)
    connection.close()
    before = (tmp_path / "l.db").read_bytes()

    with pytest.raises(SettingsError, match="schema 2"):
        open_ledger(tmp_path / "l.db")
    assert before == (tmp_path / "l.db").read_bytes()


def test_missing_directory_is_an_outage(tmp_path: Path) -> None:
    """A directory that is not there is named."""
    with pytest.raises(LedgerOutage, match="No such file"):
        open_ledger(tmp_path / "none" / "l.db")


def test_network_filesystem_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network filesystem nothing is made."""
    monkeypatch.setattr("purposegate.ledger.place.filesystem_of", lambda *_: "nfs4")

    with pytest.raises(SettingsError, match="nfs4"):
        open_ledger(tmp_path / "l.db")
    assert [] == list(tmp_path.iterdir())


def test_creation_cut_short_is_begun_again(tmp_path: Path) -> None:
    """What a crash leaves of a creation (a draft, a key file alone) does not stand in the way."""
    open_ledger(tmp_path / "l.db").close()
    (tmp_path / "l.db").unlink()
    (tmp_path / "l.db.signer.shard-0.head").unlink()
    (tmp_path / ".l.db.new").write_bytes(b"half a file")
    with open_ledger(tmp_path / "l.db") as ledger:
        ledger.append_wait(entry(1))

    assert 0 == verify.verify_file(tmp_path / "l.db").exit_code


def test_read_only_directory_is_an_outage(tmp_path: Path) -> None:
    """A directory that cannot be written is an outage that names the file, for a new ledger and for one that exists."""
    open_ledger(tmp_path / "l.db").close()
    script = (
        "import sys; sys.path[:0] = ['src', 'tests']\n"
        "from ledgers import *\n"
        "from purposegate.errors import LedgerOutage\n"
        "for name in ('l.db', 'new.db'):\n"
        "    try:\n"
        "        open_ledger(Path(sys.argv[1]) / name)\n"
        "    except LedgerOutage as error:\n"
        "        print(name in str(error))\n"
    )
    # Root passes every mode bit by a capability; without it root is bound like its owner.
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    tmp_path.chmod(0o500)
    try:
        run = subprocess.run(
            [*bound, sys.executable, "-c", script, tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        tmp_path.chmod(0o700)

    assert ("True\nTrue\n", "") == (run.stdout, run.stderr)


def test_synchronous_is_read_back(tmp_path: Path) -> None:
    """The writing connection commits with WAL and synchronous FULL."""
    with open_ledger(tmp_path / "l.db") as ledger:
        connection = ledger._store._writer  # type: ignore[attr-defined]  # only the connection itself can say

        assert ("wal", 2) == (connection.pragma("journal_mode"), connection.pragma("synchronous"))


def test_file_forced_out_of_wal_is_put_back_or_refused(tmp_path: Path) -> None:
    """A file that somebody switched to another journal mode is an outage, not a slower or weaker log."""
    open_ledger(tmp_path / "l.db").close()
    connection = apsw.Connection(str(tmp_path / "l.db"))
    connection.pragma("journal_mode", "delete")
    connection.close()

    with pytest.raises(LedgerOutage, match="want WAL"):
        open_ledger(tmp_path / "l.db")
