"""What the ledger asks of a database, so that SQLite and PostgreSQL serve the same writer and the same tests.

One store holds many shards; each shard has one writer. The safety rests on `commit`'s compare-and-set of the head row,
not on locks or on which connection runs it. Reading for people (verify, query, export) is a second, read-only interface
on connections of its own, so that a long search never stands in a lookup's way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString, NamedTuple, Protocol

from purposegate.ledger.growth import Tile
from purposegate.ledger.note import LogKey
from purposegate.ledger.subtrees import Subtrees


class Head(NamedTuple):
    """A shard's head row: how many leaves, their root, the frontier's bytes, and the opening it belongs to."""

    size: int
    root: bytes
    frontier: bytes
    epoch: int


class Stored(NamedTuple):
    """One entry as a row: the leaf and its hash; key number, nonce and ciphertext of its payload."""

    leaf: bytes
    leaf_hash: bytes
    kid: int
    nonce: bytes
    sealed: bytes


class Batch(NamedTuple):
    """One transaction: the head it starts from and the head it leaves, and everything between.

    `raised` are count tokens with how much each is raised, in the order of the token's bytes.
    """

    seen: Head
    after: Head
    entries: Sequence[Stored]
    tiles: Sequence[Tile]
    raised: Sequence[tuple[bytes, int]]


class StoreBusyError(Exception):
    """Another writer held the store past the time-out; nothing of this batch was written."""


class StoreForkedError(Exception):
    """The head is not the one seen: another writer owns the shard, or the store was exchanged. Nothing was written."""


class Store(Protocol):
    """The writing side. Every method blocks; all but `counts` and `subtrees` are called from one thread.

    `commit` is durable on return. An exception other than the two above means *unknown*: the batch may or may not be
    there. The caller then calls `reopen`, which returns only when all that can be read is durable too, and compares heads.
    """

    @property
    def is_remote(self) -> bool:
        """Whether `counts` waits for a network, and so must not run on an event loop's thread."""
        ...

    @property
    def subtrees(self) -> Subtrees:
        """Full subtrees of the shard sought or entered last, as committed. Any thread."""
        ...

    def seek(self, shard: str) -> Head | None:
        """The shard's head, or None where the store lacks it. Changes nothing."""
        ...

    def enter(self, shard: str, key: LogKey) -> Head:
        """Take the shard, creating it if the store lacks it, and fence off every earlier holder by a new epoch."""
        ...

    def head(self) -> Head:
        """The head row of the shard entered, as committed."""
        ...

    def commit(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        """Write the batch in one transaction.

        `recheck` gets the leaves as read back inside the transaction and raises if they do not lead to the new root.
        """
        ...

    def keep(self, size: int, note: bytes, at_s: int) -> None:
        """Keep a signed head of `size`, signed at this POSIX second; of one minute only the last, unless cosigned."""
        ...

    def keep_cosigned(self, size: int, note: bytes, at_s: int, keyname: str, line: str) -> None:
        """Keep a witness's line for a signed head, in place of its earlier one, and the head if that was let go meanwhile.

        Of one minute an older cosigned head is let go once a newer one has all the witnesses that it has.
        """
        ...

    def cosigned(self) -> list[tuple[bytes, str]]:
        """The note and the line of the newest head that each witness cosigned, of the shard sought or entered last."""
        ...

    def kept(self) -> bytes:
        """The note of the largest signed head kept of the shard sought or entered last; empty when there is none."""
        ...

    def counts(self, tokens: Sequence[bytes]) -> list[tuple[int, int]]:
        """How high each token stands, as of one moment: all shards together, and all but this store's own. Any thread."""
        ...

    def reopen(self) -> None:
        """Drop the connection, open another, and make durable whatever it can read. Raises if it cannot."""
        ...

    def close(self) -> None:
        """Let go of the store. Idempotent."""
        ...


class ShardRow(NamedTuple):
    """One shard, for readers: its number in the store, name, origin, verifier key and head."""

    number: int
    name: str
    origin: str
    vkey: str
    head: Head


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as read: `kid`, `nonce` and `sealed` are None where the payload is gone."""

    index: int
    leaf: bytes
    leaf_hash: bytes
    kid: int | None
    nonce: bytes | None
    sealed: bytes | None


def kind_mark(kind: str) -> bytes:
    """The bytes by which a leaf, being canonical, names its kind; nothing else in a leaf can hold a quotation mark."""
    return f'"k":"{kind}"'.encode()


ORPHANS: Mapping[str, LiteralString] = {
    "shard": "SELECT number FROM shard WHERE number NOT IN (SELECT shard FROM head)",
    "head": "SELECT shard FROM head WHERE shard NOT IN (SELECT number FROM shard)",
    "tile": "SELECT DISTINCT shard FROM tile WHERE shard NOT IN (SELECT number FROM shard)",
    "ckpt": "SELECT DISTINCT shard FROM ckpt WHERE shard NOT IN (SELECT number FROM shard)",
    "cosig": "SELECT DISTINCT shard FROM cosig WHERE (shard, size) NOT IN (SELECT shard, size FROM ckpt)",
}
"""Rows of which nothing that is read otherwise would speak: SQL that both kinds of store understand."""


class Reader(Protocol):
    """The reading side, for people's questions. Use from one thread."""

    @property
    def meta(self) -> Mapping[str, bytes]:
        """What the store says of the ledger: origin and fingerprints of its keys."""
        ...

    def hold(self) -> None:
        """Freeze the view: everything read afterwards is of one moment, whatever the writers do."""
        ...

    def shards(self) -> list[ShardRow]:
        """Every shard, by number."""
        ...

    def entries(self, shard: int, start: int, stop: int) -> Iterator[StoredEntry]:
        """Entries [start, stop) of a shard in order of index; missing ones are left out."""
        ...

    def of_kind(self, kind: str) -> Iterator[tuple[int, int]]:
        """(shard number, index) of every entry whose leaf names this kind, by reading all leaves."""
        ...

    def subtrees(self, shard: int) -> Subtrees:
        """Full subtrees of a shard: what proofs are made from."""
        ...

    def cosigned(self, shard: int) -> int:
        """The largest size with a cosignature; 0 when there is none."""
        ...

    def signed_at(self, shard: int) -> int:
        """When the newest head was signed, POSIX seconds; 0 when none is kept."""
        ...

    def strays(self) -> Iterator[tuple[str, int, int | None]]:
        """(table, shard number, index) of rows that belong to no entry of any head; index None: to no shard at all."""
        ...

    def tiles(self, shard: int) -> Iterator[Tile]:
        """Every stored tile, lowest level first."""
        ...

    def checkpoints(self, shard: int) -> list[tuple[int, bytes]]:
        """(size, note) of every signed head kept, by size, with the cosignature lines that it has."""
        ...

    def counters(self) -> Iterator[tuple[int, bytes, int]]:
        """(shard, token, n) of every counter, by token and shard."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...
