"""In an invented force, how early is misuse raised and stopped, what does it cost the lawful, and how true is the list?

Ninety days of one tenth of 11,000 staff, through the real gate. Assumptions and their limits are in docs/scenarios.md.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from ctypes import c_longlong
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import simulation_feeds as feeds
from benchmarks import simulation_force, simulation_gate, simulation_work, summary
from benchmarks.simulation_baselines import BASELINES
from benchmarks.simulation_misuse import MISUSERS, plant
from benchmarks.simulation_score import AS_PUBLISHED, Score, as_results, score

DEFAULT_SCALE = 0.1
SEED, SECOND_SEED = 1, 2
DRAWN = 1 / 200
EVERY_S = 1.0

COUNTERS: Any = None
"""How many lookups each arm has done, and has in all: shared memory, set in each worker as it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One run of the traffic. `word` names its figures; the headline's have none. `share` of the force is drawn for it."""

    word: str
    seed: int = SEED
    missing: float = feeds.MISSING
    challenge: float = 0.0
    share: float = 1.0
    has_baselines: bool = False


SIDE = 0.3
"""Of the force, for arms that are reported beside the headline: each whole one takes a quarter of an hour."""

ARMS = (
    Arm(word="", has_baselines=True),
    Arm(word="second_seed", seed=SECOND_SEED),
    Arm(word="loss_0", missing=0.0, share=SIDE),
    Arm(word="loss_12", missing=0.12, share=SIDE),
    Arm(word="challenged", challenge=DRAWN, share=SIDE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One arm's scores: the gate's, and those of the baselines on the same traffic."""

    arm: Arm
    scale: float
    staff: int
    gate: Score
    baselines: Mapping[str, Score]


def planted_at(scale: float) -> int:
    """How many are planted: 88, and fewer only where the force is so small that they would be all of it."""
    return min(MISUSERS, max(round(MISUSERS / DEFAULT_SCALE * scale), 4))


def play(number: int, arm: Arm, scale: float, most: int | None = None) -> Outcome:
    """One arm from its seed to its scores. `most` cuts the traffic short, for a quick look."""
    force = simulation_force.build(arm.seed, scale)
    work = simulation_work.lawful(force)
    planted = plant(work, planted_at(scale))
    lookups = work.lookups[:most]
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        home = Path(folder)
        settings = simulation_gate.prepare(home, work, challenge=arm.challenge)
        told = feeds.degraded(
            work.links, arm.seed, missing=arm.missing, late=feeds.LATE, early=feeds.CLOSED_EARLY
        )
        feeds.write(home / "feeds", work, planted, told)

        def progress(done: int) -> None:
            if COUNTERS is not None:
                COUNTERS[2 * number], COUNTERS[2 * number + 1] = done, len(lookups)

        async def through_the_gate() -> list[simulation_gate.Result]:
            async with simulation_gate.opened(settings, force) as gate:
                return await simulation_gate.run(gate, work, lookups, progress)

        results = asyncio.run(through_the_gate())
    scored = BASELINES if arm.has_baselines else {}
    return Outcome(
        arm=arm,
        scale=scale,
        staff=len(force.staff),
        gate=score(results, planted),
        baselines={
            name: score(as_results(lookups, flags(work, lookups)), planted) for name, flags in scored.items()
        },
    )


def _share(counters: Any) -> None:
    global COUNTERS  # noqa: PLW0603  a worker's own, set once as it starts
    COUNTERS = counters


def played(arms: Sequence[Arm], scale: float) -> list[Outcome]:
    """Every arm, two at a time, each in a process of its own, with a bar for each."""
    context = multiprocessing.get_context("spawn")
    counters = context.Array(c_longlong, 2 * len(arms), lock=False)
    with (
        ProcessPoolExecutor(2, mp_context=context, initializer=_share, initargs=(counters,)) as pool,
        Progress(console=Console(stderr=True)) as bars,
    ):
        shown = [bars.add_task(arm.word or "headline", total=None) for arm in arms]
        running = [pool.submit(play, number, arm, scale * arm.share) for number, arm in enumerate(arms)]
        for future in running:
            while not _done(future):
                for number, task in enumerate(shown):
                    bars.update(task, completed=counters[2 * number], total=counters[2 * number + 1] or None)
        return [future.result() for future in running]


def _done(future: Any) -> bool:
    try:
        future.result(timeout=EVERY_S)
    except TimeoutError:
        return False
    return True


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The summary's figures, by name."""
    found: dict[str, float] = {}
    for one in outcomes:
        prefix = f"simulation.{one.arm.word}." if one.arm.word else "simulation."
        found[f"{prefix}scale"] = one.scale
        found |= {f"{prefix}{name}": value for name, value in _of(one.gate, one.staff).items()}
        for name, rated in one.baselines.items():
            word = name.replace(" ", "_")
            kept = ("raised_by_3", "list_precision", "list_precision_as_published", "items")
            found |= {
                f"simulation.{word}.{key}": value
                for key, value in _of(rated, one.staff).items()
                if key in kept
            }
    return found


def _of(rated: Score, staff: int) -> dict[str, float]:
    return {
        "planted": rated.planted,
        "lawful": rated.lawful,
        "raised_by_3": round(rated.raised_by_3, 4),
        "stopped_by_8": round(rated.stopped_by_8, 4),
        "asked_per_10000": round(rated.per_10000(rated.asked), 2),
        "approval_per_10000": round(rated.per_10000(rated.approval), 2),
        "refused_per_10000": round(rated.per_10000(rated.refused), 2),
        "items": rated.items,
        "list_precision": round(rated.list_precision, 4),
        "top_precision": round(rated.top_true / min(rated.planted, rated.items) if rated.items else 1.0, 4),
        "list_precision_as_published": round(rated.precision_at(AS_PUBLISHED, staff), 4),
        "row_precision": round(rated.rows_true / rated.rows if rated.rows else 1.0, 4),
    }


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """The arms, then each kind of misuse under the gate and the baselines."""
    names = list(_of(outcomes[0].gate, outcomes[0].staff))
    table = Table("arm", "staff", *names, box=None, header_style="bold")
    for one in outcomes:
        for name, rated in {one.arm.word or "headline": one.gate, **one.baselines}.items():
            cells = [f"{value:g}" for value in _of(rated, one.staff).values()]
            table.add_row(name, str(one.staff), *cells)
    console.print(table)
    for one in outcomes:
        for name, rated in {"gate": one.gate, **one.baselines}.items():
            if one.arm.has_baselines or name == "gate":
                _confusion(one.arm.word or "headline", name, rated, console)


def _confusion(arm: str, name: str, rated: Score, console: Console) -> None:
    columns = ("planted", "raised by 3", "ever raised", "stopped by 8", "ever stopped", "lookups", "released")
    table = Table(f"{arm}: {name}", *columns, box=None, header_style="bold")
    for line in rated.lines:
        counts = (
            line.planted,
            line.raised_early,
            line.raised,
            line.stopped_soon,
            line.stopped,
            line.lookups,
            line.released,
        )
        table.add_row(line.kind, *map(str, counts))
    false = rated.items - rated.items_true
    table.add_row("(lawful)", "", "", f"{false} items", "", "", str(rated.lawful), "")
    console.print(table)


def main(arguments: list[str]) -> int:
    """Run the arms, print the tables, and merge the figures of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=DEFAULT_SCALE, help="of 11,000 staff and 45,000 lookups a day"
    )
    parser.add_argument(
        "--arms", nargs="*", choices=[arm.word or "headline" for arm in ARMS], help="only these"
    )
    asked = parser.parse_args(arguments)
    arms = [arm for arm in ARMS if not asked.arms or (arm.word or "headline") in asked.arms]
    outcomes = played(arms, asked.scale)
    show(outcomes, Console(width=240, soft_wrap=True))
    if asked.scale == DEFAULT_SCALE and len(arms) == len(ARMS):
        summary.merge(figures(outcomes), question="simulation")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
