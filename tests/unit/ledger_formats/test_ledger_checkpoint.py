"""Checkpoints against transparency-dev/formats' cases and a real log's sixteen heads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceError, EvidenceMalformed, ProofFailed
from purposegate.ledger.checkpoint import Checkpoint, SignedCheckpoint
from purposegate.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from purposegate.ledger.note import LogKey, LogSigner, Note
from purposegate.ledger.spelling import base64_text
from vector_sets import VECTORS, vectors

CASES: list[dict[str, Any]] = vectors("formats/checkpoint_parse.json")["cases"]
GOLANG: dict[str, Any] = vectors("golang-mod/tlog.json")
TESSERA = VECTORS / "tessera" / "testdata" / "log"
TESSERA_ORIGIN = "example.com/log/testdata"
TESSERA_KEY = LogKey.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
ROOT = base64_text(bytes(range(HASH_BYTES)))


def is_read(text: str) -> bool:
    try:
        checkpoint = Checkpoint.parse(text)
    except EvidenceMalformed:
        return False
    assert text == checkpoint.text
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["desc"])
def test_formats_case_with_a_whole_hash(case: dict[str, Any]) -> None:
    """Each case is judged as its author says, once the short hash is 32 bytes long.

    One is stricter here: C2SP's extension lines MUST be non-empty, so trailing newlines are refused.
    """
    text = case["text"]
    for short in ("YmFuYW5hcw==", "dGhlIHZpZXcgZnJvbSB0aGUgdHJlZSB0b3BzIGlzIGdyZWF0IQ=="):
        text = text.replace(short, ROOT)

    assert is_read(text) == (not case["wantErr"] and "trailing newlines" not in case["desc"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["desc"])
def test_formats_case_with_its_short_hash_is_refused(case: dict[str, Any]) -> None:
    """A root that is not 32 bytes is no SHA-256 root, whatever else is right."""
    assert not is_read(case["text"])


def test_golang_tree_texts() -> None:
    """Go's own tree text is read; a size in hex and a hash with stray bits are not."""
    assert is_read(GOLANG["tree_text_ok"])
    assert [False, False] == [is_read(text) for text in GOLANG["tree_text_bad"]]


@pytest.mark.parametrize("size", range(16))
def test_tessera_head_verifies(size: int) -> None:
    """Each head of a real log verifies under its published key, and says its size."""
    signed = SignedCheckpoint.open(
        (TESSERA / f"checkpoint.{size}").read_bytes(), TESSERA_ORIGIN, [TESSERA_KEY]
    )

    assert size == signed.checkpoint.size


def test_empty_tessera_head_has_the_empty_root() -> None:
    """A log without entries signs SHA-256 of nothing."""
    raw = (TESSERA / "checkpoint.0").read_bytes()

    assert EMPTY_ROOT == SignedCheckpoint.open(raw, TESSERA_ORIGIN, [TESSERA_KEY]).checkpoint.root


@pytest.mark.parametrize(
    "text",
    [
        f"log\n 5\n{ROOT}\n",
        f"log\n05\n{ROOT}\n",
        f"log\n+5\n{ROOT}\n",
        f"log\n5_0\n{ROOT}\n",
        f"log\n\N{ARABIC-INDIC DIGIT FIVE}\n{ROOT}\n",
        f"log\n{MAX_SIZE + 1}\n{ROOT}\n",
        f"log\n\n{ROOT}\n",
        f"log\n5\n{ROOT}",
        f"log\n5\n {ROOT}\n",
        f"log\n5\n{ROOT[:-1]}\n",
        f"log\n5\n{ROOT[:-2]}9=\n",
        f"log\r\n5\n{ROOT}\n",
        f"log\n5\n{ROOT}\n\next\n",
        f"\n5\n{ROOT}\n",
        "log\n5\n",
        "log\n",
        "",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """Sizes and roots have one spelling; lines are whole."""
    assert not is_read(text)


@given(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["C"]), min_size=1),
    st.integers(0, MAX_SIZE),
    st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES),
)
def test_checkpoint_is_read_as_written(origin: str, size: int, root: bytes) -> None:
    """Whatever origin, size and root a log has, its text is read back to them."""
    checkpoint = Checkpoint(origin, size, root)

    assert checkpoint == Checkpoint.parse(checkpoint.text)


def test_extension_lines_stay_in_the_text() -> None:
    """Another log's extension lines are kept, as its signature covers them."""
    assert is_read(f"log\n5\n{ROOT}\nopaque\nlines\n")


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a\rb", 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 1, bytes(31)),
    ],
)
def test_checkpoint_that_no_reader_would_accept_is_not_made(origin: str, size: int, root: bytes) -> None:
    """What could not be read again cannot be made, let alone signed."""
    with pytest.raises(EvidenceMalformed):
        Checkpoint(origin, size, root)


def test_signed_checkpoint_opens_under_its_key_and_origin() -> None:
    """What a log signs, whoever knows its key can open."""
    signer = LogSigner.generate("force.example/log")
    checkpoint = Checkpoint("force.example/log", 3, bytes(HASH_BYTES))

    signed = SignedCheckpoint.open(checkpoint.signed_by(signer), "force.example/log", [signer.verifier])

    assert checkpoint == signed.checkpoint


def test_head_of_another_log_is_refused() -> None:
    """A head that is rightly signed, but by another origin than was asked for, is refused."""
    signer = LogSigner.generate("force.example/log")
    raw = Checkpoint("force.example/other", 3, bytes(HASH_BYTES)).signed_by(signer)

    with pytest.raises(ProofFailed, match="another log"):
        SignedCheckpoint.open(raw, "force.example/log", [signer.verifier])


def test_head_by_another_key_of_the_same_name_is_refused() -> None:
    """A name is not a key."""
    raw = Checkpoint("force.example/log", 3, bytes(HASH_BYTES)).signed_by(
        LogSigner.generate("force.example/log")
    )

    with pytest.raises(ProofFailed):
        SignedCheckpoint.open(raw, "force.example/log", [LogSigner.generate("force.example/log").verifier])


@given(st.data())
def test_altered_tessera_head_is_refused(drawn: st.DataObject) -> None:
    """No altered byte of a real head goes unnoticed."""
    raw = bytearray((TESSERA / "checkpoint.9").read_bytes())
    at = drawn.draw(st.integers(0, len(raw) - 1))
    raw[at] = drawn.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]))

    with pytest.raises(EvidenceError):
        SignedCheckpoint.open(bytes(raw), TESSERA_ORIGIN, [TESSERA_KEY])


def test_note_that_is_no_checkpoint_is_refused() -> None:
    """A rightly signed note with another text is not taken for a head."""
    signer = LogSigner.generate("force.example/log")
    text = "force.example/log\nis out of order\n"

    with pytest.raises(EvidenceMalformed):
        SignedCheckpoint.open(
            Note(text, (signer.sign(text),)).to_bytes(), "force.example/log", [signer.verifier]
        )
