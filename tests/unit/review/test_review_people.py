"""Hand-overs, countersigns and broken glass at the gate."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.types import ASGIApp

from demo.walk import declare
from gates import Gated, World, behind
from purposegate.gate import Parts
from purposegate.model import Action, Declaration, Entry, EntryKind, Lookup, Principal
from purposegate.review.desk import Desk
from purposegate.review.terms import Terms
from purposegate.step_up import StepUp
from review_world import SERGEANT, Demanding, approved, remembering
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio

ON_BEHALF = declare("investigate.crime", "CR/1042/26", originator="T1003")
GLASS = declare("respond.missing", "INC/1187/26", "A child is missing and a threat to life", broken=True)
COLLEAGUE: dict[str, Any] = {"who": "T1003", "roles": ("Constable",), "declared": None}
RESPONSE: dict[str, Any] = {"who": "T1002", "roles": ("Constable",)}


@pytest.fixture
def gated(world: World, records_system: ASGIApp, parts: Parts) -> Gated:
    """Datasette behind a gate of its own."""
    return remembering(behind(world, records_system, parts))


def of(gated: Gated, kind: EntryKind) -> list[Entry]:
    """The entries of a kind, in order."""
    return [one for one in gated.entries if one.kind is kind]


async def test_a_task_goes_to_a_colleague_without_the_record(gated: Gated) -> None:
    """The colleague sees the reference, the purpose and who gave it; each step is an entry that names no record."""
    body = {"to": "t1003", "purpose": "investigate.crime", "ref": "CR/1042/26"}
    given = await gated.ask("/.purposegate/hand-overs", declared=None, method="POST", json=body)
    matter = given.json()["matter"]
    (task,) = [
        one
        for one in (await gated.ask("/.purposegate/hand-overs", **COLLEAGUE)).json()["to_me"]
        if one["matter"] == matter
    ]
    steps = [
        await gated.ask(f"/.purposegate/hand-overs/{matter}", method="POST", json={"step": step}, **COLLEAGUE)
        for step in ("taken", "done")
    ]

    assert ("CR/1042/26", "investigate.crime", "T1001", "T1003") == (
        task["ref"],
        task["purpose"],
        task["from"],
        task["to"],
    )
    assert (201, [200, 200]) == (given.status_code, [one.status_code for one in steps])
    entries = of(gated, EntryKind.HAND_OVER)
    assert ["passed", "taken", "done"] == [one.fields["event"] for one in entries]
    assert not any("records" in one.fields for one in entries)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"to": "T9999", "purpose": "investigate.crime", "ref": "CR/1042/26"}, id="a stranger"),
        pytest.param({"to": "T1006", "purpose": "investigate.crime", "ref": "CR/1042/26"}, id="a leaver"),
        pytest.param({"to": "T1001", "purpose": "investigate.crime", "ref": "CR/1042/26"}, id="oneself"),
        pytest.param({"to": "T1003", "purpose": "nosiness", "ref": "CR/1042/26"}, id="no purpose"),
        pytest.param(
            {"to": "T1003", "purpose": "investigate.crime", "ref": "see John Smith"},
            id="a name for a reference",
        ),
    ],
)
async def test_a_task_that_cannot_be_handed_over(gated: Gated, body: dict[str, str]) -> None:
    """A stranger, a leaver, oneself, no purpose of the catalogue, or a text in place of a reference: refused, and no entry."""
    answer = await gated.ask("/.purposegate/hand-overs", declared=None, method="POST", json=body)

    assert (400, []) == (answer.status_code, of(gated, EntryKind.HAND_OVER))


async def test_only_the_recipient_answers_a_task(gated: Gated) -> None:
    """Whoever gave a task, or anybody else, cannot take it."""
    body = {"to": "T1003", "purpose": "investigate.crime", "ref": "CR/1042/26"}
    given = await gated.ask("/.purposegate/hand-overs", declared=None, method="POST", json=body)
    path = f"/.purposegate/hand-overs/{given.json()['matter']}"
    answer = await gated.ask(path, declared=None, method="POST", json={"step": "taken"})

    assert 404 == answer.status_code


async def waiting(gated: Gated) -> list[dict[str, Any]]:
    """What waits for the originator's answer."""
    found: list[dict[str, Any]] = (await gated.ask("/.purposegate/countersigns", **COLLEAGUE)).json()[
        "waiting"
    ]
    lookups = {one.lookup_id for one in of(gated, EntryKind.RELEASE)}
    return [one for one in found if one["matter"] in lookups]


@pytest.mark.parametrize(("verdict", "event"), [("confirm", "confirmed"), ("deny", "denied")])
async def test_an_originator_answers(world: World, gated: Gated, verdict: str, event: str) -> None:
    """A lookup on another's behalf goes out and waits for them; their answer is an entry, and can be given once."""
    answer = await gated.ask(world.path(world.cast.suspect), declared=ON_BEHALF)
    (one,) = await waiting(gated)
    path = f"/.purposegate/countersigns/{one['matter']}"
    said = [
        await gated.ask(
            path, method="POST", json={"verdict": verdict, "note": "I asked by radio"}, **COLLEAGUE
        )
        for _ in range(2)
    ]

    assert (200, 200, 404) == (answer.status_code, said[0].status_code, said[1].status_code)
    assert [event] == [entry.fields["event"] for entry in of(gated, EntryKind.COUNTERSIGN)]
    assert [] == await waiting(gated)
    assert world.both.record_id(world.cast.suspect) not in str(one)


async def test_nobody_else_answers_for_the_originator(world: World, gated: Gated) -> None:
    """Neither the principal nor a supervisor can confirm in the originator's place."""
    await gated.ask(world.path(world.cast.suspect), declared=ON_BEHALF)
    (one,) = await waiting(gated)
    path = f"/.purposegate/countersigns/{one['matter']}"
    answers = [
        await gated.ask(path, method="POST", json={"verdict": "confirm"}, **who)
        for who in ({"declared": None}, SERGEANT)
    ]

    assert [404, 404] == [one.status_code for one in answers]


async def test_a_lookup_confirmed_ahead_waits_for_nobody(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """A standing confirmation covers this principal and this reference until it is ended, and nothing else."""
    now = datetime.now(UTC)
    gated = remembering(behind(world, records_system, parts))
    given = await gated.ask(
        "/.purposegate/countersigns",
        method="POST",
        json={"principal": "t1001", "ref": "CR/1042/26"},
        **COLLEAGUE,
    )
    covered = await gated.ask(world.path(world.cast.suspect), declared=ON_BEHALF)
    after_covered = await waiting(gated)
    later = remembering(behind(world, records_system, parts), lambda: now + timedelta(days=29))
    lapsed = await later.parts.snapshot.review.confirmed(lookup_of(gated, now + timedelta(days=29)), "T1003")  # type: ignore[union-attr]
    ended = await gated.ask(
        f"/.purposegate/countersigns/{given.json()['matter']}",
        method="POST",
        json={"verdict": "end"},
        **COLLEAGUE,
    )
    await gated.ask(world.path(world.cast.suspect), declared=ON_BEHALF)

    assert (201, 200, [], False, 200) == (
        given.status_code,
        covered.status_code,
        after_covered,
        lapsed,
        ended.status_code,
    )
    assert 1 == len(await waiting(gated))
    assert [True, False] == [one.fields["originator_confirmed"] for one in of(gated, EntryKind.RELEASE)]


def lookup_of(gated: Gated, at: datetime) -> Any:
    """The lookup that the confirmation covers, at another time."""
    return Lookup(
        id="l1",
        at=at,
        principal=Principal(id="T1001", roles=()),
        action=Action.VIEW,
        kind="person",
        records=(),
        declaration=Declaration(purpose="investigate.crime", ref="CR/1042/26", originator="T1003"),
    )


async def break_glass(gated: Gated, number: str, **changes: Any) -> Any:
    """View a record with glass declared broken."""
    return await gated.ask(gated.world.path(number), **{"declared": GLASS, **RESPONSE, **changes})


async def test_broken_glass_is_told_to_a_supervisor_who_reviews_it(world: World, gated: Gated) -> None:
    """One use of one record makes one notice, before it is sent, which a supervisor reviews once."""
    for _ in range(2):
        assert 200 == (await break_glass(gated, world.cast.missing)).status_code
    (notice,) = of(gated, EntryKind.BROKEN_GLASS)
    path = f"/.purposegate/reviews/{notice.fields['matter']}"
    listed = (await gated.ask("/.purposegate/reviews", **SERGEANT)).json()["waiting"]
    own = await gated.ask(
        path, method="POST", json={"verdict": "proper"}, who="T1002", roles=("Sergeant",), declared=None
    )
    without_role = await gated.ask(path, method="POST", json={"verdict": "proper"}, **COLLEAGUE)
    said = [
        await gated.ask(path, method="POST", json={"verdict": "proper", "note": "found at home"}, **SERGEANT)
        for _ in range(2)
    ]

    assert ("noticed", "supervisor", "T1002") == (
        notice.fields["event"],
        notice.fields["notify"],
        notice.fields["principal"],
    )
    assert notice.fields["matter"] in [one["matter"] for one in listed]
    assert [404, 404, 200, 404] == [one.status_code for one in (own, without_role, *said)]


async def test_no_notice_no_record(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """Where the notice cannot be written, nothing is sent, although the release stands in the ledger."""
    gated = remembering(behind(world, records_system, parts, ledger=DeadLedger(parts, after=1)))
    answer = await break_glass(gated, world.cast.curiosity, who="T1003")

    assert (503, [EntryKind.RELEASE]) == (answer.status_code, [one.kind for one in gated.entries])
    assert world.both.records[world.cast.curiosity]["surname"] not in answer.text


async def test_unreviewed_uses_raise_the_price_of_the_next(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """After so many unreviewed uses the next needs an approval; with one it is released, and a review lowers the price."""
    gated = remembering(behind(world, records_system, parts))
    numbers = [world.cast.missing, world.cast.suspect, world.cast.witness, world.cast.curiosity]
    who = {"who": "T1004", "roles": ("Constable",)}
    first = [(await break_glass(gated, number, **who)).status_code for number in numbers]
    body = {
        "purpose": "respond.missing",
        "ref": "INC/1187/26",
        "reason": "A child is missing and a threat to life",
    }
    await approved(gated, numbers[3], who="T1004", **body)
    with_approval = await break_glass(gated, numbers[3], **who)
    notices = of(gated, EntryKind.BROKEN_GLASS)
    for one in notices[:2]:
        path = f"/.purposegate/reviews/{one.fields['matter']}"
        await gated.ask(path, method="POST", json={"verdict": "proper"}, **SERGEANT)
    after = await break_glass(gated, world.cast.relative, **who)

    assert ([200, 200, 200, 403], 200, 200) == (first, with_approval.status_code, after.status_code)


async def test_an_overdue_review_raises_the_price_at_once(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """One use that nobody reviewed in its time, and the next needs an approval."""
    now = datetime.now(UTC)
    gated = remembering(behind(world, records_system, parts))
    assert (
        200 == (await break_glass(gated, world.cast.missing, who="T1001", roles=("Constable",))).status_code
    )
    later = remembering(behind(world, records_system, parts), lambda: now + timedelta(hours=25))

    assert (
        403 == (await break_glass(later, world.cast.witness, who="T1001", roles=("Constable",))).status_code
    )


STRONG = StepUp(acr_values=("phr", "phrh"), max_age_s=300)


async def test_broken_glass_asks_for_a_fresh_sign_in(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """RFC 9470: without it 401 and a challenge that names what is wanted, whatever the record; with it the record."""
    gated = remembering(behind(world, records_system, parts, step_up=STRONG))
    answers = [
        await break_glass(gated, number, who="T1003") for number in (world.cast.missing, world.cast.curiosity)
    ]
    missing = await gated.ask(
        "/people/person/rec-0-nobody.json", declared=GLASS, **{**RESPONSE, "who": "T1003"}
    )

    assert [401] * 3 == [one.status_code for one in (*answers, missing)]
    assert 1 == len({one.headers["www-authenticate"] for one in (*answers, missing)})
    challenge = answers[0].headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_user_authentication"')
    assert 'acr_values="phr phrh"' in challenge
    assert 'max_age="300"' in challenge


@pytest.mark.parametrize(("ago_s", "status"), [(0, 200), (299, 200), (301, 403), (-60, 403)])
async def test_a_rule_that_wants_step_up(
    world: World, records_system: ASGIApp, parts: Parts, ago_s: int, status: int
) -> None:
    """A sign-in that is fresh carries out the obligation; an old one, or one that lies ahead, does not, and nothing says why."""
    now = datetime.now(UTC)
    identify = parts.snapshot.identify

    async def stepped_up(request: Any) -> Any:
        return replace(await identify(request), stepped_up_at=int(now.timestamp()) - ago_s)

    decider = Demanding(parts.snapshot.decider, "step_up")
    real = behind(world, records_system, parts, step_up=STRONG, decider=decider, identify=stepped_up)
    gated = remembering(real, lambda: datetime.fromtimestamp(int(now.timestamp()), UTC))
    answer = await gated.ask(world.path(world.cast.suspect))

    assert status == answer.status_code
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/people/person.json?surname__exact=white", "/people/person.json"])
async def test_broken_glass_opens_one_record_at_a_time(gated: Gated, path: str) -> None:
    """A search declared so is refused for that, before anything is asked."""
    answer = await gated.ask(path, declared=GLASS, **RESPONSE)

    assert (400, True) == (answer.status_code, "break-glass" in answer.json()["detail"])


async def test_terms_come_from_the_settings(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """What the settings say replaces the terms' own."""
    desk = parts.snapshot.review

    assert isinstance(desk, Desk)
    assert Terms() == desk.terms
