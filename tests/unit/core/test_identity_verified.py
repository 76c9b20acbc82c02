"""A token verified a moment ago is believed again: until it expires, a minute passes, or the keys change."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from purposegate.enforcement.identity import BearerJwt, KeyFile
from purposegate.enforcement.verified import KEPT_S, MOST, VerifiedTokens
from purposegate.errors import IdentityRefused
from purposegate.exchange import Request
from purposegate.model import Principal

pytestmark = pytest.mark.anyio

BEGAN = 1_800_000_000
KEY, NEXT = (ECKey.generate_key("P-256", {"kid": kid}) for kid in ("one", "two"))


class Clock:
    """Unix time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = float(BEGAN)

    def __call__(self) -> float:
        return self.now


class CountedKeys:
    """Keys that can be changed, and a count of how often a signature was checked with them."""

    def __init__(self, *keys: ECKey) -> None:
        self.set = KeySet(list(keys))

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """The keys as they are."""
        return self.set


def token(*, exp: float = BEGAN + 3600, key: ECKey = KEY, **more: Any) -> str:
    """A signed token."""
    claims = {"iss": "https://id.example", "aud": "records", "sub": "T1001", "roles": [], "exp": exp} | more
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])


def bearer(value: str) -> Request:
    """A request with this token."""
    return Request(
        method="GET", raw_path=b"/", path="/", headers=((b"authorization", f"Bearer {value}".encode()),)
    )


@pytest.fixture
def clock() -> Clock:
    """The clock of the gate."""
    return Clock()


@pytest.fixture
def keys() -> CountedKeys:
    """The issuer's keys."""
    return CountedKeys(KEY)


@pytest.fixture
def identify(clock: Clock, keys: CountedKeys) -> BearerJwt:
    """Who asks."""
    return BearerJwt(
        issuer="https://id.example",
        audience="records",
        algorithms=("ES256",),
        keys=keys,
        roles={},
        leeway_s=0,
        clock=clock,
    )


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every token whose signature was checked."""
    seen: list[str] = []
    decode = jwt.decode

    def counted(value: str, *args: Any, **named: Any) -> Any:
        seen.append(value)
        return decode(value, *args, **named)

    monkeypatch.setattr("purposegate.enforcement.identity.jwt.decode", counted)
    return seen


async def test_a_signature_is_checked_once_a_minute(
    identify: BearerJwt, clock: Clock, checked: list[str]
) -> None:
    """The same principal for the same bytes; then it is checked again."""
    sent = bearer(token())
    told = [await identify(sent), await identify(sent)]
    clock.now += KEPT_S
    told.append(await identify(sent))

    assert (1, 2) == (len(set(told)), len(checked))


async def test_a_token_ends_when_it_says(identify: BearerJwt, clock: Clock) -> None:
    """However lately it was verified."""
    sent = bearer(token(exp=BEGAN + 10))
    await identify(sent)
    clock.now += 9
    assert "T1001" == (await identify(sent)).id
    clock.now += 2

    with pytest.raises(IdentityRefused):
        await identify(sent)


async def test_other_bytes_are_another_token(identify: BearerJwt, checked: list[str]) -> None:
    """Nobody borrows what another token proved, nor its payload with another signature."""
    good, other = token(), token(sub="T1002")
    forged = ".".join((*other.split(".")[:2], good.split(".")[2]))
    assert ["T1001", "T1002"] == [(await identify(bearer(one))).id for one in (good, other)]

    with pytest.raises(IdentityRefused):
        await identify(bearer(forged))
    assert {good, other, forged} == set(checked)


async def test_a_revoked_key_ends_what_it_signed_at_once(identify: BearerJwt, keys: CountedKeys) -> None:
    """With the next request, not with the next minute; other keys' tokens are believed."""
    old, new = bearer(token()), bearer(token(key=NEXT))
    await identify(old)
    keys.set = KeySet([NEXT])

    assert "T1001" == (await identify(new)).id
    with pytest.raises(IdentityRefused):
        await identify(old)


async def test_a_key_file_written_anew_is_heard_at_once(tmp_path: Path, clock: Clock) -> None:
    """The same through the file."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KeySet([KEY]).as_dict(private=False)))
    identify = BearerJwt(
        issuer="https://id.example",
        audience="records",
        algorithms=("ES256",),
        keys=KeyFile(path),
        roles={},
        clock=clock,
    )
    await identify(bearer(token()))
    path.write_text(json.dumps(KeySet([NEXT]).as_dict(private=False)))

    with pytest.raises(IdentityRefused):
        await identify(bearer(token()))


async def test_what_was_refused_is_not_remembered(identify: BearerJwt, keys: CountedKeys) -> None:
    """A token refused for an unknown key is accepted once the key is there."""
    sent = bearer(token(key=NEXT))
    with pytest.raises(IdentityRefused):
        await identify(sent)
    keys.set = KeySet([KEY, NEXT])

    assert "T1001" == (await identify(sent)).id


WHO = Principal(id="T1001", roles=())
SET = KeySet([KEY])


@given(st.floats(0, 100), st.floats(-100, 200))
def test_what_is_remembered_ends_with_the_earlier_of_two(lives: float, later: float) -> None:
    """Of expiry and a minute; and a clock set back remembers nothing."""
    tokens = VerifiedTokens()
    tokens.recall("t", SET, 0.0)
    tokens.keep("t", SET, WHO, now=1000.0, expires=1000.0 + lives)
    now = 1000.0 + later

    assert (1000.0 <= now < min(1000.0 + lives, 1000.0 + KEPT_S)) is (
        tokens.recall("t", SET, now) is not None
    )


def test_memory_is_bounded_and_holds_no_token() -> None:
    """The oldest go; a dump of memory shows digests."""
    tokens = VerifiedTokens()
    tokens.recall("", SET, 0.0)
    for number in range(MOST + 1):
        tokens.keep(f"token-{number}", SET, WHO, now=0.0, expires=60.0)

    assert (None, WHO) == (tokens.recall("token-0", SET, 1.0), tokens.recall(f"token-{MOST}", SET, 1.0))
    assert "token-" not in repr(vars(tokens))


def test_keys_that_changed_while_a_token_was_verified_remember_nothing() -> None:
    """What the old keys proved is not the new keys' word."""
    tokens, new = VerifiedTokens(), KeySet([NEXT])
    tokens.recall("t", SET, 0.0)
    tokens.recall("t", new, 0.0)
    tokens.keep("t", SET, WHO, now=0.0, expires=60.0)

    assert None is tokens.recall("t", new, 1.0)
