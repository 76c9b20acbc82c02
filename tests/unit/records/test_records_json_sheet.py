"""JSON answers: read strictly, judged wholly, written again without a change to what is kept."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import AnswerOutage
from purposegate.exchange import Held
from purposegate.model import Row
from purposegate.protocols import Match, Sheet
from purposegate.reasons import Reason
from purposegate.records.json_sheet import MAX_DEPTH, JsonShape
from purposegate.records.mapping import load
from purposegate.records.rows import MAX_ROWS
from records_system import POLICIES, get, held

MAPPING = load(POLICIES / "records.yaml")
COLUMNS = MAPPING.contents.kinds["person"].columns


def matched(address: str) -> Match:
    match = MAPPING.match(get(address))
    assert match is not None
    return match


LIST = matched("/people/person.json")
VIEW = matched("/people/person/r1.json")


def row(record_id: str = "r1", **more: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, "") | {"rec_id": record_id} | more


def document(*rows: Any, **more: Any) -> bytes:
    return json.dumps({"rows": rows, "columns": COLUMNS, "next": None} | more).encode()


def write(
    match: Match, answer: Held, *, masks: frozenset[str] = frozenset(), cursor: str = "", notice: str = "n"
) -> bytes:
    sheet = match.read(answer)
    kept = [(sheet, found, masks) for found in sheet.rows]
    return match.render(kept, first=sheet, cursor=cursor, notice=notice)[0]


def unreadable(answer: Held, match: Match = LIST) -> str:
    with pytest.raises(AnswerOutage) as caught:
        match.read(answer)
    assert Reason.ANSWER_UNREADABLE is caught.value.reason
    return caught.value.detail


MALFORMED = {
    "nothing": b"",
    "truncated": document(row())[:-20],
    "text after": document(row()) + b"x",
    "two documents": document(row()) * 2,
    "byte order mark": b"\xef\xbb\xbf" + document(row()),
    "invalid UTF-8": document(row()).replace(b"r1", b"r\xff"),
    "overlong": document(row()).replace(b"r1", b"r\xc0\xaf"),
    "surrogate in UTF-8": document(row()).replace(b"r1", b"r\xed\xa0\x80"),
    "UTF-16": document(row()).decode().encode("utf-16"),
    "raw control": document(row()).replace(b"r1", b"r\n1"),
    "raw NUL": document(row()).replace(b"r1", b"r\0"),
    "half a character": document(row(given_name="\ud800")),
    "half a character, capitals": document(row(given_name="\ud800")).replace(b"\\ud800", b"\\uD800"),
    "half a character in a name": document(row(), **{"\udfff": 1}),
    "NaN": document(row(postcode=float("nan"))),
    "Infinity": document(row(postcode=float("inf"))),
    "single quotes": b"{'rows': []}",
    "comment": b'{"rows": [] /* none */}',
    "trailing comma": b'{"rows": [],}',
    "leading zero": b'{"rows": [], "n": 01}',
    "rows twice": b'{"rows": [], "rows": []}',
    "rows twice, one escaped": b'{"rows": [], "r\\u006fws": []}',
    "column twice in a row": document(row()).replace(b'"surname": ""', b'"rec_id": "r2"'),
    "a member twice deep down": b'{"rows": [], "x": [{"a": 1, "a": 2}]}',
    "array at the top": b"[]",
    "text at the top": b'"rows"',
    "no rows": b'{"columns": []}',
    "rows null": b'{"rows": null}',
    "rows an object": b'{"rows": {"a": 1}}',
    "rows elsewhere": b'{"data": {"rows": []}}',
    "Datasette's own error": b'{"ok": false, "error": "x", "status": 400, "title": null}',
    "row a text": document("r1"),
    "row null": document(None),
    "row a list in a list": document([["r1"]]),
    "row too short": document(list(row().values())[:-1]),
    "row too long": document([*row().values(), "x"]),
    "array rows without columns": b'{"rows": [["r1"]]}',
    "columns no list": document(row(), columns="rec_id"),
    "columns of numbers": document(row(), columns=[1]),
    "a column twice": document(["r1"] * 2, columns=["rec_id", "rec_id"]),
    "no id": document({name: "" for name in COLUMNS if name != "rec_id"}),
    "id null": document(row(None)),  # type: ignore[arg-type]  # what no database should answer
    "id empty": document(row("")),
    "id of another form": document(row("r 1")),
    "id a number too odd": document(row(rec_id=1.5)),
    "no surname": document({name: "x" for name in COLUMNS if name != "surname"}),
    "an object for a name": document(row(surname={"value": 1, "label": "white"})),
    "a list for a name": document(row(surname=["white"])),
    "an object where nobody looks": document(row(state={"hidden": "white"})),
    "next a list": document(row(), next=["x"]),
    "next true": document(row(), next=True),
    "next empty": document(row(), next=""),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_an_outage(body: bytes) -> None:
    """An answer that is not strictly JSON of the promised shape is not judged, and the detail echoes nothing of it."""
    assert "white" not in unreadable(held(body))


@pytest.mark.parametrize(
    ("content_type", "more"),
    [
        (b"text/html", ()),
        (b"text/plain", ()),
        (b"application/json+datasette", ()),
        (b"application/x-ndjson", ()),
        (b"application/json; charset=utf-16", ()),
        (b"application/json; charset=latin-1", ()),
        (b"application/json; profile=x", ()),
        (b"", ()),
        (b"application/json, text/html", ()),
        (b"application/json", ((b"content-type", b"text/html"),)),
        (b"application/json", ((b"content-encoding", b"gzip"),)),
        (b"application/json", ((b"content-encoding", b"identity, br"),)),
        (b"application/json", ((b"content-range", b"bytes 0-1/9"),)),
    ],
)
def test_only_a_whole_plain_answer_of_the_type_is_read(
    content_type: bytes, more: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Another type, another charset, compression or a part of an answer is not read, however it would parse."""
    unreadable(held(document(row()), content_type, *more))


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 404, 500])
def test_only_status_200_is_an_answer(status: int) -> None:
    """A perfect body under another status is not read."""
    unreadable(held(document(row()), status=status))


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON; Charset=UTF-8", b'application/json;charset="utf-8"'],
)
def test_spellings_of_the_type_that_mean_the_same(content_type: bytes) -> None:
    """Type and charset in any case, quoted or not, are read."""
    assert 1 == len(LIST.read(held(document(row()), content_type)).rows)


def test_an_answer_without_a_type_is_not_read() -> None:
    """A missing content type would let the client guess."""
    unreadable(Held(status=200, headers=(), body=document(row())))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"rows":' * 100_000,
        b'{"rows": [], "x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    ],
)
def test_a_deep_answer_is_an_outage(body: bytes) -> None:
    """Depth is refused before it can exhaust the stack."""
    unreadable(held(body))


def test_too_many_rows_are_an_outage() -> None:
    """A list longer than any page is not read row by row."""
    unreadable(held(b'{"rows": [' + b",".join([b"{}"] * (MAX_ROWS + 1)) + b"]}"))


def test_long_numbers_do_not_cost_time() -> None:
    """A number of a million digits stays text: it is neither computed with nor refused."""
    digits = "9" * 1_000_000

    assert digits.encode() in write(
        LIST, held(document(row(), units=0).replace(b'"units": 0', f'"units": {digits}'.encode()))
    )


@pytest.mark.parametrize("rows", [[], [row("r2")], [row(), row("r2")], [row(), row()]])
def test_a_view_answers_the_record_asked_for_alone(rows: list[dict[str, Any]]) -> None:
    """No row, another row or a second row is not the record that was decided on."""
    unreadable(held(document(*rows)), VIEW)


NUMBERS = [
    "0",
    "-0",
    "1.10",
    "1e5",
    "1E+05",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_written_as_it_was(number: str) -> None:
    """No digit, sign, zero or exponent of a number changes, in rows and in kept members."""
    body = document(row(postcode=5), units={"x": [5]}).replace(b"5", number.encode())

    written = write(LIST, held(body))

    assert f'"postcode":{number},'.encode() in written
    assert f'"units":{{"x":[{number}]}}'.encode() in written


def test_a_number_is_read_as_its_text() -> None:
    """A house number or postcode that the database holds as a number describes the person all the same."""
    [found] = LIST.read(held(document(row(street_number=12, postcode=2600)))).rows

    assert ("12", "2600") == (found.subjects[0].addresses[0].number, found.subjects[0].addresses[0].postcode)


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS[1:], PLAIN)), max_size=6)


@given(ROWS, st.booleans(), st.sets(st.integers(0, 5)), st.sets(st.sampled_from(COLUMNS[1:])))
def test_rows_are_kept_whole_masked_or_gone(
    rows: list[dict[str, Any]], as_arrays: bool, withheld: set[int], masks: set[str]
) -> None:
    """For any rows and any choice of them: what is kept equals what came, less masks; what is not kept is nowhere."""
    full = [row(f"r{at}") | values for at, values in enumerate(rows)]
    sheet = LIST.read(held(document(*([list(one.values()) for one in full] if as_arrays else full))))
    kept = [(sheet, found, frozenset(masks)) for found in sheet.rows if found.place not in withheld]

    answer = json.loads(LIST.render(kept, first=sheet, cursor="", notice="n")[0])

    expected = [
        {name: None if name in masks else value for name, value in one.items()}
        for at, one in enumerate(full)
        if at not in withheld
    ]
    assert (list(map(list, map(dict.values, expected))) if as_arrays else expected) == answer["rows"]
    assert list(COLUMNS) == answer["columns"]


@given(st.binary(max_size=300))
def test_noise_is_an_outage_or_an_answer(body: bytes) -> None:
    """Any bytes are read or refused; nothing else is ever raised."""
    try:
        sheet = LIST.read(held(body))
    except AnswerOutage:
        return
    assert isinstance(sheet.rows, tuple)


@given(
    st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_any_json_is_an_outage_or_an_answer(value: Any) -> None:
    """Any JSON value, at the top or as a row, is read or refused; nothing else is ever raised."""
    for body in (json.dumps(value).encode(), document(value)):
        try:
            sheet = LIST.read(held(body))
        except AnswerOutage:
            continue
        assert set(map(type, sheet.rows)) <= {Row}


def test_members_are_kept_by_name_in_order() -> None:
    """Only listed members are written, in the order they came, with their own inner order."""
    body = b'{"secret": 1, "units": {"z": 1, "a": 2}, "rows": [], "count": 3, "table": "t", "columns": [], "database": "d"}'

    assert b'{"units":{"z":1,"a":2},"rows":[],"table":"t","columns":[],"database":"d","notice":"n"}' == write(
        LIST, held(body)
    )


def test_columns_that_are_not_mapped_never_leave() -> None:
    """A column added to the table stays behind, in arrays, objects and the list of columns."""
    names = [*COLUMNS[:3], "informant", *COLUMNS[3:]]
    one = row()
    arrays = held(document([one.get(name, "secret") for name in names], columns=names))
    objects = held(document(row(informant="secret"), columns=names))

    assert b"secret" not in write(LIST, arrays) + write(LIST, objects)
    assert b"informant" not in write(LIST, arrays) + write(LIST, objects)
    assert list(one.values()) == json.loads(write(LIST, arrays))["rows"][0]


def test_rows_may_come_from_several_pages() -> None:
    """A refilled page holds rows of later pages in order, under the first page's members."""
    first, second = (LIST.read(held(document(row(f"r{at}"), row(f"s{at}"), table=f"t{at}"))) for at in (1, 2))
    kept: list[tuple[Sheet, Row, frozenset[str]]] = [
        (first, first.rows[0], frozenset()),
        (second, second.rows[1], frozenset()),
    ]

    answer = json.loads(LIST.render(kept, first=first, cursor="c", notice="n")[0])

    assert (["r1", "s2"], "t1", "c") == (
        [one["rec_id"] for one in answer["rows"]],
        answer["table"],
        answer["next"],
    )


def test_pages_of_different_columns_are_an_outage() -> None:
    """A table altered between two pages cannot be written as one list."""
    first, second = (
        LIST.read(held(document(list(row().values()), columns=names)))
        for names in (COLUMNS, COLUMNS[:3] + COLUMNS[:2:-1])
    )

    with pytest.raises(AnswerOutage):
        LIST.render([(second, second.rows[0], frozenset())], first=first, cursor="", notice="n")


def test_a_cursor_is_written_where_there_was_no_member() -> None:
    """Where the upstream leaves `next` out, the cursor still finds its place."""
    body = orjson.dumps({"rows": []})

    assert {"rows": [], "next": "c", "notice": "n"} == json.loads(write(LIST, held(body), cursor="c"))


def test_a_notice_without_a_place_is_an_outage() -> None:
    """A sentence that must be said and cannot be said is not dropped."""
    sheet = JsonShape(rows="rows").read(held(document(row())), MAPPING.contents.kinds["person"])

    with pytest.raises(AnswerOutage):
        sheet.render([], cursor="", notice="n")
    assert b'{"rows":[]}' == sheet.render([], cursor="", notice="")[0]
