"""The register's secret keys: their file, the cipher of its rows, and the tokens that rows are found by.

The file is text, made on the first import and never rewritten:

    purposegate register keys v1
    index <base64 of 32 bytes>
    seal 1 <base64 of 32 bytes>

Whoever has it and the database can read every entry, so it stands apart from the database, with its own backups and mode
0600. Losing it loses the register, which is then imported again. Beside it stands its memory, `<file>.seen`: the newest
generation that this machine saw, so that a database put back to an older one is noticed.
"""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest as hmac_digest
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from purposegate.errors import SettingsError
from purposegate.feeds.private import read_private, write_private

KEY_BYTES = 32
NONCE_BYTES = 12
"""NIST SP 800-38D's length for random nonces; one key then seals at most 2**32 rows."""
TOKEN_BYTES = 16
_TITLE = "purposegate register keys v1"
_LINE = re.compile(r"(index|seal [1-9][0-9]{0,8}) ([A-Za-z0-9+/]{43}=)", re.ASCII)
_SEEN = re.compile(r"(0|[1-9][0-9]{0,17}) ([0-9a-f]{64})", re.ASCII)


class Sealed(NamedTuple):
    """Sealed bytes: which key sealed them, under which nonce."""

    kid: int
    nonce: bytes
    ct: bytes


class Seen(NamedTuple):
    """A generation of the register, and the SHA-256 of its head, hex."""

    generation: int = 0
    digest: str = "0" * 64


class DoesNotOpenError(Exception):
    """Sealed bytes that this ring did not seal for this place: altered, moved, or under another key."""


@dataclass(frozen=True, slots=True, repr=False)
class RegisterKeys:
    """The keys, by number; the highest seals. AES-256-GCM, HMAC-SHA256."""

    path: Path
    index: bytes
    ciphers: Mapping[int, AESGCM]

    def token(self, kind: str, *parts: str) -> bytes:
        """What something is called in the database: 16 bytes. Each part is preceded by its length: no two lists collide."""
        named = [part.encode("utf-8", "surrogatepass") for part in (kind, *parts)]
        return self.tag(b"".join(len(part).to_bytes(4, "big") + part for part in named))

    def tag(self, content: bytes) -> bytes:
        """16 bytes that tell contents apart, and to whoever has no key tell nothing of them."""
        return hmac_digest(self.index, content, "sha256")[:TOKEN_BYTES]

    def seal(self, clear: bytes, place: bytes) -> Sealed:
        """The bytes, sealed for one place under a fresh random nonce."""
        kid, nonce = max(self.ciphers), os.urandom(NONCE_BYTES)
        return Sealed(kid, nonce, self.ciphers[kid].encrypt(nonce, clear, place))

    def open(self, kid: int, nonce: bytes, sealed: bytes, place: bytes) -> bytes:
        """The clear bytes. Raises `DoesNotOpenError`."""
        try:
            return self.ciphers[kid].decrypt(nonce, sealed, place)
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            raise DoesNotOpenError from error

    @property
    def fingerprint(self) -> bytes:
        """What tells this key file from another and tells nothing of it."""
        return sha256(b"purposegate register key fingerprint\n" + self.index).digest()[:TOKEN_BYTES]

    @property
    def _memory(self) -> Path:
        return self.path.with_name(self.path.name + ".seen")

    def seen(self) -> Seen:
        """The newest generation that this machine saw. Raises SettingsError for a file that is something else."""
        if not self._memory.exists():
            return Seen()
        found = _SEEN.fullmatch(read_private(self._memory, "the register's memory"))
        if not found:
            raise SettingsError(
                f"{self._memory}: not the register's memory; delete it once you know why, and import again"
            )
        return Seen(int(found[1]), found[2])

    def saw(self, seen: Seen) -> None:
        """Remember a generation, durably, unless a newer one was seen. Raises SettingsError."""
        if seen.generation <= self.seen().generation:
            return
        try:
            write_private(self._memory, f"{seen.generation} {seen.digest}\n", replace=True)
        except OSError as error:
            raise SettingsError(
                f"{self._memory}: the register's memory cannot be written: {error.strerror}"
            ) from error


def create(path: Path) -> None:
    """Write a new key file of mode 0600. Raises FileExistsError, OSError."""
    index, seal = (b64encode(os.urandom(KEY_BYTES)).decode() for _ in range(2))
    write_private(path, f"{_TITLE}\nindex {index}\nseal 1 {seal}\n", replace=False)


def load(path: Path) -> RegisterKeys:
    """Read the key file. Raises SettingsError for a missing, open-mode or malformed file, never showing its lines."""
    title, *lines = read_private(path, "the register's key file").split("\n")
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 2):
        found = _LINE.fullmatch(line)
        if not found or found[1] in keys:
            raise SettingsError(
                f"{path}:{number}: want `index` or `seal <n>`, each once, and 32 bytes in base64"
            )
        keys[found[1]] = b64decode(found[2], validate=True)
    seals = {int(name.split()[1]): AESGCM(key) for name, key in keys.items() if name != "index"}
    if title != _TITLE or "index" not in keys or not seals:
        raise SettingsError(f"{path}: want the title `{_TITLE}`, one `index` line and a `seal` line")
    return RegisterKeys(path, keys["index"], seals)
