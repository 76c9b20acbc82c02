"""What does the gate cost a Python records system that embeds it?

Beside the same system bare and beside a hand-written middleware that asks Cerbos and records nothing. All arms are up at once,
one worker each; rounds take them in turn, and ratios are taken within a round.
"""

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.embedded_arms import GATED
from benchmarks.embedded_world import ROOT, build
from benchmarks.load import Measured, measure
from benchmarks.servers import Server, cpu_s, serving
from benchmarks.summary import merge
from purposegate.decision.binary import find
from purposegate.decision.process import configuration

ARMS = ("bare", "asgi", "handwritten", *GATED)
CLIENTS = (1, 32)
ROUNDS = 5
SECONDS = 2.0
CHANCE_TIES = 0.005
"""Some records resemble somebody in the directory by chance and are refused, as they would be in life; seen: 3 of 4,000."""
LADDER = (("asgi", "bare"), ("pipeline", "asgi"), ("facts", "pipeline"), ("pdp", "facts"), ("gate", "pdp"))
"""Each step's arm, and the arm it adds to."""


@dataclass(frozen=True, slots=True)
class Run:
    """One arm in one round: what the load saw, and processor microseconds a request of everything but the load itself."""

    seen: Measured
    cpu_us: float


def main() -> None:
    """Measure and merge."""
    with tempfile.TemporaryDirectory(prefix="purposegate-bench-") as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        binary = find(None, ROOT).path
        lookups = build(home, binary)
        pdp = stack.enter_context(cerbos(home, binary))
        servers = {arm: stack.enter_context(_serving(arm, home)) for arm in ARMS}
        first = lookups.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        for arm, server in servers.items():
            prove(arm, server, first)
        runs = measure_all(servers, lookups, pdp)
    figures = summarise(runs)
    for name, figure in sorted(figures.items()):
        print(f"{name:45} {figure:12.3f}")
    merge(figures, question="embedded")


@contextlib.contextmanager
def cerbos(home: Path, binary: Path) -> Iterator[int]:
    """A Cerbos for the hand-written arm, with the same policies and the same settings as the gate's. Gives its pid."""
    socket, config = home / "pdp.sock", home / "pdp.json"
    config.write_text(configuration(home / "policies/cerbos", socket), encoding="utf-8")
    process = subprocess.Popen(
        [binary, "server", f"--config={config}", "--log-level=error", "--debug-listen-addr="]
    )
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the hand-written arm's Cerbos did not start")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


def _serving(arm: str, home: Path) -> contextlib.AbstractContextManager[Server]:
    mine = home / arm
    if arm in GATED:
        # A ledger, a Cerbos and copies of the facts of its own, so that arms share nothing but the machine.
        shutil.copytree(home, mine, ignore=shutil.ignore_patterns(*ARMS, "pdp.*", "lookups.tsv"))
    environment = {"EMBEDDED_ARM": arm, "EMBEDDED_HOME": str(mine), "EMBEDDED_CERBOS": str(home / "pdp.sock")}
    return serving("benchmarks.embedded_arms:app", environment)


def prove(arm: str, server: Server, lookup: list[str]) -> None:
    """Show that an arm does what it is measured for. Raises `RuntimeError`."""
    path, headers = lookup[0], dict(zip(lookup[1::2], lookup[2::2], strict=True))
    good = httpx.get(server.address + path, headers=headers, timeout=30)
    undeclared = {name: value for name, value in headers.items() if name != "access-purpose"}
    bad = httpx.get(server.address + path, headers=undeclared, timeout=30)
    receipt = good.headers.get("purposegate-receipt", "")
    expected_bad = 428 if arm in GATED else 403 if arm == "handwritten" else 200
    expected = (200, expected_bad, arm in GATED, arm == "gate")
    proved = (
        good.status_code,
        bad.status_code,
        bool(receipt),
        bool(receipt) and not receipt.startswith("memory;"),
    )
    if proved != expected or path.rsplit("/", 1)[1] not in good.text or not 1_900 < len(good.content) < 2_200:
        raise RuntimeError(
            f"{arm}: {proved}, expected {expected}; {len(good.content)} bytes: {good.text[:300]}"
        )


def measure_all(servers: dict[str, Server], lookups: Path, pdp: int) -> dict[tuple[str, int], list[Run]]:
    """Every arm at every number of clients in every round, the order turned by one from round to round."""
    runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
    asked: dict[str, int] = dict.fromkeys(ARMS, 0)
    for round_ in range(-1, ROUNDS):
        turned = ARMS[round_ % len(ARMS) :] + ARMS[: round_ % len(ARMS)]
        for clients in CLIENTS:
            for arm in turned:
                run = _one(arm, servers[arm], pdp, lookups, clients=clients, start=asked[arm])
                asked[arm] += run.seen.requests
                if round_ >= 0:  # the first round only warms up
                    runs[arm, clients].append(run)
    return runs


def _one(arm: str, server: Server, pdp: int, lookups: Path, *, clients: int, start: int) -> Run:
    def used() -> float:
        # The gate's own Cerbos is its child; the hand-written arm's is not.
        return server.cpu_s() + (cpu_s(pdp) if arm == "handwritten" else 0)

    before = used()
    seen = measure(
        server.address,
        clients=clients,
        seconds=SECONDS,
        lookups=lookups,
        start=start,
        refused_share=CHANCE_TIES if arm in GATED else 0,
    )
    return Run(seen, (used() - before) / seen.requests * 1e6)


def summarise(runs: dict[tuple[str, int], list[Run]]) -> dict[str, float]:
    """Medians over rounds; ratios and differences are taken in each round first."""
    figures: dict[str, float] = {}
    for (arm, clients), rounds in runs.items():
        for name, values in (
            ("rps", [run.seen.rps for run in rounds]),
            ("p50_ms", [run.seen.p50_ms for run in rounds]),
            ("p99_ms", [run.seen.p99_ms for run in rounds]),
            ("cpu_us", [run.cpu_us for run in rounds]),
        ):
            figures[f"embedded.{arm}.{name}.c{clients}"] = statistics.median(values)
    for clients in CLIENTS:
        for peer in ("bare", "handwritten"):
            figures[f"embedded.rps_ratio_{peer}.c{clients}"] = _median(
                runs["gate", clients], runs[peer, clients], lambda gate, other: gate.seen.rps / other.seen.rps
            )
    figures["embedded.added_p50_ms.c1"] = _median(runs["gate", 1], runs["bare", 1], _added_ms)
    for step, below in LADDER:
        # With 32 clients in a closed loop latency is a queue; processor time is what a step costs.
        figures[f"embedded.step.{step}.p50_ms.c1"] = _median(runs[step, 1], runs[below, 1], _added_ms)
        figures[f"embedded.step.{step}.cpu_us.c32"] = _median(
            runs[step, 32], runs[below, 32], lambda upper, lower: upper.cpu_us - lower.cpu_us
        )
    return figures


def _added_ms(upper: Run, lower: Run) -> float:
    return upper.seen.p50_ms - lower.seen.p50_ms


def _median(ones: list[Run], others: list[Run], compare: Callable[[Run, Run], float]) -> float:
    """The median over rounds of what comparing two arms in one round gives."""
    return statistics.median(compare(one, other) for one, other in zip(ones, others, strict=True))


if __name__ == "__main__":
    main()
