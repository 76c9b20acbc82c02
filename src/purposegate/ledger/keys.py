"""The ledger's secret keys: their file, the payload cipher, and the tokens of counters and search terms.

The file is text, made on first opening and never rewritten by the writer:

    purposegate ledger keys v1
    index <base64 of 32 bytes>
    payload 1 <base64 of 32 bytes>

Whoever has it can read every payload, so it stands apart from the database, with its own backups and mode 0600.
Losing it loses every payload: the leaves then prove only that entries existed. Deleting a `payload` line erases all
that it sealed, in every copy of the database.
"""

import os
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from purposegate.errors import EvidenceMalformed, SettingsError
from purposegate.model import CountKey

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

KEY_BYTES = 32
NONCE_BYTES = 12
"""NIST SP 800-38D's length for random nonces; one key then seals at most 2**32 payloads."""
TOKEN_BYTES = 16
_TITLE = "purposegate ledger keys v1"
_LINE = re.compile(r"(index|payload [1-9][0-9]{0,8}) ([A-Za-z0-9+/]{43}=)", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """The keys, by number; `current` seals new payloads."""

    index: bytes
    payload: Mapping[int, bytes]

    @property
    def current(self) -> int:
        """The number of the key that seals new payloads: the highest."""
        return max(self.payload)

    def fingerprint(self, kid: int) -> bytes:
        """16 bytes that tell keys apart and tell nothing of them; kid 0 is the index key."""
        key = self.payload[kid] if kid else self.index
        return sha256(b"purposegate ledger key fingerprint\n" + key).digest()[:TOKEN_BYTES]

    def token(self, key: CountKey) -> bytes:
        """What a counter is called in the database: 16 bytes of HMAC-SHA256, so that ids do not stand in clear."""
        parts = (key.principal, key.sight, key.record.kind, key.record.id)
        return self.term("count", (*parts, key.since) if key.since else parts)

    def term(self, kind: str, parts: Iterable[str]) -> bytes:
        """A search term's token. Each part is preceded by its length, so that no two lists collide."""
        pieces = [len(kind).to_bytes(4, "big"), kind.encode("ascii")]
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            pieces += (len(encoded).to_bytes(4, "big"), encoded)
        begun, ending = _begun(self.index)
        inner, outer = begun.copy(), ending.copy()
        inner.update(b"".join(pieces))
        outer.update(inner.digest())
        return outer.digest()[:TOKEN_BYTES]


@lru_cache(maxsize=8)
def _begun(key: bytes) -> tuple["Hash", "Hash"]:
    """HMAC-SHA256's two hashes (RFC 2104) with the key taken in: a lookup makes some thirty tokens under one key."""
    padded = key.ljust(sha256().block_size, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in padded)), sha256(bytes(byte ^ 0x5C for byte in padded))


class Cipher:
    """AES-256-GCM over payloads. The associated bytes are `<origin>|<index>`: a payload moved elsewhere will not open."""

    def __init__(self, ring: KeyRing, origin: str) -> None:
        self._ring = ring
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.payload.items()}
        self._prefix = origin.encode() + b"|"
        self.kid = ring.current

    def seal(self, clear: bytes, index: int, nonce: bytes) -> bytes:
        """The ciphertext under the current key.

        The nonce must be fresh and random: an index can be written twice, once in a commit that was lost and whose
        bytes may survive on the disk.
        """
        return self._ciphers[self.kid].encrypt(nonce, clear, self._prefix + str(index).encode())

    def open(self, sealed: bytes, *, index: int, kid: int, nonce: bytes) -> bytes:
        """The clear bytes. Raises `EvidenceMalformed` if altered or moved, KeyError if the key is not in the ring."""
        try:
            return self._ciphers[kid].decrypt(nonce, sealed, self._prefix + str(index).encode())
        except (InvalidTag, ValueError, TypeError) as error:
            raise EvidenceMalformed(
                "the payload does not open under its key: altered, or moved here"
            ) from error


def require_private(path: Path) -> None:
    """Return if only the owner can read the file; else SettingsError. Symbolic links are followed."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"{path}: want a regular file")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SettingsError(
            f"{path}: others can read this key file; run `chmod 600` on it and consider it seen"
        )


def write_private(path: Path, text: str) -> None:
    """Make a file of mode 0600 that is either whole and on the disk or absent. Never overwrites."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    # A crash may have left one, and in a container every process has the same number.
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    sync_directory(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 in place of what stood there: after a crash one or the other is there, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable: a file's own fsync does not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path) -> None:
    """Write a new key file of mode 0600. Raises FileExistsError, OSError."""
    index, payload = (b64encode(os.urandom(KEY_BYTES)).decode() for _ in range(2))
    write_private(path, f"{_TITLE}\nindex {index}\npayload 1 {payload}\n")


def load(path: Path) -> KeyRing:
    """Read the key file. Raises SettingsError for a missing, open-mode or malformed file, never showing its lines."""
    try:
        require_private(path)
        title, *lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be read as a ledger key file; restore it from its backup"
        ) from error
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 2):
        found = _LINE.fullmatch(line)
        if not found or found[1] in keys:
            raise SettingsError(
                f"{path}:{number}: want `index` or `payload <n>`, each once, and 32 bytes in base64"
            )
        keys[found[1]] = b64decode(found[2], validate=True)
    payload = {int(name.split()[1]): key for name, key in keys.items() if name != "index"}
    if title != _TITLE or "index" not in keys or not payload:
        raise SettingsError(f"{path}: want the title `{_TITLE}`, one `index` line and a `payload` line")
    return KeyRing(keys["index"], payload)
