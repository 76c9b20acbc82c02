"""C2SP tlog-proof v1: one file that shows, offline, that an entry stands in a log (c2sp.org/tlog-proof).

c2sp.org/tlog-proof@v1
extra <base64>           <- optional and NOT authenticated
index <decimal>
<base64 hash>            <- inclusion proof, leaf's sibling first
                         <- empty line
<checkpoint, verbatim>
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.checkpoint import SignedCheckpoint
from purposegate.ledger.merkle import MAX_SIZE, verify_inclusion
from purposegate.ledger.note import MAX_NOTE_BYTES, LogKey
from purposegate.ledger.spelling import base64_bytes, base64_hash, base64_text, decimal, utf8_text

MAX_PROOF_LINES = 63
"""A tree of at most 2**63 - 1 leaves is no deeper."""

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_EXTRA_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An inclusion proof with the checkpoint it leads to. `extra` is context that proves nothing."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_SIZE or len(self.hashes) > MAX_PROOF_LINES:
            raise EvidenceMalformed(f"a proof has an index from 0 and at most {MAX_PROOF_LINES} hashes")

    def to_bytes(self) -> bytes:
        """The file, by custom named `*.tlog-proof`."""
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {base64_text(self.extra)}")
        lines.append(f"index {self.index}")
        lines += map(base64_text, self.hashes)
        return "".join(f"{line}\n" for line in (*lines, "")).encode() + self.checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a file; its checkpoint stays unparsed. Raises `EvidenceMalformed`."""
        if len(raw) > MAX_NOTE_BYTES + 2 * _MAX_EXTRA_BYTES:
            raise EvidenceMalformed("a proof of this length is not a proof")
        head, found, checkpoint = raw.partition(b"\n\n")
        if not found or not checkpoint:
            raise EvidenceMalformed("a proof ends in an empty line and a checkpoint")
        lines = utf8_text(head, "proof").split("\n")
        if lines.pop(0) != _HEADER:
            raise EvidenceMalformed(f"a proof starts with the line {_HEADER}")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = base64_bytes(lines.pop(0).removeprefix("extra "), "extra")
            if not extra:
                raise EvidenceMalformed("extra: leave the line out when there is none")
        if not lines or not lines[0].startswith("index "):
            raise EvidenceMalformed("a proof has a line `index <decimal>`")
        index = decimal(lines.pop(0).removeprefix("index "), "index")
        return cls(index, tuple(base64_hash(line, "proof hash") for line in lines), checkpoint, extra)

    def verify(self, leaf: bytes, origin: str, keys: Iterable[LogKey]) -> SignedCheckpoint:
        """The checkpoint, once its log's signature and this inclusion are verified for `leaf` (a leaf hash).

        Raises `EvidenceError`. Witnesses are the caller's: judge the checkpoint against a `Policy`.
        """
        signed = SignedCheckpoint.open(self.checkpoint, origin, keys)
        head = signed.checkpoint
        verify_inclusion(leaf=leaf, index=self.index, size=head.size, proof=self.hashes, root=head.root)
        return signed
