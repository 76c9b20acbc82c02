"""Fixtures: the shipped mapping in front of a real Datasette, and a second one that never had some people."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import datasette_people
from purposegate.protocols import Routes
from purposegate.records.cursor import Cursors
from purposegate.records.mapping import Mapping, load
from records_system import POLICIES, System

Without = Callable[..., System]


@pytest.fixture(scope="session")
def mapping() -> Mapping:
    loaded = load(POLICIES / "records.yaml")
    routes: Routes = loaded  # the seam the gate holds it by
    assert routes is loaded
    return loaded


@pytest.fixture(scope="session")
def everybody() -> list[dict[str, str]]:
    return datasette_people.people()


@pytest.fixture(scope="session")
def _database(tmp_path_factory: pytest.TempPathFactory, everybody: list[dict[str, str]]) -> Path:
    return datasette_people.build(tmp_path_factory.mktemp("all"), everybody)


@pytest.fixture
def cursors() -> Cursors:
    return Cursors(b"k" * 32, 3600)


@pytest.fixture
def system(_database: Path, mapping: Mapping, cursors: Cursors) -> System:
    """Everybody's records, served as immutable: then Datasette offers the file itself, too."""
    return System(datasette_people.app(_database, immutable=True), mapping, cursors)


@pytest.fixture(scope="session")
def without(
    tmp_path_factory: pytest.TempPathFactory, everybody: list[dict[str, str]], mapping: Mapping
) -> Without:
    """The oracle: a second real Datasette whose database never had these people."""

    @cache
    def database(*ids: str) -> Path:
        left = [person for person in everybody if person["rec_id"] not in ids]
        return datasette_people.build(tmp_path_factory.mktemp("less"), left)

    def build(*ids: str) -> System:
        return System(datasette_people.app(database(*ids)), mapping, Cursors(b"o" * 32, 3600))

    return build
