"""Whether each policy's schemas require what it reads, and know the words it compares with."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purposegate.decision import cel
from purposegate.decision.sheets import Expression, Sheet
from purposegate.errors import Finding

_SCHEME = "cerbos:///"
_SIDES = {"principal": "principalSchema", "record": "resourceSchema"}

Reads = Callable[[Expression], Iterable[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Required:
    """One schema of one policy: which attributes it requires, and the closed lists of words among them."""

    name: str
    required: frozenset[str]
    words: Mapping[str, frozenset[str]]


def _schema(sheet: Sheet, side: str, files: Mapping[str, bytes]) -> Required | str:
    """The schema of one side, or what is wrong with it."""
    schemas = sheet.body.get("schemas")
    entry = schemas.get(_SIDES[side]) if isinstance(schemas, Mapping) else None
    ref = str(entry.get("ref", "")) if isinstance(entry, Mapping) else ""
    name = "_schemas/" + ref.removeprefix(_SCHEME)
    if not ref.startswith(_SCHEME) or name not in files:
        return f"want schemas.{_SIDES[side]}.ref: a file below _schemas, as cerbos:///NAME.json"
    try:
        schema = json.loads(files[name])
    except ValueError:
        return f"want JSON in {name}"
    if not isinstance(schema, dict) or not isinstance(schema.get("required", []), list):
        return f"want a schema of an object in {name}"
    properties = schema.get("properties")
    enums = {
        key: frozenset(map(str, words))
        for key, value in (properties if isinstance(properties, dict) else {}).items()
        if isinstance(words := _closed(value), list)
    }
    return Required(name, frozenset(map(str, schema.get("required", []))), enums)


def _closed(value: Any) -> Any:
    """The closed list of words of a property, or of the items of a list."""
    items = value.get("items") if isinstance(value, dict) else None
    one = items if isinstance(items, dict) else value
    return one.get("enum") if isinstance(one, dict) else None


def _with_imports(sheet: Sheet, sheets: Sequence[Sheet]) -> list[Sheet]:
    """The document and all it imports, however deep."""
    by_name = {(other.kind, str(other.body.get("name"))): other for other in sheets}
    seen = [sheet]
    for one in seen:  # grows while it is walked
        for key in one.imports():
            imported = by_name.get(key)
            if imported is not None and not any(imported is other for other in seen):
                seen.append(imported)
    return seen


def _compared(expression: Expression) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """(name read, words it is compared with) for each comparison of an attribute with literals."""
    stream = expression.stream
    for path in cel.paths(stream):
        following = [token.text for token in stream[path.end : path.end + 2]]
        if following[:1] in (["=="], ["!="]) and path.end + 1 < len(stream):
            word = stream[path.end + 1]
        elif path.start >= 2 and stream[path.start - 1].text in {"==", "!=", "in"}:  # noqa: PLR2004 - sign and word before
            word = stream[path.start - 2]
        elif following == ["in", "["]:
            yield path.parts, tuple(_listed(stream[path.end + 2 :]))
            continue
        else:
            continue
        if word.kind is cel.Kind.TEXT:
            yield path.parts, (word.text,)


def _listed(stream: Sequence[cel.Token]) -> Iterator[str]:
    for token in stream:
        if token.kind is cel.Kind.SIGN and token.text == "]":
            return
        if token.kind is cel.Kind.TEXT:
            yield token.text


def _word_faults(one: Sheet, schema: Required, side: str, reads: Reads) -> Iterator[Finding]:
    for expression in one.expressions:
        known = {attribute for whose, attribute in reads(expression) if whose == side}
        for parts, words in _compared(expression):
            enum = schema.words.get(parts[-1])
            letter = {"principal": ("P", "principal"), "record": ("R", "resource")}[side]
            if enum is None or parts[-1] not in known or "attr" not in parts or parts[-3] not in letter:
                continue
            for word in words:
                if word not in enum:
                    expected = (
                        f"{'.'.join(parts)} is never that word; {schema.name} knows {', '.join(sorted(enum))}"
                    )
                    yield one.finding(expression.keys, expected)


def schema_findings(sheets: Sequence[Sheet], files: Mapping[str, bytes], reads: Reads) -> Iterator[Finding]:
    """Attributes that a schema does not require, words that it cannot hold, policies without schemas.

    An attribute that may be missing makes the condition that reads it err; strict evaluation then denies, and a schema
    that requires it says so before any rule is weighed.
    """
    told: set[tuple[Any, ...]] = set()
    for sheet in sheets:
        if sheet.kind != "resourcePolicy":
            continue
        parts = _with_imports(sheet, sheets)
        for side in _SIDES:
            schema = _schema(sheet, side, files)
            if isinstance(schema, str):
                yield sheet.finding((sheet.kind, "schemas"), schema)
                continue
            found = [*_unrequired(parts, schema, side, reads)]
            found += [fault for one in parts for fault in _word_faults(one, schema, side, reads)]
            for fault in found:
                if fault not in told:
                    told.add(fault)
                    yield fault


def _unrequired(parts: Sequence[Sheet], schema: Required, side: str, reads: Reads) -> Iterator[Finding]:
    for one in parts:
        for expression in one.expressions:
            for whose, attribute in reads(expression):
                if whose == side and attribute not in schema.required:
                    yield one.finding(expression.keys, f"{attribute}: not in `required` of {schema.name}")
