"""Purpose sessions in the ledger's PostgreSQL database, shared by all gates. Needs psycopg, the extra `postgres`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, LiteralString

import psycopg

from purposegate.errors import LedgerOutage, Outage, SettingsError
from purposegate.purposes.session import Row
from purposegate.reasons import Reason

STATEMENT_MS = 2_000
"""Longest statement: each touches one row or one person's rows."""
_ONE: LiteralString = "SELECT id, token, owner, until, sealed FROM session WHERE token = %s"
_HELD: LiteralString = (
    "SELECT id, token, owner, until, sealed FROM session"
    " WHERE owner = %s AND until > %s ORDER BY until DESC, id"
)
_PUT: LiteralString = "INSERT INTO session (id, token, owner, until, sealed) VALUES (%s, %s, %s, %s, %s)"


class PostgresSessions:
    """Implements `session.Store` over one connection, opened again when it breaks."""

    is_near = False

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], name: str) -> None:
        """Connect. Raises `SettingsError` where the table is missing, `Outage` for a server that does not answer."""
        self._connect = connect
        self._lock = Lock()
        self._connection: psycopg.Connection[Any] | None = None
        with self._session() as connection:
            table = connection.execute(
                "SELECT to_regclass('purposegate_declarations.session')::text"
            ).fetchone()
        if table is None or table[0] is None:
            self.close()
            raise SettingsError(
                f"{name}: no table for declarations; run in it what `purposegate ledger schema` prints at its end"
            )

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, in a transaction of its own. Another is opened where the last one broke."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                    self._connection.execute(
                        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
                        " set_config('search_path', 'purposegate_declarations, pg_temp', false),"
                        " set_config('synchronous_commit', 'on', false)",
                        (str(STATEMENT_MS), str(STATEMENT_MS)),
                    )
                with self._connection.transaction():
                    yield self._connection
            except LedgerOutage as error:
                raise Outage(Reason.FACTS_UNAVAILABLE, "the store of declarations does not answer") from error
            except psycopg.Error as error:
                if self._connection is not None and isinstance(error, psycopg.OperationalError):
                    self._connection.close()
                # Without the server's words, which can quote a row.
                raise Outage(
                    Reason.FACTS_UNAVAILABLE, f"the store of declarations: {type(error).__name__}"
                ) from error

    def put(self, row: Row, *, now: int, most: int) -> bool:
        """See `Store`. One owner's rows are counted by one transaction at a time."""
        with self._session() as connection:
            connection.execute("DELETE FROM session WHERE until <= %s", (now,))
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(row.owner[:8], "big", signed=True),)
            )
            held = connection.execute(
                "SELECT count(*) FROM session WHERE owner = %s", (row.owner,)
            ).fetchall()
            if held[0][0] >= most:
                return False
            connection.execute(_PUT, tuple(row))
            return True

    def get(self, token: bytes) -> Row | None:
        """See `Store`."""
        with self._session() as connection:
            rows = connection.execute(_ONE, (token,)).fetchall()
        return _row(rows[0]) if rows else None

    def held_by(self, owner: bytes, *, now: int) -> tuple[Row, ...]:
        """See `Store`."""
        with self._session() as connection:
            return tuple(map(_row, connection.execute(_HELD, (owner, now)).fetchall()))

    def end(self, name: str, owner: bytes) -> bool:
        """See `Store`."""
        with self._session() as connection:
            done = connection.execute("DELETE FROM session WHERE id = %s AND owner = %s", (name, owner))
            return done.rowcount == 1

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _row(found: Any) -> Row:
    name, token, owner, until, sealed = found
    return Row(name, bytes(token), bytes(owner), until, bytes(sealed))
