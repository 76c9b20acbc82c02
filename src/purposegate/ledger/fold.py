"""An RFC 6962 tree folded by a stack, for reading a log again. Standard library only, apart from the code that wrote the log."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

TILE_WIDTH = 256


class Fold:
    """A tree of which only what its growth needs is kept: a stack of (height, hash), and the roots of full subtrees of 256**k.

    A fold may begin where an earlier one ended: from its size, its stack and the nodes of its unfinished tiles.
    """

    def __init__(
        self,
        size: int = 0,
        stack: Sequence[tuple[int, bytes]] = (),
        edges: Mapping[int, Sequence[bytes]] | None = None,
    ) -> None:
        self.size = size
        self.stack = list(stack)
        self._nodes = {level: list(nodes) for level, nodes in (edges or {}).items()}
        # Nodes in full tiles that an earlier fold saw and this one never will.
        self._before = {level: self._full(size, level) for level in range(len(self._nodes))}

    @staticmethod
    def _full(size: int, level: int) -> int:
        return (size >> 8 * level) // TILE_WIDTH * TILE_WIDTH

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf hash."""
        height, node = 0, leaf_hash
        self._nodes.setdefault(0, []).append(node)
        while self.stack and self.stack[-1][0] == height:
            node = sha256(b"\x01" + self.stack.pop()[1] + node).digest()
            height += 1
            if height % 8 == 0:
                self._nodes.setdefault(height // 8, []).append(node)
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

    def tile(self, level: int, number: int) -> list[bytes] | None:
        """The nodes of one tile as far as they are known, or None for one that an earlier fold has finished."""
        first = number * TILE_WIDTH - self._before.get(level, 0)
        return None if first < 0 else self._nodes.get(level, [])[first : first + TILE_WIDTH]

    def full_tiles(self) -> set[tuple[int, int]]:
        """(level, number) of every tile that this fold filled."""
        return {
            (level, number)
            for level, nodes in self._nodes.items()
            for number in range(
                self._before.get(level, 0) // TILE_WIDTH,
                (self._before.get(level, 0) + len(nodes)) // TILE_WIDTH,
            )
        }

    def edges(self) -> dict[int, list[bytes]]:
        """The nodes of the unfinished tiles, by level: with size and stack, all that a later fold needs."""
        return {level: nodes[len(nodes) // TILE_WIDTH * TILE_WIDTH :] for level, nodes in self._nodes.items()}
