"""A witness of another party: the real command in a process of its own, that a test may kill and start again."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from purposegate.cli._witness import witness
from purposegate.ledger.sqlite_reader import SqliteReader

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
