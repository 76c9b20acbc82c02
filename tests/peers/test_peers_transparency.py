"""Other people's transparency-log tools read what we write, and ours what they write.

`witness-log` (Rust) is a log and a witness; `tlog-scales` (Python) reads tile logs. Neither shares code with us.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import naive_tree
from growing_log import GrowingLog
from http_server import serving
from purposegate.errors import WitnessAhead, WitnessContradiction
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessKey, WitnessSigner
from purposegate.ledger.merkle import leaf_hash, root_of, verify_inclusion
from purposegate.ledger.note import LogKey, LogSigner, Note
from purposegate.ledger.tiles import build_tiles
from purposegate.ledger.witness import Witness
from purposegate.ledger.witness_client import WitnessClient
from purposegate.ledger.witness_store import WitnessStore
from purposegate.ledger.witness_wire import AddCheckpoint

PEER = Path(__file__).parents[2] / ".cache/peers/transparency"
ORIGIN = "force.example/purposegate/hq/shard-0"
SIGNER = WitnessSigner.generate("witness.example/psd")

Import = Callable[[str], Any]


@pytest.fixture(scope="module")
def peer() -> Iterator[Import]:
    """Imports a module of the peers, which stand in a folder of their own."""
    assert (PEER / ".ready").exists(), "the peers are not set up: run `make test-peers`"
    sys.path.append(str(PEER))  # last, so that what both need is ours
    yield importlib.import_module
    sys.path.remove(str(PEER))


def test_their_log_is_cosigned_by_our_witness(peer: Import, tmp_path: Path) -> None:
    """witness-log's heads and proofs, at 60 sizes, are what our witness understands; it counts our cosignature."""
    theirs = peer("witness_log").WitnessLog.generate()
    key = LogKey.parse(theirs.c2sp_vkey(theirs.canonical_origin()))
    WitnessStore.create(tmp_path / "w.db", vkey=str(SIGNER.verifier))
    store = WitnessStore(tmp_path / "w.db", vkey=str(SIGNER.verifier), origins=[key.name])
    witness = Witness(SIGNER, [key], store, time.time)
    old = 0
    for step in range(1, 61):
        for number in range(step % 7):
            theirs.append_intent(json.dumps({"step": step, "number": number}).encode())
        answer = witness.add_checkpoint(theirs.add_checkpoint_body_at(theirs.tree_size(), old).encode())
        assert 200 == answer.status, answer.body
        old = theirs.tree_size()
    store.close()
    _, accepted = theirs.dossier_from_responses([(SIGNER.verifier.public.hex(), answer.body.decode())])

    assert 1 == accepted


def test_our_log_is_cosigned_by_their_witness(peer: Import) -> None:
    """Our client and heads satisfy witness-log's witness at 60 sizes; it refuses our lies as ours would."""
    service = peer("witness_log").WitnessService.new("witness.example/w1", bytes(range(32)))
    log = GrowingLog(LogSigner.generate(ORIGIN))
    assert service.add_log(ORIGIN, str(log.signer.verifier))

    async def add_checkpoint(request: Request) -> Response:
        status, media_type, body = service.handle_add_checkpoint_http((await request.body()).decode())
        return Response(body, status, {"content-type": media_type})

    app = Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])
    with serving(app) as url, httpx.Client(trust_env=False) as http:
        client = WitnessClient(url, WitnessKey.parse(service.vkey()), http, time.time)
        for step in range(1, 61):
            log.grow(step % 7)
            client.push(log.signed(), log.prove)
        size = log.frontier.size
        forked = GrowingLog(log.signer).grow(size + 5, what="another past")

        for offered in (size, size + 5):
            with pytest.raises(WitnessContradiction):
                client.push(forked.signed(offered), forked.prove)
        with pytest.raises(WitnessAhead):
            client.push(log.signed(size - 3), log.prove)


def test_our_request_is_read_by_their_witness_byte_for_byte(peer: Import) -> None:
    """Their body for a push is written by us in the same bytes."""
    theirs = peer("witness_log").WitnessLog.generate()
    for number in range(37):
        theirs.append_intent(b"%d" % number)
    body = theirs.add_checkpoint_body_at(37, 12).encode()

    assert body == AddCheckpoint.parse(body).to_bytes()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1_000, 66_000])
def test_our_tiles_are_read_by_their_reader(peer: Import, tmp_path: Path, size: int) -> None:
    """From our files tlog-scales gets our root and entries, both signatures verify there, and its proofs verify here."""
    entries = naive_tree.numbered(size)
    signer = LogSigner.generate(ORIGIN)
    root = root_of(map(leaf_hash, entries))
    for tile, content in build_tiles(entries):
        (tmp_path / tile.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / tile.path).write_bytes(content)
    head = Checkpoint(ORIGIN, size, root)
    note = Note(head.text, (signer.sign(head.text), SIGNER.cosign(head.text, int(time.time()))))
    (tmp_path / "checkpoint").write_bytes(note.to_bytes())

    reader = peer("tlog_scales.reader").TilesReader(peer("tlog_scales.backend").LocalBackend(tmp_path))
    theirs = reader.get_checkpoint()
    vkey = peer("tlog_scales.signing").Vkey.from_string
    keys = peer("tlog_scales.signing").VkeySet(vkey(str(signer.verifier)), vkey(str(SIGNER.verifier)))

    assert root == reader.calculate_root_hash()
    assert 2 == len(keys.verify(theirs.signatures, theirs))
    for index in {0, size // 3, size - 1}:
        assert entries[index] == reader.get_entry(index)
        proof = reader.get_inclusion_proof(index, size)
        proof.check(leaf_hash(entries[index]), root)
        verify_inclusion(
            leaf=leaf_hash(entries[index]), index=index, size=size, proof=proof.node_hashes, root=root
        )
