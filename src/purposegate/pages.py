"""The gate's own pages: how a room of the package adds an address under `/.purposegate/`. For developers.

A page is one coroutine function, named with its method and path template in a `Page`; a room exports its pages as a tuple
and `application.py` puts them into `Snapshot.pages`:

    async def decide(visit: Visit) -> Reply:
        approval = visit.values["approval"]                   # from the template
        verdict = visit.text("verdict")                       # from the JSON object or the form
        if verdict not in ("approve", "refuse"):
            raise PageRefused(400, "verdict-unknown", "verdict: want approve or refuse.")
        await visit.append(visit.entry(EntryKind.APPROVAL, {"approval": approval, "verdict": verdict}))
        return json_page({"approval": approval})

    PAGES = (Page("POST", "/approvals/{approval}", decide),)

What a page can rely on:

- `visit.principal` is somebody whom the staff directory holds, in its spelling. A page that must serve others too says so:
  `Who.IDENTIFIED` (a valid token; readable while the directory is away) or `Who.ANYBODY` (no token; reading only).
- A request that changes something (any method but GET and HEAD) comes from the same site, or from no browser at all.
- `visit.body` is a JSON object or a form read strictly: UTF-8, no name twice, at most 64 KiB, content type checked.
  `visit.query` is the query string, no name twice.
- What changes something appends its entry before it answers: a success of such a page that appended nothing is answered 503.
  `visit.append` returns once the entry is durable. It runs to its end even if the client hangs up.
- An `Outage` raised is answered 503, a `LookupRefused` with its reason's status, a `PageRefused` as it says; anything else is
  a fault of the gate, 503. An address without page is 404; with another method 405 and `Allow`; HEAD is answered as GET.

Reading a page leaves no entry of its own: a page that shows evidence or register rows appends one (law 11).
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from purposegate.errors import PageRefused
from purposegate.evidence import principal_fields
from purposegate.exchange import NO_STORE, Headers, Reply, Request
from purposegate.model import NOTHING, Entry, EntryKind, Principal, Receipt

if TYPE_CHECKING:
    from purposegate.attempt import Snapshot

READING = frozenset({"GET", "HEAD"})
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BODY_CAP_BYTES = 64 * 1024
"""A form that people fill in, or a list of decisions; what is larger is a feed, and says so in its `Page`."""
_TEMPLATE = re.compile(r"(/[A-Za-z0-9._-]+|/\{[a-z_]+\})+")
HTML_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"referrer-policy", b"same-origin"),
)
"""No script, no frame, no foreign form: a name in a page must stay a name (CSP Level 3)."""


class Who(Enum):
    """For whom a page is."""

    KNOWN = "known"
    """Somebody whom the staff directory holds as working here now."""
    IDENTIFIED = "identified"
    """Anybody with a valid token, in the directory's spelling where it can be had."""
    ANYBODY = "anybody"
    """No token is looked at; `visit.principal` is `NOBODY`."""


NOBODY = Principal(id="", roles=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request to one page of the gate's own. `now` is the gate's clock, `id` the UUID that problems name."""

    id: str
    now: datetime
    request: Request
    principal: Principal
    snapshot: "Snapshot"
    append: Callable[[Entry], Awaitable[Receipt]]
    """Append an entry: durable when it returns. Raises `LedgerOutage`, which the page lets through: 503."""
    values: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """What the template's names stand for, percent-decoded; never empty, no slash, no control character."""
    query: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    body: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """The JSON object, or the form as texts; empty where nothing was sent."""

    def text(self, name: str, *, default: str | None = None, most_chars: int = 1000) -> str:
        """One text of the body, its blanks at both ends gone. Raises `PageRefused(400)` naming the field, never its content."""
        value = self.body.get(name, default)
        if not isinstance(value, str):
            raise PageRefused(400, "field-missing", f"{name}: want a text.")
        if len(value) > most_chars:
            raise PageRefused(400, "field-too-long", f"{name}: want at most {most_chars} characters.")
        return value.strip()

    def entry(self, kind: EntryKind, fields: Mapping[str, Any]) -> Entry:
        """An entry by this principal, at this time; hand it to `append`. `released` is false: no record leaves here."""
        fields = {**principal_fields(self.principal), **dict(fields)}
        return Entry(kind=kind, lookup_id=self.id, at=self.now, released=False, fields=fields)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One method at one path template below `/.purposegate`: `/approvals/{approval}`. Names stand for one segment each.

    Raises `ValueError` for what could never be served.
    """

    method: str
    template: str
    answer: Callable[[Visit], Awaitable[Reply]]
    who: Who = Who.KNOWN
    body_cap_bytes: int = BODY_CAP_BYTES
    raw_types: frozenset[str] = frozenset()
    """Media types beside JSON and form whose bytes the page reads from `visit.request.body` for itself."""
    appends: bool = True
    """Whether a success of a page that changes something must have appended; false for one that only previews."""
    problems: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The page's own problem names, each with the text of `/.purposegate/problems/<name>`."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.template}: want a method of {', '.join(sorted(METHODS))}")
        if not _TEMPLATE.fullmatch(self.template):
            raise ValueError(f"{self.template}: want segments of letters, digits and ._-, or {{name}}")
        names = [part for part in self.segments if part.startswith("{")]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.template}: want each name once")
        if self.changes and self.who is Who.ANYBODY:
            raise ValueError(f"{self.template}: what changes something needs to know who asks")

    @property
    def changes(self) -> bool:
        """Whether the method does more than read (RFC 9110 section 9.2.1)."""
        return self.method not in READING

    @property
    def segments(self) -> tuple[str, ...]:
        """The template's parts."""
        return tuple(self.template.split("/")[1:])


class Found(NamedTuple):
    """A page for a request, and what its names stand for."""

    page: Page
    values: Mapping[str, str]


class Pages:
    """A table of pages. A literal segment goes before a name. Raises `ValueError` where two pages share method and place."""

    def __init__(self, *pages: Page) -> None:
        self._pages = tuple(sorted(pages, key=lambda page: [part.startswith("{") for part in page.segments]))
        places = [(page.method, *(_shape(part) for part in page.segments)) for page in pages]
        if len(set(places)) < len(places):
            raise ValueError("two pages of the gate's own share one method and address")
        self.problems: Mapping[str, str] = {
            name: text for page in pages for name, text in page.problems.items()
        }

    def __iter__(self) -> Any:
        return iter(self._pages)

    def find(self, method: str, segments: tuple[str, ...]) -> Found | frozenset[str]:
        """The page; or the methods that the address has, none where there is no such address. HEAD finds GET."""
        wanted, methods = "GET" if method == "HEAD" else method, set[str]()
        for page in self._pages:
            values = _values(page.segments, segments)
            if values is None:
                continue
            if page.method == wanted:
                return Found(page, values)
            methods |= {page.method, "HEAD"} if page.method == "GET" else {page.method}
        return frozenset(methods)


def json_page(content: Any, *, status: int = 200) -> Reply:
    """A JSON answer that nobody keeps."""
    return Reply(
        status=status, headers=((b"content-type", b"application/json"), *NO_STORE), body=orjson.dumps(content)
    )


def html_page(text: str, *, status: int = 200, headers: Headers = ()) -> Reply:
    """An HTML answer that runs no script and stands in no frame. The caller escapes what it writes."""
    return Reply(status=status, headers=(*HTML_HEADERS, *NO_STORE, *headers), body=text.encode())


def see_other(address: str) -> Reply:
    """After a form: go and look there (RFC 9110 section 15.4.4). `address` is one of the gate's own."""
    return Reply(status=303, headers=((b"location", address.encode("ascii")), *NO_STORE))


def _shape(segment: str) -> str:
    return "{}" if segment.startswith("{") else segment


def _values(template: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    values = {}
    for part, segment in zip(template, segments, strict=True):
        if part.startswith("{"):
            values[part[1:-1]] = segment
        elif part != segment:
            return None
    return values
