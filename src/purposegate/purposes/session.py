"""Purpose sessions: a declaration made once, ahead of the lookups that it is for.

A session is bound to the login that made it, to its reference, and to the records that this reference explains or the one
lookup that it named; never to "any". The client holds an opaque token and nothing else.

Why it is stored, and not sealed into the token: a session must be listed for its owner and must end for every worker at the
moment it is ended, and both need a store. With one at hand a token of 43 characters is enough, where a sealed one with a
long reason in it would not fit a cookie. The store is no evidence and holds nothing to be read: a row is found by the
SHA-256 of its token, its owner is a keyed digest, its content is sealed (ChaCha20-Poly1305, RFC 8439) with a key outside it.
"""

import hashlib
import hmac
import logging
import secrets
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from purposegate.exchange import Page
from purposegate.model import Declaration
from purposegate.protocols import Match

LOG = logging.getLogger("purposegate")

TOKEN_BYTES = 32
TOKEN_CHARS = 43
_NONCE_BYTES = 12


class Row(NamedTuple):
    """One session as the store has it. `expires_at` in seconds since 1970."""

    id: str
    token: bytes
    owner: bytes
    expires_at: int
    sealed: bytes


class Store(Protocol):
    """Where sessions are. Every method is one transaction, and raises `Outage(facts-unavailable)` where the store fails."""

    @property
    def is_near(self) -> bool:
        """Whether reading takes microseconds, so that the event loop may wait for it."""
        ...

    def put(self, row: Row, *, now: int, most: int) -> bool:
        """Keep a row: durable when this returns. False where the owner has `most` live ones. Expired ones go."""
        ...

    def get(self, token: bytes) -> Row | None:
        """The row with this token's digest."""
        ...

    def held_by(self, owner: bytes, *, now: int) -> tuple[Row, ...]:
        """The owner's live rows, newest first."""
        ...

    def end(self, name: str, owner: bytes) -> bool:
        """Delete the owner's row of this id, for every worker from now on. False where there is none."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One declaration made ahead. `named` is the digest of the one lookup it named, empty where it named none."""

    id: str
    principal: str
    login: str
    declaration: Declaration
    named: str
    declared_at: datetime
    expires_at: datetime


def lookup_digest(match: Match) -> str:
    """What stands for one lookup: route, method, canonical address and body of its first page, whoever asks. Hex."""
    first = match.request(Page())
    digest = hashlib.sha256(b"purposegate lookup 1")
    for part in (match.route.encode(), first.method.encode(), first.raw_path, first.query, _said(first.body)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _said(body: bytes) -> bytes:
    """What a form says, however its sender encoded it: a browser sends the same fields again in other bytes."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return body
    return orjson.dumps(pairs)


def token_digest(token: str) -> bytes:
    """What the store knows a token by."""
    return hashlib.sha256(token.encode()).digest()


class Seals:
    """Makes tokens, seals sessions into rows, and tells forms of the gate's own page from others'. `key` is 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(_derived(key, b"purposegate declarations 1: content"))
        self._owners = _derived(key, b"purposegate declarations 1: owners")
        self._forms = _derived(key, b"purposegate declarations 1: forms")

    def owner(self, principal_id: str) -> bytes:
        """What the store knows a principal by."""
        return hmac.digest(self._owners, principal_id.encode(), "sha256")

    def made(self, session: Session) -> tuple[str, Row]:
        """A new token for a session, and its row."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        digest = token_digest(token)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, orjson.dumps(_plain(session)), digest)
        row = Row(
            id=session.id,
            token=digest,
            owner=self.owner(session.principal),
            expires_at=int(session.expires_at.timestamp()),
            sealed=sealed,
        )
        return token, row

    def opened(self, row: Row) -> Session | None:
        """The session in a row; None where this key did not seal it: the key was exchanged, or the store tampered with."""
        try:
            plain = self._aead.decrypt(row.sealed[:_NONCE_BYTES], row.sealed[_NONCE_BYTES:], row.token)
        except (InvalidTag, ValueError):
            LOG.warning("a declaration made ahead is not as this gate sealed it: it counts as none")
            return None
        content = orjson.loads(plain)
        return Session(
            id=content["id"],
            principal=content["principal"],
            login=content["login"],
            declaration=Declaration(**content["declaration"]),
            named=content["named"],
            declared_at=datetime.fromtimestamp(content["declared_at"], UTC),
            expires_at=datetime.fromtimestamp(content["expires_at"], UTC),
        )

    def form_token(self, principal_id: str, login: str, until: int) -> str:
        """What a form of the gate's own page carries, so that no other page can send it: bound to one login, until then."""
        said = f"{until}\0{login}\0{principal_id}"
        return f"{until}.{hmac.digest(self._forms, said.encode(), 'sha256').hex()}"

    def is_own_form(self, sent: str, principal_id: str, login: str, now: int) -> bool:
        """Whether a form's token is the gate's, for this login, and not past its time."""
        written = sent.partition(".")[0]
        if not (written.isascii() and written.isdigit() and len(written) <= len(str(2**40))):
            return False
        expected = self.form_token(principal_id, login, int(written))
        return hmac.compare_digest(expected.encode(), sent.encode()) and int(written) > now


def new_id() -> str:
    """The name of a session in entries and lists. It opens nothing."""
    return str(uuid.uuid4())


def _plain(session: Session) -> dict[str, Any]:
    return {
        **asdict(session),
        "declared_at": session.declared_at.timestamp(),
        "expires_at": session.expires_at.timestamp(),
    }


def _derived(key: bytes, what: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=what).derive(key)
