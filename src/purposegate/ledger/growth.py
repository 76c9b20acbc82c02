"""How a tree grows by a batch: the frontier, and the 256-wide tiles that become full. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from purposegate.ledger.merkle import HASH_BYTES, Frontier, leaf_hash, root_of

TILE_WIDTH = 256
"""tlog-tiles: 2**8 hashes a tile, so one tile level spans 8 tree levels."""
TILE_HEIGHT = 8


class Tile(NamedTuple):
    """One full tile: its level and number, and 256 hashes of 32 bytes."""

    level: int
    number: int
    hashes: bytes


class Growth:
    """A frontier with the hashes of its unfinished tiles. Immutable: `grown` returns the next one.

    A batch that fails to commit therefore leaves nothing to undo.
    """

    __slots__ = ("_edges", "frontier")

    def __init__(self, frontier: Frontier, edges: Sequence[Sequence[bytes]]) -> None:
        self.frontier = frontier
        self._edges = tuple(map(tuple, edges))

    @classmethod
    def empty(cls) -> "Growth":
        """A tree without leaves."""
        return cls(Frontier(), ())

    def grown(self, hashes: Sequence[bytes]) -> "tuple[Growth, list[Tile]]":
        """The tree with these leaf hashes appended, and every tile that they filled, in the order filled."""
        edges = [list(edge) for edge in self._edges]
        tiles: list[Tile] = []

        def completed(level: int, index: int, node: bytes) -> None:
            if level % TILE_HEIGHT:
                return
            row = level // TILE_HEIGHT
            if row == len(edges):
                edges.append([])
            edges[row].append(node)
            if len(edges[row]) == TILE_WIDTH:
                tiles.append(Tile(row, index // TILE_WIDTH, b"".join(edges[row])))
                edges[row].clear()

        frontier = self.frontier.copy()
        for each in hashes:
            frontier.append(each, completed)
        return Growth(frontier, edges), tiles


def unfinished(size: int) -> list[tuple[int, int, int]]:
    """(tile level, first hash index, how many) of each unfinished tile in a tree of `size` leaves, lowest first."""
    edges: list[tuple[int, int, int]] = []
    level, width = 0, size
    while width:
        edges.append((level, width - width % TILE_WIDTH, width % TILE_WIDTH))
        level, width = level + 1, width // TILE_WIDTH
    return edges


def tile_root(hashes: bytes) -> bytes:
    """The hash that a full tile contributes to the tile level above."""
    return root_of(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))


def root_after(frontier: bytes, leaves: Sequence[bytes]) -> bytes:
    """The root when these leaves' bytes follow this stored frontier: what a commit re-computes from what it re-read."""
    tree = Frontier.from_bytes(frontier)
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree.root()
