r"""C2SP checkpoints: the signed statement that a log has a size and a root (c2sp.org/tlog-checkpoint).

<origin>\n<size>\n<base64 root>\n, as the text of a signed note.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.merkle import HASH_BYTES, MAX_SIZE
from purposegate.ledger.note import LogKey, LogSigner, Note
from purposegate.ledger.spelling import base64_hash, base64_text, decimal, utf8_text

_OWN_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. `extensions` are opaque lines of others' logs; ours has none: nobody could audit them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any("\n" in line for line in lines):
            raise EvidenceMalformed("a checkpoint's origin and extensions are non-empty lines")
        utf8_text("".join(lines).encode(), "checkpoint")
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            raise EvidenceMalformed(
                f"a checkpoint has a size from 0 to {MAX_SIZE} and a root of {HASH_BYTES} bytes"
            )

    @property
    def text(self) -> str:
        """The note text, which signatures cover."""
        lines = (self.origin, str(self.size), base64_text(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note text. Raises `EvidenceMalformed`."""
        lines = text.split("\n")
        if len(lines) <= _OWN_LINES or lines.pop() != "":
            raise EvidenceMalformed("a checkpoint has three lines, each with its newline")
        origin, size, root, *extensions = lines
        return cls(origin, decimal(size, "tree size"), base64_hash(root, "root hash"), tuple(extensions))

    def signed_by(self, signer: LogSigner) -> bytes:
        """The signed note. The caller answers for never signing two heads that contradict each other."""
        return Note(self.text, (signer.sign(self.text),)).to_bytes()


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose log's signature was verified, with the note it came in (cosignatures and all)."""

    checkpoint: Checkpoint
    note: Note

    @classmethod
    def open(cls, raw: bytes, origin: str, keys: Iterable[LogKey]) -> Self:
        """Parse and verify. Raises `EvidenceMalformed`; `ProofFailed` for a wrong origin or signature."""
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != origin:
            raise ProofFailed(f"this checkpoint is by another log than {origin}")
        note.verified(keys)
        return cls(checkpoint, note)
