"""What every kind of store must do: one suite, run by tests/unit/ledger on SQLite and by tests/peers on PostgreSQL.

A module that runs it imports everything here and gives a module-scoped fixture `new_site`: folder -> Site.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ledger_sites import Site
from ledgers import ORIGIN, entry, sight, until
from purposegate.errors import EntryUnfit, LedgerOutage, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.earlier import Earlier
from purposegate.ledger.merkle import leaf_hash
from purposegate.ledger.verdict import Evidence, Report
from purposegate.model import EntryKind, Receipt

ROOT = Path(__file__).parents[1]
SIZE = 300
"""Entries in the ledger that is tampered with, its genesis included: one full tile and an unfinished one."""
NewSite = Callable[[Path], Site]
pytestmark = pytest.mark.anyio


@pytest.fixture
def site(new_site: NewSite, tmp_path: Path) -> Site:
    """A place without a ledger yet."""
    return new_site(tmp_path)


@pytest.fixture(scope="module")
def whole(new_site: NewSite, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An untouched ledger of `SIZE` entries, closed."""
    site = new_site(tmp_path_factory.mktemp("whole"))
    with site.open() as ledger:
        pendings = [ledger._pending(entry(number), None, Future()) for number in range(1, SIZE)]
        for pending in pendings:
            ledger._writer.submit(pending)
    return site


@pytest.fixture
def copy(whole: Site, tmp_path: Path) -> Site:
    """A copy to tamper with, its key files and signed heads beside it."""
    return whole.copied(tmp_path)


def run_elsewhere(site: Site, then: str, **streams: Any) -> "subprocess.Popen[str]":
    """Another process that opens the ledger and goes on with `then`, where it is called `ledger`."""
    *before, opened = site.opening().split("\n")
    script = "\n".join(["import sys; sys.path[:0] = ['src', 'tests']", *before, f"ledger = {opened}", then])
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True, **streams)


# Appending and counting


async def test_append_says_where_the_entry_stands(site: Site) -> None:
    """The receipt names shard, index and leaf hash, and that leaf is in the store."""
    async with site.open() as ledger:
        await ledger.append(entry(1))
        receipt = await ledger.append(entry(2))

    assert Receipt(shard=site.shard(0), index=2, leaf_hash=leaf_hash(site.stored()[2].leaf)) == receipt


async def test_first_entry_is_genesis(site: Site) -> None:
    """A new ledger holds one entry, its genesis."""
    async with site.open() as ledger:
        size = ledger.size

    assert (1, ["genesis"]) == (size, site.kinds())


async def test_counts_see_what_append_returned(site: Site) -> None:
    """A count includes every entry whose append has returned, and no other principal's."""
    async with site.open() as ledger:
        for _ in range(3):
            await ledger.append(entry(1, counts=[sight(1), sight(2)]))
        await ledger.append(entry(1, counts=[sight(1), sight(1)]))

        assert (5, 3, 0) == await ledger.counts([sight(1), sight(2), sight(1, "pc-43")])


async def test_counts_and_entries_outlive_the_process_object(site: Site) -> None:
    """A ledger opened again goes on where it stopped."""
    async with site.open() as ledger:
        await ledger.append(entry(1))
    async with site.open() as ledger:
        receipt = await ledger.append(entry(2))

        assert (2, (1,)) == (receipt.index, await ledger.counts([sight(1)]))


async def test_counts_miss_only_lookups_in_flight_elsewhere(site: Site) -> None:
    """Whatever two gates do at once, a count lies between what had returned before it and what was begun after it."""
    begun = returned = 0
    seen: list[tuple[int, int, int]] = []

    async def look_up(ledger: DurableLedger) -> None:
        nonlocal begun, returned
        for number in range(40):
            begun += 1
            await ledger.append(entry(number, counts=[sight(7)]))
            returned += 1

    async def count(ledger: DurableLedger) -> None:
        while not seen or seen[-1][0] < 320:
            before = returned
            (found,) = await ledger.counts([sight(7)])
            seen.append((before, found, begun))
            await asyncio.sleep(0)

    async with site.open() as one, site.open() as other:
        await asyncio.gather(
            *(look_up(one) for _ in range(4)), *(look_up(other) for _ in range(4)), count(one), count(other)
        )

    assert seen[-1][1] == 320
    assert all(before <= found <= after for before, found, after in seen)


def test_several_loops_and_threads_share_one_ledger(site: Site) -> None:
    """Callers on different event loops and on none append at once; each gets its own receipt."""
    indexes: list[int] = []

    async def append_some(ledger: DurableLedger) -> None:
        found = await asyncio.gather(*(ledger.append(entry(number)) for number in range(20)))
        indexes.extend(each.index for each in found)

    with site.open() as ledger:
        threads = [threading.Thread(target=lambda: asyncio.run(append_some(ledger))) for _ in range(3)]
        threads.append(threading.Thread(target=lambda: indexes.append(ledger.append_wait(entry(1)).index)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert list(range(1, 62)) == sorted(indexes)


async def test_cancelled_append_leaves_its_entry(site: Site) -> None:
    """A caller who goes away does not disturb the others; the entry stands, and verify finds all intact."""
    async with site.open() as ledger:
        gone = asyncio.ensure_future(ledger.append(entry(1)))
        await asyncio.sleep(0)
        gone.cancel()
        receipt = await ledger.append(entry(2))

    assert (2, 0) == (receipt.index, site.verify().exit_code)


async def test_unfit_entry_harms_no_other(site: Site) -> None:
    """An entry that cannot be written is refused alone."""
    async with site.open() as ledger:
        found = await asyncio.gather(
            ledger.append(entry(1)),
            ledger.append(entry(2, lookup_id="")),
            ledger.append(entry(3)),
            return_exceptions=True,
        )

    assert [Receipt, EntryUnfit, Receipt] == [type(each) for each in found]


async def test_closed_ledger_refuses(site: Site) -> None:
    """After close, append and counts are outages; closing twice is harmless."""
    ledger = site.open()
    await ledger.aclose()
    ledger.close()

    with pytest.raises(LedgerOutage, match="closed"):
        await ledger.append(entry(1))
    with pytest.raises(LedgerOutage, match="closed"):
        await ledger.counts([sight(1)])


async def test_close_writes_what_waits(site: Site) -> None:
    """Appends already queued are durable, not dropped, when the ledger closes."""
    ledger = site.open()
    waiting = [asyncio.ensure_future(ledger.append(entry(number))) for number in range(50)]
    await asyncio.sleep(0)
    await ledger.aclose()

    assert list(range(1, 51)) == sorted(each.index for each in await asyncio.gather(*waiting))


def test_tiles_are_stored_when_full(site: Site) -> None:
    """Every full tile is in the store, across batches and reopening, and verify compares each hash in it."""
    for _ in range(2):
        with site.open() as ledger:
            for number in range(300):
                ledger._writer.submit(ledger._pending(entry(number), None, Future()))
    reader = site.reader()
    numbers = [(tile.level, tile.number) for tile in reader.tiles(1)]
    reader.close()

    assert [(0, number) for number in range(601 // 256)] == numbers
    assert 0 == site.verify().exit_code


def test_entries_of_a_kind_are_found_in_their_leaves(site: Site) -> None:
    """Whatever shard they stand in; and no other entry, though its clear text says the kind's name."""
    with site.open() as first, site.open() as second:
        for ledger in (first, second):
            ledger.append_wait(entry(1, fields={"principal": '"k":"hold"'}))
            ledger.append_wait(entry(2, kind=EntryKind.HOLD, rows=[], counts=[]))
    reader = site.reader()
    found = {kind: list(reader.of_kind(kind)) for kind in ("hold", "genesis", "erase")}
    reader.close()

    assert {"hold": [(1, 2), (2, 2)], "genesis": [(1, 0), (2, 0)], "erase": []} == found


@pytest.mark.parametrize("rows", [1, 7, SIZE, SIZE + 1])
def test_entries_are_read_in_portions_without_a_gap(
    whole: Site, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are fetched at a time, each entry of the span is given once, in order, and no other."""
    reader = whole.reader()
    monkeypatch.setattr(sys.modules[type(reader).__module__], "ROWS", rows)
    found = [
        [each.index for each in reader.entries(1, start, stop)] for start, stop in ((0, 1 << 39), (3, 290))
    ]
    reader.close()

    assert [list(range(SIZE)), list(range(3, 290))] == found


# Whose shard it is


def test_second_worker_takes_the_next_shard(site: Site) -> None:
    """Each opener of one ledger writes a log of its own; counts unite them."""
    with site.open() as first, site.open() as second:
        first.append_wait(entry(1))
        second.append_wait(entry(1))
        counted = asyncio.run(second.counts([sight(1)]))
        names = (first.shard, second.shard)

    assert ((site.shard(0), site.shard(1)), (2,)) == (names, counted)


def test_what_others_counted_is_told_apart(site: Site) -> None:
    """Each worker can ask what all shards but its own have counted."""
    with site.open() as first, site.open() as second:
        for _ in range(3):
            first.append_wait(entry(1))
        second.append_wait(entry(1))
        counted = [asyncio.run(one.counted([sight(1), sight(2)])) for one in (first, second)]

    assert [((4, 1), (0, 0)), ((4, 3), (0, 0))] == counted


def test_work_begins_a_new_count(site: Site) -> None:
    """A key that carries the moment of last work is another key: what was counted before stands apart, undeleted."""
    since = sight(1)._replace(since="2026-11-20T09:00:00+00:00")
    with site.open() as ledger:
        for key in (sight(1), sight(1), since):
            ledger.append_wait(entry(1, counts=(key,)))
        counted = asyncio.run(ledger.counts([sight(1), since]))

    assert (2, 1) == counted


def test_held_shard_is_refused_by_name(site: Site) -> None:
    """A shard that a running worker holds cannot be opened by another."""
    with site.open(shard="front"), pytest.raises(LedgerOutage, match="front is held"):
        site.open(shard="front")


def test_freed_shard_is_taken_again(site: Site) -> None:
    """After a restart a worker goes on with the lowest shard that nobody holds."""
    with site.open():
        pass
    with site.open() as again:
        assert site.shard(0) == again.shard


def test_shard_of_a_killed_process_is_free(site: Site) -> None:
    """The lock dies with its process, however it dies."""
    with run_elsewhere(site, "import os; os.kill(os.getpid(), 9)"):
        pass
    taken: list[str] = []

    def free() -> bool:
        try:
            with site.open(shard=site.shard(0)) as again:
                taken.append(again.shard)
        except LedgerOutage:  # a server notices a moment later
            return False
        return True

    until(free)
    assert [site.shard(0)] == taken


def test_forked_child_is_refused(site: Site) -> None:
    """A ledger opened before a fork refuses in the child, whose writer thread does not exist."""
    with site.open() as ledger:
        child = os.fork()
        if not child:
            try:
                ledger.append_wait(entry(1), timeout_s=1)
            except LedgerOutage as error:
                os._exit(0 if "forked" in str(error) else 2)
            os._exit(1)

        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert 1 == ledger.append_wait(entry(1)).index


def test_another_writer_on_the_same_shard_forks_nothing(site: Site) -> None:
    """A head that moved under the writer stops it for good: it never writes over what it did not see."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        site.execute("UPDATE head SET epoch = epoch + 1")
        with pytest.raises(LedgerOutage, match="another writer"):
            ledger.append_wait(entry(2))
        with pytest.raises(LedgerOutage, match="another writer"):
            ledger.append_wait(entry(3))

        assert "forked" == ledger.state
    assert ["genesis", "release"] == site.kinds()


def test_commit_that_stood_after_all_is_told_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When COMMIT reports an error and the rows are there (a lost answer), the recovery entry says present."""
    with site.open() as ledger:
        store = type(ledger._store)
        commit = store.commit

        def lost_answer(self: Any, *arguments: Any) -> None:
            monkeypatch.undo()
            commit(self, *arguments)
            raise ConnectionError

        monkeypatch.setattr(store, "commit", lost_answer)
        with pytest.raises(LedgerOutage):
            ledger.append_wait(entry(2))
        until(lambda: ledger.state == "open")
    account = site.fields(site.stored()[2])

    assert ["genesis", "release", "recovery"] == site.kinds()
    assert [{"lookups": ["lookup-2"], "first": 1, "present": True, "cause": "ConnectionError"}] == account[
        "commits"
    ]


# What does not belong together


def test_open_key_file_is_refused(site: Site) -> None:
    """A key file that others can read is refused with what to do."""
    site.open().close()
    site.key_file.chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        site.open()


def test_files_are_private(site: Site) -> None:
    """Whatever is kept beside a ledger can be read by its owner alone."""
    site.open().close()

    assert {0o600} == {path.stat().st_mode & 0o777 for path in site.folder.iterdir()}


@pytest.mark.parametrize("which", ["key_file", "signer_file"])
def test_lost_key_files_are_not_replaced(site: Site, which: str) -> None:
    """With a key file gone nothing new is made in its place: that would hide the loss."""
    site.open().close()
    lost: Path = getattr(site, which)
    lost.unlink()

    with pytest.raises(SettingsError, match="restore"):
        site.open()
    assert not lost.exists()


@pytest.mark.parametrize("which", ["key_file", "signer_file"])
def test_wrong_key_files_are_refused(
    site: Site, new_site: NewSite, tmp_path_factory: pytest.TempPathFactory, which: str
) -> None:
    """Another ledger's key file or signer file is refused before anything is sealed or signed with it."""
    site.open().close()
    other = new_site(tmp_path_factory.mktemp("other"))
    other.open().close()

    with pytest.raises(SettingsError, match="another ledger"):
        site.open(**{which: getattr(other, which)})


def test_other_origin_is_refused(site: Site) -> None:
    """A ledger made under another origin is refused: its checkpoints would change their log's name."""
    site.open().close()

    with pytest.raises(SettingsError, match="another origin"):
        site.open(origin=ORIGIN + "x")


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\n"])
def test_odd_origins_are_refused(site: Site, origin: str) -> None:
    """An origin is also a key name, which signed notes restrict; nothing is made for one that cannot be."""
    with pytest.raises(SettingsError, match="origin"):
        site.open(origin=origin)
    assert [] == list(site.folder.iterdir())


@pytest.mark.parametrize("shard", ["", "Upper", "a/b", "../x", "x" * 64])
def test_odd_shard_names_are_refused(site: Site, shard: str) -> None:
    """A shard's name is part of file names and origins."""
    with pytest.raises(SettingsError, match="shard"):
        site.open(shard=shard)


def test_beginning_cut_short_is_begun_again(site: Site) -> None:
    """Key files that a crash left alone do not stand in the way."""
    site.open(shard="before").close()
    site.begun_without_keys()
    with site.open() as ledger:
        ledger.append_wait(entry(1))

    assert 1 == site.verify().exit_code  # of the shard that the signer remembers
    assert ["genesis", "release"] == site.kinds()


# Signed heads, and stores that come back older


def test_signed_head_is_the_committed_one(site: Site) -> None:
    """After closing, memory and store hold the same note: origin, size and root of all that was committed."""
    with site.open() as ledger:
        for number in range(5):
            ledger.append_wait(entry(number))
    reader = site.reader()
    (shard,) = reader.shards()
    notes = reader.checkpoints(shard.number)
    reader.close()
    note = site.head_file().read_bytes()

    assert Checkpoint(f"{ORIGIN}/{site.shard(0)}", 6, shard.head.root).text.encode() in note
    assert (6, note) == notes[-1]


def test_heads_are_signed_while_it_runs(site: Site) -> None:
    """A commit is followed by a signed head of at least its size, without closing; a new shard has one at once."""
    with site.open() as ledger:
        first = ledger.signed_size
        receipt = ledger.append_wait(entry(1))
        until(lambda: ledger.signed_size > receipt.index)

        assert 1 == first


def test_kept_heads_are_thinned_to_one_a_minute(site: Site) -> None:
    """Of the heads of one minute the store keeps the last, and any that was cosigned."""
    with site.open() as ledger:
        store = ledger._store
        for size, at_s in ((10, 600), (11, 610), (12, 659), (13, 660)):
            store.keep(size, b"note", at_s)
        site.execute("INSERT INTO cosig VALUES (1, 13, 'witness', 'line')")
        store.keep(14, b"note", 670)
        kept = site.execute("SELECT size FROM ckpt WHERE size > 1 ORDER BY size")

    assert [(12,), (13,), (14,)] == kept


def test_cosigned_heads_are_thinned_once_a_newer_has_their_witnesses(site: Site) -> None:
    """Of one minute the newest head of each witness is kept, with its line; the next minute's does not touch it."""
    with site.open() as ledger:
        store = ledger._store
        for size, at_s, witness in ((10, 600, "a"), (11, 610, "b"), (12, 620, "a"), (13, 660, "a")):
            store.keep(size, b"note %d" % size, at_s)
            store.keep_cosigned(size, b"note %d" % size, at_s, witness, f"line {size}\n")
        lines = site.execute("SELECT size, keyname FROM cosig ORDER BY size")
        newest = sorted(store.cosigned())

    assert [(11, "b"), (12, "a"), (13, "a")] == lines
    assert [(b"note 11", "line 11\n"), (b"note 13", "line 13\n")] == newest


def rolled_back(site: Site) -> DurableLedger:
    """A ledger opened again after its rows were put back by two entries."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
    restore = site.backed_up()
    with site.open() as ledger:
        ledger.append_wait(entry(2))
        ledger.append_wait(entry(3))
    restore()
    return site.open()


def test_older_store_is_never_continued(site: Site) -> None:
    """A store behind its last signed head goes on as another shard; the old one is left as it came back."""
    with rolled_back(site) as ledger:
        receipt = ledger.append_wait(entry(4))

    assert f"{site.shard(0)}.r1" == receipt.shard
    assert {site.shard(0): 2, f"{site.shard(0)}.r1": 2} == site.sizes()


def test_restarting_does_not_hide_a_roll_back(site: Site) -> None:
    """Verify names the lost entries before and after the gate was started again."""
    rolled_back(site).close()

    assert [(site.shard(0), 2)] == [(each.shard, each.index) for each in site.verify().mismatches]


def test_next_generation_is_continued_not_renewed(site: Site) -> None:
    """After a roll-back was noticed once, later openings continue the shard that took its place."""
    rolled_back(site).close()
    with site.open() as ledger:
        assert (f"{site.shard(0)}.r1", 1) == (ledger.shard, ledger.size)


def test_lost_memory_is_not_trusted_to_have_been_empty(site: Site) -> None:
    """With the signer's memory gone and heads kept in the store, nobody can say what was signed last: next generation."""
    site.open().close()
    site.head_file().unlink()
    with site.open() as ledger:
        assert f"{site.shard(0)}.r1" == ledger.shard


def test_acknowledged_entries_lost_before_they_were_signed_are_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that comes back without entries acknowledged an instant ago is not continued, signed for or not."""
    monkeypatch.setattr("purposegate.ledger.attest.GATHER_S", 3_600)
    with site.open() as ledger:
        site.execute("CREATE TABLE before AS SELECT * FROM head")
        ledger.append_wait(entry(2, counts=()))
        signed = ledger.signed_size
        site.execute(
            "UPDATE head SET (size, root, frontier) = (SELECT size, root, frontier FROM before)",
            *(f"DELETE FROM {table} WHERE pos = {pos(1)}" for table in ("leaf", "payload")),
        )
        with pytest.raises(LedgerOutage, match="exchanged"):
            ledger.append_wait(entry(3))
    with site.open() as again:
        receipt = again.append_wait(entry(4))

    assert (1, f"{site.shard(0)}.r1") == (signed, receipt.shard)
    assert [(site.shard(0), 1)] == [(each.shard, each.index) for each in site.verify().mismatches]


def test_altered_leaf_hash_is_not_signed_over(site: Site) -> None:
    """If what the store holds stops leading to what was signed, the ledger refuses instead of signing it."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        ledger.append_wait(entry(2))
        until(lambda: ledger.signed_size == 3)
        site.execute(f"UPDATE leaf SET h = zeroblob(32) WHERE pos = {pos(0)}")
        ledger.append_wait(entry(3))
        until(lambda: ledger.state != "open")

        assert "forked" == ledger.state


# Killed


def killed(site: Site, after_lines: int) -> list[tuple[str, int, str]]:
    """Run a load until it has acknowledged so many entries, kill -9 it there, and return all that it acknowledged."""
    # Prints one line for each entry only after its append has returned, as a gate releases bytes only then.
    load = """
import asyncio, os
async def lookups(lane):
    for number in range(10**9):
        receipt = await ledger.append(entry(number, lookup_id=f"{lane}-{number}"))
        os.write(1, f"{receipt.shard} {receipt.index} {receipt.leaf_hash.hex()}\\n".encode())
async def main():
    await asyncio.gather(*(lookups(lane) for lane in range(16)))
asyncio.run(main())
"""
    with run_elsewhere(site, load, stdout=subprocess.PIPE) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(after_lines)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(shard, int(index), leaf_hash) for shard, index, leaf_hash in words]


def standing(site: Site) -> set[tuple[str, int, str]]:
    """Every entry that the store holds, as a gate acknowledges it."""
    reader = site.reader()
    try:
        return {
            (shard.name, each.index, each.leaf_hash.hex())
            for shard in reader.shards()
            for each in reader.entries(shard.number, 0, shard.head.size)
        }
    finally:
        reader.close()


def test_killed_writer_loses_nothing_acknowledged(site: Site, soak: bool) -> None:  # a fixture
    """After each kill -9 every acknowledged entry is there with its hash, verify says intact, and the log goes on."""
    chance = random.Random(20261121)
    acknowledged: list[tuple[str, int, str]] = []
    for _ in range(100 if soak else 5):
        acknowledged += killed(site, chance.randrange(1, 400))

        assert set(acknowledged) <= standing(site)
        assert [] == site.verify().mismatches
    with site.open() as ledger:
        ledger.append_wait(entry(1))
    assert 0 == site.verify().exit_code


@pytest.mark.parametrize("after_lines", [1, 40])
def test_killed_worker_harms_no_other(site: Site, after_lines: int) -> None:
    """The same with two workers, one shard each, one of them killed."""
    with site.open() as survivor:
        acknowledged = killed(site, after_lines)
        receipt = survivor.append_wait(entry(1))

    assert {site.shard(1)} == {shard for shard, _, _ in acknowledged}
    assert {*acknowledged, (receipt.shard, receipt.index, receipt.leaf_hash.hex())} <= standing(site)
    assert 0 == site.verify().exit_code


# Tampered with


def tamper(site: Site, *statements: str) -> Report:
    """Change the rows as their owner could, triggers and all, and verify."""
    site.execute(*statements)
    return site.verify()


def named(report: Report) -> set[int | None]:
    return {mismatch.index for mismatch in report.mismatches}


def pos(index: int) -> int:
    """Where an entry of the first shard stands."""
    return (1 << 40) + index


def test_untouched_ledger_is_intact(whole: Site) -> None:
    """Exit code 0, every payload opened, and the report says that no witness was asked."""
    report = whole.verify()

    assert (0, SIZE, [SIZE]) == (report.exit_code, report.payloads, [shard.size for shard in report.shards])
    assert "not witnessed" in report.text()


def moved(table: str) -> list[str]:
    return [
        f"UPDATE {table} SET pos = -1 WHERE pos = {pos(4)}",
        f"UPDATE {table} SET pos = {pos(4)} WHERE pos = {pos(5)}",
        f"UPDATE {table} SET pos = {pos(5)} WHERE pos = -1",
    ]


@pytest.mark.parametrize(
    ("what", "statements", "index"),
    [
        ("leaf changed", [f"UPDATE leaf SET data = zeroblob(9) WHERE pos = {pos(3)}"], 3),
        ("leaf hash changed", [f"UPDATE leaf SET h = zeroblob(32) WHERE pos = {pos(3)}"], 3),
        ("payload changed", [f"UPDATE payload SET ct = zeroblob(99) WHERE pos = {pos(3)}"], 3),
        ("nonce changed", [f"UPDATE payload SET nonce = zeroblob(12) WHERE pos = {pos(3)}"], 3),
        ("leaf deleted", [f"DELETE FROM leaf WHERE pos = {pos(7)}"], 7),
        ("payload deleted", [f"DELETE FROM payload WHERE pos = {pos(7)}"], 7),
        ("entry deleted", [f"DELETE FROM {table} WHERE pos = {pos(9)}" for table in ("leaf", "payload")], 9),
        (
            "last deleted",
            [f"DELETE FROM {table} WHERE pos = {pos(299)}" for table in ("leaf", "payload")],
            299,
        ),
        ("tail cut", [f"DELETE FROM leaf WHERE pos > {pos(290)}"], 291),
        ("leaf added", [f"INSERT INTO leaf SELECT {pos(300)}, data, h FROM leaf WHERE pos = {pos(5)}"], 300),
        (
            "payload added",
            [f"INSERT INTO payload SELECT {pos(300)}, kid, nonce, ct FROM payload WHERE pos = {pos(5)}"],
            300,
        ),
        ("leaves swapped", moved("leaf"), 4),
        ("payloads swapped", moved("payload"), 4),
        ("payload of another key", [f"UPDATE payload SET kid = 2 WHERE pos = {pos(8)}"], 8),
        ("tile changed", ["UPDATE tile SET data = zeroblob(8192)"], 0),
        ("tile short", ["UPDATE tile SET data = zeroblob(1)"], 0),
        ("tile deleted", ["DELETE FROM tile"], None),
        ("tile added", ["INSERT INTO tile VALUES (1, 0, 1, zeroblob(8192))"], None),
        ("counter lowered", ["UPDATE counter SET n = n - 1"], None),
        ("counter deleted", ["DELETE FROM counter"], None),
        ("counter added", ["INSERT INTO counter VALUES (zeroblob(1), 1, 3)"], None),
        ("root changed", ["UPDATE head SET root = zeroblob(32)"], None),
        ("frontier changed", ["UPDATE head SET frontier = zeroblob(8)"], None),
        ("frontier emptied", ["UPDATE head SET frontier = zeroblob(0)"], None),
        ("head shrunk", ["UPDATE head SET size = size - 1"], None),
        ("head grown", ["UPDATE head SET size = size + 1"], 300),
        ("shard renamed", ["UPDATE shard SET name = 'other'"], 0),
        ("origin changed", ["UPDATE shard SET origin = 'elsewhere'"], 0),
        ("verifier key changed", ["UPDATE shard SET vkey = replace(vkey, 'north', 'south')"], 0),
        ("signed head changed", ["UPDATE ckpt SET note = zeroblob(99)"], None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tampering_is_named(copy: Site, what: str, statements: list[str], index: int | None) -> None:
    """Update, delete, insert, swap and cut, in every table: exit code 1, and the entry where there is one."""
    report = tamper(copy, *statements)

    assert 1 == report.exit_code
    assert index in named(report)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaf SET data = h",
        "DELETE FROM leaf",
        "DELETE FROM tile",
        "UPDATE tile SET data = zeroblob(1)",
    ],
)
def test_accidents_are_stopped(copy: Site, statement: str) -> None:
    """The triggers refuse what no release of purposegate ever does."""
    with pytest.raises(Exception, match="append-only"):
        copy.execute(statement, guarded=True)


def test_machine_rolled_back_whole_shows_only_to_a_head_from_outside(whole: Site, copy: Site) -> None:
    """With the signer's memory put back too, an older copy is sound by itself; a head kept elsewhere shows it."""
    with copy.open() as ledger:
        ledger.append_wait(entry(999))
    newer = copy.head_file().read_bytes()

    assert 0 == whole.verify().exit_code
    assert 1 == whole.verify(Evidence(heads=[newer])).exit_code


def test_lost_shard_is_named(copy: Site) -> None:
    """A shard that the signer remembers and the store lacks is a lost log."""
    copy.head_file(7).write_bytes(copy.head_file(0).read_bytes())

    assert 1 == copy.verify().exit_code


def test_key_that_is_not_trusted_is_named(whole: Site) -> None:
    """A log under another key than those given is told, however sound it is in itself."""
    assert 1 == whole.verify(Evidence(keys={"another+key"})).exit_code


def test_required_witness_that_is_missing_cannot_be_decided(whole: Site) -> None:
    """Asked for a witness, verify does not say intact without one."""
    assert 2 == whole.verify(Evidence(require_witness=True)).exit_code


def test_without_the_key_only_leaves_are_decided(copy: Site) -> None:
    """A missing key file leaves payloads undecided, exit code 2; asked for the leaves only, none is needed."""
    copy.key_file.unlink()
    report = copy.verify()

    assert (2, 0, [SIZE]) == (report.exit_code, report.payloads, [shard.size for shard in report.shards])
    assert 0 == copy.verify(payloads=False).exit_code


def grown(site: Site, first: int, last: int) -> None:
    """Append some entries in one process and close the ledger again."""
    with site.open() as ledger:
        pendings = [ledger._pending(entry(number), None, Future()) for number in range(first, last)]
        for pending in pendings:
            ledger._writer.submit(pending)


@pytest.fixture(scope="module")
def read_earlier(new_site: NewSite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Earlier]:
    """A ledger of `2 * SIZE` entries of which the first `SIZE` were verified before the others came."""
    site = new_site(tmp_path_factory.mktemp("read"))
    grown(site, 1, SIZE)
    reached = site.verify().reached
    grown(site, SIZE, 2 * SIZE)
    if reached is None:
        raise AssertionError("a whole verification says where it ended")
    return site, reached


def test_later_verification_reads_only_what_is_new(read_earlier: tuple[Site, Earlier]) -> None:
    """Going on from an earlier verification opens the new payloads alone and ends where a whole one does."""
    site, earlier = read_earlier
    later, whole = site.verify(Evidence(earlier=earlier)), site.verify()

    assert (0, SIZE, [SIZE]) == (later.exit_code, later.payloads, [shard.earlier for shard in later.shards])
    assert [(shard.size, shard.root) for shard in whole.shards] == [
        (shard.size, shard.root) for shard in later.shards
    ]
    assert later.reached
    assert whole.reached
    assert (whole.reached.shards, whole.reached.counters) == (later.reached.shards, later.reached.counters)
    assert f"{SIZE} of them read earlier and not again" in later.text()


@pytest.mark.parametrize(
    ("what", "statements", "index"),
    [
        ("leaf changed", [f"UPDATE leaf SET data = zeroblob(9) WHERE pos = {pos(400)}"], 400),
        ("first new leaf changed", [f"UPDATE leaf SET data = zeroblob(9) WHERE pos = {pos(SIZE)}"], SIZE),
        ("payload changed", [f"UPDATE payload SET ct = zeroblob(99) WHERE pos = {pos(400)}"], 400),
        ("payload deleted", [f"DELETE FROM payload WHERE pos = {pos(400)}"], 400),
        (
            "last deleted",
            [f"DELETE FROM {table} WHERE pos = {pos(599)}" for table in ("leaf", "payload")],
            599,
        ),
        (
            "tile begun before and filled since changed",
            ["UPDATE tile SET data = zeroblob(8192) WHERE n = 1"],
            256,
        ),
        ("counter lowered", ["UPDATE counter SET n = n - 1"], None),
        ("counter deleted", ["DELETE FROM counter"], None),
        ("counter added", ["INSERT INTO counter VALUES (zeroblob(1), 1, 3)"], None),
        ("root changed", ["UPDATE head SET root = zeroblob(32)"], None),
        ("head shrunk", [f"UPDATE head SET size = {SIZE - 1}"], SIZE - 1),
        ("shard renamed", ["UPDATE shard SET name = 'other'"], 0),
        ("verifier key changed", ["UPDATE shard SET vkey = replace(vkey, 'north', 'south')"], None),
        ("signed head changed", ["UPDATE ckpt SET note = zeroblob(99)"], None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tampering_since_is_named(
    read_earlier: tuple[Site, Earlier], tmp_path: Path, what: str, statements: list[str], index: int | None
) -> None:
    """What is changed after an earlier verification is told by going on from it: exit code 1, and the entry where there is one."""
    site, earlier = read_earlier
    copy = site.copied(tmp_path)
    copy.execute(*statements)
    report = copy.verify(Evidence(earlier=earlier))

    assert 1 == report.exit_code
    assert index in named(report)


def test_another_past_contradicts_what_was_verified(read_earlier: tuple[Site, Earlier], whole: Site) -> None:
    """Another ledger with the same number of entries and names does not lead on from what was verified."""
    _, earlier = read_earlier

    assert 1 == whole.verify(Evidence(earlier=earlier)).exit_code


def test_evidence_of_before_is_not_decided_by_a_later_reading(
    read_earlier: tuple[Site, Earlier],
) -> None:
    """A receipt for an entry that is not read again leaves a doubt, exit code 2, and no silence."""
    site, earlier = read_earlier
    receipt = Receipt(shard=next(iter(earlier.shards)), index=3, leaf_hash=bytes(32))
    report = site.verify(Evidence(earlier=earlier, receipts=[receipt]))

    assert (2, 1) == (report.exit_code, len(report.doubts))


def test_running_ledger_can_be_verified(site: Site) -> None:
    """Verify reads one moment of a ledger that is being written to: entries appended meanwhile are not in it."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        report = site.verify(progress=lambda _done, _total: ledger.append_wait(entry(2)) and None)
        after = ledger.size

    assert (0, 2) == (report.exit_code, report.shards[0].size)
    assert after > 2
