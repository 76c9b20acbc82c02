"""Full subtrees of a shard, read from what a store keeps: leaf hashes, and tiles once they are full."""

from collections.abc import Callable

from cachetools import LRUCache

from purposegate.ledger.growth import TILE_HEIGHT, TILE_WIDTH, tile_root
from purposegate.ledger.merkle import HASH_BYTES, root_of

CACHED_ROOTS = 8_192
"""Roots of full tiles never change; so many cover 2 million leaves in 1 MiB."""


class Subtrees:
    """A `merkle.Subtree` over one shard. `leaves(first, count)` and `tile(level, number)` read the store."""

    def __init__(
        self, leaves: Callable[[int, int], list[bytes]], tile: Callable[[int, int], bytes | None]
    ) -> None:
        self._leaves = leaves
        self._tile = tile
        self._roots: LRUCache[tuple[int, int], bytes] = LRUCache(CACHED_ROOTS)

    def hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """`count` hashes of one tile level, within one tile: leaf hashes at 0, roots of full tiles above."""
        if not count:
            return []
        if level == 0:
            found = self._leaves(first, count)
            if len(found) != count:
                raise LookupError(f"leaves {first} to {first + count} are not all there")
            return found
        whole = self._tile(level, first // TILE_WIDTH)
        if whole is not None:
            at = first % TILE_WIDTH * HASH_BYTES
            return [
                whole[place : place + HASH_BYTES] for place in range(at, at + count * HASH_BYTES, HASH_BYTES)
            ]
        return [self._root(level - 1, number) for number in range(first, first + count)]

    def _root(self, level: int, number: int) -> bytes:
        known = self._roots.get((level, number))
        if known is None:
            whole = self._tile(level, number)
            if whole is None:
                raise LookupError(f"tile {level}/{number} is not there")
            known = self._roots[level, number] = tile_root(whole)
        return known

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of full subtree (level, index). Raises LookupError when it is not all there."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        return root_of(self.hashes(tile_level, index << height, 1 << height))
