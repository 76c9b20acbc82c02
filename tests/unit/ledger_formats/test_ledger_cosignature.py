"""Cosignatures: what a witness signs, and what nobody else can make of it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessKey, WitnessSigner, cosigned_at_s
from purposegate.ledger.note import LogKey, LogSigner, Note, Signature
from vector_sets import vectors

SPEC_NOTE: str = vectors("spec_examples.json")["parse_only_notes"][2]
VKEYS: list[str] = vectors("formats/witness_vkeys.json")["vkeys"]
WITNESS = WitnessSigner.generate("witness.example/w1")
TEXT = Checkpoint("force.example/log", 3, bytes(32)).text


def test_spec_example_says_when() -> None:
    """The specification's cosignature was made at the time that its text prints."""
    cosignature = Note.parse(SPEC_NOTE.encode()).signatures[1]

    assert 1_679_315_147 == cosigned_at_s(cosignature)


@given(st.integers(0, 2**63 - 1))
def test_cosignature_verifies_and_keeps_its_time(at_s: int) -> None:
    """A cosignature verifies under the witness's key and says when it was made."""
    cosignature = WITNESS.cosign(TEXT, at_s)

    WITNESS.verifier.verify(TEXT, cosignature)
    assert at_s == cosigned_at_s(cosignature)


def test_cosigned_message_is_the_specified_one() -> None:
    """What is signed is the header, the time and the whole text: a plain Ed25519 key of those bytes agrees."""
    cosignature = WITNESS.cosign(TEXT, 1_679_315_147)
    as_plain = LogKey(WITNESS.name, WITNESS.verifier.public)
    bare = Signature(as_plain.name, as_plain.key_id, cosignature.payload[8:])

    as_plain.verify(f"cosignature/v1\ntime 1679315147\n{TEXT}", bare)


@given(st.data())
def test_altered_cosignature_fails(drawn: st.DataObject) -> None:
    """Neither time nor signature can be altered."""
    payload = bytearray(WITNESS.cosign(TEXT, 1_679_315_147).payload)
    at = drawn.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= drawn.draw(st.integers(1, 255))
    forged = Signature(WITNESS.name, WITNESS.verifier.key_id, bytes(payload))

    with pytest.raises(ProofFailed):
        WITNESS.verifier.verify(TEXT, forged)


def test_cosignature_holds_for_its_own_text_only() -> None:
    """A cosignature of one head says nothing of another."""
    other = Checkpoint("force.example/log", 4, bytes(32)).text

    with pytest.raises(ProofFailed):
        WITNESS.verifier.verify(other, WITNESS.cosign(TEXT, 1))


@pytest.mark.parametrize("payload", [b"", bytes(8), bytes(71), bytes(73), b"\xff" * 72])
def test_payload_of_another_form_fails(payload: bytes) -> None:
    """A payload without 8 + 64 bytes, or with a time past 2**63 - 1, is no cosignature."""
    with pytest.raises(ProofFailed):
        WITNESS.verifier.verify(TEXT, Signature(WITNESS.name, WITNESS.verifier.key_id, payload))


@pytest.mark.parametrize("at_s", [-1, 2**63])
def test_time_outside_the_format_is_not_signed(at_s: int) -> None:
    """A witness does not sign a time that no verifier would read."""
    with pytest.raises(EvidenceMalformed):
        WITNESS.cosign(TEXT, at_s)


def test_time_past_the_format_fails_even_when_it_was_signed() -> None:
    """A time of 2**63 or more is refused, whoever signed it."""
    signing = Ed25519PrivateKey.generate()
    key = WitnessKey("witness.example/w1", signing.public_key().public_bytes_raw())
    bare = signing.sign(f"cosignature/v1\ntime {2**63}\n{TEXT}".encode())

    with pytest.raises(ProofFailed, match="below"):
        key.verify(TEXT, Signature(key.name, key.key_id, (2**63).to_bytes(8, "big") + bare))


def test_log_key_and_witness_key_are_told_apart() -> None:
    """One public key under one name has another id for each type, and neither parses as the other."""
    log = LogKey(WITNESS.name, WITNESS.verifier.public)

    assert log.key_id != WITNESS.verifier.key_id
    with pytest.raises(EvidenceMalformed):
        WitnessKey.parse(str(log))
    with pytest.raises(EvidenceMalformed):
        LogKey.parse(str(WITNESS.verifier))


@pytest.mark.parametrize("vkey", VKEYS)
def test_formats_keys_are_of_the_plain_type(vkey: str) -> None:
    """transparency-dev/formats' keys are read as what their type byte says: 0x01, not a cosigner's."""
    assert vkey == str(LogKey.parse(vkey))
    with pytest.raises(EvidenceMalformed):
        WitnessKey.parse(vkey)


def test_witness_signing_key_is_written_as_read() -> None:
    """The witness's key file survives, and is refused as a log's."""
    secret = WITNESS.secret_text()

    assert secret == WitnessSigner.parse(secret).secret_text()
    with pytest.raises(EvidenceMalformed):
        LogSigner.parse(secret)
