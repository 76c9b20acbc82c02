"""Stand-ins for the gate's seams, for the tests and benchmarks of whoever embeds it. Never in front of real records.

Each answers without I/O: a PDP that allows everything, a force without conflicts, a ledger that lives as long as its process.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from purposegate.gate import Parts
from purposegate.ledger.merkle import leaf_hash
from purposegate.model import (
    Answer,
    Conflict,
    CountKey,
    Entry,
    Lookup,
    LookupFacts,
    Question,
    Receipt,
    RecordFacts,
    RecordRef,
    Row,
    Ruling,
    Standing,
)


class UnsafeAllowAll:
    """A PDP that allows everything. It accepts no conflict, since no rule of it could name one."""

    digest = "unverified"
    reads_record_ids = False

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        """Allow each question."""
        answers = tuple(Answer(allowed=True) for _ in questions)
        return Ruling(answers=answers, allow_rules=frozenset(), digest=self.digest, call_id=lookup_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietWords:
    """A lookup that shows nothing out of the ordinary."""

    breadth: str = "usual"
    patterns: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    counted: tuple[CountKey, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstSights:
    """A counting in which every sight is the first."""

    words: QuietWords = QuietWords()

    async def take(self, rows: Sequence[Row], found: Sequence[RecordFacts]) -> tuple[Standing, ...]:
        """Reserve nothing: each row stands as never seen before."""
        return (Standing(ordinal=1),) * len(rows)

    def settle(self, counted: Collection[CountKey]) -> None:
        """End the counting; nothing was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFacts:
    """A force that always says the same: everybody on duty, every reference assigned, `conflicts` with everybody."""

    conflicts: tuple[Conflict, ...] = ()
    unit: str = "unit"
    digest: str = "fixed"

    async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
        """The same of every lookup; never stale."""
        return LookupFacts(
            unit=self.unit,
            tenure="settled",
            on_duty=True,
            ref_state="assigned" if lookup.declaration.ref else "none",
            as_of=datetime.now(UTC),
        )

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        """The same of every record; never stale."""
        facts = RecordFacts(conflicts=self.conflicts, explained_by=(), as_of=datetime.now(UTC))
        return (facts,) * len(rows)

    async def reference_explains(self, lookup: Lookup, records: Sequence[RecordRef]) -> bool:
        """No reference explains anything."""
        return False

    async def open_references(self, staff_id: str) -> tuple[tuple[str, str], ...]:
        """Nobody is at work on anything."""
        return ()

    async def is_service(self, staff_id: str) -> bool:
        """Everybody is a person."""
        return False

    async def known_as(self, staff_id: str) -> str:
        """Everybody is known, as they call themselves."""
        return staff_id

    def sights(self, lookup: Lookup, *, tenure: str) -> FirstSights:
        """Every sight is the first."""
        return FirstSights()


@dataclass(slots=True)
class ForgetfulLedger:
    """A ledger in memory: `entries` are what it was given, in order. Nothing of it is durable."""

    entries: list[Entry] = field(default_factory=list)

    async def append(self, entry: Entry) -> Receipt:
        """Keep one entry; the leaf hash is of its lookup id alone."""
        self.entries.append(entry)
        return Receipt(
            shard="memory", index=len(self.entries) - 1, leaf_hash=leaf_hash(entry.lookup_id.encode())
        )

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """Nothing has ever been counted."""
        return (0,) * len(keys)


@dataclass(frozen=True, slots=True)
class Ready:
    """Parts that need no opening: `Gate(Ready(parts))`. May be entered again, as test clients do at each lifespan."""

    parts: Parts

    async def __aenter__(self) -> Parts:
        return self.parts

    async def __aexit__(self, *failure: object) -> None:
        return None
