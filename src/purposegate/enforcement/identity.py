"""Who asks, from a bearer JWT (RFC 6750, RFC 7519, RFC 8725): issuer, audience, expiry and algorithm all required.

The token proves an id and names roles; unit, tenure and duty come from the force's facts, never from the token.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from purposegate.enforcement.verified import VerifiedTokens
from purposegate.errors import IdentityRefused, Outage, SettingsError
from purposegate.exchange import Request
from purposegate.model import Login, Principal
from purposegate.reasons import Reason

MAX_TOKEN_BYTES = 16 * 1024
"""Header blocks of common servers end at 16 to 32 KiB; a longer token is not a token."""
SYMMETRIC_OR_NONE = ("HS", "none")
"""A shared secret proves nothing about who signed, and `none` proves nothing at all (RFC 8725 section 3.1)."""
REFETCH_S = 30.0
"""At most one fetch of the keys in this time, however many tokens name an unknown key."""
LIFETIME_S = 300.0
FETCH_TIMEOUT_S = 3.0
MAX_ID_CHARS = 200
LOOPBACK = frozenset({"127.0.0.1", "::1"})
"""Where plain http cannot be read or changed on the way."""


class Keys(Protocol):
    """Where the issuer's public keys come from."""

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """The key set; `fresh` asks again because a token names a key that was not in it. Raises `Outage`."""
        ...


class KeyFile:
    """A JWKS file, read again when its modification time changes, so that keys rotate without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, KeySet] | None = None
        try:
            self._load()
        except (OSError, ValueError, JoseError) as error:
            raise SettingsError(f"{path}: want a readable JWKS file ({type(error).__name__})") from error

    def _load(self) -> KeySet:
        stamp = self._path.stat().st_mtime_ns
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, _key_set(self._path.read_bytes()))
        return self._read[1]

    async def keys(self, *, fresh: bool = False) -> KeySet:  # noqa: ARG002  a file is always asked afresh
        """The key set as it stands in the file."""
        try:
            return self._load()
        except (OSError, ValueError, JoseError) as error:
            raise Outage(Reason.GATE_FAULT, "the issuer's key file cannot be read") from error


class KeyUrl:
    """A JWKS address, fetched with a deadline, kept for five minutes, asked again at most twice a minute."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        parsed = httpx.URL(url)
        if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.host in LOOPBACK):
            raise SettingsError("identity.jwt.jwks: want a file, or an https address")
        self._url = url
        self._clock = clock
        self._fetched: tuple[float, KeySet] | None = None
        self._tried = float("-inf")

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """The key set, fetched when old or when a new key is asked for. Old keys serve on while the issuer is away."""
        now = self._clock()
        old = self._fetched is None or now - self._fetched[0] >= LIFETIME_S
        if (old or fresh) and now - self._tried >= REFETCH_S:
            self._tried = now
            try:
                async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, follow_redirects=False) as client:
                    answer = await client.get(self._url)
                    answer.raise_for_status()
                self._fetched = (now, _key_set(answer.content))
            except (httpx.HTTPError, ValueError, JoseError) as error:
                if self._fetched is None:
                    raise Outage(Reason.GATE_FAULT, "the issuer's keys cannot be fetched") from error
        if self._fetched is None:
            raise Outage(Reason.GATE_FAULT, "the issuer's keys cannot be fetched")
        return self._fetched[1]


def _key_set(text: bytes) -> KeySet:
    """A JWKS (RFC 7517 section 5). Raises `ValueError` or `JoseError`, never with a key in the message."""
    content = orjson.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list) or not content["keys"]:
        raise ValueError("want a JSON object with a list of keys")
    keys: Any = content  # of what type each key is, import_key_set finds out
    return KeySet.import_key_set(keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerJwt:
    """Reads a principal from `Authorization: Bearer`. `roles` maps the issuer's role names to the force's own.

    A token whose `service_claim` holds one of `service_values` is a service's, whatever the directory says.
    """

    issuer: str
    audience: str
    algorithms: Sequence[str]
    keys: Keys
    roles: Mapping[str, str]
    id_claim: str = "sub"
    roles_claim: str = "roles"
    service_claim: str = ""
    service_values: frozenset[str] = frozenset()
    acr_values: frozenset[str] = frozenset()
    """How people must have signed in to have stepped up (RFC 9470); empty: nobody has."""
    leeway_s: int = 30
    clock: Callable[[], float] = time.time
    _verified: VerifiedTokens = field(default_factory=VerifiedTokens, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings under which a token would prove nothing."""
        if not (self.issuer and self.audience and self.algorithms):
            raise SettingsError("identity.jwt: issuer, audience and algorithms are all required")
        if any(name.startswith(SYMMETRIC_OR_NONE) for name in self.algorithms):
            raise SettingsError("identity.jwt.algorithms: want public-key algorithms, such as ES256 or EdDSA")

    async def __call__(self, request: Request) -> Principal:
        """The principal. Raises `IdentityRefused`, or `Outage` when the keys cannot be had."""
        token = _bearer(request)
        fault: Exception | None = None
        for fresh in (False, True):
            keys, now = await self.keys.keys(fresh=fresh), self.clock()
            known = self._verified.recall(token, keys, now)
            if known is not None:
                return known
            try:
                decoded = jwt.decode(token, keys, algorithms=list(self.algorithms))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                fault = error  # a rotated key looks like a bad signature until the set is fetched again
                continue
            self._validate(decoded.claims)
            principal = self._principal(decoded.claims, token)
            self._verified.keep(token, keys, principal, now=now, expires=decoded.claims["exp"])
            return principal
        raise IdentityRefused(Reason.IDENTITY_INVALID) from fault

    def _validate(self, claims: Mapping[str, Any]) -> None:
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self.clock()),
            leeway=self.leeway_s,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            exp={"essential": True},
        )
        try:
            registry.validate(dict(claims))
        except (JoseError, ValueError, TypeError) as error:
            raise IdentityRefused(Reason.IDENTITY_INVALID) from error

    def _principal(self, claims: Mapping[str, Any], token: str) -> Principal:
        identity, named = claims.get(self.id_claim), claims.get(self.roles_claim, [])
        well_formed = (
            isinstance(identity, str)
            and 0 < len(identity) <= MAX_ID_CHARS
            and identity.isprintable()
            and isinstance(named, list)
            and all(isinstance(name, str) for name in named)
        )
        if not well_formed:
            raise IdentityRefused(Reason.IDENTITY_INVALID)
        return Principal(
            id=str(identity),
            roles=tuple(sorted({self.roles[name] for name in named if name in self.roles})),
            login=self._login(claims, token),
            stepped_up_at=self._stepped_up_at(claims),
        )

    def _stepped_up_at(self, claims: Mapping[str, Any]) -> int:
        """When they signed in as the settings ask (OpenID Connect Core 1.0 section 2: `acr`, `auth_time`); 0 where not."""
        acr, at = claims.get("acr"), claims.get("auth_time")
        is_strong = isinstance(acr, str) and acr in self.acr_values
        if not is_strong or isinstance(at, bool) or not isinstance(at, int | float):
            return 0
        return int(at)

    def _login(self, claims: Mapping[str, Any], token: str) -> Login:
        """Which sign-in this is: the issuer's `sid` (OpenID Connect Session Management 1.0), or else the token itself."""
        sid, issued_at, sort = claims.get("sid"), claims.get("iat"), claims.get(self.service_claim)
        signed_in = f"sid {sid}" if isinstance(sid, str) and sid else f"token {token}"
        return Login(
            session=hashlib.sha256(signed_in.encode()).hexdigest(),
            is_service=isinstance(sort, str) and sort in self.service_values,
            issued_at=int(issued_at) if isinstance(issued_at, int | float) else 0,
            audience=self.audience,
            authorization_details=claims.get("authorization_details"),
        )


def _bearer(request: Request) -> str:
    values = request.values(b"authorization")
    if not values:
        raise IdentityRefused(Reason.IDENTITY_MISSING)
    scheme, _, token = values[0].partition(b" ")
    if (
        len(values) > 1
        or scheme.lower() != b"bearer"
        or not 0 < len(token) <= MAX_TOKEN_BYTES
        or not token.isascii()
    ):
        raise IdentityRefused(Reason.IDENTITY_INVALID)
    return token.decode("ascii")
