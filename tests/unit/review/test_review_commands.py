"""`purposegate approve` against a gate over HTTP; `purposegate review rebuild` of what a gate left; the links of a refusal."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result
from starlette.types import ASGIApp

from demo.walk import declare
from gates import Gated, World, behind, opened
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.cli.approve import approve as command
from purposegate.cli.review import review
from purposegate.gate import Parts
from purposegate.ledger.verify import verify_file
from purposegate.review.sqlite_store import SqliteStore
from review_world import REASON, approved, demanding, request, view

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(gated: Gated) -> AsyncIterator[str]:
    """The gate behind a real server on this loop: its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(gated.asgi, ws="none", lifespan="off", log_config=None, access_log=False)
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


async def run(gated: Gated, folder: Path, who: str, role: str, *words: str, gate: str) -> Result:
    """One command as somebody, in a thread."""
    file = folder / f"{who}.token"
    file.write_text(gated.token(who, role) + "\n")
    arguments = ["--gate", gate, "--token-file", str(file), *words]
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)


def said(result: Result) -> Any:
    """What a command printed."""
    assert 0 == result.exit_code, (result.output, result.exception)
    return json.loads(result.stdout)


async def test_an_approval_from_a_terminal(
    world: World, records_system: ASGIApp, parts: Parts, tmp_path: Path
) -> None:
    """Asked for, listed and given by commands, each with its own person's token; then the lookup goes through."""
    gated = demanding(world, records_system, parts)
    record = f"person/{world.both.record_id(world.cast.suspect)}"
    declared = ("--purpose", "investigate.crime", "--ref", "CR/1042/26", "--reason", REASON)
    async with served(gated) as gate:
        made = said(await run(gated, tmp_path, "T1001", "Detective", "ask", record, *declared, gate=gate))
        listed = said(await run(gated, tmp_path, "T1005", "Sergeant", "list", gate=gate))
        own = await run(gated, tmp_path, "T1001", "Detective", "decide", made["matter"], "approve", gate=gate)
        given = said(
            await run(gated, tmp_path, "T1005", "Sergeant", "decide", made["matter"], "approve", gate=gate)
        )

    assert made["matter"] in [one["matter"] for one in listed["waiting"]]
    assert "404" in str(own.exception)
    assert "approved" == given["state"]
    assert 200 == (await view(gated, world.cast.suspect)).status_code


async def test_a_hand_over_and_countersigns_from_a_terminal(
    world: World, records_system: ASGIApp, parts: Parts, tmp_path: Path
) -> None:
    """A task is handed over and taken; a confirmation is given ahead and ended."""
    gated = behind(world, records_system, parts)
    task = ("T1003", "--purpose", "investigate.crime", "--ref", "CR/1042/26")
    async with served(gated) as gate:
        given = said(await run(gated, tmp_path, "T1001", "Detective", "hand-over", *task, gate=gate))
        taken = said(
            await run(gated, tmp_path, "T1003", "Constable", "task", given["matter"], "taken", gate=gate)
        )
        ahead = said(
            await run(
                gated, tmp_path, "T1003", "Constable", "ahead", "T1001", "--ref", "CR/1042/26", gate=gate
            )
        )
        ended = said(
            await run(gated, tmp_path, "T1003", "Constable", "countersign", ahead["matter"], "end", gate=gate)
        )
        nothing = await run(
            gated, tmp_path, "T1005", "Sergeant", "review", ahead["matter"], "proper", gate=gate
        )

    assert ("taken", "standing", "ended") == (taken["state"], ahead["state"], ended["state"])
    assert "Nothing of this name waits for you" in str(nothing.exception)


async def test_a_token_is_not_sent_in_clear(
    world: World, records_system: ASGIApp, parts: Parts, tmp_path: Path
) -> None:
    """An http address that is not this machine's is refused before anything is sent."""
    gated = behind(world, records_system, parts)
    result = await run(gated, tmp_path, "T1001", "Detective", "list", gate="http://records.example")

    assert "https" in str(result.exception)


async def test_the_store_is_built_again_from_the_ledger(world: World, records_system: ASGIApp) -> None:
    """What is thrown away comes back as it was: an approval that stands, one that was used, a countersign that waits."""
    name = "rebuilt"
    async with opened(world, name) as parts:
        gated = demanding(world, records_system, parts)
        used = await approved(gated, world.cast.suspect)
        await view(gated, world.cast.suspect)
        stands = await approved(gated, world.cast.witness)
        waits = await request(gated, world.cast.witness)
        plain = behind(world, records_system, parts)
        behalf = declare("investigate.crime", "CR/1042/26", originator="T1003")
        await plain.ask(world.path(world.cast.suspect), declared=behalf)
    file = world.home / f"{name}.db.review"
    before = rows(file)
    file.unlink()
    done = await asyncio.to_thread(CliRunner().invoke, review, ["rebuild", str(world.home / f"{name}.db")])

    assert 0 == done.exit_code, done.output
    assert before == rows(file)
    assert {used: 3, stands: 2, waits: 1} == {
        one: step for one, step in before.items() if one in (used, stands, waits)
    }
    assert 4 == len(before)
    async with opened(world, name) as parts:
        gated = demanding(world, records_system, parts)
        again = [
            (await view(gated, number)).status_code for number in (world.cast.suspect, world.cast.witness)
        ]
    assert [403, 200] == again
    assert 0 == verify_file(world.home / f"{name}.db").exit_code


def rows(file: Path) -> dict[str, int]:
    """Each matter's id and how many steps it took."""
    store = SqliteStore(file)
    found = store._rows("SELECT id, step FROM matter")
    store.close()
    return dict(found)


async def test_a_refusal_leads_to_the_gates_own_pages(world: World, records_system: ASGIApp) -> None:
    """Unless the settings name other addresses, the links of a refusal are those of these pages, and they answer."""
    path = world.settings("own_links.yaml")
    text = path.read_text()
    path.write_text(
        text[: text.index("ways_forward:")] + text[text.index("supervisor:") :].partition("\n")[2]
    )
    async with opened_as(path) as parts:
        gated = demanding(world, records_system, parts)
        answer = await view(gated, world.cast.suspect)
        links = {one["rel"]: one["href"] for one in answer.json()["links"]}
        pages = [await gated.ask(links[rel], declared=None) for rel in ("hand-over", "supervisor")]

    assert ("/.purposegate/hand-overs", "/.purposegate/approvals") == (
        links["hand-over"],
        links["supervisor"],
    )
    assert [200, 200] == [one.status_code for one in pages]


async def test_signing_in_anew_is_offered_to_everybody_alike(world: World, records_system: ASGIApp) -> None:
    """Where settings name a method, every refusal links to it, whatever the lookup lacked, and the page names it."""
    path = world.settings("step_up.yaml", identity={"step_up": {"acr_values": ["phr"], "max_age_s": 120}})
    async with opened_as(path) as parts:
        wants = demanding(world, records_system, parts, obligation="step_up")
        tied = behind(world, records_system, parts)
        refused = [await view(wants, world.cast.suspect), await view(tied, world.cast.relative)]
        page = await tied.ask("/.purposegate/purposes", declared=None)

    assert [403, 403] == [one.status_code for one in refused]
    assert refused[0].json()["links"] == refused[1].json()["links"]
    assert "step-up" in [one["rel"] for one in refused[0].json()["links"]]
    assert {"acr_values": ["phr"], "max_age": 120} == page.json()["step-up"]


@asynccontextmanager
async def opened_as(path: Path) -> AsyncIterator[Parts]:
    """Real parts from this file."""
    async with Application(settings_file.load(path)) as parts:
        yield parts


@pytest.mark.parametrize("name", sorted(command.commands))
def test_each_command_explains_itself(name: str) -> None:
    """`--help` of a command needs neither gate nor token; the command itself names what it lacks."""
    explained = CliRunner().invoke(command, [name, "--help"])

    assert (0, True) == (explained.exit_code, "Usage: " in explained.output)


def test_a_command_without_its_gate_is_told() -> None:
    """Without `--gate` nothing is sent, and the message says where it goes."""
    told = CliRunner().invoke(command, ["list"])

    assert (2, True) == (told.exit_code, "--gate and --token-file, before the command's name" in told.output)
