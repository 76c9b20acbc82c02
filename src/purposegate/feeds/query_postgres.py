"""A query's session with PostgreSQL: read-only, as of one moment, rows fetched by portions. Needs the extra `postgres`."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import psycopg

from purposegate.feeds.query import ROWS_AT_ONCE, STATEMENT_MS, Cursor, Query, Session

_NUMBERS = count(1)


class PostgresSession(Session):
    """One transaction, REPEATABLE READ and READ ONLY. A query runs as a cursor's, which only a SELECT can be."""

    def __init__(self, asked: Query, url: str) -> None:
        """Connect. Raises `ImportRefused`, without the server's words or the URL."""
        super().__init__(asked)
        self._cursors: list[psycopg.ServerCursor[Any]] = []
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                url, connect_timeout=5, application_name="purposegate feed"
            )
            self._connection.read_only = True
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(STATEMENT_MS),))
        except (psycopg.Error, UnicodeError) as error:
            raise asked.refuse(
                1, "url_file", f"a PostgreSQL database that answers ({type(error).__name__})"
            ) from None

    def ask(self, select: str, key: str) -> Cursor:
        """See `Session`."""
        cursor = self._connection.cursor(name=f"purposegate_{next(_NUMBERS)}")
        cursor.itersize = ROWS_AT_ONCE
        self._cursors.append(cursor)
        try:
            cursor.execute(select.encode())
        except psycopg.Error as error:
            raise self.asked.refuse(
                1, key, f"a SELECT that the database takes ({type(error).__name__})"
            ) from None
        return Cursor([column.name for column in cursor.description or ()], self._each(cursor, key))

    def _each(self, cursor: "psycopg.ServerCursor[Any]", key: str) -> Iterator[Sequence[Any]]:
        try:
            yield from cursor
        except psycopg.Error as error:
            raise self.asked.refuse(
                1, key, f"a SELECT that runs to its end ({type(error).__name__})"
            ) from None

    def close(self) -> None:
        """Let go."""
        for cursor in self._cursors:
            with suppress(psycopg.Error):  # one of a query that failed is gone already
                cursor.close()
        self._connection.close()
