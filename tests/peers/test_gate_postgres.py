"""Whole gates on one ledger in PostgreSQL: what they count together, and what they do while its server is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from ruamel.yaml import YAML
from starlette.types import ASGIApp

from demo.force import build_records_system
from demo.walk import FULL, declare
from gates import Gated, World, behind, build_world
from ledgers import ORIGIN, until
from peers.postgres_server import PostgresServer
from peers.postgres_site import PostgresSite
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.gate import Parts

pytestmark = pytest.mark.anyio
OWEN: dict[str, Any] = {
    "who": "T1004",
    "roles": ("Paralegal",),
    "declared": declare("prosecute.casefile", "CR/1042/26", FULL),
}
ALLOWED = 3
"""Views of one record that the shipped policies let somebody new in post have under a reference of their own."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("force"))


@pytest.fixture(scope="module")
def records_system(world: World) -> ASGIApp:
    path = world.home / "people.db"
    build_records_system(path, world.both.records.values())
    make: Callable[..., Any] = Datasette
    app: ASGIApp = make([str(path)], settings={"num_sql_threads": 1}).app()
    return app


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PostgresSite]:
    """A database on a server that the test may kill."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        yield PostgresSite(tmp_path, server)
    finally:
        server.close()


@asynccontextmanager
async def opened(world: World, site: PostgresSite, name: str) -> AsyncIterator[Parts]:
    """Real parts from real settings, their ledger in the database."""
    path = world.settings(f"{name}.yaml")
    yaml = YAML()
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["ledger"] = {"url": site.url, "origin": ORIGIN, "key_file": str(site.key_file)}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    async with Application(settings_file.load(path)) as parts:
        yield parts


async def statuses(gated: Gated, path: str, count: int) -> list[int]:
    return [(await gated.ask(path, **OWEN)).status_code for _ in range(count)]


async def test_gates_count_together(world: World, records_system: ASGIApp, site: PostgresSite) -> None:
    """Asked in turn, two gates let through what one would; at once, at most one more for each lookup in flight elsewhere."""
    in_turn, at_once = (world.path(person) for person in list(world.both.records)[600:602])
    async with opened(world, site, "one") as one, opened(world, site, "two") as two:
        gates = [behind(world, records_system, parts, refusals_per_minute=1000) for parts in (one, two)]
        turns = [(await gates[turn % 2].ask(in_turn, **OWEN)).status_code for turn in range(ALLOWED + 2)]
        found = await asyncio.gather(*(statuses(gated, at_once, 12) for gated in gates))
        released = sum(status == 200 for each in found for status in each)

    assert [200] * ALLOWED + [403] * 2 == turns
    assert ALLOWED <= released <= ALLOWED + 1
    assert {200, 403} == {status for each in found for status in each}
    assert 0 == site.verify().exit_code


async def test_nothing_is_released_while_the_server_is_gone(
    world: World, records_system: ASGIApp, site: PostgresSite
) -> None:
    """With the ledger's server killed every lookup is 503; once it is back they are answered again, and all is on record."""
    path = world.path(list(world.both.records)[700])
    async with opened(world, site, "gone") as parts:
        gated = behind(world, records_system, parts)
        before = await statuses(gated, path, 1)
        site.server.kill()
        meanwhile = await statuses(gated, path, 3)
        site.server.start()
        ledger: Any = parts.ledger
        await asyncio.to_thread(until, lambda: ledger.state == "open")
        after = await statuses(gated, path, 1)

    assert ([200], [503] * 3, [200]) == (before, meanwhile, after)
    assert 2 == site.kinds().count("release")
    assert 0 == site.verify().exit_code
