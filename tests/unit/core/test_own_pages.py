"""The gate's own pages: who may open them, what must be on record, and what is no page."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gates import Gated, World, behind
from hostile import HostileApp
from purposegate.errors import FactsOutage, PageRefused
from purposegate.exchange import Reply
from purposegate.gate import Parts
from purposegate.model import EntryKind
from purposegate.pages import NOBODY, Page, Pages, Visit, Who, html_page, json_page, see_other
from purposegate.reasons import Reason
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio
NOTE = "/.purposegate/notes/7"


async def keep(visit: Visit) -> Reply:
    """Put a note on record."""
    note, text = visit.values["note"], visit.text("text", most_chars=20)
    if text == "no":
        raise PageRefused(409, "note-refused", "text: want something else.")
    receipt = await visit.append(visit.entry(EntryKind.READING, {"note": note, "text": text}))
    return json_page({"by": visit.principal.id, "index": receipt.index}, status=201)


async def show(visit: Visit) -> Reply:
    """Show what was asked for."""
    return json_page({"note": visit.values["note"], "by": visit.principal.id, "query": dict(visit.query)})


async def forget(visit: Visit) -> Reply:
    """Say that something was done, and have told nobody."""
    return see_other(f"/.purposegate/notes/{visit.values['note']}")


NOTES = (
    Page("GET", "/notes/{note}", show),
    Page("POST", "/notes/{note}", keep, problems={"note-refused": "Such a note is not kept."}),
)


@pytest.fixture
def noted(world: World, parts: Parts) -> Gated:
    """A gate with pages of a room."""
    return behind(world, HostileApp(), parts, pages=Pages(*NOTES))


async def test_a_page_that_changes_something_is_on_record_before_it_answers(noted: Gated) -> None:
    """The entry names who did it, in the directory's spelling, and what."""
    answer = await noted.ask(NOTE, who="t1001", method="POST", json={"text": " called back "})

    assert (201, "T1001") == (answer.status_code, answer.json()["by"])
    (entry,) = noted.entries
    assert (EntryKind.READING, False) == (entry.kind, entry.released)
    assert ("T1001", "7", "called back") == tuple(entry.fields[key] for key in ("principal", "note", "text"))


async def test_a_form_is_read_like_json(noted: Gated) -> None:
    """Browsers send forms."""
    answer = await noted.ask(NOTE, method="POST", data={"text": "café"})

    assert (201, "café") == (answer.status_code, noted.entries[0].fields["text"])


async def test_reading_a_page_takes_its_values_and_query(noted: Gated) -> None:
    """Names of the template are decoded once; the query has each name once."""
    answer = await noted.ask("/.purposegate/notes/a%20b?page=2")

    assert {"note": "a b", "by": "T1001", "query": {"page": "2"}} == answer.json()
    assert [] == noted.entries


async def test_head_is_answered_as_get(noted: Gated) -> None:
    """The same headers, no body."""
    answer = await noted.ask(NOTE, method="HEAD")

    assert (200, b"", "application/json") == (
        answer.status_code,
        answer.content,
        answer.headers["content-type"],
    )


@pytest.mark.parametrize(
    ("path", "allow"), [(NOTE, "GET, HEAD, POST"), ("/.purposegate/purposes", "GET, HEAD")]
)
async def test_another_method_is_told_which_there_are(noted: Gated, path: str, allow: str) -> None:
    """405 with Allow (RFC 9110 section 15.5.6)."""
    answer = await noted.ask(path, method="DELETE")

    assert (405, allow) == (answer.status_code, answer.headers["allow"])
    assert "/.purposegate/problems/method-not-allowed" == answer.json()["type"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/notes",
        "/notes/",
        "/notes/7/",
        "/notes/..",
        "/notes/%2e%2e",
        "/notes/a%2Fb",
        "/notes/%00",
        "/nothing",
    ],
)
async def test_what_no_page_stands_at_is_not_found(noted: Gated, path: str) -> None:
    """And never asked of the records system, whatever its map says."""
    answer = await noted.ask("http://records.example/.purposegate" + path)

    app: Any = noted.app
    assert (404, []) == (answer.status_code, app.asked)


async def test_a_stranger_sees_no_page_and_not_which_there_are(noted: Gated) -> None:
    """401 for what is there and for what is not."""
    asked = [await noted.ask(path, who="") for path in (NOTE, "/.purposegate/nothing")]

    assert [401, 401] == [answer.status_code for answer in asked]


async def test_somebody_the_directory_does_not_hold_is_refused(noted: Gated) -> None:
    """A valid token is not enough for a room's page."""
    answer = await noted.ask(NOTE, who="X999", method="POST", json={"text": "hello"})

    assert (403, "/.purposegate/problems/principal-unknown") == (answer.status_code, answer.json()["type"])
    assert [] == noted.entries


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": ""}, 403),
        ({"origin": "http://records.example"}, 201),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://records.example"}, 403),
    ],
)
async def test_another_site_changes_nothing(noted: Gated, headers: dict[str, str], status: int) -> None:
    """A browser says who made it send; without that, its Origin must be the host that was asked."""
    answer = await noted.ask(NOTE, method="POST", json={"text": "hello"}, headers=headers)

    assert (status, status == 201) == (answer.status_code, bool(noted.entries))


async def test_another_site_may_link_to_a_page(noted: Gated) -> None:
    """Reading changes nothing; a link in a mail opens."""
    answer = await noted.ask(NOTE, headers={"sec-fetch-site": "cross-site"})

    assert 200 == answer.status_code


async def test_without_a_ledger_a_page_changes_nothing(world: World, parts: Parts) -> None:
    """503, and what the page would do after its entry is not done."""
    gated = behind(world, HostileApp(), parts, pages=Pages(*NOTES), ledger=DeadLedger(parts))
    answer = await gated.ask(NOTE, method="POST", json={"text": "hello"})

    assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
    assert "/.purposegate/problems/outage" == answer.json()["type"]


async def test_a_change_that_was_told_to_nobody_is_a_fault(world: World, parts: Parts) -> None:
    """A page cannot forget its entry: its success becomes an outage."""
    forgetful = Pages(
        Page("POST", "/notes/{note}", forget), Page("PUT", "/notes/{note}", forget, appends=False)
    )
    gated = behind(world, HostileApp(), parts, pages=forgetful)
    statuses = [(await gated.ask(NOTE, method=method)).status_code for method in ("POST", "PUT")]

    assert [503, 303] == statuses


async def test_a_page_that_crashes_says_nothing_of_why(world: World, parts: Parts) -> None:
    """503 like any fault of the gate; the exception's words go nowhere."""

    async def crash(visit: Visit) -> Reply:
        raise KeyError(visit.principal.id)

    gated = behind(world, HostileApp(), parts, pages=Pages(Page("GET", "/crash", crash)))
    answer = await gated.ask("/.purposegate/crash")

    assert (503, False) == (answer.status_code, "T1001" in answer.text)


async def test_a_page_refuses_in_its_own_words(noted: Gated) -> None:
    """Its problem has a page of its own, beside the standing ones."""
    refused = await noted.ask(NOTE, method="POST", json={"text": "no"})
    texts = [
        (await noted.ask(path)).json()["text"]
        for path in (
            refused.json()["type"],
            "/.purposegate/problems/cross-site",
            "/.purposegate/problems/refused",
        )
    ]

    assert (409, "text: want something else.") == (refused.status_code, refused.json()["detail"])
    assert "Such a note is not kept." == texts[0]
    assert [] == noted.entries


@pytest.mark.parametrize("body", [{}, {"text": 7}, {"text": None}, {"text": "x" * 21}])
async def test_a_field_that_is_missing_or_too_long_is_named(noted: Gated, body: dict[str, Any]) -> None:
    """By its name, never by its content."""
    answer = await noted.ask(NOTE, method="POST", json=body)

    assert (400, True, False) == (
        answer.status_code,
        answer.json()["detail"].startswith("text: "),
        "xxx" in answer.text,
    )


async def test_while_the_directory_is_away_only_the_standing_pages_answer(world: World, parts: Parts) -> None:
    """How to break glass can be read when it is needed; a room's page waits."""

    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(parts.snapshot.facts, name)

        async def known_as(self, staff_id: str) -> str:
            raise FactsOutage(Reason.FACTS_UNAVAILABLE, staff_id)

    facts: Any = Away()
    gated = behind(
        world,
        HostileApp(),
        replace(parts, snapshot=replace(parts.snapshot, facts=facts)),
        pages=Pages(*NOTES),
    )
    statuses = [(await gated.ask(path)).status_code for path in ("/.purposegate/purposes", NOTE)]

    assert [200, 503] == statuses


async def test_a_page_for_anybody_looks_at_no_token(world: World, parts: Parts) -> None:
    """Such a page says so, can only read, and is told of nobody."""
    seen = list[Visit]()

    async def front(visit: Visit) -> Reply:
        seen.append(visit)
        return html_page("<p>Sign in</p>")

    gated = behind(world, HostileApp(), parts, pages=Pages(Page("GET", "/front", front, who=Who.ANYBODY)))
    answer = await gated.ask("/.purposegate/front", who="")

    assert (200, NOBODY) == (answer.status_code, seen[0].principal)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_a_client_that_hangs_up_does_not_part_an_entry_from_its_change(
    world: World, parts: Parts
) -> None:
    """What a page began it ends: the entry is durable and the change made."""
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(visit: Visit) -> Reply:
        await visit.append(visit.entry(EntryKind.READING, {"note": "1"}))
        begun.set()
        await go.wait()
        done.set()
        return json_page({})

    gated = behind(world, HostileApp(), parts, pages=Pages(Page("POST", "/slow", slow)))
    asking = asyncio.create_task(gated.ask("/.purposegate/slow", method="POST"))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    await asyncio.wait_for(done.wait(), 5)

    assert 1 == len(gated.entries)
