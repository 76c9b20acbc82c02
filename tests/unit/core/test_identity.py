"""Who asks: a bearer JWT proves issuer, audience, expiry and algorithm, or nobody is asking."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from purposegate.enforcement.identity import BearerJwt, KeyFile, KeyUrl
from purposegate.errors import IdentityRefused, Outage, SettingsError
from purposegate.exchange import Request
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "one"})


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "iss": "https://id.example",
        "aud": "records",
        "sub": "T1001",
        "roles": ["Detective"],
        "exp": int(time.time()) + 60,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(key: Any = KEY, alg: str = "ES256", **changes: Any) -> str:
    return jwt.encode({"alg": alg, "kid": "one"}, claims(**changes), key, algorithms=[alg])


def bearer(token: str, *more: tuple[bytes, bytes]) -> Request:
    return Request(
        method="GET", raw_path=b"/", path="/", headers=((b"authorization", f"Bearer {token}".encode()), *more)
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KeySet([KEY]).as_dict(private=False)), encoding="utf-8")
    return path


@pytest.fixture
def identify(key_file: Path) -> BearerJwt:
    return BearerJwt(
        issuer="https://id.example",
        audience="records",
        algorithms=("ES256",),
        keys=KeyFile(key_file),
        roles={"Detective": "investigator"},
    )


async def test_a_good_token_names_the_principal(identify: BearerJwt) -> None:
    """The subject is the id; the issuer's role names become the force's, unknown ones fall away."""
    principal = await identify(bearer(signed(roles=["Detective", "Domain Users"])))

    assert ("T1001", ("investigator",)) == (principal.id, principal.roles)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    return f"{part({'alg': 'none'})}.{part(claims())}."


def keyed_with_the_public_key() -> str:
    """RFC 8725 section 2.1: the public key passed off as a shared secret."""
    head = ".".join(part({"alg": "HS256", "kid": "one"} if first else claims()) for first in (True, False))
    mac = hmac.digest(KEY.as_pem(private=False), head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


BAD: dict[str, Callable[[], str]] = {
    "another issuer": lambda: signed(iss="https://evil.example"),
    "no issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="payroll"),
    "no audience": lambda: signed(aud=None),
    "expired": lambda: signed(exp=int(time.time()) - 3600),
    "no expiry": lambda: signed(exp=None),
    "expiry of a wrong type": lambda: signed(exp="tomorrow"),
    "not yet valid": lambda: signed(nbf=int(time.time()) + 3600),
    "another key": lambda: signed(OTHER),
    "no signature": unsigned,
    "a shared secret made of the public key": keyed_with_the_public_key,
    "no subject": lambda: signed(sub=None),
    "an empty subject": lambda: signed(sub=""),
    "a subject of a wrong type": lambda: signed(sub=["T1001"]),
    "a subject with control characters": lambda: signed(sub="T1001\n"),
    "an endless subject": lambda: signed(sub="T" * 10_000),
    "roles of a wrong type": lambda: signed(roles="Detective"),
    "not a token": lambda: "hello",
    "too long a token": lambda: "a" * 20_000,
    "an empty token": lambda: "",
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_token_is_nobody(identify: BearerJwt, case: str) -> None:
    """Each of these proves nothing, so nobody is asking."""
    with pytest.raises(IdentityRefused) as caught:
        await identify(bearer(BAD[case]()))

    assert Reason.IDENTITY_INVALID is caught.value.reason


async def test_no_token_is_nobody(identify: BearerJwt) -> None:
    """Without a header the reason is that identity is missing."""
    with pytest.raises(IdentityRefused) as caught:
        await identify(Request(method="GET", raw_path=b"/", path="/"))

    assert Reason.IDENTITY_MISSING is caught.value.reason


async def test_two_tokens_are_nobody(identify: BearerJwt) -> None:
    """Which of two identities counts is not the gate's to guess."""
    with pytest.raises(IdentityRefused):
        await identify(bearer(signed(), (b"authorization", f"Bearer {signed(sub='T1002')}".encode())))


async def test_keys_rotate_without_a_restart(identify: BearerJwt, key_file: Path) -> None:
    """A new key in the file is good at once, and the old one no longer."""
    new = ECKey.generate_key("P-256", {"kid": "two"})
    key_file.write_text(json.dumps(KeySet([new]).as_dict(private=False)), encoding="utf-8")
    token = jwt.encode({"alg": "ES256", "kid": "two"}, claims(), new)

    assert "T1001" == (await identify(bearer(token))).id
    with pytest.raises(IdentityRefused):
        await identify(bearer(signed()))


async def test_a_lost_key_file_is_an_outage_not_a_refusal(identify: BearerJwt, key_file: Path) -> None:
    """Law 3: when identity cannot be checked, nobody is called a stranger for it."""
    key_file.unlink()
    with pytest.raises(Outage):
        await identify(bearer(signed()))


@pytest.mark.parametrize("algorithms", [(), ("HS256",), ("none",), ("ES256", "HS512")])
def test_algorithms_that_prove_nothing_are_refused_in_settings(
    key_file: Path, algorithms: tuple[str, ...]
) -> None:
    """A shared secret or no signature cannot be configured."""
    with pytest.raises(SettingsError):
        BearerJwt(issuer="i", audience="a", algorithms=algorithms, keys=KeyFile(key_file), roles={})


def test_an_unreadable_key_file_stops_the_start(tmp_path: Path) -> None:
    """The error names the file and what was wanted."""
    path = tmp_path / "jwks.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"jwks\.json"):
        KeyFile(path)


class Issuer(BaseHTTPRequestHandler):
    """The issuer's key address; `status` is what it answers."""

    status = 200
    asked = 0

    def do_GET(self) -> None:
        """Answer with the keys, or fail."""
        Issuer.asked += 1
        self.send_response(Issuer.status)
        self.end_headers()
        self.wfile.write(json.dumps(KeySet([KEY]).as_dict(private=False)).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def issuer_url() -> Iterator[str]:
    Issuer.status, Issuer.asked = 200, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    server.server_close()


def over(url: str, clock: list[float]) -> BearerJwt:
    return BearerJwt(
        issuer="https://id.example",
        audience="records",
        algorithms=("ES256",),
        keys=KeyUrl(url, clock=lambda: clock[0]),
        roles={"Detective": "investigator"},
    )


async def test_keys_are_fetched_once_and_kept(issuer_url: str) -> None:
    """Ten tokens cost one question to the issuer."""
    identify = over(issuer_url, [0.0])
    for _ in range(10):
        await identify(bearer(signed()))

    assert 1 == Issuer.asked


async def test_tokens_of_unknown_keys_do_not_hammer_the_issuer(issuer_url: str) -> None:
    """A flood of forged tokens asks the issuer at most once in thirty seconds."""
    identify = over(issuer_url, [0.0])
    for _ in range(10):
        with pytest.raises(IdentityRefused):
            await identify(bearer(signed(OTHER)))

    assert 1 == Issuer.asked


async def test_known_keys_serve_on_while_the_issuer_is_away(issuer_url: str) -> None:
    """An issuer's outage stops nobody whose key is known."""
    clock = [0.0]
    identify = over(issuer_url, clock)
    await identify(bearer(signed()))
    Issuer.status, clock[0] = 500, 1000.0

    assert "T1001" == (await identify(bearer(signed()))).id


async def test_an_issuer_never_reached_is_an_outage(issuer_url: str) -> None:
    """Without any keys nobody is a stranger: the gate could not look."""
    Issuer.status = 500
    with pytest.raises(Outage):
        await over(issuer_url, [0.0])(bearer(signed()))


@pytest.mark.parametrize(
    "url", ["http://id.example/jwks", "http://127.0.0.1.evil.example/jwks", "ftp://id.example/"]
)
def test_keys_over_plain_http_are_refused_in_settings(url: str) -> None:
    """Keys that anybody on the way can change prove nothing; only this machine itself is trusted."""
    with pytest.raises(SettingsError):
        KeyUrl(url)


async def test_one_sign_in_keeps_its_login_over_new_tokens(identify: BearerJwt) -> None:
    """Tokens with one `sid` are one login; another `sid`, or none and another token, is another; none shows the `sid`."""
    first, again, other = [
        (await identify(bearer(signed(sid=sid, jti=str(number))))).login.session
        for number, sid in enumerate(("night-shift", "night-shift", "day-shift"))
    ]
    bare = [(await identify(bearer(signed(jti=jti)))).login.session for jti in ("1", "2")]

    assert first == again
    assert 4 == len({first, other, *bare})
    assert not any("shift" in session for session in (first, other))


async def test_a_sign_in_cannot_pose_as_a_token(identify: BearerJwt) -> None:
    """A `sid` that is another login's whole token is a login of its own."""
    token = signed()
    posing = await identify(bearer(signed(sid=token)))

    assert (await identify(bearer(token))).login.session != posing.login.session


async def test_a_principal_is_one_over_all_logins(identify: BearerJwt) -> None:
    """Two logins of one person are one principal, whose login stands in no text of it."""
    one, two = [await identify(bearer(signed(sid=sid))) for sid in ("a", "b")]

    assert one == two
    assert one.login.session not in repr(one)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("app", True), ("user", False), (None, False), (["app"], False), (True, False)],
    ids=["app", "user", "no claim", "a list", "a boolean"],
)
async def test_a_token_says_that_a_service_asks(key_file: Path, sort: Any, expected: bool) -> None:
    """Only the named claim with one of the named texts makes a service."""
    identify = BearerJwt(
        issuer="https://id.example",
        audience="records",
        algorithms=("ES256",),
        keys=KeyFile(key_file),
        roles={},
        service_claim="idtyp",
        service_values=frozenset({"app"}),
    )

    assert expected is (await identify(bearer(signed(idtyp=sort)))).login.is_service


async def test_without_a_claim_named_nobody_is_a_service(identify: BearerJwt) -> None:
    """No setting, no service: a token cannot bring a claim of its own choice."""
    assert not (await identify(bearer(signed(**{"": "app"})))).login.is_service
