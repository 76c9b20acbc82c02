"""`ForceFacts` with a source of links: what it tells the gate, and what it does when the source is old or gone."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from force_files import NOW, POLICIES, lookup, row, write_force
from link_worlds import generation, link
from links_endpoint import Endpoint, endpoint
from purposegate.errors import FactsOutage
from purposegate.facts import ForceFacts
from purposegate.facts.http_source import HttpSource
from purposegate.facts.links import Link, LinkSource
from purposegate.facts.links_sqlite import SqliteSource
from purposegate.model import Counted, CountKey, RecordFacts
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

REF = "CR/1/26"
OPEN = [{"ref": REF, "kind": "case", "state": "open"}]


async def nothing_yet(keys: Sequence[CountKey]) -> Sequence[Counted]:
    return [Counted(0)] * len(keys)


async def _facts(tmp_path: Path, *links: LinkSource, **work: list[dict[str, str]]) -> ForceFacts:
    return await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=POLICIES / "facts.yaml",
        paths=write_force(tmp_path, references=OPEN, **work),
        counts=nothing_yet,
        clock=lambda: NOW,
        links=links,
    )


def _file(tmp_path: Path, *links: Link, hours: float = 1) -> SqliteSource:
    return SqliteSource(generation(tmp_path / "links.db", links, as_of=NOW - timedelta(hours=hours)))


async def _about(
    facts: ForceFacts, *records: str, ref: str = REF, kind: str = "person"
) -> tuple[RecordFacts, ...]:
    return await facts.about_records(lookup(ref=ref), [row(record=one, kind=kind) for one in records])


async def test_links_and_files_are_one(tmp_path: Path) -> None:
    """The assignment from the file, what the case involves from the links; and the keeper's vehicle behind it."""
    links = [link("case:CR/1/26 -involves-> person:77"), link("person:77 -keeps-> vehicle:V1")]
    facts = await _facts(tmp_path, _file(tmp_path, *links), assignments=[{"ref": REF, "staff_id": "E1"}])

    assert [("assigned-case",), ()] == [one.explained_by for one in await _about(facts, "77", "V1")]
    assert [("keeper",)] == [one.explained_by for one in await _about(facts, "V1", kind="vehicle")]


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], "open"),
        (["staff:E1 -assigned-> case:CR/1/26"], "assigned"),
        (["staff:E1 -tasked-> case:CR/1/26"], "assigned"),
        (["staff:E1 -updated-> case:CR/1/26"], "open"),
        (["staff:E1 -assigned-> operation:CR/1/26"], "open"),
    ],
)
async def test_a_link_may_assign_the_declared_reference(
    tmp_path: Path, links: list[str], expected: str
) -> None:
    """By the kind that the force has the reference under."""
    facts = await _facts(tmp_path, _file(tmp_path, *map(link, links)))

    assert expected == (await facts.about_lookup(lookup(ref=REF))).ref_state


@pytest.mark.parametrize(("written", "expected"), [(None, "ended"), (-6, "ended"), (-2, "assigned")])
async def test_an_assignment_that_is_over(tmp_path: Path, written: float | None, expected: str) -> None:
    """`ended`, unless something was written after its recorded end."""
    links = [link("staff:E1 -assigned-> case:CR/1/26", -30, -5), link("case:CR/1/26 -involves-> person:77")]
    if written is not None:
        links.append(link("staff:E1 -updated-> case:CR/1/26", written))
    facts = await _facts(tmp_path, _file(tmp_path, *links))
    (found,) = await _about(facts, "77")

    assert (expected, "current" if expected == "assigned" else "ended") == (
        (await facts.about_lookup(lookup(ref=REF))).ref_state,
        found.involvement,
    )


async def test_grace_is_for_the_reference_too(tmp_path: Path) -> None:
    """What the purpose grants after an assignment's end holds for its reference as for what it involves."""
    links = [link("staff:E1 -assigned-> case:CR/1/26", -30, -1), link("case:CR/1/26 -involves-> person:77")]
    facts = await _facts(tmp_path, _file(tmp_path, *links))
    found = []
    for number, hours in enumerate((23, 25)):
        asked = replace(lookup(ref=REF), id=f"g{number}", grace_s=hours * 3_600)
        (about,) = await facts.about_records(asked, [row(record="77")])
        found.append(((await facts.about_lookup(asked)).ref_state, about.involvement))

    assert [("ended", "ended"), ("assigned", "current")] == found


async def test_evidence_of_work_is_told_for_what_nothing_explains(tmp_path: Path) -> None:
    """So that budgets begin anew with it."""
    links = [
        link("staff:E1 -updated-> person:77", -3),
        link("staff:E1 -updated-> person:88", -3),
        link("staff:E1 -assigned-> case:CR/1/26"),
        link("case:CR/1/26 -involves-> person:88"),
    ]
    facts = await _facts(tmp_path, _file(tmp_path, *links))

    assert [NOW - timedelta(days=3), None, None] == [
        one.last_work for one in await _about(facts, "77", "88", "99")
    ]


async def test_facts_are_as_old_as_their_links(tmp_path: Path) -> None:
    """The oldest source counts."""
    facts = await _facts(tmp_path, _file(tmp_path, hours=20))

    assert NOW - timedelta(hours=20) == (await _about(facts, "77"))[0].as_of


async def test_old_links_are_stale(tmp_path: Path) -> None:
    """Past max_age_hours.links nothing is decided by them; broken glass goes on, and nothing is explained to it."""
    facts = await _facts(tmp_path, _file(tmp_path, hours=26.1))
    for ask in (facts.about_lookup(lookup(ref=REF)), facts.about_records(lookup(), [row()])):
        with pytest.raises(FactsOutage) as outage:
            await ask
        assert Reason.FACTS_STALE == outage.value.reason

    assert "open" == (await facts.about_lookup(lookup(ref=REF), stale_ok=True)).ref_state
    assert 1 == len(await facts.about_records(lookup(), [row()], stale_ok=True))


async def test_a_new_generation_is_taken_at_a_refresh(tmp_path: Path) -> None:
    """And a torn one is refused, told, and the old one kept."""
    facts = await _facts(tmp_path, _file(tmp_path, link("staff:E1 -assigned-> case:CR/1/26")))
    first = facts.digest
    generation(tmp_path / "links.db", [link("case:CR/1/26 -involves-> person:77")])
    refusals, second = await facts.refresh(), facts.digest
    (tmp_path / "links.db").write_bytes(b"torn")
    (refusal,) = await facts.refresh()

    assert ((), "links", second, "open") == (
        refusals,
        refusal.source,
        facts.digest,
        (await facts.about_lookup(lookup(ref=REF))).ref_state,
    )
    assert first != second


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path / "endpoint") as found:
        found.answer({"as_of": "2026-11-20T11:00:00Z", "links": []})
        yield found


async def test_a_dead_source_is_an_outage_but_for_broken_glass(tmp_path: Path, answering: Endpoint) -> None:
    """Whoever may break glass needs no explanation; ties are still found."""
    source = HttpSource(answering.url, deadline_s=5, cache_s=0)
    facts = await _facts(tmp_path, source)
    before = await _about(facts, "77")
    answering.kill()
    for ask in (facts.about_lookup(lookup(ref=REF)), facts.about_records(lookup(), [row()])):
        with pytest.raises(FactsOutage) as outage:
            await ask
        assert Reason.FACTS_UNAVAILABLE == outage.value.reason

    (found,) = await facts.about_records(lookup(), [row()], stale_ok=True)
    assert (1, "none") == (len(before), found.involvement)
    await facts.aclose()


async def test_lookups_share_nothing(tmp_path: Path) -> None:
    """Many people at once, each explained by their own links alone."""
    links = [link(f"staff:E{n} -assigned-> case:C{n}") for n in range(40)]
    links += [link(f"case:C{n} -involves-> person:{n}") for n in range(40)]
    facts = await _facts(tmp_path, _file(tmp_path, *links))
    rows = [row(record=str(n)) for n in range(40)]
    found = await asyncio.gather(*(facts.about_records(lookup(f"E{n}"), rows) for n in range(40)))

    assert [[n] for n in range(40)] == [
        [place for place, one in enumerate(each) if one.explained_by] for each in found
    ]


async def test_a_long_search_gives_others_a_turn(tmp_path: Path) -> None:
    """Fifty rows with hundreds of cases each: whoever else waits on the loop runs in between, many times."""
    links = [link(f"case:C{n}-{m} -involves-> person:{n}") for n in range(50) for m in range(300)]
    facts = await _facts(tmp_path, _file(tmp_path, *links))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    await _about(facts, *(str(n) for n in range(50)))
    task.cancel()

    assert turns > 15  # the rows' own comparisons give five


async def test_what_was_read_for_one_lookup_answers_no_other(tmp_path: Path) -> None:
    """Not even where two bear one id: another person, or another moment, is searched for anew."""
    held = link("staff:E1 -assigned-> case:CR/1/26", end=0.05)
    facts = await _facts(tmp_path, _file(tmp_path, held, link("case:CR/1/26 -involves-> person:77")))
    asked = lookup(ref=REF)
    other = replace(asked, principal=replace(asked.principal, id="E2"))
    later = replace(asked, at=NOW + timedelta(hours=2))

    found = [(await facts.about_records(one, [row(record="77")]))[0] for one in (asked, other, later, asked)]

    assert [("assigned-case",), (), (), ("assigned-case",)] == [one.explained_by for one in found]
