"""One spelling per value: what Python's own readers let through, these refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.merkle import MAX_SIZE
from purposegate.ledger.spelling import base64_bytes, base64_hash, base64_text, decimal, utf8_text


@given(st.integers(0, MAX_SIZE))
def test_decimal_reads_what_str_writes(number: int) -> None:
    """Every size a log can have is read from its plain decimal."""
    assert number == decimal(str(number), "size")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        "-0",
        "00",
        "01",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "٣",
        "१",
        "²",
        str(MAX_SIZE + 1),
        "9" * 20,
    ],
)
def test_decimal_refuses_other_spellings(text: str) -> None:
    """Spaces, signs, underscores, leading zeroes, other scripts and more than int64 are refused."""
    with pytest.raises(EvidenceMalformed):
        decimal(text, "size")


@given(st.binary())
def test_base64_reads_what_it_writes(raw: bytes) -> None:
    """Every byte string has a spelling."""
    assert raw == base64_bytes(base64_text(raw), "hash")


@given(st.text(alphabet="ABab01+/=-_ \n", max_size=12))
def test_base64_has_one_spelling(text: str) -> None:
    """What is read is written back the same; anything else is refused."""
    try:
        raw = base64_bytes(text, "hash")
    except EvidenceMalformed:
        return
    assert text == base64_text(raw)


@pytest.mark.parametrize(
    "text", ["AB==", "AA=", "AA", "AA==\n", " AA==", "A A==", "AA==AA==", "-_8=", "ÀA==", "AAA=="]
)
def test_base64_refuses_other_spellings(text: str) -> None:
    """Stray bits, missing padding, spaces, the URL alphabet and anything after the padding are refused."""
    with pytest.raises(EvidenceMalformed):
        base64_bytes(text, "hash")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hash_has_its_length(length: int) -> None:
    """A hash of other than 32 bytes is not a SHA-256 hash."""
    with pytest.raises(EvidenceMalformed):
        base64_hash(base64_text(bytes(length)), "root")


@pytest.mark.parametrize(
    "raw", [b"\r\n", b"\x00", b"\t", b"\x1f", b"\x0b", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"]
)
def test_text_refuses_control_characters_and_bad_utf8(raw: bytes) -> None:
    """Carriage returns, tabs, NUL, overlong forms and lone surrogates are refused."""
    with pytest.raises(EvidenceMalformed):
        utf8_text(b"line " + raw + b"\n", "note")


def test_text_keeps_newlines_and_other_scripts() -> None:
    """Newlines are no control characters here, and no letter is rewritten."""
    assert "Σ\ned è sera\n" == utf8_text("Σ\ned è sera\n".encode(), "note")
