"""What goes upstream: one spelling, and nothing by which the answer could become unjudgeable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import RouteRefused
from purposegate.exchange import Page, Request
from purposegate.protocols import Match
from purposegate.records.mapping import Mapping, load
from purposegate.records.paths import read_query, write_query
from records_system import HOST, POLICIES, get

LIST = "/people/person.json"

NOT_SENT = [
    b"range",
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
    b"if-range",
    b"if-schedule-tag-match",
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"expect",
    b"content-length",
    b"content-type",
    b"a-im",
    b"if_none_match",
    b"x_anything",
]


def matched(mapping: Mapping, request: Request) -> Match:
    match = mapping.match(request)
    assert match is not None
    return match


def sent(mapping: Mapping, request: Request, page: Page = Page()) -> Request:  # noqa: B008 - a named tuple is immutable
    return matched(mapping, request).request(page)


@pytest.mark.parametrize("name", NOT_SENT)
def test_a_steering_header_is_not_sent(mapping: Mapping, name: bytes) -> None:
    """Conditional, partial, hop-by-hop and look-alike headers end at the gate."""
    assert () == sent(mapping, get(LIST, (name, b"x"))).values(name)


def test_headers_that_connection_names_are_not_sent(mapping: Mapping) -> None:
    """RFC 9110 section 7.6.1: what `Connection` lists is for this hop alone."""
    request = get(LIST, (b"connection", b"close, X-Secret"), (b"x-secret", b"1"), (b"x-other", b"2"))

    assert (HOST, (b"x-other", b"2")) == sent(mapping, request).headers[:2]


@pytest.mark.parametrize(("path", "accept"), [(LIST, b"application/json"), ("/people/person", b"text/html")])
def test_the_answers_format_is_not_the_clients_to_choose(mapping: Mapping, path: str, accept: bytes) -> None:
    """The route's media type and no compression are asked for, whatever the client prefers."""
    request = sent(mapping, get(path, (b"accept", b"text/csv"), (b"accept-encoding", b"br, zstd, gzip")))

    assert (accept,) == request.values(b"accept")
    assert (b"identity",) == request.values(b"accept-encoding")


def test_head_goes_up_as_get(mapping: Mapping) -> None:
    """HEAD is judged as GET."""
    assert "GET" == sent(mapping, get(LIST, method="HEAD")).method


def test_the_cursor_does_not_travel_and_the_token_does(mapping: Mapping) -> None:
    """The gate's cursor stays; the upstream's own token takes its place."""
    request = sent(mapping, get(f"{LIST}?_next=SEALED&surname=o%27neil"), Page("rec-1,x y", 2))

    assert b"surname=o%27neil&_nocount=1&_nofacet=1&_nosuggest=1&_next=rec-1%2Cx%20y" == request.query
    assert "SEALED" == matched(mapping, get(f"{LIST}?_next=SEALED")).page


def test_empty_form_fields_stay_behind(mapping: Mapping) -> None:
    """What a form sends empty means nothing; an empty criterion does."""
    request = sent(mapping, get("/people/person?_search=&_filter_column=&_sort=&given_name="))

    assert (("given_name", ""),) == read_query(request.query)[:1]
    assert 4 == len(read_query(request.query))


def test_a_path_goes_up_in_its_one_spelling(mapping: Mapping) -> None:
    """Raw and decoded path of the request sent agree."""
    request = sent(mapping, get("/people/person/rec-1.json"))

    assert (b"/people/person/rec-1.json", "/people/person/rec-1.json") == (request.raw_path, request.path)


def test_criteria_name_fields_operators_and_free_text(mapping: Mapping) -> None:
    """The ledger's view of a search: by field, with operator, sort keys and free text among them."""
    match = matched(
        mapping,
        get(
            f"{LIST}?surname__exact=white&postcode__gte=2000&postcode__lt=3000&_search=main+road&_sort_desc=state"
            "&_search_suburb=north&given_name=ann"
        ),
    )

    assert {
        "surname": "exact white",
        "postcode": "gte 2000; lt 3000",
        "*": "main road",
        "state": "_sort_desc",
        "suburb": "north",
        "given_name": "ann",
    } == match.criteria


@pytest.mark.parametrize(
    ("query", "masks", "touched"),
    [
        ("surname=x", {"name"}, True),
        ("surname=x", {"surname"}, True),
        ("surname=x", {"given_name"}, False),
        ("surname=x", {"address", "born"}, False),
        ("_sort=postcode", {"address"}, True),
        ("_sort_desc=date_of_birth", {"born"}, True),
        ("_search=x", {"national_id"}, True),
        ("_search=", {"national_id"}, False),
        ("_search_suburb=x", {"address"}, True),
        ("_search_suburb=x", {"name"}, False),
        ("soc_sec_id__isnull=1", {"national_id"}, True),
        ("_size=5", {"name", "born", "address", "national_id"}, False),
        ("surname=x", set(), False),
    ],
)
def test_what_criteria_touch(mapping: Mapping, query: str, masks: set[str], touched: bool) -> None:
    """A criterion, sort key or free text that reads a masked field is seen, by column and by group."""
    assert touched is matched(mapping, get(f"{LIST}?{query}")).touches(frozenset(masks))


MAPPING = load(POLICIES / "records.yaml")
NAMES = st.sampled_from(
    ["surname", "surname__in", "_search", "_sort", "_size", "_next", "_shape", "_where", "_x", "a&b", "é"]
)
VALUES = st.one_of(
    st.text(max_size=12), st.sampled_from(["surname", "10", "objects", "", "a=b&c", "+", "%00"])
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.text(max_size=20))
def test_what_goes_up_is_matched_as_what_came_in(pairs: list[tuple[str, str]], token: str) -> None:
    """For any query that is accepted, the request sent on is accepted too and asks for the same: no second meaning."""
    try:
        first = matched(MAPPING, get(f"{LIST}?{write_query(pairs).decode()}" if pairs else LIST))
        again = matched(MAPPING, first.request(Page(token)))
    except (RouteRefused, UnicodeEncodeError):
        return
    assert (first.criteria, first.route, first.records) == (again.criteria, again.route, again.records)
    assert token == again.page
    assert first.request(Page()) == again.request(Page())
