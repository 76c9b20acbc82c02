"""Links as other systems export them: `source_kind,source_id,relation,target_kind,target_id,from,to`, all or nothing."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from zoneinfo import ZoneInfo

from purposegate.conflicts.dates import Interval, read_end, read_start
from purposegate.facts.links import Link, node
from purposegate.feeds.reading import Source, opened
from purposegate.feeds.table import Line, Table, required

COLUMNS = ("source_kind", "source_id", "relation", "target_kind", "target_id", "from", "to")
WORD = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
WANTED = "a word of a-z, 0-9 and -, as facts.yaml writes it"
MOMENT = "a day as YYYY-MM-DD, or a moment with offset such as 2026-11-21T08:00:00Z, or nothing"


class LinkFeed:
    """Links with when they were true; `digest` (SHA-256, hex) stands once all were taken."""

    def __init__(self, links: Iterable[Link], as_of: datetime) -> None:
        self._links = links
        self._sum = sha256()
        self.as_of = as_of

    def __iter__(self) -> Iterator[Link]:
        """Every link, once."""
        for link in self._links:
            self._sum.update(repr(link).encode("utf-8", "surrogateescape"))
            yield link

    @property
    def digest(self) -> str:
        """SHA-256 over the links taken so far, hex."""
        return self._sum.hexdigest()


class FileFeed:
    """The links of a file, one line at a time: memory does not grow with it. `as_of` and `digest` stand once all were taken."""

    def __init__(self, source: Source, *, now: datetime, zone: ZoneInfo) -> None:
        """`source` is CSV, JSON Lines or a query in YAML, as every feed may be."""
        self._source = source
        self._zone = zone
        self.as_of = self._now = now
        self.digest = ""

    def __iter__(self) -> Iterator[Link]:
        """Every link of a line that is in order. Raises `ImportRefused`, at the end where only lines were wrong."""
        moments = Moments(self._zone)
        with opened(self._source, COLUMNS, now=self._now) as table:
            for line in table.rows:
                link = _link(table, line, moments)
                if link:
                    yield link
            table.close()
        self.as_of, self.digest = table.as_of, table.digest


class Moments:
    """Reads from and to; exports repeat the same few days millions of times."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.start = lru_cache(maxsize=65_536)(lambda text: read_start(text, zone))
        self.end = lru_cache(maxsize=65_536)(lambda text: read_end(text, zone))


def _word(text: str) -> str:
    if not WORD.fullmatch(text):
        raise ValueError
    return text


def _link(table: Table, line: Line, moments: Moments) -> Link | None:
    taken = [table.take(line, column, _word, WANTED) for column in ("source_kind", "relation", "target_kind")]
    ids = [table.take(line, column, required, "an id") for column in ("source_id", "target_id")]
    start = table.take(line, "from", moments.start, MOMENT)
    end = table.take(line, "to", moments.end, MOMENT)
    if not all(taken) or not all(ids) or start is None or end is None:
        return None
    if not start < end:
        table.fault(line.number, "to", "a moment after from, or nothing")
        return None
    source_kind, relation, target_kind = map(str, taken)
    source, target = map(str, ids)
    return Link(node(source_kind, source), relation, node(target_kind, target), Interval(start, end))
