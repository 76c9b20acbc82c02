"""Tokens verified a moment ago: checking a signature costs more than all else that identity does.

A token stands here by its SHA-256, never itself, and only for the key set that verified it: another set, as after a
rotation or a revocation, begins with none. What it proves ends at its own expiry, or a minute after it was verified.
"""

import hashlib
from typing import NamedTuple

from cachetools import LRUCache
from joserfc.jwk import KeySet

from purposegate.model import Principal

KEPT_S = 60.0
MOST = 10_000
"""Tokens remembered, about 1 KiB each: a large force's shift."""


class _Verified(NamedTuple):
    since: float
    until: float
    principal: Principal


class VerifiedTokens:
    """Who each token proved, for one key set at a time. For one event loop: nothing here waits."""

    def __init__(self) -> None:
        self._keys: KeySet | None = None
        self._known: LRUCache[bytes, _Verified] = LRUCache(MOST)

    def recall(self, token: str, keys: KeySet, now: float) -> Principal | None:
        """Whom this token proved under these keys; None where it must be verified. `now` is Unix time, seconds."""
        if keys is not self._keys:
            self._keys = keys
            self._known.clear()
            return None
        found = self._known.get(_digest(token))
        # A clock set back knows nothing of what was verified later.
        return found.principal if found is not None and found.since <= now < found.until else None

    def keep(self, token: str, keys: KeySet, principal: Principal, *, now: float, expires: float) -> None:
        """Remember a token that these keys have just verified. Does nothing if the keys have changed meanwhile."""
        if keys is self._keys:
            self._known[_digest(token)] = _Verified(now, min(expires, now + KEPT_S), principal)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("ascii")).digest()
