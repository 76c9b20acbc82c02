"""A witness of another party: the real command in a process of its own, that a test may kill and start again."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from click.testing import CliRunner

from purposegate.cli._witness import witness
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.policy import Policy
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.witness import Witness, witness_app
from purposegate.ledger.witness_store import WitnessStore

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from purposegate.cli import main; main()", "ledger", "witness"]


def vkeys(ledger: Path) -> list[str]:
    """The verifier key of each shard of a ledger."""
    reader = SqliteReader(ledger)
    try:
        return [shard.vkey for shard in reader.shards()]
    finally:
        reader.close()


class RunningWitness:
    """One witness with its own folder and port. `start` and `kill` as often as a test likes."""

    def __init__(self, folder: Path, name: str = "witness.example.org/psd") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        files = ["--key", str(folder / "w.key"), "--state", str(folder / "w.db")]
        made = CliRunner().invoke(witness, [*files, "--new-key", name])
        self.vkey = made.stdout.split()[-1]
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def know(self, *logs: str) -> None:
        """Witness these logs from the next start on."""
        lines = [*(f"log {log}" for log in logs), "quorum none", ""]
        (self.folder / "policy").write_text("\n".join(lines), encoding="utf-8")

    def start(self) -> None:
        """Serve; returns once it listens."""
        files = ["--key", "w.key", "--state", "w.db", "--policy", "policy"]
        self._process = subprocess.Popen(
            [*COMMAND, *files, "--listen", f"127.0.0.1:{self.port}"],
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT / "src")},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert re.search(r"http://\S+", line), line + self._process.stderr.read()

    def kill(self) -> None:
        """End it as a power cut would. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stderr is not None
            process.stderr.close()

    @contextmanager
    def running(self) -> Iterator["RunningWitness"]:
        """Started, and gone at the end."""
        try:
            self.start()
            yield self
        finally:
            self.kill()


class LocalWitness(RunningWitness):
    """The same witness over the same HTTP in a thread of the test: for tests that are not about its death."""

    def start(self) -> None:
        """Serve; requests wait in the backlog until it has started."""
        signer = WitnessSigner.parse((self.folder / "w.key").read_text(encoding="ascii").strip())
        logs = [log.key for log in Policy.parse((self.folder / "policy").read_bytes()).logs]
        self._store = WitnessStore(self.folder / "w.db", vkey=self.vkey, origins=[key.name for key in logs])
        app = witness_app(Witness(signer, logs, self._store, time.time))
        self._server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]})
        self._thread.start()

    def kill(self) -> None:
        """End it, in order. Idempotent."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._listening.close()
            self._store.close()
            self._thread = None
