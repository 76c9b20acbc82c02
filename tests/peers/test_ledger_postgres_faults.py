"""Servers that die, networks that are cut, standbys that lag: what was acknowledged stands, and nothing is written twice."""

import asyncio
import random
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from ledgers import entry, sight, until
from peers.cutting_proxy import Cut, CuttingProxy
from peers.postgres_server import PostgresServer
from peers.postgres_site import PostgresSite
from purposegate.errors import LedgerOutage
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.merkle import Frontier, leaf_hash
from purposegate.ledger.note import LogKey
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.postgres_store import CommitUnsureError, PostgresStore
from purposegate.ledger.signing import shard_signer
from purposegate.ledger.store import Batch, Head, Stored, StoreForkedError


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server of this module's own, which its tests kill and start again."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.close()


@pytest.fixture
def site(mortal: PostgresServer, tmp_path: Path) -> PostgresSite:
    return PostgresSite(tmp_path, mortal)


@pytest.fixture
def proxy(mortal: PostgresServer) -> Iterator[CuttingProxy]:
    home = Path(tempfile.mkdtemp(prefix="px-"))
    proxy = CuttingProxy(home, mortal.home)
    try:
        yield proxy
    finally:
        proxy.close()
        shutil.rmtree(home)


def through(proxy: CuttingProxy, site: PostgresSite) -> DurableLedger:
    """The ledger opened over the network that can be cut."""
    return site.open(url=site.url.replace(str(site.server.home), str(proxy.home)))


def accounts(site: PostgresSite, shard: int = 1) -> list[dict[str, Any]]:
    """Every commit that the shard's recovery entries tell of."""
    stored = [each for each in site.stored(shard) if read_leaf(each.leaf).kind == "recovery"]
    return [commit for each in stored for commit in site.fields(each, shard)["commits"]]


def lookups(site: PostgresSite, shard: int = 1) -> list[str]:
    return [read_leaf(each.leaf).lookup_id for each in site.stored(shard)]


def settled(site: PostgresSite, ledger: DurableLedger) -> None:
    """Wait until the ledger has nothing left to do: its newest head is signed, and kept in the store."""
    newest = f"SELECT max(size) FROM ckpt JOIN shard ON shard = number WHERE name = '{ledger.shard}'"
    until(lambda: site.execute(newest) == [(ledger.size,)])


class Load:
    """Lookups on several lanes of one ledger, which go on whatever happens."""

    def __init__(self, ledger: DurableLedger, lanes: int = 16) -> None:
        self.acknowledged: list[tuple[str, int, str]] = []
        self.refused = 0
        self._stopping = threading.Event()
        self._ledger = ledger
        self._threads = [threading.Thread(target=self._lane, args=(lane,)) for lane in range(lanes)]

    def _lane(self, lane: int) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                receipt = self._ledger.append_wait(entry(number, lookup_id=f"{lane}-{number}"), timeout_s=60)
            except LedgerOutage:
                self.refused += 1
                self._stopping.wait(0.01)
            else:
                self.acknowledged.append((receipt.shard, receipt.index, receipt.leaf_hash.hex()))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


def standing(site: PostgresSite) -> set[tuple[str, int, str]]:
    reader = site.reader()
    try:
        return {
            (row.name, each.index, each.leaf_hash.hex())
            for row in reader.shards()
            for each in reader.entries(row.number, 0, row.head.size)
        }
    finally:
        reader.close()


def test_killed_server_loses_nothing_acknowledged(site: PostgresSite, soak: bool) -> None:  # a fixture
    """After each kill -9 of the server under two gates' load every acknowledged entry stands, and verify says intact."""
    chance = random.Random(20261122)
    with site.open() as one, site.open() as two, Load(one, 8) as here, Load(two, 8) as there:
        for _ in range(50 if soak else 4):
            enough = len(here.acknowledged) + len(there.acknowledged) + chance.randrange(1, 600)
            until(lambda enough=enough: len(here.acknowledged) + len(there.acknowledged) >= enough)  # type: ignore[misc]
            site.server.kill()
            site.server.start()
            until(lambda: one.state == two.state == "open")
        until(lambda: one.append_wait(entry(1)).index > 0 < two.append_wait(entry(1)).index)

    assert {*here.acknowledged, *there.acknowledged} <= standing(site)
    assert 0 == site.verify().exit_code
    assert here.refused + there.refused > 0


def test_kills_show_commits_that_do_not_wait(
    mortal: PostgresServer, site: PostgresSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a gate that leaves synchronous_commit off loses acknowledged entries: the kills have teeth."""

    def careless(connection: psycopg.Connection[Any], _: Address) -> None:
        connection.execute("SET synchronous_commit = off")

    monkeypatch.setattr("purposegate.ledger.postgres_session.make_durable", careless)
    monkeypatch.setattr("purposegate.ledger.postgres_session.require_durable", lambda *_: None)
    mortal.stop()
    mortal.start(wal_writer_delay="10s")
    with site.open() as ledger, Load(ledger) as load:
        until(lambda: len(load.acknowledged) > 200)
        mortal.kill()
        mortal.start()

    assert not set(load.acknowledged) <= standing(site)


def test_recovery_entries_tell_the_truth(site: PostgresSite) -> None:
    """Of every commit that a killed server left in doubt the recovery entry says rightly whether its entries stand."""
    with site.open() as ledger, Load(ledger) as load:
        for _ in range(3):
            before = len(load.acknowledged)
            until(lambda before=before: len(load.acknowledged) > before + 20)  # type: ignore[misc]
            site.server.kill()
            site.server.start()
            until(lambda: ledger.state == "open")
    found, told = set(lookups(site)), accounts(site)

    assert told
    for commit in told:
        assert {commit["present"]} == {lookup in found for lookup in commit["lookups"]}


@pytest.mark.parametrize(("cut", "present"), [(Cut.BEFORE, False), (Cut.AFTER, True), (Cut.STUCK, False)])
def test_commit_whose_connection_is_cut_is_found_out(
    site: PostgresSite, proxy: CuttingProxy, cut: Cut, present: bool
) -> None:
    """A COMMIT whose answer never comes is refused; then the head says what became of it, and an entry tells."""
    with through(proxy, site) as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        proxy.cut = cut
        with pytest.raises(LedgerOutage, match="outcome"):
            ledger.append_wait(entry(2))
        until(lambda: ledger.state == "open")
        ledger.append_wait(entry(3))

    assert [(["lookup-2"], present)] == [(each["lookups"], each["present"]) for each in accounts(site)]
    assert present == ("lookup-2" in lookups(site))
    assert 0 == site.verify().exit_code


def test_late_commit_of_a_session_given_up_changes_nothing(site: PostgresSite, proxy: CuttingProxy) -> None:
    """A COMMIT that the network held back until its gate had gone on finds its session ended."""
    with through(proxy, site) as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        proxy.cut = Cut.STUCK
        with pytest.raises(LedgerOutage):
            ledger.append_wait(entry(2))
        until(lambda: ledger.state == "open")
        (link,) = proxy.stuck
        until(link.ended.is_set)
        with pytest.raises(OSError, match=r".*"):
            link.release()
        ledger.append_wait(entry(3))

    assert b"57P01" in link.said  # admin_shutdown
    assert ["genesis", "release", "recovery", "release"] == site.kinds()
    assert "lookup-2" not in lookups(site)


def end_sessions(site: PostgresSite) -> None:
    """What an administrator does to every session on the ledger's database."""
    site.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        f" WHERE pid != pg_backend_pid() AND datname = '{site.database}'"
    )


def test_ended_session_is_replaced(site: PostgresSite) -> None:
    """When the administrator ends every session, counts go on at once, and appends after a refusal at most."""
    with site.open() as ledger:
        ledger.append_wait(entry(1, counts=[sight(1)]))
        assert (1,) == asyncio.run(ledger.counts([sight(1)]))
        end_sessions(site)
        assert (1,) == asyncio.run(ledger.counts([sight(1)]))
        refused_or_appended(ledger, 2)
        until(lambda: ledger.state == "open")
        ledger.append_wait(entry(3))

    assert 0 == site.verify().exit_code


def test_gate_whose_shard_was_taken_meanwhile_forks_nothing(site: PostgresSite) -> None:
    """A gate that lost its session, and its shard to another gate, never writes there again."""
    with site.open(shard="front") as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        end_sessions(site)
        other: list[DurableLedger] = []

        def take() -> bool:  # the server notices the end of a session a moment later
            try:
                other.append(site.open(shard="front"))
            except LedgerOutage:
                return False
            return True

        until(take)
        with pytest.raises(LedgerOutage):
            ledger.append_wait(entry(2))
        other[0].append_wait(entry(3))
        with pytest.raises(LedgerOutage):
            ledger.append_wait(entry(4))
        other[0].close()
        until(lambda: ledger.state == "forked")

    assert ["genesis", "lookup-1", "lookup-3"] == lookups(site)
    assert 0 == site.verify().exit_code


def test_many_gates_race_for_one_shard_and_one_has_it(site: PostgresSite) -> None:
    """Of gates that open one shard at once exactly one gets it; the others are told that it is held."""
    site.open(shard="front").close()

    def opened(_: int) -> DurableLedger | str:
        try:
            return site.open(shard="front")
        except LedgerOutage as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(opened, range(8)))
    winners = [each for each in found if isinstance(each, DurableLedger)]
    for winner in winners:
        winner.close()

    assert 1 == len(winners)
    assert all("front is held" in each for each in found if isinstance(each, str))


def test_gates_begin_one_ledger_together(site: PostgresSite) -> None:
    """Gates that find an empty database at once begin one ledger, each with a shard of its own."""
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: site.open(), range(4)))
    names = {ledger.shard for ledger in ledgers}
    for ledger in ledgers:
        ledger.close()

    assert {site.shard(number) for number in range(4)} == names == set(site.sizes())
    assert 0 == site.verify().exit_code


def test_machines_begin_one_ledger_together(site: PostgresSite) -> None:
    """Of machines that find an empty database at once one begins the ledger, and all see the same."""
    waiting = [PostgresStore(Address.parse(site.url)) for _ in range(8)]
    barrier = threading.Barrier(len(waiting))

    def found(number: int) -> dict[str, bytes]:
        barrier.wait()
        return waiting[number].found({"origin": b"o", "signer": b"%d" % number})

    with ThreadPoolExecutor(len(waiting)) as pool:
        seen = list(pool.map(found, range(len(waiting))))
    for store in waiting:
        store.close()

    assert [seen[0]] * len(waiting) == seen
    assert seen[0]["signer"] in {b"%d" % number for number in range(len(waiting))}


def test_another_ledger_in_its_place_is_an_outage(
    site: PostgresSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A database exchanged for another ledger's, under a running gate, is neither written nor read as its own."""
    other = PostgresSite(tmp_path_factory.mktemp("other"), site.server)
    with other.open() as ledger:
        ledger.append_wait(entry(1))
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        before = other.sizes()
        site.server.replace(site.database, other.database)
        with pytest.raises(LedgerOutage, match="another ledger"):
            asyncio.run(ledger.counts([sight(1)]))
        assert not refused_or_appended(ledger, 2)
        until(lambda: "cannot be reopened" in ledger._writer._why)

        assert before == site.sizes()


def stores(site: PostgresSite, count: int) -> list[PostgresStore]:
    """Stores without any lock, all on one new shard."""
    found = [PostgresStore(Address.parse(site.url)) for _ in range(count)]
    found[0].enter("raced", key())
    for store in found[1:]:
        store.seek("raced")
    return found


def key() -> LogKey:
    return shard_signer(b"k" * 32, "o/raced").verifier


def batch(seen: Head, leaf: bytes) -> Batch:
    tree = Frontier.from_bytes(seen.frontier)
    tree.append(leaf_hash(leaf))
    after = Head(tree.size, tree.root(), tree.to_bytes(), seen.epoch)
    return Batch(seen, after, [Stored(leaf, leaf_hash(leaf), 1, b"n" * 12, b"sealed")], [], [(b"t" * 16, 1)])


def test_head_moves_once_whoever_commits(site: PostgresSite) -> None:
    """Without any lock: of writers that saw one head exactly one commits, and the others leave no row behind."""
    writers = stores(site, 6)
    for round_ in range(10):
        seen = writers[0].head()
        barrier = threading.Barrier(len(writers))

        def commit(number: int, seen: Head = seen, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            try:
                leaf = b"leaf %d" % number
                writers[number].commit(batch(seen, leaf), lambda _: None)
            except StoreForkedError:
                return 0
            return 1

        with ThreadPoolExecutor(len(writers)) as pool:
            assert 1 == sum(pool.map(commit, range(len(writers))))
        assert round_ + 1 == writers[0].head().size
    for writer in writers:
        writer.close()

    assert [(10, 10, 10)] == site.execute(
        "SELECT (SELECT count(*) FROM leaf), (SELECT count(*) FROM payload), (SELECT sum(n)::int FROM counter)"
    )


def test_entering_fences_off_who_came_before(site: PostgresSite) -> None:
    """Once another has entered the shard, whoever held it before commits nothing more."""
    one, two = stores(site, 2)
    seen = one.head()
    two.enter("raced", key())
    with pytest.raises(StoreForkedError):
        one.commit(batch(seen, b"late"), lambda _: None)
    one.close()
    two.close()

    assert [] == site.execute("SELECT pos FROM leaf")


def test_leaf_that_is_not_what_was_hashed_is_not_committed(site: PostgresSite) -> None:
    """What the check inside the transaction refuses leaves no row."""
    (store,) = stores(site, 1)
    seen = store.head()

    def flipped(_: object) -> None:
        raise RuntimeError("one bit is another")

    with pytest.raises(RuntimeError):
        store.commit(batch(seen, b"leaf"), flipped)
    again = store.head()
    store.close()

    assert (seen, []) == (again, site.execute("SELECT pos FROM leaf"))


def test_held_head_refuses_and_goes_on(site: PostgresSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head row locked by somebody else past the time-out is an outage without doubt: no recovery entry follows."""
    monkeypatch.setattr("purposegate.ledger.postgres_session.LOCK_WAIT_MS", 20)
    with site.open() as ledger:
        store: Any = ledger._store
        store._writer.execute("SET lock_timeout = 20")
        settled(site, ledger)
        with site.server.admin(site.database) as admin, admin.transaction():
            admin.execute("SELECT FROM head FOR UPDATE")
            with pytest.raises(LedgerOutage, match="another session"):
                ledger.append_wait(entry(1))
        ledger.append_wait(entry(2))

    assert ["genesis", "release"] == site.kinds()


def test_server_that_fails_over_to_an_older_state_is_never_continued(site: PostgresSite) -> None:
    """A standby that lagged takes over: the running gate refuses for good, the next one opens another shard."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        site.server.stop()
        older = site.server.keep_files()
        site.server.start()
        until(lambda: refused_or_appended(ledger, 2) and ledger.state == "open")
        ledger.append_wait(entry(3))
        site.server.kill()
        older()
        site.server.start()
        with pytest.raises(LedgerOutage):
            ledger.append_wait(entry(4))
        until(lambda: ledger.state == "forked")
    with site.open() as again:
        receipt = again.append_wait(entry(5))

    assert f"{site.shard(0)}.r1" == receipt.shard
    assert 1 == site.verify().exit_code
    assert "lookup-3" not in lookups(site)


def refused_or_appended(ledger: DurableLedger, number: int) -> bool:
    try:
        ledger.append_wait(entry(number))
    except LedgerOutage:
        return False
    return True


def test_restored_dump_is_never_continued(site: PostgresSite) -> None:
    """pg_dump, more entries, pg_restore: the gate opens another shard and verify names what is missing."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
    dump = site.server.home / "dump"
    at = ("--host", site.server.home, "--username", "postgres")
    site.server.run("pg_dump", *at, "--format", "custom", "--file", dump, site.database)
    with site.open() as ledger:
        ledger.append_wait(entry(2))
    with site.server.admin("postgres") as admin:
        admin.execute(f"DROP DATABASE {site.database} WITH (FORCE)".encode())
        admin.execute(f"CREATE DATABASE {site.database}".encode())
    site.server.run("pg_restore", *at, "--dbname", site.database, dump)
    with site.open() as ledger:
        receipt = ledger.append_wait(entry(3))

    assert f"{site.shard(0)}.r1" == receipt.shard
    assert [(site.shard(0), 2)] == [(each.shard, each.index) for each in site.verify().mismatches]


def reconfigure(server: PostgresServer, name: str, value: str) -> None:
    """Change a setting of the running server, and wait until sessions see it."""
    with server.admin("postgres") as admin:
        admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        admin.execute("SELECT pg_reload_conf()")

    def seen() -> bool:
        with server.admin("postgres") as admin:
            return admin.execute(f"SHOW {name}".encode()).fetchall() == [(value,)]

    until(seen)


@pytest.fixture
def configured(mortal: PostgresServer) -> Iterator[PostgresServer]:
    """The server started without settings on its command line, so that they can be changed while it runs."""
    mortal.stop()
    mortal.start(fsync=None, full_page_writes=None)
    try:
        yield mortal
    finally:
        mortal.execute("postgres", "ALTER SYSTEM RESET ALL")
        mortal.stop()
        mortal.start()


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_durability_taken_away_while_it_runs_stops_it(
    configured: PostgresServer, site: PostgresSite, name: str
) -> None:
    """A server told not to sync any more is refused at the next entry, which is not written; told to, work resumes."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        reconfigure(configured, name, "off")
        until(lambda: not refused_or_appended(ledger, 2))  # the session reads its settings between statements
        until(lambda: "cannot be reopened" in ledger._writer._why)
        size = site.sizes()
        reconfigure(configured, name, "on")
        until(lambda: ledger.state == "open")

        assert ledger.size == size[site.shard(0)] + 1
    assert 0 == site.verify().exit_code


def test_reopening_waits_until_what_it_reads_is_on_the_standby(
    configured: PostgresServer, site: PostgresSite
) -> None:
    """What a broken-off commit left visible is not taken for durable before the standby has it."""
    (store,) = stores(site, 1)
    seen = store.head()
    reconfigure(configured, "synchronous_standby_names", "nobody")
    failed: list[BaseException] = []

    def commit() -> None:
        try:
            store.commit(batch(seen, b"leaf"), lambda _: None)
        except CommitUnsureError as error:
            failed.append(error)

    for step in (commit, store.reopen):
        thread = threading.Thread(target=step)
        thread.start()
        until(lambda: waiting_for_standbys(site) == 1)
        if step == commit:
            site.execute(f"SELECT pg_cancel_backend(pid) {WAITING}")
        else:
            reconfigure(configured, "synchronous_standby_names", "")
        thread.join()
    after = store.head()
    store.close()

    assert (1, seen.size + 1) == (len(failed), after.size)


WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'purposegate writer'"


def waiting_for_standbys(site: PostgresSite) -> int:
    return len(site.execute(f"SELECT pid {WAITING}"))


def test_wait_for_a_standby_that_was_broken_off_is_no_commit(
    configured: PostgresServer, site: PostgresSite
) -> None:
    """COMMIT that warns it did not reach its standby is refused; when the standby is waived, the entry is told present."""
    with site.open() as ledger:
        ledger.append_wait(entry(1))
        settled(site, ledger)
        reconfigure(configured, "synchronous_standby_names", "nobody")
        outcome: list[BaseException] = []

        def append() -> None:
            try:
                ledger.append_wait(entry(2), timeout_s=120)
            except LedgerOutage as error:
                outcome.append(error)

        waiting = threading.Thread(target=append)
        waiting.start()
        until(lambda: bool(site.execute(f"SELECT pg_cancel_backend(pid) {WAITING}")))
        waiting.join()
        reconfigure(configured, "synchronous_standby_names", "")
        until(lambda: ledger.state == "open")

    assert ["LedgerOutage"] == [type(each).__name__ for each in outcome]
    assert [(["lookup-2"], True, "CommitUnsureError")] == [
        (each["lookups"], each["present"], each["cause"]) for each in accounts(site)
    ]
    assert 0 == site.verify().exit_code
