"""The register in a PostgreSQL database: the same tables and statements, in a schema of its own. Needs the extra `postgres`."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from purposegate.conflicts.register_sql import ARRANGE, OFFERED, SCHEMA, RegisterBrokenError
from purposegate.errors import SettingsError

NAMESPACE = "purposegate_register"
TYPES = {"blob": "BYTEA", "integer": "BIGINT", "clustered": "", "temporary": "TEMP"}
LOCK_WAIT_MS = 5_000
_CONNECTION = {
    "connect_timeout": "5",
    "target_session_attrs": "read-write",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "application_name": "purposegate register",
}


class PostgresConnection:
    """One session. A lost one is taken up anew by the next statement outside a transaction."""

    def __init__(self, url: str, *, create: bool = False) -> None:
        """Connect. Raises SettingsError for a URL or a schema that will not do, without showing the URL."""
        self._url = url
        try:
            parts = conninfo_to_dict(url)
            self.name = f"postgresql://{parts.get('host', '')}/{parts.get('dbname', '')}"
        except (psycopg.Error, UnicodeError):
            raise SettingsError("the register's URL: libpq cannot read it; want postgresql://...") from None
        self._closed = False
        try:
            self._session = self._connect()
        except psycopg.Error as error:
            raise SettingsError(
                f"{self.name}: does not answer as a register ({type(error).__name__})"
            ) from None
        try:
            self._require_tables(create=create)
        except BaseException:
            self.close()
            raise

    def _require_tables(self, *, create: bool) -> None:
        try:
            found = self.rows("SELECT to_regclass(?)::text", (f"{NAMESPACE}.held",))
            if found[0][0] is None and create:
                self._make()
                found = [(NAMESPACE,)]
        except (psycopg.Error, RegisterBrokenError) as error:
            raise SettingsError(
                f"{self.name}: cannot be used as a register ({type(error).__name__})"
            ) from None
        if found[0][0] is None:
            raise SettingsError(f"{self.name}: no register there; `purposegate conflicts import` makes one")

    def _connect(self) -> "psycopg.Connection[Any]":
        session = psycopg.connect(self._url, autocommit=True, **_CONNECTION)  # type: ignore[arg-type]  # texts only
        session.execute(f"SET search_path = {NAMESPACE}, pg_temp".encode())
        session.execute("SELECT set_config('lock_timeout', %s, false)", (str(LOCK_WAIT_MS),))
        session.execute("SET client_min_messages = warning")
        session.execute("SET synchronous_commit = on")
        return session

    def _make(self) -> None:
        with self._session.transaction():
            self._session.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}".encode())
            self._session.execute(SCHEMA.format(**TYPES).encode())

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """See `Connection`."""
        if self._session.closed and not self._closed:
            self._session = self._again()
        try:
            cursor = self._session.execute(_spelt(statement), values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise RegisterBrokenError(type(error).__name__) from error

    def _again(self) -> "psycopg.Connection[Any]":
        try:
            return self._connect()
        except psycopg.Error as error:
            raise RegisterBrokenError(type(error).__name__) from error

    def offering(self, offered: Iterable[Sequence[Any]], statement: str) -> None:
        """See `Connection`."""
        copied = statement.partition(" VALUES")[0].removeprefix("INSERT INTO ")
        try:
            with self._session.transaction(), self._session.cursor() as cursor:
                cursor.execute(b"DROP TABLE IF EXISTS pg_temp.offered")
                cursor.execute(OFFERED.format(**TYPES).encode())
                with cursor.copy(f"COPY {copied} FROM STDIN".encode()) as copy:
                    for row in offered:
                        copy.write_row(row)
                cursor.execute(ARRANGE.encode())
                cursor.execute(b"ANALYZE offered")
        except psycopg.Error as error:
            raise RegisterBrokenError(type(error).__name__) from error

    def begin(self) -> None:
        """See `Connection`."""
        self.rows("BEGIN")
        try:
            self.rows("LOCK TABLE held IN SHARE ROW EXCLUSIVE MODE")
        except RegisterBrokenError:
            self.rollback()
            raise

    def commit(self) -> None:
        """See `Connection`."""
        self.rows("COMMIT")

    def rollback(self) -> None:
        """See `Connection`."""
        if not self._session.closed:
            self.rows("ROLLBACK")

    def close(self) -> None:
        """See `Connection`."""
        self._closed = True
        self._session.close()


def _spelt(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
