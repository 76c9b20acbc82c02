"""The store of matters in the ledger's PostgreSQL database, shared by all gates. Needs psycopg, the extra `postgres`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, LiteralString

import psycopg

from purposegate.errors import Outage, SettingsError
from purposegate.ledger import postgres_session as session
from purposegate.ledger.postgres_session import Address
from purposegate.reasons import Reason
from purposegate.review.store import Row

_GET: LiteralString = "SELECT id, kind, step, at, until, kid, nonce, body FROM matter WHERE id = %s"
_FOUND: LiteralString = (
    "SELECT m.id, m.kind, m.step, m.at, m.until, m.kid, m.nonce, m.body FROM party AS p JOIN matter AS m ON m.id = p.id"
    " WHERE p.tok = %s ORDER BY p.at DESC, p.id LIMIT %s"
)


class PostgresStore:
    """`store.Store` over one connection, opened again when it breaks."""

    def __init__(self, address: Address) -> None:
        """Connect. Raises SettingsError where the tables are missing, LedgerOutage for a server that does not answer."""
        self._address = address
        self._lock = Lock()
        self._connection: psycopg.Connection[Any] | None = None
        with self._session() as connection:
            (table,) = connection.execute("SELECT to_regclass('purposegate_review.matter')::text").fetchall()[
                0
            ]
        if table is None:
            self.close()
            raise SettingsError(
                f"{address}: no tables for reviews; run in it what `purposegate ledger schema` prints at its end"
            )

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, in a transaction of its own. Another is opened where the last one broke."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = session.connect(self._address, "reviews")
                    session.limit(self._connection, statement_ms=session.READ_WAIT_MS)
                    session.make_durable(self._connection, self._address)
                    self._connection.execute("SET search_path = purposegate_review, pg_temp")
                with self._connection.transaction():
                    yield self._connection
            except psycopg.OperationalError as error:
                if self._connection is not None:
                    self._connection.close()
                raise _outage(error) from error
            except psycopg.Error as error:
                raise _outage(error) from error

    def get(self, name: str) -> Row | None:
        """See `Store`."""
        with self._session() as connection:
            rows = connection.execute(_GET, (name,)).fetchall()
        return _row(rows[0]) if rows else None

    def put(self, row: Row) -> bool:
        """See `Store`."""
        with self._session() as connection:
            if row.step == 1:
                done = connection.execute(
                    "INSERT INTO matter VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    row[:-1],
                )
            else:
                done = connection.execute(
                    "UPDATE matter SET step = %s, until = %s, kid = %s, nonce = %s, body = %s"
                    " WHERE id = %s AND kind = %s AND step = %s",
                    (row.step, row.until, row.kid, row.nonce, row.sealed, row.id, row.kind, row.step - 1),
                )
            if done.rowcount != 1:
                return False
            connection.execute("DELETE FROM party WHERE id = %s", (row.id,))
            for token in dict.fromkeys(row.tokens):
                connection.execute("INSERT INTO party VALUES (%s, %s, %s)", (token, row.at, row.id))
            return True

    def found(self, token: bytes, *, limit: int) -> Sequence[Row]:
        """See `Store`."""
        with self._session() as connection:
            rows = connection.execute(_FOUND, (token, limit)).fetchall()
        return [_row(row) for row in rows]

    def claim(self, what: str, by: str, at: int) -> bool:
        """See `Store`."""
        with self._session() as connection:
            done = connection.execute(
                "INSERT INTO claim VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (what, by, at)
            )
            return done.rowcount == 1

    def unclaim(self, what: str, by: str) -> None:
        """See `Store`."""
        with self._session() as connection:
            connection.execute("DELETE FROM claim WHERE what = %s AND by = %s", (what, by))

    def prune(self, before: int) -> None:
        """See `Store`."""
        with self._session() as connection:
            connection.execute(
                "DELETE FROM party WHERE id IN (SELECT id FROM matter WHERE until < %s)", (before,)
            )
            connection.execute("DELETE FROM matter WHERE until < %s", (before,))
            connection.execute("DELETE FROM claim WHERE at < %s", (before,))

    def clear(self) -> None:
        """See `Store`."""
        with self._session() as connection:
            connection.execute("DELETE FROM party")
            connection.execute("DELETE FROM matter")
            connection.execute("DELETE FROM claim")

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _row(found: Sequence[Any]) -> Row:
    name, kind, step, at, until, kid, nonce, body = found
    return Row(name, kind, step, at, until, kid, bytes(nonce), bytes(body))


def _outage(error: psycopg.Error) -> Outage:
    """Without the server's words, which can quote a row."""
    return Outage(Reason.GATE_FAULT, f"the tables of reviews failed ({type(error).__name__})")
