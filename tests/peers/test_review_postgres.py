"""The suite of every store of matters, on a real PostgreSQL; and approvals of a gate whose ledger is there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("review_store_suite")
from peers.postgres_server import PostgresServer  # noqa: E402  # after the line that makes its asserts speak
from peers.postgres_site import PostgresSite  # noqa: E402
from purposegate.approval import Binding  # noqa: E402
from purposegate.errors import LedgerOutage, Outage, SettingsError  # noqa: E402
from purposegate.ledger import keys  # noqa: E402
from purposegate.ledger.postgres_session import Address  # noqa: E402
from purposegate.model import Principal, RecordRef  # noqa: E402
from purposegate.review.approvals import Approvals  # noqa: E402
from purposegate.review.docket import Docket, Sealing  # noqa: E402
from purposegate.review.matters import Matter  # noqa: E402
from purposegate.review.opening import open_store  # noqa: E402
from purposegate.review.postgres_store import PostgresStore  # noqa: E402
from purposegate.review.rebuild import rebuild  # noqa: E402
from purposegate.review.reviewers import Bench  # noqa: E402
from purposegate.review.terms import Terms  # noqa: E402
from purposegate.testing import FixedFacts  # noqa: E402
from review_store_suite import *  # noqa: E402, F403
from review_store_suite import Opened, row  # noqa: E402

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened(postgres: PostgresServer) -> Iterator[Opened]:
    """Connections to one database."""
    address = Address.parse(postgres.url(postgres.database(), "gate"))
    stores: list[PostgresStore] = []

    def make() -> PostgresStore:
        stores.append(PostgresStore(address))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def test_a_database_without_the_tables_is_named(postgres: PostgresServer) -> None:
    """It says which SQL to run."""
    with pytest.raises(SettingsError, match="ledger schema"):
        PostgresStore(Address.parse(postgres.url("postgres")))


def test_a_server_that_dies_is_an_outage_and_comes_back() -> None:
    """While it is gone nothing is answered; afterwards the same store goes on."""
    server = PostgresServer()
    try:
        server.start()
        server.prepare()
        store = PostgresStore(Address.parse(server.url(server.database(), "gate")))
        store.put(row())
        server.kill()
        with pytest.raises((Outage, LedgerOutage)):
            store.get("m1")
        server.start()
        found = store.get("m1")
        store.close()
    finally:
        server.close()

    assert found is not None


class Anybody(Bench):
    """A bench on which everybody may decide."""

    def __init__(self) -> None:
        super().__init__(FixedFacts(), None)  # type: ignore[arg-type] # no catalogue is asked

    def holds_role(self, reviewer: Principal, matter: Matter) -> bool:
        return True


async def test_two_gates_on_one_server_use_an_approval_once(postgres: PostgresServer, tmp_path: Path) -> None:
    """Asked at one gate, used at the other, by eight at once: one may. The store can then be built again from the entries."""
    site = PostgresSite(tmp_path, postgres)
    binding = Binding(
        principal="E1",
        action="view",
        record=RecordRef("person", "p1"),
        purpose="a.b",
        ref="",
        originator="",
        recipient="",
        policy="d",
    )
    with site.open() as one, site.open() as two:
        stores = [open_store(site.location()) for _ in range(2)]
        sealing = Sealing(keys.load(site.key_file))
        gates = [
            Approvals(Docket(store, sealing, ledger), Terms())
            for store, ledger in zip(stores, (one, two), strict=True)
        ]
        matter = await gates[0].ask(binding, roles=(), reason="")
        assert await gates[1].decide(
            Principal(id="S1", roles=("supervisor",)), matter.id, Anybody(), approves=True, note=""
        )

        async def fits(_: str) -> bool:
            return True

        taken = await asyncio.gather(
            *(gates[n % 2].take(binding, lookup_id=f"l{n}", fits=fits) for n in range(8))
        )
        assert [matter.id] == [found.id for found in taken if found]
    reader = site.reader()
    count = rebuild(stores[0], reader, keys.load(site.key_file), Terms())
    reader.close()
    again = sealing.open(stores[1].get(matter.id))
    for store in stores:
        store.close()

    assert (1, "used") == (count, again.state if again else "")
