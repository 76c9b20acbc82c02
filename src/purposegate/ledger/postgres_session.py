"""Connections to PostgreSQL: addresses that never show their secrets, and sessions whose durability was read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.location import is_address

SCHEMA = "purposegate_ledger"
SCHEMA_VERSION = b"1"
APPLICATION = b"PGL1"
OLDEST_SERVER = 140_000
"""PostgreSQL 14: older ones get no more fixes."""
LOCK_WAIT_MS = 5_000
"""Longest wait for a row or a shard's lock; a group commit takes about one, so this is an outage."""
READ_WAIT_MS = 5_000
"""Longest statement of a gate's own reading: counters and a few hashes."""
SEARCH_WAIT_MS = 60_000
"""Longest statement of verify and query, which read by portions."""
_CONNECTION: Mapping[str, str] = MappingProxyType(
    {
        "connect_timeout": "5",
        "target_session_attrs": "read-write",
        # A cable that is cut says nothing; without these a commit would wait two hours for its answer.
        "tcp_user_timeout": "10000",
        "keepalives_idle": "5",
        "keepalives_interval": "5",
        "keepalives_count": "2",
    }
)
"""What a URL leaves open. Its own parameters come first."""
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fsync": ("on",),
        "full_page_writes": ("on",),
        "synchronous_commit": ("on", "remote_write", "remote_apply"),
        "data_sync_retry": ("off",),
    }
)
"""Server settings without which COMMIT does not mean durable, and the values that will do."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A connection URL. As text it is host, port and database only."""

    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a libpq URL (postgresql.org/docs/current/libpq-connect.html). Raises SettingsError, which shows nothing of it."""
        try:
            if not is_address(url):
                raise SettingsError("ledger URL: want postgresql://host:port/database")
            found = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        except (psycopg.Error, UnicodeError):
            # The cause would print the URL, password and all.
            raise SettingsError(
                "ledger URL: libpq cannot read it; write postgresql://name@host:port/database"
            ) from None
        if not found.get("dbname") and not found.get("service"):
            raise SettingsError("ledger URL: it names no database; write postgresql://host:port/database")
        return cls(MappingProxyType(found))

    @property
    def has_password(self) -> bool:
        """Whether the URL itself holds a secret."""
        return bool({"password", "sslpassword"} & self.parameters.keys())

    def __str__(self) -> str:
        at = self.parameters
        hosts = at.get("host", "").split(",")
        ports = [f":{port}" if port else "" for port in at.get("port", "").split(",")]
        each = map("".join, zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False))
        return f"postgresql://{','.join(each)}/{at.get('dbname', at.get('service', ''))}"

    __repr__ = __str__


def connect(address: Address, what: str, **changes: str) -> psycopg.Connection[Any]:
    """A connection in autocommit mode, with safe name look-up. Raises LedgerOutage, without the server's words."""
    given: dict[str, Any] = {
        **_CONNECTION,
        **changes,
        **address.parameters,
        "application_name": f"purposegate {what}",
    }
    try:
        connection = psycopg.connect(**given, autocommit=True)
    except psycopg.Error as error:
        raise LedgerOutage(f"{address}: no connection ({type(error).__name__})") from error
    except UnicodeError:
        raise LedgerOutage(f"{address}: no connection (a parameter is not in UTF-8)") from None
    try:
        connection.execute(f"SET search_path = {SCHEMA}, pg_temp")
        connection.execute("SET client_min_messages = warning")
    except psycopg.Error as error:
        connection.close()
        raise LedgerOutage(f"{address}: no session ({type(error).__name__})") from error
    if connection.info.server_version < OLDEST_SERVER:
        connection.close()
        raise SettingsError(f"{address}: want PostgreSQL 14 or newer")
    return connection


def limit(connection: psycopg.Connection[Any], *, statement_ms: int = 0, lock_ms: int = LOCK_WAIT_MS) -> None:
    """Bound a session's statements and its waits for locks, in milliseconds; 0 is without end."""
    connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
        (str(statement_ms), str(lock_ms)),
    )


def make_durable(connection: psycopg.Connection[Any], address: Address) -> None:
    """Have COMMIT mean durable, whatever the role's default is, and read it back. Raises LedgerOutage, psycopg.Error."""
    connection.execute(
        "SELECT set_config('synchronous_commit',"
        " CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
    )
    found = connection.execute(
        "SELECT n, current_setting(n) FROM unnest(%s::text[]) AS n", (list(NEEDED),)
    ).fetchall()
    require_durable(dict(found), address)
    (read_only,) = connection.execute("SHOW transaction_read_only").fetchall()[0]
    if read_only != "off":
        raise LedgerOutage(f"{address}: this server is read-only, a standby perhaps; name the primary")


def require_durable(found: Mapping[str, str], address: Address) -> None:
    """Return if these settings make COMMIT durable; else LedgerOutage names the first that does not."""
    for name, wanted in NEEDED.items():
        if found.get(name) not in wanted:
            raise LedgerOutage(
                f"{address}: the server has {name} = {found.get(name)}, and loses what it acknowledged;"
                f" want {' or '.join(wanted)}"
            )


def recognised(connection: psycopg.Connection[Any], address: Address) -> dict[str, bytes]:
    """The meta rows, if the database has a ledger's schema of this version. Raises SettingsError, psycopg.Error."""
    (table,) = connection.execute("SELECT to_regclass(%s)::text", (f"{SCHEMA}.meta",)).fetchall()[0]
    if table is None:
        raise SettingsError(
            f"{address}: no ledger in this database; run the SQL of `purposegate ledger schema` in it first"
        )
    try:
        meta = {name: bytes(value) for name, value in connection.execute("SELECT name, value FROM meta")}
    except (psycopg.errors.UndefinedColumn, ValueError, TypeError) as error:
        raise SettingsError(
            f"{address}: its schema {SCHEMA} is not a ledger's; name another database"
        ) from error
    if meta.get("application") != APPLICATION:
        raise SettingsError(f"{address}: its schema {SCHEMA} is not a ledger's; name another database")
    if meta.get("schema") != SCHEMA_VERSION:
        raise SettingsError(
            f"{address}: another schema than the one this purposegate knows, {SCHEMA_VERSION.decode()};"
            " use the release that wrote it"
        )
    return meta


def lock_key(*names: str) -> int:
    """An advisory lock's number: 64 signed bits of a hash, so that no other program's locks are met by chance."""
    text = "\n".join(("purposegate ledger", *names))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)


class Holder(NamedTuple):
    """A session that holds a lock: its process at the server, and when that began, where one may see it."""

    pid: int
    began: datetime | None


def holder(connection: psycopg.Connection[Any], key: int) -> Holder | None:
    """Who holds an advisory lock of this database."""
    half = (1 << 32) - 1
    found = connection.execute(
        "SELECT pid, backend_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND classid::bigint = %s AND objid::bigint = %s",
        (key >> 32 & half, key & half),
    ).fetchall()
    return Holder(*found[0]) if found else None
