"""How many full entries a second does the ledger make durable, what does one add to a lookup, and what do verify and search cost?

Side by side, in turn, the same entries, encoding, encryption, tree and writer: the SQLite ledger with group commit; the same with
one commit an entry; a plain file with one fdatasync a batch; PostgreSQL. Then with and without a witness that it is pushed to.
Then a ledger is filled, verified and searched. `--entries` names other sizes than one and five million, for a look in minutes
instead of half an hour; `--only` runs one part, whose figures replace only their own.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # where the test server of PostgreSQL is

from benchmarks.ledger_world import (  # noqa: E402
    CASES,
    PRINCIPALS,
    RECORDS,
    START,
    SURNAMES,
    lookup,
    open_file,
    open_sqlite,
)
from benchmarks.summary import merge  # noqa: E402
from peers.postgres_server import PostgresServer  # noqa: E402
from peers.postgres_site import PostgresSite  # noqa: E402
from purposegate.ledger import keys  # noqa: E402
from purposegate.ledger.durable import DurableLedger  # noqa: E402
from purposegate.ledger.index import Criteria, Index  # noqa: E402
from purposegate.ledger.quorum import Witnesses  # noqa: E402
from purposegate.ledger.reading import show  # noqa: E402
from purposegate.ledger.sqlite_reader import SqliteReader  # noqa: E402
from purposegate.ledger.terms import Found, Term, subject  # noqa: E402
from purposegate.ledger.verify import verify_file  # noqa: E402
from witnesses import RunningWitness, vkeys  # noqa: E402

WRITERS = (1, 32, 256)
ROUNDS, SECONDS = 3, 2.0
MILLION = 1_000_000
QUERIES = 200
PUSHED_EVERY_S, PUSHED_ROUNDS = 0.5, 7
FAR = 50


class Measured(NamedTuple):
    """One arm at one number of writers."""

    per_s: float
    p50_ms: float
    p99_ms: float


@contextmanager
def arms(folder: Path, server: PostgresServer) -> Iterator[dict[str, DurableLedger]]:
    """Every arm, open."""
    for name in ("group", "one", "file", "postgres"):
        (folder / name).mkdir()
    opened = {
        "": open_sqlite(folder / "group"),
        "one_commit": open_sqlite(folder / "one", batch_entries=1),
        "file": open_file(folder / "file"),
        "postgres": PostgresSite(folder / "postgres", server).open(),
    }
    try:
        yield opened
    finally:
        for ledger in opened.values():
            ledger.close()


async def load(ledger: DurableLedger, writers: int, chance: random.Random) -> Measured:
    """Closed loop: each writer appends its next entry when its last is durable. Latency is that of `append` alone."""
    waits: list[float] = []
    begun = time.perf_counter()

    async def write() -> None:
        while time.perf_counter() < begun + SECONDS:
            entry = lookup(len(waits), chance)
            asked = time.perf_counter()
            await ledger.append(entry)
            waits.append(time.perf_counter() - asked)

    await asyncio.gather(*(write() for _ in range(writers)))
    took = time.perf_counter() - begun
    waits.sort()
    return Measured(len(waits) / took, waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3)


def compare(folder: Path) -> dict[str, float]:
    """Figures of all arms: medians of the rounds."""
    server = PostgresServer()
    found: dict[tuple[str, int], list[Measured]] = {}
    try:
        server.start()
        server.prepare()
        with arms(folder, server) as opened:
            for number in range(ROUNDS):
                for name, ledger in opened.items():
                    for writers in WRITERS:
                        chance = random.Random(f"{number} {writers}")
                        found.setdefault((name, writers), []).append(
                            asyncio.run(load(ledger, writers, chance))
                        )
    finally:
        server.close()
    figures: dict[str, float] = {}
    for (name, writers), rounds in found.items():
        prefix = f"ledger.{name}." if name else "ledger."
        figures[f"{prefix}entries_per_s.c{writers}"] = round(statistics.median(each.per_s for each in rounds))
        figures[f"{prefix}added_p50_ms.c{writers}"] = round(
            statistics.median(each.p50_ms for each in rounds), 3
        )
        figures[f"{prefix}added_p99_ms.c{writers}"] = round(
            statistics.median(each.p99_ms for each in rounds), 3
        )
    return figures


def push(folder: Path) -> dict[str, float]:
    """What pushing to a witness, another process, adds to an append: both ledgers in turn, medians of the rounds.

    The head is pushed every half second, four times as often as by default, so that several pushes fall into each round.
    """
    for name in ("plain", "pushing"):
        (folder / name).mkdir()
        open_sqlite(folder / name).close()
    witness = RunningWitness(folder / "witness")
    witness.know(*vkeys(folder / "pushing" / "l.db"))
    found: dict[tuple[str, int], list[Measured]] = {}
    with witness.running(), open_sqlite(folder / "plain") as plain, open_sqlite(folder / "pushing") as pushed:
        pushed.push_to(Witnesses.read([(witness.url, witness.vkey, None)], None, every_s=PUSHED_EVERY_S))
        for number in range(PUSHED_ROUNDS):
            for name, ledger in (("unpushed", plain), ("pushing", pushed)):
                for writers in (1, 32):
                    measured = asyncio.run(load(ledger, writers, random.Random(f"{number} {writers}")))
                    found.setdefault((name, writers), []).append(measured)
        (state,) = pushed.witness_states
        if state.trouble or not state.size:
            raise RuntimeError(f"the witness cosigned nothing: {state.trouble}")
    return {
        f"ledger.{name}.{figure}.c{writers}": round(
            statistics.median(getattr(one, field) for one in rounds), 3
        )
        for (name, writers), rounds in found.items()
        for figure, field in (
            ("added_p50_ms", "p50_ms"),
            ("added_p99_ms", "p99_ms"),
            ("entries_per_s", "per_s"),
        )
    }


def fdatasync_ms(folder: Path) -> float:
    """What one fdatasync after 4 KiB costs here, median: the floor of every durable append."""
    file = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT)
    waits = []
    for number in range(500):
        os.pwrite(file, b"x" * 4096, number * 4096)
        begun = time.perf_counter()
        os.fdatasync(file)
        waits.append(time.perf_counter() - begun)
    os.close(file)
    return round(statistics.median(waits) * 1e3, 3)


def fill(path: Path, size: int) -> None:
    """Append until the ledger holds so many entries."""

    async def some(ledger: DurableLedger, numbers: Iterator[int], chance: random.Random) -> None:
        for number in numbers:
            await ledger.append(lookup(number, chance))

    async def all_of(ledger: DurableLedger) -> None:
        chance = random.Random(ledger.size)
        numbers = iter(range(ledger.size, size))
        await asyncio.gather(*(some(ledger, numbers, chance) for _ in range(256)))

    with open_sqlite(path) as ledger:
        asyncio.run(all_of(ledger))


def timed(work: Callable[..., Any], *given: Any, **named: Any) -> tuple[Any, float]:
    """What the work gives, and the seconds it took."""
    begun = time.perf_counter()
    return work(*given, **named), time.perf_counter() - begun


def questions(size: int) -> Iterator[Criteria]:
    """What investigators ask, with terms that exist."""
    chance = random.Random(size)
    while True:
        record, span = chance.randrange(RECORDS), chance.random()
        since = START + (lookup(size, chance).at - START) * span
        yield Criteria(terms=[Found(Term.PRINCIPAL, (f"S{chance.randrange(PRINCIPALS)}",))])
        yield Criteria(terms=[Found(Term.RECORD, ("person", f"rec-{record}"))])
        yield Criteria(terms=[Found(Term.CASE, (f"CR/{chance.randrange(CASES)}/26",))])
        yield Criteria(terms=[Found(Term.SUBJECT, (subject("michaela", f"neumann{record % SURNAMES}"),))])
        yield Criteria(terms=[Found(Term.PURPOSE, ("investigate",))], since=since, released=True)


class Asked(NamedTuple):
    """Milliseconds of a query with its entries opened: by the clock, and of this process alone; of finding them; to index.

    What the clock says over the processor's time is waiting: for other processes, and for pages that no cache held.
    """

    p50_ms: float
    p99_ms: float
    cpu_p50_ms: float
    search_p50_ms: float
    indexing_s: float


def ask(path: Path, size: int) -> Asked:
    """Index, then search and open."""
    reader = SqliteReader(path)
    ring = keys.load(path.with_name("l.db.keys"))
    index = Index(path.with_name("l.db.index"), reader, ring)
    _, indexing_s = timed(index.catch_up)
    asked = questions(size)
    waits, works, searches = [], [], []
    for _ in range(QUERIES):
        criteria, cpu_began = next(asked), time.process_time()
        hits, searched_s = timed(index.search, criteria)
        _, opened_s = timed(show, reader, ring, hits)
        waits.append(searched_s + opened_s)
        works.append(time.process_time() - cpu_began)
        searches.append(searched_s)
    index.close()
    reader.close()
    return Asked(
        statistics.median(waits) * 1e3,
        sorted(waits)[QUERIES * 99 // 100] * 1e3,
        statistics.median(works) * 1e3,
        statistics.median(searches) * 1e3,
        indexing_s,
    )


def straight(measured: Mapping[int, float], far: int) -> float:
    """Where a least-squares line through what was measured stands at `far`: an extrapolation, no measurement."""
    slope, intercept = statistics.linear_regression(list(measured), list(measured.values()))
    return slope * far + intercept


def grow(folder: Path, sizes: list[int]) -> dict[str, float]:
    """Fill, verify and search at each size."""
    figures: dict[str, float] = {}
    indexed, db_bytes, verified = 0, {}, {}
    for size in sorted(sizes):
        name = f"{size // MILLION}m" if size >= MILLION else f"{size // 1000}k"
        path = folder / "l.db"
        _, filling_s = timed(fill, folder, size)
        report, verify_s = timed(verify_file, path)
        if report.exit_code:
            raise RuntimeError(report.text())
        _, leaves_s = timed(verify_file, path, payloads=False)
        asked = ask(path, size)
        db_bytes[size], verified[size] = path.stat().st_size, verify_s
        figures |= {
            f"ledger.query_p50_ms.{name}": round(asked.p50_ms, 2),
            f"ledger.query_p99_ms.{name}": round(asked.p99_ms, 2),
            f"ledger.query_cpu_p50_ms.{name}": round(asked.cpu_p50_ms, 2),
            f"ledger.query_search_p50_ms.{name}": round(asked.search_p50_ms, 2),
            f"ledger.verify_s.{name}": round(verify_s, 1),
            f"ledger.file_gib.{name}": round(db_bytes[size] / 2**30, 3),
            "ledger.bytes_per_entry": round(db_bytes[size] / size),
            "ledger.index_bytes_per_entry": round((folder / "l.db.index").stat().st_size / size),
            "ledger.index_s_per_million": round(asked.indexing_s / (size - indexed) * MILLION, 1),
            "ledger.verify_s_per_million": round(verify_s / size * MILLION, 1),
            "ledger.verify_leaves_s_per_million": round(leaves_s / size * MILLION, 1),
        }
        indexed = size
        print(f"{size}: filled in {filling_s:.0f} s, {db_bytes[size] / 2**30:.2f} GiB", flush=True)
    if len(db_bytes) > 1:
        figures[f"ledger.extrapolated_gib.{FAR}m"] = round(straight(db_bytes, FAR * MILLION) / 2**30, 1)
        figures[f"ledger.extrapolated_verify_s.{FAR}m"] = round(straight(verified, FAR * MILLION))
    return figures


def main(words: list[str]) -> int:
    """Measure, print, merge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, action="append", help="size to fill to; may be repeated")
    parser.add_argument("--only", choices=["writers", "pushing", "growth"], help="only this part")
    asked = parser.parse_args(words)
    sizes = asked.entries or [MILLION, 5 * MILLION]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".cache") as place:
        for part in (asked.only,) if asked.only else ("pushing", "writers", "growth"):
            folder = Path(place) / part
            folder.mkdir()
            if part == "pushing":
                tell("ledger-pushing", push(folder))
            elif part == "writers":
                tell("ledger-writers", {"ledger.fdatasync_ms": fdatasync_ms(folder)} | compare(folder))
            else:
                figures = grow(folder, sizes)
                soak = bool(asked.entries)
                tell("ledger-soak" if soak else "ledger-growth", of_one_size(figures) if soak else figures)
    return 0


def of_one_size(figures: Mapping[str, float]) -> dict[str, float]:
    """Those that name their size, and so stand beside the figures of the usual sizes."""
    return {name: figure for name, figure in figures.items() if re.search(r"\.[0-9]+[km]$", name)}


def tell(question: str, figures: Mapping[str, float]) -> None:
    """Print and merge."""
    for name, figure in sorted(figures.items()):
        print(f"{name:45} {figure}")
    merge(figures, question=question)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
