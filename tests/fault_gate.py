"""A gate that serves Datasette over real HTTP in a process of its own, and clients that keep every byte they receive."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import h11
import uvicorn
from datasette.app import Datasette

from demo.force import Row
from demo.walk import declare
from fault_load import environment
from gates import World
from purposegate import PurposeGateMiddleware, load_gate

START_S = 60.0
LISTEN = 64


class Exchange(NamedTuple):
    """One request and all that came back for it, however little."""

    nonce: str
    target: str
    received: bytes


class Answer(NamedTuple):
    """As much of a response as arrived: `status` is 0 where its head did not arrive whole."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_of(received: bytes) -> Answer:
    """Read a response that may be cut off anywhere."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "records.example")]))
    client.send(h11.EndOfMessage())
    if received:  # nothing at all would say that the server is gone
        client.receive_data(received)
    status, headers, body = 0, {}, b""
    while isinstance(event := client.next_event(), h11.Response | h11.Data):
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            status = event.status_code
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
    return Answer(status, headers, body)


@dataclass(slots=True)
class Client:
    """One keep-alive connection that asks one thing after another until the server is gone."""

    port: int
    records: Sequence[Row]
    token: str
    name: str
    chance: random.Random
    stop: threading.Event
    exchanges: list[Exchange] = field(default_factory=list)
    whole: int = 0

    def run(self) -> None:
        """Ask until the connection ends."""
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port)) as line:
            line.settimeout(0.2)
            while not self.stop.is_set():
                nonce = f"{self.name}-{len(self.exchanges)}"
                target, request = self._request(nonce)
                line.sendall(request)
                if not self._receive(line, nonce, target):
                    return

    def _request(self, nonce: str) -> tuple[str, bytes]:
        record = self.chance.choice(self.records)
        page = f"/people/person/{record['rec_id']}"
        target = self.chance.choice(
            [f"{page}.json"] * 6
            + [page, f"/people/person.json?surname={record['surname']}".replace(" ", "+"), "/people.db"]
        )
        case = self.chance.choice(["CR/1042/26"] * 5 + ["CR/2200/26"])
        reason = f"Witness statement for the burglary in Carr Lane, sheet {nonce}"
        headers = {
            "host": "records.example",
            "authorization": f"Bearer {self.token}",
            "access-purpose": declare("investigate.crime", case, reason),
        }
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return target, ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _receive(self, line: socket.socket, nonce: str, target: str) -> bool:
        """Keep what arrives; True when the response is whole and the connection still stands."""
        received = b""
        while not self.stop.is_set():
            with suppress(TimeoutError):
                try:
                    piece = line.recv(65_536)
                except ConnectionError:
                    piece = b""
                received += piece
                if not piece or _is_whole(received):
                    self.exchanges.append(Exchange(nonce, target, received))
                    self.whole += bool(piece)
                    return bool(piece)
        self.exchanges.append(Exchange(nonce, target, received))
        return False


def _is_whole(received: bytes) -> bool:
    head, gap, body = received.partition(b"\r\n\r\n")
    if not gap:
        return False
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return len(body) >= length


class KilledGate:
    """A gate that is started on one listening socket again and again, and killed under load each time."""

    def __init__(self, settings: Path, database: Path, *options: str) -> None:
        self._command = [sys.executable, __file__, str(settings), str(database), *options]
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=LISTEN)
        self.port: int = self._listening.getsockname()[1]

    def close(self) -> None:
        """Give the port up."""
        self._listening.close()

    @contextmanager
    def serving(self) -> Iterator["subprocess.Popen[bytes]"]:
        """The gate's process, once it is ready; killed at the end if it still lives."""
        process = subprocess.Popen(
            [*self._command, str(self._listening.fileno())],
            pass_fds=[self._listening.fileno()],
            stdout=subprocess.PIPE,
            env=environment(),
        )
        with process:
            try:
                assert process.stdout
                if process.stdout.readline() != b"ready\n":
                    raise RuntimeError("the gate did not start")
                yield process
            finally:
                process.kill()

    def kill_under_load(self, world: World, token: str, chance: random.Random, name: str) -> list[Exchange]:
        """Start the gate, let clients ask until some number of answers came, kill -9 it; all that they received."""
        stop, records = threading.Event(), list(world.both.records.values())
        clients = [
            Client(self.port, records, token, f"{name}-{number}", random.Random(chance.random()), stop)
            for number in range(12)
        ]
        with self.serving() as process:
            threads = [threading.Thread(target=client.run) for client in clients]
            for thread in threads:
                thread.start()
            after = chance.randrange(1, 300)
            while sum(client.whole for client in clients) < after and any(
                map(threading.Thread.is_alive, threads)
            ):
                stop.wait(0.0005)
            stop.wait(chance.random() * 0.02)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            stop.set()
            for thread in threads:
                thread.join()
        return [each for client in clients for each in client.exchanges]


def main(settings: str, database: str, *rest: str) -> None:
    """Serve until killed."""
    *options, descriptor = rest
    if options:
        MUTANTS[options[0]]()
    make: Any = Datasette
    app = PurposeGateMiddleware(
        make([database], settings={"num_sql_threads": 1}).app(), gate=load_gate(settings)
    )
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False)
    server = _Announcing(config)
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


class _Announcing(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            os.write(1, b"ready\n")


def _answer_before_the_entry() -> None:
    """A gate that answers while its entry is still on its way."""
    from purposegate.ledger import pending, writer  # noqa: PLC0415  # in the mutant alone
    from purposegate.ledger.merkle import leaf_hash  # noqa: PLC0415
    from purposegate.model import Receipt  # noqa: PLC0415

    serve = writer.Writer._serve

    def early(self: Any, batch: list[Any]) -> None:
        first = self._head.size
        pending.tell(
            [
                (each, Receipt(shard=self._shard, index=first + at, leaf_hash=leaf_hash(each.encoded.leaf)))
                for at, each in enumerate(batch)
            ]
        )
        stop = threading.Event()
        stop.wait(0.02)
        serve(self, batch)

    patch.object(writer.Writer, "_serve", early).start()


MUTANTS = {"answer before the entry": _answer_before_the_entry}


if __name__ == "__main__":
    main(*sys.argv[1:])
