"""The shipped mapping against a real Datasette: nothing of a withheld person, and nothing missing of the others."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from lxml.html import document_fromstring

from purposegate.errors import AnswerOutage
from purposegate.exchange import Page
from purposegate.model import Address, Identity, Name, RecordRef
from purposegate.reasons import Reason
from records_system import NOTICE, System, Written, get, texts

pytestmark = pytest.mark.anyio

Everybody = list[dict[str, str]]

WITHHELD = ("rec-1003-dup-0", "rec-1005-dup-0", "rec-1006-dup-0", "rec-1016-dup-0")
"""A single row, two neighbours in the list, and one further on."""

SEARCHES = [
    "?_size=7",
    "?_size=7&_sort=surname",
    "?_size=7&_sort_desc=postcode",
    "?_size=5&state__exact=vic&rec_id__lt=rec-11",
    "?_size=3&_search=smith",
    "?_size=1&rec_id__startswith=rec-100",
    "?rec_id__in=rec-1003-dup-0%2Crec-1004-dup-0%2Crec-1005-dup-0",
]
FORMS = [".json{}", ".json{}&_shape=objects", ".json{}&_shape=arrays", "{}"]
PAGES = 4


def by_id(everybody: Everybody, record_id: str) -> dict[str, str]:
    return next(person for person in everybody if person["rec_id"] == record_id)


def ids_in(written: Written) -> list[str]:
    if written.content_type.startswith(b"application/json"):
        names = written.json["columns"]
        return [
            row["rec_id"] if isinstance(row, dict) else row[names.index("rec_id")]
            for row in written.json["rows"]
        ]
    return texts(written.body, "td.col-rec_id")


def bare(written: Written) -> bytes:
    """The body with its cursor, which differs every time, blanked."""
    return written.body.replace(written.cursor.encode(), b"CURSOR") if written.cursor else written.body


async def pages(system: System, address: str) -> Sequence[Written]:
    """The first pages of a list, following the gate's own cursors."""
    found = [await system.open(address)]
    while found[-1].cursor and len(found) < PAGES:
        found.append(await system.open(f"{address}&_next={found[-1].cursor}"))
    return found


@pytest.fixture(scope="session")
def telling(everybody: Everybody) -> Callable[[str], list[str]]:
    """The texts of a record that nobody else's record holds: id, names, birth date, address, number."""
    names = ("rec_id", "given_name", "surname", "date_of_birth", "address_1", "soc_sec_id")
    counts = Counter(person[name] for person in everybody for name in person)

    def texts(record_id: str) -> list[str]:
        person = by_id(everybody, record_id)
        return [person[name] for name in names if person[name] and counts[person[name]] == 1]

    return texts


def standing(written: Sequence[Written], words: Sequence[str]) -> set[str]:
    """Which words stand in any of the bodies, as whole words."""
    text = "\n".join(page.body.decode() for page in written)
    return {word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", SEARCHES)
async def test_refilled_pages_are_those_of_a_database_without_the_people(
    system: System, without: Callable[..., System], form: str, search: str
) -> None:
    """Byte for byte but for the cursors, every page is what a second Datasette without those people answers."""
    address = "/people/person" + form.format(search)
    expected = await pages(without(*WITHHELD), address)

    actual = await pages(system.less(*WITHHELD), address)

    assert list(map(bare, expected)) == list(map(bare, actual))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", SEARCHES[:3])
async def test_nothing_of_withheld_people_is_in_any_byte(
    system: System, telling: Callable[[str], list[str]], form: str, search: str
) -> None:
    """No text that is theirs alone stands in any page, though all of it would without the gate."""
    address = "/people/person" + form.format(search + "&rec_id__lt=rec-102")
    words = [word for record_id in WITHHELD for word in telling(record_id)]

    assert set(words) == standing(await pages(system, address), words)
    assert set() == standing(await pages(system.less(*WITHHELD), address), words)


@pytest.mark.parametrize("form", FORMS)
async def test_a_search_for_a_withheld_person_alone_is_a_search_without_hits(
    system: System, without: Callable[..., System], everybody: Everybody, form: str
) -> None:
    """Whoever searches for exactly that person cannot tell withheld from unknown, in any byte."""
    person = by_id(everybody, WITHHELD[0])
    address = "/people/person" + form.format(
        f"?surname={person['surname']}&date_of_birth={person['date_of_birth']}"
    )

    actual = await system.less(WITHHELD[0]).open(address)

    assert [] == ids_in(actual)
    assert (await without(WITHHELD[0]).open(address)).body == actual.body


@pytest.mark.parametrize("form", FORMS)
async def test_a_list_without_its_last_rows_offers_no_further_page(
    system: System, without: Callable[..., System], form: str
) -> None:
    """Where every later row is withheld the list ends, as it would if they did not exist."""
    address = "/people/person" + form.format(
        "?_size=2&rec_id__in=rec-1003-dup-0%2Crec-1005-dup-0%2Crec-1000-dup-0"
    )

    actual = await system.less("rec-1003-dup-0", "rec-1005-dup-0").open(address)

    assert ["rec-1000-dup-0"] == ids_in(actual)
    assert "" == actual.cursor
    assert (await without("rec-1003-dup-0", "rec-1005-dup-0").open(address)).body == actual.body


@pytest.mark.parametrize("form", FORMS)
async def test_counts_queries_and_links_of_the_upstream_are_gone(system: System, form: str) -> None:
    """No count, facet, suggestion, query, timing, upstream link or table definition is left, withheld rows or not."""
    body = (await system.open("/people/person" + form.format("?_size=2&_search=smith"))).body.decode()

    for gone in (
        "count",
        "suggested_facets",
        "facet_results",
        "next_url",
        "query_ms",
        "select rec_id",
        "CREATE TABLE",
        "This data as",
        "CSV",
        "View and edit SQL",
        "rec-1003",
        "_next=rec-",
        "_facet=",
        "<script",
    ):
        assert gone not in body.replace("_nocount", "")


async def test_the_members_of_a_json_list(system: System) -> None:
    """What is left of the upstream's members is what the route keeps, in their order, with the notice at the end."""
    answer = (await system.open("/people/person.json?_size=2")).json

    assert [
        "database",
        "table",
        "is_view",
        "human_description_en",
        "rows",
        "columns",
        "primary_keys",
        "units",
        "next",
        "notice",
    ] == list(answer)
    assert NOTICE == answer["notice"]


@pytest.mark.parametrize("form", FORMS)
async def test_every_search_answer_has_the_notice(system: System, form: str) -> None:
    """The sentence stands in every list, with hits or without."""
    for search in ("?_size=2", "?surname=nobody-has-this-name"):
        assert NOTICE in (await system.open("/people/person" + form.format(search))).body.decode()


async def test_the_cursor_stands_where_the_page_token_stood(system: System) -> None:
    """JSON lists carry the sealed cursor as `next`, pages as the link to the next page, of equal length always."""
    answer = await system.open("/people/person.json?_size=2")
    page = await system.open("/people/person?_size=2&_sort=surname")

    assert answer.cursor == answer.json["next"]
    [link] = document_fromstring(page.body).cssselect("section.content > p.purposegate-next > a")
    assert f"/people/person?_size=2&_sort=surname&_next={page.cursor}" == link.get("href")
    assert len(answer.cursor) == len(page.cursor)


RECORD = "/people/person/rec-1000-dup-0"


@pytest.mark.parametrize(
    "address",
    [
        f"{RECORD}.json",
        f"{RECORD}.json?_shape=objects",
        RECORD,
        "/people/person?rec_id=rec-1000-dup-0",
        "/people/person.json?rec_id=rec-1000-dup-0",
    ],
)
async def test_a_row_is_read_as_the_person_it_is_about(system: System, address: str) -> None:
    """JSON and HTML, arrays and objects, opened or found: the same record, the same person, the same fields."""
    [row] = (await system.sheet(address)).rows

    assert RecordRef("person", "rec-1000-dup-0") == row.record
    lived = Address("70", "wybalena grove", "inverbeath", "paralowie", "5065")
    assert (
        Identity(names=(Name("victoria", "zbierski"),), born=("1972-05-03",), addresses=(lived,)),
    ) == row.subjects
    assert {"rec_id", "surname", "soc_sec_id", "address", "born", "name", "national_id"} <= row.fields


def naive_birth(text: str) -> tuple[str, ...]:
    for wanted, written in (("%Y%m%d", "%Y-%m-%d"), ("%Y%m", "%Y-%m"), ("%Y", "%Y")):
        with suppress(ValueError):
            whole = {"%Y%m%d": 8, "%Y%m": 6, "%Y": 4}[wanted]
            return (datetime.strptime(text[:whole], wanted).replace(tzinfo=UTC).strftime(written),)
    return ()


async def test_every_record_can_be_read(system: System, everybody: Everybody) -> None:
    """All 5,000 rows, with their gaps and 64 impossible dates, are read; a wrong day or month leaves the rest."""
    page = Page()
    born: dict[str, tuple[str, ...]] = {}
    match = system.match(get("/people/person.json?_size=100"))
    while True:
        sheet = match.read(await system.ask(match.request(page)))
        born |= {row.record.id: row.subjects[0].born for row in sheet.rows}
        if not sheet.next_token:
            break
        page = Page(sheet.next_token)

    assert {person["rec_id"]: naive_birth(person["date_of_birth"]) for person in everybody} == born
    assert 64 == sum(0 < len("".join(dates)) < 10 for dates in born.values())


async def test_a_view_in_json_keeps_the_row(system: System, everybody: Everybody) -> None:
    """An opened record comes through whole: every column, in its place, less what the route does not keep."""
    person = by_id(everybody, "rec-1000-dup-0")

    arrays = (await system.open(f"{RECORD}.json")).json
    objects = (await system.open(f"{RECORD}.json?_shape=objects")).json

    assert list(person.values()) == arrays["rows"][0]
    assert person == objects["rows"][0]
    assert ["database", "table", "rows", "columns", "primary_keys", "primary_key_values", "units"] == list(
        arrays
    )


async def test_a_view_in_html_keeps_the_row(system: System, everybody: Everybody) -> None:
    """An opened page shows every column under its head, and carries no notice: it is no list."""
    page = (await system.open(RECORD)).body

    assert list(by_id(everybody, "rec-1000-dup-0").values()) == texts(page, "tbody td")
    assert list(by_id(everybody, "rec-1000-dup-0")) == texts(page, "thead th")
    assert [] == texts(page, ".purposegate-notice")


@pytest.mark.parametrize("form", FORMS)
async def test_masked_fields_leave_nothing(system: System, everybody: Everybody, form: str) -> None:
    """A masked field is empty in every row; neither its text nor whether there was any is left."""
    address = "/people/person" + form.format("?_size=40")
    ids = ids_in(await system.open(address))
    hidden = ("street_number", "address_1", "address_2", "suburb", "postcode", "state", "date_of_birth")
    texts = {by_id(everybody, record_id)[name] for record_id in ids for name in hidden} - {""}

    written = await system.less(masks=("address", "date_of_birth")).open(address)

    assert ids == ids_in(written)
    assert set() == standing([written], [text for text in texts if len(text) > 3])
    assert [True] * 7 * len(ids) == list(blanks(written))


def blanks(written: Written) -> Iterator[bool]:
    """Whether each of a list's fourth to tenth cells is empty, row by row."""
    if written.content_type.startswith(b"text/html"):
        for row in document_fromstring(written.body).cssselect("tbody tr"):
            yield from (not cell.text and not len(cell) and not cell.attrib for cell in list(row)[3:10])
        return
    for found in written.json["rows"]:
        cells = list(found.values()) if isinstance(found, dict) else found
        yield from (cell is None for cell in cells[3:10])


async def test_masked_columns_lose_their_heads_in_html(system: System) -> None:
    """The head of a masked column offers no sorting by it, nor anything else."""
    page = document_fromstring((await system.less(masks=("address",)).open("/people/person?_size=2")).body)

    assert [True] * 6 == [not head.attrib and not len(head) for head in page.cssselect("thead th")[3:9]]


async def test_a_mask_that_means_nothing_here_is_an_outage(system: System) -> None:
    """A mask word that the kind lacks cannot be carried out, so nothing is written."""
    for address in ("/people/person.json", RECORD):
        with pytest.raises(AnswerOutage):
            await system.less(masks=("adress",)).open(address)


async def test_a_head_request_asks_as_get(system: System) -> None:
    """HEAD is judged as GET: the upstream is asked for the whole answer."""
    written = await system.open(f"{RECORD}.json", method="HEAD")

    assert "GET" == system.asked[0].method
    assert (await system.open(f"{RECORD}.json")).body == written.body


async def test_partial_and_conditional_requests_ask_for_everything(system: System) -> None:
    """A Range or If-None-Match of the client never reaches the upstream."""
    headers = (
        (b"range", b"bytes=0-5"),
        (b"if-none-match", b'"x"'),
        (b"if-modified-since", b"Thu, 01 Jan 2026 00:00:00 GMT"),
    )

    written = await system.open(f"{RECORD}.json", *headers)

    assert "rec-1000-dup-0" == written.json["rows"][0][0]
    assert not {name for name, _ in headers} & {name for name, _ in system.asked[0].headers}


@pytest.mark.parametrize(
    "address",
    [
        "/people/person/rec-9999-dup-0.json",
        "/people/person/rec-9999-dup-0",
        "/people/person.json?given_name__in=%5B",
        "/people/person.json?_sort=surname&_sort_desc=surname",
        "/people/person?_sort=surname&_sort_desc=surname",
    ],
)
async def test_an_error_page_is_no_answer(system: System, address: str) -> None:
    """The upstream's error pages, which echo ids and SQL, are never read as answers."""
    with pytest.raises(AnswerOutage) as caught:
        await system.open(address)

    assert Reason.ANSWER_UNREADABLE is caught.value.reason
    assert "rec-9999" not in str(caught.value)


async def test_a_forms_filter_redirects_to_its_plain_form(system: System) -> None:
    """What the search form sends is redirected by Datasette to the plain filter, and that redirect tells nothing new."""
    address = (
        "/people/person?_search=&_filter_column_1=surname&_filter_op_1=exact&_filter_value_1=white"
        "&_filter_column=&_filter_op=exact&_filter_value=&_sort=rec_id"
    )
    match = system.match(get(address))

    answer = await system.ask(match.request(Page()))

    assert 302 == answer.status
    assert match.redirects_safely(answer)
    assert {"surname": "_filter_column_1", "*": "white", "rec_id": "_sort"} == match.criteria
    assert match.touches(frozenset({"name"}))
    [location] = answer.values(b"location")
    assert {"white"} == set(texts((await system.open(location.decode())).body, "td.col-surname"))


@pytest.mark.parametrize(
    "form",
    [
        "_sort=surname&_sort_by_desc=on",
        "_filter_column=surname&_filter_op=isnull__1&_filter_value=",
        "_filter_column=&_filter_op=exact&_filter_value=&_search=white&_size=5",
        "_filter_column_1=rec_id&_filter_op_1=contains&_filter_value_1=100&surname=white",
    ],
)
async def test_every_redirect_of_the_form_can_be_followed(system: System, form: str) -> None:
    """Descending order, filters without a value and empty filters are redirected to searches that the mapping takes."""
    match = system.match(get(f"/people/person?{form}"))
    answer = await system.ask(match.request(Page()))

    assert (302, True) == (answer.status, match.redirects_safely(answer))
    [location] = answer.values(b"location")
    assert NOTICE in (await system.open(location.decode())).body.decode()


async def test_the_style_sheet_is_open(system: System) -> None:
    """The page's one asset passes unjudged, with the tag that the page gives it, and it really is there."""
    [link] = document_fromstring((await system.open(RECORD)).body).cssselect("link[rel=stylesheet]")
    request = get(str(link.get("href")))

    assert system.mapping.match(request) is None
    assert 200 == (await system.ask(request)).status


async def test_every_link_left_in_a_page_is_mapped_or_open(system: System) -> None:
    """A kept page leads nowhere that the gate refuses."""
    page = document_fromstring((await system.open("/people/person?_size=5&_sort=surname&_search=smith")).body)
    links = [
        str(element.get(name))
        for element in page.iter()
        for name in ("href", "src", "action")
        if element.get(name)
    ]

    assert len(links) > 15
    for link in links:
        system.mapping.match(get(link))
