"""`ForceFacts`: the gate's one source of what the force's own data says about a lookup and about a record."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from purposegate.conflicts import relations as conflicts_file
from purposegate.conflicts.circle import Seen, seen
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.written import local_day
from purposegate.errors import FactsOutage, SettingsError
from purposegate.facts import bands as facts_file
from purposegate.facts import explanations as explanations_part
from purposegate.facts.bands import Bands
from purposegate.facts.budgets import Budget
from purposegate.facts.challenge import DRAWN, NONE, PER_MILLION, DayKeys, any_drawn
from purposegate.facts.explanations import Explanations
from purposegate.facts.fishing import SEARCHED_TIE
from purposegate.facts.history import Count, History
from purposegate.facts.involvement import LINKS, Involvement
from purposegate.facts.links import LinkSource
from purposegate.facts.links_search import Walk
from purposegate.facts.own_work import open_references
from purposegate.facts.sights import Sights
from purposegate.facts.snapshot import Reader, Snapshot
from purposegate.facts.sources import FactsPaths, Refusal
from purposegate.model import (
    Action,
    Conflict,
    Lookup,
    LookupFacts,
    RecordFacts,
    RecordRef,
    Row,
    Whose,
)
from purposegate.reasons import Reason

LINKS_MAX_AGE = timedelta(hours=26)
"""How old links may be where facts.yaml does not say: a nightly feed that comes two hours late."""

WORK = ("references", "assignments", "reference_records")
"""The files that explanations rest on, beside any source of links."""

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
        *,
        explanations: Explanations,
        links: Sequence[LinkSource] = (),
        challenges: DayKeys | None = None,
    ) -> None:
        self._relations = relations
        self._bands = bands
        self._involvement = Involvement(explanations, links, bands.max_ages.get(LINKS, LINKS_MAX_AGE))
        self._reader = reader
        self._clock = clock
        self._history = history
        self._challenges = challenges
        if challenges is None and any(bands.challenge):
            raise SettingsError("facts.yaml: challenge: without a ledger to commit to, the rate must be 0")
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
        links: Sequence[LinkSource] = (),
        challenges: DayKeys | None = None,
    ) -> "ForceFacts":
        """Read conflicts.yaml, facts.yaml and the six files, off the loop. `clock` gives aware moments.

        `links` are sources of links beyond those that the files amount to; `aclose` lets go of them. `challenges` are the
        ledger's day keys. On a reload pass the old one's `history`, so that lookups in flight stay counted. Raises
        `PolicyError` or `ImportRefused` with every fault of the first faulty file; nothing is kept then.
        """

        def read() -> ForceFacts:
            relations, bands = conflicts_file.load(conflicts), facts_file.load(policy)
            kept = history or History(counts)
            paths_of = explanations_part.load(policy)
            reader = Reader(relations, bands, paths)
            return cls(
                relations,
                bands,
                reader,
                kept,
                clock,
                explanations=paths_of,
                links=links,
                challenges=challenges,
            )

        return await asyncio.to_thread(read)

    @property
    def relations(self) -> Relations:
        """conflicts.yaml as loaded."""
        return self._relations

    @property
    def zone(self) -> ZoneInfo:
        """The force's time zone, of facts.yaml."""
        return self._bands.zone

    @property
    def history(self) -> History:
        """Counts of sights, to hand to the next `load`."""
        return self._history

    @property
    def versions(self) -> Mapping[str, str]:
        """SHA-256 of each file in use, hex, by source."""
        files = {name: source.digest for name, source in self._snapshot.sources.items()}
        return files | {source.name: source.digest for source in self._involvement.sources}

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
        failed = [(source.name, await source.refresh()) for source in self._involvement.sources]
        return (*refusals, *(Refusal(name, SettingsError(fault)) for name, fault in failed if fault))

    async def aclose(self) -> None:
        """Let go of the sources of links."""
        for source in self._involvement.sources:
            await source.aclose()

    async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
        """Unit, tenure, duty; state of the reference. Raises `FactsOutage(facts-stale)` unless `stale_ok`."""
        snapshot, declaration = self._snapshot, lookup.declaration
        sources = ["directory", "duty", *(["references", "assignments"] if declaration.ref else [])]
        if not stale_ok:
            snapshot.check_age(self._bands, lookup.at, *sources)
        as_of = snapshot.oldest(*sources)
        ref_state = snapshot.ref_state(declaration.ref, lookup.principal.id, lookup.at)
        if ref_state == "open":
            walk, linked = await self._walk(snapshot, lookup, stale_ok=stale_ok)
            as_of = min(as_of, linked)
            reference = snapshot.reference(declaration.ref)
            ref_state = await self._standing(walk, reference, lookup.grace_s, stale_ok=stale_ok)
        principal = lookup.principal.id
        member = snapshot.directory.member(principal)
        today = local_day(lookup.at, self._bands.zone)
        days = (today - member.joined).days if member and member.joined else None
        tenure = self._bands.tenure(days)
        numbers = {} if days is None else {"days_in_post": days}
        challenge = NONE if stale_ok else await self._challenge(lookup, tenure, numbers)
        return LookupFacts(
            unit=(member.unit if member else "") or "unknown",
            tenure=tenure,
            on_duty=snapshot.is_on_duty(principal, lookup.at),
            ref_state=ref_state,
            as_of=as_of,
            numbers=numbers,
            patterns=await _searched(snapshot, lookup),
            challenge=challenge,
            vetting=_validity(member.vetting_expires if member else None, today),
            training=_validity(member.training_expires if member else None, today),
        )

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        """Ties of principal, originator and recipient to each row's people, and what explains the lookup; in order.

        Rows known by id alone are welcome. Raises `FactsOutage` (`register-stale`, `facts-stale`) unless `stale_ok`.
        """
        snapshot = self._snapshot
        sources = ("register", "directory", *WORK)
        if not stale_ok:
            snapshot.check_age(self._bands, lookup.at, *sources)
        walk, linked = await self._walk(snapshot, lookup, stale_ok=stale_ok)
        records = [row.record for row in rows]
        explained = await self._involvement.explained(walk, lookup, records, stale_ok=stale_ok)
        # Budgets count what nothing explains, and ask since when.
        unexplained = [record for record, one in zip(records, explained, strict=True) if not one.explained_by]
        worked = iter(await self._involvement.last_work(walk, unexplained, stale_ok=stale_ok))
        ref_work = await self._ref_work(walk, snapshot, lookup, stale_ok=stale_ok) if unexplained else None
        as_of = min(snapshot.oldest(*sources), linked)
        await _prepare(snapshot, lookup)
        found: list[RecordFacts] = []
        for turn, row in enumerate(rows):
            if turn and turn % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
            ties = _ties(snapshot, lookup, seen(row))
            paths, involvement = explained[turn]
            found.append(
                RecordFacts(
                    conflicts=ties,
                    explained_by=paths,
                    as_of=as_of,
                    involvement=involvement,
                    last_work=None if paths else next(worked),
                    ref_work=None if paths else ref_work,
                )
            )
        return tuple(found)

    async def _walk(self, snapshot: Snapshot, lookup: Lookup, *, stale_ok: bool) -> tuple[Walk, datetime]:
        """The lookup's search of links, and when the oldest store of it was true."""
        stores = await self._involvement.stores(lookup, snapshot.links, stale_ok=stale_ok)
        oldest = min(store.as_of for store in stores)
        return self._involvement.walk(lookup, stores, snapshot.open), oldest

    async def _ref_work(
        self, walk: Walk, snapshot: Snapshot, lookup: Lookup, *, stale_ok: bool
    ) -> datetime | None:
        """The latest evidence of the principal's work on the reference declared, if the force knows it."""
        kind, _, ref = snapshot.reference(lookup.declaration.ref).partition(":")
        if not ref:
            return None
        (found,) = await self._involvement.last_work(walk, [RecordRef(kind, ref)], stale_ok=stale_ok)
        return found

    async def _standing(self, walk: Walk, reference: str, grace: int, *, stale_ok: bool) -> str:
        """The state of a reference that is open: `assigned`, `ended`, `open`."""
        try:
            return await walk.standing(reference, grace=grace) or "open"
        except FactsOutage:
            if not stale_ok:
                raise
            return "open"

    async def reference_explains(self, lookup: Lookup, records: Sequence[RecordRef]) -> bool:
        """Whether the declared reference, by the principal's own work on it, explains each of these records now.

        False for no records. Raises `FactsOutage`.
        """
        snapshot = self._snapshot
        snapshot.check_age(self._bands, lookup.at, *WORK)
        if not lookup.declaration.ref or not records:
            return False
        walk, _ = await self._walk(snapshot, lookup, stale_ok=False)
        return await self._involvement.through_reference(walk, lookup, records)

    async def open_references(self, staff_id: str) -> tuple[tuple[str, str], ...]:
        """Kind and key of what somebody is assigned to now, newest first, at most 50. Raises `FactsOutage`."""
        snapshot, now = self._snapshot, self._clock()
        views = [await source.view(staff_id, now) for source in self._involvement.sources]
        return await open_references(
            (snapshot.links, *views), self._involvement.explanations, staff_id, now, references=snapshot.open
        )

    async def is_service(self, staff_id: str) -> bool:
        """Whether the directory says that this is a service, and no person."""
        member = self._snapshot.directory.member(staff_id)
        return member is not None and member.is_service

    async def _challenge(self, lookup: Lookup, tenure: str, numbers: dict[str, int]) -> str:
        """Whether the lookup draws a challenge; the rate it was drawn at goes into `numbers`.

        Raises `LedgerOutage`, or `FactsOutage` where the day's key cannot be made or read.
        """
        per_million = round(self._bands.challenge.of(tenure) * PER_MILLION)
        if self._challenges is None or not per_million:
            return NONE
        day = local_day(lookup.at, self._bands.zone)
        try:
            key = await self._challenges.of(day)
        except SettingsError as error:
            raise FactsOutage(Reason.FACTS_UNAVAILABLE, str(error)) from error
        numbers["challenge_per_million"] = per_million
        return DRAWN if any_drawn(key, lookup, day, per_million) else NONE

    async def known_as(self, staff_id: str) -> str:
        """The directory's own spelling of somebody who works here today; empty where it holds nobody such."""
        member = self._snapshot.directory.member(staff_id)
        if member is None or not member.is_employed(local_day(self._clock(), self._bands.zone)):
            return ""
        return member.id

    def sights(self, lookup: Lookup, *, tenure: str) -> Sights:
        """The counting of one lookup, with nothing reserved yet; `take` then raises `LedgerOutage`."""
        return Sights(self._history, Budget(self._bands, lookup, tenure=tenure))


def _validity(expires: date | None, today: date) -> str:
    """Whether what counts up to this day is `valid` or `expired`; `unknown` where the directory does not say."""
    if expires is None:
        return "unknown"
    return "valid" if today <= expires else "expired"


def _behind(lookup: Lookup) -> tuple[tuple[Whose, str], ...]:
    """Everybody on whose behalf the records are asked for."""
    declaration = lookup.declaration
    named = (
        (Whose.PRINCIPAL, lookup.principal.id),
        (Whose.ORIGINATOR, declaration.originator),
        (Whose.RECIPIENT, declaration.recipient),
    )
    return tuple((whose, staff_id) for whose, staff_id in named if staff_id)


async def _prepare(snapshot: Snapshot, lookup: Lookup) -> None:
    """Have at hand what is known around them: read off the loop, since a register may be on a server. Raises `FactsOutage`."""
    for _, staff_id in _behind(lookup):
        if not snapshot.ties.is_ready(staff_id):
            snapshot.ties.keep(staff_id, await asyncio.to_thread(snapshot.ties.prepare, staff_id))


async def _searched(snapshot: Snapshot, lookup: Lookup) -> tuple[str, ...]:
    """Whether a search is for somebody whom anybody behind it has a tie to. It refuses nothing, and changes no answer."""
    if lookup.action is not Action.SEARCH or not lookup.sought:
        return ()
    await _prepare(snapshot, lookup)
    ties = snapshot.ties
    found = any(
        ties.is_sought(staff_id, one, at=lookup.at)
        for _, staff_id in _behind(lookup)
        for one in lookup.sought
    )
    return (SEARCHED_TIE,) if found else ()


def _ties(snapshot: Snapshot, lookup: Lookup, record: Seen) -> tuple[Conflict, ...]:
    return tuple(
        tie
        for whose, staff_id in _behind(lookup)
        for tie in snapshot.ties.of(staff_id, whose, record, at=lookup.at)
    )
