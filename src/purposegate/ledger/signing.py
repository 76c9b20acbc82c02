"""Signing heads: after they are durable, never before, and never two that contradict each other.

The signer's secret lies in a file of its own, best on another disk and under another backup than the database; from it
each shard has an Ed25519 key of its own (HKDF, RFC 5869), since a trust policy names a key once. Beside it lies, for each
shard, the last head signed, as the note itself. It is written before the note goes anywhere, so a store that comes back
older than what this log has put its name to is noticed: that shard is never continued.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from purposegate.errors import EvidenceError, ProofFailed, SettingsError
from purposegate.ledger.checkpoint import Checkpoint, SignedCheckpoint
from purposegate.ledger.keys import KEY_BYTES, replace_private, require_private, write_private
from purposegate.ledger.merkle import verify_consistency
from purposegate.ledger.note import LogKey, LogSigner

_TITLE = "purposegate ledger signer v1"

Prove = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) -> the consistency proof between them, from what the store holds."""


def create_secret(path: Path) -> None:
    """Write a new signer file of mode 0600. Raises FileExistsError, OSError."""
    write_private(path, f"{_TITLE}\nsecret {b64encode(os.urandom(KEY_BYTES)).decode()}\n")


def load_secret(path: Path) -> bytes:
    """Read the signer file. Raises SettingsError for a missing, open-mode or malformed one, never showing its lines."""
    try:
        require_private(path)
        title, line = path.read_text(encoding="ascii").splitlines()
        name, _, encoded = line.partition(" ")
        secret = b64decode(encoded, validate=True)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be read as a ledger signer file; restore it from its backup"
        ) from error
    if (title, name, len(secret)) != (_TITLE, "secret", KEY_BYTES):
        raise SettingsError(f"{path}: want the title `{_TITLE}` and one `secret` line of 32 bytes in base64")
    return secret


def shard_signer(secret: bytes, origin: str) -> LogSigner:
    """The key that signs one shard's heads; its name is the shard's origin."""
    seed = HKDF(
        algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"purposegate log signer\n{origin}".encode()
    )
    return LogSigner(origin, Ed25519PrivateKey.from_private_bytes(seed.derive(secret)))


def head_file(signer_file: Path, shard: str) -> Path:
    """Where the last signed head of a shard is remembered."""
    return signer_file.with_name(f"{signer_file.name}.{shard}.head")


class HeadSigner:
    """One shard's signer with its memory. Not safe for two threads at once."""

    def __init__(self, secret: bytes, origin: str, memory: Path) -> None:
        """Read the last head signed, if any. Raises SettingsError if the memory was altered."""
        self._signer = shard_signer(secret, origin)
        self.memory = memory
        self.origin = origin
        self.last: Checkpoint | None = None
        self.note = b""
        try:
            raw = memory.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise SettingsError(f"{memory}: cannot be read: {error.strerror}") from error
        try:
            self.last = SignedCheckpoint.open(raw, origin, [self.key]).checkpoint
        except EvidenceError as error:
            raise SettingsError(
                f"{memory}: this is not the last head this signer signed ({error})"
            ) from error
        self.note = raw

    @property
    def key(self) -> LogKey:
        """The public half, as policies name it."""
        return self._signer.verifier

    @property
    def size(self) -> int:
        """How many leaves the last signed head has; 0 when none was signed."""
        return self.last.size if self.last else 0

    def sign(self, size: int, root: bytes, prove: Prove) -> bytes:
        """The note of a head that is already durable, remembered before it is returned.

        Raises ProofFailed when it does not continue the last one signed, OSError when it cannot be remembered.
        """
        if self.last is not None:
            if size < self.last.size:
                raise ProofFailed(f"size {size} is behind the last signed head, {self.last.size}")
            proof = prove(self.last.size, size)
            verify_consistency(
                size1=self.last.size, root1=self.last.root, size2=size, root2=root, proof=proof
            )
        return self._put(Checkpoint(self.origin, size, root))

    def testify(self, size: int, root: bytes) -> bool:
        """Sign and remember a head that was committed and acknowledged before its store lost it. Raises OSError.

        Nothing can be proved about it any more; it says that this log was longer once, so that nobody continues what came
        back. False where another process has signed for the shard since, whose word then stands.
        """
        known = self.memory.read_bytes() if self.memory.exists() else b""
        if size <= self.size or known != self.note:
            return False
        self._put(Checkpoint(self.origin, size, root))
        return True

    def _put(self, head: Checkpoint) -> bytes:
        note = head.signed_by(self._signer)
        replace_private(self.memory, note)
        self.last, self.note = head, note
        return note
