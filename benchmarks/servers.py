"""ASGI apps served by granian in processes of their own, and the processor time they and their children use."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]

START_TIMEOUT_S = 60
"""A gate starts Cerbos and loads its register before it serves."""


@contextlib.contextmanager
def serving(app: str, environment: Mapping[str, str]) -> Iterator["Server"]:
    """Serve what `module:factory` makes with one worker on a free loopback port, until the block ends. Raises `RuntimeError`."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--workers", "1", "--loop", "uvloop"]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
        "--factory",
        app,
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | dict(environment), start_new_session=True)
    server = Server(process, port)
    try:
        server.wait_until_up()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Server:
    """One served app."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.address = f"http://127.0.0.1:{port}"
        self._port = port

    def wait_until_up(self) -> None:
        """Return once the port accepts. Raises `RuntimeError` if the process ends or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode} before it served")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.1)
        raise RuntimeError(f"the server did not serve within {START_TIMEOUT_S} s")

    def cpu_s(self) -> float:
        """Processor seconds used so far by the server and everything it started that still runs."""
        return cpu_s(self._process.pid)


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_s(root: int) -> float:
    """Processor seconds, user and system, of a process and its descendants that still run (proc(5))."""
    ticks: dict[int, int] = {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold anything, so count from its end: 3 = state, 4 = parent, 14, 15 = time.
                fields = (
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
                parents[int(entry.name)] = int(fields[1])
                ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")
