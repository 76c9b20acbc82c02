"""Law 4: what comes back is judged too, whatever it is and wherever in it a person stands."""

from typing import Any

import pytest

from gates import MINE, Gated, World, behind
from hostile import JSON, HostileApp, row_page, table_page
from purposegate.gate import Parts
from purposegate.model import EntryKind, Mode
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio


def reasons(gated: Gated) -> list[str]:
    found: list[str] = gated.entries[-1].fields["reasons"]
    return found


async def answer_of(
    world: World, parts: Parts, app: HostileApp, path: str = "", **ask: Any
) -> tuple[Gated, Any]:
    gated = behind(world, app, parts)
    return gated, await gated.ask(path or world.path(world.cast.suspect), **ask)


async def test_another_record_than_was_asked_for_is_withheld(world: World, parts: Parts) -> None:
    """A records system that answers with somebody else's record releases nothing of it."""
    other = world.both.records[world.cast.witness]
    gated, answer = await answer_of(world, parts, HostileApp(row_page(other)))

    assert (502, [Reason.ANSWER_UNREADABLE]) == (answer.status_code, reasons(gated))
    assert other["surname"] not in answer.text


async def test_an_error_page_never_passes(world: World, parts: Parts) -> None:
    """An upstream error page may name people, so the gate answers with its own words."""
    app = HostileApp(b"Traceback: surname = 'whitlam'", status=500, headers=[(b"content-type", b"text/html")])
    gated, answer = await answer_of(world, parts, app)

    assert (502, [Reason.UPSTREAM_FAILED]) == (answer.status_code, reasons(gated))
    assert "whitlam" not in answer.text


async def test_an_outage_of_the_records_system_is_not_a_refusal(world: World, parts: Parts) -> None:
    """Law 3: the ledger tells the outage from a refusal."""
    gated, _ = await answer_of(world, parts, HostileApp(status=500))

    assert EntryKind.OUTAGE is gated.entries[-1].kind


async def test_a_missing_record_gets_the_gates_own_words(world: World, parts: Parts) -> None:
    """A 404 page of the records system is replaced, and the lookup is on record."""
    gated, answer = await answer_of(world, parts, HostileApp(b"no whitlam here", status=404))

    assert (404, EntryKind.RELEASE) == (answer.status_code, gated.entries[-1].kind)
    assert "whitlam" not in answer.text


@pytest.mark.parametrize("status", [201, 204, 206, 226, 300, 304, 400, 401, 403, 418, 500, 503])
async def test_no_other_status_passes(world: World, parts: Parts, status: int) -> None:
    """Only 200 is judged; every other answer is an outage of the records system."""
    row = world.both.records[world.cast.suspect]
    _, answer = await answer_of(world, parts, HostileApp(row_page(row), status=status))

    assert 502 == answer.status_code


@pytest.mark.parametrize(
    "location",
    [
        b"https://elsewhere.example/people/person/1",
        b"//elsewhere.example/",
        b"/people/person/rec-9-dup-0?surname=whitlam",
        b"/whitlam",
        b"javascript:alert(1)",
        b"",
    ],
)
async def test_a_redirect_that_tells_something_stays_behind(
    world: World, parts: Parts, location: bytes
) -> None:
    """A redirect out of the map, or with a name in it, is not passed on."""
    gated, answer = await answer_of(
        world, parts, HostileApp(b"whitlam", status=302, headers=[(b"location", location)])
    )

    assert (502, [Reason.UPSTREAM_REDIRECTED]) == (answer.status_code, reasons(gated))
    assert "location" not in answer.headers


async def test_a_redirect_to_the_record_asked_for_passes_without_its_body(world: World, parts: Parts) -> None:
    """A redirect from the record's page to its JSON tells nothing new."""
    target = world.path(world.cast.suspect).encode()
    app = HostileApp(b"whitlam", status=302, headers=[(b"location", target)])
    _, answer = await answer_of(world, parts, app, world.path(world.cast.suspect, ""))

    assert (302, target.decode(), b"") == (answer.status_code, answer.headers["location"], answer.content)


async def test_headers_pass_by_allow_list(world: World, parts: Parts) -> None:
    """Every header that is not on the list stays behind: each is a place for a name to hide."""
    row = world.both.records[world.cast.suspect]
    loud = [
        (b"etag", b'"whitlam"'), (b"last-modified", b"Sat, 21 Nov 2026 10:00:00 GMT"), (b"link", b"</whitlam>; rel=next"),
        (b"x-total-count", b"12"), (b"set-cookie", b"seen=whitlam"), (b"server-timing", b"whitlam"),
        (b"content-location", b"/whitlam"), (b"accept-ranges", b"bytes"), (b"vary", b"accept"),
        (b"content-disposition", b'inline; filename="whitlam.json"'),
    ]  # fmt: skip
    _, answer = await answer_of(world, parts, HostileApp(row_page(row), headers=[*JSON, *loud]))

    assert {
        "cache-control", "content-length", "content-type", "purposegate-receipt", "x-content-type-options",
    } == set(answer.headers)  # fmt: skip


async def test_answers_from_judged_routes_are_not_stored(gated: Gated) -> None:
    """No cache may keep a record for the next principal."""
    answer = await gated.ask(gated.world.path(gated.world.cast.suspect))

    assert "no-store" == answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("range", "bytes=0-10"),
        ("if-range", '"x"'),
        ("if-none-match", "*"),
        ("if-match", '"x"'),
        ("if-modified-since", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ("if-unmodified-since", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
    ],
)
async def test_conditional_and_hop_headers_do_not_travel(
    world: World, parts: Parts, name: str, value: str
) -> None:
    """A record that depends on a condition would tell by its status what the gate withholds."""
    app = HostileApp(row_page(world.both.records[world.cast.suspect]))
    _, answer = await answer_of(world, parts, app, headers={name: value})

    sent = {key.decode() for key, _ in app.asked[-1]["headers"]}
    assert (200, False) == (answer.status_code, name in sent)


async def test_the_declaration_does_not_travel(world: World, parts: Parts) -> None:
    """The records system's own log is no place for reasons."""
    app = HostileApp(row_page(world.both.records[world.cast.suspect]))
    await answer_of(world, parts, app)

    assert b"access-purpose" not in {key for key, _ in app.asked[-1]["headers"]}


async def test_head_is_judged_as_get(world: World, parts: Parts) -> None:
    """HEAD asks the records system by GET, is judged by its body, and answers without one."""
    app = HostileApp(row_page(world.both.records[world.cast.suspect]))
    _, answer = await answer_of(world, parts, app, method="HEAD")

    assert (200, b"", "GET") == (answer.status_code, answer.content, app.asked[-1]["method"])


async def test_head_of_a_withheld_record_is_refused_like_get(gated: Gated) -> None:
    """The status of a HEAD tells no more than that of a GET."""
    path = gated.world.path(gated.world.cast.relative)
    by_head, by_get = await gated.ask(path, method="HEAD"), await gated.ask(path)

    assert (403, 403) == (by_head.status_code, by_get.status_code)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", JSON),
        (b"[]", JSON),
        (b'{"rows": [', JSON),
        (b'{"rows": [], "rows": []}', JSON),
        (b"\xff\xfe{}", JSON),
        (b"[" * 100_000, JSON),
        (b'{"rows": [[1]], "columns": ["rec_id", "surname"]}', JSON),
        (b"<html>", [(b"content-type", b"text/html")]),
        (b"{}", []),
        (b"{}", [*JSON, (b"content-encoding", b"gzip")]),
        (b"{}", [*JSON, *JSON]),
    ],
)
async def test_an_answer_out_of_shape_is_withheld(
    world: World, parts: Parts, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """What the mapping does not promise cannot be judged, so it does not leave."""
    gated, answer = await answer_of(world, parts, HostileApp(body, headers=headers))

    assert (502, [Reason.ANSWER_UNREADABLE]) == (answer.status_code, reasons(gated))


async def test_an_answer_over_the_cap_is_withheld(world: World, parts: Parts) -> None:
    """An answer larger than the gate holds is an outage with its own reason."""
    chunk = {"type": "http.response.body", "body": b" " * 1024 * 1024, "more_body": True}
    app = HostileApp(
        messages=[{"type": "http.response.start", "status": 200, "headers": list(JSON)}, *[chunk] * 9]
    )
    gated, answer = await answer_of(world, parts, app)

    assert (502, [Reason.ANSWER_TOO_LARGE]) == (answer.status_code, reasons(gated))


@pytest.mark.parametrize(
    "messages", [[], [{"type": "http.response.start", "status": 200, "headers": list(JSON)}]]
)
async def test_an_app_that_stops_half_way_releases_nothing(
    world: World, parts: Parts, messages: list[Any]
) -> None:
    """An answer that never became complete is an outage, with an entry."""
    gated, answer = await answer_of(world, parts, HostileApp(messages=messages))

    assert (502, [Reason.UPSTREAM_FAILED]) == (answer.status_code, reasons(gated))


async def test_a_crash_of_the_app_releases_nothing(world: World, parts: Parts) -> None:
    """The exception's text stays with the server's log."""
    app = HostileApp(messages=[], error=RuntimeError("whitlam"))
    gated, answer = await answer_of(world, parts, app)

    assert (502, [Reason.UPSTREAM_FAILED]) == (answer.status_code, reasons(gated))
    assert "whitlam" not in answer.text


async def test_extensions_that_bypass_the_body_are_taken_away(world: World, parts: Parts) -> None:
    """An app that could send a file past the gate is not told that the server can."""
    app = HostileApp(row_page(world.both.records[world.cast.suspect]))
    gated = behind(world, app, parts)
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": world.path(world.cast.suspect), "query_string": b"", "http_version": "1.1",
        "raw_path": world.path(world.cast.suspect).encode(), "scheme": "http", "server": None, "client": None, "root_path": "",
        "headers": [
            (b"authorization", f"Bearer {gated.token('T1001', 'Detective')}".encode()), (b"access-purpose", MINE.encode()),
        ],
        "extensions": {"http.response.pathsend": {}, "http.response.zerocopysend": {}, "tls": {}},
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await gated.asgi(scope, receive, send)

    assert (200, {"tls": {}}) == (sent[0]["status"], app.asked[-1]["extensions"])


async def test_totals_and_facets_of_a_list_stay_behind(world: World, parts: Parts) -> None:
    """Counts would tell how many rows were withheld."""
    rows = [world.both.records[n] for n in (world.cast.suspect, world.cast.witness)]
    app = HostileApp(table_page(rows, facet_results={"surname": {"whitlam": 3}}))
    _, answer = await answer_of(world, parts, app, "/people/person.json")

    assert not {"filtered_table_rows_count", "facet_results", "suggested_facets"} & set(answer.json())
    assert "whitlam" not in answer.text.replace(rows[0]["surname"], "").replace(rows[1]["surname"], "")


async def test_every_search_answer_carries_the_same_sentence_and_link(world: World, parts: Parts) -> None:
    """Law 7: with rows withheld, with none, and with no hit at all, the notice is the same."""
    cast, records = world.cast, world.both.records
    notices = []
    for rows in (
        [records[cast.suspect]],
        [records[cast.suspect], records[cast.relative]],
        [records[cast.relative]],
        [],
    ):
        _, answer = await answer_of(world, parts, HostileApp(table_page(rows)), "/people/person.json")
        notices.append(
            (
                answer.status_code,
                answer.headers["purposegate-notice"],
                answer.headers["link"],
                answer.json()["notice"],
            )
        )

    assert 1 == len(set(notices))


async def test_a_list_of_withheld_rows_looks_like_an_empty_one(world: World, parts: Parts) -> None:
    """A search that hits only conflicted people answers, byte for byte, as a search that hits nobody."""
    relative = world.both.records[world.cast.relative]
    _, withheld = await answer_of(world, parts, HostileApp(table_page([relative])), "/people/person.json")
    _, empty = await answer_of(world, parts, HostileApp(table_page([])), "/people/person.json")

    assert empty.content == withheld.content


async def test_a_list_is_not_filled_up_for_ever(world: World, parts: Parts) -> None:
    """A records system that never runs out of withheld rows is asked so often and no more; the list can be gone on with."""
    app = HostileApp(table_page([world.both.records[world.cast.relative]], next_token="more"))
    gated = behind(world, app, parts, refill_pages=3)
    answer = await gated.ask("/people/person.json")

    assert (200, [], 3) == (answer.status_code, answer.json()["rows"], len(app.asked))
    assert answer.json()["next"]


async def test_monitor_mode_tells_a_missing_record_from_an_outage(world: World, parts: Parts) -> None:
    """Law 10: what enforcing would have answered 404 is on record as that."""
    app = HostileApp(b"no such page", status=404, headers=[(b"content-type", b"text/html")])
    gated = behind(world, app, parts, modes={"default": Mode.MONITOR})
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (404, EntryKind.RELEASE, 404) == (
        answer.status_code,
        gated.entries[-1].kind,
        gated.entries[-1].fields["status"],
    )
