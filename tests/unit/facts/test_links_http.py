"""Links asked over HTTP: within a deadline, believed for a while, and missed when the endpoint is gone."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from force_files import NOW
from link_worlds import explain, template
from links_endpoint import TOKEN, Endpoint, endpoint
from purposegate.errors import FactsOutage
from purposegate.facts.explanations import Explanations
from purposegate.facts.http_source import HttpSource
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

CASE = Explanations(templates=(template("case", "principal -assigned-> case -involves-> record"),))
ASSIGNED = {
    "source_kind": "staff",
    "source_id": "E1",
    "relation": "assigned",
    "target_kind": "case",
    "target_id": "CR/1/26",
    "from": "2026-01-01T00:00:00Z",
}
INVOLVED = {
    "source_kind": "case",
    "source_id": "cr/1/26",
    "relation": "involves",
    "target_kind": "person",
    "target_id": "77",
    "from": None,
    "to": "",
}


def said(*links: Any, as_of: str = "2026-11-20T11:59:00Z") -> dict[str, Any]:
    return {"as_of": as_of, "links": list(links)}


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path / "endpoint") as found:
        found.answer(said(ASSIGNED, INVOLVED))
        yield found


async def _explained(source: HttpSource, principal: str = "E1") -> tuple[str, ...]:
    view = await source.view(principal, NOW)
    return (await explain([view], CASE, "person:77", principal=principal))[0].explained_by


async def test_an_answer_explains(answering: Endpoint) -> None:
    """The links around one person, asked for with the token, as old as the endpoint says."""
    source = HttpSource(answering.url, token=TOKEN, deadline_s=5)
    view = await source.view("E1", NOW)

    assert (("case",), [[["E1"], f"Bearer {TOKEN}"]], NOW - timedelta(minutes=1)) == (
        await _explained(source),
        answering.asked,
        view.as_of,
    )
    await source.aclose()


async def test_an_answer_is_believed_for_a_while(answering: Endpoint) -> None:
    """Asked once for one person however they write their id, and however many lookups wait; again when it is over."""
    lasting, fleeting = (
        HttpSource(answering.url, deadline_s=5),
        HttpSource(answering.url, deadline_s=5, cache_s=0),
    )
    await asyncio.gather(*(_explained(lasting, who) for who in ("E1", "e1 ", "E2", "E1")))
    after = len(answering.asked)
    for _ in range(3):
        await _explained(fleeting)

    assert (2, 5) == (after, len(answering.asked))
    await lasting.aclose()
    await fleeting.aclose()


async def test_a_killed_endpoint_is_missed(answering: Endpoint) -> None:
    """Once what is believed is too old; and found again when it is back is for the next lookup to see."""
    source = HttpSource(answering.url, deadline_s=5, cache_s=0)
    before = await _explained(source)
    answering.kill()

    with pytest.raises(FactsOutage) as outage:
        await _explained(source)
    assert (("case",), Reason.FACTS_UNAVAILABLE) == (before, outage.value.reason)
    await source.aclose()


async def test_a_slow_endpoint_is_not_waited_for(answering: Endpoint) -> None:
    """Past the deadline the lookup is told, and the next one asks anew."""
    source = HttpSource(answering.url, deadline_s=0.2)
    answering.delay(30)
    with pytest.raises(FactsOutage, match=r"0\.2 s"):
        await _explained(source)
    answering.delay(0)
    patient = HttpSource(answering.url, deadline_s=5)

    assert ("case",) == await _explained(patient)
    await source.aclose()
    await patient.aclose()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[]",
        "null",
        {"links": []},
        {"as_of": "yesterday", "links": []},
        {"as_of": "2026-11-20", "links": []},
        {"as_of": 7, "links": []},
        {"as_of": "2026-11-20T11:59:00Z", "links": {"a": 1}},
        said(None),
        said(ASSIGNED, {}),
        said(ASSIGNED | {"relation": "is assigned"}),
        said(ASSIGNED | {"target_id": ""}),
        said(ASSIGNED | {"target_id": 7}),
        said(ASSIGNED | {"from": "2026-01-01"}),
        said(ASSIGNED | {"to": "2025-01-01T00:00:00Z"}),
        said(as_of=(datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")),
        said(*[ASSIGNED] * 40_000),
    ],
)
async def test_nonsense_is_an_outage(answering: Endpoint, content: object) -> None:
    """Never an answer with a part missing: one bad link and none of it counts."""
    answering.answer(content)
    source = HttpSource(answering.url, deadline_s=5)

    with pytest.raises(FactsOutage) as outage:
        await _explained(source)
    assert Reason.FACTS_UNAVAILABLE == outage.value.reason
    await source.aclose()


@pytest.mark.parametrize("status", [204, 302, 401, 404, 500])
async def test_any_other_status_is_an_outage(answering: Endpoint, status: int) -> None:
    """An empty list of links would say that nothing explains; only the endpoint may say so."""
    answering.answer("" if status == 204 else said(), status=status)
    source = HttpSource(answering.url, deadline_s=5)

    with pytest.raises(FactsOutage, match=str(status)):
        await _explained(source)
    await source.aclose()


async def test_a_cancelled_lookup_takes_the_answer_from_nobody(answering: Endpoint) -> None:
    """Two wait for one answer; the first goes away."""
    answering.delay(0.3)
    source = HttpSource(answering.url, deadline_s=10)
    first, second = (asyncio.create_task(_explained(source)) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()

    assert (("case",), 1) == (await second, len(answering.asked))
    await source.aclose()
