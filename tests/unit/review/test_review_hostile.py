"""Reviews under attack: words that hide what they say, and a desk that breaks while a release waits for it."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp

from gates import Gated, World, behind
from purposegate.gate import Parts
from purposegate.model import EntryKind, Lookup
from purposegate.protocols import Review
from purposegate.review.terms import Terms
from review_world import REASON, SERGEANT, asked, demanding, remembering, request

pytestmark = pytest.mark.anyio

UNSEEN = ["\x1b[2J", "\x9b31m", "\u202e", "\u2028", "\x00", "\x7f"]


@pytest.fixture
def gated(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    """Datasette behind a gate under which every view needs an approval."""
    return demanding(world, records_system, parts)


@pytest.mark.parametrize("field", ["reason", "recipient", "originator"])
@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
async def test_a_supervisor_reads_what_was_typed(world: World, gated: Gated, field: str, unseen: str) -> None:
    """What would move a terminal's cursor, or turn the order of letters round, is refused as in a declaration."""
    body = asked(gated, world.cast.suspect, **{field: f"{REASON}{unseen}and so on"})
    answer = await gated.ask("/.purposegate/approvals", declared=None, method="POST", json=body)

    assert (400, "/.purposegate/problems/field-unseen") == (answer.status_code, answer.json()["type"])
    assert unseen not in answer.text
    assert [] == gated.entries


async def test_a_note_may_have_lines_and_nothing_unseen(world: World, gated: Gated) -> None:
    """A supervisor's note is read by investigators: several lines are theirs to write, control characters are not."""
    matter = await request(gated, world.cast.suspect)
    path = f"/.purposegate/approvals/{matter}"
    answers = [
        await gated.ask(path, method="POST", json={"verdict": "refuse", "note": note}, **SERGEANT)
        for note in ("seen\x1b[1A", "seen\u202e", "Seen.\r\nNot needed.")
    ]

    assert [400, 400, 200] == [each.status_code for each in answers]


class Breaking:
    """The real review, with a fault in it where the originator is to be told."""

    def __init__(self, real: Review) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def on_behalf(self, lookup: Lookup, originator: str) -> None:
        """Break, as no outage does."""
        raise RuntimeError(f"{lookup.id} {originator}")


async def test_a_crash_after_the_entry_is_an_outage(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Laws 1 and 2: what breaks between entry and answer sends nothing of the record, and answers 503 like any crash."""
    real = parts.snapshot.review
    assert real is not None
    gated = behind(world, records_system, parts, review=Breaking(real))
    declared = f'investigate.crime;ref="CR/1042/26";reason="{REASON}";originator="T1003"'
    answer = await gated.ask(world.path(world.cast.suspect), declared=declared)

    assert (503, "/.purposegate/problems/outage") == (answer.status_code, answer.json().get("type"))
    assert [EntryKind.RELEASE] == [entry.kind for entry in gated.entries]


async def test_glass_broken_many_times_at_once_costs_what_it_costs_in_turn(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """However many records somebody breaks glass for at one moment, no more are opened than may stand unreviewed."""
    gated = remembering(behind(world, records_system, parts))
    declared = f'respond.incident;ref="INC/1187/26";reason="{REASON}";break-glass'
    paths = [world.path(number) for number in list(world.both.records)[500:512]]
    answers = await asyncio.gather(
        *(gated.ask(path, who="T1004", roles=("Constable",), declared=declared) for path in paths)
    )
    opened = [answer for answer in answers if answer.status_code == 200]
    noticed = [entry for entry in gated.entries if entry.kind is EntryKind.BROKEN_GLASS]

    assert Terms().glass_unreviewed == len(opened)
    assert 12 == len(noticed)
    assert not any("surname" in answer.text for answer in answers if answer.status_code != 200)


async def test_glass_broken_for_somebody_else_is_another_use(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Opened again for another purpose, or to be passed to somebody, one record is told of again; opened again alike it is not."""
    gated = remembering(behind(world, records_system, parts))
    path, who = world.path(world.cast.missing), dict[str, Any](who="T1003", roles=("Constable",))
    begin = f'respond.incident;ref="INC/1187/26";reason="{REASON}";break-glass'
    other = f'respond.missing;ref="INC/1187/26";reason="{REASON}";break-glass'
    for declared in (begin, begin, f'{begin};recipient="somebody outside"', other):
        assert 200 == (await gated.ask(path, declared=declared, **who)).status_code
    noticed = [entry.fields for entry in gated.entries if entry.kind is EntryKind.BROKEN_GLASS]

    assert [
        ("respond.incident", ""),
        ("respond.incident", "somebody outside"),
        ("respond.missing", ""),
    ] == [(each["purpose"], each["recipient"]) for each in noticed]


async def test_one_record_asked_for_at_once_is_one_use(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """A screen that asks for one record several times over shuts nobody out in an emergency, and is told of once."""
    gated = remembering(behind(world, records_system, parts))
    declared = f'respond.incident;ref="INC/1187/26";reason="{REASON}";break-glass'
    path = world.path(world.cast.missing)
    answers = await asyncio.gather(
        *(gated.ask(path, who="T1001", roles=("Constable",), declared=declared) for _ in range(6))
    )

    assert [200] * 6 == [answer.status_code for answer in answers]
    assert 1 == sum(entry.kind is EntryKind.BROKEN_GLASS for entry in gated.entries)
