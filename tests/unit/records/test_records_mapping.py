"""records.yaml: what it may say, each fault at its line, and how requests are matched by it."""

from pathlib import Path

import pytest

from purposegate.errors import PolicyError, RouteRefused
from purposegate.exchange import Page
from purposegate.model import Action, RecordRef
from purposegate.protocols import Match
from purposegate.reasons import Reason
from purposegate.records.mapping import Mapping, load
from records_system import POLICIES, get

MINIMAL = """\
version: 1
kinds:
  person:
    id: {column: id, codec: percent, pattern: '[a-z0-9/ ]+'}
    columns: [id, name]
    subjects: [{surname: name}]
open: []
refused: []
routes:
  - name: one
    methods: [GET]
    path: /p/{id}
    action: view
    kind: person
    response: {format: json, rows: $.rows, notice: notice}
"""


def loaded(tmp_path: Path, text: str) -> Mapping:
    path = tmp_path / "records.yaml"
    path.write_text(text)
    return load(path)


def faults(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(PolicyError) as caught:
        loaded(tmp_path, text)
    return [(found.line, found.key, found.expected) for found in caught.value.findings]


def test_the_smallest_mapping_loads(tmp_path: Path) -> None:
    """One kind and one route are a mapping; everything else is refused by it."""
    mapping = loaded(tmp_path, MINIMAL)

    assert ("person",) == mapping.kinds
    assert {"id", "name"} == mapping.mask_words("person")
    match: Match | None = mapping.match(get("/p/1"))
    assert match is not None
    assert ("one", Action.VIEW, "person", (RecordRef("person", "1"),)) == (
        match.route,
        match.action,
        match.kind,
        match.records,
    )


FAULTS = {
    # what is replaced, by what, and the line, key and expectation that the finding must name
    "unknown key": ("version: 1", "version: 1\nextra: 1", 2, "extra", "unknown key"),
    "unknown version": ("version: 1", "version: 2", 1, "version", "want the version of this format: 1"),
    "no routes": ("routes:\n  - name: one", "other:\n  - name: one", 1, "", "missing key(s) routes"),
    "unknown codec": (
        "codec: percent",
        "codec: base64",
        4,
        "kinds.person.id.codec",
        "want one of percent, tilde",
    ),
    "bad pattern": ("'[a-z0-9/ ]+'", "'['", 4, "kinds.person.id.pattern", "want a regular expression"),
    "unknown id column": (
        "column: id",
        "column: key",
        4,
        "kinds.person.id.column",
        "key is not one of id, name",
    ),
    "unknown subject column": (
        "surname: name",
        "surname: nom",
        6,
        "kinds.person.subjects.0",
        "nom is not one of id, name",
    ),
    "unknown subject part": ("surname: name", "nickname: name", 6, "kinds.person.subjects.0", "unknown key"),
    "odd date format": (
        "{surname: name}",
        "{born: {column: name, format: MMDD}}",
        6,
        "kinds.person.subjects.0.born.format",
        "want YYYY once",
    ),
    "date format with letters": (
        "{surname: name}",
        "{born: {column: name, format: dd.mm.yyyy}}",
        6,
        "kinds.person.subjects.0.born.format",
        "want text matching",
    ),
    "mask of unknown column": (
        "subjects:",
        "masks: {all: [nom]}\n    subjects:",
        6,
        "kinds.person.masks.all",
        "nom is not",
    ),
    "mask named like a column": (
        "subjects:",
        "masks: {name: [id]}\n    subjects:",
        6,
        "kinds.person.masks.name",
        "want a word",
    ),
    "route of unknown kind": ("kind: person", "kind: case", 14, "routes.0.kind", "want one of person"),
    "unknown action": ("action: view", "action: peek", 13, "routes.0.action", "want one of view"),
    "unknown method": ("methods: [GET]", "methods: [QUERY]", 11, "routes.0.methods.0", "want one of GET"),
    "method in small letters": (
        "methods: [GET]",
        "methods: [get]",
        11,
        "routes.0.methods.0",
        "want one of GET",
    ),
    "two ids": ("/p/{id}", "/p/{id}/{id}", 12, "routes.0.path", "want text matching"),
    "glob in a route": ("/p/{id}", "/p/*", 12, "routes.0.path", "want text matching"),
    "path not plain": ("/p/{id}", "/p/../{id}", 12, "routes.0.path", "want a path in its plain form"),
    "path of a language": ("/p/{id}", "/é/{id}", 12, "routes.0.path", "want a path in its plain form"),
    "view without id": ("/p/{id}", "/p/all", 12, "routes.0.path", "want {id}"),
    "search with id": ("action: view", "action: search", 12, "routes.0.path", "want no {id}"),
    "search without notice": (
        "/p/{id}\n    action: view\n    kind: person\n    response: {format: json, rows: $.rows, notice: notice}",
        "/p\n    action: search\n    kind: person\n    response: {format: json, rows: $.rows}",
        15,
        "routes.0.response",
        "want notice",
    ),
    "paging without a parameter": (
        "/p/{id}\n    action: view\n    kind: person\n    response: {format: json, rows: $.rows, notice: notice}",
        "/p\n    action: search\n    kind: person\n    response: {format: json, rows: $.rows, notice: n, next: $.next}",
        15,
        "routes.0.response",
        "want next and a parameter",
    ),
    "view by POST": ("methods: [GET]", "methods: [POST]", 11, "routes.0.methods", "want GET alone"),
    "header that tells": (
        "kind: person\n",
        "kind: person\n    headers: [x-a, etag]\n",
        15,
        "routes.0.headers",
        "want no etag",
    ),
    "header in capitals": (
        "kind: person\n",
        "kind: person\n    headers: [X-A]\n",
        15,
        "routes.0.headers.0",
        "want text matching",
    ),
    "unjudged view": (
        "kind: person\n",
        "kind: person\n    judged: false\n",
        15,
        "routes.0.judged",
        "want true",
    ),
    "judged without a response": (
        "    response: {format: json, rows: $.rows, notice: notice}\n",
        "",
        10,
        "routes.0.response",
        "want a response exactly",
    ),
    "unknown format": (
        "format: json",
        "format: csv",
        15,
        "routes.0.response.format",
        "want one of json, html",
    ),
    "rows not at the top": ("$.rows", "$.a.rows", 15, "routes.0.response.rows", "want text matching"),
    "rows kept too": (
        "notice: notice}",
        "notice: notice, keep: [rows]}",
        15,
        "routes.0.response.keep",
        "want no member",
    ),
    "notice over rows": (
        "notice: notice}",
        "notice: rows}",
        15,
        "routes.0.response.notice",
        "want a member of its own",
    ),
    "bad selector": (
        "{format: json, rows: $.rows, notice: notice}",
        "{format: html, container: 'table[', rows: tr, heads: th, cells: 'td.{column}', place: body}",
        15,
        "routes.0.response.container",
        "want a CSS selector",
    ),
    "cells without a column": (
        "{format: json, rows: $.rows, notice: notice}",
        "{format: html, container: table, rows: tr, heads: th, cells: td, place: body}",
        15,
        "routes.0.response.cells",
        "want text matching",
    ),
    "open with a pattern": (
        "open: []",
        "open: [{methods: [GET], path: /s/*}]",
        7,
        "open.0.path",
        "want text matching",
    ),
    "open not plain": (
        "open: []",
        "open: [{methods: [GET], path: /s//x}]",
        7,
        "open.0.path",
        "want a path in its plain",
    ),
    "door without a place": (
        "refused: []",
        "refused: [{name: x}]",
        8,
        "refused.0",
        "want paths, parameters or both",
    ),
    "door over a route": (
        "refused: []",
        "refused: [{name: x, paths: ['/p/*']}]",
        12,
        "routes.0.path",
        "the refused door x shuts",
    ),
    "doors of one name": (
        "refused: []",
        "refused: [{name: x, paths: [/a]}, {name: x, paths: [/b]}]",
        8,
        "refused.1.name",
        "want a name that is not taken",
    ),
    "route name with capitals": ("name: one", "name: One", 10, "routes.0.name", "want text matching"),
}


@pytest.mark.parametrize(("old", "new", "line", "key", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, line: int, key: str, expected: str) -> None:
    """Each fault is reported with line, key and what was expected there."""
    assert 1 == MINIMAL.count(old)

    found = faults(tmp_path, MINIMAL.replace(old, new))

    assert any(
        (line, True, True) == (at, here.startswith(key) or not key, expected in text)
        for at, here, text in found
    ), found


PARAMETERS = {
    "unknown field": ("{kind: names, name: s, fields: [nom]}", "nom is not one of id, name"),
    "unknown kind": ("{kind: magic, name: s}", "want one of criteria"),
    "key of another kind": ("{kind: page, name: s, maximum: 3}", "unknown key"),
    "the same name twice": ("{kind: page, name: s}, {kind: text, name: s}", "s stands twice"),
    "two page parameters": (
        "{kind: page, name: s}, {kind: page, name: t}",
        "want one parameter of the kind page",
    ),
    "default above the maximum": (
        "{kind: size, name: s, maximum: 3, default: 4}",
        "want at most the maximum",
    ),
    "criteria without operators": ("{kind: criteria, fields: [name]}", "missing key(s) operators"),
    "a choice without values": ("{kind: choice, name: s}", "missing key(s) values"),
}


@pytest.mark.parametrize(("parameters", "expected"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_fault_of_parameters_is_named(tmp_path: Path, parameters: str, expected: str) -> None:
    """Parameters are checked against the kind's columns and against each other."""
    found = faults(
        tmp_path, MINIMAL.replace("kind: person\n", f"kind: person\n    parameters: [{parameters}]\n")
    )

    assert any(line == 15 and expected in text for line, _, text in found), found


def test_always_may_not_be_a_clients_parameter(tmp_path: Path) -> None:
    """What the gate adds to every request must not mean two things."""
    found = faults(
        tmp_path,
        MINIMAL.replace(
            "kind: person\n", "kind: person\n    parameters: [{kind: text, name: s}]\n    always: {s: x}\n"
        ),
    )

    assert [16] == [line for line, _, _ in found]


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    """An author sees all faults of a file, not the first."""
    text = MINIMAL.replace("/p/{id}", "/p/..").replace("methods: [GET]", "methods: [POST]")

    assert {"routes.0.path", "routes.0.methods"} == {key for _, key, _ in faults(tmp_path, text)}


@pytest.mark.parametrize(
    "path", sorted([POLICIES / "records.yaml", *POLICIES.glob("examples/*records*.yaml")])
)
def test_the_shipped_mappings_load(path: Path) -> None:
    """Every mapping that ships is without fault."""
    assert load(path).kinds


def test_a_record_is_named_by_its_id(tmp_path: Path) -> None:
    """A percent-encoded id is decoded once, whichever way its reserved characters were written."""
    mapping = loaded(tmp_path, MINIMAL.replace("'[a-z0-9/ ]+'", "'[a-z0-9,: ]+'"))

    plain, encoded = (mapping.match(get(f"/p/{text}")) for text in ("a,b:c%20d", "a%2Cb%3Ac%20d"))

    assert plain is not None
    assert encoded is not None
    assert (RecordRef("person", "a,b:c d"),) == plain.records == encoded.records


@pytest.mark.parametrize("address", ["/p/A", "/p/", "/p", "/p/1/2", "/P/1", "/p/1/", "/"])
def test_what_no_route_has_is_unmapped(tmp_path: Path, address: str) -> None:
    """Other cases, lengths, slashes and ids of another form are no route."""
    with pytest.raises(RouteRefused) as caught:
        loaded(tmp_path, MINIMAL).match(get(address))
    assert Reason.ROUTE_UNMAPPED is caught.value.reason


def test_an_address_of_two_routes_is_ambiguous(tmp_path: Path) -> None:
    """Where two templates fit, neither is taken."""
    second = MINIMAL[MINIMAL.index("  - name: one") :].replace("one", "two").replace("/p/{id}", "/p/{id}x")

    with pytest.raises(RouteRefused) as caught:
        loaded(tmp_path, MINIMAL + second).match(get("/p/1x"))
    assert Reason.PATH_AMBIGUOUS is caught.value.reason


def test_outside_the_protected_prefix_is_open(tmp_path: Path) -> None:
    """A prefix narrows what is judged; its other cases and whatever continues it stay protected."""
    mapping = loaded(tmp_path, "protected: /p\n" + MINIMAL)

    assert None is mapping.match(get("/health?x"))
    for address in ("/people.db", "/P/1", "/p"):
        with pytest.raises(RouteRefused):
            mapping.match(get(address))
    with pytest.raises(RouteRefused) as caught:
        mapping.match(get("/health/../p/1"))
    assert Reason.PATH_AMBIGUOUS is caught.value.reason


def test_an_export_may_go_unjudged(tmp_path: Path) -> None:
    """A binary export is decided on the request alone, keeps its body, and its answer is never read."""
    text = MINIMAL.replace("action: view", "action: export\n    judged: false").replace("[GET]", "[POST]")
    text = text.replace("    response: {format: json, rows: $.rows, notice: notice}\n", "")
    match = loaded(tmp_path, text).match(get("/p/1", (b"content-length", b"1"), method="POST", body=b"x"))
    assert match is not None

    assert (False, Action.EXPORT, b"x") == (match.judged, match.action, match.request(Page()).body)


def test_routes_say_their_cap_and_headers(tmp_path: Path) -> None:
    """Eight MiB and no extra headers, unless the route says otherwise."""
    plain = loaded(tmp_path, MINIMAL).match(get("/p/1"))
    told = loaded(
        tmp_path,
        MINIMAL.replace(
            "kind: person\n", "kind: person\n    cap_bytes: 5\n    headers: [x-classification]\n"
        ),
    ).match(get("/p/1"))
    assert plain is not None
    assert told is not None

    assert (8 * 1024 * 1024, frozenset()) == (plain.cap_bytes, plain.headers)
    assert (5, frozenset({b"x-classification"})) == (told.cap_bytes, told.headers)
