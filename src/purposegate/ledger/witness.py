"""A witness: cosigns each head of a log that it is shown to continue the last one (c2sp.org/tlog-witness v1.0).

Run by another party than the log, it is what makes a rewritten or rolled-back ledger show. It sees origins, sizes and
roots, never an entry. `POST /add-checkpoint` takes a head and answers cosignatures; `GET /<sha256 of origin>/checkpoint`
gives the last head to whoever compares.
"""

import logging
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from purposegate.errors import EvidenceMalformed, LedgerOutage, ProofFailed, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.merkle import EMPTY_ROOT, verify_consistency
from purposegate.ledger.note import LogKey, Note
from purposegate.ledger.witness_store import Seen, WitnessStore
from purposegate.ledger.witness_wire import MAX_REQUEST_BYTES, SIZE_MEDIA_TYPE, AddCheckpoint, encode_size

READ_TIMEOUT_S = 10.0
"""Longest wait for a whole request body: it is one packet or two, so a slower sender is holding the door."""
MAX_CLOCK_STEP_S = 60
"""How far the clock may lie behind the last cosignature before it is too wrong to sign by."""

_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """An HTTP answer: status, body, media type."""

    status: int
    body: bytes
    media_type: str = _TEXT


class Witness:
    """The protocol without HTTP: a request body in, an answer out. Any thread."""

    def __init__(
        self, signer: WitnessSigner, logs: Iterable[LogKey], store: WitnessStore, clock: Callable[[], float]
    ) -> None:
        """`logs` are the keys that may sign; a key's name is its log's origin. `clock` gives POSIX seconds."""
        self._signer = signer
        self._store = store
        self._clock = clock
        self._keys: dict[str, list[LogKey]] = {}
        for key in logs:
            self._keys.setdefault(key.name, []).append(key)
        self._origins = {sha256(origin.encode()).hexdigest(): origin for origin in self._keys}
        self.testing_only_stall: Callable[[], None] | None = None
        """Called between checking and persisting, so that a test can drive the race between two requests."""

    def add_checkpoint(self, body: bytes) -> Answer:
        """Check, persist, cosign: in the order, and with the statuses, of the specification."""
        try:
            request = AddCheckpoint.parse(body)
            note = Note.parse(request.note)
            checkpoint = Checkpoint.parse(note.text)
        except EvidenceMalformed as error:
            return Answer(400, f"{error}\n".encode())
        keys = self._keys.get(checkpoint.origin)
        if keys is None:
            return Answer(404, b"this witness does not know the log\n")
        try:
            by_log = tuple(signature for _, signature in note.verified(keys))
        except ProofFailed as error:
            return Answer(403, f"{error}\n".encode())
        if request.old_size > checkpoint.size:
            return Answer(400, b"the old size is larger than the checkpoint's\n")
        try:
            # Only what the log itself signed is kept: anybody can add lines, and so make a thousand notes of one.
            return self._continue(request, checkpoint, Note(note.text, by_log).to_bytes())
        except (LedgerOutage, SettingsError):
            _log.exception("witness state failed; no cosignature was made")
            return Answer(503, b"the witness cannot reach its state\n")

    def _continue(self, request: AddCheckpoint, checkpoint: Checkpoint, note: bytes) -> Answer:
        seen = self._store.seen(checkpoint.origin)
        if seen is None:
            return Answer(404, b"this witness does not know the log\n")
        if request.old_size != seen.size:
            return Answer(409, encode_size(seen.size), SIZE_MEDIA_TYPE)
        now_s = int(self._clock())
        if now_s < seen.cosigned_at_s - MAX_CLOCK_STEP_S:
            _log.error("clock is %d s behind the last cosignature; set it", seen.cosigned_at_s - now_s)
            return Answer(503, b"the witness's clock is wrong\n")
        if fault := _fault(seen, checkpoint, request.proof):
            # A second root for one size proves that the log forked. A failed proof may be a third party's: anybody
            # can send a published head with nonsense beside it, so these are kept apart, under a cap of their own.
            kind = "two-roots" if fault.status == 409 else "unproved"  # noqa: PLR2004
            self._store.keep_refused(checkpoint.origin, kind, note, now_s)
            _log.error("%s: %s, size %d after %d", checkpoint.origin, kind, checkpoint.size, seen.size)
            return fault
        if self.testing_only_stall:
            self.testing_only_stall()
        at_s = self._store.advance(seen, checkpoint, note, now_s)
        if at_s is None:
            moved = self._store.seen(checkpoint.origin) or seen
            return Answer(409, encode_size(moved.size), SIZE_MEDIA_TYPE)
        return Answer(200, self._signer.cosign(checkpoint.text, at_s).line.encode())

    def latest(self, origin_hash: str) -> Answer:
        """The last head cosigned for a log, as a note with this witness's cosignature; 404 before the first."""
        origin = self._origins.get(origin_hash)
        try:
            seen = self._store.seen(origin) if origin else None
        except (LedgerOutage, SettingsError):
            _log.exception("witness state failed")
            return Answer(503, b"the witness cannot reach its state\n")
        if seen is None or not seen.note:
            return Answer(404, b"no head of this log was cosigned here\n")
        note = Note.parse(seen.note)
        cosignature = self._signer.cosign(note.text, seen.cosigned_at_s)
        return Answer(200, Note(note.text, (*note.signatures, cosignature)).to_bytes())


def _fault(seen: Seen, checkpoint: Checkpoint, proof: tuple[bytes, ...]) -> Answer | None:
    """Why this head does not continue the one seen, or None."""
    if not seen.size:
        if proof or (not checkpoint.size and checkpoint.root != EMPTY_ROOT):
            return Answer(422, b"from size 0 the proof is empty, and an empty tree has the empty root\n")
        return None
    if checkpoint.size == seen.size and checkpoint.root != seen.root:
        return Answer(409, b"another root was cosigned for this size\n")
    try:
        verify_consistency(
            size1=seen.size, root1=seen.root, size2=checkpoint.size, root2=checkpoint.root, proof=proof
        )
    except ProofFailed as error:
        return Answer(422, f"{error}\n".encode())
    return None


def witness_app(witness: Witness) -> Starlette:
    """The ASGI application of a witness."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            with anyio.fail_after(READ_TIMEOUT_S):
                body = await _read(request)
        except TimeoutError:
            return _response(Answer(408, b"the request took too long\n"))
        except ClientDisconnect:
            return _response(Answer(400, b"the request ended early\n"))
        if body is None:
            return _response(Answer(413, f"a request has at most {MAX_REQUEST_BYTES} bytes\n".encode()))
        return _response(await anyio.to_thread.run_sync(witness.add_checkpoint, body))

    async def latest(request: Request) -> Response:
        return _response(await anyio.to_thread.run_sync(witness.latest, request.path_params["origin_hash"]))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", latest, methods=["GET"]),
        ]
    )


async def _read(request: Request) -> bytes | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            return None
    return body


def _response(answer: Answer) -> Response:
    # Set as a header: given as `media_type` Starlette would add a charset, and the specification wants it bare.
    headers = {"content-type": answer.media_type, "cache-control": "no-store"}
    return Response(answer.body, answer.status, headers)
