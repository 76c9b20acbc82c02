"""The page to declare on, walked in a real browser in front of a web application that knows nothing of the gate."""

from collections.abc import Iterator
from html import escape
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from http_server import serving
from peers.browser_site import AXE, Site, browsing, serving_site, sign_in

REASON = "Comparing the suspect's description with the witness statement"
COOKIE = "__Host-purposegate"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as chromium:
        yield chromium


@pytest.fixture
def maya(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """An investigator, with scripts off, as some forces have it."""
    context = sign_in(browser, site, scripts=False)
    yield context
    context.close()


def fill(page: Page, **said: str) -> None:
    """Fill the form in and send it."""
    page.get_by_label(said.get("purpose", "Allocated investigation")).check()
    if "task" in said:
        page.get_by_label("Reference: one of your open tasks").select_option(said["task"])
    page.get_by_label("Reason", exact=True).fill(said.get("reason", REASON))
    page.get_by_label("I have read what the purpose").check()
    page.get_by_role("button", name="Declare").click()


def status_of(page: Page, address: str) -> int:
    """Go there; the answer's status."""
    answer = page.goto(address)
    assert answer is not None
    return answer.status


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def test_a_lookup_is_declared_and_goes_on(maya: BrowserContext, site: Site) -> None:
    """Asked for bare, the record answers 428 with the page; declared, it is there, and the next one needs no question."""
    page = maya.new_page()
    assert (428, "Say what this lookup is for") == (status_of(page, site.explained), heading(page))
    assert site.explained == page.url

    fill(page)

    assert site.explained == page.url
    assert 1 == page.locator("table.rows-and-columns").count()
    assert 200 == status_of(page, site.record(site.world.cast.witness))


def test_the_cookie_is_kept_to_this_host(maya: BrowserContext, site: Site) -> None:
    """As the browser itself has it: this host alone, over TLS alone, out of scripts' reach, and never from another site."""
    page = maya.new_page()
    page.goto(site.explained)
    fill(page)
    [cookie] = maya.cookies()

    assert (COOKIE, "localhost", "/", True, True, "Strict") == tuple(
        cookie.get(key) for key in ("name", "domain", "path", "httpOnly", "secure", "sameSite")
    )


def test_what_the_reference_does_not_explain_is_asked_again(maya: BrowserContext, site: Site) -> None:
    """The page comes filled in with what was declared, less the reason; declared for this record, it opens."""
    page = maya.new_page()
    page.goto(site.explained)
    fill(page)
    assert 428 == status_of(page, site.unexplained())

    assert page.get_by_label("Allocated investigation").is_checked()
    assert "CR/1042/26" == page.get_by_label("Reference: one of your open tasks").input_value()
    assert "" == page.get_by_label("Reason", exact=True).input_value()
    fill(page, reason="A caller named this person as having seen the burglary")

    assert site.unexplained() == page.url
    assert 1 == page.locator("table.rows-and-columns").count()
    assert 428 == status_of(page, site.unexplained(301))


def test_the_page_is_used_with_the_keyboard_alone(browser: Browser, site: Site) -> None:
    """Tab goes through the fields in the order they are read; space, arrows and enter do the rest; an error takes the focus."""
    context = sign_in(browser, site, who="T1003", role="Detective")
    page = context.new_page()
    page.goto(site.explained)
    order = []
    for _ in range(9):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    focused = page.evaluate("document.activeElement.className")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the summary's first link leads to its field
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.querySelector('input[name=purpose]:checked').value")
    page.keyboard.press("Tab")
    page.keyboard.type("CR")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type(REASON)
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    fields = [
        "purpose-1",
        "task",
        "ref",
        "reason",
        "originator",
        "recipient",
        "break-glass",
        "read",
        "Declare",
    ]
    assert (fields, "summary", "investigate.crime") == (order, focused, chosen)
    assert site.explained == page.url
    context.close()


def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2, levels A and AA, and its own best practice."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found: Any = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, rules: {'target-size': {enabled: true}}})",
        tags,
    )
    assert len(found["passes"]) > 15  # axe ran
    return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


def test_every_page_is_accessible(browser: Browser, site: Site) -> None:
    """The page, the page with errors and open declarations, the form shown again, and a refusal: axe finds nothing."""
    context = sign_in(browser, site)
    page = context.new_page()
    found = {}
    page.goto(site.explained)
    found["asked"] = violations(page)
    page.get_by_role("button", name="Declare").click()
    found["errors"] = violations(page)
    fill(page)
    page.goto(f"{site.url}/.purposegate/declare")
    found["open declarations"] = violations(page)
    page.goto(site.record(site.world.cast.relative))
    fill(page)
    found["refused"] = violations(page)
    assert "Not released" == heading(page)
    context.clear_cookies()
    page.goto(site.note_form)
    page.get_by_label("Note").fill("called twice")
    page.get_by_role("button").click()
    found["interrupted"] = violations(page)
    fill(page)
    found["sent again"] = violations(page)

    assert {name: [] for name in found} == found
    context.close()


def test_the_page_fits_a_small_screen(browser: Browser, site: Site) -> None:
    """At 320 pixels, or at 400 % of a desk's screen, nothing is cut off or scrolls sideways (WCAG 1.4.10)."""
    context = sign_in(browser, site)
    page = context.new_page()
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(site.explained)
    page.get_by_role("button", name="Declare").click()

    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()


MEND = {
    "purpose": "Data quality and maintenance",
    "task": "DQ/150/26",
    "reason": "The ticket reports a wrong house number on this record",
}


def test_an_interrupted_form_is_shown_and_sent_by_the_person(browser: Browser, site: Site) -> None:
    """What was sent does not pass; after declaring it is shown as it was, and goes only when the person sends it, once."""
    context = sign_in(browser, site, who="T1003", role="Records", scripts=False)
    page, before, text = context.new_page(), len(site.posted), "two lines\r\nof <b>text</b> & more"
    page.goto(site.note_form)
    page.get_by_label("Note").fill(text.replace("\r\n", "\n"))
    page.get_by_role("button", name="Save").click()
    assert "What you sent was not passed on." in page.inner_text("main")
    fill(page, **MEND)
    assert "Look at it, and send it again" == heading(page)
    assert "of <b>text</b> & more" in page.inner_text("dl")
    assert before == len(site.posted)

    page.get_by_role("button", name="Send it").click()

    assert [{"text": text, "kind": "call & <visit>"}] == site.posted[before:]
    assert site.explained == page.url
    context.close()


@pytest.mark.parametrize(
    ("enctype", "text"),
    [("multipart/form-data", "with a picture"), ("application/x-www-form-urlencoded", "x" * 40_000)],
    ids=["with files", "too long"],
)
def test_a_form_that_cannot_be_shown_again_is_said_to_be_lost(
    browser: Browser, site: Site, enctype: str, text: str
) -> None:
    """It is not carried: the page says so, and what to do; nothing of it reaches the application."""
    context = sign_in(browser, site, who="T1003", role="Records")
    page, before = context.new_page(), len(site.posted)
    page.goto(site.note_form)
    page.evaluate("enctype => { document.forms[0].enctype = enctype; }", enctype)
    page.get_by_label("Note").fill(text)
    page.get_by_role("button", name="Save").click()
    page.wait_for_load_state()

    assert "What you sent was not passed on. Declare, go back, and send it again." in page.inner_text("main")
    assert (before, 0) == (len(site.posted), page.locator('input[name="interrupted"]').count())
    context.close()


def test_a_refusal_is_a_page_with_ways_forward(maya: BrowserContext, site: Site) -> None:
    """A relative's record, declared for with a good reason: 403 as a page that says nothing of why, with the links."""
    page = maya.new_page()
    page.goto(site.record(site.world.cast.relative))
    fill(page)

    links = page.get_by_role("listitem").get_by_role("link")
    assert ("Not released", 4) == (heading(page), links.count())
    assert "relative" not in page.inner_text("main").casefold()
    links.first.click()
    assert "Say what this lookup is for" == heading(page)


def test_a_stolen_cookie_opens_nothing(browser: Browser, maya: BrowserContext, site: Site) -> None:
    """In another person's browser, and in one's own after another sign-in, it is no declaration."""
    page = maya.new_page()
    page.goto(site.explained)
    fill(page)
    thief = sign_in(browser, site, who="T1002", role="Constable")
    [cookie] = maya.cookies()
    value = cookie.get("value", "")
    thief.add_cookies([{"name": COOKIE, "value": value, "url": f"{site.url}/", "secure": True}])

    assert 428 == status_of(thief.new_page(), site.explained)
    thief.close()


@pytest.fixture
def evil(site: Site) -> Iterator[str]:
    """Another site, whose page sends whatever it is told to, by itself."""

    async def trap(request: Request) -> HTMLResponse:
        query = dict(request.query_params)
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in query.items()
        )
        target = escape(query.get("to", ""))
        return HTMLResponse(
            f'<form method="post" action="{site.url}{target}">{fields}<button>Go</button></form>'
        )

    with serving(Starlette(routes=[Route("/", trap)])) as url:
        yield url


def declared(page: Page, site: Site) -> Any:
    """The open declarations of whoever browses."""
    answer = page.goto(f"{site.url}/.purposegate/declarations")
    assert answer is not None
    return answer.json()


def test_another_site_cannot_declare(browser: Browser, site: Site, evil: str) -> None:
    """A form that somebody else's page sends here, with a token taken from the gate's own page, declares nothing."""
    context = sign_in(browser, site)
    page = context.new_page()
    page.goto(f"{site.url}/.purposegate/declare")
    token = page.locator('input[name="form"]').first.input_value()
    before = declared(page, site)
    page.goto(
        f"{evil}/?to=/.purposegate/declare&form={token}&purpose=investigate.crime&task=CR/1042/26&read=yes&reason={REASON}"
    )
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name="Go").click()

    assert 403 == navigation.value.status
    assert before == declared(page, site)
    assert COOKIE not in {cookie["name"] for cookie in context.cookies()}
    context.close()


def test_another_sites_form_is_not_carried_into_this_one(browser: Browser, site: Site, evil: str) -> None:
    """Sent to the application itself, it is shown the page, and nothing of what it said is there to be sent on."""
    context = sign_in(browser, site)
    page = context.new_page()
    note = site.world.path(site.world.cast.suspect, "") + "/note"
    page.goto(f"{evil}/?to={note}&text=planted")
    page.get_by_role("button", name="Go").click()
    page.wait_for_load_state()

    assert "Say what this lookup is for" == heading(page)
    assert 0 == page.locator('input[name="interrupted"]').count()
    assert "planted" not in page.content()
    context.close()


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example/",
        "/%5Cevil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "/%09/evil.example",
        "javascript:x",
    ],
)
def test_nobody_is_led_away(maya: BrowserContext, site: Site, back: str) -> None:
    """A link to the page that names another place: after declaring, the browser is still here."""
    page = maya.new_page()
    page.goto(f"{site.url}/.purposegate/declare?return={back}")
    fill(page)

    assert f"{site.url}/.purposegate/declare" == page.url


def test_an_open_declaration_is_ended_with_a_button(maya: BrowserContext, site: Site) -> None:
    """The page lists it, the button ends it, and the record asks again."""
    page = maya.new_page()
    page.goto(site.explained)
    fill(page)
    page.goto(f"{site.url}/.purposegate/declare")
    while page.get_by_role("button", name="End it").count():
        page.get_by_role("button", name="End it").first.click()
        page.wait_for_load_state()

    assert 428 == status_of(page, site.explained)


def test_another_site_may_not_frame_it(browser: Browser, site: Site, evil: str) -> None:
    """In somebody else's frame there is nothing to click on."""
    context = sign_in(browser, site)
    page = context.new_page()
    page.goto(evil)
    page.evaluate(
        "url => { const f = document.createElement('iframe'); f.src = url; document.body.append(f); }",
        site.explained,
    )
    page.wait_for_load_state("networkidle")

    assert not any("Say what" in frame.content() for frame in page.frames)
    context.close()
