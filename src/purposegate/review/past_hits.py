"""What looking back found, as an entry: a tie learnt later is on the work list beside what was raised at the time. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from purposegate.conflicts.lookback import PastHit
from purposegate.model import Entry, EntryKind, Identity, Whose

MOST_ROWS = 2_000
"""Hits in one entry; more of them are several entries."""


def entries_of(
    hits: Sequence[PastHit], *, lookup_id: str, at: datetime, reading: Mapping[str, Any]
) -> list[Entry]:
    """Entries that hold these hits. `reading` says who looked back and why.

    No field of it may be called `principal`: the reader would be taken for somebody who looked the records up.
    """
    rows = [_row(hit) for hit in hits]
    return [
        Entry(
            kind=EntryKind.PAST_HIT,
            lookup_id=lookup_id,
            at=at,
            released=False,
            fields=dict(reading),
            rows=rows[first : first + MOST_ROWS],
        )
        for first in range(0, len(rows), MOST_ROWS)
    ]


def _row(hit: PastHit) -> dict[str, Any]:
    row = hit.row
    people = {
        Whose.PRINCIPAL: row.principal,
        Whose.ORIGINATOR: row.originator,
        Whose.RECIPIENT: row.recipient,
    }
    return {
        "kind": row.record.kind,
        "id": row.record.id,
        "principal": people[hit.whose],
        "whose": hit.whose.value,
        "subject": _subject(row.subjects),
        "relation": hit.entry.relation,
        "register_entry": hit.entry.id,
        "tier": hit.tier.value,
        "score_bits": hit.score_bits,
        "timing": hit.timing.value,
        "knowledge": hit.knowledge.value,
        "at": row.at.isoformat(timespec="seconds"),
        "lookup": row.lookup_id,
        "ledger": f"{row.shard_name}/{row.number}",
        "released": row.released,
    }


def _subject(subjects: Sequence[Identity]) -> str:
    """The first person's name and birth, as `bodies.subject_of` writes them."""
    for one in subjects:
        name = next((" ".join(filter(None, pair)) for pair in one.names if any(pair)), "")
        if name:
            return f"{name}, {one.born[0]}" if one.born else name
    return ""
