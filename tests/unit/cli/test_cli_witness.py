"""`purposegate ledger witness` as a process of its own: made, served, killed, asked what it saw."""

import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from growing_log import GrowingLog
from purposegate.cli._witness import witness
from purposegate.errors import WitnessAhead, WitnessContradiction
from purposegate.ledger.cosignature import WitnessKey
from purposegate.ledger.note import LogSigner
from purposegate.ledger.witness_client import WitnessClient

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from purposegate.cli import main; main()", "ledger", "witness"]
LOG = GrowingLog(LogSigner.generate("force.example/purposegate/shard-0")).grow(50)
FORK = GrowingLog(LOG.signer).grow(50, what="another past")
NAME = "witness.example.org/psd"


def run(folder: Path, *arguments: str) -> Result:
    files = ["--key", str(folder / "w.key"), "--state", str(folder / "w.db")]
    if "--policy" in arguments:
        arguments = tuple(str(folder / "policy") if each == "policy" else each for each in arguments)
    return CliRunner().invoke(witness, [*files, *arguments])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert 0 == run(tmp_path, "--new-key", NAME).exit_code
    (tmp_path / "policy").write_text(f"log {LOG.signer.verifier}\nquorum none\n")
    return tmp_path


def key_of(folder: Path) -> WitnessKey:
    shown = run(folder, "--show").stdout
    return WitnessKey.parse(shown.splitlines()[0].removeprefix("witness "))


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], WitnessClient]]:
    key = key_of(folder)
    arguments = ["--key", "w.key", "--state", "w.db", "--policy", "policy", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stderr.read()
            with httpx.Client(trust_env=False) as http:
                yield process, WitnessClient(found[0], key, http, time.time)
        finally:
            process.kill()


def test_new_key_prints_its_policy_line(tmp_path: Path) -> None:
    """What is printed goes into a policy file as it is; key and state are the owner's alone."""
    done = run(tmp_path, "--new-key", NAME)
    keyword, name, vkey = done.stdout.split()

    assert (0, "witness", "psd", NAME) == (done.exit_code, keyword, name, WitnessKey.parse(vkey).name)
    assert [0o600, 0o600] == [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("w.key", "w.db")]


def test_new_key_never_replaces_an_old_one(made: Path) -> None:
    """Key and state stay as they are when there are any."""
    before = [(made / each).read_bytes() for each in ("w.key", "w.db")]
    again = run(made, "--new-key", NAME)
    (made / "w.key").rename(made / "moved.key")
    half = run(made, "--new-key", NAME)

    assert [2, 2] == [again.exit_code, half.exit_code]
    assert before == [(made / each).read_bytes() for each in ("moved.key", "w.db")]
    assert not (made / "w.key").exists()


def test_killed_witness_remembers_every_head_it_cosigned(made: Path) -> None:
    """After kill -9 the next one stands where the last cosignature was given, and refuses another past."""
    for size in (7, 20, 33):
        with served(made) as (process, client):
            client.push(LOG.signed(size), LOG.prove)
            process.send_signal(signal.SIGKILL)
    with served(made) as (_, client):
        with pytest.raises(WitnessAhead):
            client.push(LOG.signed(30), LOG.prove)
        with pytest.raises(WitnessContradiction):
            client.push(FORK.signed(40), FORK.prove)


def test_show_tells_what_was_seen_and_refused(made: Path) -> None:
    """Whoever investigates reads the last head and both sides of a contradiction, while the witness runs."""
    with served(made) as (_, client):
        client.push(LOG.signed(20), LOG.prove)
        with pytest.raises(WitnessContradiction):
            client.push(FORK.signed(20), FORK.prove)
        shown = run(made, "--show").stdout

    assert f"{LOG.origin} size 20 root" in shown
    assert "REFUSED two-roots" in shown
    assert [1, 1] == [shown.count(LOG.signed(20).decode()), shown.count(FORK.signed(20).decode())]


def test_terminated_witness_stops_in_good_order(made: Path) -> None:
    """SIGTERM ends it, and the next one starts."""
    with served(made) as (process, client):
        client.push(LOG.signed(3), LOG.prove)
        process.terminate()
        process.wait(30)
    with served(made) as (_, client):
        client.push(LOG.signed(4), LOG.prove)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "w.key").chmod(0o644), "chmod 600"),
        (lambda folder: (folder / "w.key").write_text("PRIVATE+KEY+secret"), "make one with --new-key"),
        (lambda folder: (folder / "w.db").unlink(), "no state file"),
        (lambda folder: (folder / "policy").write_text("quorum none\n"), "names no log"),
        (lambda folder: (folder / "policy").write_text("log\nquorum none\n"), "policy line 1"),
        (lambda folder: (folder / "policy").unlink(), "policy: cannot be read"),
    ],
    ids=["open-key", "broken-key", "no-state", "no-logs", "broken-policy", "no-policy"],
)
def test_spoiled_set_up_is_refused_with_its_remedy(made: Path, spoil: object, told: str) -> None:
    """Each thing that keeps a witness from starting is named, and no secret is."""
    assert callable(spoil)
    spoil(made)

    done = run(made, "--policy", "policy", "--listen", "127.0.0.1:0")

    assert (2, True) == (done.exit_code, told in done.stderr)
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("listen", ["8470", ":8470", "host:", "host:99999", "host:٨"])
def test_address_has_one_form(made: Path, listen: str) -> None:
    """Host and port are both said."""
    assert 2 == run(made, "--policy", "policy", "--listen", listen).exit_code


def test_nothing_to_witness_is_a_usage_error(made: Path) -> None:
    """Without a policy there is nobody to witness for."""
    assert 2 == run(made).exit_code
