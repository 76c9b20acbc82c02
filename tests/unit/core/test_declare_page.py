"""The page to declare on, attacked without a browser: what it shows, where it sends people, and whose forms it takes."""

import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from starlette.types import ASGIApp

from gates import Gated, World, behind
from purposegate.enforcement.browser import wants_html
from purposegate.errors import FactsOutage
from purposegate.exchange import Request
from purposegate.gate import Parts
from purposegate.model import Conflict, EntryKind, Tier, Whose
from purposegate.purposes.session_wire import COOKIE
from purposegate.reasons import Reason
from purposegate.return_address import lookup_at
from purposegate.testing import FixedFacts

pytestmark = pytest.mark.anyio

PAGE = "/.purposegate/declare"
REASON = "Comparing the suspect's description with the witness statement"
NAVIGATION = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "sec-fetch-site": "none",
}
FORM = {**NAVIGATION, "sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def nothing_declared(parts: Parts) -> None:
    """Each test begins without sessions: the store is the module's."""
    desk: Any = parts.snapshot.declarations
    for owner in (desk.seals.owner(f"T100{number}") for number in range(1, 6)):
        for row in desk.store.held_by(owner, now=0):
            desk.store.end(row.id, owner)


def parsed(answer: httpx.Response) -> Any:
    """The page as a browser's parser has it."""
    return html.fromstring(answer.content)


async def shown(gated: Gated, path: str = PAGE, **asking: Any) -> httpx.Response:
    """A navigation that declares nothing."""
    return await gated.ask(path, declared=None, headers=NAVIGATION, **asking)


def fields(answer: httpx.Response) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    form = parsed(answer).forms[0]
    return {one.name: one.value for one in form.xpath('.//input[@type="hidden"]')}


async def sent(
    gated: Gated, given: dict[str, str], *, headers: dict[str, str] | None = None, **asking: Any
) -> httpx.Response:
    """The page's form, sent as a browser sends it."""
    said = {"purpose": "investigate.crime", "task": "CR/1042/26", "reason": REASON, "read": "yes"}
    return await gated.ask(
        PAGE,
        method="POST",
        declared=None,
        data=said | given,
        headers=FORM if headers is None else headers,
        **asking,
    )


async def test_a_bare_navigation_is_shown_the_page(gated: Gated) -> None:
    """428 as for everybody, as a page, on record, with the lookup to go on to; nothing of it may be kept or framed."""
    path = gated.world.path(gated.world.cast.suspect, "")
    plain = await gated.ask(path, declared=None)
    page = await shown(gated, path)

    assert [428, 428] == [plain.status_code, page.status_code]
    assert path == fields(page)["return"]
    assert page.headers["purposegate-receipt"]
    assert "no-store" == page.headers["cache-control"]
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ["purpose-missing"] == gated.entries[-1].fields["reasons"]


async def test_the_form_goes_on_to_the_lookup_with_a_cookie(gated: Gated) -> None:
    """303 to where the browser was going, and the cookie's attributes; the session then opens the record."""
    path = gated.world.path(gated.world.cast.suspect, "")
    answer = await sent(gated, fields(await shown(gated, path)))
    cookie = answer.headers["set-cookie"]
    token = re.match(rf"{COOKIE}=([A-Za-z0-9_-]{{43}}); ", cookie)
    assert token is not None
    opened = await gated.ask(path, declared=None, headers={**NAVIGATION, "cookie": f"{COOKIE}={token[1]}"})

    assert (303, path) == (answer.status_code, answer.headers["location"])
    assert "; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict" == cookie.partition(token[1])[2]
    assert 200 == opened.status_code
    entry = next(entry for entry in gated.entries if entry.kind is EntryKind.DECLARATION)
    assert "page" == entry.fields["declared_by"]
    assert entry.fields["notice"]["shown"] == entry.fields["notice"]["acknowledged"] != ""
    assert entry.fields["notice"]["shown"] == gated.entries[-1].fields["legal"]["notice_acknowledged"]


EVIL = {
    "another host": "//evil.example/people/person/rec-1",
    "another host by backslash": "/\\evil.example",
    "the same, encoded": "/%5Cevil.example",
    "a scheme": "https://evil.example/",
    "a script": "javascript:alert(1)",
    "a header": "/people/person/rec-1\r\nSet-Cookie: a=b",
    "an encoded header": "/people/person/rec-1%0d%0aSet-Cookie:%20a=b",
    "three slashes": "///evil.example",
    "a dotted way": "/people/../../evil",
    "a login in it": "/@evil.example",
    "the gate's own page": "/.purposegate/declare",
    "an open place": "/favicon.ico",
    "an unmapped place": "/-/databases",
    "a fragment": "/people/person/rec-1#x",
    "no place": "people/person/rec-1",
    "a tab": "/\t/evil.example",
    "a very long one": "/people/person.json?surname=" + "x" * 5000,
    "beyond ASCII": "/people/person/réc",
}


@pytest.mark.parametrize("back", EVIL.values(), ids=EVIL)
async def test_nobody_is_sent_elsewhere(gated: Gated, back: str) -> None:
    """What is no lookup on this host is left out of the page, and a form that names it goes nowhere."""
    page = await shown(gated, f"{PAGE}?return={quote(back)}")
    answer = await sent(gated, {**fields(page), "return": back})

    assert 400 == page.status_code
    assert "return" not in fields(page)
    assert PAGE == answer.headers["location"]
    assert answer.headers.get_list("set-cookie") == [answer.headers["set-cookie"]]


@given(st.text(max_size=60) | st.from_regex(r"[/\\%.a-z@:?#]{0,20}", fullmatch=True))
def test_an_address_to_go_on_to_is_a_path_of_this_host(parts_snapshot: Any, address: str) -> None:
    """Whatever is offered as such: if it is taken, a browser reads a path and query of the same host in it."""
    if lookup_at(parts_snapshot, address) is not None:
        url = httpx.URL("https://records.example/.purposegate/declare").join(address)
        assert ("https", "records.example", address) == (url.scheme, url.host, url.raw_path.decode())


@pytest.fixture(scope="module")
def parts_snapshot(parts: Parts) -> Any:
    return parts.snapshot


FORGED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "without its token": ({"form": ""}, {}),
    "with a made-up token": ({"form": "99999999999." + "a" * 64}, {}),
    "with a token that is no token": ({"form": "\u0661." + "a" * 64}, {}),
    "from another site": ({}, {"sec-fetch-site": "cross-site"}),
    "from another host of the site": ({}, {"sec-fetch-site": "same-site"}),
    "from no page": ({}, {"sec-fetch-site": "none"}),
    "from another origin, by an old browser": ({}, {"sec-fetch-site": "", "origin": "https://evil.example"}),
}


@pytest.mark.parametrize(("changed", "headers"), FORGED.values(), ids=FORGED)
async def test_a_form_of_somebody_elses_declares_nothing(
    gated: Gated, changed: dict[str, str], headers: dict[str, str]
) -> None:
    """403, no cookie, no entry of a declaration."""
    given = {**fields(await shown(gated)), **changed}
    said = {name: value for name, value in (FORM | headers).items() if value}
    answer = await sent(gated, given, headers=said)

    assert 403 == answer.status_code
    assert "set-cookie" not in answer.headers
    assert EntryKind.DECLARATION not in [entry.kind for entry in gated.entries]


async def test_a_form_shown_to_one_login_is_not_taken_from_another(gated: Gated) -> None:
    """The form's token is bound to the login that it was shown to."""
    given = fields(await shown(gated))
    answers = [
        await sent(gated, given, who="T1002", roles=("Constable",)),
        await sent(
            gated,
            given,
            headers={
                **FORM,
                "authorization": f"Bearer {gated.world.issuer.token('T1001', 'Detective', sid='x')}",
            },
        ),
    ]

    assert [403, 403] == [answer.status_code for answer in answers]


HOSTILE = "\"'><script>x()</script></textarea><img src=x onerror=x()>{{7*7}}"


async def test_what_is_filled_in_is_shown_again_as_text(gated: Gated) -> None:
    """Markup in any field comes back escaped, in the field that it was written into, and every fault is named at once."""
    said = dict.fromkeys(("ref", "originator", "recipient"), HOSTILE)
    answer = await sent(
        gated, {**fields(await shown(gated)), **said, "task": "", "read": "", "reason": HOSTILE}
    )
    page = parsed(answer)

    assert 400 == answer.status_code
    assert not page.xpath("//script | //img")
    assert b"<script" not in answer.content
    assert [HOSTILE] * 3 == [page.get_element_by_id(name).get("value") for name in said]
    assert HOSTILE == page.get_element_by_id("reason").text.lstrip("\n")
    assert {"read"} <= {link.get("href")[1:] for link in page.xpath('//*[@class="summary"]//a')}


async def test_every_fault_is_named_with_its_field(gated: Gated) -> None:
    """An empty form names purpose, notice, and with a purpose chosen also reference and reason; each links to its field."""
    given = fields(await shown(gated))
    answers = [
        await sent(gated, {**given, "purpose": "", "task": "", "reason": "", "read": ""}),
        await sent(gated, {**given, "task": "", "reason": "", "read": ""}),
        await sent(gated, {**given, "ref": "CR/917/25", "reason": "asdf asdf"}),
    ]
    found = [
        {link.get("href") for link in parsed(answer).xpath('//*[@class="summary"]//a')} for answer in answers
    ]

    assert [{"#purpose-1", "#read"}, {"#ref", "#reason", "#read"}, {"#ref", "#reason"}] == found
    assert all(answer.text.count("<title>Error: ") == 1 for answer in answers)
    assert [EntryKind.REFUSAL] * 3 == [entry.kind for entry in gated.entries]


LONG = {"reason": "word " * 3000, "ref": "CR/" + "1" * 9000, "originator": "T" * 5000}


@pytest.mark.parametrize("name", LONG)
async def test_what_is_far_too_long_is_refused(gated: Gated, name: str) -> None:
    """Past what a field holds: refused, shown again, and kept only as far as an entry goes."""
    given = {**fields(await shown(gated)), name: LONG[name]} | ({"task": ""} if name == "ref" else {})
    answer = await sent(gated, given)

    assert 400 == answer.status_code
    assert len(gated.entries[-1].fields["declared_as_sent"]) <= 8192


async def test_a_form_beyond_all_measure_is_not_read(gated: Gated) -> None:
    """Past the page's cap: 413."""
    assert 413 == (await sent(gated, {"reason": "x" * 200_000})).status_code


async def test_a_changed_notice_is_read_again(gated: Gated) -> None:
    """A form that was shown another wording declares nothing until the new one is read."""
    given = fields(await shown(gated)) | {"notice.investigate.crime": "0" * 32}
    answer = await sent(gated, given)

    assert 400 == answer.status_code
    assert ["notice-outdated"] == gated.entries[-1].fields["reasons"]


async def test_another_sites_form_is_not_carried_on(gated: Gated) -> None:
    """A POST that another site made is shown the page, and nothing of what it said."""
    path = gated.world.path(gated.world.cast.suspect, "")
    for site in ("cross-site", "same-site", "none"):
        answer = await gated.ask(
            path,
            method="POST",
            declared=None,
            data={"text": "planted"},
            headers={**NAVIGATION, "sec-fetch-site": site},
        )
        assert b"planted" not in answer.content


def asking(accept: str, **more: str) -> Request:
    headers = {"accept": accept, **{name.replace("_", "-"): value for name, value in more.items()}}
    return Request(
        method="GET",
        raw_path=b"/",
        path="/",
        headers=tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items()),
    )


@pytest.mark.parametrize(
    ("accept", "mode", "expected"),
    [
        ("text/html,*/*;q=0.8", "navigate", True),
        ("text/html", "", True),
        ("*/*", "", False),
        ("*/*", "navigate", False),
        ("application/json", "", False),
        ("text/html;q=0.5, application/json", "", False),
        ("text/html;q=0.5, application/json;q=0.1", "", True),
        ("text/html;q=0", "", False),
        ("text/html;q=nan", "", False),
        ("text/html;q=1e9", "", False),
        ("text/html;q=\u00b2", "", False),
        ("text/html;q=1.", "", True),
        ("text/html;q=2", "", False),
        ("TEXT/HTML", "", True),
        ("text/html", "cors", False),
        ("text/html", "same-origin", False),
        ("", "", False),
        (",;,=;q", "", False),
    ],
)
def test_who_would_rather_have_a_page(accept: str, mode: str, expected: bool) -> None:
    """A navigation that prefers HTML by name; whatever else asks gets a problem document."""
    request = asking(accept, sec_fetch_mode=mode) if mode else asking(accept)

    assert expected is wants_html(request)


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_no_accept_header_breaks_the_reading(values: list[bytes]) -> None:
    """Any bytes: a page or a document, and no fault."""
    headers = tuple((b"accept", value) for value in values)

    assert wants_html(Request(method="GET", raw_path=b"/", path="/", headers=headers)) in (True, False)


async def test_a_refusal_reads_the_same_whatever_its_reason(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """As a page too there is one refusal: a tie and a rule look alike, status, words and links (law 7)."""
    tie = Conflict(
        whose=Whose.PRINCIPAL,
        relation="relative",
        tier=Tier.CONFIRMED,
        provenance="vetting",
        entry="C-1",
        declared=False,
    )
    path = world.path(world.cast.suspect, "")
    declared = f'investigate.crime;ref="CR/1042/26";reason=%"{REASON}"'
    pages = []
    for gated, who, roles in (
        (behind(world, records_system, parts, facts=FixedFacts(conflicts=(tie,))), "T1001", ("Detective",)),
        (behind(world, records_system, parts), "T1001", ()),
    ):
        answer = await gated.ask(path, declared=declared, headers=NAVIGATION, who=who, roles=roles)
        pages.append((answer.status_code, re.sub(rb"urn:uuid:[0-9a-f-]+", b"", answer.content)))

    assert 403 == pages[0][0]
    assert pages[0][1].startswith(b"<!doctype html>")
    # The second has no role that could break glass, and so is offered one way forward less.
    without_glass = re.sub(rb"<li><a[^>]*>For a threat to life[^<]*</a></li>\s*", b"", pages[0][1])
    assert (403, without_glass) == (
        pages[1][0],
        re.sub(rb"<li><a[^>]*>For a threat to life[^<]*</a></li>\s*", b"", pages[1][1]),
    )


async def test_a_stranger_is_shown_a_page_too(gated: Gated) -> None:
    """401 with its challenge, as a page that asks to sign in; the page to declare on is for people who are known."""
    answers = [
        await shown(gated, path, who="") for path in (PAGE, gated.world.path(gated.world.cast.suspect, ""))
    ]

    assert [401, 401] == [answer.status_code for answer in answers]
    assert {"Bearer"} == {answer.headers["www-authenticate"] for answer in answers}
    assert all("Sign in first" in answer.text for answer in answers)
    assert not any(parsed(answer).forms for answer in answers)


async def test_an_open_declaration_can_be_ended_from_the_page(gated: Gated) -> None:
    """The page lists one's own, and its button ends one; the button's form is as guarded as the other."""
    await sent(gated, fields(await shown(gated)))
    page = parsed(await shown(gated))
    form = {one.name: one.value for one in page.forms[-1].xpath('.//input[@type="hidden"]')}
    end = f"{PAGE}/end"
    forged = await gated.ask(end, method="POST", declared=None, data={**form, "form": ""}, headers=FORM)
    ended = await gated.ask(end, method="POST", declared=None, data=form, headers=FORM)

    assert [403, 303] == [forged.status_code, ended.status_code]
    assert EntryKind.DECLARATION_ENDED is gated.entries[-1].kind
    assert 1 == len(parsed(await shown(gated)).forms)


async def test_the_page_stands_while_the_facts_do_not(
    world: World, records_system: ASGIApp, parts: Parts
) -> None:
    """Tasks are an offer: with their source gone the reference is written by hand."""

    class Away(FixedFacts):
        async def open_references(self, staff_id: str) -> tuple[tuple[str, str], ...]:
            raise FactsOutage(Reason.FACTS_UNAVAILABLE)

    answer = await shown(behind(world, records_system, parts, facts=Away()))

    assert 200 == answer.status_code
    assert b"one of your open tasks" not in answer.content


async def test_glass_broken_on_the_page_is_broken_for_one_record(gated: Gated) -> None:
    """It opens the record named, flagged; another, though its reference explains it, is asked for again."""
    cast = gated.world.cast
    path, explained = (gated.world.path(number, "") for number in (cast.curiosity, cast.suspect))
    given = fields(await shown(gated, path)) | {
        "purpose": "safeguard.victim",
        "task": "CR/1042/26",
        "reason": "The caller says that her former partner is at the door with a knife",
        "break_glass": "yes",
    }
    answer = await sent(gated, given)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    statuses = [
        (await gated.ask(each, declared=None, headers={**NAVIGATION, "cookie": cookie})).status_code
        for each in (path, explained)
    ]

    assert [200, 428] == statuses
    assert gated.entries[-2].fields["declared_break_glass"]
    assert "flag" in gated.entries[-2].rows[0]["obligations"]


async def test_glass_is_not_broken_for_nothing(gated: Gated) -> None:
    """Without a record that it is for, or under a purpose that has none, there is no glass to break."""
    path = gated.world.path(gated.world.cast.suspect, "")
    for back, purpose in (("", "safeguard.victim"), (path, "investigate.crime")):
        page = await shown(gated, f"{PAGE}?return={quote(back)}")
        given = fields(page) | {"purpose": purpose, "break_glass": "yes"}

        assert 400 == (await sent(gated, given)).status_code
        assert ["declaration-malformed"] == gated.entries[-1].fields["reasons"]
