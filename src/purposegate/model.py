"""The nouns of a lookup: frozen, without I/O, shared by every room.

The words are design section 2's: a *principal* asks, under a *declaration*, for *records* about *data subjects*;
*facts* are gathered, *questions* are put to the PDP, and the *outcome* says what is released and why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from purposegate.reasons import Reason

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Action(StrEnum):
    """What a lookup does to a record."""

    VIEW = "view"
    SEARCH = "search"
    COUNT = "count"
    EXPORT = "export"
    EDIT = "edit"


ACTIONS_WITH_EFFECTS = frozenset({Action.EXPORT, Action.EDIT})
"""Law 1: these write an intent entry before the upstream is asked."""


class Mode(StrEnum):
    """Whether an outcome binds (`enforce`) or is only recorded (`monitor`), per record kind."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class Whose(StrEnum):
    """Whose tie to a data subject a conflict is."""

    PRINCIPAL = "principal"
    ORIGINATOR = "originator"
    RECIPIENT = "recipient"


class Tier(StrEnum):
    """How sure the matching is; a candidate alone refuses nobody unless policy says so."""

    CONFIRMED = "confirmed"
    CANDIDATE = "candidate"


class Obligation(StrEnum):
    """What a policy may demand beside its effect."""

    FLAG = "flag"
    JUSTIFY = "justify"
    APPROVE = "approve"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a proof of identity says beside who it is.

    `session` is a digest that stays the same while somebody is signed in, and tells nothing. `authorization_details` is
    the token's claim as it came (RFC 9396), unread; `audience` is the gate's own name in that token.
    """

    session: str = ""
    is_service: bool = False
    issued_at: int = 0
    audience: str = ""
    authorization_details: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, as the identity provider proved it. Role names are the force's, already mapped by settings.

    `stepped_up_at` is when they last proved themself as the settings ask for it (RFC 9470), POSIX seconds; 0: they did not.
    """

    id: str
    roles: tuple[str, ...]
    stepped_up_at: int = 0
    # Two sign-ins of one person are one principal.
    login: Login = field(default=Login(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the principal says the lookup is for, in the words used; kept verbatim even when refused.

    `notice` is the digest of the notice that the principal says to have read; empty where nothing was said.
    """

    purpose: str
    ref: str = ""
    reason: str = ""
    originator: str = ""
    recipient: str = ""
    break_glass: bool = False
    notice: str = ""


class Declared(NamedTuple):
    """A lookup's declaration and how it was made: `header` for this lookup, or ahead of it with a `session` or `token`.

    `id` names the session in entries. `covers` is whether it was made for just this lookup; one that was not reaches only
    what its reference explains.
    """

    declaration: Declaration
    how: str
    id: str
    covers: bool


class RecordRef(NamedTuple):
    """One record's name: its kind and its canonical id in the records system."""

    kind: str
    id: str


class Name(NamedTuple):
    """One spelling of a person's name, as written; either part may be empty."""

    given: str = ""
    surname: str = ""


class Address(NamedTuple):
    """A postal address in parts, as written; empty parts are unknown, never wild cards.

    `latitude` and `longitude` are WGS 84, decimal degrees; `uprn` is the United Kingdom's number of one home or building.
    """

    number: str = ""
    street: str = ""
    unit: str = ""
    locality: str = ""
    postcode: str = ""
    latitude: str = ""
    longitude: str = ""
    uprn: str = ""

    @property
    def as_list(self) -> list[str]:
        """Its parts for an entry or a sealed row: the postal ones, and the others only where one of them is known."""
        return list(self) if any(self[POSTAL_PARTS:]) else list(self[:POSTAL_PARTS])


POSTAL_PARTS = 5
"""An address's parts before its coordinates; what was written before there were any has these alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person as somebody's data describes them: a record's data subject, or the register's other person.

    `born` holds dates as ISO `YYYY-MM-DD`, or `YYYY-MM`, or `YYYY`, coarser meaning less precise.
    """

    names: tuple[Name, ...] = ()
    born: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    phones: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record in an answer: its name, the people it is about, and the names of its fields.

    `place` is the row's position in its page, for the renderer alone.
    """

    record: RecordRef
    subjects: tuple[Identity, ...]
    fields: frozenset[str]
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One attempt: principal, action, records, declaration and time.

    `grace_s` is for how long after its end an assignment still counts under the purpose declared, seconds.
    """

    id: str
    at: datetime
    principal: Principal
    action: Action
    kind: str
    records: tuple[RecordRef, ...]
    declaration: Declaration
    criteria: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    sought: tuple[Identity, ...] = ()
    """Whom a search's criteria describe, as a row of the answer would."""
    continues: bool = False
    """Whether it goes on with a list: a page after the first."""
    grace_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A tie found between a person behind the lookup and a data subject.

    `entry` names the register row or directory rule that matched; `declared` is true only where the principal
    themself declared it, so that naming it back tells nothing new. `default` is what conflicts.yaml says the relation does
    by its provenance (`refuse` or `flag`); the policies read it and decide. `score` is bits of evidence with its field table.
    """

    whose: Whose
    relation: str
    tier: Tier
    provenance: str
    entry: str
    declared: bool
    default: str = "refuse"
    score: float = 0.0
    table: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupFacts:
    """What the force's own data says about a lookup before any record is seen.

    Words and bands go to policies; `numbers` go to the ledger only. `as_of` is the oldest source's time, UTC. The words are
    those of docs/policy-vocabulary.md; a default is what a force says that has no source for the word.
    """

    unit: str
    tenure: str
    on_duty: bool
    ref_state: str
    as_of: datetime
    numbers: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    vetting: str = "unknown"
    training: str = "unknown"
    breadth: str = "usual"
    patterns: tuple[str, ...] = ()
    challenge: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """What the force's own data says about one record of a lookup.

    `involvement` is `current` where something in `explained_by` holds now, `ended` where something held and is over, else
    `none`. `patterns` and `challenge` are those that only this record's people show; the lookup's own are in `LookupFacts`.
    `last_work` is the principal's latest evidence of work on the record, UTC, and `ref_work` that on the reference declared:
    from it on, sights are counted anew. Neither is asked for where something explains the record.
    """

    conflicts: tuple[Conflict, ...]
    explained_by: tuple[str, ...]
    as_of: datetime
    involvement: str = "none"
    patterns: tuple[str, ...] = ()
    challenge: str = "none"
    last_work: datetime | None = None
    ref_work: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the PDP, in the vocabulary of docs/policy-vocabulary.md and nothing else.

    Hashable, so that rows which policies cannot tell apart are asked about once.
    """

    principal_id: str
    roles: tuple[str, ...]
    unit: str
    tenure: str
    on_duty: bool
    action: str
    kind: str
    record_id: str
    purpose: str
    purpose_family: tuple[str, ...]
    entitled: bool
    break_glass: bool
    ref_state: str
    explained_by: tuple[str, ...]
    repeat: str
    originator: str
    recipient: str
    conflict: str = "none"
    conflict_whose: str = "none"
    conflict_tier: str = "none"
    conflict_provenance: str = "none"
    conflict_default: str = "none"
    vetting: str = "unknown"
    training: str = "unknown"
    involvement: str = "none"
    breadth: str = "usual"
    patterns: tuple[str, ...] = ()
    challenge: str = "none"


class Output(NamedTuple):
    """One output of one rule, unread: `src` names the rule, `value` is what it emitted, `error` why it could not."""

    src: str
    value: Any
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The PDP's answer to one question."""

    allowed: bool
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Answers by index of the questions, and what gave them.

    `allow_rules` are the `src` names of allow rules in the loaded policies: only their outputs may accept a relation.
    `digest` is the SHA-256 of the policies that decided, or `unverified` where a remote PDP would not say.
    """

    answers: tuple[Answer, ...]
    allow_rules: frozenset[str]
    digest: str
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Released or refused, with every reason that held, most telling first.

    `relations` are the conflicts weighed, `refusing` those that no rule accepted; `masks` name fields to leave out of the answer.
    """

    released: bool
    reasons: tuple[Reason, ...] = ()
    obligations: frozenset[Obligation] = frozenset()
    masks: frozenset[str] = frozenset()
    notify: frozenset[str] = frozenset()
    relations: tuple[Conflict, ...] = ()
    refusing: tuple[Conflict, ...] = ()
    policy_reasons: tuple[str, ...] = ()
    break_glass: bool = False


class CountKey(NamedTuple):
    """What sights are counted by; the ledger keeps only a keyed token of it.

    `record` is what was seen. A kind that begins with `~` stands for something else that is counted: a data subject, a
    reference, a day. `since` is the last evidence of work, so that new work begins a new count and nothing is deleted.
    """

    principal: str
    sight: str
    record: RecordRef
    since: str = ""


class Counted(NamedTuple):
    """How high a count stands in durable entries: `total` everywhere, `elsewhere` but for this gate's own shard."""

    total: int
    elsewhere: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a row stands in its principal's budgets, its own sight included.

    `ordinal` is which sight of the record it would be (1 = the first), `repeat` the worst band of all that it counts in,
    `counted` what a durable release of it raises, and `numbers` what the ledger is told.
    """

    ordinal: int
    repeat: str = "first"
    patterns: tuple[str, ...] = ()
    counted: tuple[CountKey, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=lambda: NOTHING)


class EntryKind(StrEnum):
    """What an entry in the ledger says happened."""

    GENESIS = "genesis"
    INTENT = "intent"
    RELEASE = "release"
    REFUSAL = "refusal"
    OUTAGE = "outage"
    UNIDENTIFIED = "unidentified"
    THROTTLED = "throttled"
    POLICY_CHANGE = "policy-change"
    RECOVERY = "recovery"
    GAP = "gap"
    WITNESS_GAP = "witness-gap"
    READING = "reading"
    IMPORT = "import"
    MATCH = "match"
    ERASE = "erase"
    HOLD = "hold"
    APPROVAL = "approval"
    HAND_OVER = "hand-over"
    COUNTERSIGN = "countersign"
    BROKEN_GLASS = "broken-glass"
    PAST_HIT = "past-hit"
    DISPOSITION = "disposition"
    CHALLENGE_KEY = "challenge-key"
    DECLARATION = "declaration"
    DECLARATION_ENDED = "declaration-ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry to append. `fields` and `rows` hold personal data: the ledger commits to each salted, and encrypts them.

    `counts` are raised by one in the same transaction. `identities` is the sealed snapshot that looking back needs.
    """

    kind: EntryKind
    lookup_id: str
    at: datetime
    released: bool
    fields: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    counts: Sequence[CountKey] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Where a durable entry stands: shard, index (0 = first) and RFC 6962 leaf hash, 32 bytes."""

    shard: str
    index: int
    leaf_hash: bytes
