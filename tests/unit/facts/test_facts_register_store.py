"""Facts with the register in a store: imports seen at once and by digest, and everything wrong with it an outage, not silence."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from force_files import BROTHER, DUTY, NOW, POLICIES, Cells, lookup, row, somebody, write_force
from purposegate.conflicts.decisions import Verdict
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_sqlite import SqliteConnection
from purposegate.errors import FactsOutage, SettingsError
from purposegate.facts import FactsPaths, ForceFacts
from purposegate.model import Counted, CountKey, Tier
from purposegate.reasons import Reason
from registers import RegisterSite

pytestmark = pytest.mark.anyio

EDMUND = somebody("Edmund", "Archer", "1981-11-05")
NAMESAKE = somebody("Edmund", "Archer")
FRIEND: Cells = {**BROTHER, "relation": "friend"}


async def nothing_yet(keys: Sequence[CountKey]) -> Sequence[Counted]:
    """A ledger without entries."""
    return [Counted(0)] * len(keys)


@pytest.fixture
def site(tmp_path: Path) -> RegisterSite:
    path = tmp_path / "register.db"
    place = RegisterPlace(path=path, url_file=None, key_file=tmp_path / "register.keys")
    return RegisterSite(tmp_path, place, lambda: SqliteConnection(path))


@pytest.fixture
def paths(tmp_path: Path, site: RegisterSite) -> FactsPaths:
    site.take([BROTHER])
    return replace(write_force(tmp_path), register=site.place)


async def _load(paths: FactsPaths) -> ForceFacts:
    return await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=POLICIES / "facts.yaml",
        paths=paths,
        counts=nothing_yet,
        clock=lambda: NOW,
    )


async def _relations(facts: ForceFacts, who: str = "E1") -> list[str]:
    (about,) = await facts.about_records(lookup(who), [row(EDMUND)])
    return [tie.relation for tie in about.conflicts]


async def test_an_import_is_seen_at_the_next_look_and_by_its_digest(
    paths: FactsPaths, site: RegisterSite
) -> None:
    """All of it between two lookups, and entries name another digest from then on (law 9)."""
    facts = await _load(paths)
    before = (await _relations(facts), facts.digest)
    site.take([FRIEND])
    unseen = (await _relations(facts), facts.digest)
    refusals = await facts.refresh()

    assert (before, ()) == (unseen, refusals)
    assert (["friend"], False) == (await _relations(facts), facts.digest == before[1])


async def test_a_decision_reaches_the_gate(paths: FactsPaths, site: RegisterSite) -> None:
    """A candidate that was rejected is no tie from the next look on."""
    facts = await _load(paths)
    (about,) = await facts.about_records(lookup(), [row(NAMESAKE)])
    site.decide(
        Verdict.REJECTED,
        of_entry=frozenset({"name edmund|archer", "born 1981", "born 1981-11", "born 1981-11-05"}),
        of_record=frozenset({"name edmund|archer"}),
    )
    await facts.refresh()
    (after,) = await facts.about_records(lookup(), [row(NAMESAKE)])

    assert ([Tier.CANDIDATE], ()) == ([tie.tier for tie in about.conflicts], after.conflicts)


async def test_an_old_feed_is_stale(paths: FactsPaths, site: RegisterSite) -> None:
    """From when the feed was true, however lately it was imported; the oldest feed counts."""
    site.take([FRIEND], feed="hr", as_of="2026-11-18T08:00:00Z")
    facts = await _load(paths)

    with pytest.raises(FactsOutage) as stale:
        await facts.about_records(lookup(), [row(EDMUND)])
    assert Reason.REGISTER_STALE is stale.value.reason


async def test_altered_rows_are_an_outage(paths: FactsPaths, site: RegisterSite) -> None:
    """Nobody is released for want of a row that somebody took away (law 3)."""
    facts = await _load(paths)
    site.execute("DELETE FROM held")

    with pytest.raises(FactsOutage) as gone:
        await _relations(facts)
    assert Reason.FACTS_UNAVAILABLE is gone.value.reason


async def test_a_store_put_back_is_not_taken(paths: FactsPaths, site: RegisterSite) -> None:
    """The generation in use stays, and ages; the refusal says why."""
    shutil.copy(site.folder / "register.db", site.folder / "old.db")
    site.take([FRIEND])
    facts = await _load(paths)
    before = (await _relations(facts), facts.digest)
    site.execute("DELETE FROM head", "DELETE FROM held")
    old = SqliteConnection(site.folder / "old.db")
    with_old = old.rows("SELECT generation, kid, nonce, ct FROM head")
    old.close()
    connection = site.connect()
    connection.rows("INSERT INTO head VALUES (?, ?, ?, ?)", with_old[0])
    connection.close()
    (refusal,) = await facts.refresh()

    assert ("register", True) == (refusal.source, "older" in str(refusal.error))
    assert before == (await _relations(facts), facts.digest)


async def test_a_gate_does_not_start_without_an_import(tmp_path: Path, site: RegisterSite) -> None:
    """A store that nobody filled is a fault of the set-up, and no register without entries."""
    assert site.store.keys

    with pytest.raises(SettingsError, match="conflicts import"):
        await _load(replace(write_force(tmp_path), register=site.place))


async def test_facts_may_come_as_json_lines_or_a_query(paths: FactsPaths, tmp_path: Path) -> None:
    """Whatever its form, a source is read again when it changes, and refused whole when it is wrong."""
    duty = tmp_path / "duty.jsonl"
    duty.write_text('#as_of=2026-11-20T09:00:00Z\n{"staff_id": "E1", "from": "2026-11-20T06:00Z"}\n')
    facts = await _load(replace(paths, duty=duty))
    on_duty = (await facts.about_lookup(lookup())).on_duty
    duty.write_text('#as_of=2026-11-20T09:00:00Z\n{"staff_id": "E1", "from": "soon"}\n')
    (refusal,) = await facts.refresh()
    query = tmp_path / "duty.yaml"
    query.write_text(
        "sqlite: register.db\n"
        "query: SELECT 'E2' AS who, '2026-11-20' AS first, '' AS last\n"
        "columns: {staff_id: who, from: first, to: last}\n"
    )
    asked = await _load(replace(paths, duty=query))

    assert (True, "duty", set(DUTY)) == (on_duty, refusal.source, {"staff_id", "from", "to"})
    assert [False, True] == [(await asked.about_lookup(lookup(who))).on_duty for who in ("E1", "E2")]
    assert (await asked.about_lookup(lookup(at=NOW + timedelta(minutes=1)))).as_of <= NOW
