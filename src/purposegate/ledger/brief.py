"""A ledger opened by a command for the entry that it leaves, and closed again."""

from collections.abc import Iterator
from contextlib import contextmanager

from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.location import Location
from purposegate.ledger.quorum import Witnesses


@contextmanager
def opened(location: Location, origin: str, witnesses: Witnesses | None = None) -> Iterator[DurableLedger]:
    """The ledger, open for appending in the first free shard.

    With `witnesses` closing it has what was written cosigned, so that no entry waits for a gate to continue the shard; one that
    cannot is logged, and the entry stands all the same. Raises SettingsError, LedgerOutage.
    """
    with location.open(origin=origin, limits=Limits(ballast_bytes=0)) as ledger:
        if witnesses is not None and witnesses.places:
            ledger.push_to(witnesses)
        yield ledger
