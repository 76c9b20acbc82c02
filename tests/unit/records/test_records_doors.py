"""A hostile principal at Datasette: every other way to one record that its source knows, tried against the shipped mapping."""

import pytest

from purposegate.errors import RouteRefused
from purposegate.exchange import Request
from purposegate.reasons import Reason
from purposegate.records.mapping import Mapping
from records_system import System, get

pytestmark = pytest.mark.anyio

ID = "rec-1003-dup-0"
BORN = "19481122"

LEAKING = {
    # Each of these, asked of Datasette itself, answers with the record of somebody whom the gate would withhold.
    "database-download": ["/people.db"],
    "raw-sql": [
        f"/people?sql=select+*+from+person+where+rec_id='{ID}'",
        f"/people.json?sql=select+*+from+person+where+rec_id%3D%27{ID}%27",
        f"/people.json?sql=select+*+from+person+where+rec_id=:id&id={ID}",
        f"/people.csv?sql=select+*+from+person+where+rec_id='{ID}'",
    ],
    "csv": [
        f"/people/person.csv?rec_id={ID}",
        "/people/person.csv?_stream=1",
        f"/people/person.csv?rec_id={ID}&_dl=on",
        f"/people/person/{ID}.csv",
    ],
    "search-index": [
        "/people/person_fts.json?_search=jondol",
        "/people/person_fts?_search=jondol",
        "/people/person_fts.json?surname=bradley&given_name=matthews",
    ],
    "where": [
        f"/people/person.json?_where=rec_id='{ID}'",
        f"/people/person?_where=rec_id='{ID}'",
        f"/people/person.json?_where=1&rec_id={ID}",
    ],
    "facets": [
        "/people/person.json?_facet=rec_id&_size=1&_facet_size=max&rec_id__lt=rec-1004",
        "/people/person.json?_facet=date_of_birth&_size=1&_facet_size=max&rec_id__lt=rec-1004&rec_id__gt=rec-1002",
        "/people/person?_facet=date_of_birth&_size=1&rec_id__lt=rec-1004&rec_id__gt=rec-1002",
    ],
    "newline-delimited": [f"/people/person.json?rec_id={ID}&_shape=array&_nl=on"],
    "other-columns": [
        f"/people/person.json?rec_id={ID}&_col=date_of_birth",
        f"/people/person.json?rec_id={ID}&_nocol=surname",
        f"/people/person.json?rec_id={ID}&_labels=on",
        f"/people/person.json?rec_id={ID}&_json=postcode",
    ],
    "other-search-index": [
        "/people/person.json?_search=jondol&_searchmode=raw",
        "/people/person.json?_search=jondol&_fts_table=person_fts",
        "/people/person.json?_search=jondol&_fts_table=person_fts&_fts_pk=rowid",
    ],
    "trace": [
        f"/people/person.json?rec_id={ID}&_ttl=86400",
        f"/people/person.json?rec_id={ID}&_timelimit=100",
    ],
    "other-tables": [f"/people/person/{ID}.json?_extras=foreign_key_tables"],
}

SHUT = {
    # Doors that tell of the system, of counts, or that lead round: shut by name as well.
    "database-index": ["/", "/?_size=1", "/.json", "/people", "/people.json", "/people?_size=1"],
    "internals": [
        "/-/metadata.json",
        "/-/versions",
        "/-/plugins.json",
        "/-/settings",
        "/-/config.json",
        "/-/threads",
        "/-/databases.json",
        "/-/actor.json",
        "/-/auth-token?token=x",
        "/-/logout",
        "/-/permissions",
        "/-/messages",
        "/-/allow-debug",
        "/-/patterns",
        "/-/static/table.js",
        "/-/static/APP.CSS",
        "/-/static-plugins/x/y.js",
        "/_memory",
        "/_memory.json?_size=1",
        "/_internal/tables.json",
        "/:memory:/x",
    ],
    "database-download": ["/PEOPLE.DB", "/other.db", "/people.sqlite"],
    "other-formats": [f"/people/person/{ID}.jsono", "/people/person.jsono", "/people/person.yaml"],
    "blob": [f"/people/person/{ID}.blob?x=1"],
    "blob-column": [f"/people/person/{ID}?_blob_column=surname"],
    "csv-stream": ["/people/person?_stream=1", "/people/person?_dl=1"],
    "raw-sql": [
        "/_memory?sql=select+1",
        f"/people/person.json?rec_id={ID}&sql=select+1",
        "/people/person?SQL=select+1",
    ],
    "through": ["/people/person.json?_through=%7B%22table%22:%22x%22%7D"],
    "search-index": ["/people/person_fts_content", "/people/person_fts_data.json", "/people/PERSON_FTS.json"],
    "facets": ["/people/person?_facet_array=surname", "/people/person.json?_facet_date=date_of_birth"],
    "trace": ["/people/person.json?_trace=1"],
    "where": ["/people/person.json?_WHERE=1"],
}

UNMAPPED = [
    # Not worth a name: other spellings of the same things.
    "/people/person/",
    "/people/person/?_size=1",
    f"/people/person/{ID}/",
    "/people/",
    "/People/person.json",
    f"/people/PERSON/{ID}.json",
    "/people/Person",
    f"/people/person/{ID}.JSON",
    "/people/person.JSON",
    f"/people/person/{ID}.json.json",
    f"/people/person/{ID},x.json",
    f"/people/person/{ID},.json",
    f"/people/person/{ID.replace('-', '~2D')}.json",
    f"/people/person/{ID.replace('-', '~2d')}",
    f"/people/person/{ID}~00.json",
    f"/people/person/{ID}+.json",
    f"/people/%5Bperson%5D/{ID}",
    f"/people/'person'/{ID}.json",
    f"/people/main.person/{ID}.json",
    "/people/sqlite_master.json",
    "/people/sqlite_schema",
    "/robots.txt",
    "/favicon.ico/",
    "/people/person/1,2",
]

PARAMETERS = [
    # Known route, unknown parameter.
    "_shape=array",
    "_shape=arrayfirst",
    "_shape=object",
    "_shape=ARRAYS",
    "_size=max",
    "_size=0",
    "_size=-1",
    "_size=101",
    "_size=1e2",
    "_size=%2B5",
    "_size=%D9%A5",
    "_size=5%20",
    "_next_=x",
    "_sort=rowid",
    "_sort=SURNAME",
    "_sort=surname%20desc",
    "_sort=random()",
    "_search_rowid=1",
    "_search_=x",
    "_SEARCH=x",
    "rowid=1",
    "rowid__gt=0",
    "GIVEN_NAME=matthews",
    "given_name__regexp=a",
    "given_name__arraycontains=a",
    "given_name__EXACT=a",
    "given_name__=a",
    "%5Bgiven_name%5D=a",
    "surname__exact__not=a",
    "surname__isnull=white",
    "surname__notblank=",
    "_unknown=1",
    "__proto__=1",
]

AMBIGUOUS = [
    "_size=1&_size=2",
    "_next=a&_next=b",
    "_sort=surname&_sort=postcode",
    "_search=a&_search=b",
    "%5Fsize=1&_size=2",
    "_shape=arrays&_shape=objects",
    "_size=1;_where=1",
    "_size=1&",
    "_size",
]


def shut(mapping: Mapping, request: Request) -> RouteRefused:
    with pytest.raises(RouteRefused) as caught:
        mapping.match(request)
    return caught.value


def doors(listed: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, address) for name, addresses in listed.items() for address in addresses]


@pytest.mark.parametrize(("name", "address"), doors(LEAKING))
async def test_a_door_that_leaks_is_shut_by_name(system: System, name: str, address: str) -> None:
    """Datasette itself answers with the record; behind the mapping the door is refused with its name and nothing else."""
    request = get(address.replace("'", "%27"))
    body = (await system.ask(request)).body

    assert ID.encode() in body or BORN.encode() in body or b"jondol" in body

    refusal = shut(system.mapping, request)
    assert (Reason.ROUTE_FORBIDDEN, name) == (refusal.reason, refusal.detail)


@pytest.mark.parametrize(("name", "address"), doors(SHUT))
def test_other_doors_are_shut_by_name(mapping: Mapping, name: str, address: str) -> None:
    """Pages about the system, round-about addresses and other letter cases of a door are refused with its name."""
    refusal = shut(mapping, get(address))

    assert (Reason.ROUTE_FORBIDDEN, name) == (refusal.reason, refusal.detail)


@pytest.mark.parametrize("address", UNMAPPED)
def test_other_spellings_of_a_record_are_unmapped(mapping: Mapping, address: str) -> None:
    """One record has one address: other cases, slashes, suffixes, keys and encodings of it are no route."""
    assert Reason.ROUTE_UNMAPPED is shut(mapping, get(address)).reason


@pytest.mark.parametrize("query", PARAMETERS)
@pytest.mark.parametrize("path", ["/people/person.json", "/people/person"])
def test_unlisted_parameters_are_unmapped(mapping: Mapping, path: str, query: str) -> None:
    """A parameter or value that the route does not list refuses the lookup, and the refusal echoes no value."""
    refusal = shut(mapping, get(f"{path}?{query}"))

    assert Reason.PARAMETER_UNMAPPED is refusal.reason
    assert "matthews" not in refusal.detail


@pytest.mark.parametrize("query", AMBIGUOUS)
def test_a_parameter_given_twice_is_ambiguous(mapping: Mapping, query: str) -> None:
    """Datasette would take the first of two, others the last: refused."""
    assert Reason.PATH_AMBIGUOUS is shut(mapping, get(f"/people/person.json?{query}")).reason


@pytest.mark.parametrize(
    "method",
    [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "QUERY",
        "get",
        "Get",
        "HEAD ",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/people/person.json", f"/people/person/{ID}", "/-/static/app.css"])
def test_other_methods_are_refused(mapping: Mapping, method: str, path: str) -> None:
    """Only GET and HEAD are mapped or open; method names count by the letter."""
    assert shut(mapping, get(path, method=method)).reason in {Reason.ROUTE_UNMAPPED, Reason.ROUTE_FORBIDDEN}


@pytest.mark.parametrize(
    "header", [b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"X_Original_URL"]
)
@pytest.mark.parametrize("path", ["/people/person.json", "/-/static/app.css"])
def test_an_override_header_shuts_open_places_too(mapping: Mapping, header: bytes, path: str) -> None:
    """An open address with an override header could be any address."""
    assert Reason.METHOD_OVERRIDDEN is shut(mapping, get(path, (header, b"/people.db"))).reason


def test_a_body_on_get_is_refused(mapping: Mapping) -> None:
    """A body on GET is a second set of parameters for servers that read it."""
    assert Reason.PARAMETER_UNMAPPED is shut(mapping, get("/people/person.json", body=b"_where=1")).reason


@pytest.mark.parametrize(
    "address",
    [
        "/-/static/../../people.db",
        "/-/static/%2e%2e/people.db",
        "/-/static/app.css/../../../people.db",
        "/-/static//app.css",
        "/-/static/app.css%00.db",
        "/-/static/app.css%2F..%2F..",
        "/-/static/app%2Ecss",
    ],
)
def test_no_path_through_an_open_place(mapping: Mapping, address: str) -> None:
    """An open address is that path and no other spelling of it."""
    assert Reason.PATH_AMBIGUOUS is shut(mapping, get(address)).reason


@pytest.mark.parametrize("query", ["_method=DELETE", "x;_method=DELETE", "6a3&%5Fmethod=DELETE", "_METHOD"])
def test_an_open_place_takes_no_method_parameter(mapping: Mapping, query: str) -> None:
    """Where any query is open, one that replaces the method is not."""
    assert Reason.METHOD_OVERRIDDEN is shut(mapping, get(f"/-/static/app.css?{query}")).reason


def test_head_is_open_where_get_is(mapping: Mapping) -> None:
    """HEAD goes with GET, for open places as for routes."""
    assert None is mapping.match(get("/-/static/app.css?6a32d2", method="HEAD"))
    assert None is mapping.match(get("/favicon.ico"))
    assert Reason.ROUTE_UNMAPPED is shut(mapping, get("/favicon.ico?x=1")).reason
