"""Declarations made ahead: bound to one login, one reference and what it explains; refused everywhere else."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from gates import Gated, World, behind, opened
from purposegate.gate import Parts
from purposegate.model import EntryKind, Lookup, LookupFacts, Mode, Principal
from purposegate.purposes.session_wire import COOKIE, FIELD
from purposegate.testing import FixedFacts

pytestmark = pytest.mark.anyio

REASON = "Comparing the suspect's description with the witness statement"
CRIME = {"purpose": "investigate.crime", "ref": "CR/1042/26", "reason": REASON}
WHERE = "/.purposegate/declarations"


async def made(gated: Gated, said: dict[str, Any] | None = None, **asking: Any) -> httpx.Response:
    """One session, made as JSON."""
    return await gated.ask(WHERE, method="POST", json=said or CRIME, declared=None, **asking)


async def under(gated: Gated, token: str, path: str, **asking: Any) -> httpx.Response:
    """A lookup that says nothing but the session's token."""
    return await gated.ask(path, declared=None, headers={FIELD: token}, **asking)


@pytest.fixture(autouse=True)
def nothing_declared(parts: Parts) -> None:
    """Each test begins without sessions: the store is the module's."""
    desk: Any = parts.snapshot.declarations
    for owner in (desk.seals.owner(f"T100{number}") for number in range(1, 6)):
        for row in desk.store.held_by(owner, now=0):
            desk.store.end(row.id, owner)


def signed_in(world: World, who: str = "T1001", role: str = "Detective") -> dict[str, str]:
    """One sign-in, whichever gate it comes to."""
    return {"authorization": f"Bearer {world.issuer.token(who, role, sid='the same sign-in')}"}


async def test_a_session_opens_what_its_reference_explains(gated: Gated) -> None:
    """Made once, it opens the record that the case names, as often as needed, each with an entry that names the session."""
    session = await made(gated)
    path = gated.world.path(gated.world.cast.suspect)
    answers = [await under(gated, session.json()["token"], path) for _ in range(3)]

    assert (201, [200] * 3) == (session.status_code, [answer.status_code for answer in answers])
    opening, *releases = gated.entries
    assert [EntryKind.DECLARATION] + [EntryKind.RELEASE] * 3 == [entry.kind for entry in gated.entries]
    assert {session.json()["id"]} == {entry.fields["declaration"] for entry in [opening, *releases]}
    assert {(REASON, "session")} == {(each.fields["reason"], each.fields["declared_by"]) for each in releases}
    assert not any(session.json()["token"] in str(entry) for entry in gated.entries)


async def test_a_session_says_nothing_about_what_its_reference_does_not_explain(gated: Gated) -> None:
    """A stranger's record, a relative's, one's own and one that is not there: one and the same 428, before anything is weighed."""
    token = (await made(gated)).json()["token"]
    cast, other = gated.world.cast, list(gated.world.both.records)[300]
    paths = [gated.world.path(each) for each in (other, cast.relative, cast.officer_themself)]
    answers = [await under(gated, token, path) for path in [*paths, "/people/person/rec-none.json"]]
    told = [{**answer.json(), "instance": ""} for answer in answers]

    assert [428] * 4 == [answer.status_code for answer in answers]
    assert told == told[:1] * 4
    assert [["declaration-not-covering"]] * 4 == [entry.fields["reasons"] for entry in gated.entries[1:]]
    assert not any(entry.rows for entry in gated.entries[1:])


async def test_a_session_is_no_licence_to_search(gated: Gated) -> None:
    """A search names no record that a reference could explain, so a session does not reach it."""
    token = (await made(gated)).json()["token"]

    assert 428 == (await under(gated, token, "/people/person.json?surname=x")).status_code


async def test_a_session_reaches_the_one_lookup_it_named(gated: Gated) -> None:
    """Named when it was made, a search or an unexplained record is reached, whatever the order of page size; its neighbour is not."""
    other, another = list(gated.world.both.records)[301:303]
    for path, beside in (
        (gated.world.path(other), gated.world.path(another)),
        ("/people/person.json?surname=x&_size=10", "/people/person.json?surname=y&_size=10"),
    ):
        token = (await made(gated, CRIME | {"for": path})).json()["token"]
        answers = [await under(gated, token, each) for each in (path, beside)]

        assert [200, 428] == [answer.status_code for answer in answers]


async def test_a_search_that_was_named_goes_on_to_its_further_pages(gated: Gated) -> None:
    """The gate's own page links belong to the same search."""
    state = gated.world.both.records[gated.world.cast.suspect]["state"]
    path = f"/people/person.json?state={state}&_size=10"
    token = (await made(gated, CRIME | {"for": path})).json()["token"]
    first = await under(gated, token, path)
    second = await under(gated, token, f"{path}&_next={first.json()['next']}")

    assert (200, 200) == (first.status_code, second.status_code)
    assert first.json()["rows"] != second.json()["rows"]


async def test_another_login_cannot_use_a_session(gated: Gated) -> None:
    """Stolen by a colleague, or kept from an earlier sign-in of one's own, the token is as good as none."""
    token = (await made(gated)).json()["token"]
    path = gated.world.path(gated.world.cast.suspect)
    again = gated.world.issuer.token("T1001", "Detective", sid="another sign-in")
    headers = {FIELD: token, "authorization": f"Bearer {again}"}
    answers = [
        await under(gated, token, path, who="T1002", roles=("Response",)),
        await gated.ask(path, declared=None, headers=headers),
        await under(gated, "A" * 43, path),
    ]
    told = [{**answer.json(), "instance": "", "declare": "", "links": ""} for answer in answers]

    assert [428] * 3 == [answer.status_code for answer in answers]
    assert told == told[:1] * 3


async def test_a_sign_in_keeps_its_session_over_new_tokens(gated: Gated) -> None:
    """Access tokens are renewed every few minutes; the issuer's `sid` says that it is one sign-in."""
    tokens = [gated.world.issuer.token("T1001", "Detective", sid="one", jti=each) for each in ("1", "2")]
    first, second = [{"authorization": f"Bearer {token}"} for token in tokens]
    session = await made(gated, headers=first)
    path = gated.world.path(gated.world.cast.suspect)

    answer = await gated.ask(path, declared=None, headers={**second, FIELD: session.json()["token"]})

    assert 200 == answer.status_code


async def test_a_session_ends_when_it_is_ended(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """Ended by its owner it is over for every gate on the same store at once; ending it is an entry; nobody else can."""
    here, there = behind(world, records_system, parts), behind(world, records_system, parts)
    me = signed_in(world)
    session = (await made(here, headers=me)).json()
    path, headers = world.path(world.cast.suspect), me | {FIELD: session["token"]}
    before = (await there.ask(path, declared=None, headers=headers)).status_code
    others = await here.ask(f"{WHERE}/{session['id']}", method="DELETE", who="T1002", declared=None)
    ended = await here.ask(f"{WHERE}/{session['id']}", method="DELETE", declared=None)
    after = (await there.ask(path, declared=None, headers=headers)).status_code
    again = await here.ask(f"{WHERE}/{session['id']}", method="DELETE", declared=None)

    assert (200, 404, 204, 428, 404) == (
        before, others.status_code, ended.status_code, after, again.status_code
    )  # fmt: skip
    assert [EntryKind.DECLARATION, EntryKind.DECLARATION_ENDED] == [entry.kind for entry in here.entries]
    assert session["id"] == here.entries[-1].fields["declaration"]


async def test_a_session_outlives_a_gate_and_a_reload(world: World, records_system: ASGIApp) -> None:
    """It is in the store, not in a process: a gate opened again on the same ledger goes on with it."""
    me, path = signed_in(world), world.path(world.cast.suspect)
    async with opened(world, "ahead_again") as first:
        token = (await made(behind(world, records_system, first), headers=me)).json()["token"]
    async with opened(world, "ahead_again") as second:
        again = behind(world, records_system, second)
        answer = await again.ask(path, declared=None, headers=me | {FIELD: token})

    assert 200 == answer.status_code


async def test_an_owner_sees_their_sessions_and_no_token(gated: Gated) -> None:
    """The list is one's own, newest first, without what opens them; a colleague's is empty."""
    gone = await gated.ask(WHERE, declared=None, who="T1003", roles=("Response",))
    ids = [(await made(gated, who="T1003")).json()["id"] for _ in range(2)]
    answer = await gated.ask(WHERE, declared=None, who="T1003")
    listed = answer.json()["declarations"]

    assert [] == gone.json()["declarations"]
    assert set(ids) == {one["id"] for one in listed}
    assert {("investigate.crime", "CR/1042/26")} == {(one["purpose"], one["ref"]) for one in listed}
    assert not any("token" in one for one in listed)


REFUSED: dict[str, tuple[dict[str, Any], str, int]] = {
    "a poor reason": (CRIME | {"reason": "asdfasdf"}, "reason-poor", 400),
    "no reference": (CRIME | {"ref": ""}, "reference-missing", 400),
    "an unknown purpose": (CRIME | {"purpose": "nosy"}, "purpose-unknown", 400),
    "another role's purpose": ({"purpose": "train.test", "reason": REASON}, "purpose-unknown", 400),
    "an unknown originator": (CRIME | {"originator": "T9999"}, "originator-unknown", 400),
    "an unknown key": (CRIME | {"records": "any"}, "declaration-malformed", 400),
    "a number for a reason": (CRIME | {"reason": 7}, "declaration-malformed", 400),
    "an old notice": (CRIME | {"notice": "0" * 32}, "notice-outdated", 400),
    "a lookup elsewhere": (CRIME | {"for": "//evil.example/people/person/rec-1"}, "lookup-unmapped", 400),
    "a lookup that is open": (CRIME | {"for": "/favicon.ico"}, "lookup-unmapped", 400),
    "a page of the gate's own": (CRIME | {"for": "/.purposegate/purposes"}, "lookup-unmapped", 400),
}


@pytest.mark.parametrize(("said", "reason", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_declared_makes_no_session(
    gated: Gated, said: dict[str, Any], reason: str, status: int
) -> None:
    """Each fault has its problem; no session is made."""
    answer = await made(gated, said)

    assert (status, reason) == (answer.status_code, answer.json()["type"].rpartition("/")[2])
    assert EntryKind.DECLARATION not in [entry.kind for entry in gated.entries]


async def test_a_refused_declaration_is_kept_word_for_word(gated: Gated) -> None:
    """A false reason is evidence: what was said stands in a refusal's entry, readable or not."""
    await made(gated, CRIME | {"reason": "Mickey Mouse"})
    await made(gated, CRIME | {"reason": "Mickey Mouse", "colour": "red"})
    poor, unreadable = gated.entries

    assert [EntryKind.REFUSAL] * 2 == [poor.kind, unreadable.kind]
    assert ("Mickey Mouse", ["reason-poor"]) == (poor.fields["reason"], poor.fields["reasons"])
    assert '"colour"' in unreadable.fields["declared_as_sent"]


async def test_a_login_that_nothing_tells_apart_makes_no_session(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """An embedder's own identify that names no sign-in: nothing could be bound to it."""
    known = parts.snapshot.identify

    async def identify(request: Any) -> Any:
        principal = await known(request)
        return type(principal)(id=principal.id, roles=principal.roles)

    answer = await made(behind(world, records_system, parts, identify=identify))

    assert (400, "declaration-malformed") == (
        answer.status_code, answer.json()["type"].rpartition("/")[2]
    )  # fmt: skip


async def test_two_declarations_that_differ_are_refused(gated: Gated) -> None:
    """A header that says what the session says stands; one that says another thing refuses the lookup."""
    token = (await made(gated)).json()["token"]
    path = gated.world.path(gated.world.cast.suspect)
    same = f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'
    answers = [
        await gated.ask(path, declared=declared, headers={FIELD: token})
        for declared in (same, same.replace("Comparing", "Checking"))
    ]

    assert [200, 400] == [answer.status_code for answer in answers]
    assert ["declarations-differ"] == gated.entries[-1].fields["reasons"]


async def test_the_header_reaches_where_the_session_does_not(gated: Gated) -> None:
    """The same declaration sent with the lookup is made for the lookup."""
    token = (await made(gated)).json()["token"]
    other = gated.world.path(list(gated.world.both.records)[305])
    declared = f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'

    assert 200 == (await gated.ask(other, declared=declared, headers={FIELD: token})).status_code


COOKIES: dict[str, tuple[str, int]] = {
    "alone": ("{c}={t}", 200),
    "among others": ("theme=dark; {c}={t}; lang=en", 200),
    "twice": ("{c}={t}; {c}={t}", 400),
    "twice, one foreign": ("{c}=x; {c}={t}", 400),
    "forged": ("{c}=" + "B" * 43, 428),
    "oversized": ("{c}=" + "B" * 5000, 428),
    "empty": ("{c}=", 428),
    "in another case": ("__host-purposegate={t}", 428),
    "without the prefix": ("purposegate={t}", 428),
    "in quotes": ('{c}="{t}"', 428),
}


@pytest.mark.parametrize(("cookie", "status"), COOKIES.values(), ids=COOKIES)
async def test_a_cookie_is_read_in_one_way(gated: Gated, cookie: str, status: int) -> None:
    """The one cookie, once, exactly; anything else is none, or refused where somebody put a second beside it."""
    token = (await made(gated)).json()["token"]
    headers = {"cookie": cookie.format(c=COOKIE, t=token)}
    answer = await gated.ask(gated.world.path(gated.world.cast.suspect), declared=None, headers=headers)

    assert status == answer.status_code


async def test_a_token_does_not_travel_on(world: World, parts: Parts) -> None:
    """The records system sees neither cookie nor header; its own cookies stay."""
    seen: list[tuple[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gated = behind(world, app, parts)
    token = (await made(gated)).json()["token"]
    for headers in ({"cookie": f"a=1; {COOKIE}={token}; b=2"}, {FIELD: token}):
        await gated.ask(world.path(world.cast.suspect), declared=None, headers=headers)

    assert not any(token.encode() in value for _, value in seen)
    assert b"a=1; b=2" in [value for name, value in seen if name == b"cookie"]


async def test_no_more_sessions_than_anybody_needs(gated: Gated) -> None:
    """Twenty live ones; the next is refused with what to do, on record; ending one makes room."""
    asking: dict[str, Any] = {"headers": signed_in(gated.world, "T1002", "Constable")}
    said = {"purpose": "respond.incident", "ref": "INC/1187/26", "reason": REASON}
    answers = [await made(gated, said, **asking) for _ in range(21)]
    one = answers[0].json()["id"]
    await gated.ask(f"{WHERE}/{one}", method="DELETE", declared=None, **asking)
    again = await made(gated, said, **asking)

    assert [201] * 20 + [429] == [answer.status_code for answer in answers]
    assert 201 == again.status_code


async def test_a_flood_of_declarations_is_stopped(gated: Gated) -> None:
    """Sixty a minute by one person, refused or not; the rest leaves no entry."""
    said = CRIME | {"reason": "x"}
    statuses = [(await made(gated, said, who="T1004", roles=("Paralegal",))).status_code for _ in range(70)]

    assert [400] * 60 + [429] * 10 == statuses
    assert 60 == len(gated.entries)


def for_bearer(world: World, **claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {world.issuer.token('T1001', 'Detective', **claims)}"}


GRANTED = {"type": "purposegate_lookup", **CRIME}


async def test_a_token_granted_for_a_purpose_needs_no_header(gated: Gated) -> None:
    """RFC 9396: it reaches what its reference explains, or the one record that it names, and no search."""
    suspect, other = gated.world.path(gated.world.cast.suspect), list(gated.world.both.records)[310]
    wide = for_bearer(gated.world, authorization_details=[GRANTED])
    narrow = for_bearer(
        gated.world, authorization_details=[{**GRANTED, "identifier": gated.world.both.record_id(other)}]
    )
    asked = [
        (suspect, wide), (gated.world.path(other), wide), ("/people/person.json?surname=x", wide),
        (gated.world.path(other), narrow), (suspect, narrow),
    ]  # fmt: skip
    statuses = [
        (await gated.ask(path, declared=None, headers=headers)).status_code for path, headers in asked
    ]

    assert [200, 428, 428, 200, 428] == statuses
    assert ("token", REASON) == (gated.entries[0].fields["declared_by"], gated.entries[0].fields["reason"])


async def test_a_token_that_cannot_be_read_refuses_and_is_kept(gated: Gated) -> None:
    """An unknown key in our type refuses the lookup; what was granted stands in the entry."""
    headers = for_bearer(gated.world, authorization_details=[{**GRANTED, "records": "any"}])
    answer = await gated.ask(gated.world.path(gated.world.cast.suspect), declared=None, headers=headers)

    assert 400 == answer.status_code
    assert '"records": "any"' in gated.entries[-1].fields["granted_as_sent"]


async def test_token_and_header_must_say_the_same(gated: Gated) -> None:
    """Granted for one thing and declared for another: refused; also two different grants that both apply."""
    path = gated.world.path(gated.world.cast.suspect)
    twice = for_bearer(gated.world, authorization_details=[GRANTED, {**GRANTED, "reason": REASON + " again"}])
    once = for_bearer(gated.world, authorization_details=[GRANTED])
    other = f'prosecute.casefile;ref="CR/1042/26";reason=%"{REASON}"'
    answers = [
        await gated.ask(path, declared=None, headers=twice),
        await gated.ask(path, declared=other, headers=once),
    ]

    assert [400, 400] == [answer.status_code for answer in answers]
    assert [["declarations-differ"]] * 2 == [entry.fields["reasons"] for entry in gated.entries]


async def test_an_old_grant_is_none(gated: Gated) -> None:
    """Good for the purpose's window from `iat`, eight hours here; a token that lives longer declares no longer."""
    old = for_bearer(gated.world, authorization_details=[GRANTED], iat=int(time.time()) - 8 * 3600)
    answer = await gated.ask(gated.world.path(gated.world.cast.suspect), declared=None, headers=old)

    assert (428, "declaration-not-covering") == (
        answer.status_code, answer.json()["type"].rpartition("/")[2]
    )  # fmt: skip


async def test_a_session_expires(gated: Gated) -> None:
    """To the second, by the window it was made with, and by a shorter one that came in since."""
    await made(gated)
    desk: Any = gated.parts.snapshot.declarations
    [session] = await desk.live(Principal(id="T1001", roles=()), datetime.now(UTC))
    purposes = dict(desk.catalogue.purposes)
    purposes["investigate.crime"] = replace(purposes["investigate.crime"], valid_s=60)
    shorter = replace(desk, catalogue=replace(desk.catalogue, purposes=purposes))
    principal = Principal(id="T1001", roles=())

    async def held(by: Any, after: timedelta) -> int:
        return len(await by.live(principal, session.declared_at + after))

    hours, second = timedelta(hours=8), timedelta(seconds=1)
    assert [1, 0] == [await held(desk, hours - second), await held(desk, hours)]
    assert [1, 0] == [await held(shorter, timedelta(seconds=59)), await held(shorter, timedelta(seconds=60))]


async def test_a_purpose_does_not_open_every_kind(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """A kind that the catalogue does not list under it is refused as a declaration, before any fact is asked."""
    catalogue: Any = parts.snapshot.catalogue
    crime = replace(catalogue.purposes["investigate.crime"], opens=MappingProxyType({"vehicle": None}))
    changed = replace(catalogue, purposes={**catalogue.purposes, "investigate.crime": crime})
    gated = behind(world, records_system, parts, catalogue=changed, declarations=None)
    answer = await gated.ask(world.path(world.cast.relative))

    assert (400, "kind-not-opened") == (answer.status_code, answer.json()["type"].rpartition("/")[2])
    assert not gated.entries[-1].rows


async def test_fields_that_a_purpose_does_not_open_are_masked(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Left out of the answer, named in the entry, and no criterion either; the id stays."""
    catalogue: Any = parts.snapshot.catalogue
    crime = replace(
        catalogue.purposes["investigate.crime"],
        opens=MappingProxyType({"person": frozenset({"name", "suburb"})}),
    )
    changed = replace(catalogue, purposes={**catalogue.purposes, "investigate.crime": crime})
    gated = behind(world, records_system, parts, catalogue=changed, declarations=None)
    answer = await gated.ask(world.path(world.cast.suspect) + "?_shape=objects")
    search = await gated.ask("/people/person.json?soc_sec_id=1")
    [row] = answer.json()["rows"]

    assert {"rec_id", "given_name", "surname", "suburb"} == {name for name, value in row.items() if value}
    assert {"soc_sec_id", "date_of_birth", "postcode"} <= set(gated.entries[0].rows[0]["fields_withheld"])
    assert (403, ["masked-criterion"]) == (search.status_code, gated.entries[1].fields["reasons"])


SERVICE = {"idtyp": "app", "sid": "batch"}


async def test_a_service_names_the_person_it_asks_for(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """By its token a service: refused on its own, and with an unknown originator; with a known person it may."""
    identify: Any = parts.snapshot.identify
    changed = replace(identify, service_claim="idtyp", service_values=frozenset({"app"}))
    gated = behind(world, records_system, parts, identify=changed)
    path, declared = world.path(world.cast.suspect), f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'
    statuses = [
        (await gated.ask(path, declared=declared + more, headers=for_bearer(world, **SERVICE))).status_code
        for more in ("", ';originator="T9999"', ';originator="T1003"')
    ]
    session = await made(gated, headers=for_bearer(world, **SERVICE))

    assert [400, 400, 200] == statuses
    assert [["originator-needed"], ["originator-unknown"], []] == [
        entry.fields["reasons"] for entry in gated.entries[:3]
    ]
    assert 400 == session.status_code


async def test_a_purpose_may_be_a_services_own(world: World, records_system: ASGIApp, parts: Parts) -> None:
    """`service: allowed`: no person is asked for."""
    identify: Any = parts.snapshot.identify
    catalogue: Any = parts.snapshot.catalogue
    crime = replace(catalogue.purposes["investigate.crime"], service_allowed=True)
    gated = behind(
        world,
        records_system,
        parts,
        identify=replace(identify, service_claim="idtyp", service_values=frozenset({"app"})),
        catalogue=replace(catalogue, purposes={**catalogue.purposes, "investigate.crime": crime}),
        declarations=None,
    )
    declared = f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'
    answer = await gated.ask(
        world.path(world.cast.suspect), declared=declared, headers=for_bearer(world, **SERVICE)
    )

    assert 200 == answer.status_code


async def test_a_service_of_the_directory_needs_a_person_and_is_none(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """What the directory marks as a service asks for somebody, and nobody can name it as that somebody."""

    class Marked(FixedFacts):
        async def is_service(self, staff_id: str) -> bool:
            return staff_id == "T1003"

    gated = behind(world, records_system, parts, facts=Marked())
    declared = f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'
    path = world.path(world.cast.suspect)
    alone = await gated.ask(path, declared=declared, who="T1003")
    behind_it = await gated.ask(path, declared=declared + ';originator="T1003"')
    for_maya = await gated.ask(path, declared=declared + ';originator="T1001"', who="T1003")

    assert [400, 400, 200] == [answer.status_code for answer in (alone, behind_it, for_maya)]
    assert ["originator-needed"] == gated.entries[0].fields["reasons"] == gated.entries[1].fields["reasons"]


async def test_monitor_mode_records_what_a_session_does_not_reach(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """In monitor mode the answer goes out as it is, and the entry says that enforcing would have asked (law 10)."""
    gated = behind(world, records_system, parts, modes={"default": Mode.MONITOR})
    token = (await made(gated)).json()["token"]
    answer = await under(gated, token, gated.world.path(list(world.both.records)[320]))

    assert 200 == answer.status_code
    assert ["declaration-not-covering"] == gated.entries[-1].fields["reasons"][:1]


async def test_facts_are_told_how_long_an_assignment_counts(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """The purpose's grace goes to the facts with the lookup; without one it is nothing."""
    seen: list[int] = []

    class Asked(FixedFacts):
        async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
            seen.append(lookup.grace_s)
            return await FixedFacts.about_lookup(self, lookup, stale_ok=stale_ok)

    catalogue: Any = parts.snapshot.catalogue
    crime = replace(catalogue.purposes["investigate.crime"], grace_s=86_400)
    graced = replace(catalogue, purposes={**catalogue.purposes, "investigate.crime": crime})
    for each in (catalogue, graced):
        gated = behind(world, records_system, parts, catalogue=each, facts=Asked(), declarations=None)
        await gated.ask(world.path(world.cast.suspect))

    assert [0, 86_400] == seen


async def test_a_row_filed_under_another_name_shows_nobody_anything(gated: Gated) -> None:
    """Whoever runs the store can move a row to another owner; its words stay its maker's."""
    session = (await made(gated)).json()
    desk: Any = gated.parts.snapshot.declarations
    (row,) = desk.store.held_by(desk.seals.owner("T1001"), now=0)
    desk.store.end(row.id, row.owner)
    desk.store.put(row._replace(owner=desk.seals.owner("T1002")), now=0, most=20)
    listed = await gated.ask(WHERE, who="T1002", roles=("Constable",), declared=None)
    shown = await gated.ask("/.purposegate/declare", who="T1002", roles=("Constable",), declared=None)

    assert [] == listed.json()["declarations"]
    assert session["id"] not in shown.text
