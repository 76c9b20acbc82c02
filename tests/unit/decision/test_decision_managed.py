"""The managed Cerbos: its life, its deaths, its reloads, and what nobody else can reach."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest

from cerbos_world import CERBOS, POLICIES, ROOT, USUAL, policy, rule, write
from purposegate.decision import ManagedDecider, policies_digest
from purposegate.errors import PdpOutage, PolicyError
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

OPEN = policy("record", rule("open", "ALLOW"))
SHUT = policy("record", rule("shut", "DENY"))


def decider(directory: Path, **more: object) -> ManagedDecider:
    return ManagedDecider(directory, binary=CERBOS, **{"deadline_s": 5.0, **more})  # type: ignore[arg-type] # test's own


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[ManagedDecider]:
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}))
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
def run() -> Iterator[Path]:
    """A runtime directory with a short path: pytest's own are too long for a socket."""
    with TemporaryDirectory(prefix="pg") as directory:
        yield Path(directory, "run")


async def allowed(asked: ManagedDecider) -> bool:
    return (await asked.decide([USUAL], lookup_id="lookup-1")).answers[0].allowed


async def allowed_until_it_fails(asked: ManagedDecider) -> None:
    """A kill takes a moment to arrive; every answer until then is a true one."""
    while True:
        assert await allowed(asked)


async def allowed_again(asked: ManagedDecider) -> bool:
    """What is answered once outages are over, as they will be by themselves."""
    deadline = monotonic() + 20
    while True:
        try:
            return await allowed(asked)
        except PdpOutage:
            assert monotonic() < deadline
            await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that will come by itself; twenty seconds are for a machine under load."""
    deadline = monotonic() + 20
    while not holds():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def listing(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def network_sockets(pid: int) -> set[str]:
    """The TCP and UDP sockets that a process has open."""
    own = {str(link.readlink()) for link in listing(Path(f"/proc/{pid}/fd"))}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6", "udp", "udp6")]
    return own & {f"socket:[{line.split()[9]}]" for table in tables for line in table.splitlines()[1:]}


async def test_a_killed_cerbos_is_an_outage_and_comes_back(opened: ManagedDecider) -> None:
    """Killed outright, Cerbos is an outage, never a refusal; its return is noticed by itself."""
    killed = opened.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(PdpOutage) as caught:
        await allowed_until_it_fails(opened)

    assert Reason.PDP_UNAVAILABLE == caught.value.reason
    await until(lambda: opened.pid not in {None, killed})
    assert await allowed_again(opened)


async def test_a_cerbos_that_hangs_is_replaced(
    opened: ManagedDecider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped Cerbos does not answer: each lookup ends at its deadline as an outage, and health checks replace it."""
    monkeypatch.setattr("purposegate.decision.supervisor.HEALTH_S", 0.05)
    monkeypatch.setattr("purposegate.decision.supervisor.HEALTH_ANSWER_S", 0.1)
    hung = opened.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(PdpOutage) as caught:
        await opened.decide([USUAL], lookup_id="lookup-1")

    assert Reason.PDP_UNAVAILABLE == caught.value.reason
    await until(lambda: opened.pid not in {None, hung})
    assert await allowed_again(opened)
    assert not runs(hung)


async def test_calls_in_flight_when_cerbos_dies_are_outages(opened: ManagedDecider) -> None:
    """Whatever is being asked while Cerbos is killed is either answered truly or an outage."""
    pid = opened.pid
    assert pid is not None
    asking = [asyncio.ensure_future(allowed(opened)) for _ in range(200)]
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    told = await asyncio.gather(*asking, return_exceptions=True)

    assert all(answer is True or isinstance(answer, PdpOutage) for answer in told)


async def test_before_start_and_after_close_nothing_is_decided(tmp_path: Path) -> None:
    """A decider that is not started, or is closed, raises; its digest is unverified and it claims to read ids."""
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}))
    with pytest.raises(PdpOutage):
        await allowed(made)
    assert ("unverified", True, "") == (made.digest, made.reads_record_ids, made.version)
    await made.start()
    await made.start()
    assert ("0.55.0", policies_digest(tmp_path / "policies")) == (made.version, made.digest)
    await made.aclose()
    await made.aclose()
    with pytest.raises(PdpOutage):
        await allowed(made)


async def test_closing_leaves_nothing_behind(tmp_path: Path, run: Path) -> None:
    """After close no Cerbos runs and the private directory is gone."""
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run)
    await made.start()
    pid = made.pid
    assert pid is not None
    await made.aclose()

    assert not runs(pid)
    assert [] == listing(run)


async def test_the_socket_is_private(tmp_path: Path, run: Path) -> None:
    """Cerbos listens on one Unix socket of mode 0600 in a directory of mode 0700, and on no network address."""
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run)
    await made.start()
    try:
        (private,) = listing(run)
        (socket,) = (path for path in listing(private) if path.is_socket())
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (run, private, socket)]
        assert made.pid is not None
        networked = network_sockets(made.pid)
    finally:
        await made.aclose()

    assert [0o700, 0o700, 0o600] == modes
    assert set() == networked


async def test_policies_in_use_do_not_change_by_themselves(opened: ManagedDecider, tmp_path: Path) -> None:
    """Editing a policy file changes nothing until a reload; the digest stays that of what decides."""
    before = opened.digest
    write(tmp_path / "policies", {"a.yaml": SHUT})

    assert await allowed(opened)
    assert before == opened.digest


async def test_a_reload_changes_policies_and_digest_together(opened: ManagedDecider, tmp_path: Path) -> None:
    """After a reload the new policies decide under the new digest, and the old Cerbos is gone."""
    old = opened.pid
    assert old is not None
    write(tmp_path / "policies", {"a.yaml": SHUT})
    digest = await opened.reload()

    assert policies_digest(tmp_path / "policies") == digest == opened.digest
    assert not await allowed(opened)
    assert not runs(old)


async def test_a_reload_without_change_keeps_the_same_cerbos(opened: ManagedDecider) -> None:
    """Reloading unchanged policies starts nothing."""
    before = opened.pid

    assert opened.digest == await opened.reload()
    assert before == opened.pid


async def test_a_reload_can_name_another_directory(opened: ManagedDecider, tmp_path: Path) -> None:
    """A reload may take its policies from elsewhere, and later reloads stay there."""
    elsewhere = write(tmp_path / "other", {"a.yaml": SHUT})
    await opened.reload(elsewhere)
    write(elsewhere, {"a.yaml": OPEN})
    await opened.reload()

    assert await allowed(opened)


@pytest.mark.parametrize(
    ("files", "line", "where"),
    [
        ({"a.yaml": OPEN, "b.yaml": "apiVersion: api.cerbos.dev/v1\nresourcePolicy: [\n"}, 3, ""),
        ({"a.yaml": OPEN.replace('"rules"', '"rulez"')}, 1, ""),
        ({"a.yaml": OPEN, "b.yaml": OPEN}, 1, ""),
        ({"a.yaml": OPEN.replace('"version"', '"importDerivedRoles": ["nowhere"], "version"')}, 1, ""),
    ],
    ids=["yaml", "key", "duplicate", "import"],
)
async def test_broken_policies_keep_the_old(
    opened: ManagedDecider, tmp_path: Path, files: dict[str, str], line: int, where: str
) -> None:
    """Policies that Cerbos would not load are refused by file and line, and the old ones go on deciding."""
    before = (opened.digest, opened.pid)
    with pytest.raises(PolicyError) as caught:
        await opened.reload(write(tmp_path / "broken", files))

    assert line == caught.value.findings[0].line
    assert before == (opened.digest, opened.pid)
    assert await allowed(opened)


async def test_lookups_during_reloads_are_all_answered(opened: ManagedDecider, tmp_path: Path) -> None:
    """While policies change over and over no lookup fails, and each answer fits the digest it came with."""
    open_digest, shut_digest = opened.digest, policies_digest(write(tmp_path / "shut", {"a.yaml": SHUT}))
    fits = {open_digest: True, shut_digest: False}
    done = asyncio.Event()
    told: list[bool] = []

    async def ask() -> None:
        while not done.is_set():
            ruling = await opened.decide([USUAL], lookup_id="lookup-1")
            told.append(ruling.answers[0].allowed is fits[ruling.digest])

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for _ in range(3):
        await opened.reload(tmp_path / "shut")
        await opened.reload(tmp_path / "policies")
    done.set()
    await asyncio.gather(*asking)

    assert told
    assert all(told)


async def test_any_loop_may_ask(opened: ManagedDecider) -> None:
    """Event loops in several threads ask one decider at once, and get the same answers."""
    told: list[bool] = []

    async def several() -> None:
        told.extend(await asyncio.gather(*(allowed(opened) for _ in range(25))))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
    for thread in threads:
        thread.start()
    told.extend([await allowed(opened) for _ in range(25)])
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert [True] * 125 == told


async def test_loops_that_ended_are_forgotten(opened: ManagedDecider) -> None:
    """A loop that ended without a word leaves no channel behind once another loop asks."""
    serving = opened._serving
    assert serving is not None
    for _ in range(3):
        await asyncio.to_thread(lambda: asyncio.run(allowed(opened)))

    assert 1 >= len(serving.client._channels)


async def test_a_directory_that_was_cleaned_away_is_made_anew(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tidies up temporary files takes socket and policies along; both come back by themselves."""
    monkeypatch.setattr("purposegate.decision.supervisor.HEALTH_S", 0.05)
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run)
    await made.start()
    before = made.pid
    (private,) = listing(run)
    shutil.rmtree(private)
    await until(lambda: made.pid not in {None, before})

    assert await allowed_again(made)
    assert 0o700 == stat.S_IMODE(private.stat().st_mode)
    await made.aclose()


async def test_a_program_that_forgets_to_close_ends_cleanly(tmp_path: Path, run: Path) -> None:
    """Without a close the process still ends at once and quietly, and its Cerbos with it."""
    write(tmp_path / "policies", {"a.yaml": OPEN})
    forgetful = DYING.replace("await asyncio.sleep(600)", "return")
    with other_process(tmp_path, run, program=forgetful) as process:
        told, complaints = process.communicate()

    assert (0, "") == (process.returncode, complaints)
    await until(lambda: not runs(int(told)))


async def test_directories_of_the_living_are_not_swept(tmp_path: Path, run: Path) -> None:
    """Another start beside a running one leaves its directory alone."""
    one, two = (decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run) for _ in range(2))
    await one.start()
    await two.start()

    assert (True, True) == (await allowed(one), await allowed(two))
    assert one.pid != two.pid
    await one.aclose()
    assert await allowed(two)
    await two.aclose()


DYING = """
import asyncio, sys
from pathlib import Path
from purposegate.decision import ManagedDecider

async def main():
    decider = ManagedDecider(Path(sys.argv[1]), binary=Path(sys.argv[2]), runtime_dir=Path(sys.argv[3]), shared=bool(sys.argv[4]))
    await decider.start()
    print(decider.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def other_process(
    tmp_path: Path, run: Path, *, shared: str = "", program: str = DYING
) -> "subprocess.Popen[str]":
    """A gate of its own in another process; it prints its Cerbos' process id once it serves."""
    run.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-c", program, str(tmp_path / "policies"), str(CERBOS), str(run), shared]
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


async def test_cerbos_dies_with_its_parent(tmp_path: Path, run: Path) -> None:
    """A gate killed outright takes its Cerbos along; the next start sweeps the directory it left."""
    write(tmp_path / "policies", {"a.yaml": OPEN})
    with other_process(tmp_path, run) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert runs(child)
        parent.kill()
    await until(lambda: not runs(child))
    (left,) = listing(run)

    made = decider(tmp_path / "policies", runtime_dir=run)
    await made.start()
    await made.aclose()
    assert not left.exists()


async def test_workers_share_one_cerbos_and_take_over(tmp_path: Path, run: Path) -> None:
    """Worker processes with one runtime directory share one Cerbos; when the one that runs it is killed, another does."""
    write(tmp_path / "policies", {"a.yaml": OPEN})
    with other_process(tmp_path, run, shared="yes") as owner:
        assert owner.stdout is not None
        assert owner.stderr is not None
        said = owner.stdout.readline()
        assert said, owner.stderr.read()
        first = int(said)
        made = decider(tmp_path / "policies", runtime_dir=run, shared=True)
        await made.start()
        assert made.pid is None
        assert await allowed(made)
        owner.kill()
    await until(lambda: not runs(first))
    await until(lambda: made.pid is not None)

    assert await allowed_again(made)
    await made.aclose()


async def test_a_leaving_worker_hands_cerbos_over(tmp_path: Path, run: Path) -> None:
    """The worker that runs the shared Cerbos leaves only when another's stands in its place: no lookup notices."""
    write(tmp_path / "policies", {"a.yaml": OPEN})
    one, two = (decider(tmp_path / "policies", runtime_dir=run, shared=True) for _ in range(2))
    await one.start()
    await two.start()
    assert two.pid is None
    told: list[bool] = []
    done = asyncio.Event()

    async def asking() -> None:
        while not done.is_set():
            told.append(await allowed(two))

    task = asyncio.create_task(asking())
    await one.aclose()
    await until(lambda: two.pid is not None)
    done.set()
    await task

    assert told
    assert all(told)
    assert await allowed(two)
    await two.aclose()
    assert [] == [path for path in listing(run) if path.is_socket()]


async def test_workers_that_leave_together_do_not_wait_for_each_other(tmp_path: Path, run: Path) -> None:
    """When all workers of a service stop at once, nobody takes over and nothing is left running."""
    write(tmp_path / "policies", {"a.yaml": OPEN})
    crew = [decider(tmp_path / "policies", runtime_dir=run, shared=True) for _ in range(3)]
    for one in crew:
        await one.start()
    pid = crew[0].pid
    assert pid is not None
    await asyncio.gather(*(one.aclose() for one in crew))

    assert not runs(pid)
    assert all(one.pid is None for one in crew)


async def test_a_close_during_the_start_wins(tmp_path: Path, run: Path) -> None:
    """Closed while it starts, a decider ends closed, with nothing running, and can be started again."""
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run)
    starting = asyncio.create_task(made.start())
    await asyncio.sleep(0.01)
    await made.aclose()
    await starting
    await made.aclose()

    assert made.pid is None
    await made.start()
    assert await allowed(made)
    await made.aclose()


async def test_a_runtime_directory_others_can_enter_is_refused(tmp_path: Path, run: Path) -> None:
    """Whoever can enter the directory could answer in Cerbos' place, so it must be private."""
    os.mkdir(run, mode=0o755)  # noqa: PTH102 - nothing waits here
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run)
    with pytest.raises(PdpOutage, match="0700"):
        await made.start()


async def test_a_runtime_directory_with_too_long_a_path_is_refused(tmp_path: Path, run: Path) -> None:
    """A socket path past what Linux takes is named before Cerbos is started."""
    made = decider(write(tmp_path / "policies", {"a.yaml": OPEN}), runtime_dir=run.parent / ("d" * 90))
    with pytest.raises(PdpOutage, match="too long"):
        await made.start()


async def test_policies_that_do_not_load_start_nothing(tmp_path: Path, run: Path) -> None:
    """A start with policies Cerbos will not load names file and line, and leaves nothing running."""
    broken = OPEN.replace("EFFECT_ALLOW", "EFFECT_MAYBE")
    made = decider(write(tmp_path / "policies", {"a.yaml": broken}), runtime_dir=run)
    with pytest.raises(PolicyError) as caught:
        await made.start()

    assert caught.value.findings[0].file.endswith("a.yaml")
    assert [] == listing(run)
    with pytest.raises(PdpOutage):
        await allowed(made)


async def test_a_forked_worker_must_start_its_own(opened: ManagedDecider) -> None:
    """A decider carried across a fork raises: gRPC's threads and the supervisor did not come along."""
    opened._process_id = os.getpid() + 1
    with pytest.raises(PdpOutage, match="forked"):
        await allowed(opened)


async def test_a_restarted_cerbos_is_proved_again(
    opened: ManagedDecider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Cerbos that comes back unfit is not asked: the outage says why."""
    monkeypatch.setattr("purposegate.decision.canary.faults", lambda *_: ("a canary is silent",))
    pid = opened.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: opened._serving is not None and "canary is silent" in str(opened._serving.fault()))

    with pytest.raises(PdpOutage, match="canary is silent"):
        await allowed(opened)


async def test_words_outside_a_schema_are_an_outage(shipped: ManagedDecider) -> None:
    """What the shipped schemas reject was no question they can answer: an outage that names the attribute, not its value."""
    with pytest.raises(PdpOutage) as caught:
        await shipped.decide([replace(USUAL, tenure="sekret")], lookup_id="lookup-1")

    assert Reason.PDP_ANSWER_MALFORMED == caught.value.reason
    assert "/tenure" in str(caught.value)
    assert "sekret" not in str(caught.value)


async def test_the_shipped_policies_read_no_record_ids(shipped: ManagedDecider) -> None:
    """So rows that policies cannot tell apart are asked about once."""
    assert not shipped.reads_record_ids
    assert policies_digest(POLICIES) == shipped.digest
