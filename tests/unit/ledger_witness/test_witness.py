"""The witness's protocol: each status of c2sp.org/tlog-witness, and what is persisted before it answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from growing_log import GrowingLog
from http_server import serving
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessSigner, cosigned_at_s
from purposegate.ledger.merkle import EMPTY_ROOT, leaf_hash
from purposegate.ledger.note import LogSigner, Note, Signature
from purposegate.ledger.witness import MAX_CLOCK_STEP_S, Answer, Witness, witness_app
from purposegate.ledger.witness_store import Seen, WitnessStore
from purposegate.ledger.witness_wire import (
    MAX_REQUEST_BYTES,
    SIZE_MEDIA_TYPE,
    AddCheckpoint,
    parse_cosignatures,
)

ORIGIN = "force.example/purposegate/shard-0"
SIGNER = WitnessSigner.generate("witness.example/w1")
LOG = GrowingLog(LogSigner.generate(ORIGIN)).grow(40)
FORK = GrowingLog(LOG.signer).grow(5).grow(35, what="another past")

# Each example makes a state file and syncs it, which costs more than everything else here.
FEWER = settings(max_examples=max(10, settings.default.max_examples // 4)) if settings.default else settings()


class Clock:
    """A clock that stands until it is set."""

    now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def fresh() -> Iterator[tuple[Witness, WitnessStore]]:
    """A witness of its own for each of Hypothesis' examples, which a fixture would outlive."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "witness.db"
        WitnessStore.create(path, vkey=str(SIGNER.verifier))
        store = WitnessStore(path, vkey=str(SIGNER.verifier), origins=[ORIGIN])
        try:
            yield Witness(SIGNER, [LOG.signer.verifier], store, Clock()), store
        finally:
            store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WitnessStore]:
    vkey = str(SIGNER.verifier)
    WitnessStore.create(tmp_path / "witness.db", vkey=vkey)
    opened = WitnessStore(tmp_path / "witness.db", vkey=vkey, origins=[ORIGIN])
    yield opened
    opened.close()


@pytest.fixture
def witness(store: WitnessStore, clock: Clock) -> Witness:
    return Witness(SIGNER, [LOG.signer.verifier], store, clock)


def request(old: int, new: int, log: GrowingLog = LOG) -> bytes:
    proof = tuple(log.prove(old, new)) if 0 < old <= new else ()
    return AddCheckpoint(old, proof, log.signed(new)).to_bytes()


def head_of(store: WitnessStore) -> tuple[int, bytes]:
    seen = store.seen(ORIGIN)
    assert seen is not None
    return seen.size, seen.root


def assert_cosigned(answer: Answer, head: Checkpoint) -> Signature:
    assert 200 == answer.status, answer.body
    (cosignature,) = parse_cosignatures(answer.body)
    SIGNER.verifier.verify(head.text, cosignature)
    return cosignature


def test_first_head_is_cosigned_and_remembered(witness: Witness, store: WitnessStore) -> None:
    """The first head of a known log needs no proof; it is on disk when the cosignature is given."""
    assert_cosigned(witness.add_checkpoint(request(0, 7)), LOG.head(7))

    assert (7, LOG.roots[7]) == head_of(store)


@FEWER
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6).map(sorted))
def test_growing_log_is_cosigned_at_every_step(sizes: list[int]) -> None:
    """Whatever its sizes, a log that only grows is cosigned at each of them, the same one twice too."""
    with fresh() as (witness, store):
        old = 0
        for size in sizes:
            assert_cosigned(witness.add_checkpoint(request(old, size)), LOG.head(size))
            old = size
        assert (old, LOG.roots[old]) == head_of(store)


@FEWER
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_cosigned_heads_never_contradict_each_other(offers: list[tuple[bool, int, int]]) -> None:
    """Whatever an honest and a forked log offer in whatever order, all heads cosigned belong to one history."""
    cosigned: list[tuple[int, bytes]] = []
    with fresh() as (witness, _):
        for forked, old, new in offers:
            log = FORK if forked else LOG
            if witness.add_checkpoint(request(old, new, log)).status == 200:
                cosigned.append((new, log.roots[new]))

    assert sorted(size for size, _ in cosigned) == [size for size, _ in cosigned]
    assert any(all(root == log.roots[size] for size, root in cosigned) for log in (LOG, FORK))


def test_unknown_origin_is_404(witness: Witness) -> None:
    """A head of a log that was never configured is not found, however well signed."""
    other = GrowingLog(LogSigner.generate("force.example/other")).grow(1)

    assert 404 == witness.add_checkpoint(request(0, 1, other)).status


def test_head_signed_by_an_unknown_key_is_403(witness: Witness, store: WitnessStore) -> None:
    """A head by another key of the same name is forbidden, and nothing is remembered of it."""
    impostor = GrowingLog(LogSigner.generate(ORIGIN)).grow(1)

    assert 403 == witness.add_checkpoint(request(0, 1, impostor)).status
    assert (0, EMPTY_ROOT) == head_of(store)


def test_bad_signature_of_the_known_key_is_403(witness: Witness) -> None:
    """A signature by the log's key that does not verify is forbidden."""
    forged = Signature(ORIGIN, LOG.signer.verifier.key_id, bytes(64))
    body = AddCheckpoint(0, (), Note(LOG.head(1).text, (forged,)).to_bytes()).to_bytes()

    assert 403 == witness.add_checkpoint(body).status


def test_old_size_that_is_not_the_last_is_409_with_the_size(witness: Witness) -> None:
    """A log that does not know where the witness stands is told, in the specified form."""
    witness.add_checkpoint(request(0, 7))

    assert Answer(409, b"7\n", SIZE_MEDIA_TYPE) == witness.add_checkpoint(request(3, 9))
    assert Answer(409, b"7\n", SIZE_MEDIA_TYPE) == witness.add_checkpoint(request(0, 9))


def test_unwitnessed_log_conflicts_at_zero(witness: Witness) -> None:
    """Before the first head the size is zero."""
    assert Answer(409, b"0\n", SIZE_MEDIA_TYPE) == witness.add_checkpoint(request(3, 9))


def test_rolled_back_log_is_not_cosigned(witness: Witness, store: WitnessStore) -> None:
    """A log put back to an older state is told the size it must reach, and the memory stays."""
    witness.add_checkpoint(request(0, 30))

    assert 409 == witness.add_checkpoint(request(20, 25)).status
    assert 400 == witness.add_checkpoint(AddCheckpoint(30, (), LOG.signed(25)).to_bytes()).status
    assert (30, LOG.roots[30]) == head_of(store)


def test_rewritten_log_is_422_and_kept_as_evidence(witness: Witness, store: WitnessStore) -> None:
    """A head of another past is not cosigned; it is kept beside the one that it does not continue."""
    witness.add_checkpoint(request(0, 10))
    body = AddCheckpoint(10, tuple(FORK.prove(10, 20)), FORK.signed(20)).to_bytes()

    assert 422 == witness.add_checkpoint(body).status
    assert (10, LOG.roots[10]) == head_of(store)
    assert [("unproved", FORK.signed(20), LOG.signed(10))] == [each[:3] for each in store.refused(ORIGIN)]


def test_two_roots_for_one_size_are_409_and_kept_as_evidence(witness: Witness, store: WitnessStore) -> None:
    """Two signed roots of one size prove a fork by themselves: both notes are kept."""
    witness.add_checkpoint(request(0, 10))
    answer = witness.add_checkpoint(AddCheckpoint(10, (), FORK.signed(10)).to_bytes())

    assert (409, "text/plain; charset=utf-8") == (answer.status, answer.media_type)
    assert [("two-roots", FORK.signed(10), LOG.signed(10))] == [each[:3] for each in store.refused(ORIGIN)]


def test_refused_head_is_kept_once_whatever_lines_are_added(witness: Witness, store: WitnessStore) -> None:
    """Strangers cannot multiply one refused head, nor have their own lines kept, by adding signatures."""
    witness.add_checkpoint(request(0, 10))
    for number in range(3):
        stranger = LogSigner.generate(f"stranger.example/{number}").sign(LOG.head(20).text)
        note = Note(LOG.head(20).text, (stranger, LOG.signer.sign(LOG.head(20).text)))
        witness.add_checkpoint(AddCheckpoint(10, (bytes(32),), note.to_bytes()).to_bytes())

    assert [("unproved", LOG.signed(20), LOG.signed(10))] == [each[:3] for each in store.refused(ORIGIN)]


def test_head_stays_to_be_seen_after_its_key_is_gone(store: WitnessStore, clock: Clock) -> None:
    """A head signed by a key that was since taken out of the policy is still given to whoever compares."""
    Witness(SIGNER, [LOG.signer.verifier], store, clock).add_checkpoint(request(0, 7))
    later = Witness(SIGNER, [LogSigner.generate(ORIGIN).verifier], store, clock)

    note = Note.parse(later.latest(sha256(ORIGIN.encode()).hexdigest()).body)

    assert [LOG.signer.verifier] == [key for key, _ in note.verified([LOG.signer.verifier])]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            AddCheckpoint(0, (), Checkpoint(ORIGIN, 0, leaf_hash(b"")).signed_by(LOG.signer)),
            id="empty-tree-with-a-root",
        ),
        pytest.param(AddCheckpoint(0, (bytes(32),), LOG.signed(0)), id="empty-tree-with-a-proof"),
        pytest.param(AddCheckpoint(0, (bytes(32),), LOG.signed(5)), id="first-head-with-a-proof"),
    ],
)
def test_proof_from_nothing_must_be_empty(witness: Witness, store: WitnessStore, body: AddCheckpoint) -> None:
    """From size 0 a proof is empty, and the empty tree has the one root."""
    assert 422 == witness.add_checkpoint(body.to_bytes()).status
    assert (0, EMPTY_ROOT) == head_of(store)


@pytest.mark.parametrize(
    "proof",
    [(), tuple(LOG.prove(10, 20))[:-1], (*LOG.prove(10, 20), bytes(32)), tuple(LOG.prove(9, 20))],
    ids=["empty", "cut", "padded", "of-another-size"],
)
def test_wrong_proof_is_422(witness: Witness, store: WitnessStore, proof: tuple[bytes, ...]) -> None:
    """An honest head with a proof that does not lead to it is not cosigned."""
    witness.add_checkpoint(request(0, 10))

    assert 422 == witness.add_checkpoint(AddCheckpoint(10, proof, LOG.signed(20)).to_bytes()).status
    assert (10, LOG.roots[10]) == head_of(store)


def test_same_size_with_a_proof_is_422(witness: Witness) -> None:
    """Between equal sizes the proof is empty."""
    witness.add_checkpoint(request(0, 10))

    assert 422 == witness.add_checkpoint(AddCheckpoint(10, (bytes(32),), LOG.signed(10)).to_bytes()).status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n\n",
        b"old 0\n\nno note\n",
        b"old 0\n\n" + LOG.signed(3).replace(b"\n3\n", b"\n03\n"),
        b"old 0\n\n" + LOG.signed(3)[:-1],
        b"old 0 \n\n" + LOG.signed(3),
        b"old 4\n\n" + LOG.signed(3),
        b"old 0\n" + b"AAAA\n" * 64 + b"\n" + LOG.signed(3),
    ],
)
def test_malformed_request_is_400(witness: Witness, store: WitnessStore, body: bytes) -> None:
    """Requests and heads in another spelling, and old sizes past the new one, are bad requests."""
    assert 400 == witness.add_checkpoint(body).status
    assert (0, EMPTY_ROOT) == head_of(store)


@FEWER
@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    """No request makes the witness raise, and none of these is cosigned."""
    with fresh() as (witness, _):
        assert 400 == witness.add_checkpoint(body).status
        assert witness.add_checkpoint(request(0, 3)[: -len(body) - 1] + body).status in {400, 403, 404}


def test_other_signatures_on_the_head_are_ignored(witness: Witness) -> None:
    """A head that already carries other witnesses' cosignatures is cosigned like a bare one."""
    others = tuple(WitnessSigner.generate(f"w{n}.example").cosign(LOG.head(3).text, 5) for n in range(15))
    note = Note(LOG.head(3).text, (*others, LOG.signer.sign(LOG.head(3).text)))

    assert_cosigned(witness.add_checkpoint(AddCheckpoint(0, (), note.to_bytes()).to_bytes()), LOG.head(3))


def test_log_may_rotate_its_key(store: WitnessStore, clock: Clock) -> None:
    """Of two keys under one origin either signs, and the history goes on."""
    successor = GrowingLog(LogSigner.generate(ORIGIN)).grow(40)
    witness = Witness(SIGNER, [LOG.signer.verifier, successor.signer.verifier], store, clock)
    witness.add_checkpoint(request(0, 10))

    assert_cosigned(witness.add_checkpoint(request(10, 20, successor)), successor.head(20))


def test_memory_outlives_the_process(tmp_path: Path, clock: Clock) -> None:
    """A witness started again stands where it stood."""
    path, vkey = tmp_path / "witness.db", str(SIGNER.verifier)
    WitnessStore.create(path, vkey=vkey)
    first = WitnessStore(path, vkey=vkey, origins=[ORIGIN])
    Witness(SIGNER, [LOG.signer.verifier], first, clock).add_checkpoint(request(0, 10))
    first.close()
    second = WitnessStore(path, vkey=vkey, origins=[ORIGIN])
    answer = Witness(SIGNER, [LOG.signer.verifier], second, clock).add_checkpoint(request(0, 10, FORK))
    second.close()

    assert Answer(409, b"10\n", SIZE_MEDIA_TYPE) == answer


def test_stalled_request_does_not_roll_the_memory_back(witness: Witness, store: WitnessStore) -> None:
    """The race of the specification: A (size 13) is checked, B (size 15) overtakes it, A is not persisted.

    Without compare-and-set A would put the memory back to 13 and be cosigned.
    """
    witness.add_checkpoint(request(0, 11))
    checked, resume = threading.Event(), threading.Event()
    answers: list[Answer] = []

    def stall() -> None:
        checked.set()
        assert resume.wait(30)

    witness.testing_only_stall = stall
    slow = threading.Thread(target=lambda: answers.append(witness.add_checkpoint(request(11, 13))))
    slow.start()
    assert checked.wait(30)
    witness.testing_only_stall = None
    assert_cosigned(witness.add_checkpoint(request(11, 15)), LOG.head(15))
    resume.set()
    slow.join(30)

    assert [Answer(409, b"15\n", SIZE_MEDIA_TYPE)] == answers
    assert (15, LOG.roots[15]) == head_of(store)


def test_parallel_heads_leave_one_history(witness: Witness, store: WitnessStore) -> None:
    """Of many heads offered at once from one size, exactly one is cosigned."""
    barrier = threading.Barrier(8)
    statuses: list[int] = []

    def offer(size: int) -> None:
        barrier.wait(30)
        statuses.append(witness.add_checkpoint(request(0, size)).status)

    threads = [threading.Thread(target=offer, args=(size,)) for size in range(11, 19)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [200] + [409] * 7 == sorted(statuses)
    assert LOG.roots[head_of(store)[0]] == head_of(store)[1]


def test_cosignature_says_when(witness: Witness, clock: Clock) -> None:
    """The time in a cosignature is the clock's, in whole seconds."""
    clock.now_s = 1_790_000_123.9

    assert 1_790_000_123 == cosigned_at_s(assert_cosigned(witness.add_checkpoint(request(0, 3)), LOG.head(3)))


def test_time_never_runs_backwards(witness: Witness, clock: Clock) -> None:
    """When the clock is set back a little, a later head is not said to have been seen before an earlier one."""
    first = cosigned_at_s(assert_cosigned(witness.add_checkpoint(request(0, 3)), LOG.head(3)))
    clock.now_s -= MAX_CLOCK_STEP_S
    second = cosigned_at_s(assert_cosigned(witness.add_checkpoint(request(3, 4)), LOG.head(4)))

    assert first == second


def test_clock_far_behind_the_last_cosignature_signs_nothing(
    witness: Witness, clock: Clock, store: WitnessStore
) -> None:
    """A witness whose clock cannot be right says so with 503 and stays where it was."""
    witness.add_checkpoint(request(0, 3))
    clock.now_s -= MAX_CLOCK_STEP_S + 1

    assert 503 == witness.add_checkpoint(request(3, 4)).status
    assert 3 == head_of(store)[0]


def test_overtaken_clock_reading_does_not_run_backwards(store: WitnessStore) -> None:
    """A request that read the clock first and is persisted second is stamped no earlier than the other."""
    nothing = store.seen(ORIGIN)
    assert nothing is not None
    assert 20 == store.advance(nothing, LOG.head(3), LOG.signed(3), 20)

    assert 20 == store.advance(Seen(3, LOG.roots[3], b"", 0), LOG.head(4), LOG.signed(4), 10)


def test_log_without_a_row_is_404(store: WitnessStore, clock: Clock) -> None:
    """A key that was given to the witness and not to its store finds no memory, and so no cosignature."""
    other = GrowingLog(LogSigner.generate("force.example/other")).grow(1)
    witness = Witness(SIGNER, [other.signer.verifier], store, clock)

    assert 404 == witness.add_checkpoint(request(0, 1, other)).status


def test_state_that_fails_shows_no_head(witness: Witness, store: WitnessStore) -> None:
    """When the memory cannot be read nobody is told that a log was never cosigned."""
    store.close()
    store.path.unlink()

    assert 503 == witness.latest(sha256(ORIGIN.encode()).hexdigest()).status


def test_state_that_fails_gives_no_cosignature(witness: Witness, store: WitnessStore) -> None:
    """When the head cannot be persisted the answer is 503 without a signature."""
    store.close()
    store.path.unlink()

    answer = witness.add_checkpoint(request(0, 3))

    assert (503, False) == (answer.status, "\N{EM DASH}".encode() in answer.body)


# The same over HTTP


@pytest.fixture
def http(witness: Witness) -> Iterator[httpx.Client]:
    with serving(witness_app(witness)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_answers_travel_over_http(http: httpx.Client) -> None:
    """Status, body and the bare media type of a 409 arrive as the specification wants them."""
    cosigned = http.post("/add-checkpoint", content=request(0, 7))
    conflict = http.post("/add-checkpoint", content=request(3, 9))

    assert_cosigned(Answer(cosigned.status_code, cosigned.content), LOG.head(7))
    assert (409, "text/x.tlog.size", b"7\n") == (
        conflict.status_code,
        conflict.headers["content-type"],
        conflict.content,
    )


def test_only_post_adds(http: httpx.Client) -> None:
    """A head is added by POST and by nothing else."""
    assert 405 == http.get("/add-checkpoint").status_code


def test_endless_request_is_413(http: httpx.Client) -> None:
    """A body over the limit is refused without being held."""
    assert 413 == http.post("/add-checkpoint", content=b"x" * (MAX_REQUEST_BYTES + 1)).status_code


async def _answer(witness: Witness, messages: list[Message]) -> int:
    """The status for one POST whose body comes as these messages, and then nothing more."""
    statuses: list[int] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": "/add-checkpoint", "headers": [], "query_string": b""}
    await witness_app(witness)(scope, receive, send)
    return statuses[0]


@pytest.mark.anyio
async def test_request_that_never_ends_is_408(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a request and stays silent is let go."""
    monkeypatch.setattr("purposegate.ledger.witness.READ_TIMEOUT_S", 0.01)

    assert 408 == await _answer(witness, [{"type": "http.request", "body": b"old 0", "more_body": True}])


@pytest.mark.anyio
async def test_request_cut_off_is_400(witness: Witness, store: WitnessStore) -> None:
    """A request whose sender is gone half-way is not taken for a whole one."""
    whole = {"type": "http.request", "body": request(0, 3), "more_body": True}

    assert 400 == await _answer(witness, [whole, {"type": "http.disconnect"}])
    assert 0 == head_of(store)[0]


def test_latest_head_is_given_to_whoever_compares(http: httpx.Client) -> None:
    """The last head cosigned is served with the log's signature and the witness's."""
    path = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert 404 == http.get(path).status_code
    http.post("/add-checkpoint", content=request(0, 7))

    note = Note.parse(http.get(path).content)

    assert LOG.head(7).text == note.text
    assert [LOG.signer.verifier, SIGNER.verifier] == [
        key for key, _ in note.verified([LOG.signer.verifier, SIGNER.verifier])
    ]


@pytest.mark.parametrize("origin", ["force.example/other", ORIGIN + "/"])
def test_latest_head_of_another_log_is_404(http: httpx.Client, origin: str) -> None:
    """A log this witness does not know has no head here."""
    assert 404 == http.get(f"/{sha256(origin.encode()).hexdigest()}/checkpoint").status_code
