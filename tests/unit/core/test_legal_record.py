"""What a real gate writes answers the laws that its settings claim: released, searched, refused and read back."""

import os

import pytest
from starlette.types import ASGIApp

from gates import World, behind, opened
from purposegate.ledger.entry import encode, read_leaf, read_payload
from purposegate.ledger.regimes import REGIMES, Told, missing, operations
from purposegate.model import Entry

pytestmark = pytest.mark.anyio


def told(entry: Entry) -> Told:
    """An entry as whoever has the key reads it."""
    written = encode(entry, shard="shard-0", tokens=(), random=os.urandom)
    leaf = read_leaf(written.leaf)
    keys = {"k": leaf.kind, "d": "released" if leaf.released else "withheld", "t": leaf.at.isoformat()}
    return Told(keys, read_payload(written.payload).fields)


async def test_entries_of_a_real_gate_answer_every_profile(world: World, records_system: ASGIApp) -> None:
    """A view and a search leave no mandatory field empty under any profile; a refusal keeps the same words."""
    agency = {"name": "Northam Police", "ori": "NH0301000"}
    async with opened(world, "legal", regime=list(REGIMES), agency=agency) as parts:
        gated = behind(world, records_system, parts)
        await gated.ask(world.path(world.cast.suspect))
        await gated.ask("/people/person.json?surname=" + "x")
        await gated.ask(world.path(world.cast.relative))
    view, search, refused = (told(entry) for entry in gated.entries)

    assert ["release", "release", "refusal"] == [each.leaf["k"] for each in (view, search, refused)]
    assert [[], []] * len(REGIMES) == [
        missing(law, each) for law in REGIMES.values() for each in (view, search)
    ]
    assert [("consultation",)] * 3 == [operations(each) for each in (view, search, refused)]
    assert ("Northam Police", "NH0301000", ["C"]) == (
        view.fields["legal"]["agency"], view.fields["legal"]["ori"], view.fields["legal"]["ncic"]
    )  # fmt: skip
