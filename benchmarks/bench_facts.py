"""What do facts and budgets add to one lookup, with five million links in SQLite or PostgreSQL?

The same lookups, one after the other, in one process and one event loop, through the force's facts three ways: with no links,
no templates and nothing counted; with the links in SQLite and budgets counted in an SQLite ledger; and both in PostgreSQL. What
an arm adds is its time less that of the first for the same lookup.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # where the test server of PostgreSQL is

from benchmarks.facts_world import NOW, Asked, files, links, lookups  # noqa: E402
from benchmarks.ledger_world import lookup as past_lookup  # noqa: E402
from benchmarks.ledger_world import open_sqlite  # noqa: E402
from benchmarks.summary import merge  # noqa: E402
from peers.postgres_server import PostgresServer  # noqa: E402
from peers.postgres_site import PostgresSite  # noqa: E402
from purposegate.conflicts import relations  # noqa: E402
from purposegate.conflicts.dates import Interval  # noqa: E402
from purposegate.facts import FactsPaths, ForceFacts, bands, explanations  # noqa: E402
from purposegate.facts.explanations import Explanations  # noqa: E402
from purposegate.facts.history import History  # noqa: E402
from purposegate.facts.links import Link, LinkSource  # noqa: E402
from purposegate.facts.links_postgres import PostgresSource, write_postgres  # noqa: E402
from purposegate.facts.links_reading import LinkFeed  # noqa: E402
from purposegate.facts.links_sqlite import SqliteSource, write_generation  # noqa: E402
from purposegate.facts.snapshot import Reader  # noqa: E402
from purposegate.ledger.durable import DurableLedger  # noqa: E402
from purposegate.model import RecordRef  # noqa: E402

POLICIES = ROOT / "policies"
MILLION = 1_000_000
WARM, LOOKUPS = 1_000, {"sqlite": 20_000, "postgres": 6_000}
PAST = 20_000
CROWD, CROWDED_LOOKUPS = 100_000, 200
TARGETS = {"facts.added_p50_us.sqlite": 150.0, "facts.added_p50_ms.postgres": 1.5}


class Arm(NamedTuple):
    """Facts, and whether their budgets are counted too."""

    facts: ForceFacts
    counts: bool = True


async def ask(arm: Arm, asked: Asked) -> float:
    """All that the gate asks of facts for one view: seconds. The row by its name, and again with its people."""
    facts, lookup = arm.facts, asked.lookup
    begun = time.perf_counter()
    about = await facts.about_lookup(lookup)
    sights = facts.sights(lookup, tenure=about.tenure) if arm.counts else None
    for row in (asked.named, asked.shown):
        found = await facts.about_records(lookup, [row])
        if sights:
            await sights.take([row], found)
    took = time.perf_counter() - begun
    if sights:
        sights.settle(())
    return took


async def added(base: Arm, arm: Arm, asked: Sequence[Asked]) -> list[float]:
    """What the arm adds to each lookup, seconds, ascending. Which of the two goes first alternates."""
    found = []
    for number, one in enumerate(asked):
        if number % 2:
            upper, lower = await ask(arm, one), await ask(base, one)
        else:
            lower, upper = await ask(base, one), await ask(arm, one)
        if number >= WARM:
            found.append(upper - lower)
    return sorted(found)


def facts_of(
    paths: FactsPaths, ledger: DurableLedger, templates: Explanations, *sources: LinkSource
) -> ForceFacts:
    """The force's facts with these templates and links."""
    rules, thresholds = relations.load(POLICIES / "conflicts.yaml"), bands.load(POLICIES / "facts.yaml")
    return ForceFacts(
        rules,
        thresholds,
        Reader(rules, thresholds, paths),
        History(ledger.counted),
        lambda: NOW,
        explanations=templates,
        links=sources,
    )


async def fill(ledger: DurableLedger) -> None:
    """Past lookups, so that counters are looked for among others."""
    chance = random.Random(1)
    for first in range(0, PAST, 200):
        await asyncio.gather(*(ledger.append(past_lookup(first + n, chance)) for n in range(200)))


def crowd() -> Iterator[Link]:
    """One member of staff with 100,000 assignments, and one person whom all of those cases involve."""
    for number in range(CROWD):
        yield Link("staff:e1", "assigned", f"case:x{number}", Interval())
        yield Link(f"case:x{number}", "involves", "person:1", Interval())
        yield Link("staff:e1", "assigned", f"case:y{number}", Interval())
    yield Link("case:y5", "involves", "person:2", Interval())


async def question_us(source: LinkSource) -> float:
    """What one question for one pair of ends costs here, median: the unit that both arms are made of."""
    view, waits = await source.view("E1", NOW), []
    for number in range(5_000):
        begun = time.perf_counter()
        await view.between(f"staff:e{number}", lambda _: (">assigned",), (f"case:cr/{number}/26",))
        waits.append(time.perf_counter() - begun)
    return sorted(waits)[len(waits) // 2] * 1e6


async def crowded_ms(facts: ForceFacts, whom: str) -> tuple[float, str]:
    """The slowest of 200 lookups of somebody by that member of staff, milliseconds, and the involvement found."""
    one = lookups(1)[0]
    row, waits, involvement = replace(one.named, record=RecordRef("person", whom)), [], ""
    for number in range(CROWDED_LOOKUPS):
        lookup = replace(one.lookup, id=f"c{number}", principal=replace(one.lookup.principal, id="E1"))
        begun = time.perf_counter()
        (found,) = await facts.about_records(lookup, [row])
        waits.append(time.perf_counter() - begun)
        involvement = found.involvement
    return max(waits) * 1e3, involvement


def timed(work: str, begun: float) -> float:
    """Say how long something took since then; seconds."""
    took = time.perf_counter() - begun
    print(f"{work}: {took:.0f} s", flush=True)
    return took


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, with memory as a small server has it."""
    found = PostgresServer()
    try:
        found.start(shared_buffers="1GB", maintenance_work_mem="512MB", max_wal_size="8GB")
        found.prepare()
        yield found
    finally:
        found.close()


def write(folder: Path, url: str, total: int) -> dict[str, float]:
    """Import the links into both stores: how long that takes, and what the file weighs."""
    begun = time.perf_counter()
    count = write_generation(folder / "links.db", LinkFeed(links(total), NOW))
    figures = {"facts.import_s.sqlite": timed(f"{count} links into SQLite", begun)}
    begun = time.perf_counter()
    write_postgres(url, LinkFeed(links(total), NOW))
    figures["facts.import_s.postgres"] = timed("the same into PostgreSQL", begun)
    begun = time.perf_counter()
    SqliteSource(folder / "links.db")
    figures["facts.open_s.sqlite"] = timed("opening, all of it read", begun)
    return figures | {"facts.mib.sqlite": (folder / "links.db").stat().st_size / 2**20}


async def measure(
    folder: Path, paths: FactsPaths, ledgers: dict[str, DurableLedger], url: str
) -> dict[str, float]:
    """Figures of both arms, and of the crowd."""
    templates = explanations.load(POLICIES / "facts.yaml")
    for ledger in ledgers.values():
        await fill(ledger)
    base = Arm(facts_of(paths, ledgers["sqlite"], Explanations(templates=())), counts=False)
    database = PostgresSource(url, deadline_s=5)
    arms = {
        "sqlite": Arm(facts_of(paths, ledgers["sqlite"], templates, SqliteSource(folder / "links.db"))),
        "postgres": Arm(facts_of(paths, ledgers["postgres"], templates, database)),
    }
    figures = {
        "facts.one_question_us.sqlite": await question_us(SqliteSource(folder / "links.db")),
        "facts.one_question_us.postgres": await question_us(database),
    }
    for name, unit, scale in (("sqlite", "us", 1e6), ("postgres", "ms", 1e3)):
        found = await added(base, arms[name], lookups(WARM + LOOKUPS[name]))
        for share in (50, 99):
            figures[f"facts.added_p{share}_{unit}.{name}"] = found[len(found) * share // 100] * scale
    write_generation(folder / "crowd.db", LinkFeed(crowd(), NOW))
    facts = facts_of(paths, ledgers["sqlite"], templates, SqliteSource(folder / "crowd.db"))
    for whom, wanted, figure in (("1", "none", "crossroads"), ("2", "current", "principal")):
        worst, involvement = await crowded_ms(facts, whom)
        if involvement != wanted:
            raise RuntimeError(f"crowd, person {whom}: want {wanted}")
        figures[f"facts.crowd_worst_ms.{figure}"] = worst
    await database.aclose()
    return figures


def main(words: list[str]) -> int:
    """Measure, print, merge. Exits with 1 where a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--links", type=int, default=5 * MILLION, help="how many; other than five million is not merged"
    )
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".cache") as place, server() as running:
        folder = Path(place)
        (folder / "ledger").mkdir()
        (folder / "postgres").mkdir()
        paths = files(folder)
        url = running.url("postgres")
        figures = write(folder, url, asked.links)
        ledgers = {
            "sqlite": open_sqlite(folder / "ledger"),
            "postgres": PostgresSite(folder / "postgres", running).open(),
        }
        try:
            figures |= asyncio.run(measure(folder, paths, ledgers, url))
        finally:
            for ledger in ledgers.values():
                ledger.close()
    figures = {name: round(figure, 3) for name, figure in figures.items()}
    for name, figure in sorted(figures.items()):
        print(f"{name:45} {figure}")
    if asked.links == 5 * MILLION:
        merge(figures, question="facts")
    return 1 if any(figures[name] > limit for name, limit in TARGETS.items()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
