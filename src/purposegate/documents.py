"""YAML policy and settings files: parsed strictly, checked against their JSON Schema, faults named by line.

YAML 1.2, no tags, no duplicate keys, UTF-8. The schemas stand in `purposegate/schemas/` and ship with the package.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from purposegate.errors import Finding, PolicyError

MAX_BYTES = 4 * 1024 * 1024
"""A policy file larger than this is a mistake or an attack; the largest real catalogue seen is 60 KiB."""

TOO_DEEP = "fewer levels, and no alias inside its own anchor"

Key = str | int


@dataclass(frozen=True, slots=True)
class Document:
    """One file, valid against its schema. `content` is its mapping; `finding` points back into it."""

    path: Path
    content: Any

    def finding(self, keys: Sequence[Key], expected: str) -> Finding:
        """A fault at the value that `keys` leads to."""
        return Finding(
            str(self.path), _line(self.content, keys), ".".join(map(str, keys)) or "(top)", expected
        )


def _line(node: Any, keys: Iterable[Key]) -> int:
    line = 0
    for key in keys:
        if not isinstance(node, CommentedMap | CommentedSeq):
            break
        try:
            line = node.lc.key(key)[0] if isinstance(node, CommentedMap) else node.lc.item(key)[0]
            node = node[key]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return int(line) + 1


@cache
def validator(schema: str) -> Draft202012Validator:
    """The validator for `purposegate/schemas/<schema>.json`."""
    text = (resources.files("purposegate") / "schemas" / f"{schema}.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _expected(error: ValidationError) -> str:
    """What the schema wanted, in one sentence, without echoing the rejected value."""
    wanted: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "required":
            return f"missing key(s) {', '.join(key for key in wanted if key not in instance)}"
        case "additionalProperties":
            known = ", ".join(sorted(schema.get("properties", {}))) or "none"
            return f"unknown key; known keys: {known}"
        case "type":
            return f"want {wanted}{_described(schema)}"
        case "enum":
            return f"want one of {', '.join(map(str, wanted))}"
        case "pattern":
            return f"want text matching {wanted}{_described(schema)}"
        case _:
            return str(schema.get("description") or f"violates {error.validator}: {wanted!r:.80}")


def _described(schema: Any) -> str:
    return f" ({schema['description']})" if "description" in schema else ""


def _places(error: ValidationError) -> list[list[Key]]:
    """Where an error's findings stand: one place, or that of each unknown key."""
    keys: list[Key] = list(error.absolute_path)
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        return [[*keys, key] for key in instance if key not in schema.get("properties", {})]
    if "propertyNames" in error.absolute_schema_path:
        return [[*keys, instance]]
    return [keys]


def parse(path: Path) -> Document:
    """Read one file, against no schema yet. Raises `PolicyError` where it is no YAML that policies are written in."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PolicyError([Finding(str(path), 1, "(file)", f"at most {MAX_BYTES} bytes")])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([Finding(str(path), 1, "(file)", f"a readable file: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([Finding(str(path), 1, "(file)", "UTF-8 text")]) from error
    parser = YAML(typ="rt", pure=True)
    try:
        return Document(path, parser.load(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError([Finding(str(path), line, "(yaml)", str(error.problem))]) from error
    except RecursionError as error:
        raise PolicyError([Finding(str(path), 1, "(yaml)", TOO_DEEP)]) from error
    except (YAMLError, ValueError, TypeError) as error:
        # ruamel raises bare ones for the date 2026-13-45 and for a key that is a list of mappings.
        raise PolicyError([Finding(str(path), 1, "(yaml)", "well-formed YAML 1.2")]) from error


def _endless(node: Any, keys: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Where `.nan` and `.inf` stand: NaN lies within every minimum and maximum of a schema, and fails no comparison."""
    if isinstance(node, float) and not math.isfinite(node):
        yield keys
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _endless(value, (*keys, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _endless(value, (*keys, place))


def read(path: Path, schema: str) -> Document:
    """Read and validate one file. Raises `PolicyError` with every fault found, each with its line."""
    return checked(parse(path), schema)


def checked(document: Document, schema: str) -> Document:
    """The document, if its schema allows all that it says. Raises `PolicyError` with every fault found, each with its line."""
    try:
        faults = list(validator(schema).iter_errors(document.content))
        endless = [document.finding(keys, "a finite number") for keys in _endless(document.content)]
    except RecursionError as error:  # an alias within its own anchor
        raise PolicyError([document.finding((), TOO_DEEP)]) from error
    if faults or endless:
        # The library reports each missing key apart, and each report here names them all: say it once.
        found = [document.finding(keys, _expected(fault)) for fault in faults for keys in _places(fault)]
        raise PolicyError(sorted(dict.fromkeys([*found, *endless]), key=lambda finding: finding.line))
    return document
