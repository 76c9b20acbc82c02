"""Taking a feed into the register: all or nothing, durable in the ledger before it takes effect.

A feed brings all of its entries each time; those that it no longer brings end. Nothing else is touched, and what did not change
stays as it was sealed. The steps: read and seal every row; begin the one transaction that no other writer's runs beside; hold
every bucket that changes against its pin, so that nobody's tampering is sealed as right; seal the new generation. The caller
then has the import's entry in the ledger, and only then commits.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from purposegate.conflicts import register_sql as sql
from purposegate.conflicts.decisions import Decision
from purposegate.conflicts.register import COLUMNS, OPTIONAL, Reading, RegisterEntry, named
from purposegate.conflicts.register_head import (
    FeedState,
    Head,
    Row,
    bucket_of,
    head_place,
    pin,
    row_place,
)
from purposegate.conflicts.register_keys import TOKEN_BYTES, RegisterKeys
from purposegate.conflicts.register_rows import Dates, Pointer, decision_bytes, entry_bytes, pointer_bytes
from purposegate.conflicts.register_sql import Connection, RegisterBrokenError
from purposegate.conflicts.register_store import RegisterStore, outage, read_head
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.written import staff_key
from purposegate.errors import SettingsError
from purposegate.feeds.reading import Source, opened
from purposegate.feeds.table import Table

ENDED_FOR = timedelta(hours=1)
"""For how long a row that ended is kept, for gates that have not looked since; they look every few seconds."""

MAIN_FEED = "register"
"""The feed whose entries keep their ids as they are; another's are told as `<feed>/<id>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One feed to be taken: its name, where its rows are, and the least share of its last rows that it must have."""

    name: str
    source: Source
    least_share: float
    accept_shorter: bool = False


@contextmanager
def taking(
    store: RegisterStore, feed: Feed, relations: Relations, *, now: datetime, zone: ZoneInfo
) -> Iterator["Pending"]:
    """Prepare an import. Inside the block `commit` makes it so; a block left without it changes nothing.

    Raises `ImportRefused` with every fault by line and column, SettingsError, `FactsOutage`.
    """
    with _writing(store) as connection:
        sealing = _Sealing(store.keys, feed.name)
        with opened(feed.source, COLUMNS, now=now, optional=OPTIONAL) as table:
            reading = Reading(table, relations, now=now, zone=zone)
            connection.offering(sealing.rows(reading.numbered(table.rows)), sql.OFFER)
            _no_repeats(connection, table)
            table.close()
        connection.begin()
        head = read_head(connection, connection.name, store.keys)
        before = head.feeds[feed.name].rows if feed.name in head.feeds else 0
        rows = _count(connection, sql.OFFERED_ENTRIES)
        _long_enough(table, feed, rows, before)
        kept, changed = _count(connection, sql.KEPT), _count(connection, sql.ALTERED)
        state = FeedState(
            rows=rows,
            relations=tuple(sorted(reading.relations)),
            as_of=table.as_of,
            digest=table.digest,
            at=now,
        )
        after = _replaced(connection, store.keys, head, feed.name, state)
        yield Pending(
            store,
            connection,
            after,
            {
                "feed": feed.name,
                "rows": rows,
                "added": rows - kept - changed,
                "changed": changed,
                "ended": before - kept - changed,
                "as_of": table.as_of.isoformat(timespec="seconds"),
                "source_sha256": table.digest,
                "generation": after.generation,
                "register_sha256": after.seen.digest,
            },
        )


@contextmanager
def deciding(
    store: RegisterStore, decision: Callable[[int], Decision], *, now: datetime
) -> Iterator["Pending"]:
    """Prepare to keep a decision, in place of an earlier one of the same candidate. As `taking`.

    `decision` is asked for once the number of its generation is known.
    """
    with _writing(store) as connection:
        connection.begin()
        head = read_head(connection, connection.name, store.keys)
        generation = _next(store.keys, head)
        row = _Sealing(store.keys, "").decision(decision(generation))
        bucket = bucket_of(row.owner)
        replaces = _ends(connection, generation, bucket, row)
        connection.rows(sql.ADD_ONE, (*_cells(row)[:-1], generation))
        pins = _pinned(connection, head, generation, [bucket])
        after = replace(
            head,
            generation=generation,
            at=now,
            previous=head.seen.digest,
            decisions=head.decisions + (0 if replaces else 1),
            recent=_recent(head, generation, now),
            pins=pins,
        )
        _put(connection, store.keys, after)
        yield Pending(store, connection, after, {})


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that is prepared, and may be committed once.

    `taken` is what the ledger's entry of an import says: counts, moments and SHA-256 in hex, nobody's name.
    """

    store: RegisterStore
    connection: Connection
    head: Head
    taken: Mapping[str, Any]

    def commit(self) -> None:
        """Make it so: durable, and seen by every gate within its refresh, when this returns. Raises `FactsOutage`."""
        try:
            self.connection.commit()
        except RegisterBrokenError as error:
            raise outage(f"the change was not written ({error}); nothing of it took effect") from error
        self.store.keys.saw(self.head.seen)


@contextmanager
def _writing(store: RegisterStore) -> Iterator[Connection]:
    connection = store.connect()
    try:
        yield connection
    except RegisterBrokenError as error:
        raise outage(
            f"it could not be written ({error}); another import may be running: try again when it is done"
        ) from error
    finally:
        connection.rollback()
        connection.close()


class _Sealing:
    """Makes the rows of one feed."""

    def __init__(self, keys: RegisterKeys, feed: str) -> None:
        self._keys = keys
        self._name = feed
        self._feed = keys.token("feed", feed)

    def rows(self, entries: Iterator[tuple[int, RegisterEntry]]) -> Iterator[tuple[Any, ...]]:
        """Every row of these entries, as the database takes it: each entry, and a pointer from each record that it names."""
        for number, entry in entries:
            for row in self._of(self._told(entry), number):
                yield _cells(row)

    def _told(self, entry: RegisterEntry) -> RegisterEntry:
        return entry if self._name == MAIN_FEED else replace(entry, id=f"{self._name}/{entry.id}")

    def _of(self, entry: RegisterEntry, line: int) -> Iterator[Row]:
        token = self._keys.token("entry", entry.id)
        principal = staff_key(entry.principal)
        yield self._row(
            self._keys.token("principal", principal), token, Dates.of(entry), entry_bytes(entry), line
        )
        pointer = pointer_bytes(Pointer(principal, entry.id, entry.relation))
        for record in sorted(set(map(named, entry.records))):
            yield self._row(self._keys.token("record", *record), token, Dates(), pointer, 0)

    def decision(self, decision: Decision) -> Row:
        """The row of a decision: found by its principal, like their entries."""
        principal = staff_key(decision.principal)
        token = self._keys.token("decision", principal, decision.entry, *decision.record)
        owner = self._keys.token("principal", principal)
        return self._row(owner, token, Dates(), decision_bytes(decision), 0)

    def _row(self, owner: bytes, token: bytes, dates: Dates, clear: bytes, line: int) -> Row:
        place = row_place(owner, token, self._feed, "|".join(dates))
        return Row(
            owner=owner,
            token=token,
            feed=self._feed,
            print=self._keys.tag(place + clear),
            dates=dates,
            sealed=self._keys.seal(clear, place),
            line=line,
        )


def _cells(row: Row) -> tuple[Any, ...]:
    return (
        bucket_of(row.owner), row.owner, row.token, row.feed, row.print, *row.dates, *row.sealed, row.line,
    )  # fmt: skip


def _no_repeats(connection: Connection, table: Table) -> None:
    for (line,) in connection.rows(sql.REPEATED):
        table.fault(line, "id", "a value that no earlier line has")


def _long_enough(table: Table, feed: Feed, rows: int, before: int) -> None:
    """Refuse an import that broke off, so that it clears nobody's conflicts."""
    if feed.accept_shorter or rows >= max(1, feed.least_share * before):
        return
    table.fault(
        1,
        "(file)",
        f"at least {feed.least_share:.0%} of the {before} entries that this feed had; --accept-shorter takes it as it is"
        if before
        else "at least one entry; --accept-shorter takes it as it is",
    )
    table.close()


def _count(connection: Connection, statement: str) -> int:
    return int(connection.rows(statement)[0][0])


def _next(keys: RegisterKeys, head: Head) -> int:
    return max(head.generation, keys.seen().generation) + 1


def _replaced(connection: Connection, keys: RegisterKeys, head: Head, feed: str, state: FeedState) -> Head:
    """The next generation, in which the feed has what was offered."""
    generation = _next(keys, head)
    connection.rows(sql.END, (generation, keys.token("feed", feed)))
    connection.rows(sql.ADD, (generation,))
    buckets = [bucket for (bucket,) in connection.rows(sql.CHANGED, (generation, generation))]
    pins = _pinned(connection, head, generation, buckets)
    feeds = {name: known for name, known in head.feeds.items() if name != feed}
    after = replace(
        head,
        generation=generation,
        at=state.at,
        previous=head.seen.digest,
        feeds=feeds | ({feed: state} if state.rows or not feeds else {}),  # one that ended ages nobody
        recent=_recent(head, generation, state.at),
        pins=pins,
    )
    _put(connection, keys, after)
    return after


def _ends(connection: Connection, generation: int, bucket: int, row: Row) -> bool:
    found = connection.rows(
        "SELECT 1 FROM held WHERE until IS NULL AND bucket = ? AND owner = ? AND tok = ?",
        (bucket, row.owner, row.token),
    )
    connection.rows(sql.END_ONE, (generation, bucket, row.owner, row.token))
    return bool(found)


def _pinned(connection: Connection, head: Head, generation: int, buckets: list[int]) -> bytes:
    """The pins of the next generation. Raises SettingsError where a bucket is not what the last one pinned."""
    pins = bytearray(head.pins)
    for bucket in buckets:
        rows = connection.rows(sql.NAMES, (bucket,))
        if pin(row[:3] for row in rows if _holds(row, head.generation)) != head.pin(bucket):
            raise SettingsError(
                f"{connection.name}: rows of the register are not those that were sealed: somebody altered the database;"
                " find out who, then import every feed anew into an empty one"
            )
        pins[bucket * TOKEN_BYTES : (bucket + 1) * TOKEN_BYTES] = pin(
            row[:3] for row in rows if _holds(row, generation)
        )
    return bytes(pins)


def _holds(row: tuple[bytes, bytes, bytes, int, int | None], generation: int) -> bool:
    since, until = row[3:]
    return since <= generation and (until is None or until > generation)


def _put(connection: Connection, keys: RegisterKeys, head: Head) -> None:
    sealed = keys.seal(head.to_bytes(), head_place(head.generation))
    connection.rows(sql.PUT_HEAD, (head.generation, *sealed))
    connection.rows(sql.DROP_HEADS, (head.generation,))
    connection.rows(sql.PURGE, (min(head.recent),))


def _recent(head: Head, generation: int, now: datetime) -> Mapping[int, datetime]:
    """When the generations began that gates may still read the one before of."""
    kept = {number: at for number, at in head.recent.items() if at > now - ENDED_FOR}
    return kept | {generation: now}
