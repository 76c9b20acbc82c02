"""Sessions in PostgreSQL: the same store, shared by gates of several machines, with the server really killed."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from peers.postgres_server import PostgresServer
from purposegate.declared_ahead import open_store
from purposegate.errors import Outage, SettingsError
from purposegate.ledger.postgres import PostgresLocation
from purposegate.model import Declaration
from purposegate.purposes.session import Row, Seals, Session, Store

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
SEALS = Seals(bytes(range(32)))
SESSION = Session(
    id="s1",
    principal="T1001",
    login="login-1",
    declaration=Declaration(purpose="investigate.crime", ref="CR/1042/26", reason="Witness statement"),
    named="",
    declared_at=NOW,
    expires_at=NOW + timedelta(hours=8),
)


def row(number: int, *, owner: str = "T1001", until: int = AT + 60) -> Row:
    _, made = SEALS.made(replace(SESSION, id=f"s{number}", principal=owner))
    return made._replace(expires_at=until)


def opened(url: str, folder: Path) -> Store:
    return open_store(PostgresLocation.of(url, folder / "l.keys"))


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url(postgres.database(), "gate")


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    made = opened(url, tmp_path)
    yield made
    made.close()


def test_the_store_finds_ends_and_forgets(store: Store) -> None:
    """As in SQLite: by token; by owner, live ones only; ended by its owner alone; expired ones go."""
    mine, theirs, old = row(1), row(2, owner="T1002"), row(3, until=AT - 1)
    for one in (old, mine, theirs):
        assert store.put(one, now=AT - 10, most=5)

    assert (mine, None) == (store.get(mine.token), store.get(bytes(32)))
    assert SESSION == SEALS.opened(mine)
    assert (mine,) == store.held_by(mine.owner, now=AT)
    assert (False, True, False) == tuple(
        store.end("s1", who) for who in (theirs.owner, mine.owner, mine.owner)
    )
    assert store.get(mine.token) is None
    assert store.put(row(4), now=AT, most=5)
    assert store.get(old.token) is None


def test_two_gates_share_one_limit(url: str, tmp_path: Path) -> None:
    """What one puts the other sees, and both together hold an owner to the limit, also at the same moment."""
    stores = [opened(url, tmp_path) for _ in range(2)]
    kept: list[bool] = []
    threads = [
        threading.Thread(target=lambda store=store, one=one: kept.append(store.put(one, now=AT, most=4)))
        for store, one in zip(stores * 6, [row(number) for number in range(12)], strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False] * 8 + [True] * 4 == sorted(kept)
    assert stores[0].held_by(row(0).owner, now=AT) == stores[1].held_by(row(0).owner, now=AT)
    for store in stores:
        store.close()


def test_a_database_without_the_table_says_what_to_run(postgres: PostgresServer, tmp_path: Path) -> None:
    """An older database: named, with the command that prints what is missing."""
    database = postgres.database()
    postgres.execute(database, "DROP SCHEMA purposegate_declarations CASCADE")

    with pytest.raises(SettingsError, match="purposegate ledger schema"):
        opened(postgres.url(database, "gate"), tmp_path)


def test_auditors_cannot_read_sessions(postgres: PostgresServer) -> None:
    """They are nobody's evidence: the role that reads the ledger has no right to them."""
    address = postgres.url(postgres.database(), "auditor")

    with psycopg.connect(address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM purposegate_declarations.session")


def test_a_killed_server_is_an_outage_and_no_more(tmp_path: Path) -> None:
    """Killed, every question is an outage with its reason; started again, what was put is there."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        store = opened(server.url(server.database(), "gate"), tmp_path)
        one = row(1)
        assert store.put(one, now=AT, most=5)
        server.kill()
        asked: list[Any] = [
            lambda: store.get(one.token),
            lambda: store.put(row(2), now=AT, most=5),
            lambda: store.held_by(one.owner, now=AT),
            lambda: store.end(one.id, one.owner),
        ]
        for ask in asked:
            with pytest.raises(Outage, match="facts-unavailable"):
                ask()
        server.start()

        assert one == store.get(one.token)
        store.close()
    finally:
        server.close()
