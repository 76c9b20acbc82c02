"""What goes between a log and its witness: one spelling, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.merkle import HASH_BYTES, MAX_SIZE
from purposegate.ledger.spelling import base64_text
from purposegate.ledger.witness_wire import (
    MAX_REQUEST_BYTES,
    AddCheckpoint,
    encode_size,
    parse_cosignatures,
    parse_size,
)

HASH = base64_text(bytes(HASH_BYTES))
# From the text of c2sp.org/tlog-witness.
SPEC_REQUEST = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\N{EM DASH} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()


def test_spec_request_is_read_and_written() -> None:
    """The specification's example has its size and four hashes, and is written back byte for byte."""
    request = AddCheckpoint.parse(SPEC_REQUEST)

    assert (20_852_014, 4) == (request.old_size, len(request.proof))
    assert SPEC_REQUEST == request.to_bytes()


@given(
    st.integers(0, MAX_SIZE),
    st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), max_size=63),
    st.binary(max_size=50),
)
def test_request_is_read_as_written(old_size: int, proof: list[bytes], note: bytes) -> None:
    """Whatever the size, proof and note, a request is read back to them."""
    request = AddCheckpoint(old_size, tuple(proof), note)

    assert request == AddCheckpoint.parse(request.to_bytes())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"old 5\n",
        b"old 05\n\nnote\n",
        b"old -1\n\nnote\n",
        b"old +1\n\nnote\n",
        b"old  1\n\nnote\n",
        b"Old 1\n\nnote\n",
        b"old 1\r\n\r\nnote\n",
        b"old 1\nAAAA\n\nnote\n",
        b"old 9223372036854775808\n\nnote\n",
        b"old 1\n\xff\n\nnote\n",
        b"old 1\n" + f"{HASH}\n".encode() * 64 + b"\nnote\n",
        b"old 1\n\n" + bytes(MAX_REQUEST_BYTES),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_malformed_request_is_refused(raw: bytes) -> None:
    """Other spellings, short hashes, 64 proof lines and requests without end are refused."""
    with pytest.raises(EvidenceMalformed):
        AddCheckpoint.parse(raw)


def test_cosignature_lines_are_read() -> None:
    """An answer of several lines gives each signature, unverified."""
    signers = [WitnessSigner.generate(f"w{n}.example") for n in range(3)]
    lines = [signer.cosign("text\n", 1) for signer in signers]

    assert lines == parse_cosignatures("".join(each.line for each in lines).encode())


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"no line\n", "\N{EM DASH} w AAAAAAA=".encode(), b"x" * (MAX_REQUEST_BYTES + 1)]
)
def test_malformed_answer_is_refused(raw: bytes) -> None:
    """An answer without lines, without a final newline or without end is refused."""
    with pytest.raises(EvidenceMalformed):
        parse_cosignatures(raw)


def test_more_cosignatures_than_a_note_holds_are_refused() -> None:
    """An answer of 101 lines could not be put under any head."""
    line = WitnessSigner.generate("w.example").cosign("text\n", 1).line.encode()

    assert 100 == len(parse_cosignatures(line * 100))
    with pytest.raises(EvidenceMalformed, match="at most 100"):
        parse_cosignatures(line * 101)


@given(st.integers(0, MAX_SIZE))
def test_size_is_read_as_written(size: int) -> None:
    """The size in a 409 answer survives."""
    assert size == parse_size(encode_size(size))


@pytest.mark.parametrize("raw", [b"", b"50", b"050\n", b"50\n\n", b" 50\n", b"50\r\n", b"5" * 40 + b"\n"])
def test_malformed_size_is_refused(raw: bytes) -> None:
    """A size is one decimal and one newline."""
    with pytest.raises(EvidenceMalformed):
        parse_size(raw)
