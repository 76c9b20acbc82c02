"""The suite of every store, on a real PostgreSQL."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("ledger_suite")
from ledger_suite import *  # noqa: E402, F403  # after the line that makes its asserts speak
from ledger_suite import NewSite  # noqa: E402
from peers.postgres_server import PostgresServer  # noqa: E402
from peers.postgres_site import PostgresSite  # noqa: E402


@pytest.fixture(scope="module")
def new_site(postgres: PostgresServer) -> NewSite:
    """Ledgers in databases of their own."""

    def made(folder: Path) -> PostgresSite:
        return PostgresSite(folder, postgres)

    return made
