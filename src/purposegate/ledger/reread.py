"""Reading one shard again, along a code path of its own: hashlib, the standard library's JSON, a tree folded by a stack.

Nothing here uses the code that wrote the log (entry, merkle, growth), so that one fault cannot hide in both. Signed heads are
read with the note module, and only they.
"""

import json
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from purposegate.errors import EvidenceError
from purposegate.ledger import keys
from purposegate.ledger.checkpoint import SignedCheckpoint
from purposegate.ledger.earlier import Reached
from purposegate.ledger.fold import TILE_WIDTH, Fold
from purposegate.ledger.note import LogKey, Note
from purposegate.ledger.policy import Policy
from purposegate.ledger.store import ShardRow, StoredEntry
from purposegate.ledger.verdict import Evidence, Report

RETENTION_KINDS = frozenset({"erase", "hold"})
STORED, REMEMBERED = "in the store", "in the signer's memory"
KEPT = frozenset({STORED, REMEMBERED})
"""Where heads come from that every verification compares."""


MAX_GAP = 1_000_000
"""Missing entries that are counted one by one: beyond, the tree can lead to nothing that was signed anyway."""
_LEAF = {"_sd": list, "_sd_alg": str, "d": str, "k": str, "r": str, "s": str, "t": str, "v": int}
"""A leaf's keys, and the type of each."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _b64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b"=").decode()


def _digest(text: bytes) -> bytes:
    """RFC 9901 section 4.2.3: SHA-256 over the base64url of the disclosure's JSON text."""
    return sha256(b2a_base64(text, newline=False).translate(_URLSAFE).rstrip(b"=")).digest()


def _body(leaf: bytes) -> dict[str, Any]:
    """A leaf's body. Raises ValueError, TypeError or RecursionError unless it is one, in its one spelling."""
    body = json.loads(leaf)
    if {key: type(value) for key, value in body.items()} != _LEAF or _CANONICAL(body).encode() != leaf:
        raise ValueError("keys, types or spelling")
    digests: list[str] = body["_sd"]
    if any(type(digest) is not str for digest in digests) or digests != sorted(digests):
        raise ValueError("digests")
    if (body["v"], body["_sd_alg"], body["d"] in ("released", "withheld")) != (1, "sha-256", True):
        raise ValueError("version, hash or outcome")
    if not _TIME.fullmatch(body["t"]):
        raise ValueError("time")
    datetime.fromisoformat(body["t"])
    return cast(dict[str, Any], body)


def _named(texts: Sequence[bytes]) -> dict[str, Any]:
    """The disclosures' values by name, read in one go. Raises ValueError unless each text is one disclosure."""
    whole = json.loads(b"[" + b",".join(texts) + b"]")
    if len(whole) != len(texts):
        raise ValueError("a line is not one disclosure")
    return {name: value for _, name, value in whole}


class ShardCheck:
    """One shard's pass, leaf by leaf: `head` first, then `entry` in order, then `finish`.

    With `earlier` it begins at `start`, the first entry that no earlier pass has read.
    Afterwards `missing` are the entries without payload and `retained` the erase and hold entries, which may explain them.
    """

    def __init__(
        self, row: ShardRow, ring: keys.KeyRing | None, report: Report, earlier: Reached | None = None
    ) -> None:
        self.row = row
        self.report = report
        self.tree = earlier.fold() if earlier else Fold()
        self.start = self.tree.size
        self.raised: Counter[bytes] = Counter()
        self.missing: list[tuple[int, Any]] = []
        self.retained: list[tuple[int, Any, dict[str, Any]]] = []
        self.signed = 0
        self.witnessed = 0
        self._skipped = 0
        self._heads: dict[int, set[bytes]] = {}
        self._receipts: dict[int, set[bytes]] = {}
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.payload.items()} if ring else None

    def add(self, index: int | None, what: str, expected: object, found: object) -> None:
        """Note one mismatch of this shard."""
        self.report.add(self.row.name, index, what, expected, found)

    def head(self, note: bytes, source: str, evidence: Evidence, size: int | None = None) -> None:
        """Take one signed head of this shard, kept under `size`, to be compared when the tree reaches its own."""
        try:
            head = SignedCheckpoint.open(note, self.row.origin, [LogKey.parse(self.row.vkey)]).checkpoint
        except EvidenceError as error:
            self.add(None, f"a signed head {source}", "a note by this log's key", str(error))
            return
        if size is not None and size != head.size:
            self.add(None, f"the size of a signed head {source}", head.size, size)
        self.signed = max(self.signed, head.size)
        if evidence.policy is not None:
            self._cosignatures(note, source, evidence.policy)
            with suppress(EvidenceError):  # signed, and not cosigned by enough: it counts as signed only
                evidence.policy.judge(note)
                self.witnessed = max(self.witnessed, head.size)
        if head.size > self.row.head.size:
            self.add(
                self.row.head.size,
                f"entries signed for {source}",
                f"{head.size} entries",
                f"{self.row.head.size} entries",
            )
        if head.size < self.start:
            self._past(head.size, source)
        elif head.size == self.start and self.start and head.root != self.tree.root():
            self.add(None, f"the root signed at {head.size}", head.root, self.tree.root())
        self._heads.setdefault(head.size, set()).add(head.root)

    def _past(self, size: int, source: str) -> None:
        """What the store and the signer keep was compared when it was read; what comes from elsewhere may be new."""
        if source not in KEPT:
            self.report.doubts.append(
                f"{self.row.name}: a head of {size} entries, {source}, lies before what this run reads; read everything again"
            )

    def _cosignatures(self, note: bytes, source: str, policy: Policy) -> None:
        """A line that bears a known witness's name and is not the witness's is no missing one: somebody put it there."""
        known = [LogKey.parse(self.row.vkey), *(each.key for each in policy.witnesses.values())]
        try:
            Note.parse(note).verified(known)
        except EvidenceError as error:
            self.add(
                None, f"a cosignature of a signed head {source}", "one by the witness it names", str(error)
            )

    def receipt(self, index: int, leaf_hash: bytes) -> None:
        """Take what a caller was told of one entry, to be compared when the tree reaches it."""
        if index >= self.row.head.size:
            self.add(index, "an entry that a receipt names", leaf_hash, "none")
        if index < self.start:
            self.report.doubts.append(
                f"{self.row.name}: a receipt names entry {index}, before what this run reads; read everything again"
            )
        self._receipts.setdefault(index, set()).add(leaf_hash)

    def _grow(self, leaf_hash: bytes) -> None:
        for told in self._receipts.get(self.tree.size, ()):
            if told != leaf_hash:
                self.add(self.tree.size, "the leaf hash that a receipt names", told, leaf_hash)
        self.tree.append(leaf_hash)
        for root in self._heads.get(self.tree.size, ()):
            if root != self.tree.root():
                self.add(None, f"the root signed at {self.tree.size}", root, self.tree.root())

    def entry(self, entry: StoredEntry) -> None:
        """Check one entry and add it to the tree."""
        self._gap(entry.index)
        if not isinstance(entry.leaf, bytes):
            self.add(entry.index, "the leaf is not bytes", "bytes", type(entry.leaf).__name__)
            self._grow(bytes(32))
            return
        hashed = sha256(b"\x00" + entry.leaf).digest()
        if hashed != entry.leaf_hash:
            self.add(entry.index, "leaf hash", entry.leaf_hash, hashed)
        self._grow(hashed)
        body = self._leaf(entry)
        if body is not None and self._ciphers is not None:
            self._payload(entry, body)

    def _gap(self, stop: int) -> None:
        """Name what is missing before entry `stop`; a head that claims more than anybody wrote is no reason to count it all."""
        first = self.tree.size + self._skipped
        if stop - first > MAX_GAP:
            self.add(first, "entries are missing", f"{stop - first} leaves", "none")
            self._skipped += stop - first
            return
        for missing in range(first, stop):
            self.add(missing, "the entry is missing", "a leaf", "none")
            self._grow(bytes(32))

    def _leaf(self, entry: StoredEntry) -> Any:
        """The leaf's body, or None if it cannot be read."""
        try:
            body = _body(entry.leaf)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self.add(entry.index, "the leaf's form", "a canonical leaf of version 1", "other bytes")
            return None
        kind, shard = body["k"], body["s"]
        if shard != self.row.name:
            self.add(entry.index, "the leaf's shard", self.row.name, shard)
        if (kind == "genesis") != (entry.index == 0):
            self.add(entry.index, "the leaf's kind", "genesis at 0 and nowhere else", kind)
        return body

    def _payload(self, entry: StoredEntry, body: Any) -> None:
        if entry.sealed is None:
            self.missing.append((entry.index, body))
            return
        clear = self._open(entry)
        if clear is None:
            return
        digests = body["_sd"]
        self.report.payloads += 1
        try:
            above, _, below = clear.partition(b"\n\n")
            texts = [text for text in above.split(b"\n") if text]
            named = _named(texts)
            rows = [text for text in below.split(b"\n") if text]
            tokens = [urlsafe_b64decode(token + "==") for token in named.get("counts", [])]
            wanted: Any = named.get("rows", {"root": "", "size": 0})
            if entry.index == 0 and named["vkey"] != self.row.vkey:
                self.add(0, "the log's verifier key", named["vkey"], self.row.vkey)
            root, size = wanted["root"], wanted["size"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.add(entry.index, "the payload's form", "disclosures and rows", "other bytes")
            return
        shown = sorted(_b64(_digest(text)) for text in texts)
        if shown != digests:
            odd = sorted(set(digests) ^ set(shown))
            self.add(
                entry.index,
                "payload digests",
                f"{len(digests)} that the leaf commits to",
                f"{len(odd)} that differ",
            )
        found = Fold()
        for text in rows:
            found.append(sha256(b"\x00" + _digest(text)).digest())
        if size != len(rows) or (rows and root != _b64(found.root())):
            self.add(entry.index, "rows", f"{size} under {root}", f"{len(rows)} under {_b64(found.root())}")
        self.raised.update(tokens)
        if body["k"] in RETENTION_KINDS:
            self.retained.append((entry.index, body, named))

    def _open(self, entry: StoredEntry) -> bytes | None:
        if entry.kid is None or entry.nonce is None or entry.sealed is None:
            return None
        cipher = (self._ciphers or {}).get(entry.kid)
        if cipher is None:
            self.add(entry.index, "the payload's key", "a key of the key file", f"number {entry.kid}")
            return None
        try:
            return cipher.decrypt(entry.nonce, entry.sealed, f"{self.row.origin}|{entry.index}".encode())
        except (InvalidTag, ValueError, TypeError):
            self.add(
                entry.index,
                "the payload does not open",
                "the bytes that were sealed",
                "other bytes, or moved here",
            )
            return None

    def finish(self, tiles: Iterator[tuple[int, int, bytes]], *, frontier: bool = True) -> None:
        """Compare the tree with the tiles and the head. An export has no `frontier` to compare."""
        head = self.row.head
        self._gap(head.size)
        self._tiles(tiles)
        if self.tree.root() != head.root:
            self.add(None, f"root of {head.size}", head.root, self.tree.root())
        if frontier and self.tree.frontier() != head.frontier:
            self.add(None, "frontier", sha256(head.frontier).digest(), sha256(self.tree.frontier()).digest())

    def _tiles(self, tiles: Iterator[tuple[int, int, bytes]]) -> None:
        wanted = self.tree.full_tiles()
        for level, number, stored in tiles:
            nodes = self.tree.tile(level, number)
            if nodes is None:
                continue  # of an earlier pass
            if (level, number) not in wanted:
                self.add(None, f"tile {level}/{number}", "no such tile", "one")
            elif stored != b"".join(nodes):
                self._tile(level, number, nodes, stored)
            wanted.discard((level, number))
        for level, number in sorted(wanted):
            self.add(None, f"tile {level}/{number}", "a full tile", "none")

    def _tile(self, level: int, number: int, nodes: Sequence[bytes], stored: bytes) -> None:
        for at, node in enumerate(nodes):
            kept = stored[32 * at : 32 * at + 32] if isinstance(stored, bytes) else b""
            if kept != node:
                index = number * TILE_WIDTH + at if level == 0 else None
                self.add(index, f"hash {at} of tile {level}/{number}", kept, node)
                return
        self.add(None, f"tile {level}/{number}", "8192 bytes", len(stored))
