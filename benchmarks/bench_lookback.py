"""How long does one register entry, or a thousand, take against ten million past lookups?

The past is generated: the index has ten million rows of 5,000 members of staff, each with the eight or so tokens of one person
seen. Those whose entries are asked for saw real febrl4 people, so that strangers share a name or a birth with the entry as often
as they do; everybody else's tokens are random, since another member of staff's never match. Whatever the index proposes is read
out of a real ledger of 5,000 sealed entries, opened and scored; so many payloads fit in memory, ten million do not all.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # where febrl is read out of its wheel, for tests and benchmarks alike

import febrl  # noqa: E402
from benchmarks.summary import merge  # noqa: E402
from past_lookups import RULES, lookup, write_ledger  # noqa: E402
from purposegate.conflicts.lookback import LookBack, PastRow, Tokens, row_keys  # noqa: E402
from purposegate.conflicts.prefilter import Key  # noqa: E402
from purposegate.conflicts.register import RegisterEntry  # noqa: E402
from purposegate.conflicts.sightings import SHARD_SHIFT, Sightings, Where  # noqa: E402
from purposegate.ledger import keys  # noqa: E402
from purposegate.ledger.sqlite_reader import SqliteReader  # noqa: E402
from purposegate.model import RecordRef  # noqa: E402
from purposegate.review.past import Past  # noqa: E402

STAFF = 5_000
ENTRIES = 1_000
SECRET = bytes(32)
KNOWN_BY = date(2026, 11, 20)
RANDOM_ROWS = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT OR IGNORE INTO seen SELECT ((?2 << 32) | (random() & 0xffffffff)), ?3 + i / ?4, 0 FROM n
"""


def saw(number: int, pool: int) -> int:
    """Which of the real people the lookup of this number saw: all of them in turn, in no order that means anything."""
    return number * 2_654_435_761 % pool


class Pooled(Past):
    """A past of ten million lookups whose payloads are those of a smaller ledger: what is read is real, and whose is not."""

    def __init__(self, reader: SqliteReader, ring: keys.KeyRing, pool: int) -> None:
        super().__init__(reader, ring)
        self._pool = pool
        self.opened = 0

    def at(self, places: Iterable[Where]) -> Iterator[PastRow]:
        """The payload that stands for each place."""
        for where in places:
            self.opened += 1
            stored = saw(where.number, self._pool) + 1
            yield from self.rows(where.shard, stored, stored + 1)


def entry(place: int, person: febrl.Listed) -> RegisterEntry:
    """A new entry of one of the members of staff whose past is real."""
    return RegisterEntry(
        id=str(place),
        principal=f"S{place}",
        relation="associate",
        provenance="vetting",
        person=person.identity,
        homes=(),
        records=frozenset(),
        valid_from=None,
        valid_to=None,
        known_from=KNOWN_BY,
        declared_by="",
    )


def build(path: Path, lookups: int, seen: Sequence[frozenset[Key]]) -> float:
    """Fill an index with so many past lookups; returns how many tokens a lookup has."""
    index, tokens, each = Sightings(path, SECRET), Tokens(SECRET), lookups // STAFF
    mean = round(statistics.fmean(map(len, seen)))
    db = index._db  # noqa: SLF001  # what has random tokens cannot come through its front door
    db.pragma("cache_size", -262_144)
    base = 1 << SHARD_SHIFT
    halves = {member: tokens.of(f"S{member}", [("x",)])[0] >> 32 for member in range(STAFF)}
    with db:
        for member in sorted(range(STAFF), key=halves.__getitem__):  # as a tree is best filled
            first = base + member * each
            if member < ENTRIES:
                rows = [
                    (token, first + at, 0)
                    for at in range(each)
                    for token in tokens.of(f"S{member}", seen[saw(member * each + at, len(seen))])
                ]
                db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", sorted(rows))
            else:
                db.execute(RANDOM_ROWS, (each * mean, halves[member], first, mean))
        db.execute("INSERT INTO done VALUES (1, ?)", (lookups,))
    index.close()
    return mean


def people_seen(member: int, each: int, records: Sequence[febrl.Listed]) -> set[str]:
    """The true people whom one member of staff looked up."""
    return {records[saw(number, len(records))].truth for number in range(member * each, (member + 1) * each)}


def main() -> int:
    """Measure, print, merge. Returns the exit status: 1 where a promise was not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--millions", type=int, default=10)
    millions: int = parser.parse_args().millions
    folder = Path(tempfile.mkdtemp(dir=ROOT / ".cache"))
    try:
        return measure(folder, millions)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, millions: int) -> int:
    """One run in a folder of its own."""
    records, others = febrl.people("dataset4b"), febrl.people("dataset4a")[:ENTRIES]
    at = datetime(2025, 1, 1, tzinfo=UTC)
    ledger = write_ledger(
        folder / "l.db",
        [lookup(place, one.identity, at=at, record=one.id) for place, one in enumerate(records)],
    )
    ring = keys.load(ledger.with_name("l.db.keys"))
    reader = SqliteReader(ledger)
    past = Pooled(reader, ring, len(records))
    (model,) = past.rows(1, 1, 2)
    seen = [
        row_keys(replace(model, record=RecordRef("person", one.id), subjects=(one.identity,)))
        for one in records
    ]
    mean = build(folder / "seen.db", millions * 1_000_000, seen)
    each = millions * 1_000_000 // STAFF
    looking = LookBack(RULES.matching, zone=ZoneInfo("Europe/London"))
    index = Sightings(folder / "seen.db", SECRET)
    waits, hits = [], 0
    for place, person in enumerate(others):
        began = time.perf_counter()
        one = entry(place, person)
        for row in past.at(index.candidates(one, {})):
            hits += looking.weigh(one, replace(row, principal=one.principal), known_by=KNOWN_BY) is not None
        waits.append(time.perf_counter() - began)
    index.close()
    reader.close()
    theirs = sum(one.truth in people_seen(place, each, records) for place, one in enumerate(others))
    print(f"{hits} hits; {theirs} of {ENTRIES} saw the person of their entry")
    size = f"{millions}m"
    figures = {
        f"lookback.one_entry_s.{size}": statistics.median(waits),
        f"lookback.one_entry_worst_s.{size}": max(waits),
        f"lookback.thousand_entries_s.{size}": sum(waits),
        f"lookback.weighed_each.{size}": past.opened / len(others),
        f"lookback.tokens_each.{size}": mean,
        f"lookback.index_mib.{size}": (folder / "seen.db").stat().st_size / 2**20,
    }
    for name, figure in figures.items():
        print(f"{name:40} {figure:.5f}")
    merge(figures, question="lookback")
    kept = (
        figures[f"lookback.one_entry_worst_s.{size}"] < 1
        and figures[f"lookback.thousand_entries_s.{size}"] < 60
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
