"""Reading the evidence is a lookup (law 11): by somebody named, under an audit or subject-rights purpose, with an entry."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from purposegate.errors import SettingsError
from purposegate.ledger.brief import opened
from purposegate.ledger.entry import Leaf, Payload, read_leaf
from purposegate.ledger.index import Hit, Opener
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.location import Location
from purposegate.ledger.quorum import Witnesses
from purposegate.ledger.store import Reader
from purposegate.model import Entry, EntryKind, Receipt

FAMILIES = ("audit", "rights")
"""The purposes of reference domain that open the evidence (DPA 2018 s.62(4) limits what logs may be used for)."""
SHORTEST_REASON = 10


class ReadingDeclared(NamedTuple):
    """Who reads, and why. `reader` is a name that the force knows; `system_user` is what the system proved."""

    reader: str
    system_user: str
    purpose: str
    reason: str
    ref: str = ""

    def require(self) -> None:
        """Raise SettingsError unless this may open the evidence."""
        if not self.reader:
            raise SettingsError("say who reads: --as")
        if self.purpose.split(".")[0] not in FAMILIES:
            raise SettingsError(f"--purpose: reading the evidence takes a purpose of {' or '.join(FAMILIES)}")
        if len(self.reason.strip()) < SHORTEST_REASON:
            raise SettingsError("--reason: say in a sentence what you are looking into")


class Shown(NamedTuple):
    """One entry as it is shown to its reader. `payload` is None where it was erased or does not open."""

    shard: str
    number: int
    leaf: Leaf
    payload: Payload | None


def declare(
    location: Location,
    meta: Mapping[str, bytes],
    reading: ReadingDeclared,
    asked: Mapping[str, Any],
    witnesses: Witnesses | None = None,
) -> Receipt:
    """Write the entry of a reading, before anything is shown, and have it cosigned where witnesses are given.

    Raises SettingsError, LedgerOutage: then show nothing.
    """
    reading.require()
    entry = Entry(
        kind=EntryKind.READING,
        lookup_id=str(uuid4()),
        at=datetime.now(UTC),
        released=True,
        fields={
            "principal": reading.reader,
            "system_user": reading.system_user,
            "purpose": reading.purpose,
            "reason": reading.reason,
            "ref": reading.ref,
            "asked": dict(asked),
        },
    )
    with opened(location, meta["origin"].decode(), witnesses) as ledger:
        return ledger.append_wait(entry)


def show(reader: Reader, ring: KeyRing, hits: Sequence[Hit]) -> list[Shown]:
    """The entries found, opened, in the order given."""
    shards = reader.shards()
    names = {row.number: row.name for row in shards}
    opener = Opener(ring, shards)
    return [
        Shown(names[hit.shard], stored.index, read_leaf(stored.leaf), opener.payload(hit.shard, stored))
        for hit in hits
        for stored in reader.entries(hit.shard, hit.number, hit.number + 1)
    ]
