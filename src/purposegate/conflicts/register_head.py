"""The head of a register: what one generation holds, pinned bucket by bucket, and sealed.

Every row lies in one of 262,144 buckets, chosen by the token that it is found by. The head pins each bucket's rows: whoever may
write to the database, and has no key, can neither add, take away, move, change nor bring back a row without the bucket being
another than the one pinned. A gate keeps the pins in memory (4 MiB) and compares a bucket whenever it reads one. What is not
noticed: a whole database put back to an older generation that this machine, and the ledger, never saw a newer one of.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from purposegate.conflicts.register_keys import TOKEN_BYTES, Sealed, Seen

BUCKETS = 1 << 18
"""At two million entries a bucket has about ten rows, which is what every lookup reads to show that none was taken away."""
_PACKED = 1
"""zlib's fastest: the pins of a small register are almost all zeros, and those of a large one do not get smaller."""
_NOTHING = bytes(TOKEN_BYTES)


def bucket_of(token: bytes) -> int:
    """The bucket of what is found by a token."""
    return int.from_bytes(token[:4], "big") % BUCKETS


def pin(rows: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """16 bytes of SHA-256 over the owner, token and nonce of a bucket's rows, in order; zeros for none.

    A row opens only under its own owner, token and nonce, and no two seals share a nonce: so this is over what they say.
    """
    whole, none = sha256(), True
    for row in rows:
        whole.update(b"".join(row))
        none = False
    return _NOTHING if none else whole.digest()[:TOKEN_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """What one feed last brought: rows and their relations, when it was true, the SHA-256 of its source, and when it came."""

    rows: int
    relations: tuple[str, ...]
    as_of: datetime
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One generation. `previous` is the SHA-256 of the head before it, hex; `recent` says when the last generations began."""

    generation: int
    at: datetime
    previous: str
    feeds: Mapping[str, FeedState]
    decisions: int
    recent: Mapping[int, datetime]
    pins: bytes = field(repr=False)

    def pin(self, bucket: int) -> bytes:
        """What the bucket's rows must come to."""
        return self.pins[bucket * TOKEN_BYTES : (bucket + 1) * TOKEN_BYTES]

    def filled(self, first: int, stop: int) -> list[int]:
        """Which of the buckets [first, stop) have rows."""
        part = self.pins[first * TOKEN_BYTES : stop * TOKEN_BYTES]
        if not any(part):
            return []
        return [bucket for bucket in range(first, stop) if self.pin(bucket) != _NOTHING]

    @property
    def seen(self) -> Seen:
        """The generation with the SHA-256 of all that the head says."""
        return Seen(self.generation, sha256(self._said() + self.pins).hexdigest())

    def to_bytes(self) -> bytes:
        """The head as it is sealed: a line of JSON, then the pins of all buckets, packed."""
        return self._said() + b"\n" + zlib.compress(self.pins, _PACKED)

    def _said(self) -> bytes:
        feeds = {
            name: {
                "rows": feed.rows,
                "relations": feed.relations,
                "as_of": feed.as_of.isoformat(),
                "digest": feed.digest,
                "at": feed.at.isoformat(),
            }
            for name, feed in self.feeds.items()
        }
        said = {
            "generation": self.generation,
            "at": self.at.isoformat(),
            "previous": self.previous,
            "feeds": feeds,
            "decisions": self.decisions,
            "recent": {str(number): at.isoformat() for number, at in self.recent.items()},
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def of_bytes(cls, raw: bytes) -> "Head":
        """Read what `to_bytes` wrote."""
        line, _, packed = raw.partition(b"\n")
        said: dict[str, Any] = orjson.loads(line)
        feeds = {
            name: FeedState(
                rows=feed["rows"],
                relations=tuple(feed["relations"]),
                as_of=datetime.fromisoformat(feed["as_of"]),
                digest=feed["digest"],
                at=datetime.fromisoformat(feed["at"]),
            )
            for name, feed in said["feeds"].items()
        }
        return cls(
            generation=said["generation"],
            at=datetime.fromisoformat(said["at"]),
            previous=said["previous"],
            feeds=feeds,
            decisions=said["decisions"],
            recent={int(number): datetime.fromisoformat(at) for number, at in said["recent"].items()},
            pins=zlib.decompress(packed),
        )


def head_place(generation: int) -> bytes:
    """What a head is sealed for: it opens as no other generation's."""
    return f"purposegate register head|{generation}".encode()


def row_place(owner: bytes, token: bytes, feed: bytes, dates: str) -> bytes:
    """What a row is sealed for: its owner, its own token, its feed, and the dates that stand in clear, parted by `|`."""
    return b"purposegate register row|" + owner + token + feed + dates.encode()


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the database. `line` is where an import found it; 0 for what no line says by itself."""

    owner: bytes
    token: bytes
    feed: bytes
    print: bytes
    dates: tuple[str, ...]
    sealed: Sealed
    line: int = 0
