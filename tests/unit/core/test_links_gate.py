"""A whole gate whose links come from elsewhere: explained by them, and the table of design section 3 when they are gone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.walk import declare
from gates import Gated, World, behind, opened
from hostile import HostileApp, row_page
from links_endpoint import TOKEN, Endpoint, endpoint
from purposegate.model import EntryKind, Mode
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

GLASS = declare("respond.missing", reason="Missing teenager threatens to jump, on the phone now", broken=True)


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path / "endpoint") as found:
        found.answer({"as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "links": []})
        yield found


@pytest.fixture
def token(world: World) -> str:
    file = world.home / "links-token"
    file.write_text(TOKEN, encoding="utf-8")
    file.chmod(0o600)
    return file.name


def _changes(answering: Endpoint, token: str) -> dict[str, dict[str, object]]:
    links = {"endpoint": answering.url, "token_file": token, "cache_s": 0, "deadline_s": 5}
    return {"facts": {"links": links}}


def _released(gated: Gated) -> tuple[EntryKind, bool, set[str]]:
    entry = gated.entries[-1]
    return entry.kind, entry.released, set(entry.fields["reasons"])


async def test_links_explain_a_lookup_through_the_whole_gate(
    world: World, answering: Endpoint, token: str
) -> None:
    """The assignment of the force's file, and what the case involves as the endpoint says; the entry names the path."""
    person = world.cast.relative
    row = world.both.records[person]
    case = {"source_kind": "case", "source_id": "CR/1042/26", "relation": "involves", "target_kind": "person"}
    answering.answer(
        {
            "as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "links": [{**case, "target_id": world.both.record_id(person)}],
        }
    )
    async with opened(world, "linked", **_changes(answering, token)) as parts:
        gated = behind(world, HostileApp(row_page(row)), parts)
        answer = await gated.ask(world.path(person), who="T1004", roles=("Paralegal",),
                                 declared=declare("prosecute.casefile", "CR/1042/26"))  # fmt: skip
        rows = gated.entries[-1].rows

    assert (200, [["assigned-case"]]) == (answer.status_code, [list(each["explained_by"]) for each in rows])
    assert [["T1004"], f"Bearer {TOKEN}"] == answering.asked[-1]


async def test_a_killed_source_of_links_is_the_tables_outage(
    world: World, answering: Endpoint, token: str
) -> None:
    """503 for who asks as usual; broken glass opens a record; monitor mode passes, and says what it would have been."""
    row = world.both.records[world.cast.suspect]
    path = world.path(world.cast.suspect)
    async with opened(world, "unlinked", **_changes(answering, token)) as parts:
        gated = behind(world, HostileApp(row_page(row)), parts)
        before = await gated.ask(path)
        answering.kill()
        refused = await gated.ask(path)
        outage = _released(gated)
        opened_glass = await gated.ask(path, declared=GLASS, who="T1002", roles=("Constable",))
        glass = _released(gated)
        watched = behind(world, HostileApp(row_page(row)), parts, modes={"default": Mode.MONITOR})
        passed = await watched.ask(path)

    assert [200, 503, 200, 200] == [one.status_code for one in (before, refused, opened_glass, passed)]
    assert row["surname"] not in refused.text
    assert (EntryKind.OUTAGE, False, {Reason.FACTS_UNAVAILABLE}) == outage
    assert (EntryKind.RELEASE, True) == glass[:2]
    assert (EntryKind.OUTAGE, True, {Reason.FACTS_UNAVAILABLE}) == _released(watched)
