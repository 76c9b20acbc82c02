r"""C2SP Ed25519 cosignatures, v1: a witness says when it saw which head (c2sp.org/tlog-cosignature).

Payload: 8 bytes big-endian POSIX seconds, then 64 bytes Ed25519 over
`cosignature/v1\ntime <seconds>\n` followed by the whole text of the checkpoint.
"""

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.merkle import MAX_SIZE
from purposegate.ledger.note import Signature, SigningKey, VerifierKey

_TIME_BYTES = 8
_PAYLOAD_BYTES = _TIME_BYTES + 64


def _message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosigned_at_s(signature: Signature) -> int:
    """When the witness says it signed, POSIX seconds. Raises `ProofFailed` unless it is a v1 cosignature."""
    seconds = int.from_bytes(signature.payload[:_TIME_BYTES], "big")
    if len(signature.payload) != _PAYLOAD_BYTES or seconds > MAX_SIZE:
        raise ProofFailed(
            f"a cosignature has a time of {_TIME_BYTES} bytes, below 2**63, and 64 bytes of signature"
        )
    return seconds


class WitnessKey(VerifierKey):
    """Signature type 0x04: Ed25519 over time and note text."""

    __slots__ = ()
    kind = 0x04

    def signed(self, text: str, payload: bytes) -> tuple[bytes, bytes]:
        """The timed message, and the signature behind the time."""
        seconds = cosigned_at_s(Signature(self.name, self.key_id, payload))
        return _message(text, seconds), payload[_TIME_BYTES:]


class WitnessSigner(SigningKey):
    """A witness's own key. One key per witness: the signed message does not name who signs."""

    verifier_type = WitnessKey
    verifier: WitnessKey

    def cosign(self, text: str, at_s: int) -> Signature:
        """The cosignature over a checkpoint's text, as of `at_s` POSIX seconds."""
        if not 0 <= at_s <= MAX_SIZE:
            raise EvidenceMalformed("a cosignature's time is from 0 to 2**63 - 1 seconds")
        bare = self._private.sign(_message(text, at_s))
        return Signature(self.name, self.verifier.key_id, at_s.to_bytes(_TIME_BYTES, "big") + bare)
