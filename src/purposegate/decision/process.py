"""One Cerbos as a child process: how it is configured, started and stopped, and what its log says when it will not.

It listens on one Unix socket of mode 0600 and on nothing else, never watches files, sends no telemetry, and dies with
this process however this process dies.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from purposegate.decision.binary import Binary
from purposegate.decision.canary import unfit
from purposegate.decision.compile import load_findings
from purposegate.errors import Finding, PdpOutage, PolicyError

SOCKET_PATH_BYTES = 106
"""Linux takes 107 bytes (unix(7)); the names that other sockets have beside this one are a byte longer."""

_STOPPING_S = 5.0
"""Longest wait for a Cerbos told to stop; then it is killed. It holds nothing that could be lost."""

_TETHER = Path(__file__).with_name("tether.py")


def http_socket(socket: Path) -> Path:
    """Where Cerbos is told to serve HTTP, which nobody asks for: the name is removed once it serves."""
    return socket.with_suffix(".http")


def configuration(policies: Path, socket: Path) -> str:
    """The server's configuration: JSON, which is YAML."""
    return json.dumps(
        {
            "server": {
                # It cannot be left out: an empty address opens a TCP port of the system's choice on every interface.
                "httpListenAddr": f"unix:{http_socket(socket)}",
                "grpcListenAddr": f"unix:{socket}",
                "udsFileMode": "0o600",
                "requestLimits": {"maxResourcesPerRequest": 50, "maxActionsPerResource": 1},
                # Never cut the gate's own connections under load; they end with the process.
                "advanced": {"grpc": {"maxConnectionAge": "87600h"}},
            },
            "engine": {"strictEvaluation": True},
            "schema": {"enforcement": "reject"},
            "telemetry": {"disabled": True},
            "audit": {"enabled": False},
            "storage": {"driver": "disk", "disk": {"directory": str(policies), "watchForChanges": False}},
        }
    )


def start_findings(log: str, policies: Path) -> list[Finding]:
    """The faults in policies that a Cerbos which would not start wrote to its log."""
    found: list[Finding] = []
    for line in log.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a failed start is plain text
        if isinstance(record, dict):
            found += load_findings(record, policies)
    return found


def _descriptor(owner: object, pid: int) -> int | None:
    """What becomes readable when a child of this process has ended (pidfd_open(2)), open as long as its `owner` lives.

    None on kernels before 5.3 and in a sandbox that forbids it.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    weakref.finalize(owner, os.close, descriptor)
    return descriptor


class Child:
    """One started Cerbos. `exited` is called once, from a thread of its own, when it ends."""

    def __init__(
        self, binary: Binary, *, policies: Path, socket: Path, log: Path, exited: Callable[[], None]
    ) -> None:
        """Start it. Must be called from a thread that outlives the child: Linux ties the child to that thread.

        Raises `PdpOutage` where it cannot be started.
        """
        if not sys.platform.startswith("linux"):
            raise unfit(
                "a managed Cerbos needs Linux, which kills it with its parent; use a remote one here."
            )
        if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
            raise unfit(
                f"the runtime directory's path is too long for a socket: want {SOCKET_PATH_BYTES} bytes or fewer."
            )
        socket.unlink(missing_ok=True)
        http_socket(socket).unlink(missing_ok=True)
        config = log.with_suffix(".json")
        config.write_text(configuration(policies, socket), encoding="utf-8")
        self.policies = policies
        self.log = log
        command = [
            str(binary.path),
            "server",
            f"--config={config}",
            "--log-level=error",
            "--debug-listen-addr=",
        ]
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - the operator's own binary, no shell
                    [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=log.parent,
                    env={"HOME": str(log.parent), "CERBOS_NO_TELEMETRY": "1"},
                    umask=0o077,
                    # Ctrl-C on a terminal is the gate's to handle: lookups in flight still need their answers.
                    start_new_session=True,
                )
        except OSError as error:
            raise unfit(f"Cerbos cannot be started: {error.strerror}.") from error
        self._ended = threading.Event()
        self._descriptor = _descriptor(self, self._process.pid)
        threading.Thread(target=self._wait, args=(exited,), name="cerbos-wait", daemon=True).start()

    def _wait(self, exited: Callable[[], None]) -> None:
        self._process.wait()
        self._ended.set()
        exited()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    @property
    def alive(self) -> bool:
        """Whether the kernel has not ended it: told at once, while `running` waits for a thread to hear. Never blocks."""
        if not self.running or self._descriptor is None:
            return self.running
        watched = select.poll()  # of its own, since one object polls for one thread at a time
        watched.register(self._descriptor, select.POLLIN)
        return not watched.poll(0)

    def failure(self) -> PdpOutage | PolicyError:
        """Why it would not start, from its own log: faults in policies by file and line, or its last words."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        findings = start_findings(text, self.policies)
        if findings:
            return PolicyError(findings)
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
        return unfit(f"Cerbos ended while starting (exit {self._process.returncode}): {last[:500]}")

    def stop(self) -> None:
        """End it, gently first. Blocks up to a few seconds. Idempotent."""
        self._signal(signal.SIGTERM)
        if not self._ended.wait(_STOPPING_S):
            self.kill()

    def kill(self) -> None:
        """End it at once. Blocks until the kernel has."""
        self._signal(signal.SIGKILL)
        self._ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            self._process.send_signal(number)
