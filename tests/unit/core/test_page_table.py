"""The table of pages and what is read from a request, byte by byte."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import PageRefused
from purposegate.exchange import Reply, Request
from purposegate.page_body import path_segments, read_body, read_query
from purposegate.pages import FORM, JSON, Found, Page, Pages, Visit, Who


async def nothing(_: Visit) -> Reply:
    """A page that is never opened here."""
    return Reply(status=204)


PAGE = Page("POST", "/x", nothing, raw_types=frozenset({"text/csv"}))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


def sent(body: bytes, content_type: str = JSON, **headers: str) -> Request:
    """A POST with this body."""
    named = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Request(
        method="POST",
        raw_path=b"/x",
        path="/x",
        headers=((b"content-type", content_type.encode("latin-1")), *named),
        body=body,
    )


def refused(request: Request) -> int:
    """The status that reading the body of this request is refused with."""
    with pytest.raises(PageRefused) as caught:
        read_body(request, PAGE)
    return caught.value.status


@given(
    st.dictionaries(WORDS, st.none() | st.booleans() | st.integers(-(2**60), 2**60) | WORDS | st.lists(WORDS))
)
def test_every_json_object_is_read_as_it_is(content: dict[str, Any]) -> None:
    """Escaped or not."""
    for ascii_only in (True, False):
        body = json.dumps(content, ensure_ascii=ascii_only).encode()
        assert content == read_body(sent(body, "Application/JSON; charset=UTF-8"), PAGE)


@given(st.dictionaries(WORDS, WORDS))
def test_every_form_is_read_as_it_was_filled_in(content: dict[str, str]) -> None:
    """Names and values of any characters but the null."""
    assert content == read_body(sent(urlencode(content).encode(), FORM), PAGE)


@given(st.binary(max_size=60), st.sampled_from([JSON, FORM]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    """Nothing but `PageRefused(400)` comes out of what a client sends."""
    try:
        status = 200 if isinstance(read_body(sent(body, content_type), PAGE), dict) else 0
    except PageRefused as error:
        status = error.status

    assert status in (200, 400)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"\xff{}",
        b"[]",
        b'"a"',
        b"{} {}",
        b"[" * 30000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_json_with_two_readings_is_refused(body: bytes) -> None:
    """A name twice, what is not JSON, what is no object, what no entry could hold."""
    assert 400 == refused(sent(body))


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a", b"a=%FF", b"a=\xc3\xa9", b"a=%00", b"a=1&&b=2"])
def test_a_form_with_two_readings_is_refused(body: bytes) -> None:
    """A name twice, no pair, not UTF-8, raw bytes."""
    assert 400 == refused(sent(body, FORM))


@pytest.mark.parametrize(
    "request_",
    [
        sent(b"{}", "text/plain"),
        sent(b"{}", "application/json; charset=latin-1"),
        sent(b"{}", "application/jsonp"),
        sent(b"{}", content_encoding="gzip"),
        replace(sent(b"{}"), headers=((b"content-type", JSON.encode()), (b"content-type", FORM.encode()))),
        Request(method="POST", raw_path=b"/x", path="/x", body=b"{}"),
    ],
)
def test_a_body_of_no_known_type_is_refused(request_: Request) -> None:
    """415: nobody guesses what bytes mean."""
    assert 415 == refused(request_)


def test_a_body_over_the_cap_is_refused() -> None:
    """Over the page's own cap, or cut by the entrance."""
    whole = sent(b'"' + b"x" * 64 * 1024)
    cut = Request(method="POST", raw_path=b"/x", path="/x", body=b"{}", body_over_cap=True)

    assert [413, 413] == [refused(whole), refused(cut)]


def test_a_page_reads_types_of_its_own_for_itself() -> None:
    """Its bytes stay in the request."""
    assert {} == read_body(sent(b"a,b\n", "text/csv"), PAGE)


def test_a_query_has_each_name_once() -> None:
    """Like a form."""
    with pytest.raises(PageRefused):
        read_query(Request(method="GET", raw_path=b"/x", path="/x", query=b"a=1&a=1"))


@given(
    st.lists(
        WORDS.filter(lambda word: word.isprintable() and word and not set(word) & set("/\\%")), max_size=4
    )
)
def test_a_path_is_decoded_once(segments: list[str]) -> None:
    """What was quoted comes back; the two that mean another place do not."""
    read = path_segments("".join("/" + quote(segment, safe="") for segment in segments).encode())

    assert (None if {".", ".."} & set(segments) else tuple(segments)) == read


@pytest.mark.parametrize(
    "path", [b"/a//b", b"/a/", b"/%2e", b"/a%2fb", b"/a%252e", b"/%ff", b"/\xc3\xa9", b"/a%0a"]
)
def test_a_path_with_two_readings_leads_nowhere(path: bytes) -> None:
    """It is no page's."""
    assert path_segments(path) is None


def test_a_literal_goes_before_a_name() -> None:
    """However the pages were given."""
    named, literal = Page("GET", "/a/{x}", nothing), Page("GET", "/a/new", nothing)
    for order in ((named, literal), (literal, named)):
        found = [Pages(*order).find("GET", path) for path in (("a", "new"), ("a", "7"))]
        assert [literal, named] == [page.page for page in found if isinstance(page, Found)]


@pytest.mark.parametrize(
    "pages",
    [
        lambda: Pages(Page("GET", "/a/{x}", nothing), Page("GET", "/a/{y}", nothing)),
        lambda: Page("TRACE", "/a", nothing),
        lambda: Page("GET", "a", nothing),
        lambda: Page("GET", "/a/", nothing),
        lambda: Page("GET", "/a/{x}b", nothing),
        lambda: Page("GET", "/a/{x}/{x}", nothing),
        lambda: Page("POST", "/a", nothing, who=Who.ANYBODY),
    ],
)
def test_pages_that_could_never_be_served_are_not_made(pages: Any) -> None:
    """Two at one place, a place that no path has, a change by nobody."""
    with pytest.raises(ValueError, match=r"/a|share|a:"):
        pages()
