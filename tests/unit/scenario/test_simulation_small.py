"""The simulated force in small: the same seed gives the same traffic, feeds lose what they say, and the gate is run whole."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import simulation_feeds as feeds
from benchmarks import simulation_force, simulation_gate
from benchmarks.bench_simulation import planted_at
from benchmarks.simulation_baselines import BASELINES
from benchmarks.simulation_misuse import FEWEST, MISUSERS, MOST, Misuse, plant
from benchmarks.simulation_score import as_results, score
from benchmarks.simulation_work import Work, lawful

SCALE = 0.004
PLANTED = 9


@pytest.fixture(scope="module")
def planted() -> tuple[Work, list[Misuse]]:
    """A force of sixty with nine misusers; drawn once, read by every test."""
    work = lawful(simulation_force.build(1, SCALE))
    return work, plant(work, PLANTED)


def test_one_seed_gives_one_traffic(planted: tuple[Work, list[Misuse]]) -> None:
    """Arms that differ in their feeds alone see the same lookups."""
    work, _ = planted
    again = lawful(simulation_force.build(1, SCALE))
    plant(again, PLANTED)

    assert work.lookups == again.lookups
    assert work.links == again.links


def test_lawful_lookups_are_made_on_duty(planted: tuple[Work, list[Misuse]]) -> None:
    """Nobody works off the roster, so that duty explains no false alarm."""
    work, _ = planted

    assert all(work.force.staff[one.staff].is_on_duty(one.at) for one in work.lookups if not one.kind)


def test_planted_misuse_spans_its_sizes(planted: tuple[Work, list[Misuse]]) -> None:
    """From a few lookups to hundreds, numbered in order of time, by as many people as there are misuses."""
    _, misuses = planted
    sizes = sorted(len(one.lookups) for one in misuses)

    assert FEWEST <= sizes[0] < 4
    assert MOST >= sizes[-1] > 400
    assert PLANTED == len({one.staff for one in misuses})
    for one in misuses:
        assert sorted(one.lookups, key=lambda each: each.at) == list(one.lookups)
        assert list(range(1, len(one.lookups) + 1)) == [each.ordinal for each in one.lookups]


def test_misusers_declare_no_reference_of_their_own(planted: tuple[Work, list[Misuse]]) -> None:
    """Every misuse has a reference that is open at that moment and not theirs, or none where none is asked for."""
    work, misuses = planted
    assigned = {(link.source.id, link.target.id) for link in work.links if link.relation == "assigned"}
    for one in (lookup for each in misuses for lookup in each.lookups if lookup.ref):
        reference = work.references[one.ref]

        assert reference.opened <= one.at
        assert reference.closed is None or one.at < reference.closed
        assert (one.staff, one.ref) not in assigned or one.kind == "notorious-case"


def test_feeds_lose_what_they_say(planted: tuple[Work, list[Misuse]]) -> None:
    """About 6 % of links are missing, 3 % late and 2 % closed early; more loss takes more away and alters nothing else."""
    work, _ = planted
    whole = set(work.links)
    at_6 = list(feeds.degraded(work.links, 1, missing=0.06, late=0.03, early=0.02))
    at_12 = list(feeds.degraded(work.links, 1, missing=0.12, late=0.03, early=0.02))
    changed = [link for link in at_6 if link not in whole]

    assert 0.05 < 1 - len(at_6) / len(work.links) < 0.08
    assert 0.03 < len(changed) / len(at_6) < 0.07
    assert set(at_12) < set(at_6)


def test_a_tenth_plants_as_many_as_the_whole() -> None:
    """88 at one tenth and at full scale; smaller looks have their share of it."""
    assert [MISUSERS, MISUSERS, 9] == [planted_at(scale) for scale in (1.0, 0.1, 0.01)]


def test_baselines_flag_and_stop_nobody(planted: tuple[Work, list[Misuse]]) -> None:
    """Each baseline raises some of the traffic and hinders none of it."""
    work, misuses = planted
    for flags in BASELINES.values():
        rated = score(as_results(work.lookups, flags(work, work.lookups)), misuses)

        assert 0 < rated.rows < len(work.lookups)
        assert (0, 0, 0.0) == (rated.asked, rated.refused, rated.stopped_by_8)


def test_the_traffic_runs_through_the_real_gate(tmp_path: Path, planted: tuple[Work, list[Misuse]]) -> None:
    """Known ties are stopped at once, lawful work goes through, and every lookup has its result."""
    work, misuses = planted
    named = {one.number for one in misuses if one.kind in ("neighbour", "colleague") or one.tie}
    some = [one for one in work.lookups if not one.kind][:600]
    some += [one for one in work.lookups if one.kind and one.misuse in named and one.ordinal <= 3]
    some.sort(key=lambda one: one.at)
    settings = simulation_gate.prepare(tmp_path, work, challenge=0.0)
    feeds.write(tmp_path / "feeds", work, misuses, work.links)

    async def through_the_gate() -> list[simulation_gate.Result]:
        async with simulation_gate.opened(settings, work.force) as gate:
            return await simulation_gate.run(gate, work, some, lambda _: None)

    results = asyncio.run(through_the_gate())

    assert named
    assert len(some) == len(results)
    assert all(one.is_stopped and one.raised for one in results if one.lookup.kind)
    assert 590 <= sum(one.outcome == "released" for one in results if not one.lookup.kind)
