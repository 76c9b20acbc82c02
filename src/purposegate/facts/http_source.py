"""Links asked over HTTP: an endpoint that answers the links around one member of staff, with a deadline and a cache.

`GET <url>?principal=E1042` answers JSON: `{"as_of": "2026-11-21T08:00:00Z", "links": [{"source_kind": ..., "source_id": ...,
"relation": ..., "target_kind": ..., "target_id": ..., "from": ..., "to": ...}]}`, with all that paths may need: who is assigned
to what, and what that involves. An answer is believed for `cache_s`, as old as its own `as_of` says; after that the endpoint is
asked again, and while it does not answer nothing is: `facts-unavailable`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from ssl import SSLContext, create_default_context
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import orjson

from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval, read_start
from purposegate.conflicts.tables import SKEW
from purposegate.conflicts.written import staff_key
from purposegate.facts.links import (
    MOST_LINKS_OF_A_NODE,
    Edge,
    Link,
    both_ways,
    node,
    unavailable,
)
from purposegate.facts.links_reading import COLUMNS, WORD

DEADLINE_S = 0.3
"""A lookup waits for this at its first stage; a records system that answers in a second is felt to be slow."""
CACHE_S = 30.0
_UTC = ZoneInfo("UTC")
MOST_BYTES = 4 * 1024 * 1024
MOST_PRINCIPALS = 2_000
"""Answers kept; the oldest leave first."""


class HeldLinks:
    """`LinkStore` of one answer, in memory."""

    def __init__(self, links: Sequence[Link], as_of: datetime) -> None:
        self.as_of = as_of
        self._edges: dict[str, list[Edge]] = {}
        for link in links:
            for start, *edge in both_ways(link):
                self._edges.setdefault(start, []).append(Edge._make(edge))

    async def near(
        self, nodes: Collection[str], relations: Callable[[str], Sequence[str]]
    ) -> Mapping[str, Sequence[Edge] | None]:
        """See `LinkStore`."""
        found: dict[str, Sequence[Edge] | None] = {}
        for one in nodes:
            wanted = relations(one)
            edges = [edge for edge in self._edges.get(one, ()) if edge.relation in wanted]
            found[one] = edges if len(edges) <= MOST_LINKS_OF_A_NODE else None
        return found

    async def between(
        self, start: str, relations: Callable[[str], Sequence[str]], ends: Collection[str]
    ) -> Sequence[Edge]:
        """See `LinkStore`."""
        return [
            edge
            for edge in self._edges.get(start, ())
            if edge.node in ends and edge.relation in relations(edge.node)
        ]


@dataclass(slots=True)
class _Known:
    store: HeldLinks
    until: float


class HttpSource:
    """`LinkSource` of an endpoint."""

    name = "links"

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        ca: Path | None = None,
        deadline_s: float = DEADLINE_S,
        cache_s: float = CACHE_S,
    ) -> None:
        """`token` is sent as a bearer token; `ca` is a PEM file of the endpoint's authorities. Raises OSError for the latter."""
        self._url = url
        self._deadline_s = deadline_s
        self._cache_s = cache_s
        verify: SSLContext | bool = create_default_context(cafile=str(ca)) if ca else True
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {token}"} if token else {},
            verify=verify,
            timeout=deadline_s,
            follow_redirects=False,
            trust_env=False,
        )
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[HeldLinks]] = {}

    @property
    def digest(self) -> str:
        """See `LinkSource`: of the address, since answers differ from person to person."""
        return sha256(self._url.encode()).hexdigest()

    async def view(self, principal: str, at: datetime) -> HeldLinks:  # noqa: ARG002  # the answer says its own time
        """See `LinkSource`. Asks at most once at a time for one person."""
        key = staff_key(principal)
        known = self._known.get(key)
        if known and monotonic() < known.until:
            return known.store
        task = self._asking.get(key)
        if task is None:
            # A task of its own: a lookup that is cancelled must not take the answer from those who wait with it.
            task = self._asking[key] = asyncio.create_task(self._ask(principal), name="purposegate-links")
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        store = await asyncio.shield(task)
        self._known[key] = _Known(store, monotonic() + self._cache_s)
        self._known.move_to_end(key)
        while len(self._known) > MOST_PRINCIPALS:
            self._known.popitem(last=False)
        return store

    async def _ask(self, principal: str) -> HeldLinks:
        try:
            async with asyncio.timeout(self._deadline_s):
                body = await self._body(principal)
        except TimeoutError as error:
            raise unavailable(f"links: the endpoint took more than {self._deadline_s} s") from error
        except httpx.HTTPError as error:
            raise unavailable(f"links: the endpoint failed ({type(error).__name__})") from error
        return _read(body, datetime.now(UTC))

    async def _body(self, principal: str) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url, params={"principal": principal}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise unavailable(f"links: the endpoint answered {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise unavailable(f"links: the endpoint's answer is larger than {MOST_BYTES} bytes")
        return bytes(body)

    async def refresh(self) -> str:
        """See `LinkSource`: nothing is asked before somebody looks."""
        return ""

    async def aclose(self) -> None:
        """See `LinkSource`."""
        await self._client.aclose()


def _read(body: bytes, now: datetime) -> HeldLinks:
    """The answer's links, all or nothing. Raises `FactsOutage`, which says what is wrong and never with what."""
    try:
        content = orjson.loads(body)
        as_of = _moment(content["as_of"])
        links = [_link(given) for given in content["links"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise unavailable("links: the endpoint's answer is not as docs/facts.md has it") from error
    if as_of > now + SKEW:
        raise unavailable("links: the endpoint's answer is from the future")
    return HeldLinks(links, min(as_of, now))


def _link(given: Any) -> Link:
    cells = [given.get(column) or "" for column in COLUMNS]
    source_kind, source, relation, target_kind, target, start, end = cells
    if not all(map(WORD.fullmatch, (source_kind, relation, target_kind))) or not source or not target:
        raise ValueError
    held = Interval(_moment(start) if start else BEGINNING, _moment(end) if end else FOREVER)
    if not held.start < held.end:
        raise ValueError
    return Link(node(source_kind, source), relation, node(target_kind, target), held)


def _moment(text: str) -> datetime:
    """A moment with offset: which zone's days an endpoint would mean, nobody knows."""
    if "T" not in text:
        raise ValueError
    return read_start(text, _UTC)
