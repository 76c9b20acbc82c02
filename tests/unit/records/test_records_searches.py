"""Any search that the mapping accepts, against a real Datasette and one that never had the withheld people."""

import asyncio
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datasette_people
from purposegate.errors import AnswerOutage, RouteRefused
from records_system import System

WITHHELD = tuple(f"rec-{number}-dup-0" for number in range(1000, 1060, 3))
EVERYBODY = {person["rec_id"]: person for person in datasette_people.people()}
COLUMNS = datasette_people.COLUMNS
OPERATORS = ["", "__exact", "__not", "__contains", "__endswith", "__startswith", "__gt", "__gte", "__lt", "__lte", "__like",
             "__notlike", "__glob", "__in", "__notin", "__isnull", "__notblank"]  # fmt: skip

WORDS = st.sampled_from(
    [text for record_id in WITHHELD[:6] for text in EVERYBODY[record_id].values() if text]
)
VALUES = st.one_of(
    WORDS, WORDS.map(lambda word: f"%{word[:2]}%"), WORDS.map(lambda word: f"{word[:1]}*"), st.just("1")
)
CRITERIA = st.tuples(st.sampled_from(COLUMNS), st.sampled_from(OPERATORS), VALUES).map(
    lambda drawn: (drawn[0] + drawn[1], drawn[2])
)
REST = st.one_of(
    st.tuples(st.just("_search"), VALUES),
    st.tuples(st.sampled_from(COLUMNS[1:]).map("_search_{}".format), VALUES),
    st.tuples(st.sampled_from(["_sort", "_sort_desc"]), st.sampled_from(COLUMNS)),
    st.tuples(st.just("_shape"), st.sampled_from(["arrays", "objects"])),
)
# Near the withheld people: elsewhere in 5,000 records nothing could go wrong.
NEAR = st.just(("rec_id__startswith", "rec-10"))
QUERIES = st.tuples(st.lists(st.one_of(CRITERIA, REST), max_size=3), NEAR, st.integers(1, 9)).map(
    lambda drawn: urlencode([*drawn[0], drawn[1], ("_size", str(drawn[2]))])
)


@pytest.fixture
def run() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def told(system: System, address: str) -> list[bytes] | str:
    """The first three pages less their cursors; or that there is an outage or refusal."""
    try:
        found, pages = await system.open(address), []
        for _ in range(3):
            pages.append(found.body.replace(found.cursor.encode(), b"CURSOR") if found.cursor else found.body)
            if not found.cursor:
                break
            found = await system.open(f"{address}&_next={found.cursor}")
    except (AnswerOutage, RouteRefused) as fault:
        return f"{fault.reason} {fault.detail}"
    return pages


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(query=QUERIES, form=st.sampled_from([".json", ""]))
def test_any_search_tells_what_a_database_without_the_people_would(
    system: System, without: Callable[..., System], run: asyncio.Runner, query: str, form: str
) -> None:
    """Whatever is searched for, sorted by and paged through: byte for byte the answer of a database that lacks them."""
    address = f"/people/person{form}?{query}"
    oracle = without(*WITHHELD)

    assert run.run(told(oracle, address)) == run.run(told(system.less(*WITHHELD), address))
