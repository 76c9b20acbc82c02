"""tlog-proof files against transparency-dev/formats' cases and against forgeries."""

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_tree
from purposegate.errors import EvidenceError, EvidenceMalformed, ProofFailed
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.merkle import HASH_BYTES, leaf_hash
from purposegate.ledger.note import LogSigner
from purposegate.ledger.proof import MAX_PROOF_LINES, TlogProof
from vector_sets import vectors

CASES: dict[str, Any] = vectors("formats/tlog_proof.json")
ORIGIN = "force.example/purposegate/shard-0"
SIGNER = LogSigner.generate(ORIGIN)
ENTRIES = naive_tree.numbered(11)
HEAD = Checkpoint(ORIGIN, len(ENTRIES), naive_tree.mth(ENTRIES))
PROOF = TlogProof(4, tuple(naive_tree.path(4, ENTRIES)), HEAD.signed_by(SIGNER))


def proof_of(case: dict[str, Any]) -> TlogProof:
    hashes = tuple(b64decode(each) for each in case["hashes"])
    return TlogProof(case["index"], hashes, case["checkpoint"].encode(), b64decode(case.get("extra_b64", "")))


@pytest.mark.parametrize("case", CASES["marshal"], ids=lambda case: f"index-{case['index']}")
def test_formats_proof_is_written_alike(case: dict[str, Any]) -> None:
    """Our file is the file that transparency-dev/formats writes."""
    assert case["want"].encode() == proof_of(case).to_bytes()


@pytest.mark.parametrize("case", CASES["marshal"], ids=lambda case: f"index-{case['index']}")
def test_formats_proof_is_read_alike(case: dict[str, Any]) -> None:
    """A file by transparency-dev/formats is read to what went into it."""
    assert proof_of(case) == TlogProof.parse(case["want"].encode())


@pytest.mark.parametrize("case", CASES["must_reject"], ids=lambda case: case["desc"])
def test_formats_malformed_proof_is_refused(case: dict[str, Any]) -> None:
    """What transparency-dev/formats must reject is rejected."""
    with pytest.raises(EvidenceMalformed):
        TlogProof.parse(case["proof"].encode())


def test_proof_shows_its_entry() -> None:
    """The proof of an entry gives the signed head that it stands under."""
    read = TlogProof.parse(PROOF.to_bytes())

    assert HEAD == read.verify(leaf_hash(ENTRIES[4]), ORIGIN, [SIGNER.verifier]).checkpoint


@pytest.mark.parametrize("entry", [b"5", b"forged"])
def test_proof_shows_no_other_entry(entry: bytes) -> None:
    """Neither a neighbour nor an invented entry is shown by it."""
    with pytest.raises(ProofFailed):
        PROOF.verify(leaf_hash(entry), ORIGIN, [SIGNER.verifier])


def test_proof_under_an_unsigned_head_shows_nothing() -> None:
    """A head signed by somebody else is no head, however well the hashes fold."""
    forged = TlogProof(4, PROOF.hashes, HEAD.signed_by(LogSigner.generate(ORIGIN)))

    with pytest.raises(ProofFailed):
        forged.verify(leaf_hash(ENTRIES[4]), ORIGIN, [SIGNER.verifier])


@given(st.data())
def test_altered_proof_file_shows_nothing(drawn: st.DataObject) -> None:
    """Whichever byte of the file is changed, it no longer verifies."""
    raw = bytearray(PROOF.to_bytes())
    at = drawn.draw(st.integers(0, len(raw) - 1))
    raw[at] = drawn.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]))

    with pytest.raises(EvidenceError):
        TlogProof.parse(bytes(raw)).verify(leaf_hash(ENTRIES[4]), ORIGIN, [SIGNER.verifier])


@given(
    st.builds(
        TlogProof,
        st.integers(0, 2**63 - 1),
        st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), max_size=5).map(tuple),
        st.binary(min_size=1),
        st.binary(max_size=40),
    )
)
def test_proof_is_read_as_written(proof: TlogProof) -> None:
    """Whatever the index, hashes, head and extra, the file is read back to them."""
    assert proof == TlogProof.parse(proof.to_bytes())


@pytest.mark.parametrize(
    "raw",
    [
        b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra AA==\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAA==\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\nindex  0\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\r\nindex 0\n\nhead\n",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nhead\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nhead\n",
        b"",
    ],
)
def test_other_spellings_of_a_proof_are_refused(raw: bytes) -> None:
    """Lines in another order, empty extras, double spaces, missing heads: refused."""
    with pytest.raises(EvidenceMalformed):
        TlogProof.parse(raw)


def test_endless_file_is_refused() -> None:
    """A file that no proof could fill is not read."""
    with pytest.raises(EvidenceMalformed, match="length"):
        TlogProof.parse(PROOF.to_bytes() + bytes(4_000_000))


def test_proof_is_no_deeper_than_a_tree() -> None:
    """A 64th hash cannot belong to any tree."""
    with pytest.raises(EvidenceMalformed):
        TlogProof(0, (bytes(HASH_BYTES),) * (MAX_PROOF_LINES + 1), b"head\n")
