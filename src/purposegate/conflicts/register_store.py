"""The register as a store: read by principal out of one sealed generation, each bucket held against its pin.

Nothing is kept in memory but the pins. A generation is read until the next one is loaded; what was written since is not seen.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

from purposegate.conflicts.decisions import Decision, Verdict
from purposegate.conflicts.register import RegisterEntry, named
from purposegate.conflicts.register_head import BUCKETS, Head, bucket_of, head_place, pin, row_place
from purposegate.conflicts.register_keys import TOKEN_BYTES, DoesNotOpenError, RegisterKeys, Seen
from purposegate.conflicts.register_rows import (
    DECISION,
    ENTRY,
    Pointer,
    read_body,
    read_decision,
    read_entry,
)
from purposegate.conflicts.register_sql import (
    BUCKET,
    DUE,
    EVERY,
    GENERATION,
    HEAD,
    Connection,
    RegisterBrokenError,
)
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.written import staff_key
from purposegate.errors import FactsOutage, SettingsError
from purposegate.feeds.table import Stamp
from purposegate.model import RecordRef
from purposegate.reasons import Reason

NO_REGISTER = Head(
    generation=0,
    at=datetime.min.replace(tzinfo=UTC),
    previous="",
    feeds={},
    decisions=0,
    recent={},
    pins=bytes(TOKEN_BYTES * BUCKETS),
)
"""What stands before the first import."""
SCANNED_AT_ONCE = 1_024
"""Buckets of one statement where the whole register is read."""


def outage(detail: str) -> FactsOutage:
    """The register cannot be read, or is not to be trusted."""
    return FactsOutage(Reason.FACTS_UNAVAILABLE, f"register: {detail}")


def read_head(session: "Connection | Session", name: str, keys: RegisterKeys) -> Head:
    """The newest generation. Raises SettingsError where its head was altered, or is older than one seen before."""
    found = session.rows(HEAD)
    head = NO_REGISTER
    if found:
        generation, kid, nonce, sealed = found[0]
        try:
            clear = keys.open(kid, nonce, sealed, head_place(generation))
            head = Head.of_bytes(clear)
        except (DoesNotOpenError, ValueError, KeyError) as error:
            raise SettingsError(
                f"{name}: the register's head does not open under {keys.path}: altered, or another key's"
            ) from error
    seen = keys.seen()
    if head.generation < seen.generation or (
        seen.generation and head.generation == seen.generation and head.seen != seen
    ):
        raise SettingsError(
            f"{name}: generation {head.generation} of the register, and this machine saw {seen.generation}:"
            " put back to an older state; find out by whom, then import every feed anew into an empty one"
        )
    return head


class Session:
    """A connection that several generations read by, and several threads in turn. Closed with the last of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = Lock()
        weakref.finalize(self, connection.close)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement. Raises `FactsOutage`."""
        try:
            with self._lock:
                return self.connection.rows(statement, values)
        except RegisterBrokenError as error:
            raise outage(f"its database does not answer ({error})") from error


class StoredRegister:
    """One generation of a store, as `register.Entries`. Safe in several threads, which take turns."""

    def __init__(self, session: Session, keys: RegisterKeys, head: Head, seen: Seen) -> None:
        self._session = session
        self._keys = keys
        self._last: tuple[bytes, list[tuple[str, list[Any]]]] = (b"", [])
        self.head = head
        self.digest = seen.digest
        self.stamp = Stamp(head.generation, 0, 0, 0)
        self.as_of = min((feed.as_of for feed in head.feeds.values()), default=head.at)

    def entries_of(self, principal: str) -> tuple[RegisterEntry, ...]:
        """See `register.Entries`."""
        rows = self._owned("principal", staff_key(principal))
        return tuple(read_entry(body) for sort, body in rows if sort == ENTRY)

    def decisions_of(self, principal: str) -> tuple[Decision, ...]:
        """See `register.Entries`."""
        rows = self._owned("principal", staff_key(principal))
        return tuple(read_decision(body) for sort, body in rows if sort == DECISION)

    def naming(self, record: RecordRef, relations: frozenset[str]) -> tuple[RegisterEntry, ...]:
        """See `register.Entries`."""
        pointers = [Pointer(*body) for _, body in self._owned("record", *named(record))]
        wanted = {(staff_key(one.principal), one.id) for one in pointers if one.relation in relations}
        principals = sorted({principal for principal, _ in wanted})
        found = (entry for principal in principals for entry in self.entries_of(principal))
        return tuple(entry for entry in found if (staff_key(entry.principal), entry.id) in wanted)

    def each(self) -> Iterator[RegisterEntry]:
        """See `register.Entries`. A record that was confirmed to be an entry's stands among its records."""
        for rows in self._scan():
            opened = [self._opened(row) for row in rows]
            confirmed: dict[str, set[RecordRef]] = {}
            for sort, body in opened:
                if sort == DECISION:
                    decision = read_decision(body)
                    if decision.verdict is Verdict.CONFIRMED:
                        confirmed.setdefault(decision.entry, set()).add(decision.record)
            for sort, body in opened:
                if sort == ENTRY:
                    entry = read_entry(body)
                    more = confirmed.get(f"register:{entry.id}")
                    yield replace(entry, records=entry.records | more) if more else entry

    def check(self) -> int:
        """How many rows there are, each held against its pin and opened. Raises `FactsOutage` for the first that is not right."""
        return sum(len([self._opened(row) for row in rows]) for rows in self._scan())

    def due(self, day: date) -> int:
        """How many entries somebody should have looked at again by this day. Raises `FactsOutage`."""
        at = self.head.generation
        return int(self._session.rows(DUE, (day.isoformat(), at, at))[0][0])

    @property
    def is_current(self) -> bool:
        """Whether the store holds no newer generation. Raises `FactsOutage`."""
        found = self._session.rows(GENERATION)
        return bool(found) and found[0][0] == self.head.generation

    def renewed(self, relations: Relations) -> "StoredRegister":
        """The newest generation, read by the same connection. Raises as `RegisterStore.load`."""
        return loaded(self._session, self._keys, relations)

    def _owned(self, kind: str, *parts: str) -> list[tuple[str, list[Any]]]:
        """The bodies of all rows that are found by this token."""
        owner = self._keys.token(kind, *parts)
        last, bodies = self._last  # entries and decisions of one person are asked for one after the other
        if last == owner:
            return bodies
        bucket = bucket_of(owner)
        at = self.head.generation
        rows = self._session.rows(BUCKET, (owner, bucket, at, at))
        if pin([row[:3] for row in rows]) != self.head.pin(bucket):
            raise self._altered()
        bodies = [self._opened(row) for row in rows if row[3] is not None]
        self._last = owner, bodies
        return bodies

    def _scan(self) -> Iterator[list[Any]]:
        """The rows of each bucket that has some."""
        at = self.head.generation
        for first in range(0, BUCKETS, SCANNED_AT_ONCE):
            by_bucket: dict[int, list[Any]] = {}
            for row in self._session.rows(EVERY, (first, first + SCANNED_AT_ONCE, at, at)):
                by_bucket.setdefault(bucket_of(row[0]), []).append(row)
            for bucket in sorted({*by_bucket, *self.head.filled(first, first + SCANNED_AT_ONCE)}):
                rows = by_bucket.get(bucket, [])
                if pin([row[:3] for row in rows]) != self.head.pin(bucket):
                    raise self._altered()
                yield rows

    def _opened(self, row: Sequence[Any]) -> tuple[str, list[Any]]:
        owner, token, nonce, sealed, kid, feed, dates = row
        try:
            clear = self._keys.open(kid, nonce, sealed, row_place(owner, token, feed, dates))
            return read_body(clear)
        except DoesNotOpenError as error:
            raise self._altered() from error

    def _altered(self) -> FactsOutage:
        return outage(
            f"rows of generation {self.head.generation} are not those that were sealed;"
            " the gate has fallen far behind, or somebody altered the database: run `purposegate conflicts verify`"
        )


def checked(connection: Connection, keys: RegisterKeys, *, begin: bool) -> Connection:
    """The connection, if its database was begun with these keys, or may be begun now. Raises SettingsError."""
    try:
        found = connection.rows("SELECT value FROM meta WHERE name = 'key'")
        if not found and begin:
            connection.rows("INSERT INTO meta (name, value) VALUES ('key', ?)", (keys.fingerprint,))
            found = [(keys.fingerprint,)]
    except RegisterBrokenError as error:
        connection.close()
        raise SettingsError(f"{connection.name}: cannot be used as a register ({error})") from error
    if not found or bytes(found[0][0]) != keys.fingerprint:
        connection.close()
        raise SettingsError(
            f"{connection.name}: made with another key file than {keys.path}; bring back the one that it was made with"
        )
    return connection


@dataclass(frozen=True, slots=True)
class RegisterStore:
    """Where a register is, and its keys. `connect` gives a new connection."""

    connect: Callable[[], Connection]
    keys: RegisterKeys

    def load(self, relations: Relations) -> StoredRegister:
        """The newest generation, to be read from; this machine remembers it.

        Raises SettingsError for a register that was altered, put back, never imported, or whose relations conflicts.yaml
        does not have; `FactsOutage` where the database does not answer.
        """
        return loaded(Session(self.connect()), self.keys, relations)


def loaded(session: Session, keys: RegisterKeys, relations: Relations) -> StoredRegister:
    """The newest generation, by this connection. Raises as `RegisterStore.load`."""
    name = session.connection.name
    head = read_head(session, name, keys)
    if not head.feeds:
        raise SettingsError(f"{name}: nothing was imported yet: `purposegate conflicts import`")
    used = {relation for feed in head.feeds.values() for relation in feed.relations}
    if unknown := sorted(used - relations.by_name.keys()):
        raise SettingsError(f"{name}: entries have relations that conflicts.yaml lacks: {', '.join(unknown)}")
    keys.saw(seen := head.seen)
    return StoredRegister(session, keys, head, seen)
