import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers import sight
from purposegate.errors import EvidenceMalformed, SettingsError
from purposegate.ledger.keys import Cipher, KeyRing, create, load, write_private
from purposegate.model import CountKey, RecordRef

RING = KeyRing(b"i" * 32, {1: b"a" * 32, 2: b"b" * 32})
TEXT = st.text(max_size=8)


def test_key_file_is_read_back(tmp_path: Path) -> None:
    """A new key file holds two different keys of 32 bytes, mode 0600."""
    create(tmp_path / "keys")
    ring = load(tmp_path / "keys")

    assert (32, 32, 1) == (len(ring.index), len(ring.payload[1]), ring.current)
    assert ring.index != ring.payload[1]
    assert 0o600 == (tmp_path / "keys").stat().st_mode & 0o777


def test_key_files_differ(tmp_path: Path) -> None:
    """No two key files are alike."""
    create(tmp_path / "a")
    create(tmp_path / "b")

    assert load(tmp_path / "a").index != load(tmp_path / "b").index


def test_key_file_is_never_overwritten(tmp_path: Path) -> None:
    """Making a key file where one stands fails and leaves it, and no draft."""
    create(tmp_path / "keys")
    before = (tmp_path / "keys").read_bytes()
    with pytest.raises(FileExistsError):
        create(tmp_path / "keys")

    assert before == (tmp_path / "keys").read_bytes()
    assert [tmp_path / "keys"] == list(tmp_path.iterdir())


GOOD = "purposegate ledger keys v1\nindex " + "A" * 43 + "=\npayload 1 " + "B" * 43 + "=\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.replace("v1", "v2"),
        GOOD.replace("index", "Index"),
        GOOD.replace("payload 1", "payload 0"),
        GOOD.replace("payload 1", "payload 01"),
        GOOD.replace("=\n", "\n"),
        GOOD + GOOD.splitlines()[1] + "\n",
        GOOD.replace("payload 1", "payload \u0661"),
        "\n".join(GOOD.splitlines()[:2]),
        "\n".join([GOOD.splitlines()[0], GOOD.splitlines()[2]]),
        GOOD + "\n",
    ],
)
def test_malformed_key_files_are_refused_unread(tmp_path: Path, text: str) -> None:
    """A key file has one form; the message never shows a line of it."""
    (tmp_path / "keys").touch(0o600)
    (tmp_path / "keys").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "keys")

    assert "AAAA" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_wide_modes_are_refused(tmp_path: Path, mode: int) -> None:
    """Any right of group or others is too much."""
    create(tmp_path / "keys")
    (tmp_path / "keys").chmod(mode)

    with pytest.raises(SettingsError, match="chmod 600"):
        load(tmp_path / "keys")


def test_directory_is_not_a_key_file(tmp_path: Path) -> None:
    """What is not a regular file is refused."""
    (tmp_path / "keys").mkdir(0o700)

    with pytest.raises(SettingsError, match="regular file"):
        load(tmp_path / "keys")


def test_private_file_survives_a_draft_left_behind(tmp_path: Path) -> None:
    """A draft of a killed process does not stand in the way of another process."""
    (tmp_path / ".keys.1.new").touch()
    write_private(tmp_path / "keys", "text")

    assert "text" == (tmp_path / "keys").read_text()


@given(st.binary(min_size=32, max_size=32), st.lists(st.text(), max_size=6))
def test_terms_are_hmacs(index: bytes, parts: list[str]) -> None:
    """HMAC-SHA256 under the index key, over the parts, each after its length: as the standard library has it."""
    named = [b"count", *(part.encode("utf-8", "surrogatepass") for part in parts)]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in named)
    ring = KeyRing(index, {1: bytes(32)})

    assert hmac.digest(index, message, "sha256")[:16] == ring.term("count", parts)


def test_work_is_part_of_a_token() -> None:
    """A key since some work is another counter; one without keeps the token that it always had."""
    since = sight(1)._replace(since="2026-11-20T09:00:00+00:00")

    assert RING.token(sight(1)) != RING.token(since)
    assert RING.term("count", ("pc-42", "view", "person", "rec-1")) == RING.token(sight(1))


def test_same_key_same_token() -> None:
    """One count key has one token of 16 bytes, and it depends on the ring."""
    other = KeyRing(b"j" * 32, RING.payload)

    assert RING.token(sight(1)) == RING.token(sight(1))
    assert 16 == len(RING.token(sight(1)))
    assert RING.token(sight(1)) != other.token(sight(1))


@given(st.tuples(TEXT, TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT, TEXT))
def test_tokens_do_not_collide(one: tuple[str, str, str, str], two: tuple[str, str, str, str]) -> None:
    """Different keys have different tokens, wherever their parts are cut."""
    first = RING.token(CountKey(one[0], one[1], RecordRef(one[2], one[3])))
    second = RING.token(CountKey(two[0], two[1], RecordRef(two[2], two[3])))

    assert (one == two) == (first == second)


@given(clear=st.binary(max_size=100), index=st.integers(0, 2**40))
def test_sealed_is_opened(clear: bytes, index: int) -> None:
    """Opening undoes sealing, under the ring's highest key."""
    cipher = Cipher(RING, "origin")
    sealed = cipher.seal(clear, index, b"n" * 12)

    assert 2 == cipher.kid
    assert clear == cipher.open(sealed, index=index, kid=2, nonce=b"n" * 12)


def test_moved_payload_does_not_open() -> None:
    """A payload opens only at its own index of its own log, under its own key and nonce."""
    cipher = Cipher(RING, "origin")
    sealed = cipher.seal(b"clear", 7, b"n" * 12)
    for opener, index, kid, nonce in (
        (cipher, 8, 2, b"n" * 12),
        (Cipher(RING, "other"), 7, 2, b"n" * 12),
        (cipher, 7, 1, b"n" * 12),
        (cipher, 7, 2, b"m" * 12),
    ):
        with pytest.raises(EvidenceMalformed):
            opener.open(sealed, index=index, kid=kid, nonce=nonce)
    with pytest.raises(KeyError):
        cipher.open(sealed, index=7, kid=3, nonce=b"n" * 12)


def test_keys_are_not_printed() -> None:
    """Neither the ring's text nor a fingerprint shows a key."""
    assert "iiii" not in repr(RING)
    assert RING.fingerprint(1) not in RING.payload[1]
    assert 3 == len({RING.fingerprint(kid) for kid in (0, 1, 2)})
