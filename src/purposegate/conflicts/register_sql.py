# ruff: noqa: S608  # fixed words only; whatever is anybody's goes in by parameters
"""The register's SQL, the same for SQLite and PostgreSQL, and what a connection to either must do.

A row is visible to generation g where `since <= g` and `until` is nothing or greater. A new generation only adds rows and ends
others, so that a gate goes on reading the one it loaded until it loads the next.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

COLUMNS = "bucket, owner, tok, feed, print, valid_from, valid_to, known_from, review, kid, nonce, ct"

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value {blob} NOT NULL){clustered};
CREATE TABLE head (generation {integer} PRIMARY KEY, kid {integer} NOT NULL, nonce {blob} NOT NULL, ct {blob} NOT NULL);
CREATE TABLE held (
  bucket {integer} NOT NULL, owner {blob} NOT NULL, tok {blob} NOT NULL, since {integer} NOT NULL, until {integer},
  feed {blob} NOT NULL, print {blob} NOT NULL,
  valid_from TEXT NOT NULL, valid_to TEXT NOT NULL, known_from TEXT NOT NULL, review TEXT NOT NULL,
  kid {integer} NOT NULL, nonce {blob} NOT NULL, ct {blob} NOT NULL,
  PRIMARY KEY (bucket, owner, tok, since)){clustered};
CREATE INDEX held_until ON held (until) WHERE until IS NOT NULL;
"""
OFFERED = """
CREATE {temporary} TABLE offered (
  bucket {integer} NOT NULL, owner {blob} NOT NULL, tok {blob} NOT NULL, feed {blob} NOT NULL, print {blob} NOT NULL,
  valid_from TEXT NOT NULL, valid_to TEXT NOT NULL, known_from TEXT NOT NULL, review TEXT NOT NULL,
  kid {integer} NOT NULL, nonce {blob} NOT NULL, ct {blob} NOT NULL, line {integer} NOT NULL)
"""
OFFER = f"INSERT INTO offered ({COLUMNS}, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ARRANGE = "CREATE INDEX offered_by ON offered (bucket, owner, tok)"
REPEATED = """
SELECT o.line FROM offered o
JOIN (SELECT tok, MIN(line) AS first FROM offered WHERE line > 0 GROUP BY tok HAVING COUNT(*) > 1) d ON d.tok = o.tok
WHERE o.line > d.first ORDER BY o.line LIMIT 600
"""
DATES = "valid_from || '|' || valid_to || '|' || known_from || '|' || review"
"""As a row is sealed with them, and one value to fetch in place of four."""
VISIBLE = "since <= ? AND (until IS NULL OR until > ?)"
BUCKET = (
    f"SELECT owner, tok, nonce, CASE WHEN owner = ? THEN ct END, kid, feed, {DATES}"
    f" FROM held WHERE bucket = ? AND {VISIBLE} ORDER BY owner, tok"
)
EVERY = (
    f"SELECT owner, tok, nonce, ct, kid, feed, {DATES}"
    f" FROM held WHERE bucket >= ? AND bucket < ? AND {VISIBLE} ORDER BY bucket, owner, tok"
)
HEAD = "SELECT generation, kid, nonce, ct FROM head ORDER BY generation DESC LIMIT 1"
GENERATION = "SELECT MAX(generation) FROM head"
PUT_HEAD = "INSERT INTO head (generation, kid, nonce, ct) VALUES (?, ?, ?, ?)"
DROP_HEADS = "DELETE FROM head WHERE generation < ?"
SAME = "x.bucket = held.bucket AND x.owner = held.owner AND x.tok = held.tok AND x.print = held.print"
END = (
    "UPDATE held SET until = ? WHERE until IS NULL AND feed = ?"
    f" AND NOT EXISTS (SELECT 1 FROM offered x WHERE {SAME})"
)
END_ONE = "UPDATE held SET until = ? WHERE until IS NULL AND bucket = ? AND owner = ? AND tok = ?"
ADD = (
    f"INSERT INTO held ({COLUMNS}, since) SELECT {COLUMNS}, ? FROM offered o WHERE NOT EXISTS ("
    "SELECT 1 FROM held x WHERE x.bucket = o.bucket AND x.owner = o.owner AND x.tok = o.tok AND x.print = o.print"
    " AND x.until IS NULL) ORDER BY bucket, owner, tok"
)
CHANGED = (
    "SELECT DISTINCT bucket FROM held WHERE since = ? UNION SELECT DISTINCT bucket FROM held WHERE until = ?"
)
LIKE = "x.bucket = held.bucket AND x.owner = held.owner AND x.tok = held.tok"
KEPT = (
    f"SELECT COUNT(*) FROM offered x JOIN held ON {LIKE} AND held.until IS NULL"
    " WHERE x.line > 0 AND x.print = held.print"
)
ALTERED = (
    f"SELECT COUNT(*) FROM offered x JOIN held ON {LIKE} AND held.until IS NULL"
    " WHERE x.line > 0 AND x.print <> held.print"
)
OFFERED_ENTRIES = "SELECT COUNT(*) FROM offered WHERE line > 0"
ADD_ONE = f"INSERT INTO held ({COLUMNS}, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PURGE = "DELETE FROM held WHERE until < ?"
DUE = f"SELECT COUNT(*) FROM held WHERE review <> '' AND review <= ? AND {VISIBLE}"
NAMES = "SELECT owner, tok, nonce, since, until FROM held WHERE bucket = ? ORDER BY owner, tok"


class RegisterBrokenError(Exception):
    """The database failed, or would not do what it was asked; the message is the name of what it said."""


class Connection(Protocol):
    """A connection to a database. Whatever the database fails at is raised as `RegisterBrokenError`."""

    name: str

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement."""
        ...

    def offering(self, offered: Iterable[Sequence[Any]], statement: str) -> None:
        """Make the table `offered`, this session's own, fill it by this INSERT, and arrange it to be found in."""
        ...

    def begin(self) -> None:
        """Begin a transaction that no other writer's can run beside. Waits a few seconds for one that is."""
        ...

    def commit(self) -> None:
        """Durable when it returns."""
        ...

    def rollback(self) -> None:
        """Undo since `begin`. Does nothing outside a transaction."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...
