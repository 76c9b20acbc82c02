"""`python -m demo`: starts Datasette behind the gate, walks lookups through it over HTTP, then attacks the ledger.

Exits 0 only if every row came out as expected.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx
from rich.console import Console
from rich.table import Table

from demo.force import People, build_records_system, choose_cast, people, write_facts
from demo.issuer import DemoIssuer
from demo.walk import MAYA, Step, declare, steps
from purposegate.ledger.sqlite_file import MAX_INDEX
from purposegate.ledger.verify import verify_file

HOME = Path(".demo")
START_S = 60.0
REASONS = {"route": ("route-unmapped", "route-forbidden", "parameter-unmapped")}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one step."""

    step: Step
    status: int
    problem: str
    entry: str
    faults: tuple[str, ...]


def main() -> int:
    """Set up, walk, break, verify. Returns the exit status."""
    console = Console(width=150)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    both = people()
    cast = choose_cast(both)
    build_records_system(HOME / "people.db", both.records.values())
    write_facts(HOME, both, cast)
    shutil.copy(Path(__file__).with_name("purposegate.yaml"), HOME / "purposegate.yaml")
    issuer = DemoIssuer()
    issuer.write_jwks(HOME / "jwks.json")
    with served() as (address, server):
        console.print(f"Datasette with febrl4's {len(both.records):,} people, behind the gate at {address}\n")
        with httpx.Client(base_url=address, timeout=30) as client:
            seen = [take(client, issuer, step) for step in steps(both, cast)]
            seen += kill_cerbos(client, issuer, server, both, cast.suspect)
    console.print(table(seen))
    sound = report_ledger(console)
    wrong = [one for one in seen if one.faults]
    for one in wrong:
        console.print(f"[red]{one.step.title}: {'; '.join(one.faults)}")
    console.print(f"\n{len(seen) - len(wrong)} of {len(seen)} rows came out as expected.")
    return 0 if sound and not wrong else 1


@contextlib.contextmanager
def served() -> Iterator[tuple[str, int]]:
    """The app of demo/app.py under uvicorn, in a process of its own; gives its address and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (HOME / "server.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "demo.app:app", "--port", str(port), "--log-level", "warning"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(address), "the gate did not start: see .demo/server.log", server)
        yield address, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def answers(address: str) -> bool:
    """Whether the server answers at all."""
    try:
        httpx.get(address, timeout=5)
    except httpx.TransportError:
        return False
    return True


def wait_for(
    holds: Callable[[], bool], otherwise: str, server: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Wait for something to hold. Raises `SystemExit` with the sentence when it does not in time."""
    until = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > until or (server is not None and server.poll() is not None):
            raise SystemExit(otherwise)
        time.sleep(0.1)


def take(client: httpx.Client, issuer: DemoIssuer, step: Step) -> Seen:
    """Make one step, as often as it says, and compare each answer with what must come."""
    faults: list[str] = []
    answer = ask(client, issuer, step)
    faults += differences(step, answer)
    for _ in range(step.times - 1):
        answer = ask(client, issuer, step)
        faults += differences(step, answer)
    return Seen(step, answer.status_code, problem_of(answer), entry_of(answer), tuple(dict.fromkeys(faults)))


def ask(client: httpx.Client, issuer: DemoIssuer, step: Step) -> httpx.Response:
    """One request with the step's identity and declaration."""
    headers = {"access-purpose": step.declared} if step.declared else {}
    if step.by.id:
        headers["authorization"] = f"Bearer {issuer.token(step.by.id, *step.by.roles)}"
    return client.get(step.path, headers=headers)


def problem_of(answer: httpx.Response) -> str:
    """The problem's name, or nothing for a release."""
    if answer.headers.get("content-type") != "application/problem+json":
        return ""
    return str(answer.json()["type"]).rpartition("/")[2]


def entry_of(answer: httpx.Response) -> str:
    """The entry's number in the ledger, as the receipt gives it."""
    return str(answer.headers.get("purposegate-receipt", ";counted")).split(";")[1]


def differences(step: Step, answer: httpx.Response) -> list[str]:
    """What came out otherwise than it must, in sentences."""
    problem = problem_of(answer)
    faults = []
    if answer.status_code != step.status:
        faults.append(f"status {answer.status_code}, want {step.status}")
    if problem not in REASONS.get(step.problem, (step.problem,)):
        faults.append(f"problem {problem or 'none'}, want {step.problem or 'none'}")
    if step.shows and step.shows not in answer.text:
        faults.append("the record is not in the answer")
    if step.hides and step.hides in answer.text:
        faults.append("the withheld record is in the answer")
    if problem and tuple(answer.json().get("because", ())) != step.because:
        faults.append(f"names {answer.json().get('because', [])}, want {list(step.because)}")
    return faults


def kill_cerbos(
    client: httpx.Client, issuer: DemoIssuer, server: int, both: People, suspect: str
) -> Iterator[Seen]:
    """Kill the PDP under load, see 503, and see it come back by itself."""
    path, declared = (
        f"/people/person/{both.record_id(suspect)}.json",
        declare("investigate.crime", "CR/1042/26"),
    )
    for child in cerbos_children(server):
        kill(child)
    down = Step(title="Cerbos killed", by=MAYA, path=path, declared=declared, status=503, problem="outage")
    yield take(client, issuer, down)
    back = Step(title="Cerbos back by itself", by=MAYA, path=path, declared=declared, status=200)
    wait_for(lambda: ask(client, issuer, back).status_code == back.status, "Cerbos did not come back")
    yield take(client, issuer, back)


def kill(process: int) -> None:
    """Kill a process and wait until it has ended: until then the gate may hold it to be alive, and rightly."""
    ended = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(ended, signal.SIGKILL)
        select.select([ended], [], [], START_S)
    finally:
        os.close(ended)


def cerbos_children(parent: int) -> list[int]:
    """The Cerbos processes that the server started, at any depth."""
    processes: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = stat.read_text(encoding="utf-8").partition(" (")
            name, _, fields = rest.rpartition(") ")
            processes[int(number)] = (int(fields.split()[1]), name)
    family = {parent}
    while grown := {child for child, (above, _) in processes.items() if above in family} - family:
        family |= grown
    return [child for child in family - {parent} if processes[child][1].startswith("cerbos")]


def table(seen: list[Seen]) -> Table:
    """The walk as a table."""
    shown = Table(
        "who", "what", "purpose", "relation", "outcome", "reason", "entry", box=None, header_style="bold"
    )
    for one in seen:
        step = one.step
        outcome = "released" if one.status == httpx.codes.OK else f"refused {one.status}"
        if one.status == httpx.codes.SERVICE_UNAVAILABLE:
            outcome = "outage 503"
        shown.add_row(
            step.by.id or "-",
            step.title,
            step.declared.partition(";")[0] or "-",
            step.relation,
            f"[red]{outcome}" if one.faults else outcome,
            one.problem or "-",
            one.entry,
        )
    return shown


def report_ledger(console: Console) -> bool:
    """Verify the ledger; then change one byte of a copy and see that verification names the entry."""
    ledger = HOME / "ledger.db"
    intact = verify_file(ledger)
    console.print(f"\nledger verify: {intact.text().strip()}")
    copy = HOME / "tampered" / "ledger.db"
    copy.parent.mkdir()
    for part in HOME.glob("ledger.db*"):
        shutil.copy(part, copy.parent / part.name)
    entry = alter_one_byte(copy)
    tampered = verify_file(copy)
    console.print(f"\none byte of entry {entry} changed in a copy: {tampered.text().strip()}")
    named = str(entry) in tampered.text()
    return intact.exit_code == 0 and tampered.exit_code == 1 and named


def alter_one_byte(path: Path) -> int:
    """Do what a database administrator could: take the triggers off and change a byte. Returns the entry's number."""
    with contextlib.closing(apsw.Connection(str(path))) as database:
        for (name,) in list(database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
            database.execute(f'DROP TRIGGER "{name}"')
        position, leaf = next(database.execute("SELECT pos, data FROM leaf ORDER BY pos LIMIT 1 OFFSET 3"))
        changed = bytearray(leaf)
        changed[len(changed) // 2] ^= 1
        database.execute("UPDATE leaf SET data = ? WHERE pos = ?", (bytes(changed), position))
    return int(position) & MAX_INDEX


if __name__ == "__main__":
    sys.exit(main())
