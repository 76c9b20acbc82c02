"""C2SP signed notes: text signed by one or more named Ed25519 keys (c2sp.org/signed-note).

    example.com/log          <- text, any lines, ends in a newline
    3
    gy5gl3ak...
                             <- the last empty line
    — example.com/log M9e0lmn5...      <- EM DASH, key name, base64(key id || signature)

A signature by an unknown key is ignored; a bad one by a known key rejects the whole note.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.spelling import base64_bytes, base64_text, utf8_text

MAX_NOTE_BYTES = 1_000_000
"""What golang.org/x/mod/sumdb/note accepts, so that a note either opens in both or in neither."""
MAX_SIGNATURES = 100
"""The specification demands at least 16; golang.org/x/mod stops at 100."""

_KEY_ID_BYTES = 4
_ED25519_KEY_BYTES = 32
_DASH = "\N{EM DASH} "


def require_key_name(name: str) -> None:
    """Raise `EvidenceMalformed` unless `name` is non-empty, without plus, control characters or any space."""
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        raise EvidenceMalformed("a key name is non-empty and has neither spaces nor plus")


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """SHA-256(name || 0x0A || kind || public)[:4]: with the name, which key and which algorithm signed."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. `payload` is what the algorithm of the key made, without the key id."""

    name: str
    key_id: bytes
    payload: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.payload)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line, given without its newline. Raises `EvidenceMalformed`."""
        if not line.startswith(_DASH):
            raise EvidenceMalformed("a signature line starts with an em dash and a space")
        name, found, encoded = line.removeprefix(_DASH).partition(" ")
        if not found:
            raise EvidenceMalformed("a signature line has a key name, a space and a signature")
        require_key_name(name)
        raw = base64_bytes(encoded, "signature")
        if len(raw) <= _KEY_ID_BYTES:
            raise EvidenceMalformed("a signature has a key id of 4 bytes and at least one more")
        return cls(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class VerifierKey(ABC):
    """A public key with the name it signs under; a subclass for each signature type says what is signed."""

    name: str
    public: bytes

    kind: ClassVar[int]

    def __post_init__(self) -> None:
        require_key_name(self.name)
        if len(self.public) != _ED25519_KEY_BYTES:
            raise EvidenceMalformed(f"an Ed25519 public key has {_ED25519_KEY_BYTES} bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name this key in a signature line."""
        return key_id(self.name, self.kind, self.public)

    @abstractmethod
    def signed(self, text: str, payload: bytes) -> tuple[bytes, bytes]:
        """(what was signed, the bare signature), from a note's text and a signature's payload."""

    def verify(self, text: str, signature: Signature) -> None:
        """Raise `ProofFailed` unless this key made `signature` over the note text."""
        message, bare = self.signed(text, signature.payload)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(bare, message)
        except (InvalidSignature, ValueError) as error:
            raise ProofFailed(f"the signature by {self.name} does not verify") from error

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `<name>+<8 hex digits>+<base64(type || key)>`. Raises `EvidenceMalformed`.

        The base64 may itself hold a plus, a name never does: so it is split from the left.
        """
        name, encoded = _key_fields(vkey)
        public = _key_material(encoded, cls.kind)
        key = cls(name, public)
        if str(key) != vkey:  # the key id too, and its one spelling in lower-case hex
            raise EvidenceMalformed("the verifier key's id does not belong to its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64_text(bytes([self.kind]) + self.public)}"


class LogKey(VerifierKey):
    """Signature type 0x01: plain Ed25519 over the note text. Logs sign with it."""

    __slots__ = ()
    kind = 0x01

    def signed(self, text: str, payload: bytes) -> tuple[bytes, bytes]:
        """The text itself, and the payload as it is."""
        return text.encode(), payload


class SigningKey:
    """A private Ed25519 key under a name. Its secret leaves only through `secret_text`."""

    verifier_type: ClassVar[type[VerifierKey]]
    verifier: VerifierKey

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = self.verifier_type(name, private.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The key name that stands in signature lines."""
        return self.verifier.name

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key from the system's randomness."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, skey: str) -> Self:
        """Read `PRIVATE+KEY+<name>+<8 hex digits>+<base64(type || seed)>`.

        Raises `EvidenceMalformed`, which never echoes any of it.
        """
        prefix = "PRIVATE+KEY+"
        if not skey.startswith(prefix):
            raise EvidenceMalformed("a signing key starts with PRIVATE+KEY+")
        name, encoded = _key_fields(skey.removeprefix(prefix))
        seed = _key_material(encoded, cls.verifier_type.kind)
        key = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        if key.secret_text() != skey:
            raise EvidenceMalformed("the signing key's id does not belong to its name and key")
        return key

    def secret_text(self) -> str:
        """The whole key as one line, for a file that only the signer may read."""
        seed = base64_text(bytes([self.verifier.kind]) + self._private.private_bytes_raw())
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{seed}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class LogSigner(SigningKey):
    """A log's own key: signs note texts with type 0x01."""

    verifier_type = LogKey
    verifier: LogKey

    def sign(self, text: str) -> Signature:
        """This key's signature over a note text. Deterministic (RFC 8032)."""
        return Signature(self.name, self.verifier.key_id, self._private.sign(text.encode()))


def _key_fields(text: str) -> tuple[str, str]:
    fields = text.split("+", 2)
    if len(fields) != 3:  # noqa: PLR2004 - name, id, key
        raise EvidenceMalformed("a key is <name>+<id>+<base64>")
    return fields[0], fields[2]


def _key_material(encoded: str, kind: int) -> bytes:
    raw = base64_bytes(encoded, "key")
    if len(raw) != 1 + _ED25519_KEY_BYTES or raw[0] != kind:
        raise EvidenceMalformed(f"want a key of signature type {kind:#04x} with {_ED25519_KEY_BYTES} bytes")
    return raw[1:]


@dataclass(frozen=True, slots=True)
class Note:
    """Text and its signature lines, parsed and not yet believed: `verified` says who vouches for it."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise EvidenceMalformed("a note's text ends in a newline")
        utf8_text(self.text.encode(), "note")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole note. Raises `EvidenceMalformed`."""
        if len(raw) > MAX_NOTE_BYTES:
            raise EvidenceMalformed(f"a note has at most {MAX_NOTE_BYTES} bytes")
        whole = utf8_text(raw, "note")
        text, found, signatures = whole.rpartition("\n\n")
        if not found or not signatures.endswith("\n"):
            raise EvidenceMalformed(
                "a note is a text, an empty line and signature lines that end in a newline"
            )
        lines = signatures.removesuffix("\n").split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise EvidenceMalformed(f"a note has at most {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()

    def verified(self, keys: Iterable[VerifierKey]) -> list[tuple[VerifierKey, Signature]]:
        """Each key among `keys` that signed, with its signature; several of one key if they differ.

        Raises `ProofFailed` when none did, and when any signature by one of them is bad: whoever altered that
        line may have altered more. Raises ValueError when two different keys share name and id.
        """
        known: dict[tuple[str, bytes], VerifierKey] = {}
        for key in keys:
            if known.setdefault((key.name, key.key_id), key) != key:
                raise ValueError(f"two keys share the name {key.name} and one key id")
        found: dict[Signature, VerifierKey] = {}
        for signature in self.signatures:
            signer = known.get((signature.name, signature.key_id))
            if signer is not None and signature not in found:
                signer.verify(self.text, signature)
                found[signature] = signer
        if not found:
            raise ProofFailed("no known key signed this note")
        return [(signer, signature) for signature, signer in found.items()]
