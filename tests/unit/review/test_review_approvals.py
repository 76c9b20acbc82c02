"""Approvals at the gate: one lookup by one person, once; and no way to give oneself one."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from starlette.types import ASGIApp

from gates import Gated, World, behind
from purposegate.approval import wants_approval
from purposegate.gate import Parts
from purposegate.ledger import keys
from purposegate.model import (
    Conflict,
    EntryKind,
    Lookup,
    Obligation,
    Outcome,
    RecordFacts,
    Row,
    Tier,
    Whose,
)
from purposegate.pages import Pages
from purposegate.protocols import Facts
from purposegate.reasons import Reason
from purposegate.review.desk import Desk
from purposegate.review.docket import Docket, Sealing
from purposegate.review.matters import State
from purposegate.review.pages import MOST_OPEN, pages
from purposegate.review.sqlite_store import SqliteStore
from purposegate.review.terms import Terms
from review_world import (
    PRINCIPAL,
    SERGEANT,
    SUPERVISOR,
    approved,
    asked,
    decide,
    demanding,
    remembering,
    request,
    view,
)
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio


@pytest.fixture
def gated(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    """Datasette behind a gate under which every view needs an approval."""
    return demanding(world, records_system, parts)


def events(gated: Gated) -> list[str]:
    """What the approvals' entries said, in order."""
    return [str(one.fields["event"]) for one in gated.entries if one.kind is EntryKind.APPROVAL]


async def test_an_approved_lookup_is_released_once(world: World, gated: Gated) -> None:
    """An approval releases the lookup it was given for; the same lookup again is refused."""
    before = await view(gated, world.cast.suspect)
    matter = await approved(gated, world.cast.suspect)
    first, second = await view(gated, world.cast.suspect), await view(gated, world.cast.suspect)

    assert (403, 200, 403) == (before.status_code, first.status_code, second.status_code)
    assert ["requested", "approved", "used"] == events(gated)
    release = next(one for one in gated.entries if one.kind is EntryKind.RELEASE)
    assert [{"matter": matter, "approver": SUPERVISOR}] == release.fields["approvals"]


async def test_every_step_is_durable_before_it_is_answered(world: World, gated: Gated) -> None:
    """The entry of a request, of its approval and of its use stand in order, each about the same matter and record."""
    matter = await approved(gated, world.cast.suspect)
    await view(gated, world.cast.suspect)
    found = [one for one in gated.entries if one.kind is EntryKind.APPROVAL]

    assert [matter] * 3 == [one.fields["matter"] for one in found]
    assert [PRINCIPAL, SUPERVISOR, PRINCIPAL] == [one.fields["principal"] for one in found]
    assert [
        [["person", world.both.record_id(world.cast.suspect)]],
        [["person", world.both.record_id(world.cast.suspect)]],
        None,
    ] == [one.fields.get("records") for one in found]


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": "CR/2200/26"},
        {"purpose": "prosecute.casefile"},
        {"action": "export"},
        {"recipient": "T1003"},
        {"originator": "T1003"},
    ],
)
async def test_an_approval_fits_one_lookup_only(world: World, gated: Gated, changes: dict[str, str]) -> None:
    """Another reference, purpose, action, recipient or originator than was approved is refused, and spends nothing."""
    await approved(gated, world.cast.suspect, **changes)
    answer = await view(gated, world.cast.suspect)

    assert (403, ["requested", "approved"]) == (answer.status_code, events(gated))


async def test_an_approval_for_one_record_opens_no_other(world: World, gated: Gated) -> None:
    """What was approved for the witness does not open the suspect."""
    await approved(gated, world.cast.witness)
    answer = await view(gated, world.cast.suspect)

    assert (403, ["requested", "approved"]) == (answer.status_code, events(gated))


async def test_an_approval_for_one_person_helps_no_other(world: World, gated: Gated) -> None:
    """An approval given to a colleague is not the principal's."""
    await approved(gated, world.cast.suspect, who="T1003")
    answer = await view(gated, world.cast.suspect)

    assert 403 == answer.status_code


async def test_a_reload_between_request_and_use_ends_the_approval(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """An approval is bound to the settings and policies it was given under."""
    gated = demanding(world, records_system, parts)
    await approved(gated, world.cast.suspect)
    reloaded = demanding(world, records_system, parts, digest="0" * 64)

    assert 403 == (await view(reloaded, world.cast.suspect)).status_code


@pytest.mark.parametrize("used", [True, False])
async def test_an_approval_lapses(world: World, records_system: ASGIApp, parts: Parts, used: bool) -> None:
    """An hour after it was asked for an approval is worth nothing, and whoever looks is told so by an entry."""
    now = datetime.now(UTC)
    gated = demanding(world, records_system, parts)
    matter = await approved(gated, world.cast.suspect)
    later = remembering(gated, lambda: now + timedelta(minutes=61))
    if used:
        assert 403 == (await view(later, world.cast.suspect)).status_code
    else:
        mine = await later.ask(f"/.purposegate/approvals/{matter}", declared=None)
        assert "expired" == mine.json()["state"]
    assert "expired" == events(later)[-1]


async def test_two_gates_that_share_nothing_but_the_ledger(
    world: World, records_system: ASGIApp, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where everybody's claim is granted, as by a store that was tampered with, the ledger lets one use through at most."""
    gates = [demanding(world, records_system, parts) for _ in range(2)]
    await approved(gates[0], world.cast.suspect)

    async def granted(*_: object) -> bool:
        return True

    monkeypatch.setattr(Docket, "claim", granted)
    answers = await asyncio.gather(*(view(gates[n % 2], world.cast.suspect) for n in range(8)))

    assert [200] * 2 > [one.status_code for one in answers if one.status_code == 200]
    assert 403 == (await view(gates[0], world.cast.suspect)).status_code


async def test_two_gates_use_one_approval_once(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """Of many lookups at the same moment through two gates, one is released."""
    gates = [demanding(world, records_system, parts) for _ in range(2)]
    await approved(gates[0], world.cast.suspect)
    answers = await asyncio.gather(*(view(gates[n % 2], world.cast.suspect) for n in range(8)))

    assert [200] + [403] * 7 == sorted(one.status_code for one in answers)


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        pytest.param("T1001", ("Detective", "Sergeant"), id="the principal"),
        pytest.param("T1003", ("Constable",), id="without the role"),
        pytest.param("T1006", ("Sergeant",), id="no longer here"),
        pytest.param("T9999", ("Sergeant",), id="never here"),
    ],
)
async def test_who_may_not_approve(world: World, gated: Gated, who: str, roles: tuple[str, ...]) -> None:
    """Neither the principal, nor anybody without the role or outside the directory, approves; and nothing moves."""
    matter = await request(gated, world.cast.suspect)
    answer = await decide(gated, matter, who=who, roles=roles)

    assert answer.status_code in (403, 404)
    assert "approved" not in events(gated)


@pytest.mark.parametrize("part", ["originator", "recipient"])
async def test_nobody_approves_what_they_are_part_of(world: World, gated: Gated, part: str) -> None:
    """The originator or recipient of a lookup cannot approve it, however their id is spelt; and it is entered that they tried."""
    matter = await request(gated, world.cast.suspect, **{part: "t1005"})
    listed = await gated.ask("/.purposegate/approvals", **SERGEANT)
    answer = await decide(gated, matter)

    assert matter not in listed.text
    assert (404, ["requested", "barred"]) == (answer.status_code, events(gated))


async def test_an_approver_with_a_tie_that_only_the_record_shows(world: World, gated: Gated) -> None:
    """A supervisor approves their own partner's record, known to them by its id alone: the people in it bar them at use."""
    matter = await approved(gated, world.cast.partner_of_sergeant)
    answer = await view(gated, world.cast.partner_of_sergeant)
    refusal = gated.entries[-1]

    assert (403, "used") == (answer.status_code, events(gated)[-1])
    assert [{"matter": matter, "approver": SUPERVISOR}] == refusal.fields["approvals"]
    assert ["partner"] == [tie["relation"] for tie in refusal.fields["approver_conflicts"]]


async def test_an_approver_with_a_tie_to_the_named_record_never_sees_the_request(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Where the register names the record itself, its relative is not even told that somebody asks for it."""
    record = world.both.record_id(world.cast.suspect)
    facts = TiedApprover(parts.snapshot.facts, SUPERVISOR, record)
    gated = demanding(world, records_system, parts, facts=facts)
    matter = await request(gated, world.cast.suspect)
    listed = await gated.ask("/.purposegate/approvals", **SERGEANT)
    shown = await gated.ask(f"/.purposegate/approvals/{matter}", **SERGEANT)
    answer = await decide(gated, matter)

    assert ([], 404, 404) == (listed.json()["waiting"], shown.status_code, answer.status_code)
    assert "barred" == events(gated)[-1]


async def test_an_approver_who_left_before_it_was_used(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Who no longer works here has approved nothing, and nothing is spent."""
    gated = demanding(world, records_system, parts)
    await approved(gated, world.cast.neighbour)
    later = demanding(world, records_system, parts, facts=Left(parts.snapshot.facts, SUPERVISOR))

    assert (403, []) == ((await view(later, world.cast.neighbour)).status_code, events(later))


class Left:
    """The real facts of a day on which somebody has gone."""

    def __init__(self, facts: Facts, who: str) -> None:
        self._facts, self._who = facts, who

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)

    async def known_as(self, staff_id: str) -> str:
        return "" if staff_id == self._who else await self._facts.known_as(staff_id)


class TiedApprover:
    """The real facts, and a tie of one person to one record."""

    def __init__(self, facts: Facts, who: str, record: str) -> None:
        self._facts, self._who, self._record = facts, who, record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        found = await self._facts.about_records(lookup, rows, stale_ok=stale_ok)
        tie = Conflict(
            whose=Whose.PRINCIPAL,
            relation="sibling",
            tier=Tier.CONFIRMED,
            provenance="self-declared",
            entry="register:r9",
            declared=True,
        )
        tied = lookup.principal.id == self._who
        return tuple(
            replace(one, conflicts=(*one.conflicts, tie)) if tied and row.record.id == self._record else one
            for one, row in zip(found, rows, strict=True)
        )


async def test_a_refused_request_releases_nothing(world: World, gated: Gated) -> None:
    """What a supervisor refused stays refused, and cannot be approved afterwards."""
    matter = await request(gated, world.cast.suspect)
    await decide(gated, matter, "refuse")
    again = await decide(gated, matter)

    assert (404, 403) == (again.status_code, (await view(gated, world.cast.suspect)).status_code)


async def test_an_approval_opens_no_record_of_a_relative(world: World, gated: Gated) -> None:
    """Law 5: with an approval in hand a tie that the record itself shows still refuses."""
    await approved(gated, world.cast.relative)
    answer = await view(gated, world.cast.relative)

    assert (403, "conflict") == (answer.status_code, gated.entries[-1].fields["reasons"][0])


async def test_asking_tells_nothing(world: World, gated: Gated) -> None:
    """Law 7: a record that is there, one that is not, one's own and one that needs no approval are asked for alike."""
    bodies = [
        asked(gated, world.cast.suspect),
        asked(gated, world.cast.suspect, record={"kind": "person", "id": "rec-0-nobody"}),
        asked(gated, world.cast.suspect, record={"kind": "spaceship", "id": "x"}),
        asked(gated, world.cast.officer_themself),
    ]
    answers = [
        await gated.ask(
            "/.purposegate/approvals",
            who="T1002",
            roles=("Constable",),
            declared=None,
            method="POST",
            json=body,
        )
        for body in bodies
    ]
    told = [one.json() for one in answers]
    for one in told:
        one.pop("matter"), one.pop("until"), one.pop("record")

    assert [202] * 4 == [one.status_code for one in answers]
    assert [told[0]] * 4 == told


async def test_one_sees_ones_own_requests_only(world: World, gated: Gated) -> None:
    """A colleague without a role to decide finds nothing, whether they list or name it."""
    matter = await request(gated, world.cast.suspect)
    colleague: dict[str, Any] = {"who": "T1003", "roles": ("Constable",), "declared": None}
    listed = (await gated.ask("/.purposegate/approvals", **colleague)).json()
    named = await gated.ask(f"/.purposegate/approvals/{matter}", **colleague)
    own = await gated.ask(f"/.purposegate/approvals/{matter}", declared=None)

    assert matter not in str(listed)
    assert (404, "waiting") == (named.status_code, own.json()["state"])
    assert "approver" not in own.text


async def test_requests_are_rated(world: World, gated: Gated) -> None:
    """So many requests in a minute are taken, and no more."""
    answers = [
        await gated.ask(
            "/.purposegate/approvals",
            who="T1003",
            roles=("Constable",),
            declared=None,
            method="POST",
            json=asked(gated, world.cast.suspect),
        )
        for _ in range(25)
    ]

    assert {202, 429} == {one.status_code for one in answers}


async def test_nobody_floods_the_supervisors(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """However slowly they are sent, so many requests of one person are open at a time, and no more."""
    desk = parts.snapshot.review
    assert isinstance(desk, Desk)
    patient = Desk(desk.docket, Terms(requests_per_minute=600))
    gated = behind(world, records_system, parts, review=patient, pages=Pages(*pages(patient)))
    answers = [
        await gated.ask(
            "/.purposegate/approvals",
            who="T1004",
            roles=("Paralegal",),
            declared=None,
            method="POST",
            json=asked(gated, world.cast.suspect),
        )
        for _ in range(MOST_OPEN + 2)
    ]

    assert [202] * MOST_OPEN + [429] * 2 == [one.status_code for one in answers]


async def test_a_request_from_another_site_is_refused(world: World, gated: Gated) -> None:
    """A page elsewhere cannot make a supervisor's browser approve."""
    matter = await request(gated, world.cast.suspect)
    answer = await decide(gated, matter, headers={"sec-fetch-site": "cross-site"})

    assert (403, ["requested"]) == (answer.status_code, events(gated))


async def test_an_entry_that_cannot_be_written_decides_nothing(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Without the ledger nothing is asked, approved or used."""
    gated = demanding(world, records_system, parts)
    matter = await request(gated, world.cast.suspect)
    dead = demanding(world, records_system, parts, ledger=DeadLedger(parts))
    answer = await decide(dead, matter)

    assert (503, 200) == (answer.status_code, (await decide(gated, matter)).status_code)


@pytest.mark.parametrize("kept", ["approved", "used"])
async def test_a_tampered_store_approves_nothing(
    world: World, records_system: ASGIApp, parts: Parts, kept: str
) -> None:
    """Rows put back to an earlier state, or taken from elsewhere, are worth nothing that the ledger did not count."""
    gated = demanding(world, records_system, parts)
    file = parts_file(world)
    matter = await request(gated, world.cast.witness)
    await decide(gated, matter)
    before = dump(file)
    assert 200 == (await view(gated, world.cast.witness)).status_code
    if kept == "approved":
        restore(file, before)
    else:
        with apsw.Connection(str(file)) as db:
            db.execute("DELETE FROM claim")
            db.execute("UPDATE matter SET step = 2, until = until + 1000000 WHERE id = ?", (matter,))

    assert 403 == (await view(gated, world.cast.witness)).status_code
    assert 1 == events(gated).count("used")


async def test_a_row_that_no_entry_bears_out_approves_nothing(world: World, gated: Gated) -> None:
    """Even somebody with the key, who writes an approval into the store as a gate would, has no approval in the ledger."""
    matter = await request(gated, world.cast.curiosity)
    ring = keys.load(world.home / "test_review_approvals.db.keys")
    store, sealing = SqliteStore(parts_file(world)), Sealing(ring)
    waiting = sealing.open(store.get(matter))
    assert waiting is not None
    forged = replace(
        waiting,
        state=State.APPROVED,
        step=2,
        body={**waiting.body, "approved": {"principal": SUPERVISOR, "at": waiting.at.isoformat()}},
    )
    written = store.put(sealing.seal(forged))
    store.close()

    assert written
    assert (403, ["requested"]) == ((await view(gated, world.cast.curiosity)).status_code, events(gated))


def parts_file(world: World) -> Path:
    """The file of reviews of this module's gate."""
    return world.home / "test_review_approvals.db.review"


TABLES = ("matter", "party", "claim")


def dump(file: Path) -> dict[str, list[Any]]:
    db = apsw.Connection(str(file))
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}


def restore(file: Path, rows: dict[str, list[Any]]) -> None:
    db = apsw.Connection(str(file))
    with db:
        for name in TABLES:
            db.execute(f"DELETE FROM {name}")
            for row in rows[name]:
                db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)


async def test_of_two_deciders_one_decides(world: World, gated: Gated) -> None:
    """An approval and a refusal at the same moment: one is taken, and one entry says which."""
    matter = await request(gated, world.cast.witness)
    answers = await asyncio.gather(*(decide(gated, matter, verdict) for verdict in ("approve", "refuse") * 3))

    assert [200] + [404] * 5 == sorted(one.status_code for one in answers)
    assert 2 == len(events(gated))


async def test_the_shipped_policies_let_an_approved_sight_through(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Coming back without a cause is refused from some sight on, until a supervisor approves one more; and then refused again."""
    gated = remembering(behind(world, records_system, parts))
    reason = (
        "Statement from a neighbour names this person as a witness to the burglary in Carr Lane on Tuesday"
    )
    declared = f'investigate.crime;ref="CR/2200/26";reason="{reason}"'
    seen = [(await view(gated, world.cast.missing, declared=declared)).status_code for _ in range(7)]
    await approved(gated, world.cast.missing, ref="CR/2200/26", reason=reason)
    after = [(await view(gated, world.cast.missing, declared=declared)).status_code for _ in range(2)]

    assert (200, 403) == (seen[0], seen[-1])
    assert [200, 403] == after


def test_an_approval_is_wanted_only_where_nothing_else_refuses() -> None:
    """Any other reason, or another obligation that is open, and no approval is looked for."""
    lacking = Outcome(
        released=False,
        reasons=(Reason.OBLIGATION_UNMET,),
        obligations=frozenset({Obligation.APPROVE, Obligation.FLAG}),
    )
    flag = frozenset({Obligation.FLAG})

    assert wants_approval(lacking, flag)
    assert not wants_approval(replace(lacking, reasons=(Reason.CONFLICT, Reason.OBLIGATION_UNMET)), flag)
    assert not wants_approval(
        replace(lacking, obligations=frozenset({*lacking.obligations, Obligation.STEP_UP})), flag
    )
    assert not wants_approval(replace(lacking, released=True, reasons=()), flag)
