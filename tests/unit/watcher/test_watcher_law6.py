"""Law 6: a covert entry changes nothing that anyone can see. Real servers, with the watcher's store full and empty."""

import contextlib
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import ask, cerbos_children
from demo.walk import MAYA, Step, declare, steps
from gates import POLICIES
from past_lookups import ship
from watched_world import CANARY, READER, Arm, arms, ledger_of, seen_of, served

ROOT = Path(__file__).parents[3]
SOAK, EVERYDAY = 10_000, 600
T_LIMIT = 4.5
"""|t| that leakage tests of implementations use (ISO/IEC 17825): by chance once in some 100,000 runs."""
SHIP_EVERY = 100


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Arm, Arm]:
    return arms(tmp_path_factory.mktemp("arms"))


@pytest.fixture(scope="module")
def walked(both: tuple[Arm, Arm]) -> list[dict[str, object]]:
    """The same walk through both arms, a watcher cycle in its middle and one at its end; what was seen of each."""
    found: list[dict[str, object]] = []
    for arm in both:
        world = arm.world
        with served(arm) as (client, pid):
            walk = list(steps(world.both, world.cast))
            half = len(walk) // 2
            answers = [seen_of(ask(client, world.issuer, step)) for step in walk[:half]]
            hits = arm.watch().hits
            answers += [seen_of(ask(client, world.issuer, step)) for step in walk[half:]]
            hits += arm.watch().hits
            family = [pid, *cerbos_children(pid)]
            canary, control = CANARY.encode(), world.both.record_id(world.cast.suspect).encode()
            memory = {name: holds(family, text) for name, text in (("canary", canary), ("control", control))}
            files = {path for process in family for path in open_files(process)}
            holding = {path.name for path in files if holds_text(path, canary)}
        found.append(
            {
                "answers": answers,
                "hits": hits,
                "memory": memory,
                "open": holding,
                "paths": [str(path) for path in files if "watcher" in path.parts[-2]],
                "files": {
                    path.name for path in world.home.iterdir() if not path.name.endswith(("-wal", "-shm"))
                },
                "ledger": ledger_of(arm.ledger),
            }
        )
    return found


def holds(processes: list[int], text: bytes) -> bool:
    """Whether any readable memory of these processes holds the text, in any case of its letters."""
    return any(text.lower() in region.lower() for process in processes for region in regions(process))


def regions(process: int) -> Iterator[bytes]:
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text(encoding="utf-8").splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("r") and "[v" not in line:
                start, stop = (int(edge, 16) for edge in span.split("-"))
                with contextlib.suppress(OSError):  # a region that was unmapped meanwhile
                    memory.seek(start)
                    yield memory.read(stop - start)


def open_files(process: int) -> list[Path]:
    links = Path(f"/proc/{process}/fd").iterdir()
    found = []
    for link in links:
        with contextlib.suppress(OSError):
            found.append(link.readlink())
    return [path for path in found if path.is_file()]


def holds_text(path: Path, text: bytes) -> bool:
    return text.lower() in path.read_bytes().lower()


def test_the_watcher_was_at_work(walked: list[dict[str, object]]) -> None:
    """Otherwise nothing below shows anything: the full arm's watcher raised Maya's lookups, the empty arm's none."""
    full, empty = walked

    assert full["hits"] != 0
    assert 0 == empty["hits"]


def test_answers_are_byte_identical(walked: list[dict[str, object]]) -> None:
    """Every status, header and body of the walk, ids and dates masked, is the same in both arms."""
    assert walked[1]["answers"] == walked[0]["answers"]


def test_ledger_and_files_are_identical(walked: list[dict[str, object]]) -> None:
    """Both serving ledgers say the same, entry by entry and row by row, and the same files lie beside them."""
    assert walked[1]["ledger"] == walked[0]["ledger"]
    assert walked[1]["files"] == walked[0]["files"]


def test_canary_is_in_no_memory_and_no_open_file(walked: list[dict[str, object]]) -> None:
    """The name that only the covert entry holds is nowhere in the server or its Cerbos; a name they do hold is found."""
    assert {"canary": False, "control": True} == walked[0]["memory"]
    assert set() == walked[0]["open"]
    assert [] == walked[0]["paths"]


def test_only_the_verb_knows_the_watcher() -> None:
    """No module outside the watcher, but the verb `watch`, names it; new rooms are covered without being listed."""
    source = ROOT / "src" / "purposegate"
    own = source / "review" / "watcher"
    naming = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if not path.is_relative_to(own) and "review.watcher" in path.read_text(encoding="utf-8")
    ]

    assert ["cli/watch.py"] == naming


@contextlib.contextmanager
def at_work(arm: Arm, copy: Path) -> Iterator[None]:
    """The arm's watcher as a process of its own, on its schedule."""
    command = [sys.executable, "-c", "from purposegate.cli import main; main()", "watch", "run"]
    options = [
        *("--home", arm.watcher_home, "--conflicts", POLICIES / "conflicts.yaml"),
        *("--ledger", copy, "--keys", copy.with_name("l.db.keys"), "--every", "2"),
    ]
    with (arm.watcher_home.parent / f"{arm.watcher_home.name}.log").open("wb") as log:
        process = subprocess.Popen([*command, *map(str, options)], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def welch(one: list[float], other: list[float]) -> tuple[float, float]:
    """Welch's t, and the standard error of the difference of the means."""
    error = math.sqrt(statistics.variance(one) / len(one) + statistics.variance(other) / len(other))
    return (statistics.fmean(one) - statistics.fmean(other)) / error, error


def test_welch_is_what_it_says() -> None:
    """The statistic of two small samples, worked by hand: means 2.5 and 5, variances 5/3 and 20/3."""
    t, error = welch([1, 2, 3, 4], [2, 4, 6, 8])

    assert (-2.5 / math.sqrt(25 / 12), math.sqrt(25 / 12)) == pytest.approx((t, error))


def test_timing_tells_nothing(
    both: tuple[Arm, Arm],
    walked: object,
    soak: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lookups of the covert entry's own person take as long with the full store in place as with the empty one.

    One server, so that nothing else differs; which store stands in the watcher's place is drawn before every request, and both
    watchers are at work throughout.
    """
    arm, world = both[0], both[0].world
    place = arm.watcher_home.with_name("in-place")
    step = Step(
        title="view",
        path=world.path(world.cast.suspect),
        declared=declare("investigate.crime", "CR/1042/26"),
        status=200,
        by=MAYA,
    )
    copies = [one.watcher_home.with_name(f"{one.watcher_home.name}-timed") / "l.db" for one in both]
    drawn, waits = random.Random(6), ([], [])  # type: tuple[random.Random, tuple[list[float], list[float]]]
    with served(arm) as (client, _), contextlib.ExitStack() as stack:
        for one, copy in zip(both, copies, strict=True):
            ship(arm.ledger if one is arm else one.ledger, copy)
            stack.enter_context(at_work(one, copy))
        for number in range((SOAK if soak else EVERYDAY) // 2):
            if number % SHIP_EVERY == 0:
                ship(arm.ledger, copies[0])
            for which in drawn.sample((0, 1), 2):
                place.unlink(missing_ok=True)
                place.symlink_to(both[which].watcher_home)
                began = time.perf_counter()
                ask(client, world.issuer, step)
                waits[which].append(time.perf_counter() - began)
    t, error = welch(*waits)
    smallest_ms = T_LIMIT * error * 1000
    said = f"t = {t:.2f} over {len(waits[0])} requests each; {smallest_ms:.3f} ms or more would have shown"
    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")

    assert abs(t) < T_LIMIT, said
    assert arm.watcher.hits(READER)[0]
