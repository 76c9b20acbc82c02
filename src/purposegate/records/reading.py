"""records.yaml into routes, doors and open places; what its schema cannot see is checked here, each fault at its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purposegate.documents import Key, read
from purposegate.errors import RouteRefused
from purposegate.model import Action
from purposegate.records.faults import Faults
from purposegate.records.html_sheet import HtmlShape
from purposegate.records.json_sheet import JsonShape
from purposegate.records.kinds import read_kind
from purposegate.records.parameters import Kind
from purposegate.records.paths import canonical_path, decoded_path
from purposegate.records.routes import ID, METHODS_WITHOUT_BODY, Door, Open, Route, Template
from purposegate.records.rows import RecordKind
from purposegate.records.shapes import read_parameters, read_shape

DEFAULT_CAP_BYTES = 8 * 1024 * 1024
"""Design section 4: the largest answer the gate holds unless a route says otherwise."""
DEFAULT_PROTECTED = "/"

NEVER_RELEASED = frozenset(
    {
        b"location",
        b"content-location",
        b"link",
        b"refresh",
        b"set-cookie",
        b"etag",
        b"last-modified",
        b"digest",
    }
    | {
        b"content-digest",
        b"repr-digest",
        b"content-md5",
        b"content-length",
        b"content-type",
        b"content-encoding",
    }
    | {
        b"transfer-encoding",
        b"content-range",
        b"accept-ranges",
        b"cache-control",
        b"expires",
        b"age",
        b"trailer",
    }
)
"""Headers that name records, tell one answer from another, or describe a body that the gate has written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that records.yaml says."""

    protected: str
    kinds: Mapping[str, RecordKind]
    open: tuple[Open, ...]
    doors: tuple[Door, ...]
    routes: tuple[Route, ...]


def read_contents(path: Path) -> Contents:
    """Read, validate and cross-check one file. Raises `PolicyError` with every fault found."""
    document = read(path, "records")
    top = document.content
    faults = Faults(document)
    kinds = {str(name): read_kind(str(name), spec, faults) for name, spec in top["kinds"].items()}
    faults.settle()  # routes are only worth reading against kinds that stand
    found = (_route(spec, kinds, ("routes", at), faults) for at, spec in enumerate(top["routes"]))
    contents = Contents(
        protected=str(top.get("protected", DEFAULT_PROTECTED)),
        kinds=kinds,
        open=tuple(_open(spec, ("open", at), faults) for at, spec in enumerate(top.get("open", ()))),
        doors=tuple(map(_door, top.get("refused", ()))),
        routes=tuple(route for route in found if route is not None),
    )
    _check_names(top, faults)
    for at, route in enumerate(contents.routes):
        _check_doors(route, contents.doors, ("routes", at), faults)
    faults.settle()
    return contents


def _is_canonical(path: str) -> bool:
    raw = path.encode("ascii", errors="replace")
    try:
        return canonical_path(raw, decoded_path(path)) == path
    except (RouteRefused, UnicodeEncodeError):
        return False


def _open(spec: Mapping[str, Any], keys: Sequence[Key], faults: Faults) -> Open:
    path = str(spec["path"])
    if not _is_canonical(path):
        faults.add((*keys, "path"), "want a path in its plain form, percent-encoded only where needed")
    return Open(methods=frozenset(map(str, spec["methods"])), path=path, any_query=spec.get("query") == "any")


def _door(spec: Mapping[str, Any]) -> Door:
    return Door(
        name=str(spec["name"]),
        paths=tuple(map(str, spec.get("paths", ()))),
        parameters=tuple(map(str, spec.get("parameters", ()))),
    )


def _route(
    spec: Mapping[str, Any], kinds: Mapping[str, RecordKind], keys: Sequence[Key], faults: Faults
) -> Route | None:
    kind = kinds.get(str(spec["kind"]))
    if kind is None:
        faults.add((*keys, "kind"), f"want one of {', '.join(kinds)}")
        return None
    response = spec.get("response")
    route = Route(
        name=str(spec["name"]),
        methods=frozenset(map(str, spec["methods"])),
        template=Template(str(spec["path"])),
        action=Action(str(spec["action"])),
        kind=kind,
        parameters=read_parameters(spec.get("parameters", ()), spec.get("always", {}), kind, keys, faults),
        shape=read_shape(response, kind, (*keys, "response"), faults) if response else None,
        cap_bytes=int(spec.get("cap_bytes", DEFAULT_CAP_BYTES)),
        headers=frozenset(str(name).encode() for name in spec.get("headers", ())),
    )
    _check_route(route, judged=bool(spec.get("judged", True)), keys=keys, faults=faults)
    return route


def _check_route(route: Route, *, judged: bool, keys: Sequence[Key], faults: Faults) -> None:
    """Note what makes a route unsafe or unusable."""
    if not _is_canonical(route.template.text.replace(ID, "x")) or route.template.text.count(ID) > 1:
        faults.add((*keys, "path"), "want a path in its plain form, with {id} at most once")
    if route.action is Action.VIEW and not route.template.has_id:
        faults.add((*keys, "path"), "want {id}: a view is of one record")
    if route.action is Action.SEARCH and route.template.has_id:
        faults.add((*keys, "path"), "want no {id}: a search names no record")
    if not route.methods <= METHODS_WITHOUT_BODY and route.action not in {Action.EDIT, Action.EXPORT}:
        faults.add(
            (*keys, "methods"), "want GET alone: the body of another method is read for edit and export only"
        )
    for name in sorted(route.headers & NEVER_RELEASED):
        faults.add((*keys, "headers"), f"want no {name.decode()}: it tells of rows or describes another body")
    if not judged and route.action is not Action.EXPORT:
        faults.add((*keys, "judged"), "want true: only an export may go unjudged")
    if judged is (route.shape is None):
        faults.add((*keys, "response"), "want a response exactly where the answer is judged")
    if route.action is Action.SEARCH:
        _check_list(route, keys, faults)


def _check_list(route: Route, keys: Sequence[Key], faults: Faults) -> None:
    page = route.parameters.of_kind(Kind.PAGE)
    match route.shape:
        case JsonShape(next=following, notice=notice):
            if not notice:
                faults.add((*keys, "response"), "want notice: every search answer carries the same sentence")
            has_next = bool(following)
        case HtmlShape(next=link, next_parameter=name):
            has_next = link is not None
            if page is not None and has_next and page.name != name:
                faults.add(
                    (*keys, "response", "next", "parameter"), f"want {page.name}, the route's page parameter"
                )
        case _:
            return
    if has_next is (page is None):
        faults.add((*keys, "response"), "want next and a parameter of the kind page, or neither")


def _check_names(top: Mapping[str, Any], faults: Faults) -> None:
    for section in ("refused", "routes"):
        names: set[str] = set()
        for at, spec in enumerate(top.get(section, ())):
            if spec["name"] in names:
                faults.add((section, at, "name"), "want a name that is not taken")
            names.add(spec["name"])


def _check_doors(route: Route, doors: Sequence[Door], keys: Sequence[Key], faults: Faults) -> None:
    """Note a route or parameter that a refused door would shut: the author meant one or the other."""
    path = route.template.text.replace(ID, "x")
    for door in doors:
        if door.covers(path, ()):
            faults.add((*keys, "path"), f"the refused door {door.name} shuts this path")
        for parameter in route.parameters.listed:
            if door.parameters and door.covers(path, ((parameter.name, ""),)):
                faults.add((*keys, "parameters"), f"the refused door {door.name} shuts {parameter.name}")
