"""A stand-in for the force's identity provider: it signs bearer tokens for the people of the walk. Demo only."""

import json
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://id.northam.example"
AUDIENCE = "records"
LIFETIME_S = 900


class DemoIssuer:
    """Holds a fresh ES256 key for as long as the walk takes; only its public half is written down."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "demo", "alg": "ES256", "use": "sig"})

    def write_jwks(self, path: Path) -> None:
        """The public key set that purposegate.yaml names."""
        path.write_text(json.dumps(KeySet([self._key]).as_dict(private=False)), encoding="utf-8")

    def token(self, staff_id: str, *roles: str, **more: Any) -> str:
        """A signed token for one person, good for fifteen minutes; `more` are further claims."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": staff_id,
            "roles": list(roles),
            "iat": now,
            "exp": now + LIFETIME_S,
            **more,
        }
        return jwt.encode({"alg": "ES256", "kid": "demo"}, claims, self._key)
