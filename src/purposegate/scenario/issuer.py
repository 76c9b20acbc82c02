"""The story's identity provider: a fresh key for each run, whose public half the gate is given."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://id.scenario.example"
AUDIENCE = "records"
LIFETIME_S = 3600
RENEWED_S = 1800


class Issuer:
    """Signs bearer tokens in real time: how long a token lasts is not part of any story."""

    def __init__(self, jwks: Path) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "scenario", "alg": "ES256", "use": "sig"})
        self._tokens: dict[str, tuple[str, float]] = {}
        jwks.write_text(json.dumps(KeySet([self._key]).as_dict(private=False)), encoding="utf-8")

    def token(self, staff_id: str, roles: Sequence[str]) -> str:
        """A token for one member of staff, signed anew twice an hour."""
        token, until = self._tokens.get(staff_id, ("", 0.0))
        now = time.time()
        if now >= until:
            claims = {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "sub": staff_id,
                "roles": list(roles),
                "iat": int(now),
                "exp": int(now) + LIFETIME_S,
            }
            token = jwt.encode({"alg": "ES256", "kid": "scenario"}, claims, self._key)
            self._tokens[staff_id] = (token, now + RENEWED_S)
        return token
