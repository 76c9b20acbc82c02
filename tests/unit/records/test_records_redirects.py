"""A redirect may only lead to where the principal already pointed."""

import pytest

from purposegate.exchange import Held
from purposegate.protocols import Match
from purposegate.records.mapping import load
from records_system import POLICIES, get

MAPPING = load(POLICIES / "records.yaml")


def matched(address: str) -> Match:
    match = MAPPING.match(get(address))
    assert match is not None
    return match


SEARCH = "/people/person?surname=white&_size=5"
VIEW = "/people/person/r1"

SAFE = [
    (SEARCH, "/people/person?surname=white&_size=5"),
    (SEARCH, "/people/person?surname__exact=white"),
    (SEARCH, "/people/person.json?given_name=white&_sort=postcode&_size=5&_nocount=1"),
    (SEARCH, "?surname=white"),
    (SEARCH, "http://records.example/people/person?surname=white"),
    (SEARCH, "//RECORDS.example/people/person"),
    (SEARCH, "/people/person"),
    (SEARCH, "/favicon.ico"),
    (SEARCH, "/people/person?surname__isnull=1"),
    (VIEW, "/people/person/r1.json"),
    (VIEW, "/people/person/r1.json?_shape=objects"),
    (VIEW, "/people/person?rec_id=r1"),
]

UNSAFE = {
    "another record": (VIEW, "/people/person/r2"),
    "a record found by search": (SEARCH, "/people/person/r1"),
    "a value found by search": (SEARCH, "/people/person?surname=white&date_of_birth=19481122"),
    "free text nobody typed": (SEARCH, "/people/person?_search=r1"),
    "a record id as criterion": (SEARCH, "/people/person?rec_id=r1"),
    "a page size nobody asked for": (SEARCH, "/people/person?surname=white&_size=12"),
    "a parameter that means nothing": (SEARCH, "/people/person?surname=white&_nocount=r1"),
    "the upstream's page token": (SEARCH, "/people/person?surname=white&_next=r1"),
    "another host": (SEARCH, "http://elsewhere.example/people/person?surname=white"),
    "another host without a scheme": (SEARCH, "//elsewhere.example/people/person"),
    "another port": (SEARCH, "http://records.example:81/people/person"),
    "a host that only begins like ours": (SEARCH, "http://records.example.evil/people/person"),
    "user information": (SEARCH, "http://records.example@elsewhere.example/people/person"),
    "a backslash": (SEARCH, "/\\elsewhere.example/people/person"),
    "three slashes": (SEARCH, "///elsewhere.example/people/person"),
    "another scheme": (SEARCH, "ftp://records.example/people/person"),
    "a script": (SEARCH, "javascript:alert(1)"),
    "a refused door": (SEARCH, "/people.db"),
    "a refused parameter": (SEARCH, "/people/person?_where=1"),
    "an unmapped path": (SEARCH, "/people/other"),
    "an unknown parameter": (SEARCH, "/people/person?x=white"),
    "an ambiguous path": (SEARCH, "/people/../people/person"),
    "a relative path": (SEARCH, "person?surname=white"),
    "an encoded path": (SEARCH, "/people/%70erson"),
    "a path with NUL": (SEARCH, "/people/person%00"),
    "an invalid encoding": (SEARCH, "/people/person%FF"),
    "a fragment": (SEARCH, "/people/person#r1"),
    "an open place with a query": (SEARCH, "/-/static/app.css?r1"),
    "a trailing slash": (SEARCH, "/people/person/"),
    "a space": (SEARCH, "/people/person?surname=white "),
    "a line break": (SEARCH, "/people/person\r\nset-cookie: x"),
    "no ASCII": (SEARCH, "/people/person?surname=whité"),
    "nothing": (SEARCH, ""),
    "too much": (SEARCH, "/people/person?surname=" + "white" * 2000),
}


def redirect(*locations: str) -> Held:
    return Held(
        status=302, headers=tuple((b"location", text.encode("latin-1")) for text in locations), body=b""
    )


@pytest.mark.parametrize(("asked", "location"), SAFE)
def test_a_redirect_that_tells_nothing_new(asked: str, location: str) -> None:
    """Mapped or open, on this host, with what the request itself said: it may be followed."""
    assert matched(asked).redirects_safely(redirect(location))


@pytest.mark.parametrize(("asked", "location"), UNSAFE.values(), ids=UNSAFE)
def test_a_redirect_that_tells_or_leads_astray(asked: str, location: str) -> None:
    """Records, values and places that the request did not name make a redirect unsafe."""
    assert not matched(asked).redirects_safely(redirect(location))


@pytest.mark.parametrize("answer", [redirect(), redirect("/people/person", "/people/person")])
def test_a_redirect_needs_one_location(answer: Held) -> None:
    """None or two say nothing for certain."""
    assert not matched(SEARCH).redirects_safely(answer)


def test_without_a_host_only_paths_are_followed() -> None:
    """Where the request named no host, no absolute address can be its own."""
    match = MAPPING.match(get(SEARCH).without(frozenset({b"host"})))
    assert match is not None

    assert match.redirects_safely(redirect("/people/person"))
    assert not match.redirects_safely(redirect("http://records.example/people/person"))
