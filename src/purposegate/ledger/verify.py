"""Verifying a ledger by reading all of it again, along a code path of its own.

Nothing here uses the code that wrote the log (entry, merkle, growth): hashes are recomputed with hashlib, JSON is read
with the standard library, and the tree is folded by a stack. What is checked, of every shard:

1. each leaf is there, hashes to what is stored beside it, and stands where its tile says;
2. the leaves lead to the head's root, frontier and every stored tile;
3. each leaf is well-formed, belongs to its shard, and the first one, alone, is the genesis;
4. each payload opens under its key, and its disclosures are exactly those the leaf commits to; so are the rows;
5. every counter is the number of times that entries raised it;
6. no row belongs to no entry.

What this cannot show without a witness: that the whole file is not an older or a rewritten copy.
"""

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from purposegate.errors import LedgerDamaged, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import ShardRow, StoredEntry

INTACT, TAMPERED, UNDECIDED, USAGE = 0, 1, 2, 3
"""Exit codes."""
MAX_FINDINGS = 1_000
"""Enough to see the pattern; a log rewritten throughout would list every entry."""
TILE_WIDTH = 256

Progress = Callable[[int, int], object]
"""(entries done, entries in all)."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it must be. `index` is the entry's, or None where no one entry can be named."""

    shard: str
    index: int | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"{self.shard} entry {self.index}" if self.index is not None else self.shard
        return f"TAMPERED {where}: {self.what}: expected {self.expected}, found {self.found}"


class Verified(NamedTuple):
    """One shard as the evidence shows it."""

    name: str
    origin: str
    size: int
    root: bytes


@dataclass(slots=True)
class Report:
    """What a verification found. `doubts` are why something could not be decided."""

    shards: list[Verified] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    payloads: int = 0
    more: int = 0

    @property
    def exit_code(self) -> int:
        """0 intact as far as the evidence reaches, 1 tampered, 2 cannot decide."""
        if self.mismatches:
            return TAMPERED
        return UNDECIDED if self.doubts else INTACT

    def add(self, shard: str, index: int | None, what: str, expected: object, found: object) -> None:
        """Note one mismatch, up to the limit."""
        if len(self.mismatches) >= MAX_FINDINGS:
            self.more += 1
            return
        self.mismatches.append(Mismatch(shard, index, what, _shown(expected), _shown(found)))

    def text(self) -> str:
        """The report for people: mismatches first, then doubts, then each shard's size and root."""
        lines = [str(each) for each in self.mismatches]
        if self.more:
            lines.append(f"... and {self.more} more")
        lines += [f"cannot decide: {each}" for each in self.doubts]
        verdict = ("intact", "TAMPERED", "undecided")[self.exit_code]
        for shard in self.shards:
            root = b64encode(shard.root).decode()
            lines.append(f"{verdict}: {shard.name}: {shard.size} entries, root {root}, not witnessed")
        lines.append(f"{sum(shard.size for shard in self.shards)} entries, {self.payloads} payloads opened")
        return "\n".join(lines)


def _shown(value: object) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


class _Tree:
    """An RFC 6962 tree folded by a stack of (height, hash); remembers the roots of full subtrees of 256**k leaves."""

    def __init__(self) -> None:
        self.size = 0
        self.stack: list[tuple[int, bytes]] = []
        self.tiles: dict[int, list[bytes]] = {}

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf hash."""
        height, node = 0, leaf_hash
        self.tiles.setdefault(0, []).append(node)
        while self.stack and self.stack[-1][0] == height:
            node = sha256(b"\x01" + self.stack.pop()[1] + node).digest()
            height += 1
            if height % 8 == 0:
                self.tiles.setdefault(height // 8, []).append(node)
        self.stack.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """The root as it stands."""
        node = b""
        for _, left in reversed(self.stack):
            node = sha256(b"\x01" + left + node).digest() if node else left
        return node or sha256(b"").digest()

    def frontier(self) -> bytes:
        """Size and stack, as the store keeps them."""
        return self.size.to_bytes(8, "big") + b"".join(node for _, node in self.stack)


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(text: bytes) -> bytes:
    """RFC 9901 section 4.2.3: SHA-256 over the base64url of the disclosure's JSON text."""
    return sha256(urlsafe_b64encode(text).rstrip(b"=")).digest()


class _ShardCheck:
    """One shard's pass, leaf by leaf."""

    def __init__(self, row: ShardRow, ring: keys.KeyRing | None, report: Report) -> None:
        self.row = row
        self.report = report
        self.tree = _Tree()
        self.raised: Counter[bytes] = Counter()
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.payload.items()} if ring else None

    def add(self, index: int | None, what: str, expected: object, found: object) -> None:
        self.report.add(self.row.name, index, what, expected, found)

    def entry(self, entry: StoredEntry) -> None:
        """Check one entry and add it to the tree."""
        for missing in range(self.tree.size, entry.index):
            self.add(missing, "the entry is missing", "a leaf", "none")
            self.tree.append(bytes(32))
        if not isinstance(entry.leaf, bytes):
            self.add(entry.index, "the leaf is not bytes", "bytes", type(entry.leaf).__name__)
            self.tree.append(bytes(32))
            return
        hashed = sha256(b"\x00" + entry.leaf).digest()
        if hashed != entry.leaf_hash:
            self.add(entry.index, "leaf hash", entry.leaf_hash, hashed)
        self.tree.append(hashed)
        digests = self._leaf(entry)
        if digests is not None and self._ciphers is not None:
            self._payload(entry, digests)

    def _leaf(self, entry: StoredEntry) -> list[str] | None:
        """The leaf's digests, or None if it cannot be read."""
        try:
            body = json.loads(entry.leaf)
            digests = body["_sd"]
            again = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            kind, shard, form = (
                body["k"],
                body["s"],
                (body["v"], body["_sd_alg"], body["d"] in ("released", "withheld")),
            )
            sound = again == entry.leaf and digests == sorted(digests) and form == (1, "sha-256", True)
        except (ValueError, TypeError, KeyError):
            sound = False
        if not sound:
            self.add(entry.index, "the leaf's form", "a canonical leaf of version 1", "other bytes")
            return None
        if shard != self.row.name:
            self.add(entry.index, "the leaf's shard", self.row.name, shard)
        if (kind == "genesis") != (entry.index == 0):
            self.add(entry.index, "the leaf's kind", "genesis at 0 and nowhere else", kind)
        return list(digests)

    def _payload(self, entry: StoredEntry, digests: list[str]) -> None:
        clear = self._open(entry)
        if clear is None:
            return
        self.report.payloads += 1
        try:
            above, _, below = clear.partition(b"\n\n")
            texts = [text for text in above.split(b"\n") if text]
            named = {name: value for _, name, value in map(json.loads, texts)}
            rows = [text for text in below.split(b"\n") if text]
            tokens = [urlsafe_b64decode(token + "==") for token in named.get("counts", [])]
            wanted: Any = named.get("rows", {"root": "", "size": 0})
            root, size = wanted["root"], wanted["size"]
        except (ValueError, TypeError, KeyError):
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
        found = _Tree()
        for text in rows:
            found.append(sha256(b"\x00" + _digest(text)).digest())
        if size != len(rows) or (rows and root != _b64(found.root())):
            self.add(entry.index, "rows", f"{size} under {root}", f"{len(rows)} under {_b64(found.root())}")
        self.raised.update(tokens)

    def _open(self, entry: StoredEntry) -> bytes | None:
        if entry.kid is None or entry.nonce is None or entry.sealed is None:
            self.add(
                entry.index,
                "the payload is missing",
                "a payload, or an erase entry that covers it",
                "neither",
            )
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

    def finish(self, tiles: Iterator[tuple[int, int, bytes]]) -> None:
        """Compare the tree with the tiles and the head."""
        head = self.row.head
        for missing in range(self.tree.size, head.size):
            self.add(missing, "the entry is missing", "a leaf", "none")
            self.tree.append(bytes(32))
        self._tiles(tiles)
        if self.tree.root() != head.root:
            self.add(None, f"root of {head.size}", head.root, self.tree.root())
        if self.tree.frontier() != head.frontier:
            self.add(None, "frontier", sha256(head.frontier).digest(), sha256(self.tree.frontier()).digest())

    def _tiles(self, tiles: Iterator[tuple[int, int, bytes]]) -> None:
        wanted = {
            (level, n): 0 for level, nodes in self.tree.tiles.items() for n in range(len(nodes) // TILE_WIDTH)
        }
        for level, number, stored in tiles:
            nodes = self.tree.tiles.get(level, [])[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
            if wanted.pop((level, number), None) is None:
                self.add(None, f"tile {level}/{number}", "no such tile", "one")
            elif stored != b"".join(nodes):
                self._tile(level, number, nodes, stored)
        for level, number in wanted:
            self.add(None, f"tile {level}/{number}", "a full tile", "none")

    def _tile(self, level: int, number: int, nodes: Sequence[bytes], stored: bytes) -> None:
        for at, node in enumerate(nodes):
            kept = stored[32 * at : 32 * at + 32] if isinstance(stored, bytes) else b""
            if kept != node:
                index = number * TILE_WIDTH + at if level == 0 else None
                self.add(index, f"hash {at} of tile {level}/{number}", kept, node)
                return
        self.add(None, f"tile {level}/{number}", "8192 bytes", len(stored))


def verify_file(
    path: Path, *, key_file: Path | None = None, payloads: bool = True, progress: Progress | None = None
) -> Report:
    """Read the SQLite ledger at `path` again from end to end, as of one moment; writers go on meanwhile.

    `key_file` is `<path>.keys` unless given; without it payloads and counters cannot be decided, unless `payloads` is
    False, which leaves them out. Raises SettingsError for what is not a ledger, LedgerOutage for what cannot be opened.
    """
    report = Report()
    try:
        reader = SqliteReader(path)
    except LedgerDamaged as error:
        report.add("file", None, "the database's structure", "a readable file", error.detail)
        return report
    try:
        ring = _ring(reader, key_file or path.with_name(path.name + ".keys"), report) if payloads else None
        reader.hold()
        _verify(reader, ring, report, progress or (lambda _done, _all: None))
    except apsw.Error as error:
        report.add("file", None, "the database's structure", "a readable file", type(error).__name__)
    finally:
        reader.close()
    return report


def _ring(reader: SqliteReader, key_file: Path, report: Report) -> keys.KeyRing | None:
    try:
        ring = keys.load(key_file)
    except SettingsError as error:
        report.doubts.append(f"payloads and counters were not checked: {error}")
        return None
    for kid in (0, *ring.payload):
        if reader.meta.get(f"key {kid}") != ring.fingerprint(kid):
            report.doubts.append(f"{key_file}: key {kid} is not the one this ledger was made with")
            return None
    return ring


def _verify(reader: SqliteReader, ring: keys.KeyRing | None, report: Report, progress: Progress) -> None:
    shards = reader.shards()
    total, done = sum(row.head.size for row in shards), 0
    raised: Counter[tuple[int, bytes]] = Counter()
    for row in shards:
        check = _ShardCheck(row, ring, report)
        try:
            for entry in reader.entries(row.number, 0, row.head.size):
                check.entry(entry)
                done += 1
                if done % TILE_WIDTH == 0:
                    progress(done, total)
        except apsw.Error as error:
            report.add(
                row.name,
                check.tree.size,
                "the database's structure from here on",
                "rows",
                type(error).__name__,
            )
            continue
        check.finish(reader.tiles(row.number))
        raised.update({(row.number, token): n for token, n in check.raised.items()})
        report.shards.append(Verified(row.name, row.origin, row.head.size, check.tree.root()))
    progress(total, total)
    _strays(reader, shards, report)
    if ring:
        _counters(reader, raised, {row.number: row.name for row in shards}, report)


def _strays(reader: SqliteReader, shards: Sequence[ShardRow], report: Report) -> None:
    names = {row.number: row.name for row in shards}
    for table, number, index in reader.strays():
        report.add(
            names.get(number, f"shard {number}"), index, f"a {table} row beyond the head", "none", "one"
        )


def _counters(
    reader: SqliteReader, raised: Counter[tuple[int, bytes]], names: dict[int, str], report: Report
) -> None:
    for number, token, n in reader.counters():
        wanted = raised.pop((number, token), 0)
        if wanted != n:
            report.add(names.get(number, f"shard {number}"), None, f"counter {token.hex()}", wanted, n)
    for (number, token), wanted in raised.items():
        report.add(names.get(number, f"shard {number}"), None, f"counter {token.hex()}", wanted, "none")
