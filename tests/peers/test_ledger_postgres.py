"""What a ledger in PostgreSQL refuses, who may do what in it, and that no secret of its URL is ever shown."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.errors import InsufficientPrivilege

from ledger_settings import settings_of, shown
from ledgers import ORIGIN, entry, sight, until
from peers.postgres_server import SCHEMA_FILES, PostgresServer
from peers.postgres_site import PostgresSite
from purposegate.application import ledger_location
from purposegate.cli.ledger import ledger as command
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.index import Criteria, Index
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.postgres_store import PostgresStore
from purposegate.ledger.reading import show
from purposegate.ledger.terms import Found, Term
from purposegate.ledger.verdict import Evidence

SECRET = "hunter2-never-shown"
READING = ("--as", "psd-7", "--purpose", "audit.psd", "--reason", "Looking into lookups of one record")


@pytest.fixture
def site(postgres: PostgresServer, tmp_path: Path) -> PostgresSite:
    return PostgresSite(tmp_path, postgres)


@pytest.fixture
def written(site: PostgresSite) -> PostgresSite:
    """A ledger of four entries, closed."""
    with site.open() as ledger:
        for number in range(3):
            ledger.append_wait(entry(number))
    return site


# Databases and servers that are not fit


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["DROP SCHEMA purposegate_ledger CASCADE"], "no ledger in this database"),
        (["DROP TABLE meta"], "no ledger in this database"),
        (["DROP TABLE meta", "CREATE TABLE meta (id int)"], "not a ledger's"),
        (["DROP TABLE meta", "CREATE TABLE meta (name text, value int)", "INSERT INTO meta VALUES ('a', 1)"], "not a ledger's"),
        (["UPDATE meta SET value = 'other' WHERE name = 'application'"], "not a ledger's"),
        (["DELETE FROM meta"], "not a ledger's"),
        (["UPDATE meta SET value = '2' WHERE name = 'schema'"], "another schema"),
    ],
)  # fmt: skip
def test_foreign_database_is_refused_unchanged(
    site: PostgresSite, statements: list[str], message: str
) -> None:
    """Another program's database and a later release's: refused, nothing made there nor beside it."""
    site.execute(*statements, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
    site.execute(
        "DO $$ BEGIN IF to_regclass('purposegate_ledger.meta') IS NOT NULL THEN"
        " GRANT SELECT ON purposegate_ledger.meta TO purposegate_app; END IF; END $$"
    )
    before = contents(site)
    with pytest.raises(SettingsError, match=message):
        site.open()

    assert before == contents(site)
    assert [] == list(site.folder.iterdir())


def contents(site: PostgresSite) -> str:
    dump = site.server.home / "dump.sql"
    at = ("--host", site.server.home, "--username", "postgres")
    site.server.run("pg_dump", *at, "--file", dump, site.database)
    lines = dump.read_text().splitlines()
    return "\n".join(line for line in lines if "restrict" not in line)  # a word drawn anew for each dump


def test_database_that_is_not_there_is_an_outage(site: PostgresSite) -> None:
    """A name that the server does not know, and a server that does not answer, are told apart from a wrong ledger."""
    with pytest.raises(LedgerOutage, match="no connection"):
        site.open(url=site.server.url("nowhere", "gate"))
    with pytest.raises(LedgerOutage, match="no connection"):
        site.open(url=f"postgresql://gate@/ledger?host={site.folder}")


@pytest.fixture
def unfit() -> Iterator[PostgresServer]:
    """A server to be started with bad settings."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.close()


def test_server_that_loses_what_it_acknowledged_is_refused(unfit: PostgresServer, tmp_path: Path) -> None:
    """With fsync or full_page_writes off, or syncs tried again, the gate does not start; nor on a standby."""
    site = PostgresSite(tmp_path, unfit)
    for name, value in (("fsync", "off"), ("full_page_writes", "off"), ("data_sync_retry", "on")):
        unfit.stop()
        unfit.start(**{name: value})
        with pytest.raises(LedgerOutage, match=f"{name} = {value}"):
            site.open()
    unfit.stop()
    unfit.start()
    with site.open() as ledger:
        ledger.append_wait(entry(1))
    standby = PostgresServer(unfit)
    try:
        standby.start()
        copy = PostgresSite(tmp_path, standby, site.database)
        with pytest.raises(LedgerOutage, match=r"no connection|read-only"):
            copy.open()
        with pytest.raises(LedgerOutage, match="read-only"):
            copy.open(url=copy.url + "&target_session_attrs=any")
        until(lambda: copy.sizes() == {site.shard(0): 2})

        assert 0 == copy.verify().exit_code
    finally:
        standby.close()


@pytest.mark.parametrize("where", ["role", "database", "url"])
def test_commits_are_durable_whatever_the_defaults_are(site: PostgresSite, where: str) -> None:
    """A role, a database or a URL that turns synchronous_commit off changes nothing for the writer."""
    url = site.url
    if where == "role":
        site.execute(f"ALTER ROLE gate IN DATABASE {site.database} SET synchronous_commit = off")
    elif where == "database":
        site.execute(f"ALTER DATABASE {site.database} SET synchronous_commit = off")
    else:
        url += "&options=-csynchronous_commit%3Doff"
    store = PostgresStore(Address.parse(url))
    shown = store._writer.execute("SHOW synchronous_commit").fetchall()
    store.close()

    assert [("on",)] == shown


def test_stronger_commits_stay(site: PostgresSite) -> None:
    """remote_apply, which waits for more, is not weakened."""
    site.execute(f"ALTER DATABASE {site.database} SET synchronous_commit = remote_apply")
    store = PostgresStore(Address.parse(site.url))
    shown = store._writer.execute("SHOW synchronous_commit").fetchall()
    store.close()

    assert [("remote_apply",)] == shown


def test_damaged_page_names_where_it_begins(unfit: PostgresServer, tmp_path: Path) -> None:
    """A page that the disk changed is told by the server's checksum, as tampering, with the first entry that cannot be read."""
    site = PostgresSite(tmp_path / "own", unfit)
    site.folder.mkdir()
    with site.open() as ledger:
        for number in range(60):
            ledger.append_wait(entry(number))
    site.execute("CHECKPOINT")
    ((where,),) = site.execute("SELECT pg_relation_filepath('leaf')")
    unfit.stop()
    file = unfit.files / where
    raw = bytearray(file.read_bytes())
    raw[8192 + 4000] ^= 1  # in the second page
    file.write_bytes(raw)
    unfit.start()
    report = site.verify()
    first = report.mismatches[0].index

    assert 1 == report.exit_code
    assert first is not None
    assert 0 < first < 60


# Who may do what


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("gate", "UPDATE leaf SET h = h"),
        ("gate", "DELETE FROM leaf"),
        ("gate", "TRUNCATE leaf"),
        ("gate", "UPDATE payload SET ct = ct"),
        ("gate", "DELETE FROM payload"),
        ("gate", "UPDATE meta SET value = value"),
        ("gate", "DELETE FROM counter"),
        ("gate", "UPDATE head SET shard = shard"),
        ("gate", "DELETE FROM head"),
        ("gate", "UPDATE shard SET vkey = vkey"),
        ("gate", "UPDATE tile SET data = data"),
        ("gate", "ALTER TABLE leaf DISABLE TRIGGER ALL"),
        ("gate", "DROP TABLE leaf"),
        ("gate", "SET session_replication_role = replica"),
        ("gate", "CREATE TABLE purposegate_ledger.mine (id int)"),
        ("auditor", "INSERT INTO leaf VALUES (1, 'x', 'x')"),
        ("auditor", "UPDATE head SET size = size"),
        ("auditor", "DELETE FROM payload"),
        ("retention", "INSERT INTO leaf VALUES (1, 'x', 'x')"),
        ("retention", "DELETE FROM leaf"),
        ("retention", "UPDATE payload SET ct = ct"),
        ("retention", "UPDATE head SET size = size"),
        ("nobody", "SELECT FROM purposegate_ledger.leaf"),
    ],
)
def test_roles_may_not(written: PostgresSite, role: str, statement: str) -> None:
    """Each role can do its work and nothing else."""
    with as_role(written, role) as session, pytest.raises(InsufficientPrivilege):
        session.execute(statement.encode())


def as_role(site: PostgresSite, role: str) -> psycopg.Connection[Any]:
    if role in {"retention", "nobody"}:
        site.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; END IF; END $$",
            "GRANT purposegate_retention TO retention" if role == "retention" else "SELECT",
        )
    session = psycopg.connect(site.server.url(site.database, role), autocommit=True)
    session.execute("SET search_path = purposegate_ledger")
    return session


def test_owner_is_stopped_by_triggers_only_from_accidents(written: PostgresSite) -> None:
    """Truncating is stopped too, even for the owner, until he takes the triggers away."""
    for table in ("leaf", "tile"):
        with pytest.raises(InsufficientPrivilege, match="append-only"):
            written.execute(f"TRUNCATE {table}", guarded=True)


def test_readers_are_bounded_and_change_nothing(written: PostgresSite) -> None:
    """People's sessions have a time limit on each statement and are read-only; so has the gate's own reading."""
    reader = written.reader()
    found = reader._db.execute("SHOW statement_timeout").fetchall()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader._db.execute("CREATE TEMPORARY TABLE x (id int)")
    reader.close()
    with written.open() as ledger:
        asyncio.run(ledger.counts([sight(1)]))
        store: Any = ledger._store
        own = store._reader.execute("SHOW statement_timeout").fetchall()

    assert ([("1min",)], [("5s",)]) == (found, own)


# Addresses


def test_wrong_password_is_an_outage_that_shows_nothing(unfit: PostgresServer, tmp_path: Path) -> None:
    """A password that the server refuses is told as a missing connection."""
    site = PostgresSite(tmp_path, unfit)
    unfit.execute("postgres", f"ALTER ROLE gate PASSWORD '{SECRET}'")
    rules = unfit.files / "pg_hba.conf"
    rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    unfit.execute("postgres", "SELECT pg_reload_conf()")
    wrong, right = (site.url.replace("gate@", f"gate:{word}@") for word in (SECRET + "x", SECRET))

    def refused() -> bool:  # the server reads its rules a moment later
        try:
            site.open(url=wrong).close()
        except LedgerOutage as error:
            return SECRET not in shown(error)
        return False

    until(refused)
    with site.open(url=right) as ledger:
        assert SECRET not in repr(ledger._store) + repr(vars(ledger._store)["address"]) + str(ledger.origin)


# The command line and the settings


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def test_commands_read_a_database(written: PostgresSite, tmp_path_factory: pytest.TempPathFactory) -> None:
    """verify, status, query, export and prove take a URL where they take a file."""
    url, keys_ = written.url, ("--keys", written.key_file)
    out = tmp_path_factory.mktemp("out")
    verified = run("verify", url, *keys_)
    queried = run("query", url, *keys_, "--principal", "pc-42", "--format", "json", *READING)
    again = run("query", url, *keys_, "--kind", "reading", "--format", "json", *READING)
    status = run("status", url, *keys_)
    exported = run("export", url, out / "tiles")
    proved = run("prove", url, f"{written.shard(0)}/2", *keys_)

    assert [0, 0, 0, 0, 0, 0] == [
        each.exit_code for each in (verified, queried, again, status, exported, proved)
    ]
    assert f"intact: {written.shard(0)}: 4 entries" in verified.stdout
    assert ["lookup-2", "lookup-1", "lookup-0"] == [
        word for word in queried.stdout.split('"') if word.startswith("lookup-")
    ]
    assert '"audit.psd"' in again.stdout
    assert "nobody writes" in status.stdout
    assert 0 == run("verify", out / "tiles").exit_code
    assert '"purposegate_proof": 1' in proved.stdout


def test_status_says_who_writes(written: PostgresSite) -> None:
    """A shard that a gate holds, on whichever machine, is told as being written."""
    with written.open():
        status = run("status", written.server.url(written.database, "auditor"))

    assert "being written" in status.stdout


def test_leaves_need_no_key(written: PostgresSite) -> None:
    """Without a key file the leaves are decided, and the payloads are not."""
    assert 0 == run("verify", written.url, "--leaves-only").exit_code
    assert 2 == run("verify", written.url).exit_code


def test_command_line_refuses_passwords(written: PostgresSite) -> None:
    """A password among the words of a command is seen by everybody on the machine."""
    result = run("verify", written.url.replace("gate@", f"gate:{SECRET}@"), "--keys", written.key_file)

    assert 2 == result.exit_code
    assert "mode 0600" in result.stderr
    assert SECRET not in result.output


def test_unreachable_server_decides_nothing(written: PostgresSite) -> None:
    """A server that does not answer is neither intact nor tampered: exit code 2."""
    assert (
        2
        == run("verify", f"postgresql://gate@/x?host={written.folder}", "--keys", written.key_file).exit_code
    )


def test_server_that_ends_the_session_decides_nothing(written: PostgresSite) -> None:
    """A session that ends half-way through is an outage, not a finding."""

    def end(_done: int, _total: int) -> None:
        written.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'purposegate auditor'"
            f" AND datname = '{written.database}'"
        )

    with pytest.raises(LedgerOutage):
        written.verify(progress=end)


def test_index_is_derived_from_a_database(written: PostgresSite) -> None:
    """The search index, a file of the reader's own, finds entries by what they hold, and compares as equal."""
    reader = written.reader()
    ring = keys.load(written.key_file)
    index = Index(written.folder / "index", reader, ring)
    indexed = index.catch_up()
    hits = index.search(Criteria(terms=[Found(Term.PRINCIPAL, ("pc-42",))]))
    found = show(reader, ring, hits)
    reader.hold()
    differences = index.compare(written.folder / "twin")
    index.close()
    reader.close()

    assert 4 == indexed
    assert ["lookup-2", "lookup-1", "lookup-0"] == [each.leaf.lookup_id for each in found]
    assert [] == differences


def test_erasing_takes_payloads_and_what_they_counted(written: PostgresSite) -> None:
    """The role of retention deletes payloads with their counts; the gates' role is refused, and nothing is gone."""
    as_role(written, "retention").close()
    url = written.server.url(written.database, "retention")
    location = written.location()
    token = keys.load(written.key_file).token(sight(1))
    with pytest.raises(LedgerOutage, match="still there"):
        location.erase([(1 << 40) + 2], {(token, 1): 1})
    before = written.verify().exit_code
    emptied = written.location(url).erase([(1 << 40) + 2], {(token, 1): 1})
    report = written.verify()

    assert (0, False) == (before, emptied)
    assert [(2, "the payload is missing")] == [(each.index, each.what) for each in report.mismatches]


def test_settings_open_a_database(written: PostgresSite) -> None:
    """`ledger.url`, and `ledger.url_file` with a password in it, lead to the ledger; the password is in no repr."""
    file = written.folder / "url"
    file.touch(0o600)
    file.write_text(written.url.replace("gate@", f"gate:{SECRET}@") + "\n")
    for where in (f"  url: {written.url}\n", "  url_file: url\n"):
        found = settings_of(written.folder, f"{where}  origin: {ORIGIN}\n  key_file: {written.key_file}\n")
        with ledger_location(found).open(origin=found.origin) as ledger:
            assert written.shard(0) == ledger.shard
        assert SECRET not in repr(found) + repr(ledger_location(found))


# Machines


def test_each_machine_writes_logs_of_its_own(
    written: PostgresSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A second machine with copies of the key files writes other shards of the same ledger, and counts unite them."""
    folder = tmp_path_factory.mktemp("second")
    for file in (written.key_file, written.signer_file):
        shutil.copy(file, folder / file.name)
    second = PostgresSite(folder, written.server, written.database)
    with second.open() as there, written.open() as here:
        there.append_wait(entry(1))
        here.append_wait(entry(1))
        counted = asyncio.run(here.counts([sight(1)]))

    assert (3,) == counted
    assert {written.shard(0), second.shard(0)} == set(written.sizes())
    assert written.shard(0) != second.shard(0)
    assert [0, 0] == [each.verify().exit_code for each in (written, second)]


def test_damaged_place_is_refused(written: PostgresSite) -> None:
    """A place that is no name stops the start instead of beginning shards under another."""
    place = written.signer_file.with_name(written.signer_file.name + ".place")
    place.write_text("")

    with pytest.raises(SettingsError, match="restore"):
        written.open()


def test_schema_command_prints_what_the_tests_ran(written: PostgresSite) -> None:
    """The SQL that administrators are told to run is the one that every test here stands on."""
    assert "".join(file.read_text() for file in SCHEMA_FILES) == run("schema").stdout
    assert 0 == written.verify(Evidence()).exit_code
