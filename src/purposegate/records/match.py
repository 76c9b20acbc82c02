"""One request matched to one route: what it looks up, what goes upstream, and how the answer is read and written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from purposegate.exchange import Headers, Held, Page, Request
from purposegate.model import Action, Identity, RecordRef, Row
from purposegate.protocols import Sheet
from purposegate.records.html_sheet import HtmlSheet
from purposegate.records.json_sheet import JsonSheet
from purposegate.records.parameters import FREE_TEXT, Asked, Kind
from purposegate.records.paths import OVERRIDE_HEADERS, dashed, decoded_path, write_query
from purposegate.records.redirects import Known, Look, location_of, tells_nothing_new
from purposegate.records.routes import METHODS_WITHOUT_BODY, Route, plain_method
from purposegate.records.rows import unreadable
from purposegate.records.sought import sought, told

S = TypeVar("S", JsonSheet, HtmlSheet)

# RFC 9110 section 7.6.1, and the de facto ones beside it.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
# An answer that is partial, not modified, compressed or in another format could not be judged.
_STEERING = frozenset({b"range", b"accept", b"accept-encoding", b"accept-ranges", b"a-im"})
_BODY = frozenset({b"content-length", b"content-type", b"content-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """Implements `protocols.Match`. `path` is canonical; `look` asks records.yaml about another address."""

    of: Route
    asked: Asked
    received: Request
    path: str
    records: tuple[RecordRef, ...]
    look: Look

    @property
    def route(self) -> str:
        """The route's name."""
        return self.of.name

    @property
    def action(self) -> Action:
        """What the route does."""
        return self.of.action

    @property
    def kind(self) -> str:
        """The record kind."""
        return self.of.kind.name

    @property
    def criteria(self) -> Mapping[str, str]:
        """Search terms and sort keys by field name; free text under `*`."""
        return self.asked.criteria

    @property
    def sought(self) -> tuple[Identity, ...]:
        """Whom a search's criteria describe; empty where they describe nobody."""
        values = told(self.asked.compared)
        return sought(self.of.kind, values, " ".join(values.pop(FREE_TEXT, ()))) if values else ()

    @property
    def cap_bytes(self) -> int:
        """The most the gate holds of this route's answer, bytes."""
        return self.of.cap_bytes

    @property
    def page(self) -> str:
        """The gate's own sealed cursor as the client sent it; empty on the first page."""
        return self.asked.page

    @property
    def judged(self) -> bool:
        """False where the answer is decided on the request alone."""
        return self.of.judged

    @property
    def headers(self) -> frozenset[bytes]:
        """Answer headers released beyond the gate's own allow-list."""
        return self.of.headers

    @property
    def fields(self) -> frozenset[str]:
        """Every column of the kind but the record's id."""
        return frozenset(self.of.kind.columns) - {self.of.kind.id_column}

    def touches(self, masks: frozenset[str]) -> bool:
        """Whether a criterion, sort key or free text reads a masked field. Raises `AnswerOutage` on an unknown word."""
        return not self.of.kind.covered(masks).isdisjoint(self.asked.touched)

    def hidden(self, masks: frozenset[str]) -> frozenset[str]:
        """These mask words and every column they cover."""
        return masks.union(*(self.of.kind.masks.get(word, ()) for word in masks))

    def request(self, page: Page) -> Request:
        """What goes upstream for a page: one spelling of path and query, nothing that could make the answer unjudgeable."""
        pairs = [*self.asked.sent, *self.of.parameters.always]
        parameter = self.of.parameters.of_kind(Kind.PAGE)
        if page.token:
            if parameter is None:
                raise unreadable("the route has no parameter for a page token")
            pairs.append((parameter.name, page.token))
        method = plain_method(self.received.method)
        has_body = method not in METHODS_WITHOUT_BODY
        return Request(
            method=method,
            raw_path=self.path.encode("ascii"),
            path=decoded_path(self.path),
            query=write_query(pairs),
            headers=self._headers(has_body=has_body),
            body=self.received.body if has_body else b"",
        )

    def _headers(self, *, has_body: bool) -> Headers:
        listed = b",".join(self.received.values(b"connection"))
        named = {
            name.strip().lower() for name in listed.split(b",")
        }  # RFC 9110 section 7.6.1: these end here too
        dropped = _HOP_BY_HOP | _STEERING | OVERRIDE_HEADERS | named | (frozenset() if has_body else _BODY)
        kept = tuple(
            (name, value)
            for name, value in self.received.headers
            if dashed(name) not in dropped and not dashed(name).startswith(b"if-") and b"_" not in name
        )
        accept = self.of.shape.media_type if self.of.shape else b"*/*"
        return (*kept, (b"accept", accept), (b"accept-encoding", b"identity"))

    def read(self, held: Held) -> Sheet:
        """Read an answer. Raises `AnswerOutage`, also when a record asked for by id is not the one answered."""
        if self.of.shape is None:
            raise unreadable("the route's answers are not read")
        sheet = self.of.shape.read(held, self.of.kind)
        if self.records and tuple(row.record for row in sheet.rows) != self.records:
            raise unreadable("the answer is not about the one record asked for")
        return sheet

    def redirects_safely(self, held: Held) -> bool:
        """Whether a redirect leads to a mapped or open place and tells nothing that the request did not say."""
        address = location_of(held)
        return address is not None and tells_nothing_new(address, self._known(), self.look, trust_open=False)

    def _known(self) -> Known:
        records = frozenset(self.records)
        size = self.of.parameters.of_kind(Kind.SIZE)
        sent_for_us = {size.default} if size is not None and size.default else set()
        return Known(
            request=self.received,
            records=records,
            values=self.asked.open_values | {record.id for record in records} | sent_for_us,
            ignored=frozenset(self.asked.ignored) | frozenset(self.of.parameters.always),
        )

    def render(
        self, kept: Sequence[tuple[Sheet, Row, frozenset[str]]], *, first: Sheet, cursor: str, notice: str
    ) -> tuple[bytes, bytes]:
        """Write the answer with only the kept rows, each less its masked fields. Raises `AnswerOutage`."""
        if isinstance(first, JsonSheet):
            return first.render(_sheets(kept, JsonSheet), cursor=cursor, notice=notice)
        if not isinstance(first, HtmlSheet):
            raise unreadable("the sheet is not one of this route's")
        known = self._known()
        return first.render(
            _sheets(kept, HtmlSheet),
            next_link=self._next_link(cursor),
            notice=notice,
            asked=known.records,
            harmless=partial(self._harmless, known),
        )

    def _harmless(self, known: Known, address: str, named: frozenset[RecordRef]) -> bool:
        values = known.values | {record.id for record in named}
        wider = replace(known, records=named, values=values)
        return tells_nothing_new(address, wider, self.look, trust_open=True)

    def _next_link(self, cursor: str) -> str:
        parameter = self.of.parameters.of_kind(Kind.PAGE)
        if not cursor or parameter is None:
            return ""
        return f"{self.path}?{write_query([*self.asked.sent, (parameter.name, cursor)]).decode()}"


def _sheets(
    kept: Sequence[tuple[Sheet, Row, frozenset[str]]], sort: type[S]
) -> list[tuple[S, Row, frozenset[str]]]:
    """The same triples, each sheet known to be of this sort. Raises `AnswerOutage` on a sheet from elsewhere."""
    known = [(sheet, row, masks) for sheet, row, masks in kept if isinstance(sheet, sort)]
    if len(known) != len(kept):
        raise unreadable("the sheet is not one of this route's")
    return known
