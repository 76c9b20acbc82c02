"""C2SP tlog-tiles: the tree and its entries as immutable files of 256 (c2sp.org/tlog-tiles).

    tile/<level>/<index>[.p/<width>]     up to 256 hashes of 32 bytes; level 0 holds leaf hashes
    tile/entries/<index>[.p/<width>]     up to 256 entries, each with a big-endian uint16 length

An index is written in groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.merkle import HASH_BYTES, MAX_SIZE, Frontier, Subtree, leaf_hash, root_of

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535
"""A bundle gives an entry's length in two bytes."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The name of one file. `level` None names an entry bundle; `width` below 256 a partial one."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not (self.level is None or 0 <= self.level <= MAX_LEVEL):
            raise EvidenceMalformed(f"a tile's level is from 0 to {MAX_LEVEL}")
        if not 0 <= self.index <= MAX_SIZE // TILE_WIDTH or not 1 <= self.width <= TILE_WIDTH:
            raise EvidenceMalformed(f"a tile's index is from 0 and its width from 1 to {TILE_WIDTH}")

    @property
    def path(self) -> str:
        """Where the file stands below the log's prefix."""
        groups = f"{self.index % 1000:03}"
        rest = self.index // 1000
        while rest:
            groups = f"x{rest % 1000:03}/{groups}"
            rest //= 1000
        level = "entries" if self.level is None else self.level
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{groups}{part}"

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read a path. Raises `EvidenceMalformed` for any other spelling than the one `path` gives."""
        match = _PATH.fullmatch(path)
        if not match:
            raise EvidenceMalformed("a tile path is tile/<level>/<index>[.p/<width>]")
        level = None if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = cls(level, index, int(match["width"] or TILE_WIDTH))
        if tile.path != path:
            raise EvidenceMalformed("a tile path has no superfluous zeroes and no width of 256")
        return tile


def tiles_of_level(level: int | None, size: int) -> Iterator[Tile]:
    """The tiles (None: the entry bundles) of one level in a tree of `size` leaves, the partial one last."""
    full, width = divmod(size >> TILE_HEIGHT * (level or 0), TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if width:
        yield Tile(level, full, width)


def tiles_for(size: int) -> Iterator[Tile]:
    """Every hash tile and entry bundle that the checkpoint of `size` leaves needs, bundles first."""
    yield from tiles_of_level(None, size)
    level = 0
    while size >> TILE_HEIGHT * level:
        yield from tiles_of_level(level, size)
        level += 1


def parse_hashes(raw: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. Raises `EvidenceMalformed` unless there are exactly `width`."""
    if len(raw) != width * HASH_BYTES:
        raise EvidenceMalformed(f"a tile of width {width} has {width * HASH_BYTES} bytes, not {len(raw)}")
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries, each behind its length. Raises `EvidenceMalformed` for one over 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise EvidenceMalformed(f"an entry has at most {MAX_ENTRY_BYTES} bytes, not {len(entry)}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_bundle(raw: bytes, width: int) -> list[bytes]:
    """The entries of a bundle. Raises `EvidenceMalformed` unless exactly `width` fill it to the last byte."""
    entries: list[bytes] = []
    at = 0
    while at < len(raw) and len(entries) < width:
        begin = at + 2
        at = begin + int.from_bytes(raw[at:begin], "big")
        entries.append(raw[begin:at])
    if at != len(raw) or len(entries) != width:
        raise EvidenceMalformed(f"a bundle of width {width} has {width} whole entries and nothing else")
    return entries


def subtrees_in(read: Callable[[Tile], bytes], size: int) -> Subtree:
    """Full subtrees of a log of `size` leaves, read from its tiles: what proofs are made from.

    `read` is asked for the widest tile that `size` implies; it may cache. Raises `EvidenceMalformed` for a
    tile of the wrong length.
    """

    def subtree(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        tile_index, offset = divmod(first, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> TILE_HEIGHT * tile_level) - tile_index * TILE_WIDTH)
        if width < offset + (1 << height):
            raise ValueError(f"subtree ({level}, {index}) is not full in a tree of {size}")
        hashes = parse_hashes(read(Tile(tile_level, tile_index, width)), width)
        return root_of(hashes[offset : offset + (1 << height)])

    return subtree


def build_tiles(entries: Iterable[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """Every tile and bundle of a log with these entries, full ones as they fill, partial ones at the end.

    Holds at most one unfinished tile for each level in memory.
    """
    bundle: list[bytes] = []
    open_tiles: list[list[bytes]] = []
    finished: list[tuple[Tile, bytes]] = []

    def completed(level: int, index: int, node: bytes) -> None:
        tile_level, height = divmod(level, TILE_HEIGHT)
        if height:
            return
        if tile_level == len(open_tiles):
            open_tiles.append([])
        hashes = open_tiles[tile_level]
        hashes.append(node)
        if len(hashes) == TILE_WIDTH:
            finished.append((Tile(tile_level, index // TILE_WIDTH), b"".join(hashes)))
            hashes.clear()

    frontier = Frontier()
    for entry in entries:
        bundle.append(entry)
        index = frontier.append(leaf_hash(entry), completed)
        if len(bundle) == TILE_WIDTH:
            yield Tile(None, index // TILE_WIDTH), encode_bundle(bundle)
            bundle.clear()
        yield from finished
        finished.clear()
    yield from _partial(None, frontier.size, encode_bundle(bundle))
    for level, hashes in enumerate(open_tiles):
        yield from _partial(level, frontier.size, b"".join(hashes))


def _partial(level: int | None, size: int, content: bytes) -> Iterator[tuple[Tile, bytes]]:
    full, width = divmod(size >> TILE_HEIGHT * (level or 0), TILE_WIDTH)
    if width:
        yield Tile(level, full, width), content
