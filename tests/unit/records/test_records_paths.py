"""Paths and queries have one reading or are refused."""

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import RouteRefused
from purposegate.reasons import Reason
from purposegate.records.paths import (
    MAX_PARAMETERS,
    MAX_PATH_BYTES,
    MAX_QUERY_BYTES,
    OVERRIDE_HEADERS,
    canonical_path,
    decoded_path,
    read_query,
    refuse_overrides,
    write_query,
)

AMBIGUOUS_PATHS = {
    "encoded slash": b"/people%2Fperson",
    "encoded slash, small letters": b"/people%2fperson",
    "encoded backslash": b"/people%5Cperson",
    "backslash": b"/people\\person",
    "encoded dot": b"/people/%2E%2E/person",
    "half encoded dots": b"/people/.%2e/person",
    "dot segment": b"/people/./person",
    "double dot segment": b"/people/../person",
    "trailing dot segment": b"/people/..",
    "empty part": b"/people//person",
    "leading empty part": b"//people",
    "matrix parameter": b"/people;v=1/person",
    "encoded matrix parameter": b"/people%3Bv=1/person",
    "encoded question mark": b"/people%3F_where=1",
    "encoded hash": b"/people%23x",
    "raw hash": b"/people#x",
    "question mark in the path": b"/people?x",
    "NUL": b"/people%00.json",
    "raw NUL": b"/people\x00",
    "encoded newline": b"/people%0A",
    "raw newline": b"/people\n",
    "delete": b"/people%7F",
    "C1 control": b"/people%C2%85",
    "overlong slash": b"/people%C0%AFperson",
    "overlong dot": b"/people/%C0%AE%C0%AE",
    "surrogate": b"/people%ED%A0%80",
    "cut-off sequence": b"/people%E2%82",
    "latin-1 byte": b"/people%E9",
    "raw non-ASCII": "/people/é".encode(),
    "encoded twice": b"/people%252Fperson",
    "encoded three times": b"/people%25252Fperson",
    "encoded letter": b"/%70eople",
    "encoded digit": b"/people/%31",
    "encoded tilde": b"/people/rec%7E2D1",
    "encoded hyphen": b"/people/rec%2D1",
    "encoded underscore": b"/people/rec%5F1",
    "lone percent": b"/people/100%",
    "half a percent-encoding": b"/people/%4",
    "percent with other letters": b"/people/%zz",
    "IIS unicode escape": b"/people%u002f",
    "trailing dot": b"/people/person.",
    "trailing space": b"/people/person%20",
    "trailing no-break space": b"/people/person%C2%A0",
    "leading space": b"/people/%20person",
    "raw space": b"/people/a b",
    "angle brackets": b"/people/<b>",
    "braces": b"/people/{id}",
    "pipe": b"/people|person",
    "caret": b"/people^",
    "backtick": b"/people`",
    "quote": b'/people"',
    "absolute form": b"http://records.example/people",
    "asterisk form": b"*",
    "no slash": b"people",
    "nothing": b"",
    "too long": b"/" + b"a" * MAX_PATH_BYTES,
}


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(RouteRefused) as caught:
        call()
    return caught.value.reason


@pytest.mark.parametrize("raw", AMBIGUOUS_PATHS.values(), ids=AMBIGUOUS_PATHS)
def test_an_ambiguous_path_is_refused(raw: bytes) -> None:
    """A path that two servers could read in two ways is refused, whatever the server here made of it."""
    served = unquote(raw.decode("latin-1"))

    assert Reason.PATH_AMBIGUOUS is refused(lambda: canonical_path(raw, served))


def test_a_server_that_read_another_path_is_refused() -> None:
    """Where the server's decoded path is not the raw one decoded, one of the two would be judged and the other answered."""
    assert Reason.PATH_AMBIGUOUS is refused(lambda: canonical_path(b"/people/person", "/people/other"))


def test_hex_digits_in_either_case_are_one_path() -> None:
    """The case of hex digits is the only difference that is normalised."""
    assert "/caf%C3%A9" == canonical_path(b"/caf%c3%a9", "/café") == canonical_path(b"/caf%C3%A9", "/café")


def test_a_trailing_slash_stays() -> None:
    """A trailing slash is another path, for the mapping to refuse."""
    assert "/people/" == canonical_path(b"/people/", "/people/")


@given(st.text(max_size=60))
def test_a_canonical_path_is_its_own_canonical_path(text: str) -> None:
    """What comes out, sent on and read again, comes out the same and decodes to what the server saw."""
    raw = "/" + quote(text, safe="")
    try:
        path = canonical_path(raw.encode(), unquote(raw))
    except RouteRefused:
        return
    assert path == canonical_path(path.encode(), decoded_path(path))
    assert decoded_path(path) == unquote(raw)


@given(st.binary(max_size=40))
def test_an_accepted_path_decodes_once_to_what_every_reader_sees(noise: bytes) -> None:
    """For any bytes: refused, or a path that further decoding leaves alone and that holds no separator but its own."""
    raw = b"/" + noise
    try:
        path = canonical_path(raw, unquote(raw.decode("latin-1"), errors="strict"))
    except (RouteRefused, UnicodeDecodeError):
        return
    decoded = decoded_path(path)
    assert decoded.count("/") == raw.count(b"/")
    assert unquote(decoded) == decoded
    assert not {".", ".."} & set(decoded.split("/"))
    assert not set("\\;?#\0") & set(decoded)


AMBIGUOUS_QUERIES = {
    "semicolon separator": b"a=1;b=2",
    "empty part": b"a=1&&b=2",
    "trailing separator": b"a=1&",
    "leading separator": b"&a=1",
    "name alone": b"a",
    "value alone": b"=1",
    "lone percent": b"a=100%",
    "bad percent": b"a=%zz",
    "IIS unicode escape": b"a=%u0041",
    "overlong": b"a=%C0%AF",
    "latin-1": b"a=%E9",
    "raw non-ASCII": "a=é".encode(),
    "NUL": b"a=%00",
    "newline": b"a=%0D%0A",
    "NUL in the name": b"a%00=1",
    "raw space": b"a=b c",
    "raw hash": b"a=b#c",
    "raw quote": b'a="',
    "braces": b"a={}",
    "brackets": b"a[]=1",
    "too long": b"a=" + b"b" * MAX_QUERY_BYTES,
    "too many": b"&".join([b"a=1"] * (MAX_PARAMETERS + 1)),
}


@pytest.mark.parametrize("raw", AMBIGUOUS_QUERIES.values(), ids=AMBIGUOUS_QUERIES)
def test_an_ambiguous_query_is_refused(raw: bytes) -> None:
    """A query that parsers split or decode differently is refused."""
    assert Reason.PATH_AMBIGUOUS is refused(lambda: read_query(raw))


@pytest.mark.parametrize("raw", [b"_method=DELETE", b"_METHOD=put", b"%5Fmethod=DELETE", b"a=1&_method="])
def test_a_method_parameter_is_refused(raw: bytes) -> None:
    """A parameter by which frameworks replace the method is refused, however it is spelt."""
    assert Reason.METHOD_OVERRIDDEN is refused(lambda: read_query(raw))


def test_plus_and_percent_20_are_a_space() -> None:
    """Forms write a space as `+`, scripts as `%20`; a plus sign is written `%2B`."""
    assert (("q", "a b c+d"),) == read_query(b"q=a+b%20c%2Bd")


@given(st.lists(st.tuples(st.text(min_size=1, max_size=12), st.text(max_size=30)), max_size=8))
def test_a_query_written_is_read_as_itself_by_two_parsers(pairs: list[tuple[str, str]]) -> None:
    """The one spelling that goes upstream means the same to this reader and to the standard library's."""
    try:
        written = write_query(pairs)
        read = read_query(written)
    except (RouteRefused, UnicodeEncodeError):
        return
    assert (
        pairs == list(read) == parse_qsl(written.decode(), keep_blank_values=True, strict_parsing=bool(pairs))
    )


@pytest.mark.parametrize("name", sorted(OVERRIDE_HEADERS))
@pytest.mark.parametrize("spelling", [bytes, bytes.upper, lambda name: name.replace(b"-", b"_")])
def test_an_override_header_is_refused(name: bytes, spelling: Callable[[bytes], bytes]) -> None:
    """Headers that replace method or address are refused in any case, and with the underscores that CGI makes of hyphens."""
    assert Reason.METHOD_OVERRIDDEN is refused(lambda: refuse_overrides(((spelling(name), b"DELETE"),)))


def test_other_headers_pass() -> None:
    """Headers that replace nothing are no reason to refuse."""
    refuse_overrides(((b"host", b"x"), (b"accept", b"*/*"), (b"x-forwarded-for", b"::1")))
