"""HTML answers: rows read strictly by selector, and a page of kept pieces alone."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring

from purposegate.errors import AnswerOutage
from purposegate.model import Row
from purposegate.protocols import Match, Sheet
from purposegate.reasons import Reason
from purposegate.records.mapping import load
from purposegate.records.rows import MAX_ROWS
from records_system import POLICIES, get, held, texts

MAPPING = load(POLICIES / "records.yaml")
COLUMNS = MAPPING.contents.kinds["person"].columns
HTML = b"text/html; charset=utf-8"


def matched(address: str) -> Match:
    match = MAPPING.match(get(address))
    assert match is not None
    return match


LIST = matched("/people/person")
VIEW = matched("/people/person/r1")


def row(record_id: str = "r1", **more: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {"rec_id": record_id} | more


def table(rows: Sequence[dict[str, str]], columns: Sequence[str] = COLUMNS) -> str:
    heads = "".join(f'<th class="col-{name}" data-column="{name}">{name}</th>' for name in columns)
    lines = "".join(
        "<tr>"
        + "".join(f'<td class="col-{name} type-str">{escape(one.get(name, ""))}</td>' for name in columns)
        + "</tr>"
        for one in rows
    )
    return (
        f'<div class="table-wrapper"><table class="rows-and-columns"><caption>12 rows</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody><tfoot><tr><td>total 12</td></tr></tfoot></table></div>"
    )


def page(inner: str, *, head: str = "", around: str = "") -> bytes:
    return (
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body class="x" data-count="12">{around}'
        f'<section class="content">{inner}</section></body></html>'
    ).encode()


def write(
    match: Match, body: bytes, *, masks: frozenset[str] = frozenset(), cursor: str = "", skip: int = 0
) -> bytes:
    sheet = match.read(held(body, HTML))
    kept = [(sheet, found, masks) for found in sheet.rows[skip:]]
    return match.render(kept, first=sheet, cursor=cursor, notice="n")[0]


def unreadable(body: bytes, match: Match = LIST, content_type: bytes = HTML) -> str:
    with pytest.raises(AnswerOutage) as caught:
        match.read(held(body, content_type))
    assert Reason.ANSWER_UNREADABLE is caught.value.reason
    return caught.value.detail


LINK = '<p><a href="/people/person?{}">Next page</a></p>'

MALFORMED = {
    "nothing": b"",
    "blank": b"  \n",
    "no markup": b"an error",
    "invalid UTF-8": page(table([row()])) + b"\xff",
    "NUL": page(table([row(surname="a\0b")])),
    "no place for the notice": b"<html><body>" + table([row()]).encode(),
    "two places for the notice": page('</section><section class="content">'),
    "two tables": page(table([row()]) * 2),
    "row too short": page(table([row()]).replace('<td class="col-surname type-str"></td>', "")),
    "row too long": page(table([row()]).replace("</td></tr>", "</td><td>x</td></tr>", 1)),
    "two cells for a column": page(table([row()]).replace('"col-state type-str"', '"col-surname type-str"')),
    "one cell for two columns": page(
        table([row()]).replace('"col-state type-str"', '"col-state col-postcode"')
    ),
    "column in a cell of another": page(
        table([row()]).replace(
            '<td class="col-surname type-str"></td>', '<td><table><td class="col-surname"></td></table></td>'
        )
    ),
    "rows of different order": page(
        table([row()]).replace("</tbody>", "") + table([row("r2")], COLUMNS[::-1])
    ),
    "no id": page(table([row()], COLUMNS[1:])),
    "no surname": page(table([row()], [name for name in COLUMNS if name != "surname"])),
    "id empty": page(table([row("")])),
    "id of another form": page(table([row("r 1")])),
    "next without a token": page(table([row()]) + LINK.format("_next=")),
    "next with two tokens": page(table([row()]) + LINK.format("_next=a&_next=b")),
    "next that cannot be read": page(table([row()]) + LINK.format("_next=%FF")),
    "two links to next": page(table([row()]) + LINK.format("_next=a") * 2),
    "too deep": page("<div>" * 256 + "x"),
    "too long a text": page("x" * 10_000_001),
    "far too deep": page("<div>" * 100_000),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_page_is_an_outage(body: bytes) -> None:
    """A page without the promised structure is not judged."""
    unreadable(body)


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"application/xhtml+xml", b"text/html; charset=utf-7", b"text/plain"],
)
def test_only_html_in_utf_8_is_read(content_type: bytes) -> None:
    """A charset by which a browser would see other characters is refused."""
    unreadable(page(table([row()])), content_type=content_type)


def test_too_many_rows_are_an_outage() -> None:
    """A page longer than any is not read row by row."""
    unreadable(
        page('<table class="rows-and-columns"><tbody>' + "<tr></tr>" * (MAX_ROWS + 1) + "</tbody></table>")
    )


def test_entities_stand_for_characters_only() -> None:
    """A document type with entities declares nothing: no expansion, no file, no network."""
    bomb = b'<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    body = page(table([row(surname="x")]).replace(">x<", ">&b;&f;&eacute;<"))

    [found] = LIST.read(held(bomb + body, HTML)).rows

    assert "&b;&f;é" == found.subjects[0].names[0].surname


@pytest.mark.parametrize("rows", [[], [row("r2")], [row(), row("r2")]])
def test_a_view_answers_the_record_asked_for_alone(rows: list[dict[str, str]]) -> None:
    """No row, another row or a second row is not the record that was decided on."""
    unreadable(page(table(rows)), VIEW)


def test_only_kept_pieces_are_written() -> None:
    """Titles, scripts, comments, captions, totals, texts and attributes around the kept pieces are gone."""
    body = page(
        "stray 12<h3>12 rows</h3><!-- 12 -->" + table([row()]) + "12<div id=x>12</div><pre>12</pre>",
        head="<title>12 rows</title><script>12</script><meta name=count content=12><link rel=alternate href=/people/person>",
        around="<header>12</header>12<?php 12 ?>",
    ).replace(b"<tr>", b"<tr data-x=12>", 1)

    assert b"12" not in write(LIST, body)


def test_the_table_keeps_its_heads_and_rows() -> None:
    """Rows and heads come through in order, as text."""
    body = page(table([row("r1", surname="O'Neil & Sons"), row("r2", surname="<b>")]))

    written = write(LIST, body)

    assert list(COLUMNS) == texts(written, "th")
    assert ["O'Neil & Sons", "<b>"] == texts(written, "td.col-surname")
    assert [] == texts(written, "caption, tfoot")


def test_columns_that_are_not_mapped_never_leave() -> None:
    """A column added to the table stays behind with its head."""
    columns = [*COLUMNS[:3], "informant", *COLUMNS[3:]]

    written = write(LIST, page(table([row(informant="secret")], columns)))

    assert b"secret" not in written
    assert b"informant" not in written
    assert len(COLUMNS) == len(texts(written, "td"))


def test_a_list_without_kept_rows_is_a_list_without_hits() -> None:
    """All withheld and none found are the same bytes."""
    none = write(LIST, page('<p class="zero-results">0 records</p>'))

    assert none == write(LIST, page(table([row(surname="white")])), skip=1)
    assert ["No records."] == texts(none, "section.content > p.purposegate-empty")


@pytest.mark.parametrize(
    "kept", ["section.content", "div.table-wrapper", "table.rows-and-columns", "caption", "thead", "body"]
)
def test_keeping_what_holds_the_table_tells_no_more(tmp_path: Path, kept: str) -> None:
    """A mapping that keeps an element around or within the table still writes all-withheld and none-found alike."""
    path = tmp_path / "records.yaml"
    path.write_text(
        (POLICIES / "records.yaml").read_text().replace("keep: ['head", f"keep: ['{kept}', 'head")
    )
    match = load(path).match(get("/people/person"))
    assert match is not None

    none = write(match, page('<p class="zero-results">0 records</p>'))

    assert none == write(match, page(table([row(surname="white")])), skip=1)
    assert b"white" not in write(match, page(table([row("r0", surname="white"), row("r1")])), skip=1)


def test_rows_may_come_from_several_pages() -> None:
    """A refilled page holds rows of later pages in order."""
    first, second = (LIST.read(held(page(table([row(f"r{at}"), row(f"s{at}")])), HTML)) for at in (1, 2))
    kept: list[tuple[Sheet, Row, frozenset[str]]] = [
        (first, first.rows[0], frozenset()),
        (second, second.rows[1], frozenset()),
    ]

    assert ["r1", "s2"] == texts(LIST.render(kept, first=first, cursor="", notice="n")[0], "td.col-rec_id")


@pytest.mark.parametrize("other", [table([row()], COLUMNS[::-1])])
def test_pages_of_different_columns_are_an_outage(other: str) -> None:
    """A table altered between two pages cannot be written as one list."""
    first, second = (LIST.read(held(page(one), HTML)) for one in (table([row()]), other))

    with pytest.raises(AnswerOutage):
        LIST.render([(second, second.rows[0], frozenset())], first=first, cursor="", notice="n")


def test_rows_without_a_table_to_stand_in_are_an_outage() -> None:
    """Rows of a later page have no place in a first page without a table."""
    first, second = (LIST.read(held(page(one), HTML)) for one in ("", table([row()])))

    with pytest.raises(AnswerOutage):
        LIST.render([(second, second.rows[0], frozenset())], first=first, cursor="", notice="n")


def test_a_sheet_of_another_format_is_an_outage() -> None:
    """Sheets of two routes cannot be mixed."""
    json_list = matched("/people/person.json")
    sheet = json_list.read(held(b'{"rows": []}'))
    page_sheet = LIST.read(held(page(table([row()])), HTML))

    with pytest.raises(AnswerOutage):
        LIST.render([(page_sheet, page_sheet.rows[0], frozenset())], first=sheet, cursor="", notice="n")


LINKS = {
    "/people/person/r1": True,
    "/people/person/r1.json": True,
    "/people/person?_sort=surname": True,
    "/-/static/app.css?tag": True,
    "/people/person/r2": False,
    "/people/person?_next=r1": False,
    "/people/person?surname=white": False,
    "/people/person?rec_id=r1": True,
    "/people/person?rec_id=r2": False,
    "/people/person.csv": False,
    "/people.db": False,
    "//elsewhere.example/people/person/r1": False,
    "https://elsewhere.example/people/person/r1": False,
    "http://records.example/people/person/r1": True,
    "javascript:alert(1)": False,
    "data:text/html,white": False,
    "mailto:white@example": False,
    "../person/r1": False,
    "#white": False,
    "": False,
}


@pytest.mark.parametrize(("link", "stays"), LINKS.items())
def test_links_in_a_row_lead_to_its_own_record_or_nowhere(link: str, stays: bool) -> None:
    """A link of a kept row may lead to mapped and open places, and name its own record alone."""
    cell = '<td class="col-rec_id type-str">r1</td>'
    body = page(table([row()]).replace(cell, cell.replace("r1", f'<a href="{escape(link)}">r1</a>')))

    [anchor] = document_fromstring(write(LIST, body)).cssselect("td.col-rec_id a")

    assert (link if stays else None) == anchor.get("href")


@pytest.mark.parametrize(
    "attribute", ["href", "src", "action", "formaction", "data", "poster", "srcset", "ping", "cite"]
)
def test_every_attribute_that_links_is_looked_at(attribute: str) -> None:
    """A link in any attribute that browsers follow is dropped where it leads off the mapped routes."""
    cell = '<td class="col-state type-str"></td>'
    body = page(
        table([row()]).replace(cell, cell.replace("></", f'><a {attribute}="/people/person/r9">x</a></'))
    )

    assert b"r9" not in write(LIST, body)


def test_links_of_the_whole_page_name_no_found_record() -> None:
    """A heading's link may not name a row, not even a kept one: it stands there whether the row is kept or not."""
    heading = '<div class="page-header"><h1><a href="/people/person/r1">x</a></h1></div>'

    assert b"/people/person/r1" not in write(LIST, page(heading + table([row()])))


def test_the_next_link_is_the_gates() -> None:
    """The upstream's link with its token is gone; the gate's carries the cursor and the client's own parameters."""
    match = matched("/people/person?surname=o%27neil&_size=5")

    written = write(
        match, page(table([row()]) + LINK.format("surname=o%27neil&_size=5&_next=r1&_nocount=1")), cursor="c"
    )

    [anchor] = document_fromstring(written).cssselect("a")
    assert "/people/person?surname=o%27neil&_size=5&_next=c" == anchor.get("href")


def test_a_row_says_nothing_outside_its_cells() -> None:
    """Attributes of a row belong to no column, so no list of columns and no mask covers them."""
    line = '<tr id="r-whitlam" class="born-1950" data-pnc="1950/1234567X" title="whitlam">'
    body = page(table([row(surname="whitlam")]).replace("<tr><td", line + "<td", 1))
    written = write(LIST, body, masks=frozenset({"name", "born"}))

    assert [False] * 3 == [text in written for text in (b"whitlam", b"1950", b"data-pnc")]


def test_masked_cells_and_heads_are_bare() -> None:
    """A masked cell keeps neither text nor class, its head neither name nor link."""
    written = write(LIST, page(table([row(surname="white")])), masks=frozenset({"surname"}))

    assert b"white" not in written
    assert b"surname" not in written
    assert len(COLUMNS) == len(texts(written, "td")) == len(texts(written, "th"))


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=15)


@given(
    st.lists(st.fixed_dictionaries({"surname": TEXT, "suburb": TEXT}), max_size=5), st.sets(st.integers(0, 4))
)
def test_rows_are_kept_whole_or_gone(rows: list[dict[str, str]], withheld: set[int]) -> None:
    """For any texts and any choice of rows: kept cells read the same again, others are nowhere."""
    full = [row(f"r{at}", **values) for at, values in enumerate(rows)]
    sheet = LIST.read(held(page(table(full)), HTML))
    kept = [(sheet, found, frozenset[str]()) for found in sheet.rows if found.place not in withheld]

    written = LIST.render(kept, first=sheet, cursor="", notice="n")[0]

    again = LIST.read(held(written, HTML)).rows
    assert [found.subjects for _, found, _ in kept] == [found.subjects for found in again]
    assert [f"r{at}" for at in range(len(rows)) if at not in withheld] == [found.record.id for found in again]


@given(st.binary(max_size=300))
def test_noise_is_an_outage_or_an_answer(noise: bytes) -> None:
    """Any bytes are read or refused; nothing else is ever raised."""
    for body in (
        noise,
        page(table([row()]) + "{}").replace(b"{}", noise),
        page(table([row()])).replace(b"<td", b"<td " + noise, 1),
    ):
        try:
            write(LIST, body)
        except AnswerOutage:
            continue
