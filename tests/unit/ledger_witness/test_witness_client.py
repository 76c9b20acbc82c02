"""A log's side, against our witness over real HTTP, and against witnesses that lie."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from growing_log import GrowingLog
from http_server import serving
from purposegate.errors import WitnessAhead, WitnessContradiction, WitnessOutage
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.note import LogSigner, Note, Signature
from purposegate.ledger.witness import Witness, witness_app
from purposegate.ledger.witness_client import MAX_CLOCK_DIFFERENCE_S, WitnessClient
from purposegate.ledger.witness_store import WitnessStore
from purposegate.ledger.witness_wire import MAX_REQUEST_BYTES, AddCheckpoint

ORIGIN = "force.example/purposegate/shard-0"
SIGNER = WitnessSigner.generate("witness.example/w1")
LOG = GrowingLog(LogSigner.generate(ORIGIN)).grow(40)
FORK = GrowingLog(LOG.signer).grow(5).grow(35, what="another past")
NOW_S = 1_790_000_000


def clock() -> float:
    return NOW_S


@contextmanager
def client_of(app: Starlette, *, known_size: int = 0) -> Iterator[WitnessClient]:
    with serving(app) as url, httpx.Client(trust_env=False) as http:
        yield WitnessClient(url + "/", SIGNER.verifier, http, clock, known_size=known_size)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    vkey = str(SIGNER.verifier)
    WitnessStore.create(tmp_path / "witness.db", vkey=vkey)
    store = WitnessStore(tmp_path / "witness.db", vkey=vkey, origins=[ORIGIN])
    yield Witness(SIGNER, [LOG.signer.verifier], store, clock)
    store.close()


@pytest.fixture
def client(witness: Witness) -> Iterator[WitnessClient]:
    with client_of(witness_app(witness)) as made:
        yield made


class LyingWitness:
    """A witness that answers whatever it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = Response()
        self.asked: list[AddCheckpoint] = []
        self.app = Starlette(routes=[Route("/add-checkpoint", self._add_checkpoint, methods=["POST"])])

    async def _add_checkpoint(self, request: Request) -> Response:
        self.asked.append(AddCheckpoint.parse(await request.body()))
        return self.answer


@pytest.fixture(scope="module")
def lying_server() -> Iterator[tuple[LyingWitness, WitnessClient]]:
    lying = LyingWitness()
    with client_of(lying.app) as client:
        yield lying, client


@pytest.fixture
def lied_to(lying_server: tuple[LyingWitness, WitnessClient]) -> WitnessClient:
    lying_server[0].asked.clear()
    return lying_server[1]


@pytest.fixture
def lying(lying_server: tuple[LyingWitness, WitnessClient]) -> LyingWitness:
    return lying_server[0]


def test_pushed_head_comes_back_cosigned(client: WitnessClient) -> None:
    """The line given belongs under the head: with it the note verifies by the witness's key."""
    cosigned = client.push(LOG.signed(7), LOG.prove)

    note = Note.parse(LOG.signed(7) + cosigned.line.encode())
    assert [SIGNER.verifier] == [key for key, _ in note.verified([SIGNER.verifier])]
    assert (NOW_S, 7) == (cosigned.at_s, client.known_size)


def test_each_next_head_is_proved_from_the_last(client: WitnessClient) -> None:
    """A growing log is cosigned again and again, each time with the proof from where the witness stands."""
    asked: list[tuple[int, int]] = []

    def prove(old: int, new: int) -> list[bytes]:
        asked.append((old, new))
        return LOG.prove(old, new)

    for size in (3, 3, 9, 40):
        client.push(LOG.signed(size), prove)

    assert [(3, 9), (9, 40)] == asked


def test_empty_log_is_cosigned(client: WitnessClient) -> None:
    """A log without entries has a head too."""
    assert "witness.example/w1" in client.push(LOG.signed(0), LOG.prove).line


def test_client_that_remembers_nothing_learns_the_size(witness: Witness, client: WitnessClient) -> None:
    """After a restart the first answer says where the witness stands, and the second push continues there."""
    witness.add_checkpoint(AddCheckpoint(0, (), LOG.signed(12)).to_bytes())

    client.push(LOG.signed(20), LOG.prove)

    assert 20 == client.known_size


def test_client_that_remembers_too_much_learns_the_size(witness: Witness) -> None:
    """A memory of a size that the witness does not hold does no harm."""
    with client_of(witness_app(witness), known_size=30) as client:
        client.push(LOG.signed(20), LOG.prove)

        assert 20 == client.known_size


def test_rolled_back_log_hears_of_the_larger_head(witness: Witness, client: WitnessClient) -> None:
    """A head smaller than the one cosigned raises with the size that was seen."""
    witness.add_checkpoint(AddCheckpoint(0, (), LOG.signed(30)).to_bytes())

    with pytest.raises(WitnessAhead) as caught:
        client.push(LOG.signed(25), LOG.prove)
    assert 30 == caught.value.size


@pytest.mark.parametrize("size", [10, 20])
def test_rewritten_log_hears_of_the_contradiction(witness: Witness, client: WitnessClient, size: int) -> None:
    """A head of another past, of the same size or a larger one, is told apart from an outage."""
    witness.add_checkpoint(AddCheckpoint(0, (), LOG.signed(10)).to_bytes())

    with pytest.raises(WitnessContradiction, match="size 10"):
        client.push(FORK.signed(size), FORK.prove)


def test_unknown_log_is_told_what_to_do(client: WitnessClient) -> None:
    """A witness that lacks the log's key is an outage with that remedy."""
    other = GrowingLog(LogSigner.generate("force.example/other")).grow(1)

    with pytest.raises(WitnessOutage, match="does not know this log"):
        client.push(other.signed(), other.prove)


def test_changed_key_is_told_what_to_do(client: WitnessClient) -> None:
    """A witness that knows another key for the origin is an outage with that remedy."""
    other = GrowingLog(LogSigner.generate(ORIGIN)).grow(1)

    with pytest.raises(WitnessOutage, match="another key"):
        client.push(other.signed(), other.prove)


def test_witness_that_is_gone_is_an_outage() -> None:
    """Nobody listening: an outage, not an exception of the HTTP library."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with httpx.Client(trust_env=False) as http, pytest.raises(WitnessOutage, match="does not answer"):
        WitnessClient(f"http://127.0.0.1:{port}", SIGNER.verifier, http, clock).push(LOG.signed(7), LOG.prove)


IMPOSTOR = WitnessSigner.generate("witness.example/w1")
HEAD = LOG.head(7)
LIES = {
    "another key's line": IMPOSTOR.cosign(HEAD.text, NOW_S).line,
    "a line for another head": SIGNER.cosign(LOG.head(8).text, NOW_S).line,
    "a forged line": Signature(SIGNER.name, SIGNER.verifier.key_id, bytes(72)).line,
    "a good line and a forged one": SIGNER.cosign(HEAD.text, NOW_S).line
    + Signature(SIGNER.name, SIGNER.verifier.key_id, bytes(72)).line,
    "a cosignature from the past": SIGNER.cosign(HEAD.text, NOW_S - MAX_CLOCK_DIFFERENCE_S - 1).line,
    "a cosignature from the future": SIGNER.cosign(HEAD.text, NOW_S + MAX_CLOCK_DIFFERENCE_S + 1).line,
    "no line": "",
    "no newline": SIGNER.cosign(HEAD.text, NOW_S).line[:-1],
    "a web page": "<html>captive portal</html>\n",
}


@pytest.mark.parametrize("body", LIES.values(), ids=LIES.keys())
def test_answer_that_is_no_cosignature_is_an_outage(
    lied_to: WitnessClient, lying: LyingWitness, body: str
) -> None:
    """What does not verify for this head, by this key, at about this time is not taken for a cosignature."""
    lying.answer = Response(body)

    with pytest.raises(WitnessOutage):
        lied_to.push(LOG.signed(7), LOG.prove)


def test_answer_without_end_is_not_read_to_its_end(lied_to: WitnessClient, lying: LyingWitness) -> None:
    """A body over the limit is given up where the limit is passed."""
    lying.answer = Response("x" * (MAX_REQUEST_BYTES + 1))

    with pytest.raises(WitnessOutage, match="without end"):
        lied_to.push(LOG.signed(7), LOG.prove)


def test_lines_of_unknown_keys_are_ignored(lied_to: WitnessClient, lying: LyingWitness) -> None:
    """An answer may carry other witnesses' lines beside ours."""
    ours = SIGNER.cosign(HEAD.text, NOW_S).line
    lying.answer = Response(IMPOSTOR.cosign(HEAD.text, 1).line + ours)

    assert ours == lied_to.push(LOG.signed(7), LOG.prove).line


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(Response(b"07\n", 409, {"content-type": "text/x.tlog.size"}), id="size-misspelt"),
        pytest.param(Response(b"", 409, {"content-type": "text/x.tlog.size"}), id="size-missing"),
        pytest.param(Response(b"3\n", 409, {"content-type": "text/x.tlog.size"}), id="size-for-ever"),
        pytest.param(Response(b"", 302, {"location": "/add-checkpoint"}), id="redirect"),
        pytest.param(Response(b"", 500), id="failure"),
        pytest.param(Response(b"", 400), id="bad-request"),
        pytest.param(Response(b"", 204), id="no-content"),
    ],
)
def test_other_answers_are_outages(lied_to: WitnessClient, lying: LyingWitness, response: Response) -> None:
    """Misspelt sizes, endless conflicts, redirects and failures end in an outage, not in a loop."""
    lying.answer = response

    with pytest.raises(WitnessOutage):
        lied_to.push(LOG.signed(7), LOG.prove)
    assert len(lying.asked) <= 3


def test_conflict_without_a_size_is_a_contradiction(lied_to: WitnessClient, lying: LyingWitness) -> None:
    """A plain 409 says that another root was cosigned for this size."""
    lying.answer = Response(b"", 409)

    with pytest.raises(WitnessContradiction):
        lied_to.push(LOG.signed(7), LOG.prove)


def test_head_is_pushed_as_it_was_signed(lied_to: WitnessClient, lying: LyingWitness) -> None:
    """The witness gets the log's own bytes."""
    lying.answer = Response(SIGNER.cosign(HEAD.text, NOW_S).line)

    lied_to.push(LOG.signed(7), LOG.prove)

    assert [LOG.signed(7)] == [request.note for request in lying.asked]


def test_extension_lines_are_cosigned_with_the_rest(client: WitnessClient) -> None:
    """Another project's log may have extension lines: they are part of what is cosigned."""
    head = Checkpoint(ORIGIN, 3, LOG.roots[3], ("an extension",))

    cosigned = client.push(head.signed_by(LOG.signer), LOG.prove)

    note = Note.parse(head.signed_by(LOG.signer) + cosigned.line.encode())
    assert [SIGNER.verifier] == [key for key, _ in note.verified([SIGNER.verifier])]
