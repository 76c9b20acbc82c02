"""A ledger and its witness, another process: pushed to, killed, brought back, and shown a ledger that was put back."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from starlette.types import Receive, Scope, Send

from http_server import serving
from ledgers import entry, open_ledger, until
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import contradiction, pushing
from purposegate.ledger.cosignature import WitnessKey, WitnessSigner
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import load
from purposegate.ledger.policy import Policy
from purposegate.ledger.quorum import Witnesses, WitnessPlace, states_in_store
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.sqlite_store import SqliteStore
from purposegate.ledger.verdict import Evidence
from purposegate.ledger.verify import verify_file
from purposegate.model import EntryKind
from witnesses import LocalWitness, RunningWitness, vkeys

HASTE: dict[str, Any] = {"every_s": 0.05}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with its genesis, closed."""
    open_ledger(tmp_path / "l.db").close()
    return tmp_path / "l.db"


@pytest.fixture
def witness(tmp_path: Path, path: Path) -> Iterator[RunningWitness]:
    """A witness that knows the ledger's shard, running."""
    made = LocalWitness(tmp_path / "psd")
    made.know(*vkeys(path))
    with made.running():
        yield made


@pytest.fixture
def process(tmp_path: Path, path: Path) -> Iterator[RunningWitness]:
    """The same in a process of its own, which can be killed."""
    made = RunningWitness(tmp_path / "psd")
    made.know(*vkeys(path))
    with made.running():
        yield made


def asked(*witnesses: RunningWitness, policy: Path | None = None, **limits: Any) -> Witnesses:
    return Witnesses.read([(each.url, each.vkey, None) for each in witnesses], policy, **{**HASTE, **limits})


def evidence(path: Path, *witnesses: RunningWitness) -> Evidence:
    """A policy that wants every one of these witnesses."""
    lines = [f"log {key}" for key in vkeys(path)]
    lines += [f"witness w{number} {each.vkey}" for number, each in enumerate(witnesses)]
    members = " ".join(f"w{number}" for number in range(len(witnesses)))
    text = "\n".join([*lines, f"group all-of-them all {members}", "quorum all-of-them", ""])
    policy = Policy.parse(text.encode())
    return Evidence(keys={str(log.key) for log in policy.logs}, policy=policy, require_witness=True)


def witnessed(ledger: DurableLedger) -> bool:
    """Whether every witness has cosigned all that is signed, and all that is there is signed."""
    size = ledger.size
    return size == ledger.signed_size and all(state.size == size for state in ledger.witness_states)


def heads(path: Path) -> list[tuple[int, bytes]]:
    reader = SqliteReader(path)
    try:
        return reader.checkpoints(1)
    finally:
        reader.close()


def kinds(path: Path) -> list[str]:
    reader = SqliteReader(path)
    try:
        return [read_leaf(each.leaf).kind for each in reader.entries(1, 0, reader.shards()[0].head.size)]
    finally:
        reader.close()


def events(path: Path) -> list[str]:
    """What the ledger's witness-gap entries say, in order."""
    reader = SqliteReader(path)
    try:
        opener = Opener(load(path.with_name(path.name + ".keys")), reader.shards())
        found = [opener.payload(1, each) for each in reader.entries(1, 0, reader.shards()[0].head.size)]
        return [each.fields["event"] for each in found if each and "limit_s" in each.fields]
    finally:
        reader.close()


def test_grown_heads_come_back_cosigned(path: Path, witness: RunningWitness) -> None:
    """What is appended is cosigned while the ledger is open, and verify sees the quorum under the last head."""
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        for number in range(1, 300):
            ledger.append_wait(entry(number))
        until(lambda: witnessed(ledger))
    report = verify_file(path, evidence(path, witness))

    assert (0, [300], []) == (report.exit_code, [shard.witnessed for shard in report.shards], report.doubts)


def test_last_entries_are_pushed_on_closing(path: Path, witness: RunningWitness) -> None:
    """An orderly end leaves nothing unwitnessed, though no round came in between."""
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness, every_s=60.0))
        until(lambda: witnessed(ledger))
        ledger.append_wait(entry(1))
    report = verify_file(path, evidence(path, witness))

    assert (0, [2]) == (report.exit_code, [shard.witnessed for shard in report.shards])


def test_two_witnesses_cosign_one_and_the_same_head(
    path: Path, witness: RunningWitness, tmp_path: Path
) -> None:
    """A policy that wants both finds both under one note, while entries keep coming."""
    other = LocalWitness(tmp_path / "ico", "witness.example.net/ico")
    other.know(*vkeys(path))
    with other.running(), open_ledger(path) as ledger:
        ledger.push_to(asked(witness, other))
        for number in range(1, 120):
            ledger.append_wait(entry(number))
        until(lambda: witnessed(ledger))
    report = verify_file(path, evidence(path, witness, other))

    assert (0, [120]) == (report.exit_code, [shard.witnessed for shard in report.shards])


def test_killed_witness_is_pushed_to_again(
    path: Path, process: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appends go on while it is down; once it is back it gets a proof from where it stood."""
    monkeypatch.setattr(pushing, "LAST_RETRY_S", 0.2)
    with open_ledger(path) as ledger:
        ledger.push_to(asked(process))
        for number in range(1, 40):
            ledger.append_wait(entry(number))
        until(lambda: witnessed(ledger))
        process.kill()
        for number in range(40, 80):
            ledger.append_wait(entry(number))
        until(lambda: bool(ledger.witness_states[0].trouble))
        process.start()
        until(lambda: witnessed(ledger))
    report = verify_file(path, evidence(path, process))

    assert (0, [80]) == (report.exit_code, [shard.witnessed for shard in report.shards])


def test_gap_begins_and_ends_with_an_entry(
    path: Path, witness: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit one entry says so, and another when a witness cosigns again."""
    monkeypatch.setattr(pushing, "LAST_RETRY_S", 0.2)
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness, max_unwitnessed_s=1.0))
        until(lambda: witnessed(ledger))
        witness.kill()
        until(lambda: EntryKind.WITNESS_GAP in kinds(path))
        witness.start()
        until(lambda: kinds(path).count(EntryKind.WITNESS_GAP) >= 2)

    assert ["unwitnessed", "witnessed-again"] == events(path)[:2]
    assert 0 == verify_file(path).exit_code


def test_idle_ledger_is_cosigned_again(path: Path, witness: RunningWitness) -> None:
    """A head that does not grow is offered again, so that its cosignature stays young and no gap is written."""
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness, max_unwitnessed_s=3.0))
        until(lambda: witnessed(ledger))
        first = heads(path)
        until(lambda: heads(path) != first)
        size = ledger.size

    assert 1 == size


def test_silent_witness_stops_new_lookups_by_setting(
    path: Path, witness: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `stop` nothing begins before the first cosignature of this run, nor past the limit; it resumes by itself."""
    monkeypatch.setattr(pushing, "LAST_RETRY_S", 0.2)
    witness.kill()
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness, max_unwitnessed_s=1.5, stops=True))
        with pytest.raises(LedgerOutage, match="no quorum of witnesses"):
            ledger.require_witnessed()
        witness.start()
        until(lambda: witnessed(ledger))
        ledger.require_witnessed()
        witness.kill()
        until(lambda: refuses(ledger))
        ledger.append_wait(entry(1))  # what is under way, and the refusals themselves, are still recorded
        witness.start()
        until(lambda: not refuses(ledger))


def refuses(ledger: DurableLedger) -> bool:
    try:
        ledger.require_witnessed()
    except LedgerOutage:
        return True
    return False


def test_silent_witness_stops_nothing_otherwise(path: Path, witness: RunningWitness) -> None:
    """By default a gap is recorded, and lookups go on."""
    witness.kill()
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness, max_unwitnessed_s=1.0))
        until(lambda: EntryKind.WITNESS_GAP in kinds(path))

        assert not refuses(ledger)


def put_back(path: Path, to: Path) -> None:
    """Put the whole ledger back, signer and all, as a restored machine image does."""
    for source in to.glob("l.db*"):
        shutil.copy(source, path.parent / source.name)


def copied(path: Path, folder: Path) -> Path:
    folder.mkdir()
    for source in path.parent.glob("l.db*"):
        if not source.name.endswith((".lock", "-wal", "-shm")):
            shutil.copy(source, folder / source.name)
    return folder


def test_ledger_put_back_whole_is_caught_by_its_witness(
    path: Path, witness: RunningWitness, tmp_path: Path
) -> None:
    """Database, keys and signer of yesterday: verify finds nothing wrong, and the witness ends the shard."""
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        ledger.append_wait(entry(1))
        until(lambda: witnessed(ledger))
    yesterday = copied(path, tmp_path / "yesterday")
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        ledger.append_wait(entry(2))
        until(lambda: witnessed(ledger))
    put_back(path, yesterday)
    unseen = verify_file(path).exit_code
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        until(lambda: ledger.state == "forked")
        with pytest.raises(LedgerOutage, match="contradicts"):
            ledger.append_wait(entry(3))
        with pytest.raises(LedgerOutage, match="size 3, and was offered 2"):
            ledger.require_witnessed()
    (kept,) = path.parent.glob("*.contradiction-*")
    told = kept.read_text(encoding="utf-8")
    reopened = open_ledger(path)
    with pytest.raises(LedgerOutage, match="not continued"):
        reopened.push_to(asked(witness))
    reopened.close()
    seen = verify_file(path)

    assert (0, 0o600, 1) == (unseen, kept.stat().st_mode & 0o777, seen.exit_code)
    assert "entries signed for shown by a witness" in seen.text()
    assert f"witness {witness.vkey}" in told
    assert b"\n3\n" in contradiction.shown(kept)  # the head that this ledger has lost


def test_rewritten_ledger_is_caught_by_its_witness(
    path: Path, witness: RunningWitness, tmp_path: Path
) -> None:
    """The same with another history grown from yesterday's copy, of more entries than the witness saw."""
    yesterday = copied(path, tmp_path / "yesterday")
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        ledger.append_wait(entry(1))
        until(lambda: witnessed(ledger))
    put_back(path, yesterday)
    with open_ledger(path) as ledger:
        for number in range(10, 15):
            ledger.append_wait(entry(number))
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        until(lambda: ledger.state == "forked")

        with pytest.raises(LedgerOutage, match="does not continue"):
            ledger.append_wait(entry(16))


def test_witness_that_does_not_know_the_log_is_no_contradiction(path: Path, tmp_path: Path) -> None:
    """Somebody else's witness answers 404: trouble, told, and nothing stops."""
    stranger = LocalWitness(tmp_path / "other")
    stranger.know(*vkeys(_another(tmp_path)))
    with stranger.running(), open_ledger(path) as ledger:
        ledger.push_to(asked(stranger))
        until(lambda: bool(ledger.witness_states[0].trouble))
        ledger.append_wait(entry(1))

        assert "does not know this log" in ledger.witness_states[0].trouble


def _another(folder: Path) -> Path:
    (folder / "another").mkdir()
    open_ledger(folder / "another" / "l.db", origin="elsewhere.example/log").close()
    return folder / "another" / "l.db"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("quorum none\n", "wants no witness"),
        ("witness a {vkey}\nquorum a\n", ""),
        ("witness a {other}\nquorum a\n", "cannot make up the quorum"),
        ("quorum\n", "policy line 1"),
    ],
    ids=["no-quorum", "own", "of-others", "broken"],
)
def test_policy_must_be_met_by_those_who_are_asked(tmp_path: Path, lines: str, told: str) -> None:
    """A quorum that could never stand is found before the gate serves, and so is a policy that wants nobody."""
    vkey, other = (str(WitnessSigner.generate(f"witness.example.org/{name}").verifier) for name in "ab")
    policy = tmp_path / "policy"
    policy.write_text(lines.format(vkey=vkey, other=other), encoding="utf-8")
    said = ""
    try:
        Witnesses.read([("http://127.0.0.1:1/", vkey, None)], policy)
    except SettingsError as error:
        said = str(error)

    assert (bool(told), True) == (bool(said), told in said)


def test_limit_leaves_room_for_a_round(tmp_path: Path) -> None:
    """A gap that is shorter than pushing takes would open and close for ever."""
    vkey = str(WitnessSigner.generate("witness.example.org/a").verifier)

    with pytest.raises(SettingsError, match="max_unwitnessed_s"):
        Witnesses.read([("http://127.0.0.1:1/", vkey, None)], None, every_s=2.0, max_unwitnessed_s=5.0)


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """A witness that takes every request, begins an answer, and never ends it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        await send({"type": "http.response.body", "body": b"-", "more_body": True})


def test_witness_that_never_ends_its_answer_holds_nobody_up(
    path: Path, witness: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one goes on cosigning, and closing the ledger does not wait for ever."""
    monkeypatch.setattr(pushing, "ROUND_S", 0.3)
    monkeypatch.setattr(pushing, "TIMEOUT_S", 1.0)
    hanging = str(WitnessSigner.generate("witness.example.org/hanging").verifier)
    with serving(never) as url, open_ledger(path) as ledger:
        both = [(url, hanging, None), (witness.url, witness.vkey, None)]
        ledger.push_to(Witnesses.read(both, None, **HASTE))
        for number in range(1, 4):
            ledger.append_wait(entry(number))
            until(lambda: ledger.witness_states[1].size == ledger.size)

    assert [4] == [size for size, _ in heads(path)][-1:]


async def objecting(scope: Scope, receive: Receive, send: Send) -> None:
    """Contradicts every head, and shows one that never ends: a byte at a time, or as much as anybody takes."""
    start = {"type": "http.response.start", "headers": [(b"content-type", b"text/plain")]}
    if scope["method"] == "POST":
        await send({**start, "status": 422})
        await send({"type": "http.response.body", "body": b"no\n"})
        return
    await send({**start, "status": 200})
    await receive()
    gone = False
    while not gone:
        portion, wait_s = (b"x", 0.05) if scope["path"].startswith("/slow") else (bytes(1 << 20), 0.001)
        await send({"type": "http.response.body", "body": portion, "more_body": True})
        with anyio.move_on_after(wait_s):
            gone = (await receive())["type"] == "http.disconnect"


@pytest.mark.parametrize("manner", ["/slow", "/huge"])
def test_objecting_witness_that_shows_without_end_is_cut_off(
    path: Path, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard ends, what was said is kept, and neither memory nor the closing waits for the rest."""
    monkeypatch.setattr(pushing, "SHOWN_S", 0.3)
    vkey = str(WitnessSigner.generate("witness.example.org/objecting").verifier)
    with serving(objecting) as url, open_ledger(path) as ledger:
        ledger.push_to(Witnesses.read([(url + manner, vkey, None)], None, **HASTE))
        until(lambda: ledger.state == "forked")
        until(lambda: bool(list(path.parent.glob("*.contradiction-*"))))

    assert [b""] == [contradiction.shown(kept) for kept in path.parent.glob("*.contradiction-*")]


def test_age_is_a_gauge_and_a_line_of_status(
    path: Path, witness: RunningWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds since the quorum stood, by OpenTelemetry while the gate runs, and from the store for whoever looks later."""
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("purposegate")
    monkeypatch.setattr(
        pushing, "UNWITNESSED", meter.create_gauge("purposegate.ledger.witness_age", unit="s")
    )
    with open_ledger(path) as ledger:
        ledger.push_to(asked(witness))
        until(lambda: witnessed(ledger))
        until(lambda: bool(gauged(reader)))
        age = ledger.witness_age_s
    (state,) = states_in_store(heads(path), time.time() + 100)

    assert age is not None
    assert ("witness.example.org/psd", 1, True) == (state.name, state.size, (state.age_s or 0) >= 100)


def gauged(reader: InMemoryMetricReader) -> list[float]:
    """What was measured since the last look."""
    found = reader.get_metrics_data()
    if found is None:
        return []
    points = [
        point
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    return [float(point.value) for point in points if isinstance(point, NumberDataPoint)]


KEYS = [WitnessSigner.generate(f"witness.example.org/{number}").verifier for number in range(4)]
TWO_OF = "\n".join(
    [*(f"witness {n} {key}" for n, key in enumerate(KEYS)), "group two 2 0 1 2", "quorum two", ""]
)


@given(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 20)), st.booleans())
def test_quorum_stands_since_the_latest_time_that_all_of_it_reached(
    at: dict[WitnessKey, int], by_policy: bool
) -> None:
    """`since` is the last moment at which those who cosigned then or later are enough."""
    places = tuple(WitnessPlace(key, "http://127.0.0.1:1/") for key in KEYS)
    chosen = Witnesses(places=places, policy=Policy.parse(TWO_OF.encode()) if by_policy else None)
    enough = 2 if by_policy else 4
    counted = KEYS[:3] if by_policy else KEYS
    times = sorted((seen for key, seen in at.items() if key in counted), reverse=True)

    assert (times[enough - 1] if len(times) >= enough else None) == chosen.since(dict(at))


def test_cosigned_heads_of_one_minute_do_not_pile_up(path: Path) -> None:
    """Older ones go once a newer one has all their witnesses, and never one that alone has both."""
    store = SqliteStore(path)
    store.seek("shard-0")
    for size in range(1, 50):
        store.keep_cosigned(size, b"note %d" % size, 600 + size % 60, "a", "line\n")
        if size % 10 == 0:
            store.keep_cosigned(size, b"note %d" % size, 600 + size % 60, "b", "line\n")
    store.close()

    assert [40, 49] == [size for size, note in heads(path) if note.startswith(b"note")]


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://witness.example.org/", True),
        ("http://127.0.0.1:8470/", True),
        ("http://[::1]:8470", True),
        ("http://witness.example.org/", False),
        ("http://10.0.0.7/", False),
        ("http://127.0.0.1.example.org/", False),
        ("ftp://127.0.0.1/", False),
        ("https:///nowhere", False),
        ("http://[::1", False),
        ("http://localhost:8470/", False),
    ],
)
def test_nobody_on_the_way_may_speak_for_a_witness(url: str, taken: bool) -> None:
    """A plain 409 stops a gate, so plain http is taken on this host alone."""
    refused = False
    try:
        Witnesses.read([(url, str(KEYS[0]), None)], None)
    except SettingsError as error:
        refused = "want https" in str(error)

    assert taken is not refused
