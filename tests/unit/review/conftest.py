from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from starlette.types import ASGIApp

from demo.force import build_records_system
from gates import Gated, World, behind, build_world, opened
from purposegate.gate import Parts


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One force for all tests."""
    return build_world(tmp_path_factory.mktemp("force"))


@pytest.fixture(scope="session")
def records_file(world: World) -> Path:
    """The database of people that Datasette serves."""
    path = world.home / "people.db"
    build_records_system(path, world.both.records.values())
    return path


@pytest.fixture(scope="session")
def records_system(records_file: Path) -> ASGIApp:
    """Datasette itself, unmodified."""
    make: Callable[..., Any] = Datasette
    app: ASGIApp = make([str(records_file)], settings={"num_sql_threads": 1}).app()
    return app


@pytest.fixture(scope="module")
async def parts(world: World, request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Parts]:
    """Real parts, one Cerbos and one ledger for each test module."""
    async with opened(world, request.module.__name__.rpartition(".")[2]) as real:
        yield real


@pytest.fixture
def gated(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    """Datasette behind a gate of its own."""
    return behind(world, records_system, parts)
