"""A records system behind the shipped mapping, and a gate's way with pages: ask, read, withhold, refill, write."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from lxml.html import document_fromstring

from purposegate.exchange import Held, Page, Request
from purposegate.model import Action, Row
from purposegate.protocols import Match, Sheet
from purposegate.records.cursor import Cursors
from purposegate.records.mapping import Mapping

POLICIES = Path(__file__).parents[1] / "policies"
NOTICE = "This list may be incomplete for you; a colleague can run it."
HOST = (b"host", b"records.example")


def get(address: str, *headers: tuple[bytes, bytes], method: str = "GET", body: bytes = b"") -> Request:
    """A request as an honest server passes it on."""
    path, _, query = address.partition("?")
    return Request(
        method=method,
        raw_path=path.encode(),
        path=unquote(path),
        query=query.encode(),
        headers=(HOST, *headers),
        body=body,
    )


def held(
    body: bytes, content_type: bytes = b"application/json", *more: tuple[bytes, bytes], status: int = 200
) -> Held:
    return Held(status=status, headers=((b"content-type", content_type), *more), body=body)


def texts(body: bytes, selector: str) -> list[str]:
    """What a reader sees in each element of a page that a CSS selector finds."""
    return [
        "".join(map(str, element.itertext())).strip()
        for element in document_fromstring(body).cssselect(selector)
    ]


@dataclass(frozen=True)
class Written:
    """What a client would get: the body, and the cursor where there is more."""

    body: bytes
    content_type: bytes
    cursor: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class System:
    """One records system behind the mapping; `withheld` are the ids of rows that the gate would hold back."""

    app: Any
    mapping: Mapping
    cursors: Cursors
    withheld: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    principal_id: str = "p-1"
    asked: list[Request] = field(default_factory=list)

    def less(self, *ids: str, masks: Collection[str] = ()) -> "System":
        return replace(self, withheld=frozenset(ids), masks=frozenset(masks))

    async def ask(self, request: Request) -> Held:
        self.asked.append(request)
        target = request.raw_path + b"?" + request.query if request.query else request.raw_path
        url = httpx.URL("http://records.example").copy_with(raw_path=target)
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, headers=()) as client:
            answer = await client.send(
                client.build_request(request.method, url, headers=list(request.headers), content=request.body)
            )
        headers = tuple((name.lower(), value) for name, value in answer.headers.raw)
        return Held(status=answer.status_code, headers=headers, body=answer.content)

    def match(self, request: Request) -> Match:
        match = self.mapping.match(request)
        assert match is not None
        return match

    async def sheet(self, address: str) -> Sheet:
        """The upstream's first page, read."""
        match = self.match(get(address))
        return match.read(await self.ask(match.request(Page())))

    async def open(self, address: str, *headers: tuple[bytes, bytes], method: str = "GET") -> Written:
        """Look something up: read page after page until the answer is as long as one without withheld rows would be."""
        match = self.match(get(address, *headers, method=method))
        page = (
            self.cursors.unseal(match.page, principal_id=self.principal_id, match=match)
            if match.page
            else Page()
        )
        first: Sheet | None = None
        kept: list[tuple[Sheet, Row, frozenset[str]]] = []
        after: Page | None = None
        while after is None:
            sheet = match.read(await self.ask(match.request(page)))
            first = first or sheet
            room = len(first.rows) if first.next_token else len(first.rows) + 1
            for row in sheet.rows[page.skip :]:
                if row.record.id in self.withheld:
                    continue
                if len(kept) == room:
                    after = Page(page.token, row.place)
                    break
                kept.append((sheet, row, self.masks))
            if not sheet.next_token:
                break
            page = Page(sheet.next_token)
        assert first is not None
        cursor = (
            "" if after is None else self.cursors.seal(after, principal_id=self.principal_id, match=match)
        )
        notice = NOTICE if match.action is Action.SEARCH else ""
        body, content_type = match.render(kept, first=first, cursor=cursor, notice=notice)
        return Written(body, content_type, cursor)
