"""Sealed cursors: where a list goes on, told to nobody.

A records system's own page token often is the last row's id or sort value (Datasette's is both), and that row may have been
withheld. So the client gets the token sealed: AEAD (ChaCha20-Poly1305, RFC 8439), all of one length, good for one principal,
one route and the same parameters, until it expires. Nothing is stored.
"""

import base64
import binascii
import hashlib
import os
import struct
import time
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from purposegate.errors import AnswerOutage, RouteRefused
from purposegate.exchange import Page
from purposegate.protocols import Match
from purposegate.reasons import Reason

KEY_BYTES = 32
VERSION = 1
_NONCE_BYTES = 12
_HEAD = struct.Struct(">BQIH")  # version, expiry in seconds since 1970, rows to skip, bytes of token
_PLAIN_BYTES = 768
MAX_TOKEN_BYTES = _PLAIN_BYTES - _HEAD.size
"""Datasette's longest tokens for people are under 120 bytes; a cursor is 1,062 characters however short its token is."""
_SEALED_BYTES = _NONCE_BYTES + _PLAIN_BYTES + 16


class Cursors:
    """Seals and unseals cursors with one key, 32 bytes, for `lifetime_s` seconds each. Pure but for nonce and clock."""

    def __init__(self, key: bytes, lifetime_s: int, clock: Callable[[], float] = time.time) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a cursor key is {KEY_BYTES} bytes")
        if not lifetime_s > 0:
            raise ValueError("lifetime_s: want seconds > 0")
        self._aead = ChaCha20Poly1305(key)
        self._lifetime_s = lifetime_s
        self._clock = clock

    def seal(self, page: Page, *, principal_id: str, match: Match) -> str:
        """A cursor for this page: URL-safe characters, always equally many.

        Raises `AnswerOutage(answer-unreadable)` for a token longer than `MAX_TOKEN_BYTES`.
        """
        token = page.token.encode()
        if len(token) > MAX_TOKEN_BYTES:
            raise AnswerOutage(
                Reason.ANSWER_UNREADABLE, f"a page token is longer than {MAX_TOKEN_BYTES} bytes"
            )
        expires_at = int(self._clock()) + self._lifetime_s
        plain = (_HEAD.pack(VERSION, expires_at, page.skip, len(token)) + token).ljust(_PLAIN_BYTES, b"\0")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, plain, _bound_to(principal_id, match))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def unseal(self, cursor: str, *, principal_id: str, match: Match) -> Page:
        """The page that a cursor stands for.

        Raises `RouteRefused(cursor-invalid)`, the same for a forged, a borrowed, a changed and an expired one.
        """
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid() from None
        if len(sealed) != _SEALED_BYTES or base64.urlsafe_b64encode(sealed).rstrip(b"=") != cursor.encode():
            raise _invalid()
        try:
            plain = self._aead.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(principal_id, match)
            )
        except InvalidTag:
            raise _invalid() from None
        version, expires_at, skip, length = _HEAD.unpack_from(plain)
        if version != VERSION or expires_at <= self._clock():
            raise _invalid()
        return Page(plain[_HEAD.size : _HEAD.size + length].decode(), skip)


def _invalid() -> RouteRefused:
    return RouteRefused(Reason.CURSOR_INVALID, "Start the list again from its first page.")


def _bound_to(principal_id: str, match: Match) -> bytes:
    """Digest of principal, route, and the first page's path and parameters: whatever else would change the list."""
    first = match.request(Page())
    digest = hashlib.sha256(b"purposegate cursor 1")
    for part in (
        principal_id.encode(),
        match.route.encode(),
        first.method.encode(),
        first.raw_path,
        first.query,
    ):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
