"""The four seams through which the gate does I/O, and the two pure ones it is steered by.

`facts`, `decider`, `ledger` and `upstream` may wait and may fail, each with its own `Outage`; nothing else in the pipeline
touches the world. `routes` and `purposes` are loaded policy: pure, and swapped together with the decider (law 9).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from purposegate.approval import Binding, Taken
from purposegate.exchange import Held, Page, Reply, Request
from purposegate.model import (
    Action,
    CountKey,
    Declaration,
    Declared,
    Entry,
    Identity,
    Lookup,
    LookupFacts,
    Principal,
    Question,
    Receipt,
    RecordFacts,
    RecordRef,
    Row,
    Ruling,
    Standing,
)


class Words(Protocol):
    """What a lookup's own counts show: two words for policies, numbers for the ledger, and what a release raises."""

    @property
    def breadth(self) -> str:
        """`usual` or `high`: how many lookups the principal made today."""
        ...

    @property
    def patterns(self) -> tuple[str, ...]:
        """Signs of fishing that the lookup itself shows; those of its rows are in their standing."""
        ...

    @property
    def numbers(self) -> Mapping[str, int]:
        """The counts behind the words, for the ledger alone."""
        ...

    @property
    def counted(self) -> tuple[CountKey, ...]:
        """What a durable release raises, beside what its rows raise."""
        ...


class Sights(Protocol):
    """One lookup's counts, taken before the decision, so that parallel lookups stop where lookups in turn would."""

    async def take(self, rows: Sequence[Row], found: Sequence[RecordFacts]) -> tuple[Standing, ...]:
        """Reserve what these rows are counted by, and say where each stands, in order. Raises `LedgerOutage`.

        What the lookup has reserved already is not reserved again.
        """
        ...

    @property
    def words(self) -> Words:
        """What the lookup itself shows; only after rows were taken."""
        ...

    def settle(self, counted: Collection[CountKey]) -> None:
        """End every reservation. `counted` are the keys that the durable entry raised. Idempotent."""
        ...


class Facts(Protocol):
    """What the force's own data says. Every method raises `FactsOutage` when a source is gone or stale."""

    @property
    def digest(self) -> str:
        """SHA-256 over the sources in use, hex: register, directory, references, assignments, duty."""
        ...

    async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
        """Unit, tenure, duty of the principal; state of the reference.

        `stale_ok` answers from data past its age limit, for break-glass alone; data never loaded still raises.
        """
        ...

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        """Conflicts of principal, originator and recipient with each row's data subjects; one answer a row, in order."""
        ...

    async def reference_explains(self, lookup: Lookup, records: Sequence[RecordRef]) -> bool:
        """Whether the declared reference, by the principal's own work on it, explains each of these records now.

        False for no records.
        """
        ...

    async def open_references(self, staff_id: str) -> tuple[tuple[str, str], ...]:
        """Kind and key of what somebody is assigned to now, newest first, at most 50."""
        ...

    async def is_service(self, staff_id: str) -> bool:
        """Whether the directory says that this is a service, and no person."""
        ...

    async def known_as(self, staff_id: str) -> str:
        """The staff directory's own spelling of somebody who works here now; empty where it holds nobody such."""
        ...

    def sights(self, lookup: Lookup, *, tenure: str) -> Sights:
        """The counting of one lookup, with nothing reserved yet. The caller settles it, always."""
        ...


class Decider(Protocol):
    """The PDP. One method decides; answers come by index."""

    @property
    def digest(self) -> str:
        """SHA-256 of the policies in use, hex, or `unverified`."""
        ...

    @property
    def reads_record_ids(self) -> bool:
        """Whether any loaded policy compares the record id; if not, questions carry an empty one."""
        ...

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        """Answer every question, in one batch. Raises `PdpOutage`, never answers False for an outage."""
        ...


class Ledger(Protocol):
    """The tamper-evident log."""

    async def append(self, entry: Entry) -> Receipt:
        """Append one entry: durable when this returns. Raises `LedgerOutage`; then nothing may be released."""
        ...

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """How often each key has been counted by durable entries. Raises `LedgerOutage`."""
        ...


class Upstream(Protocol):
    """The records system, asked once per page."""

    async def ask(self, request: Request, *, cap_bytes: int) -> Held:
        """Send the request on and hold the whole answer. Raises `UpstreamOutage`, or `AnswerOutage` past the cap."""
        ...

    async def original(self, *, cap_bytes: int) -> Held:
        """Send the client's request on unchanged and hold its answer, for monitor mode; the entrance then passes it on.

        Raises as `ask` does; even then the entrance can pass the answer on as it comes.
        """
        ...


class Review(Protocol):
    """What people decide about lookups, as far as the gate waits for it. Every method may raise `Outage`."""

    async def take(
        self, binding: Binding, *, lookup: Lookup, fits: Callable[[str], Awaitable[bool]]
    ) -> Taken | None:
        """Spend an approval of exactly this lookup, if one stands and `fits` says so of its approver.

        Its use is durable on return. It stays spent, whatever becomes of the lookup.
        """
        ...

    async def confirmed(self, lookup: Lookup, originator: str) -> bool:
        """Whether the originator, as the directory spells them, confirmed ahead what this principal does for the reference."""
        ...

    async def owes(self, lookup: Lookup) -> bool:
        """Whether the principal's earlier uses of broken glass wait for review, so that the next needs an approval first."""
        ...

    async def broken(self, lookup: Lookup, *, approved: bool) -> None:
        """Tell supervisors that glass was broken: an entry, durable on return.

        Raises `Outage`, the entry standing, where others at the same moment made it one too many that nobody `approved`.
        """
        ...

    async def on_behalf(self, lookup: Lookup, originator: str) -> None:
        """Have a released lookup wait for its originator's countersign. The release is its entry."""
        ...


class Sheet(Protocol):
    """One answer, read: its rows, and how to write it again without those withheld."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every record in the answer, in order."""
        ...

    @property
    def next_token(self) -> str:
        """The records system's own token of the next page; empty at the end."""
        ...


class Match(Protocol):
    """One request matched to one route of records.yaml."""

    @property
    def route(self) -> str:
        """The route's name."""
        ...

    @property
    def action(self) -> Action:
        """What the route does."""
        ...

    @property
    def kind(self) -> str:
        """The record kind."""
        ...

    @property
    def records(self) -> tuple[RecordRef, ...]:
        """Records that the request names by canonical id; empty for a search."""
        ...

    @property
    def criteria(self) -> Mapping[str, str]:
        """Search terms and sort keys by field name; free text stands under `*`."""
        ...

    @property
    def sought(self) -> tuple[Identity, ...]:
        """Whom a search's criteria describe; empty where they describe nobody."""
        ...

    @property
    def cap_bytes(self) -> int:
        """The most the gate holds of this route's answer, bytes."""
        ...

    @property
    def page(self) -> str:
        """The gate's own sealed cursor as the client sent it; empty on the first page."""
        ...

    @property
    def judged(self) -> bool:
        """False where the answer is binary and decided on the request alone (always an export)."""
        ...

    @property
    def headers(self) -> frozenset[bytes]:
        """Answer headers, in lower case, that this route releases beyond the gate's own allow-list."""
        ...

    def touches(self, masks: frozenset[str]) -> bool:
        """Whether a criterion, sort key or free text of the request reads a field that these masks name or group."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """Every field of the kind that can be held back: all but the record's id."""
        ...

    def hidden(self, masks: frozenset[str]) -> frozenset[str]:
        """These mask words and every field they cover, for the entry. Raises nothing: an unknown word is itself alone."""
        ...

    def request(self, page: Page) -> Request:
        """What to send upstream for this page: canonical, hop-by-hop and conditional headers gone, HEAD as GET."""
        ...

    def read(self, held: Held) -> Sheet:
        """Read an answer. Raises `AnswerOutage` when it does not have the promised shape."""
        ...

    def redirects_safely(self, held: Held) -> bool:
        """Whether a 3xx answer leads to a mapped place and tells nothing that the request did not say."""
        ...

    def render(
        self,
        kept: Sequence[tuple[Sheet, Row, frozenset[str]]],
        *,
        first: Sheet,
        cursor: str,
        notice: str,
    ) -> tuple[bytes, bytes]:
        """Write the answer with only the kept rows, each less its masked fields. Returns (body, content type)."""
        ...


class Cursors(Protocol):
    """Seals the gate's own page links, so that they tell nothing and fit nobody else."""

    def seal(self, page: Page, *, principal_id: str, match: "Match") -> str:
        """A cursor of fixed length for one principal and one search."""
        ...

    def unseal(self, cursor: str, *, principal_id: str, match: "Match") -> Page:
        """The page it stands for. Raises `RouteRefused(cursor-invalid)`."""
        ...


class Declarations(Protocol):
    """Reads what a lookup is declared for, whichever way it was declared."""

    async def declared(
        self, request: Request, *, principal: Principal, match: Match, at: datetime
    ) -> Declared:
        """The one declaration of a lookup. Raises `DeclarationRefused`, and `Outage` where it cannot be looked up."""
        ...

    def stripped(self, request: Request) -> Request:
        """The request without what stands for a declaration made ahead."""
        ...


class Browser(Protocol):
    """Shows people pages where programs get problem documents."""

    async def shown(
        self, reply: Reply, *, request: Request, principal: Principal, snapshot: Any, at: datetime
    ) -> Reply:
        """The reply, or the same answer as a page. `snapshot` is what the request was answered under. Raises `Outage`."""
        ...


class Routes(Protocol):
    """records.yaml, loaded."""

    def match(self, request: Request) -> Match | None:
        """The route of a request, or None where it is listed as open. Raises `RouteRefused` for everything else."""
        ...


class Purpose(Protocol):
    """One purpose of the catalogue."""

    @property
    def code(self) -> str:
        """Its code, dotted: `investigate.crime`."""
        ...

    @property
    def family(self) -> tuple[str, ...]:
        """Its code's ancestors and itself, widest first."""
        ...

    @property
    def notice(self) -> str:
        """What people are told the purpose is for."""
        ...

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """Its terms in other vocabularies, such as `ncic`."""
        ...

    def entitles(self, principal: Principal) -> bool:
        """Whether one of the principal's roles may use it."""
        ...

    def breaks_glass(self, principal: Principal) -> bool:
        """Whether one of the principal's roles may break glass under it."""
        ...

    @property
    def breaks_glass_when_unavailable(self) -> bool:
        """Whether `when_unavailable: break-glass` stands in the catalogue."""
        ...

    def reason_is_full(self, reason: str) -> bool:
        """Whether the reason meets the purpose's demand for a justification (`justify`)."""
        ...

    def judge_reason(self, reason: str, *, ref_state: str, is_recycled: bool) -> tuple[tuple[str, str], ...]:
        """All that stands against a reason, each as a word and one sentence, for whoever reads the entry."""
        ...

    @property
    def notice_digest(self) -> str:
        """What stands for the notice's exact text in declarations and entries."""
        ...

    def opens_kind(self, kind: str) -> bool:
        """Whether records of this kind are opened at all."""
        ...

    def opened(self, kind: str) -> frozenset[str] | None:
        """The fields opened in a record of this kind, as words of records.yaml; None where it is all of them."""
        ...

    @property
    def valid_s(self) -> int:
        """How long a declaration made ahead of its lookups is good, seconds."""
        ...

    @property
    def grace_s(self) -> int:
        """How long an assignment counts after its end, seconds."""
        ...

    @property
    def service_allowed(self) -> bool:
        """Whether a service may declare it without naming a person as originator."""
        ...

    @property
    def approvers(self) -> frozenset[str]:
        """Roles that may approve what a rule wants approved; empty where nobody may."""
        ...


class Catalogue(Protocol):
    """purposes.yaml, loaded."""

    @property
    def version(self) -> str:
        """The catalogue's own version."""
        ...

    @property
    def field(self) -> str:
        """The name of the header that declarations come in."""
        ...

    def declared(self, request: Request) -> Declaration:
        """The request's declaration, read strictly. Raises `DeclarationRefused`."""
        ...

    def accept(self, declaration: Declaration) -> Purpose:
        """The purpose declared, if the declaration has all it requires. Raises `DeclarationRefused`."""
        ...

    def named(self, code: str) -> Purpose | None:
        """The purpose of this code, or None where none can be declared by it."""
        ...

    def kind_of(self, ref: str) -> str:
        """Which kind a reference is by its form, or "" where it has none."""
        ...

    def open_to(self, principal: Principal) -> Sequence[Purpose]:
        """What this principal could declare."""
        ...

    def offered(self, principal: Principal) -> list[dict[str, Any]]:
        """The same as JSON-able maps, each with what it requires and a line to copy."""
        ...
