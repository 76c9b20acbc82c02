"""Cerbos policy files as a linter sees them: each document with its lines, its rules and its expressions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from purposegate.decision.cel import Token, tokens
from purposegate.documents import Document, Key
from purposegate.errors import Finding

KINDS = (
    "resourcePolicy",
    "principalPolicy",
    "rolePolicy",
    "derivedRoles",
    "exportVariables",
    "exportConstants",
)

Keys = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """One CEL expression and the keys that lead to it."""

    keys: Keys
    stream: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One policy document. `body` is what stands under its `kind`."""

    document: Document
    kind: str
    body: Mapping[str, Any]
    expressions: tuple[Expression, ...] = field(default=())

    def finding(self, keys: Keys, expected: str) -> Finding:
        """A fault at the value that `keys` leads to."""
        return self.document.finding(keys, expected)

    def rules(self) -> Iterator[tuple[Keys, Mapping[str, Any]]]:
        """Each rule of the body with the keys that lead to it."""
        rules = self.body.get("rules")
        for place, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, Mapping):
                yield (self.kind, "rules", place), rule

    def imports(self) -> Iterator[tuple[str, str]]:
        """(kind, name) of every document this one imports."""
        for name in self.body.get("importDerivedRoles") or ():
            yield "derivedRoles", str(name)
        for section, kind in (("variables", "exportVariables"), ("constants", "exportConstants")):
            part = self.body.get(section)
            for name in (part.get("import") or ()) if isinstance(part, Mapping) else ():
                yield kind, str(name)


def _is_expression(keys: Keys) -> bool:
    """Whether the value under these keys is CEL: conditions, outputs and variables are; constants are plain values."""
    if keys[-1] in {"expr", "ruleActivated", "conditionNotMet"}:
        return True
    parent = keys[:-1]
    return parent[-2:] == ("variables", "local") or parent in {
        ("exportVariables", "definitions"),
        ("variables",),
    }


def _texts(node: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, (*keys, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _texts(value, (*keys, place))
    elif isinstance(node, str) and keys and _is_expression(keys):
        yield keys, node


def read(path: Path, content: bytes) -> tuple[Sheet | None, list[Finding]]:
    """One policy file, with the faults that keep it or its expressions from being read."""
    try:
        parsed = YAML(typ="rt", pure=True).load(content.decode("utf-8"))
    except UnicodeDecodeError:
        return None, [Finding(str(path), 1, "(file)", "UTF-8 text")]
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return None, [Finding(str(path), line, "(yaml)", str(error.problem or "well-formed YAML"))]
    except YAMLError:
        return None, [Finding(str(path), 1, "(yaml)", "one well-formed YAML document")]
    document = Document(path, parsed)
    kind = next(
        (kind for kind in KINDS if isinstance(parsed, Mapping) and isinstance(parsed.get(kind), Mapping)), ""
    )
    if not kind:
        return None, [document.finding((), f"one of {', '.join(KINDS)}")]
    expressions: list[Expression] = []
    faults: list[Finding] = []
    for keys, text in _texts(parsed, ()):
        try:
            expressions.append(Expression(keys, tokens(text)))
        except ValueError as error:
            faults.append(document.finding(keys, f"a CEL expression: {error}"))
    return Sheet(document, kind, parsed[kind], tuple(expressions)), faults
