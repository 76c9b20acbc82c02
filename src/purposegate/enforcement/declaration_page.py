"""The page on which people declare, for browsers in front of a web application that knows nothing of the gate.

It asks for purpose, reference and reason, offers the principal's own open tasks, shows each purpose's notice, and sends the
browser on to what it had asked for: a lookup on this host, or nowhere. It works without JavaScript and never replays: what a
person had sent before is shown to them, and they send it again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from purposegate.enforcement import declaration_page_form as form
from purposegate.enforcement import rendering
from purposegate.enforcement.refusal import PREFIX
from purposegate.errors import DeclarationRefused, LookupRefused, Outage, PageRefused
from purposegate.exchange import Headers, Reply, Request
from purposegate.model import NOTHING, Action, Declaration, Principal
from purposegate.pages import Page, Visit, see_other
from purposegate.protocols import Facts, Match
from purposegate.return_address import lookup_at

WHERE = "/declare"
END = "/declare/end"
MAX_INTERRUPTED_CHARS = 32 * 1024
"""Of a form that was interrupted: together with the rest it fits a page's body, whose cap is 64 KiB."""
BODY_CAP_BYTES = 128 * 1024
"""A form within a form is encoded twice, so that each of its signs may take three."""
ANCHORS = {
    "purpose": "purpose-1",
    "ref": "ref",
    "reason": "reason",
    "originator": "originator",
    "recipient": "recipient",
    "notice": "read",
    "break-glass": "break-glass",
}
NOT_OURS = "This form is not the gate's own, or was open too long. Nothing was declared; fill it in again."


class Session(Protocol):
    """One open declaration, as far as the page shows it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def declaration(self) -> Declaration: ...  # noqa: D102
    @property
    def expires_at(self) -> datetime: ...  # noqa: D102


class Opened(Protocol):
    """A declaration just made."""

    @property
    def session(self) -> Session: ...  # noqa: D102


class Desk(Protocol):
    """Where declarations are made; see `purposes.desk.Desk`."""

    def read(self, texts: Mapping[str, str]) -> Declaration:
        """The declaration that these parts make. Raises `DeclarationRefused`."""
        ...

    async def open(
        self, visit: Visit, declaration: Declaration, *, how: str, named: Match | None = None
    ) -> Any:
        """Open a session. Raises `DeclarationRefused`."""
        ...

    async def unreadable(self, visit: Visit, refused: DeclarationRefused, *, how: str, sent: str) -> None:
        """Record what could not be read."""
        ...

    async def live(self, principal: Principal, at: datetime) -> Sequence[Any]:
        """The principal's open declarations."""
        ...

    async def current(self, request: Request, principal: Principal, at: datetime) -> Any:
        """The one that a request's cookie stands for, or None."""
        ...

    async def end(self, visit: Visit, name: str) -> bool:
        """End one."""
        ...

    async def tasks(self, facts: Facts, principal: Principal) -> tuple[tuple[str, str], ...]:
        """References that are assigned to the principal now, each with the label of its kind."""
        ...

    def form_token(self, principal: Principal, at: datetime) -> str:
        """What the page's forms carry."""
        ...

    def is_own_form(self, sent: str, principal: Principal, at: datetime) -> bool:
        """Whether a form is the page's own."""
        ...

    def cookie(self, opened: Any) -> Headers:
        """The header that gives a browser what it opened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one showing of the page is about: where to go on, what was interrupted, what was filled in, what is wrong."""

    back: str = ""
    match: Match | None = None
    interrupted: str = ""
    said: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    errors: Sequence[str] = ()
    note: str = ""
    status: int = 200


class DeclarationPage:
    """The page and what it is made of; `pages` are its addresses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def pages(self) -> tuple[Page, ...]:
        """`GET` and `POST /declare`, `POST /declare/end`."""
        return (
            Page("GET", WHERE, self._asked),
            Page("POST", WHERE, self._declared, body_cap_bytes=BODY_CAP_BYTES),
            Page("POST", END, self._ended),
        )

    async def shown(self, visit: Visit, what: Shown) -> Reply:
        """The page. Raises `Outage` where the store of declarations fails; without facts it offers no tasks."""
        principal, catalogue = visit.principal, visit.snapshot.catalogue
        offers = catalogue.offered(principal)
        if what.match is not None:
            offers = [offer for offer in offers if what.match.kind in offer["opens"]]
        said = {**form.EMPTY, **what.said}
        if not what.said:
            current = await self._desk.current(visit.request, principal, visit.now)
            if current is not None:
                said |= {"purpose": current.declaration.purpose, "ref": current.declaration.ref}
        tasks = await self._tasks(visit)
        if said["ref"] in {ref for ref, _ in tasks} and not said["task"]:
            said |= {"task": said["ref"], "ref": ""}
        if not what.said and len(tasks) == 1 and not said["ref"]:
            said["task"] = tasks[0][0]
        one_record = what.match is not None and what.match.action is Action.VIEW
        errors = [_error(text) for text in what.errors]
        return rendering.page(
            "declare",
            status=what.status,
            errors=errors,
            faulty={error["field"] for error in errors},
            anchors=ANCHORS,
            back=what.back,
            target=what.back.partition("?")[0],
            interrupted=what.interrupted,
            note=what.note,
            offers=offers,
            said=said,
            tasks=[{"ref": ref, "label": label} for ref, label in tasks],
            glass=one_record and any(offer["break_glass"] for offer in offers),
            live=[_live(one) for one in await self._desk.live(principal, visit.now)],
            form_token=self._desk.form_token(principal, visit.now),
        )

    async def _tasks(self, visit: Visit) -> tuple[tuple[str, str], ...]:
        try:
            return await self._desk.tasks(visit.snapshot.facts, visit.principal)
        except Outage:
            return ()  # an offer, and no decision: the reference can be written

    async def _asked(self, visit: Visit) -> Reply:
        back = visit.query.get("return", "")
        return await self.shown(visit, _checked(visit, back, ""))

    async def _declared(self, visit: Visit) -> Reply:
        self._require_own(visit)
        texts = _texts(visit)
        shown = _checked(visit, texts.pop("return", ""), texts.pop("interrupted", ""))
        said = {name: texts.get(name, "") for name in form.EMPTY}
        try:
            declaration = await self._read(visit, texts)
            opened = await self._desk.open(visit, declaration, how="page", named=shown.match)
        except LookupRefused as refused:
            return await self.shown(visit, _again(shown, said, refused))
        cookie = self._desk.cookie(opened)
        if shown.interrupted:
            pairs = parse_qsl(shown.interrupted, keep_blank_values=True)
            return rendering.page("send", headers=cookie, back=shown.back, pairs=pairs)
        reply = see_other(shown.back or PREFIX + WHERE)
        return Reply(status=reply.status, headers=(*reply.headers, *cookie))

    async def _read(self, visit: Visit, texts: Mapping[str, str]) -> Declaration:
        """The form's declaration. Raises `DeclarationRefused`, recorded as it was filled in."""
        try:
            return form.declaration(texts, read=self._desk.read, catalogue=visit.snapshot.catalogue)
        except DeclarationRefused as refused:
            sent = json.dumps({name: texts.get(name, "") for name in form.EMPTY})
            await self._desk.unreadable(visit, refused, how="page", sent=sent)
            raise

    async def _ended(self, visit: Visit) -> Reply:
        self._require_own(visit)
        if not await self._desk.end(visit, visit.text("id", most_chars=64)):
            raise PageRefused(404, "no-such-declaration", "It has ended already.")
        return see_other(PREFIX + WHERE)

    def _require_own(self, visit: Visit) -> None:
        """Return if the form came from this page, shown to this login, in this browser. Raises `PageRefused`."""
        sites = visit.request.values(b"sec-fetch-site")
        token = visit.body.get("form", "")
        own = isinstance(token, str) and self._desk.is_own_form(token, visit.principal, visit.now)
        if not own or (sites and sites != (b"same-origin",)):
            raise PageRefused(403, "cross-site", NOT_OURS)


def _texts(visit: Visit) -> dict[str, str]:
    if not all(isinstance(value, str) for value in visit.body.values()):
        raise PageRefused(400, "form-malformed", "Want a form of texts.")
    return dict(visit.body)


def _checked(visit: Visit, back: str, interrupted: str) -> Shown:
    """Where to go on, if that is a lookup on this host; a form can go only to where it was sent in the first place."""
    method = "POST" if interrupted else "GET"
    match = lookup_at(visit.snapshot, back, method=method, body=interrupted.encode()) if back else None
    if match is not None and len(interrupted) <= MAX_INTERRUPTED_CHARS:
        return Shown(back=back, match=match, interrupted=interrupted)
    if not back:
        return Shown()
    return Shown(
        status=400, errors=("The address to go on to is no lookup of this records system. It was left out.",)
    )


def _again(shown: Shown, said: Mapping[str, Any], refused: LookupRefused) -> Shown:
    sentences = getattr(refused, "faults", ()) or (refused.detail or refused.reason.wording.principal,)
    return Shown(
        back=shown.back,
        match=shown.match,
        interrupted=shown.interrupted,
        said=said,
        errors=(*shown.errors, *sentences),
        status=refused.status,
    )


def _error(sentence: str) -> dict[str, str]:
    """`part: What to mend.` as a field and a text; a sentence of no part is about the whole."""
    part, colon, text = sentence.partition(": ")
    if not colon or part not in ANCHORS:
        return {"field": "", "text": sentence}
    return {"field": part, "text": text[:1].upper() + text[1:]}


def _live(session: Session) -> dict[str, str]:
    return {
        "id": session.id,
        "purpose": session.declaration.purpose,
        "ref": session.declaration.ref,
        "until": session.expires_at.strftime("%d %B %Y, %H:%M UTC"),
        "until_iso": session.expires_at.isoformat(),
    }
