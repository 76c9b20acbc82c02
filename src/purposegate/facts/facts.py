"""`ForceFacts`: the gate's one source of what the force's own data says about a lookup and about a record."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from purposegate.conflicts import relations as conflicts_file
from purposegate.conflicts.circle import Seen, seen
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.written import local_day
from purposegate.facts import bands as facts_file
from purposegate.facts.bands import Bands
from purposegate.facts.budgets import Budget
from purposegate.facts.history import Count, History
from purposegate.facts.sights import Sights
from purposegate.facts.snapshot import Reader, Snapshot
from purposegate.facts.sources import FactsPaths, Refusal
from purposegate.model import (
    Conflict,
    Lookup,
    LookupFacts,
    RecordFacts,
    Row,
    Whose,
)

INVOLVED = "reference-involves-record"
"""The declared reference is open, assigned to the principal now, and names the record."""

ROWS_A_TURN = 10
"""Rows compared before the loop is given a turn: about 2 ms, so that one long list does not hold up everybody else."""


class ForceFacts:
    """Implements `protocols.Facts` from six CSV files and the ledger's counts.

    Build it with `load`. `refresh` reads changed files again; nothing here starts a task of its own for it.
    """

    def __init__(
        self,
        relations: Relations,
        bands: Bands,
        reader: Reader,
        history: History,
        clock: Callable[[], datetime],
    ) -> None:
        self._relations = relations
        self._bands = bands
        self._reader = reader
        self._clock = clock
        self._history = history
        self._snapshot, _ = reader.read(None, clock())

    @classmethod
    async def load(
        cls,
        *,
        conflicts: Path,
        policy: Path,
        paths: FactsPaths,
        counts: Count,
        clock: Callable[[], datetime],
        history: History | None = None,
    ) -> "ForceFacts":
        """Read conflicts.yaml, facts.yaml and the six files, off the loop. `clock` gives aware moments.

        On a reload pass the old one's `history`, so that lookups in flight stay counted. Raises `PolicyError` or
        `ImportRefused` with every fault of the first faulty file; nothing is kept then.
        """

        def read() -> ForceFacts:
            relations, bands = conflicts_file.load(conflicts), facts_file.load(policy)
            kept = history or History(counts)
            return cls(relations, bands, Reader(relations, bands, paths), kept, clock)

        return await asyncio.to_thread(read)

    @property
    def relations(self) -> Relations:
        """conflicts.yaml as loaded."""
        return self._relations

    @property
    def history(self) -> History:
        """Counts of sights, to hand to the next `load`."""
        return self._history

    @property
    def versions(self) -> Mapping[str, str]:
        """SHA-256 of each file in use, hex, by source."""
        return {name: source.digest for name, source in self._snapshot.sources.items()}

    @property
    def digest(self) -> str:
        """SHA-256 over the sources in use, hex."""
        lines = (f"{name} {digest}\n" for name, digest in sorted(self.versions.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    async def refresh(self) -> tuple[Refusal, ...]:
        """Read changed files again, off the loop, and swap all of them in at once.

        A file that is gone or faulty is refused whole: the one in use stays and ages until it is stale.
        """
        self._snapshot, refusals = await asyncio.to_thread(self._reader.read, self._snapshot, self._clock())
        return refusals

    async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
        """Unit, tenure, duty; state of the reference. Raises `FactsOutage(facts-stale)` unless `stale_ok`."""
        snapshot, declaration = self._snapshot, lookup.declaration
        sources = ["directory", "duty", *(["references", "assignments"] if declaration.ref else [])]
        if not stale_ok:
            snapshot.check_age(self._bands, lookup.at, *sources)
        principal = lookup.principal.id
        member = snapshot.directory.member(principal)
        today = local_day(lookup.at, self._bands.zone)
        days = (today - member.joined).days if member and member.joined else None
        return LookupFacts(
            unit=(member.unit if member else "") or "unknown",
            tenure=self._bands.tenure(days),
            on_duty=snapshot.is_on_duty(principal, lookup.at),
            ref_state=snapshot.ref_state(declaration.ref, principal, lookup.at),
            as_of=snapshot.oldest(*sources),
            numbers={} if days is None else {"days_in_post": days},
        )

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        """Ties of principal, originator and recipient to each row's people, and what explains the lookup; in order.

        Rows known by id alone are welcome. Raises `FactsOutage` (`register-stale`, `facts-stale`) unless `stale_ok`.
        """
        snapshot, ref = self._snapshot, lookup.declaration.ref
        sources = [
            "register",
            "directory",
            *(["references", "assignments", "reference_records"] if ref else []),
        ]
        if not stale_ok:
            snapshot.check_age(self._bands, lookup.at, *sources)
        is_assigned = snapshot.ref_state(ref, lookup.principal.id, lookup.at) == "assigned"
        as_of = snapshot.oldest(*sources)
        found: list[RecordFacts] = []
        for turn, row in enumerate(rows):
            if turn and turn % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
            is_involved = is_assigned and snapshot.involves(ref, row.record)
            ties = _ties(snapshot, lookup, seen(row))
            found.append(
                RecordFacts(conflicts=ties, explained_by=(INVOLVED,) if is_involved else (), as_of=as_of)
            )
        return tuple(found)

    async def known_as(self, staff_id: str) -> str:
        """The directory's own spelling of somebody who works here today; empty where it holds nobody such."""
        member = self._snapshot.directory.member(staff_id)
        if member is None or not member.is_employed(local_day(self._clock(), self._bands.zone)):
            return ""
        return member.id

    def sights(self, lookup: Lookup, *, tenure: str) -> Sights:
        """The counting of one lookup, with nothing reserved yet; `take` then raises `LedgerOutage`."""
        return Sights(self._history, Budget(self._bands, lookup, tenure=tenure))


def _ties(snapshot: Snapshot, lookup: Lookup, record: Seen) -> tuple[Conflict, ...]:
    declaration = lookup.declaration
    behind = (
        (Whose.PRINCIPAL, lookup.principal.id),
        (Whose.ORIGINATOR, declaration.originator),
        (Whose.RECIPIENT, declaration.recipient),
    )
    return tuple(
        tie
        for whose, staff_id in behind
        if staff_id
        for tie in snapshot.ties.of(staff_id, whose, record, at=lookup.at)
    )
