"""C2SP tlog-witness bodies: what a log and its witness say to each other (c2sp.org/tlog-witness).

    old <size>               <- the last size this witness cosigned, as far as the log knows
    <base64 hash>            <- consistency proof from there, at most 63 lines
                             <- empty line
    <checkpoint, verbatim>

The answer is cosignature lines; or, with 409, the size that the witness holds.
"""

from dataclasses import dataclass
from typing import Self

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.merkle import MAX_SIZE
from purposegate.ledger.note import MAX_SIGNATURES, Signature
from purposegate.ledger.proof import MAX_PROOF_LINES
from purposegate.ledger.spelling import base64_hash, base64_text, decimal, utf8_text

SIZE_MEDIA_TYPE = "text/x.tlog.size"
MAX_REQUEST_BYTES = 64 * 1024
"""63 proof lines and a checkpoint with 16 signatures, four of them ML-DSA, fit twice over."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request. `note` is the signed checkpoint as the log issued it."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.old_size <= MAX_SIZE or len(self.proof) > MAX_PROOF_LINES:
            raise EvidenceMalformed(f"want an old size from 0 and at most {MAX_PROOF_LINES} proof lines")

    def to_bytes(self) -> bytes:
        """The request body."""
        lines = (f"old {self.old_size}", *map(base64_text, self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a request body; its checkpoint stays unparsed. Raises `EvidenceMalformed`."""
        if len(raw) > MAX_REQUEST_BYTES:
            raise EvidenceMalformed(f"a request has at most {MAX_REQUEST_BYTES} bytes")
        head, found, note = raw.partition(b"\n\n")
        lines = utf8_text(head, "request").split("\n")
        if not found or not lines[0].startswith("old "):
            raise EvidenceMalformed("a request is `old <size>`, proof lines, an empty line and a checkpoint")
        old_size = decimal(lines[0].removeprefix("old "), "old size")
        return cls(old_size, tuple(base64_hash(line, "proof line") for line in lines[1:]), note)


def parse_cosignatures(raw: bytes) -> list[Signature]:
    """The signature lines of a 200 answer, not yet verified. Raises `EvidenceMalformed`."""
    if len(raw) > MAX_REQUEST_BYTES:
        raise EvidenceMalformed(f"an answer has at most {MAX_REQUEST_BYTES} bytes")
    text = utf8_text(raw, "cosignatures")
    if not text.endswith("\n"):
        raise EvidenceMalformed("every cosignature line ends in a newline")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise EvidenceMalformed(f"an answer has at most {MAX_SIGNATURES} cosignatures")
    return [Signature.parse(line) for line in lines]


def encode_size(size: int) -> bytes:
    """The body of a 409 answer."""
    return f"{size}\n".encode()


def parse_size(raw: bytes) -> int:
    """The size in a 409 answer. Raises `EvidenceMalformed`."""
    text = utf8_text(raw[:32], "size")
    if not text.endswith("\n"):
        raise EvidenceMalformed("a size ends in a newline")
    return decimal(text.removesuffix("\n"), "size")
