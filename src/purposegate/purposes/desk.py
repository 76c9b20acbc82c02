"""Where declarations made ahead are opened, found, listed and ended.

In one request a declaration may come in the header, from a session, or with the token (RFC 9396), and from several of them
only if they say the same: two different ones could each be shown to somebody else, so they are refused. A session that has
ended, or was made under another login, is no declaration; which of these it is, nobody is told.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from purposegate.errors import DeclarationRefused, LookupRefused
from purposegate.evidence import MAX_DECLARED_BYTES, declaration_fields
from purposegate.exchange import Headers, Request
from purposegate.model import Declaration, Declared, EntryKind, Principal
from purposegate.pages import Visit
from purposegate.protocols import Facts, Match, Purpose
from purposegate.purposes import declaration as wire
from purposegate.purposes import rich_request, session_wire
from purposegate.purposes.catalogue import PurposeCatalogue
from purposegate.purposes.session import Seals, Session, Store, lookup_digest, new_id, token_digest
from purposegate.reasons import Reason
from purposegate.service import require_person
from purposegate.throttle import RefusalRate

MAX_LIVE = 20
"""Of one principal. A shift has one or two references; a script that opens sessions by the hundred is stopped here."""
MAX_A_MINUTE = 60
"""Declarations made by one principal, refused or not: each leaves an entry, and none may fill the disk."""
FORM_VALID_S = 8 * 3600
"""A page left open over a shift can still be sent; what it says is checked anew then."""
HEADER, SESSION, TOKEN = "header", "session", "token"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that stands, and the token that only its maker has."""

    session: Session
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Implements `protocols.Declarations`, and is what the gate's own pages about declarations work with."""

    catalogue: PurposeCatalogue
    store: Store
    seals: Seals
    rate: RefusalRate = field(default_factory=lambda: RefusalRate(clock=time.monotonic))

    # --- reading a lookup's declaration

    async def declared(
        self, request: Request, *, principal: Principal, match: Match, at: datetime
    ) -> Declared:
        """What a lookup is declared for, whichever way it came. Raises `DeclarationRefused`, and `Outage` for the store."""
        found: list[Declared] = []
        if request.values(self.catalogue.field.lower().encode("ascii")):
            found.append(Declared(self.catalogue.declared(request), HEADER, "", covers=True))
        granted = rich_request.granted(principal.login, match)
        found += [Declared(one.declaration, TOKEN, "", covers=one.names_record) for one in granted]
        tokens = session_wire.tokens(request)
        sessions = [one for token in tokens if (one := await self._session(token, principal, at))]
        found += [self._of(session, match) for session in sessions]
        if not found:
            raise DeclarationRefused(Reason.PURPOSE_MISSING, self._how(made_ahead=bool(tokens)))
        if len({one.declaration for one in found}) > 1:
            raise DeclarationRefused(
                Reason.DECLARATIONS_DIFFER,
                "Header, session and token must say the same, word for word; or send one of them.",
            )
        # The same declaration in the header covers more than a session does: it is made for this lookup.
        declared = max(found, key=lambda one: one.covers)
        if declared.how == TOKEN:
            self._require_live(declared.declaration, principal, at)
        return declared

    def stripped(self, request: Request) -> Request:
        """The request without what opens a session: the records system has no use for it."""
        return replace(request, headers=session_wire.stripped(request))

    async def current(self, request: Request, principal: Principal, at: datetime) -> Session | None:
        """The session that a browser's cookie stands for, to fill its next form with. Raises `Outage`."""
        try:
            tokens = session_wire.tokens(request)
        except DeclarationRefused:
            return None
        return await self._session(tokens[0], principal, at) if tokens else None

    async def _session(self, token: str, principal: Principal, at: datetime) -> Session | None:
        """The live session of this token, if this principal made it under this login."""
        digest = token_digest(token)
        row = (
            self.store.get(digest) if self.store.is_near else await self._far(lambda: self.store.get(digest))
        )
        session = self.seals.opened(row) if row is not None else None
        if session is None:
            return None
        mine = (session.principal, session.login) == (principal.id, principal.login.session)
        return session if mine and self._is_live(session, at) else None

    def _is_live(self, session: Session, at: datetime) -> bool:
        """Whether it has not expired, by the catalogue as it was and as it is: a window made shorter ends what is open."""
        purpose = self.catalogue.named(session.declaration.purpose)
        now_until = session.declared_at + timedelta(seconds=purpose.valid_s if purpose else 0)
        return at < min(session.expires_at, now_until)

    @staticmethod
    def _of(session: Session, match: Match) -> Declared:
        return Declared(
            session.declaration, SESSION, session.id, covers=session.named == lookup_digest(match)
        )

    def _require_live(self, declaration: Declaration, principal: Principal, at: datetime) -> None:
        purpose = self.catalogue.named(declaration.purpose)
        if purpose is not None and not rich_request.is_live(principal.login, purpose.valid_s, at):
            raise DeclarationRefused(
                Reason.DECLARATION_NOT_COVERING,
                f"Your sign-in granted it more than {purpose.valid_s // 60} minutes ago.",
            )

    def _how(self, *, made_ahead: bool) -> str:
        field_name = self.catalogue.field
        send = f"Send the header {field_name} with one of the purposes listed."
        return (
            f"The declaration made before has ended, or is another sign-in's. {send}" if made_ahead else send
        )

    # --- what the page for browsers needs

    def read(self, texts: Mapping[str, Any]) -> Declaration:
        """The declaration that these parts make. Raises `DeclarationRefused`."""
        return wire.of_texts(texts)

    async def tasks(self, facts: Facts, principal: Principal) -> tuple[tuple[str, str], ...]:
        """What the principal is at work on now, as it is declared, with the label of its kind. Raises `FactsOutage`.

        Facts compare references without regard to case; what has no form of the catalogue in either case is left out.
        """
        found = []
        for _, key in await facts.open_references(principal.id):
            for spelled in (key, key.upper()):
                if kind := self.catalogue.kind_of(spelled):
                    found.append((spelled, self.catalogue.references[kind].label))
                    break
        return tuple(dict.fromkeys(found))

    def form_token(self, principal: Principal, at: datetime) -> str:
        """What a form of the gate's own page carries: good for this login, and for some hours."""
        until = int(at.timestamp()) + FORM_VALID_S
        return self.seals.form_token(principal.id, principal.login.session, until)

    def is_own_form(self, sent: str, principal: Principal, at: datetime) -> bool:
        """Whether a form came from the gate's own page, shown to this login."""
        return self.seals.is_own_form(sent, principal.id, principal.login.session, int(at.timestamp()))

    def cookie(self, opened: Opened) -> Headers:
        """The header that gives a browser what it opened."""
        left = opened.session.expires_at - opened.session.declared_at
        return (session_wire.set_cookie(opened.token, max_age_s=int(left.total_seconds())),)

    # --- opening, listing and ending

    async def open(
        self, visit: Visit, declaration: Declaration, *, how: str, named: Match | None = None
    ) -> Opened:
        """Open a session: its entry is durable before it takes effect.

        Raises `DeclarationRefused` for what cannot stand, recorded first: a false reason is evidence. `Outage` for the store,
        the facts or the ledger.
        """
        self._require_room(visit.principal)
        try:
            purpose = await self._accepted(visit, declaration, named)
        except DeclarationRefused as refused:
            await self._refused(visit, refused, declaration_fields(declaration), how)
            raise
        session = Session(
            id=new_id(),
            principal=visit.principal.id,
            login=visit.principal.login.session,
            declaration=declaration,
            named=lookup_digest(named) if named else "",
            declared_at=visit.now,
            expires_at=visit.now + timedelta(seconds=purpose.valid_s),
        )
        await visit.append(visit.entry(EntryKind.DECLARATION, _fields(session, purpose, named, how)))
        token, row = self.seals.made(session)
        now = int(visit.now.timestamp())
        if not await self._far(lambda: self.store.put(row, now=now, most=MAX_LIVE)):
            raise DeclarationRefused(Reason.DECLARATIONS_TOO_MANY)
        return Opened(session=session, token=token)

    async def unreadable(self, visit: Visit, refused: DeclarationRefused, *, how: str, sent: str) -> None:
        """Record a declaration that could not be read, as it was sent."""
        self._require_room(visit.principal)
        await self._refused(visit, refused, {"declared_as_sent": sent[:MAX_DECLARED_BYTES]}, how)

    async def live(self, principal: Principal, at: datetime) -> Sequence[Session]:
        """The principal's live sessions, whichever login made them, newest first. Raises `Outage`."""
        owner, now = self.seals.owner(principal.id), int(at.timestamp())
        rows = await self._far(lambda: self.store.held_by(owner, now=now))
        opened = [session for row in rows if (session := self.seals.opened(row)) is not None]
        # Only the content is sealed: a row that somebody filed under another owner is left where it is.
        mine = [one for one in opened if one.principal == principal.id and self._is_live(one, at)]
        return sorted(mine, key=lambda one: one.declared_at)[::-1]

    async def end(self, visit: Visit, name: str) -> bool:
        """End one of the principal's own sessions, for every worker. False where there is none of this id.

        It ends first and is recorded then: with the ledger down it has ended all the same, and the answer is 503.
        """
        owner = self.seals.owner(visit.principal.id)
        if not await self._far(lambda: self.store.end(name, owner)):
            return False
        await visit.append(visit.entry(EntryKind.DECLARATION_ENDED, {"declaration": name}))
        return True

    async def _accepted(self, visit: Visit, declaration: Declaration, named: Match | None) -> Purpose:
        """The purpose, if a session may be opened for it by this principal."""
        principal, facts = visit.principal, visit.snapshot.facts
        purpose = self.catalogue.accept(declaration)
        if not purpose.entitles(principal):
            raise DeclarationRefused(Reason.PURPOSE_UNKNOWN, "purpose: not open to your role.")
        if declaration.break_glass and (named is None or not purpose.breaks_glass(principal)):
            raise DeclarationRefused(
                Reason.DECLARATION_MALFORMED,
                "break-glass: for one lookup, by a role that may; else leave it out.",
            )
        if named is not None and not purpose.opens_kind(named.kind):
            raise DeclarationRefused(
                Reason.KIND_NOT_OPENED, "purpose: choose one that opens this kind of record."
            )
        await require_person(facts, principal, purpose, declaration)
        return purpose

    async def _refused(
        self, visit: Visit, refused: DeclarationRefused, declared: dict[str, object], how: str
    ) -> None:
        fields = {**declared, "reasons": [refused.reason.value], "detail": refused.detail, "declared_by": how}
        await visit.append(visit.entry(EntryKind.REFUSAL, {**fields, "status": refused.status}))

    def _require_room(self, principal: Principal) -> None:
        if not principal.login.session:
            raise DeclarationRefused(
                Reason.DECLARATION_MALFORMED,
                "Nothing tells one sign-in from another here: declare in the header.",
            )
        if self.rate.exceeded(principal.id, MAX_A_MINUTE):
            raise LookupRefused(Reason.REFUSALS_TOO_MANY)
        self.rate.note(principal.id)

    async def _far(self, ask: Callable[[], T]) -> T:
        """What waits for a disk or a network waits in a thread."""
        return await asyncio.to_thread(ask)


def _fields(session: Session, purpose: Purpose, named: Match | None, how: str) -> dict[str, object]:
    """What the entry of a session says: what was declared, by which notice, for which lookup, and until when."""
    fields: dict[str, object] = {
        **declaration_fields(session.declaration),
        "declaration": session.id,
        "declared_by": how,
        "expires_at": session.expires_at.isoformat(),
        "notice": {"shown": purpose.notice_digest, "acknowledged": session.declaration.notice},
        "justifies": purpose.reason_is_full(session.declaration.reason),
    }
    if named is not None:
        fields["named"] = {
            "route": named.route,
            "action": named.action.value,
            "kind": named.kind,
            "records": [list(record) for record in named.records],
            "criteria": dict(named.criteria),
        }
    return fields
