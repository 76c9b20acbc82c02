"""Answers in HTML: rows read by CSS selectors, and a page written again from what the route keeps.

The page is not the upstream's with pieces cut out but a new one with pieces kept: elements that `keep` selects, the table
with its kept rows, and bare ancestors to hold them. What a later version of the records system adds stays behind unseen.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from lxml import etree
from lxml.cssselect import CSSSelector
from lxml.html import HtmlElement, HTMLParser, defs, document_fromstring, tostring

from purposegate.errors import RouteRefused
from purposegate.exchange import Held
from purposegate.model import RecordRef, Row
from purposegate.records.answer import text_of
from purposegate.records.paths import read_query
from purposegate.records.rows import MAX_ROWS, RecordKind, unreadable

MEDIA_TYPES = frozenset({"text/html"})
CONTENT_TYPE = b"text/html; charset=utf-8"

_LINKS = defs.link_attrs | {"srcset", "ping", "poster", "formaction", "manifest", "xlink:href"}
_BARE = frozenset({"class", "id", "lang"})


class Selector:
    """A CSS selector, compiled: the elements below one that it matches, in document order.

    Raises `cssselect.SelectorError` when made of something else.
    """

    __slots__ = ("_compiled",)

    def __init__(self, text: str) -> None:
        self._compiled = CSSSelector(text, translator="html")

    def __call__(self, root: HtmlElement) -> list[HtmlElement]:
        """Every element below `root` that matches."""
        found = self._compiled(root)
        return (
            [element for element in found if isinstance(element, HtmlElement)]
            if isinstance(found, list)
            else []
        )


Table = Sequence[tuple["HtmlSheet", Row, frozenset[str]]]
Harmless = Callable[[str, frozenset[RecordRef]], bool]
"""Whether a link may stand in the page, given the records it may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlShape:
    """Where an answer's parts stand, as CSS selectors.

    `container` is the one element whose rows these are; `rows` and `heads` are looked for in it, `cells` (one per column) in
    a row. `place` is the one element that takes the gate's notice and page link; both stand at its end.
    """

    container: Selector
    rows: Selector
    heads: Selector
    cells: Mapping[str, Selector]
    place: Selector
    next: Selector | None = None
    next_parameter: str = ""
    keep: tuple[Selector, ...] = ()
    remove: tuple[Selector, ...] = ()

    media_type = b"text/html"

    def read(self, held: Held, kind: RecordKind) -> "HtmlSheet":
        """Read an answer. Raises `AnswerOutage`."""
        page = _parse(text_of(held, MEDIA_TYPES))
        _only(self.place(page), "the place for the notice")
        containers = self.container(page)
        if not containers:
            return HtmlSheet(self, kind, page, (), (), {}, "")
        container = _only(containers, "the table of rows")
        found = tuple(self.rows(container))
        if len(found) > MAX_ROWS:
            raise unreadable(f"more than {MAX_ROWS} rows")
        width = len(self.heads(container))
        places = self._places(container, found, kind)
        if any(len(row) != width for row in found):
            raise unreadable("a row is not as long as the heads")
        if any(where != places[0] for where in places):
            raise unreadable("rows of one table have different columns")
        rows = tuple(
            kind.row({name: _text(row[at]) for name, at in where.items()}, place)
            for place, (row, where) in enumerate(zip(found, places, strict=True))
        )
        return HtmlSheet(self, kind, page, found, rows, places[0] if places else {}, self._token(page))

    def _places(
        self, container: HtmlElement, found: Sequence[HtmlElement], kind: RecordKind
    ) -> list[dict[str, int]]:
        """For each row, which of its cells is which column. One search for each column, not for each row: it is slow."""
        places: dict[HtmlElement, dict[str, int]] = {row: {} for row in found}
        for name in kind.columns:
            for cell in self.cells[name](container):
                row = cell.getparent()
                if row not in places:
                    continue
                at = row.index(cell)
                if name in places[row] or at in places[row].values():
                    raise unreadable(f"a row has two cells for {name}, or one for two columns")
                places[row][name] = at
        return list(places.values())

    def _token(self, page: HtmlElement) -> str:
        links = self.next(page) if self.next else []
        if not links:
            return ""
        _, _, query = _only(links, "the link to the next page").get("href", "").partition("?")
        try:
            tokens = [value for name, value in read_query(query.encode()) if name == self.next_parameter]
        except RouteRefused:
            raise unreadable("the link to the next page cannot be read") from None
        if len(tokens) != 1 or not tokens[0]:
            raise unreadable("the link to the next page has no page token")
        return tokens[0]


@dataclass(frozen=True, slots=True)
class HtmlSheet:
    """One HTML answer, read. Writing it again never changes it. `places` says which cell of a row is which column."""

    shape: HtmlShape
    kind: RecordKind
    page: HtmlElement
    found: tuple[HtmlElement, ...]
    rows: tuple[Row, ...]
    places: Mapping[str, int]
    next_token: str

    def render(
        self, kept: Table, *, next_link: str, notice: str, asked: frozenset[RecordRef], harmless: Harmless
    ) -> tuple[bytes, bytes]:
        """Write this answer with the kept rows. `next_link` is the address of the next page; empty at the end.

        `asked` are the records that the request named: links of the whole page may name them, links of a row also its own.
        A page without rows is written alike whether all were withheld or none were found.
        """
        page = deepcopy(self.page)
        shape = self.shape
        place = _only(shape.place(page), "the place for the notice")
        containers = shape.container(page)
        # What holds the table or the place is never kept whole: around the rows it says how many there were.
        holders = {one for held in (place, *containers) for one in (held, *held.iterancestors())}
        whole = {element for select in shape.keep for element in select(page)} - holders
        frame, heads = self._frame(containers, kept)
        _prune(page, whole.union(heads), {place} if frame is None else {place, frame})
        for element in [element for select in shape.remove for element in select(page)]:
            _detach(element)
        _scrub(page, asked, harmless)
        _hide(heads, self.places, self.kind.covered(frozenset().union(*(masks for _, _, masks in kept))))
        if frame is not None:
            frame.extend(_written(sheet, row, masks, asked, harmless) for sheet, row, masks in kept)
        _finish(place, empty=not kept, next_link=next_link, notice=notice)
        body = tostring(page, method="html", encoding="utf-8", doctype="<!DOCTYPE html>")
        return body, CONTENT_TYPE

    def _frame(
        self, containers: Sequence[HtmlElement], kept: Table
    ) -> tuple[HtmlElement | None, list[HtmlElement]]:
        """What will hold the kept rows, already without its own, and the heads above; nothing where no row is kept."""
        rows = [row for container in containers for row in self.shape.rows(container)]
        frame = rows[0].getparent() if rows else None
        for row in rows:
            _detach(row)
        if not kept:
            for container in containers:
                _detach(container)
            return None, []
        if frame is None or any(
            sheet.places != self.places or sheet.kind is not self.kind for sheet, _, _ in kept
        ):
            raise unreadable("pages of one list have different columns")
        return frame, list(self.shape.heads(_only(containers, "the table of rows")))


def _parse(text: str) -> HtmlElement:
    # What lxml does by itself and could be surprised out of: no network, no entities but HTML's own, no huge trees.
    parser = HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        page = document_fromstring(text.encode("utf-8"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):  # the message would echo the answer
        raise unreadable("the answer is not HTML") from None
    # Past one of its own limits (10 MB of text, 256 levels) libxml2 drops what follows and only notes that it did.
    if len(parser.error_log.filter_from_fatals()):
        raise unreadable("the answer is larger or deeper than can be parsed")
    return page


def _only(found: Sequence[HtmlElement], what: str) -> HtmlElement:
    if len(found) != 1:
        raise unreadable(f"want {what} exactly once, found {len(found)}")
    return found[0]


def _text(cell: HtmlElement) -> str:
    """What a reader sees in a cell; templates write an empty one as a no-break space."""
    text = str(cell.text_content()) if len(cell) else cell.text or ""
    return text.replace("\xa0", " ").strip()


def _detach(element: HtmlElement) -> None:
    """Take an element out with the text that follows it, which is as unknown as the element."""
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _prune(page: HtmlElement, whole: set[HtmlElement], frames: set[HtmlElement]) -> None:
    """Leave only `whole` elements, `frames` and what encloses them; the latter without text and with bare attributes."""
    bare = frames.union(*(element.iterancestors() for element in whole | frames))
    level = [page]
    while level:
        element = level.pop()
        if element in whole:
            continue
        element.text = None
        for name in set(element.attrib) - _BARE:
            del element.attrib[name]
        for child in list(element):
            if child in whole or child in bare:
                child.tail = "\n"
                level.append(child)
            else:
                _detach(child)


def _scrub(root: HtmlElement, named: frozenset[RecordRef], harmless: Harmless) -> None:
    """Drop every link that leads off the mapped routes or tells more than the page may."""
    for element in root.iter(etree.Element):
        for name, address in element.items():
            if name in _LINKS and not harmless(address, named):
                del element.attrib[name]


def _hide(cells: Sequence[HtmlElement], places: Mapping[str, int], hidden: frozenset[str]) -> None:
    """Take out the cells of columns that are not mapped, and leave nothing in those hidden (classes tell null from text)."""
    names = {at: name for name, at in places.items()}
    for at, cell in enumerate(cells):
        if at not in names:
            _detach(cell)
        elif names[at] in hidden:
            tail = cell.tail
            cell.clear()
            cell.tail = tail


def _written(
    sheet: HtmlSheet, row: Row, masks: frozenset[str], asked: frozenset[RecordRef], harmless: Harmless
) -> HtmlElement:
    written = deepcopy(sheet.found[row.place])
    written.tail = "\n"
    written.attrib.clear()  # they belong to no column, so nothing says whether they may leave
    _hide(list(written), sheet.places, sheet.kind.covered(masks))
    _scrub(written, asked | {row.record}, harmless)
    return written


def _finish(place: HtmlElement, *, empty: bool, next_link: str, notice: str) -> None:
    """Put what the gate itself says at the end of the place."""
    if empty:
        _paragraph(place, "purposegate-empty").text = "No records."
    if next_link:
        link = etree.SubElement(
            _paragraph(place, "purposegate-next"), "a", {"href": next_link, "rel": "next"}
        )
        link.text = "Next page"
    if notice:
        _paragraph(place, "purposegate-notice").text = notice


def _paragraph(place: HtmlElement, name: str) -> etree._Element:
    return etree.SubElement(place, "p", {"class": name})
