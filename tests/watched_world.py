"""Two real servers that differ in one thing nobody may see: whether the watcher beside them has covert entries."""

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from demo.force import born_cell, build_records_system, home_cell, name_cell
from gates import World, build_world
from past_lookups import RULES, ship, write_entries
from purposegate.ledger.entry import read_leaf
from purposegate.ledger.index import Opener
from purposegate.ledger.keys import load as load_keys
from purposegate.ledger.reading import ReadingDeclared
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.review.watcher.watching import Cycle, Watcher

CANARY = "Zyxcanarywort"
"""A surname that only the covert entry holds: an alias of somebody whom the records system knows by another name."""
READER = ReadingDeclared("psd-7", "root", "audit.psd", "complaint of the neighbour", "PSD/12")
SERVE = """
import socket, sys
import uvicorn
from datasette.app import Datasette
from purposegate import PurposeGateMiddleware, load_gate
app = PurposeGateMiddleware(Datasette(immutables=["people.db"]).app(), gate=load_gate("purposegate.yaml"))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
START_S = 120.0
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.]+(Z|\+00:00)")
_HEX = re.compile(r"[0-9a-f]{64}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1000,}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One server with its own force, ledger and watcher; all but the watcher's entries are alike."""

    world: World
    watcher: Watcher
    watcher_home: Path

    @property
    def ledger(self) -> Path:
        """The serving database."""
        return self.world.home / "purposegate.db"

    def watch(self) -> Cycle:
        """Ship a copy, and one cycle over it."""
        copy = ship(self.ledger, self.watcher_home.with_name(self.watcher_home.name + "-shipped") / "l.db")
        return self.watcher.cycle(copy, copy.with_name("l.db.keys"))


def arms(folder: Path) -> tuple[Arm, Arm]:
    """The full arm and the empty one: copies of one force, under one issuer."""
    (folder / "force").mkdir()
    world = build_world(folder / "force")
    build_records_system(world.home / "people.db", world.both.records.values())
    world.settings(limits={"refusals_per_minute": 100_000})
    made = []
    for name in ("full", "empty"):
        home = Path(shutil.copytree(world.home, folder / name))
        watcher_home = folder / f"{name}-watcher"
        watcher = Watcher(watcher_home, RULES, zone=ZoneInfo("Europe/London"))
        made.append(Arm(replace(world, home=home), watcher, watcher_home))
    suspect = world.both.register[world.cast.suspect]
    covert = {
        "id": "i1",
        "principal": "T1001",
        "relation": "associate",
        "provenance": "intelligence",
        "names": f"{name_cell(suspect)};Jordie|{CANARY}",
        "born": born_cell(suspect),
        "addresses": home_cell(suspect),
    }
    made[0].watcher.take(write_entries(folder / "intelligence.csv", covert), READER)
    return made[0], made[1]


@contextlib.contextmanager
def served(arm: Arm) -> Iterator[tuple[httpx.Client, int]]:
    """The arm's server in a process of its own: a client of it, and its process id."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (arm.world.home / "server.log").open("wb") as log,
    ):
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = [sys.executable, "-c", SERVE, str(listening.fileno())]
        process = subprocess.Popen(
            command, cwd=arm.world.home, stdout=log, stderr=log, pass_fds=[listening.fileno()]
        )
    try:
        with httpx.Client(base_url=address, timeout=START_S) as client:
            _await(client, process)
            yield client, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            client.get("/")
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def masked(value: Any) -> Any:
    """A value without what differs from run to run: ids drawn at random, moments, hashes, sealed cursors."""
    if isinstance(value, dict):
        return {name: masked(each) for name, each in value.items() if name not in {"pdp_calls", "peer"}}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    if isinstance(value, str):
        plain = _HEX.sub("<hash>", _MOMENT.sub("<moment>", _UUID.sub("<id>", value)))
        return _CURSOR.sub(lambda sealed: f"<cursor of {len(sealed[0])}>", plain)
    return value


def seen_of(answer: httpx.Response) -> tuple[Any, ...]:
    """All that a client sees of an answer, masked; header lines in their order."""
    headers = [
        (name, "<date>" if name == "date" else masked(value)) for name, value in answer.headers.multi_items()
    ]
    return answer.status_code, headers, masked(answer.text)


def ledger_of(path: Path) -> list[Any]:
    """Everything that an arm's ledger says, in order, masked; salts and nonces are not part of what it says."""
    reader = SqliteReader(path)
    try:
        shards = reader.shards()
        opener = Opener(load_keys(path.with_name(path.name + ".keys")), shards)
        said: list[Any] = []
        for shard in shards:
            for stored in reader.entries(shard.number, 0, shard.head.size):
                leaf, payload = read_leaf(stored.leaf), opener.payload(shard.number, stored)
                assert payload is not None
                fields = {name: value for name, value in payload.fields.items() if name != "vkey"}
                said.append(
                    (
                        leaf.shard,
                        leaf.kind,
                        leaf.released,
                        masked(fields),
                        masked(payload.rows),
                        len(payload.tokens),
                    )
                )
        said.append(sorted(count for _, _, count in reader.counters()))
        return said
    finally:
        reader.close()
