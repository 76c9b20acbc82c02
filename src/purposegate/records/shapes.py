"""The `response` and `parameters` of one route of records.yaml."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from purposegate.documents import Key
from purposegate.records.faults import Faults
from purposegate.records.html_sheet import HtmlShape, Selector
from purposegate.records.json_sheet import JsonShape
from purposegate.records.parameters import Kind, Parameter, Parameters
from purposegate.records.rows import RecordKind

_NOTHING = Selector("*:not(*)")
_SELECTOR = "want a CSS selector"


def read_shape(
    spec: Mapping[str, Any], kind: RecordKind, keys: Sequence[Key], faults: Faults
) -> JsonShape | HtmlShape:
    """What the answer's parts are; faults are noted, not raised."""
    if spec["format"] == "html":
        return _html(spec, kind, keys, faults)
    rows, columns, following = (
        str(spec.get(name, "")).removeprefix("$.") for name in ("rows", "columns", "next")
    )
    shape = JsonShape(
        rows=rows,
        columns=columns,
        next=following,
        keep=frozenset(map(str, spec.get("keep", ()))),
        notice=str(spec.get("notice", "")),
    )
    if shape.keep & {rows, columns, following, shape.notice}:
        faults.add(
            (*keys, "keep"),
            "want no member that stands elsewhere: rows, columns, next and notice are written anyway",
        )
    if shape.notice and shape.notice in {rows, columns, following}:
        faults.add((*keys, "notice"), "want a member of its own")
    return shape


def _html(spec: Mapping[str, Any], kind: RecordKind, keys: Sequence[Key], faults: Faults) -> HtmlShape:
    def one(name: str) -> Selector:
        return faults.compiled(Selector, str(spec[name]), (*keys, name), _SELECTOR) or _NOTHING

    def many(name: str) -> tuple[Selector, ...]:
        texts = enumerate(map(str, spec.get(name, ())))
        found = (faults.compiled(Selector, text, (*keys, name, at), _SELECTOR) for at, text in texts)
        return tuple(selector for selector in found if selector is not None)

    cell = str(spec["cells"])
    cells = {
        column: faults.compiled(Selector, cell.replace("{column}", column), (*keys, "cells"), _SELECTOR)
        or _NOTHING
        for column in kind.columns
    }
    following = spec.get("next")
    link = (
        faults.compiled(Selector, str(following["link"]), (*keys, "next", "link"), _SELECTOR)
        if following
        else None
    )
    return HtmlShape(
        container=one("container"),
        rows=one("rows"),
        heads=one("heads"),
        cells=cells,
        place=one("place"),
        next=link,
        next_parameter=str(following["parameter"]) if following else "",
        keep=many("keep"),
        remove=many("remove"),
    )


def read_parameters(
    specs: Sequence[Mapping[str, Any]],
    always: Mapping[str, str],
    kind: RecordKind,
    keys: Sequence[Key],
    faults: Faults,
) -> Parameters:
    """The parameters a route takes; faults are noted, not raised."""
    listed: list[Parameter] = []
    for at, spec in enumerate(specs):
        here = (*keys, "parameters", at)
        found = list(_parameters(spec, kind))
        for parameter in found:
            faults.known(filter(None, parameter.fields), kind.columns, here)
            if parameter.name in {other.name for other in listed}:
                faults.add(here, f"{parameter.name} stands twice")
        if found[0].kind in {Kind.PAGE, Kind.SIZE} and found[0].kind in {other.kind for other in listed}:
            faults.add(here, f"want one parameter of the kind {found[0].kind} at most")
        if found[0].default and int(found[0].default) > found[0].maximum:
            faults.add((*here, "default"), "want at most the maximum")
        listed.extend(found)
    parameters = Parameters(
        listed=tuple(listed), always=tuple((str(name), str(value)) for name, value in always.items())
    )
    for name in always:
        clash = parameters.named(str(name))
        if clash is not None and clash.kind is not Kind.IGNORED:
            faults.add((*keys, "always", name), "want no parameter that a client may also give a meaning to")
    return parameters


def _parameters(spec: Mapping[str, Any], kind: RecordKind) -> Iterator[Parameter]:
    """What one item of `parameters` stands for: `criteria` for one parameter per field and operator, the rest for one."""
    fields = tuple(map(str, spec.get("fields", kind.columns)))
    if spec["kind"] == "criteria":
        for field in fields:
            for operator in map(str, spec["operators"]):
                yield Parameter(
                    name=f"{spec.get('prefix', '')}{field}{operator}",
                    kind=Kind.CRITERION,
                    fields=(field,),
                    operator=operator.strip("_"),
                    values=frozenset(map(str, spec.get("values", ()))),
                    repeatable=bool(spec.get("repeatable", False)),
                )
        return
    sort = Kind(str(spec["kind"]))
    yield Parameter(
        name=str(spec["name"]),
        kind=sort,
        fields=fields if sort in {Kind.TEXT, Kind.NAMES} else (),
        values=frozenset(map(str, spec.get("values", ()))),
        maximum=int(spec.get("maximum", 0)),
        default=str(spec.get("default", "")),
    )
