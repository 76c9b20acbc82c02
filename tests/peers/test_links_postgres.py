"""Links on a real PostgreSQL: the same answers as from a file, a generation swapped under readers, and a server killed."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from force_files import NOW
from link_worlds import explain, link, store, template
from peers.postgres_server import PostgresServer
from purposegate.errors import FactsOutage, SettingsError
from purposegate.facts.explanations import Explanations
from purposegate.facts.links import MOST_LINKS_OF_A_NODE, Link
from purposegate.facts.links_postgres import PostgresSource, write_postgres
from purposegate.facts.links_reading import LinkFeed
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

CASE = template("case", "principal -assigned-> case -involves-> record")
KEEPER = template("keeper", "principal -assigned-> case -involves-> person -keeps-> record:vehicle")
LATE = template("late", "principal -dispatched-> incident -involves-> record", within=0.5)
ALL = Explanations((CASE, KEEPER, LATE), assigned=("assigned", "dispatched"), reopened_for=2 * 86_400)
LINKS = [
    link("staff:E1 -assigned-> case:C1"),
    link("case:C1 -involves-> person:77"),
    link("person:77 -keeps-> vehicle:V1"),
]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An empty database of its own."""
    return postgres.url(postgres.database("template0"))


@pytest.fixture
async def source(url: str) -> AsyncIterator[PostgresSource]:
    found = PostgresSource(url, deadline_s=10)
    yield found
    await found.aclose()


async def _explained(source: PostgresSource, *records: str) -> list[tuple[str, ...]]:
    view = await source.view("E1", NOW)
    return [one.explained_by for one in await explain([view], ALL, *(records or ("person:77",)))]


async def test_what_was_written_explains(url: str, source: PostgresSource) -> None:
    """Links, their number, when they were true and what they were."""
    count = write_postgres(url, LinkFeed([*LINKS, *LINKS], NOW - timedelta(hours=3)))
    found = await _explained(source, "person:77", "vehicle:V1", "person:78")
    view = await source.view("E1", NOW)

    assert (3, [("case",), ("keeper",), ()], NOW - timedelta(hours=3), 64) == (
        count,
        found,
        view.as_of,
        len(source.digest),
    )


THINGS = ("staff:E1", "case:C1", "case:C2", "incident:I1", "person:1", "vehicle:V")
moments = st.one_of(st.none(), st.integers(-3, 3))


@st.composite
def _links(draw: st.DrawFn) -> Link:
    relation = draw(st.sampled_from(["assigned", "involves", "keeps", "dispatched", "updated"]))
    source, target = draw(st.sampled_from(THINGS)), draw(st.sampled_from(THINGS))
    start, end = draw(moments), draw(moments)
    if start is not None and end is not None and start >= end:
        start, end = end, start + 1
    return link(f"{source} -{relation}-> {target}", start, end)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.lists(_links(), max_size=12))
async def test_both_stores_say_the_same(url: str, links: Sequence[Link]) -> None:
    """Whatever the links: what explains, what is over, and who last worked."""
    write_postgres(url, LinkFeed(links, NOW))
    there = PostgresSource(url, deadline_s=10)
    records = ("person:1", "vehicle:V", "case:C1")
    view = await there.view("E1", NOW)

    assert await explain([store(links)], ALL, *records) == await explain([view], ALL, *records)
    await there.aclose()


async def test_a_crossroads_explains_nothing(url: str, source: PostgresSource) -> None:
    """The bound is each node's, however many are asked for at once."""
    crowd = [link(f"case:X{number} -involves-> person:77") for number in range(MOST_LINKS_OF_A_NODE + 1)]
    write_postgres(url, LinkFeed([*LINKS, *crowd, link("case:C1 -involves-> person:88")], NOW))

    assert [(), ("case",)] == await _explained(source, "person:77", "person:88")


async def test_a_new_generation_is_taken_while_reading(url: str, source: PostgresSource) -> None:
    """Readers in the middle of it see the old links or the new, and never neither."""
    write_postgres(url, LinkFeed(LINKS, NOW))
    seen: list[tuple[str, ...]] = []
    stop = asyncio.Event()

    async def read() -> None:
        while not stop.is_set():
            seen.extend(await _explained(source))

    reading = [asyncio.create_task(read()) for _ in range(3)]
    first = source.digest
    for number in range(4):
        extra = [link(f"case:Z{number} -involves-> person:99")]
        await asyncio.to_thread(write_postgres, url, LinkFeed([*LINKS, *extra], NOW))
    stop.set()
    await asyncio.gather(*reading)

    assert (set(seen), "") == ({("case",)}, await source.refresh())
    assert first != source.digest


def _failing() -> Iterator[Link]:
    yield link("staff:E2 -assigned-> case:C1")
    raise SettingsError("line 2")


async def test_a_feed_that_fails_changes_nothing(url: str, source: PostgresSource) -> None:
    """What was there stays, whole."""
    write_postgres(url, LinkFeed(LINKS, NOW))
    with pytest.raises(SettingsError, match="line 2"):
        write_postgres(url, LinkFeed(_failing(), NOW))

    assert [("case",)] == await _explained(source)


async def test_an_empty_database_is_an_outage(source: PostgresSource) -> None:
    """No links were ever imported: that is not knowing, and not an empty list."""
    with pytest.raises(FactsOutage) as outage:
        await _explained(source)
    assert Reason.FACTS_UNAVAILABLE == outage.value.reason


async def test_another_release_is_an_outage(url: str, source: PostgresSource) -> None:
    """Its tables may mean something else."""
    write_postgres(url, LinkFeed(LINKS, NOW))
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE purposegate_links.made SET version = 2")

    with pytest.raises(FactsOutage, match="release"):
        await _explained(source)


async def test_a_killed_server_is_missed_and_found_again() -> None:
    """An outage at once while it is gone, and none once it is back, on connections of its own."""
    server = PostgresServer()
    try:
        server.start()
        url = server.url("postgres")
        write_postgres(url, LinkFeed(LINKS, NOW))
        source = PostgresSource(url, deadline_s=10)
        before = await asyncio.gather(*(_explained(source) for _ in range(8)))
        server.kill()
        for _ in range(3):
            with pytest.raises(FactsOutage) as outage:
                await _explained(source)
            assert Reason.FACTS_UNAVAILABLE == outage.value.reason
        fault = await source.refresh()
        server.start()

        assert ([[("case",)]] * 8, True, [("case",)]) == (before, bool(fault), await _explained(source))
        await source.aclose()
    finally:
        server.close()


async def test_a_slow_server_is_not_waited_for(url: str) -> None:
    """Past the deadline the lookup is told; whoever holds the table then lets go, and all is well."""
    write_postgres(url, LinkFeed(LINKS, NOW))
    source = PostgresSource(url, deadline_s=0.3)
    patient = PostgresSource(url, deadline_s=10)
    await source.view("E1", NOW)
    with psycopg.connect(url) as db:
        db.execute("LOCK TABLE purposegate_links.edge IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(FactsOutage, match=r"0\.3 s"):
            await _explained(source)

    assert [("case",)] == await _explained(patient)
    await source.aclose()
    await patient.aclose()


def test_a_server_that_is_not_there_is_said() -> None:
    """To whoever imports, without the URL."""
    with pytest.raises(SettingsError) as refused:
        write_postgres("postgresql://someone:secret@127.0.0.1:1/none", LinkFeed(LINKS, NOW))

    assert "secret" not in str(refused.value)
