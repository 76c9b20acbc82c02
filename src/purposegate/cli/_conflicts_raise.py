"""Hits of looking back put on the work list, each in an entry of the ledger."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from purposegate.application import ledger_witnesses
from purposegate.cli._conflicts_force import Force
from purposegate.conflicts.lookback import PastHit
from purposegate.ledger.brief import opened
from purposegate.ledger.reading import ReadingDeclared
from purposegate.review.past_hits import entries_of


def raise_hits(force: Force, hits: Sequence[PastHit], reading: ReadingDeclared) -> None:
    """Enter these hits: durable on return. Raises SettingsError, LedgerOutage."""
    if not hits:
        return
    said = {
        "reader": reading.reader,
        "system_user": reading.system_user,
        "purpose": reading.purpose,
        "reason": reading.reason,
        "ref": reading.ref,
    }
    entries = entries_of(hits, lookup_id=str(uuid4()), at=datetime.now(UTC), reading=said)
    origin = force.reader.meta["origin"].decode()
    with opened(force.location, origin, ledger_witnesses(force.settings.ledger)) as ledger:
        for entry in entries:
            ledger.append_wait(entry)
