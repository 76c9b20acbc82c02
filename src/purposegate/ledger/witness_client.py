"""A log's side of tlog-witness: push a head, prove that it continues the last one, keep the cosignature."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import httpx

from purposegate.errors import (
    EvidenceError,
    EvidenceMalformed,
    WitnessAhead,
    WitnessContradiction,
    WitnessOutage,
)
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessKey, cosigned_at_s
from purposegate.ledger.note import Note
from purposegate.ledger.witness_wire import (
    MAX_REQUEST_BYTES,
    SIZE_MEDIA_TYPE,
    AddCheckpoint,
    parse_cosignatures,
    parse_size,
)

MAX_CLOCK_DIFFERENCE_S = 600
"""A cosignature from further off the caller's clock says nothing about when the head was seen."""

_HEADERS = {"content-type": "text/plain; charset=utf-8", "accept-encoding": "identity"}
"""Never compressed, and never unpacked: a few packets could stand for gigabytes."""

_ATTEMPTS = 3
"""The first learns what the witness holds, the second uses it, the third is for another pusher in between."""

Prove = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) -> the consistency proof between them, for 0 < old <= new."""


class Cosigned(NamedTuple):
    """What a witness gave: its line for the note, and the POSIX second that it says."""

    line: str
    at_s: int


class WitnessClient:
    """One witness, seen from one log. Blocks; one thread at a time."""

    def __init__(
        self,
        url: str,
        key: WitnessKey,
        http: httpx.Client,
        clock: Callable[[], float],
        *,
        known_size: int = 0,
    ) -> None:
        """`url` is the submission prefix; `known_size` what the witness last cosigned, if the caller remembers."""
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._http = http
        self._clock = clock
        self._known_size = known_size
        self.key = key

    @property
    def known_size(self) -> int:
        """The size that the witness last said it holds."""
        return self._known_size

    def push(self, note: bytes, prove: Prove) -> Cosigned:
        """Have the head in a signed note cosigned.

        Raises WitnessAhead, WitnessContradiction (both with something to keep), or WitnessOutage.
        """
        text = Note.parse(note).text
        size = Checkpoint.parse(text).size
        self._known_size = min(self._known_size, size)
        for _ in range(_ATTEMPTS):
            old = self._known_size
            proof = tuple(prove(old, size)) if 0 < old < size else ()
            status, media_type, body = self._post(AddCheckpoint(old, proof, note).to_bytes())
            if status == httpx.codes.OK:
                cosigned = self._cosigned(text, body)
                self._known_size = size
                return cosigned
            if status == httpx.codes.CONFLICT and media_type == SIZE_MEDIA_TYPE:
                self._learn(body, size)
                continue
            self._refuse(status)
        raise WitnessOutage(f"{self.key.name}: its head moved {_ATTEMPTS} times while this one was pushed")

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        answer = b""
        try:
            with self._http.stream("POST", self._url, content=body, headers=_HEADERS) as response:
                for chunk in response.iter_raw():
                    answer += chunk
                    if len(answer) > MAX_REQUEST_BYTES:
                        raise WitnessOutage(f"{self.key.name}: answers without end")
                return response.status_code, response.headers.get("content-type", ""), answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WitnessOutage(f"{self.key.name}: does not answer ({type(error).__name__})") from error

    def _learn(self, body: bytes, offered: int) -> None:
        try:
            size = parse_size(body)
        except EvidenceMalformed as error:
            raise WitnessOutage(f"{self.key.name}: gave no size with its 409") from error
        if size > offered:
            raise WitnessAhead(size, offered)
        self._known_size = size

    def _refuse(self, status: int) -> None:
        match status:
            case httpx.codes.CONFLICT | httpx.codes.UNPROCESSABLE_ENTITY:
                raise WitnessContradiction(
                    f"{self.key.name} has cosigned size {self._known_size}, which this head does not continue"
                )
            case httpx.codes.NOT_FOUND:
                raise WitnessOutage(
                    f"{self.key.name}: does not know this log; give it the log's verifier key"
                )
            case httpx.codes.FORBIDDEN:
                raise WitnessOutage(
                    f"{self.key.name}: knows another key for this log; give it the present one"
                )
            case _:
                raise WitnessOutage(f"{self.key.name}: answers {status}")

    def _cosigned(self, text: str, body: bytes) -> Cosigned:
        """The one line by the witness's known key, verified; others' are ignored."""
        try:
            signatures = tuple(parse_cosignatures(body))
            ((_, signature), *_others) = Note(text, signatures).verified([self.key])
            at_s = cosigned_at_s(signature)
        except EvidenceError as error:
            raise WitnessOutage(f"{self.key.name}: gave no cosignature by its key: {error}") from error
        if abs(at_s - self._clock()) > MAX_CLOCK_DIFFERENCE_S:
            raise WitnessOutage(
                f"{self.key.name}: its clock and ours differ by more than {MAX_CLOCK_DIFFERENCE_S} s"
            )
        return Cosigned(signature.line, at_s)
