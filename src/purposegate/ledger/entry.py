"""An entry's bytes: the leaf that is hashed for ever, and the payload that retention may erase.

The *leaf* is canonical JSON (RFC 8785) and holds no personal data:

    {"_sd":["<digest>",...],"_sd_alg":"sha-256","d":"released","k":"release","r":"<lookup id>","s":"<shard>",
     "t":"2026-11-21T19:00:00.123456Z","v":1}

Each field of the entry is a *disclosure* (RFC 9901 section 4.2): the JSON text `["<salt>","<name>",<value>]`, whose
digest stands in `_sd`, sorted. A list's rows are one disclosure, `rows`, whose value is the RFC 6962 root over the
digests of the rows' own texts `["<salt>",<value>]`. The keyed count tokens that the entry raised are one more, `counts`.

The *payload* is these texts, verbatim: disclosures one a line, an empty line, rows one a line. JSON text holds no line
feed, so the lines are unambiguous, and nothing is ever serialised twice.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from purposegate.errors import EntryUnfit, EvidenceMalformed
from purposegate.ledger.merkle import leaf_hash, root_of
from purposegate.model import Entry

VERSION = 1
MAX_LEAF_BYTES = 65_535
"""A tile's entry bundle counts a leaf's bytes in 16 bits (tlog-tiles)."""
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
"""Twice the gate's cap on a held answer; more than that is a fault, and one entry may not fill the disk."""
DIGEST_CHARACTERS = 43
"""32 bytes in base64url without padding."""

RESERVED = frozenset({"rows", "counts", "_sd", "..."})
"""Field names an entry may not use: the first two are this module's, the others RFC 9901's."""

_LOOKUP_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_SHARD = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}", re.ASCII)
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


class Encoded(NamedTuple):
    """One entry ready to append: the leaf's bytes, the payload's clear bytes, and the count tokens it raises."""

    leaf: bytes
    payload: bytes
    tokens: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf, read. `at` is UTC; `digests` are base64url without padding, as they stand."""

    kind: str
    at: datetime
    shard: str
    lookup_id: str
    released: bool
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One field's text, verbatim, and what it says."""

    text: bytes
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload, read: the fields' texts, the rows' texts in order, and the count tokens."""

    disclosures: tuple[Disclosure, ...]
    row_texts: tuple[bytes, ...]
    tokens: tuple[bytes, ...]

    @property
    def rows(self) -> tuple[Any, ...]:
        """What the rows say, in order."""
        return tuple(orjson.loads(text)[1] for text in self.row_texts)

    @property
    def fields(self) -> dict[str, Any]:
        """What was disclosed, by name, without `rows` and `counts`."""
        return {each.name: each.value for each in self.disclosures if each.name not in RESERVED}


def base64url(raw: bytes) -> bytes:
    """RFC 4648 section 5, without padding, as RFC 9901 wants it."""
    return b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b"=")


def from_base64url(text: bytes) -> bytes:
    """Read `base64url`; one spelling only. Raises `EvidenceMalformed`."""
    try:
        raw = a2b_base64(text.translate(_STANDARD) + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise EvidenceMalformed("want base64url without padding") from error
    if base64url(raw) != text:
        raise EvidenceMalformed("want base64url without padding, in its one spelling")
    return raw


def digest(text: bytes) -> bytes:
    """The 32 byte digest of a disclosure's or a row's JSON text: SHA-256 over its base64url, RFC 9901 section 4.2.3."""
    return sha256(base64url(text)).digest()


def _plain(value: object) -> object:
    """What orjson should write for a value it does not know. Raises TypeError for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):  # orjson leaves named tuples to its caller
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError


def digests(texts: Sequence[bytes]) -> list[str]:
    """The digests of many texts, base64url, in their order: what `digest` and `base64url` give, in half the time."""
    raw = b"".join(
        [
            b2a_base64(
                sha256(b2a_base64(text, newline=False).translate(_URLSAFE).rstrip(b"=")).digest(),
                newline=False,
            )
            for text in texts
        ]
    )
    flat = raw.translate(_URLSAFE).decode()
    return [flat[at : at + DIGEST_CHARACTERS] for at in range(0, len(flat), DIGEST_CHARACTERS + 1)]


def _json(value: object, name: str) -> bytes:
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise EntryUnfit(f"field {name!r} holds what JSON cannot") from error


def _require_names(fields: Mapping[str, Any]) -> None:
    names = fields.keys()
    if names & RESERVED or "" in names or any(type(name) is not str for name in names):
        raise EntryUnfit(f"a field's name is a text, and none of {', '.join(sorted(RESERVED))}")


def _salts(count: int, random: Callable[[int], bytes]) -> Iterator[str]:
    """`count` salts of 132 bits, as 22 base64url characters; RFC 9901 section 9.3 asks for 128.

    One call for randomness, not one a field.
    """
    pool = base64url(random(count * 24)).decode()
    return iter([pool[at : at + 22] for at in range(0, 32 * count, 32)])


def encode(entry: Entry, *, shard: str, tokens: Sequence[bytes], random: Callable[[int], bytes]) -> Encoded:
    """Write an entry. `random(n)` gives n unpredictable bytes; a guessable source would unmask erased fields.

    Raises `EntryUnfit` naming what does not fit; never echoes a value.
    """
    if not _LOOKUP_ID.fullmatch(entry.lookup_id):
        raise EntryUnfit("a lookup id is 1 to 128 printable ASCII characters without spaces")
    if entry.at.tzinfo is None:
        raise EntryUnfit("an entry's time must carry its zone")
    _require_names(entry.fields)
    salts = _salts(len(entry.fields) + len(entry.rows) + 2, random)
    texts = [_json([next(salts), name, value], name) for name, value in entry.fields.items()]
    rows = [_json([next(salts), row], "rows") for row in entry.rows]
    if rows:
        root = root_of(leaf_hash(digest(row)) for row in rows)
        texts.append(
            _json([next(salts), "rows", {"root": base64url(root).decode(), "size": len(rows)}], "rows")
        )
    if tokens:
        texts.append(_json([next(salts), "counts", [base64url(each).decode() for each in tokens]], "counts"))
    leaf = _leaf(entry, shard, digests(texts))
    payload = b"\n".join(texts) + b"\n\n" + b"\n".join(rows)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EntryUnfit(f"the entry's clear text has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} fit")
    return Encoded(leaf, payload, tuple(tokens))


def _leaf(entry: Entry, shard: str, committed: list[str]) -> bytes:
    committed.sort()
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    # orjson sorts by code point and escapes as RFC 8785 does: equal for these keys and ASCII values, as a test shows.
    leaf = orjson.dumps(
        {
            "_sd": committed,
            "_sd_alg": "sha-256",
            "d": "released" if entry.released else "withheld",
            "k": entry.kind.value,
            "r": entry.lookup_id,
            "s": shard,
            "t": at,
            "v": VERSION,
        }
    )
    if len(leaf) > MAX_LEAF_BYTES:
        raise EntryUnfit(
            f"the entry has {len(committed)} fields; a leaf of {MAX_LEAF_BYTES} bytes holds about 1,400"
        )
    return leaf


def read_leaf(raw: bytes) -> Leaf:
    """Read a leaf strictly: one spelling per value. Raises `EvidenceMalformed`."""
    try:
        body = orjson.loads(raw)
        leaf = Leaf(
            kind=body["k"],
            at=datetime.fromisoformat(body["t"]),
            shard=body["s"],
            lookup_id=body["r"],
            released=body["d"] == "released",
            digests=tuple(body["_sd"]),
        )
        again = {
            "_sd": sorted(leaf.digests),
            "_sd_alg": "sha-256",
            "d": "released" if leaf.released else "withheld",
            "k": leaf.kind,
            "r": leaf.lookup_id,
            "s": leaf.shard,
            "t": leaf.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "v": VERSION,
        }
        if orjson.dumps(again) != raw:
            raise EvidenceMalformed("a leaf is not in its one canonical spelling")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceMalformed("these bytes are not a leaf") from error
    return leaf


def read_payload(raw: bytes) -> Payload:
    """Read a payload's clear bytes. Raises `EvidenceMalformed`. It does not compare digests: `matches` does."""
    above, gap, below = raw.partition(b"\n\n")
    if not gap:
        raise EvidenceMalformed("a payload has an empty line between disclosures and rows")
    try:
        disclosures = [_disclosure(text) for text in above.split(b"\n") if text]
        rows = tuple(text for text in below.split(b"\n") if text)
        for text in rows:
            _, _ = orjson.loads(text)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise EvidenceMalformed("a payload's line is not a disclosure") from error
    named = {each.name: each.value for each in disclosures}
    tokens = tuple(from_base64url(token.encode()) for token in named.get("counts", ()))
    return Payload(tuple(disclosures), rows, tokens)


def _disclosure(text: bytes) -> Disclosure:
    _, name, value = orjson.loads(text)
    return Disclosure(text, str(name), value)


def check_shard(name: str) -> str:
    """The shard's name, if it can be one: 1 to 63 of a-z, 0-9, dot and hyphen. Raises ValueError."""
    if not _SHARD.fullmatch(name):
        raise ValueError(f"want a shard name of a-z, 0-9, '.' and '-', at most 63 long, not {name!r}")
    return name
