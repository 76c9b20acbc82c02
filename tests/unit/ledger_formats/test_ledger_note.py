"""Signed notes against golang.org/x/mod's cases, the specification's examples, and mutations."""

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceError, EvidenceMalformed, ProofFailed
from purposegate.ledger.note import MAX_NOTE_BYTES, LogKey, LogSigner, Note, Signature
from vector_sets import vectors

GOLANG: dict[str, Any] = vectors("golang-mod/note.json")
SPEC: dict[str, Any] = vectors("spec_examples.json")
PETER = LogKey.parse(GOLANG["vkeys"]["PeterNeumann"])
ENOCH = LogKey.parse(GOLANG["vkeys"]["EnochRoot"])
SIGNER = LogSigner.parse(GOLANG["skey"])
SIGNED = GOLANG["signed_by_peter"].encode()


def test_spec_example_verifies() -> None:
    """The example of the specification verifies with the key printed beside it."""
    key = LogKey.parse(SPEC["signed_note"]["vkey"])

    (found,) = Note.parse(SPEC["signed_note"]["note"].encode()).verified([key])

    assert key == found[0]


@pytest.mark.parametrize("text", SPEC["parse_only_notes"])
def test_spec_notes_are_written_as_read(text: str) -> None:
    """Every note of the specifications is read, and written back byte for byte."""
    assert text.encode() == Note.parse(text.encode()).to_bytes()


def test_signature_is_the_deterministic_one() -> None:
    """Our signature over Go's text with Go's key is Go's signature."""
    note = Note(GOLANG["text"], (SIGNER.sign(GOLANG["text"]),))

    assert SIGNED == note.to_bytes()


def test_signing_key_is_written_as_read() -> None:
    """The key file's one line survives, and its public half is the published verifier key."""
    assert GOLANG["skey"] == SIGNER.secret_text()
    assert GOLANG["vkeys"]["PeterNeumann"] == str(SIGNER.verifier)


def test_signing_key_hides_its_secret() -> None:
    """No representation that ends in a log shows the seed."""
    assert "LogSigner('PeterNeumann')" == repr(SIGNER) == str(SIGNER)


@pytest.mark.parametrize("case", GOLANG["open"], ids=lambda case: case["desc"])
def test_golang_open_case(case: dict[str, Any]) -> None:
    """A note opens, or fails in the way that golang.org/x/mod says."""
    keys = {"PeterNeumann": PETER, "EnochRoot": ENOCH}
    wanted: Any = {
        "ok": case.get("verified"),
        "unverified": ProofFailed,
        "invalid_signature": ProofFailed,
        "malformed": EvidenceMalformed,
    }[case["want"]]

    found: Any
    try:
        verified = Note.parse(case["msg"].encode()).verified(keys[name] for name in case["known"])
        found = [key.name for key, _ in verified]
    except EvidenceError as error:
        found = type(error)

    assert wanted == found


@pytest.mark.parametrize("encoded", GOLANG["open_malformed_b64"])
def test_golang_malformed_note_is_refused(encoded: str) -> None:
    """Notes without signatures, without a final newline, with control characters, bad UTF-8 or stray lines."""
    with pytest.raises(EvidenceMalformed):
        Note.parse(b64decode(encoded))


@pytest.mark.parametrize("vkey", GOLANG["vkey_must_reject"])
def test_golang_bad_verifier_key_is_refused(vkey: str) -> None:
    """A key of the wrong length, or of a type this is not, is refused."""
    with pytest.raises(EvidenceMalformed):
        LogKey.parse(vkey)


def mangled(key: str) -> list[str]:
    """Every proper substring, and every copy with one byte incremented."""
    cut = [
        key[begin:end]
        for begin in range(len(key))
        for end in range(begin, len(key) + 1)
        if key[begin:end] != key
    ]
    bumped = [key[:at] + chr(ord(key[at]) + 1) + key[at + 1 :] for at in range(len(key))]
    return cut + bumped


def accepted(parse: Any, texts: list[str]) -> list[str]:
    through = []
    for text in texts:
        try:
            parse(text)
        except EvidenceMalformed:
            continue
        through.append(text)
    return through


def test_mangled_keys_are_refused() -> None:
    """No substring and no one-byte change of a verifier or signing key is still a key."""
    assert [] == accepted(LogKey.parse, mangled(GOLANG["vkeys"]["PeterNeumann"]))
    assert [] == accepted(LogSigner.parse, mangled(GOLANG["skey"]))


def test_key_whose_base64_holds_a_plus_is_read() -> None:
    """Keys are split from the left: the base64 at the end may hold a plus of its own."""
    vkey = "Wit2+85ecc407+AWVbwFJte9wMQIPSnEnj4KibeO6vSIOEDUTDp3o63c2x"
    plus = next(
        str(key)
        for key in (LogSigner.generate("log.example").verifier for _ in range(200))
        if str(key).count("+") > 2
    )

    assert [vkey, plus] == [str(LogKey.parse(vkey)), str(LogKey.parse(plus))]


def test_key_id_has_one_case() -> None:
    """A key id in upper-case hex is another spelling, and refused."""
    name, key_id, rest = GOLANG["vkeys"]["PeterNeumann"].split("+", 2)

    with pytest.raises(EvidenceMalformed):
        LogKey.parse(f"{name}+{key_id.upper()}+{rest}")


@pytest.mark.parametrize(
    "name", ["", "two words", "no\N{NO-BREAK SPACE}break", "plus+name", "line\nname", "tab\tname", "nel\x85"]
)
def test_key_name_is_one_word(name: str) -> None:
    """Names with any kind of space, with a plus or without a letter are refused."""
    with pytest.raises(EvidenceMalformed):
        LogSigner.generate(name)


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_note_with_one_bit_changed_never_verifies(at: int, bit: int) -> None:
    """Whichever bit of a signed note is flipped, it is malformed or unsigned."""
    forged = bytearray(SIGNED)
    forged[at] ^= 1 << bit

    with pytest.raises(EvidenceError):
        Note.parse(bytes(forged)).verified([PETER])


@given(st.binary(max_size=200) | st.text(alphabet="a \n\N{EM DASH}+=A\r", max_size=60).map(str.encode))
def test_note_has_one_spelling(raw: bytes) -> None:
    """Bytes are either refused as malformed or written back as they were: nothing else is raised."""
    try:
        note = Note.parse(raw)
    except EvidenceMalformed:
        return
    assert raw == note.to_bytes()


def test_text_ends_at_the_last_empty_line() -> None:
    """Empty lines belong to the text; only the last one parts it from the signatures."""
    text = "a\n\n\nb\n\n"
    raw = Note(text, (SIGNER.sign(text),)).to_bytes()

    assert text == Note.parse(raw).text


@pytest.mark.parametrize(
    "line",
    [
        "-- PeterNeumann x08go/ZJ",
        "\N{EM DASH}PeterNeumann x08go/ZJ",
        "\N{EM DASH} PeterNeumann",
        "\N{EM DASH}  x08go/ZJ",
        "\N{EM DASH} PeterNeumann  x08go/ZJ",
        "\N{EM DASH} PeterNeumann x08go/ZJ ",
        "\N{EM DASH} Peter+Neumann x08go/ZJ",
        "\N{EM DASH} PeterNeumann x08g",
        "\N{EM DASH} PeterNeumann x08go/Z",
        "",
    ],
)
def test_malformed_signature_line_is_refused(line: str) -> None:
    """A signature line has exactly its dash, name, spaces and base64 of at least five bytes."""
    with pytest.raises(EvidenceMalformed):
        Note.parse(b"text\n\n" + f"{line}\n".encode())


def test_sixteen_signatures_of_others_do_no_harm() -> None:
    """A note with many unknown signatures opens by the one that is known."""
    others = tuple(LogSigner.generate(f"other.example/{n}").sign(GOLANG["text"]) for n in range(99))
    note = Note(GOLANG["text"], (*others, SIGNER.sign(GOLANG["text"])))

    assert [PETER] == [key for key, _ in Note.parse(note.to_bytes()).verified([PETER])]


def test_signature_with_the_right_name_and_another_id_is_unknown() -> None:
    """A name alone is not a key: a signature by another key of the same name is ignored."""
    other = LogSigner.generate("PeterNeumann").sign(GOLANG["text"])

    with pytest.raises(ProofFailed, match="no known key"):
        Note(GOLANG["text"], (other,)).verified([PETER])


def test_one_bad_signature_of_a_known_key_rejects_all() -> None:
    """A good signature does not make up for a bad one by a known key."""
    bad = Signature(ENOCH.name, ENOCH.key_id, bytes(64))
    note = Note(GOLANG["text"], (SIGNER.sign(GOLANG["text"]), bad))

    with pytest.raises(ProofFailed, match="EnochRoot"):
        note.verified([PETER, ENOCH])


def test_second_bad_signature_of_one_key_rejects_all() -> None:
    """A bad signature is not hidden by a good one of the same key before it."""
    bad = Signature(PETER.name, PETER.key_id, bytes(64))

    with pytest.raises(ProofFailed):
        Note(GOLANG["text"], (SIGNER.sign(GOLANG["text"]), bad)).verified([PETER])


@pytest.mark.parametrize("length", [0, 31, 33])
def test_public_key_has_its_length(length: int) -> None:
    """An Ed25519 key is 32 bytes."""
    with pytest.raises(EvidenceMalformed, match="32 bytes"):
        LogKey("log.example", bytes(length))


def test_colliding_keys_are_refused() -> None:
    """Two different keys of one name and id would make it unclear who signed."""

    class Collided(LogKey):
        @property
        def key_id(self) -> bytes:
            return PETER.key_id

    twin = Collided(PETER.name, ENOCH.public)

    with pytest.raises(ValueError, match="share the name"):
        Note.parse(SIGNED).verified([PETER, twin])


def test_overlong_note_is_refused() -> None:
    """A note over a million bytes is refused before it is read."""
    with pytest.raises(EvidenceMalformed, match="at most"):
        Note.parse(b"a" * MAX_NOTE_BYTES + b"\n" + SIGNED)


@pytest.mark.parametrize("text", ["", "no newline", "carriage\r\n"])
def test_text_that_no_reader_would_accept_is_not_written(text: str) -> None:
    """A note that could not be read again cannot be made."""
    with pytest.raises(EvidenceMalformed):
        Note(text, ())
