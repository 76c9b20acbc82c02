"""The RFC 6962 Merkle tree: hashes, a compact frontier, inclusion and consistency proofs, all pure.

Leaves are numbered from 0. A *full subtree* (level, index) covers the 2**level leaves from index * 2**level;
its hash never changes once those leaves exist, so a proof can be made from any store of full subtrees (tiles,
a table of leaf hashes). Verifying follows RFC 9162 sections 2.1.3.2 and 2.1.4.2: the trees are the same, and
the later text spells the algorithms out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from purposegate.errors import EvidenceMalformed, ProofFailed

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
"""tlog-checkpoint sizes are decimal int64; a larger tree is an attack, not a log."""
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree with no leaves, RFC 6962 section 2.1."""

# Domain separation: without it the bytes of two joined hashes could be offered as an entry.
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"

Subtree = Callable[[int, int], bytes]
"""(level, index) -> the hash of that full subtree. Raises when it is not there."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry): 32 raw bytes, RFC 6962 section 2.1."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): 32 raw bytes, RFC 6962 section 2.1."""
    return sha256(NODE_PREFIX + left + right).digest()


def root_of(hashes: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes, in order; `EMPTY_ROOT` when there are none."""
    frontier = Frontier()
    for leaf in hashes:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """The right edge of a growing tree: one hash for each 1-bit of `size`, largest subtree first.

    It is all an appender needs to know of the past. Not safe for two threads at once.
    """

    __slots__ = ("_edge", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._edge: list[bytes] = []

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def append(self, leaf: bytes, completed: Callable[[int, int, bytes], None] | None = None) -> int:
        """Add one leaf hash and return its index.

        `completed(level, index, hash)` is called for every full subtree that this leaf finishes, the leaf
        itself (level 0) first.
        Raises `EvidenceMalformed` for a hash of the wrong length or a full tree.
        """
        if len(leaf) != HASH_BYTES:
            raise EvidenceMalformed(f"a leaf hash has {HASH_BYTES} bytes, not {len(leaf)}")
        index = self._size
        if index >= MAX_SIZE:
            raise EvidenceMalformed("the tree is full; open a new shard")
        if completed:
            completed(0, index, leaf)
        edge, carry, level = self._edge, index, 0
        node = leaf
        while carry & 1:  # each trailing 1-bit of the old size is a subtree this leaf completes
            node = node_hash(edge.pop(), node)
            carry >>= 1
            level += 1
            if completed:
                completed(level, carry, node)
        edge.append(node)
        self._size = index + 1
        return index

    def root(self) -> bytes:
        """The root hash of the tree as it stands."""
        return _fold(self._edge)

    def copy(self) -> "Frontier":
        """A frontier of its own, so that an append that may fail never touches the one in use."""
        twin = Frontier()
        twin._size, twin._edge = self._size, self._edge.copy()
        return twin

    def to_bytes(self) -> bytes:
        """`size` as 8 bytes big-endian, then the edge hashes, largest subtree first."""
        return self._size.to_bytes(8, "big") + b"".join(self._edge)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frontier":
        """Read what `to_bytes` wrote. Raises `EvidenceMalformed` unless the length is exactly right."""
        size = int.from_bytes(raw[:8], "big")
        if len(raw) != 8 + HASH_BYTES * size.bit_count() or size > MAX_SIZE:
            raise EvidenceMalformed("a frontier is an 8 byte size and one hash per 1-bit of it")
        frontier = cls()
        frontier._size = size
        frontier._edge = [raw[at : at + HASH_BYTES] for at in range(8, len(raw), HASH_BYTES)]
        return frontier

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # it grows, so it may not be a key

    def __repr__(self) -> str:
        return f"Frontier(size={self._size}, root={self.root().hex()})"


def _fold(edge: Sequence[bytes]) -> bytes:
    if not edge:
        return EMPTY_ROOT
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = node_hash(left, root)
    return root


def frontier_at(size: int, subtree: Subtree) -> Frontier:
    """The frontier of the first `size` leaves, read from a store of full subtrees."""
    edge = b"".join(subtree(level, index) for level, index in full_subtrees(0, size))
    return Frontier.from_bytes(size.to_bytes(8, "big") + edge)


def full_subtrees(begin: int, end: int) -> list[tuple[int, int]]:
    """The fewest full subtrees (level, index) that cover leaves [begin, end), from left to right.

    Requires 0 <= begin <= end, and `begin` a multiple of the smallest power of two >= end - begin: every
    range inside a tree's proofs is of that kind, and its subtrees fold from the right into its hash.
    """
    cover: list[tuple[int, int]] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        cover.append((level, begin >> level))
        begin += 1 << level
    return cover


def _range_hash(begin: int, end: int, subtree: Subtree) -> bytes:
    return _fold([subtree(level, index) for level, index in full_subtrees(begin, end)])


def _split(begin: int, end: int) -> int:
    """Where RFC 6962 cuts [begin, end): after the largest power of two smaller than its length."""
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, lowest sibling first, RFC 6962 2.1.1.

    Requires 0 <= index < size; raises ValueError otherwise.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ValueError(f"want 0 <= index < size, have index {index} and size {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        cut = _split(begin, end)
        if index < cut:
            path.append(_range_hash(cut, end, subtree))
            end = cut
        else:
            path.append(_range_hash(begin, cut, subtree))
            begin = cut
    path.reverse()
    return path


def consistency_proof(size1: int, size2: int, subtree: Subtree) -> list[bytes]:
    """That the tree of `size2` leaves begins with the tree of `size1` leaves, RFC 6962 2.1.2.

    Requires 0 < size1 <= size2; raises ValueError otherwise. Empty when the sizes are equal.
    """
    if not 0 < size1 <= size2 <= MAX_SIZE:
        raise ValueError(f"want 0 < size1 <= size2, have {size1} and {size2}")
    path: list[bytes] = []
    begin, end = 0, size2
    while size1 != end:
        cut = _split(begin, end)
        if size1 <= cut:
            path.append(_range_hash(cut, end, subtree))
            end = cut
        else:
            path.append(_range_hash(begin, cut, subtree))
            begin = cut
    if begin:  # with begin == 0 the old tree is itself a full subtree, and the verifier already has its root
        path.append(_range_hash(begin, end, subtree))
    path.reverse()
    return path


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if `proof` shows that `leaf` (a leaf hash) stands at `index` in the tree; else `ProofFailed`.

    RFC 9162 section 2.1.3.2. `root` is that of the tree of `size` leaves, from a checkpoint already verified.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofFailed(f"leaf {index} cannot be in a tree of {size}")
    _require_hashes(leaf, root, *proof)
    computed = leaf
    for sibling, on_the_left in _climb(index, size - 1, proof):
        computed = node_hash(sibling, computed) if on_the_left else node_hash(computed, sibling)
    if computed != root:
        raise ProofFailed(f"leaf {index} is not under the root of {size}")


def verify_consistency(*, size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> None:
    """Return if `proof` shows that the second tree begins with all of the first; else `ProofFailed`.

    RFC 9162 section 2.1.4.2. Requires 0 < size1 <= size2: every tree extends the empty one, so a proof from 0
    would prove nothing about `root2`, and callers who hold an empty tree must know that they do.
    """
    if not 0 < size1 <= size2 <= MAX_SIZE:
        raise ProofFailed(f"no proof leads from size {size1} to size {size2}")
    if size1 == size2:
        if proof or root1 != root2:
            raise ProofFailed(f"two trees of one size {size1}: want one root and an empty proof")
        return
    _require_hashes(root1, root2, *proof)
    # Where the old tree is itself a full subtree, its root is the start, and the proof leaves it out.
    path = [root1, *proof] if size1 & (size1 - 1) == 0 else proof
    if not path:
        raise ProofFailed("the consistency proof is empty")
    completed = (
        (size1 - 1) ^ size1
    ).bit_length() - 1  # levels that the old tree's last subtree already spans
    old = new = path[0]
    for sibling, on_the_left in _climb((size1 - 1) >> completed, (size2 - 1) >> completed, path[1:]):
        new = node_hash(sibling, new) if on_the_left else node_hash(new, sibling)
        if on_the_left:  # what stands to the right was not yet there in the old tree
            old = node_hash(sibling, old)
    if old != root1:
        raise ProofFailed(f"the proof does not lead to the old root of {size1}")
    if new != root2:
        raise ProofFailed(f"the proof does not lead to the new root of {size2}")


def _climb(position: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each sibling on the way from `position` to the root, and whether it stands on the left.

    `last` is the rightmost position of the same level. Raises `ProofFailed` unless the proof has exactly the
    siblings needed.
    """
    for sibling in proof:
        if last == 0:
            raise ProofFailed("the proof is too long")
        on_the_left = position & 1 == 1 or position == last
        if on_the_left:
            while not position & 1:  # alone on the right edge: rises unhashed until it has a left sibling
                position >>= 1
                last >>= 1
        yield sibling, on_the_left
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofFailed("the proof is too short")


def _require_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofFailed(f"every hash of a proof has {HASH_BYTES} bytes")
