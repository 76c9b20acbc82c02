"""Links in a PostgreSQL database: the rows of a generation file, for any number of gates. Needs psycopg, extra `postgres`.

A new generation is written into a table of its own, indexed, and takes the old one's name in one transaction: readers see the
one or the other. Questions are two prepared statements, each answered by the primary key alone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from purposegate.errors import SettingsError
from purposegate.facts.links import (
    MOST_LINKS_OF_A_NODE,
    Edge,
    Feed,
    both_ways,
    moment,
    seconds,
    unavailable,
)

VERSION = 1
DEADLINE_S = 0.5
"""For one question, waiting for a connection included; past it the source counts as gone."""
MOST_CONNECTIONS = 4
CONNECT_S = 2

TABLES: LiteralString = """
CREATE SCHEMA IF NOT EXISTS purposegate_links;
CREATE TABLE IF NOT EXISTS purposegate_links.made (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL, as_of bigint NOT NULL, digest text NOT NULL, links bigint NOT NULL);
DROP TABLE IF EXISTS purposegate_links.edge_new;
CREATE TABLE purposegate_links.edge_new (
  a text COLLATE "C" NOT NULL, rel text COLLATE "C" NOT NULL, b text COLLATE "C" NOT NULL, s bigint NOT NULL, e bigint NOT NULL);
"""
COPY: LiteralString = "COPY raw (a, rel, b, s, e) FROM STDIN (FORMAT BINARY)"
SORT: LiteralString = (
    "INSERT INTO purposegate_links.edge_new SELECT DISTINCT * FROM raw ORDER BY a, rel, b, s, e"
)
INDEX: LiteralString = "ALTER TABLE purposegate_links.edge_new ADD PRIMARY KEY (a, rel, b, s, e)"
SWAP: LiteralString = """
DROP TABLE IF EXISTS purposegate_links.edge;
ALTER TABLE purposegate_links.edge_new RENAME TO edge;
"""
MADE: LiteralString = """
INSERT INTO purposegate_links.made (version, as_of, digest, links) VALUES (%s, %s, %s, %s)
ON CONFLICT (one) DO UPDATE
SET version = excluded.version, as_of = excluded.as_of, digest = excluded.digest, links = excluded.links
"""
STATE: LiteralString = "SELECT version, as_of, digest FROM purposegate_links.made"
NEAR: LiteralString = """
SELECT w.a, w.rel, x.b, x.s, x.e
FROM unnest(%s::text[], %s::text[]) AS w(a, rel) CROSS JOIN LATERAL (
  SELECT b, s, e FROM purposegate_links.edge WHERE edge.a = w.a AND edge.rel = w.rel LIMIT %s) x
"""
BETWEEN: LiteralString = """
SELECT edge.rel, edge.b, edge.s, edge.e
FROM unnest(%s::text[], %s::text[]) AS w(rel, b)
JOIN purposegate_links.edge ON edge.a = %s AND edge.rel = w.rel AND edge.b = w.b
"""


class PostgresLinks:
    """`LinkStore` over one generation's state. Its questions go to whatever generation the server has by then."""

    def __init__(self, source: "PostgresSource", as_of: datetime) -> None:
        self._source = source
        self.as_of = as_of

    async def near(
        self, nodes: Collection[str], relations: Callable[[str], Sequence[str]]
    ) -> Mapping[str, Sequence[Edge] | None]:
        """See `LinkStore`. One round trip."""
        pairs = [(one, relation) for one in nodes for relation in relations(one)]
        found: dict[str, list[Edge]] = {one: [] for one in nodes}
        if pairs:
            names, wanted = map(list, zip(*pairs, strict=True))
            for a, *edge in await self._source.ask(NEAR, (names, wanted, MOST_LINKS_OF_A_NODE + 1)):
                found[a].append(Edge._make(edge))
        return {one: edges if len(edges) <= MOST_LINKS_OF_A_NODE else None for one, edges in found.items()}

    async def between(
        self, start: str, relations: Callable[[str], Sequence[str]], ends: Collection[str]
    ) -> Sequence[Edge]:
        """See `LinkStore`. One round trip."""
        pairs = [(relation, end) for end in ends for relation in relations(end)]
        if not pairs:
            return []
        wanted, those = map(list, zip(*pairs, strict=True))
        return [Edge._make(row) for row in await self._source.ask(BETWEEN, (wanted, those, start))]


class PostgresSource:
    """`LinkSource` of a database. Connections are opened as they are needed, and replaced when one fails."""

    name = "links"

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        """`url` is libpq's; nothing of it is ever shown."""
        self._url = url
        self._deadline_s = deadline_s
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._view: PostgresLinks | None = None
        self._digest = ""

    @property
    def digest(self) -> str:
        """See `LinkSource`."""
        return self._digest

    async def view(self, principal: str, at: datetime) -> PostgresLinks:  # noqa: ARG002  # one state for all
        """See `LinkSource`. Raises `FactsOutage` until the server was first reached."""
        if self._view is None and (fault := await self.refresh()):
            raise unavailable(fault)
        if self._view is None:
            raise unavailable("links: no generation in this database")
        return self._view

    async def refresh(self) -> str:
        """See `LinkSource`."""
        try:
            rows = await self.ask(STATE, ())
        except Exception as error:  # noqa: BLE001  # an outage, with its words; anything else is as bad
            return f"links: {error}"
        if not rows or rows[0][0] != VERSION:
            return "links: no links of this release in the database; run `purposegate links import`"
        _, as_of, digest = rows[0]
        if self._view is None or digest != self._digest or seconds(self._view.as_of) != as_of:
            self._view, self._digest = PostgresLinks(self, moment(as_of)), str(digest)
        return ""

    async def ask(self, statement: LiteralString, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises `FactsOutage` where the server does not answer in time."""
        try:
            async with asyncio.timeout(self._deadline_s), self._connection() as connection:
                cursor = await connection.execute(statement, arguments, prepare=True, binary=True)
                return await cursor.fetchall()
        except TimeoutError as error:
            raise unavailable(f"links: PostgreSQL took more than {self._deadline_s} s") from error
        except (psycopg.Error, OSError) as error:
            raise unavailable(f"links: PostgreSQL failed ({type(error).__name__})") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._connect()
            is_clean = False
            try:
                yield connection
                is_clean = True
            finally:
                # Whoever was cut off in the middle of a question leaves a connection that nobody else may use.
                if is_clean:
                    self._idle.append(connection)
                else:
                    await connection.close()
                    await self._close_idle()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="purposegate links",
            options="-c default_transaction_read_only=on -c jit=off -c search_path=pg_catalog",
        )

    async def _close_idle(self) -> None:
        """Where one connection failed the others have: the server went away."""
        while self._idle:
            await self._idle.pop().close()

    async def aclose(self) -> None:
        """See `LinkSource`."""
        await self._close_idle()


def write_postgres(url: str, feed: Feed) -> int:
    """Write a generation into the database and put it in the old one's place; how many links it has. Blocks.

    Durable on return. Whatever taking the links raises changes nothing. Raises SettingsError, without the URL.
    """
    try:
        with psycopg.connect(
            url, connect_timeout=CONNECT_S, application_name="purposegate links import"
        ) as db:
            cursor = db.cursor()
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('purposegate links import', 0))")
            cursor.execute(TABLES)
            cursor.execute("CREATE TEMP TABLE raw (LIKE purposegate_links.edge_new) ON COMMIT DROP")
            with cursor.copy(COPY) as copy:
                copy.set_types(["text", "text", "text", "int8", "int8"])
                for link in feed:
                    for row in both_ways(link):
                        copy.write_row(row)
            cursor.execute(SORT)
            rows = cursor.rowcount
            cursor.execute(INDEX)
            cursor.execute("ANALYZE purposegate_links.edge_new")
            cursor.execute(SWAP)
            cursor.execute(MADE, (VERSION, seconds(feed.as_of), feed.digest, rows // 2))
        with psycopg.connect(url, connect_timeout=CONNECT_S, autocommit=True) as db:
            db.execute("VACUUM purposegate_links.edge")  # so that questions need the index alone
    except psycopg.Error as error:
        raise SettingsError(f"links: PostgreSQL did not take them ({type(error).__name__})") from error
    return rows // 2
