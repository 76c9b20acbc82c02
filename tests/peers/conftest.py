"""What the tests against other projects' programs share."""

from collections.abc import Iterator

import pytest

from peers.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server with the template of ledgers. Tests that kill it start one of their own."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.close()
