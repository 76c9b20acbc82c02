"""A log in memory, for tests that need heads and proofs of it: honest, and able to lie."""

from dataclasses import dataclass, field

from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.merkle import Frontier, consistency_proof, leaf_hash
from purposegate.ledger.note import LogSigner


@dataclass
class GrowingLog:
    """Entries, their tree, and the key that signs its heads."""

    signer: LogSigner
    subtrees: dict[tuple[int, int], bytes] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=Frontier)
    roots: list[bytes] = field(default_factory=lambda: [Frontier().root()])

    @property
    def origin(self) -> str:
        return self.signer.name

    def grow(self, count: int, what: str = "entry") -> "GrowingLog":
        """Append `count` entries; `what` tells two histories apart."""
        for _ in range(count):
            entry = f"{what} {self.frontier.size}".encode()
            self.frontier.append(
                leaf_hash(entry), lambda level, index, node: self.subtrees.update({(level, index): node})
            )
            self.roots.append(self.frontier.root())
        return self

    def prove(self, size1: int, size2: int) -> list[bytes]:
        return consistency_proof(size1, size2, lambda level, index: self.subtrees[level, index])

    def head(self, size: int | None = None) -> Checkpoint:
        at = self.frontier.size if size is None else size
        return Checkpoint(self.origin, at, self.roots[at])

    def signed(self, size: int | None = None) -> bytes:
        return self.head(size).signed_by(self.signer)
