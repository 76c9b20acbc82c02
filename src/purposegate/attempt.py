"""One lookup on its way through the gate: what is known of it so far, and the entry it will leave."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from purposegate import evidence
from purposegate.approval import Taken
from purposegate.enforcement.refusal import WaysForward
from purposegate.errors import Outage
from purposegate.evidence import Judged
from purposegate.exchange import Request
from purposegate.model import (
    ACTIONS_WITH_EFFECTS,
    NOTHING,
    Action,
    Answer,
    Conflict,
    CountKey,
    Declaration,
    Declared,
    Entry,
    EntryKind,
    Lookup,
    LookupFacts,
    Mode,
    Obligation,
    Outcome,
    Principal,
    Question,
    RecordFacts,
    RecordRef,
    Row,
    Standing,
)
from purposegate.pages import Pages
from purposegate.protocols import (
    Browser,
    Catalogue,
    Cursors,
    Decider,
    Declarations,
    Facts,
    Match,
    Purpose,
    Review,
    Routes,
    Sights,
)
from purposegate.reasons import Family, Reason
from purposegate.step_up import StepUp


async def _nothing() -> None:
    """A snapshot whose parts need no taking down."""


Identify = Callable[[Request], Awaitable[Principal]]
"""Who asks. Raises `IdentityRefused`, or an `Outage` when the proof cannot be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that steers a lookup, swapped in one assignment (law 9). A lookup keeps the one it began with."""

    routes: Routes
    catalogue: Catalogue
    decider: Decider
    facts: Facts
    identify: Identify
    cursors: Cursors
    ways: WaysForward
    modes: Mapping[str, Mode]
    digest: str
    retire: Callable[[], Awaitable[None]] = field(default=_nothing)
    refill_pages: int = 50
    agency: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    pages: Pages = field(default_factory=Pages)
    """The gate's own pages that rooms add; `own_pages` has those that always stand."""
    declarations: Declarations | None = None
    """Reads declarations made ahead, beside those in the header; without it the header is all that is read."""
    browser: Browser | None = None
    """Shows refusals as pages to people whose browser asks; without it everybody gets problem documents."""
    review: Review | None = None
    """What people decide about lookups; without it nothing can be approved, and an obligation to be approved refuses."""
    step_up: StepUp | None = None
    """How people prove themselves anew; without it nobody does, and an obligation to do so refuses."""

    def mode_of(self, kind: str) -> Mode:
        """The mode of a record kind; unmapped requests have the default's."""
        return self.modes.get(kind, self.modes.get("default", Mode.ENFORCE))


@dataclass(slots=True, kw_only=True)
class Attempt:
    """The working state of one lookup. Filled in as the pipeline learns; read once to write the entry."""

    id: str
    at: datetime
    snapshot: Snapshot
    principal: Principal
    request: Request
    match: Match | None
    made: Declared | None = None
    """How the declaration came, and how far it reaches."""
    declaration: Declaration | None = None
    purpose: Purpose | None = None
    lookup: Lookup | None = None
    facts: LookupFacts | None = None
    outcome: Outcome | None = None
    overridden: Reason | None = None
    asked: list[Judged] = field(default_factory=list)
    """The records that the request names, as judged before the records system was asked."""
    kept: list[Judged] = field(default_factory=list)
    withheld: list[Judged] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    detail: str = ""
    status: int = 0
    policy_digest: str = ""
    allow_rules: frozenset[str] = frozenset()
    fulfilled: frozenset[Obligation] = frozenset({Obligation.FLAG})
    """What this entrance carries out: a flag stands in the entry; a justification is in the reason, or it is not."""
    approvals: dict[RecordRef, Taken] = field(default_factory=dict)
    barred: list[Conflict] = field(default_factory=list)
    """Ties of approvers that were found when their approval was to be used."""
    owes_review: bool | None = None
    """Whether earlier broken glass waits for review; None until it is asked."""
    originator: str = ""
    """The originator named, as the directory spells them."""
    originator_confirmed: bool = False
    """Whether the originator named has countersigned that the lookup is on their behalf."""
    answers: dict[Question, Answer] = field(default_factory=dict)
    call_ids: list[str] = field(default_factory=list)
    sights: Sights | None = None

    @property
    def kind(self) -> str:
        """The record kind, empty where no route matched."""
        return self.match.kind if self.match else ""

    @property
    def action(self) -> Action | None:
        """The route's action, if one matched."""
        return self.match.action if self.match else None

    @property
    def mode(self) -> Mode:
        """The mode that binds this lookup."""
        return self.snapshot.mode_of(self.kind)

    @property
    def has_effects(self) -> bool:
        """Whether the upstream does more than read, so that an intent entry comes first (law 1)."""
        return self.action in ACTIONS_WITH_EFFECTS

    @property
    def breaks_glass(self) -> bool:
        """Whether glass was declared broken by somebody whom the catalogue lets."""
        return bool(
            self.declaration
            and self.declaration.break_glass
            and self.purpose
            and self.purpose.breaks_glass(self.principal)
        )

    async def reserve(self, rows: Sequence[Row], found: Sequence[RecordFacts]) -> tuple[Standing, ...]:
        """Reserve these rows' sights; what the lookup's own counts show then stands in its facts. Raises `LedgerOutage`."""
        if self.lookup is None or self.facts is None:
            raise Outage(Reason.GATE_FAULT, "sights are counted only after the lookup's facts stand")
        if self.sights is None:
            self.sights = self.snapshot.facts.sights(self.lookup, tenure=self.facts.tenure)
        standings = await self.sights.take(rows, found)
        words = self.sights.words
        self.facts = replace(
            self.facts,
            breadth=words.breadth,
            patterns=tuple(dict.fromkeys((*self.facts.patterns, *words.patterns))),
            numbers={**self.facts.numbers, **words.numbers},
        )
        return standings

    def settle(self, counted: Collection[CountKey] = ()) -> None:
        """End every reservation; `counted` are the keys that a durable entry raised."""
        if self.sights is not None:
            self.sights.settle(counted)

    def entry(self, kind: EntryKind, *, released: bool) -> Entry:
        """The entry as it stands now."""
        match, lookup_facts = self.match, self.facts
        fields: dict[str, Any] = {
            **evidence.principal_fields(self.principal),
            **evidence.request_fields(
                self.request, self.snapshot.catalogue.field, parsed=self.declaration is not None
            ),
            **evidence.declaration_fields(self.declaration),
            **evidence.made_fields(self.made, self.principal.login),
            **evidence.outcome_fields(self.outcome, self.reasons, self.detail),
            "mode": self.mode.value,
            "status": self.status,
            "snapshot_digest": self.snapshot.digest,
            "facts_digest": self.snapshot.facts.digest,
            "policy_digest": self.policy_digest,
            "catalogue_version": self.snapshot.catalogue.version,
            "pdp_calls": self.call_ids,
        }
        if match is not None:
            fields |= {"route": match.route, "action": match.action.value, "kind": match.kind}
            fields |= evidence.record_fields(match.records, match.criteria)
            fields |= evidence.legal_fields(
                match.action, self.declaration, self.purpose, self.snapshot.agency
            )
        if lookup_facts is not None:
            fields |= evidence.facts_fields(lookup_facts)
            fields |= evidence.reason_fields(
                self.declaration, self.purpose, lookup_facts, [*self.kept, *self.withheld]
            )
        fields |= evidence.approval_fields(self.approvals.values(), self.barred)
        fields |= evidence.originator_fields(self.originator, confirmed=self.originator_confirmed)
        if self.overridden is not None:
            fields["overridden"] = self.overridden.value
        counts: tuple[CountKey, ...] = ()
        if released and kind is not EntryKind.INTENT and self.sights is not None:
            counts = evidence.count_keys(self.sights.words.counted, self.kept)
        return Entry(
            kind=kind,
            lookup_id=self.id,
            at=self.at,
            released=released,
            fields=fields,
            rows=[
                *(
                    evidence.row_fields(judged, released=released, hidden=self._hidden(judged))
                    for judged in self.kept
                ),
                *(evidence.row_fields(judged, released=False) for judged in self.withheld),
            ],
            counts=counts,
        )

    def _hidden(self, judged: Judged) -> frozenset[str]:
        """What this row's masks and the whole lookup's held back. Monitor mode finds masks and does not carry them out."""
        if self.match is None or self.mode is Mode.MONITOR:
            return frozenset()
        asked = self.outcome.masks if self.outcome else frozenset[str]()
        return self.match.hidden(judged.outcome.masks | asked)

    @property
    def family(self) -> Family | None:
        """The family of the first reason; None for a release."""
        return self.reasons[0].wording.family if self.reasons else None
