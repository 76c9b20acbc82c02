"""Register entries matched against all past lookups, and how the hits are printed."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from purposegate.cli._conflicts_force import Force
from purposegate.cli._ledger_query import progress_bar
from purposegate.conflicts.lookback import LookBack, PastHit
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.sightings import Sightings
from purposegate.conflicts.written import local_day
from purposegate.review.past import Past, catch_up

COLUMNS = (
    "entry",
    "principal",
    "record",
    "at",
    "purpose",
    "ref",
    "relation",
    "tier",
    "timing",
    "knowledge",
    "ledger",
)


class Looking(NamedTuple):
    """All past lookups, indexed up to now, and what weighs entries against them."""

    past: Past
    sightings: Sightings
    looking: LookBack

    def hits(
        self, force: Force, chosen: Sequence[RegisterEntry], *, since: datetime | None = None
    ) -> Iterator[PastHit]:
        """Every past lookup that one of these entries ties its principal to."""
        # An entry that does not say since when it is known was known, as far as anybody can show, when its feed was true.
        known_by = local_day(force.register.as_of, force.zone)
        for entry in chosen:
            for row in self.past.at(self.sightings.candidates(entry, {})):
                hit = self.looking.weigh(entry, row, known_by=known_by)
                if hit and (since is None or row.at >= since):
                    yield hit

    @property
    def unread(self) -> str:
        """What could not be opened, to be said after the hits; empty for nothing."""
        return f"; {self.past.unread} entries could not be opened" if self.past.unread else ""


@contextmanager
def looking_back(force: Force) -> Iterator[Looking]:
    """Index what the ledger holds and the index does not yet, and be ready to look back."""
    past = Past(force.reader, force.ring)
    sightings = Sightings(force.location.beside(".lookback"), force.ring.term("lookback", ()))
    try:
        with progress_bar("indexing") as progress:
            catch_up(past, sightings, progress)
        yield Looking(past, sightings, LookBack(force.relations.matching, zone=force.zone))
    finally:
        sightings.close()


def _plain(hit: PastHit) -> dict[str, Any]:
    row = hit.row
    return {
        "entry": hit.entry.id,
        "relation": hit.entry.relation,
        "principal": row.principal,
        "whose": hit.whose.value,
        "record": "/".join(row.record),
        "at": row.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "action": row.action,
        "released": row.released,
        "purpose": row.purpose,
        "ref": row.ref,
        "reason": row.reason,
        "tier": hit.tier.value,
        "score_bits": hit.score_bits,
        "table": [list(line) for line in hit.table],
        "timing": hit.timing.value,
        "knowledge": hit.knowledge.value,
        "ledger": f"{row.shard_name}/{row.number}",
        "row": row.row,
        "lookup": row.lookup_id,
    }


def print_hits(hits: Sequence[PastHit], form: str) -> None:
    """The hits, as a table or a JSON line each."""
    if form == "json":
        for hit in hits:
            click.echo(json.dumps(_plain(hit), ensure_ascii=False))
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for hit in hits:
        shown = _plain(hit)
        table.add_row(*(str(shown[column]) for column in COLUMNS))
    Console(width=200, soft_wrap=True).print(table)
