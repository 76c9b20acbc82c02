"""How long does the register's store take to say what it knows of one member of staff, at two million entries?

The entries are generated and go in by the door that any import uses: a CSV file, read strictly and sealed row by row. Each of
150,000 members of staff has about thirteen: names, a date of birth, an address with the time lived there, and for every fourth
one a record id. A lookup is everything: the bucket read and held against its pin, this person's rows opened, the entries built.
Members of staff are asked for in random order, so that no page was just read for the one before; the operating system's cache
holds what it holds on this machine, which after the import is the file where memory allows it.
"""

import argparse
import csv
import gc
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.summary import merge
from purposegate.conflicts import relations
from purposegate.conflicts.register import COLUMNS
from purposegate.conflicts.register_import import MAIN_FEED, Feed, taking
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_store import StoredRegister

ROOT = Path(__file__).parents[1]
RULES = relations.load(ROOT / "policies" / "conflicts.yaml")
LONDON = ZoneInfo("Europe/London")
ENTRIES = 2_000_000
STAFF = 150_000
LOOKUPS = 20_000
WARMING = 2_000
RELATIONS = ("partner", "parent", "sibling", "child", "friend", "relative", "in_law", "ex_partner")
SYLLABLES = (
    "an",
    "be",
    "cor",
    "dal",
    "el",
    "fin",
    "gra",
    "hol",
    "is",
    "jen",
    "ka",
    "lo",
    "mar",
    "ni",
    "or",
    "pe",
)


def word(number: int) -> str:
    """A name that number stands for."""
    return "".join(SYLLABLES[number >> shift & 15] for shift in (0, 4, 8)).capitalize()


def rows(entries: int, staff: int, chance: random.Random) -> Iterator[list[str]]:
    """The register's rows, in the order of COLUMNS."""
    for number in range(entries):
        born = f"{chance.randint(1935, 2015)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        road, town = word(chance.getrandbits(12)), word(chance.getrandbits(12))
        code = f"AB{chance.randint(1, 99)} {chance.randint(1, 9)}CD"
        home = f"{chance.randint(1, 200)}|{road} Road||{town}|{code}|2015-03-01|"
        yield [
            f"r{number}",
            f"E{number % staff}",
            chance.choice(RELATIONS),
            "vetting",
            f"{word(chance.getrandbits(12))}|{word(chance.getrandbits(12))}",
            born,
            home,
            "",
            "",
            f"person:{chance.getrandbits(40)}" if number % 4 == 0 else "",
            "2018-01-01",
            "",
            "2019-05-01",
            "",
            "",
        ]


def write(path: Path, entries: int, staff: int) -> None:
    """The feed's file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"#as_of={datetime.now(UTC).isoformat(timespec='seconds')} rows={entries}\n")
        sheet = csv.writer(file)
        sheet.writerow(COLUMNS)
        sheet.writerows(rows(entries, staff, random.Random(7)))


def rss_mb() -> float:
    """What this process holds, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def time_lookups(register: StoredRegister, staff: int, lookups: int) -> tuple[list[float], list[float]]:
    """How long each lookup took, ms, sorted: on the clock, and of this thread's processor."""
    chance = random.Random(11)
    wanted = [f"E{chance.randrange(staff)}" for _ in range(lookups)]
    taken, worked = [], []
    for principal in wanted:
        began, busy = time.perf_counter(), time.thread_time()
        found = register.entries_of(principal)
        worked.append((time.thread_time() - busy) * 1e3)
        taken.append((time.perf_counter() - began) * 1e3)
        if not found:
            raise RuntimeError("a member of staff without entries")
    return sorted(taken), sorted(worked)


def place_in(folder: Path) -> RegisterPlace:
    """The store of this measurement."""
    return RegisterPlace(path=folder / "register.db", url_file=None, key_file=folder / "register.keys")


def fill(folder: Path, entries: int, staff: int) -> float:
    """Fill the store by an import; how long it took, s."""
    store = place_in(folder).open(create=True)
    write(folder / "register.csv", entries, staff)
    began = time.perf_counter()
    feed = Feed(name=MAIN_FEED, source=folder / "register.csv", least_share=0.8)
    with taking(store, feed, RULES, now=datetime.now(UTC), zone=LONDON) as pending:
        pending.commit()
    return time.perf_counter() - began


def measure(folder: Path, staff: int) -> dict[str, float]:
    """Load the store as a gate does, in a process that has done nothing else, and ask it."""
    gc.collect()
    before = rss_mb()
    began = time.perf_counter()
    register = place_in(folder).open().load(RULES)
    load_ms = (time.perf_counter() - began) * 1e3
    time_lookups(register, staff, WARMING)
    taken, worked = time_lookups(register, staff, LOOKUPS)
    return {
        "register.load_ms": round(load_ms, 1),
        "register.lookup_p50_ms": round(taken[len(taken) // 2], 4),
        "register.lookup_p99_ms": round(taken[len(taken) * 99 // 100], 4),
        "register.lookup_cpu_p99_ms": round(worked[len(worked) * 99 // 100], 4),
        "register.file_mb": round((folder / "register.db").stat().st_size / 1e6, 1),
        "register.memory_mb": round(max(0.0, rss_mb() - before), 1),
    }


def main() -> int:
    """Measure and merge. Returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", type=int, default=ENTRIES)
    options.add_argument("--no-merge", action="store_true")
    options.add_argument("--keep", type=Path, help="a folder that keeps its store, to be asked again")
    asked = options.parse_args()
    staff = max(1, asked.entries * STAFF // ENTRIES)
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="register-"))
    try:
        figures: dict[str, float] = {"register.entries": asked.entries}
        if not (folder / "register.db").exists():
            folder.mkdir(exist_ok=True)
            # In a process of its own: what an import takes is no part of what serving does.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                import_s = pool.apply(fill, (folder, asked.entries, staff))
            figures["register.import_s"] = round(import_s, 1)
        figures |= measure(folder, staff)
    finally:
        if not asked.keep:
            shutil.rmtree(folder)
    for name, figure in figures.items():
        print(f"{name:28} {figure:>12}")
    if not asked.no_merge:
        merge(figures, question="register")
    return 0


if __name__ == "__main__":
    sys.exit(main())
