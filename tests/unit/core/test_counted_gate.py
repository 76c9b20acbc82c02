"""Counting through the whole gate: recycled reasons, fishing and breadth, as its entries tell them."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.walk import declare
from gates import Gated, World, behind
from hostile import HostileApp, row_page
from purposegate.model import EntryKind
from purposegate.parts import Parts

pytestmark = pytest.mark.anyio

FULL = "Checking the address on the witness statement again before the interview at two, as asked by the case lead"
OWEN: dict[str, Any] = {"who": "T1004", "roles": ("Paralegal",)}


def _declared(reason: str) -> str:
    return declare("prosecute.casefile", "CR/1042/26", reason)


@pytest.fixture
def gated(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    return behind(world, records_system, parts)


async def test_words_given_for_many_records_justify_nothing(gated: Gated) -> None:
    """The fifth record under one full reason waits; with words of its own the same record goes out."""
    people = list(gated.world.both.records)[800:805]
    recycled = [
        (await gated.ask(gated.world.path(one), declared=_declared(FULL), **OWEN)).status_code
        for one in people
    ]
    fresh = await gated.ask(
        gated.world.path(people[-1]),
        declared=_declared(
            "New telephone number for the neighbour who heard the window break, before court on Friday"
        ),
        **OWEN,
    )
    refused, released = gated.entries[-2:]

    assert ([200] * 4 + [403], 200) == (recycled, fresh.status_code)
    assert (["recycled"], FULL) == (
        [word for word, _ in refused.fields["reason_judged"]],
        refused.fields["reason"],
    )
    assert [] == released.fields["reason_judged"]


async def test_a_refused_look_is_counted_nowhere(gated: Gated) -> None:
    """Nothing was seen: the entry of a refusal raises no count, and that of a release every one it says."""
    path = gated.world.path(list(gated.world.both.records)[810])
    for _ in range(5):
        await gated.ask(
            path, declared=_declared("Witness moved house, new address for the summons on Monday"), **OWEN
        )
    kinds = [entry.kind for entry in gated.entries]

    assert [EntryKind.RELEASE] * 3 + [EntryKind.REFUSAL] * 2 == kinds
    assert [bool(entry.counts) for entry in gated.entries] == [kind is EntryKind.RELEASE for kind in kinds]
    assert [1, 2, 3, 4, 4] == [entry.rows[0]["sight"] for entry in gated.entries]


async def test_fishing_stands_in_the_entry(gated: Gated) -> None:
    """Six searches by a few letters in a row: the pattern, the count behind it, and how many lookups the day has had."""
    for letters in ("sm", "smi", "smit", "bro", "brow", "jon"):
        await gated.ask(
            f"/people/person.json?surname__startswith={letters}&_size=1",
            declared=_declared("Looking for the witness whose name the caller only half caught"),
            **OWEN,
        )
    found = [(entry.fields["patterns"], entry.fields["numbers"]["partial-run"]) for entry in gated.entries]
    first, last = gated.entries[0].fields["numbers"], gated.entries[-1].fields["numbers"]

    assert [["partial-name"]] == [patterns for patterns, _ in found[-1:]]
    assert [[]] * 5 == [patterns for patterns, _ in found[:-1]]
    assert (list(range(1, 7)), 5) == ([run for _, run in found], last["lookups"] - first["lookups"])


class StallsOnce(HostileApp):
    """Keeps its first request waiting until it is told to go on."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.stalled, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait if nobody waited yet, then answer."""
        if not self.stalled.is_set():
            self.stalled.set()
            await self.go_on.wait()
        await super().__call__(scope, receive, send)


async def test_one_look_that_never_ends_hides_no_others(world: World, parts: Parts) -> None:
    """While a slow lookup of the record is under way, those that come and go beside it are counted like any others."""
    number = list(world.both.records)[820]
    app = StallsOnce(row_page(world.both.records[number]))
    gated = behind(world, app, parts)
    declared = _declared(
        "Shop manager remembers the driver's face, identification suite on Tuesday afternoon"
    )
    slow = asyncio.create_task(gated.ask(world.path(number), declared=declared, **OWEN))
    await app.stalled.wait()
    beside = [(await gated.ask(world.path(number), declared=declared, **OWEN)).status_code for _ in range(5)]
    app.go_on.set()

    assert ([200, 200, 403, 403, 403], 200) == (beside, (await slow).status_code)
