"""Whether the Cerbos policies speak of what the other files hold: purposes, relations, roles, record kinds, fields.

Cerbos compiles a policy that compares the purpose with a code nobody can declare; such a rule is dead, and where it
refuses, its refusal is. So each word that a policy compares, accepts or masks must stand where it is defined:
purposes.yaml, conflicts.yaml, records.yaml, or the `enum` of an attribute in the policies' own schemas.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from purposegate import documents
from purposegate.cli import _expressions as cel
from purposegate.decision.bundle import DEFAULT_VERSION, decides
from purposegate.documents import Document, Key
from purposegate.errors import Finding

SCHEMAS = "_schemas"
NO_CONFLICT = "none"
EVERYBODY = "*"

_EXPRESSIONS = frozenset({"expr", "ruleActivated", "conditionNotMet"})
_SPELT = {
    "purpose": "a purpose of purposes.yaml that can be declared (compare parents with purpose_family)",
    "purpose_family": "a purpose of purposes.yaml, parent or leaf",
    "conflict": "a relation of conflicts.yaml, or none",
    "roles": "a role of purposes.yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the other files define. `masks` holds, for each record kind, the words by which fields may be masked."""

    purposes: frozenset[str]
    families: frozenset[str]
    roles: frozenset[str]
    relations: frozenset[str]
    masks: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file: its one section that is not the heading, such as `resourcePolicy`."""

    document: Document
    section: str
    body: Mapping[str, Any]

    def expressions(self) -> Iterator["Expression"]:
        """Every condition, output and variable."""
        if self.section != "exportConstants":
            yield from _expressions(self.document, (self.section,), self.body)


@dataclass(frozen=True, slots=True)
class Expression:
    """One CEL expression and where it stands."""

    document: Document
    keys: tuple[Key, ...]
    text: str

    def finding(self, expected: str) -> Finding:
        """A fault in this expression."""
        return self.document.finding(self.keys, expected)


def findings(directory: Path, known: Words, records: Document) -> list[Finding]:
    """Every word of the Cerbos policies in `directory` that nothing defines, and every record kind without a policy.

    Raises `PolicyError` for a policy file that is not YAML.
    """
    policies = [
        policy for path in _files(directory) if (policy := _policy(documents.parse(path))) is not None
    ]
    words = _attribute_words(directory, known)
    variables, constants = _variables(policies), _constants(policies)
    faults = list(_without_policy(policies, known, records))
    for policy in policies:
        faults += _unknown_roles(policy, known)
        for expression in policy.expressions():
            faults += _compared(expression, words, constants)
            faults += _put_out(expression, known, variables, str(policy.body.get("resource", "")))
    return sorted(dict.fromkeys(faults))


# Cerbos' compiler says what is malformed; here a malformed part merely holds no words.
def _mapping(node: Any) -> Mapping[Any, Any]:
    return node if isinstance(node, dict) else {}


def _list(node: Any) -> Sequence[Any]:
    return node if isinstance(node, list) else ()


def _files(directory: Path) -> list[Path]:
    relative = {path: PurePosixPath(path.relative_to(directory).as_posix()) for path in directory.rglob("*")}
    return sorted(
        path
        for path, name in relative.items()
        if path.is_file() and decides(name) and name.parts[0] != SCHEMAS
    )


def _policy(document: Document) -> Policy | None:
    content = document.content
    if not isinstance(content, dict) or content.get("disabled"):
        return None
    sections = [key for key, body in content.items() if isinstance(body, dict) and key != "metadata"]
    return Policy(document, str(sections[0]), content[sections[0]]) if sections else None


def _expressions(document: Document, keys: tuple[Key, ...], node: Any) -> Iterator[Expression]:
    for key, value in (*_mapping(node).items(), *enumerate(_list(node))):
        at = (*keys, key)
        defines = keys[-1] in ("definitions", "local") and isinstance(node, dict)
        if isinstance(value, str) and (key in _EXPRESSIONS or defines):
            yield Expression(document, at, value)
        elif key != "constants":
            yield from _expressions(document, at, value)


def _variables(policies: Iterable[Policy]) -> Mapping[str, list[Expression]]:
    found: dict[str, list[Expression]] = {}
    for policy in policies:
        for expression in policy.expressions():
            if expression.keys[-1] not in _EXPRESSIONS:
                found.setdefault(str(expression.keys[-1]), []).append(expression)
    return found


def _constants(policies: Iterable[Policy]) -> Mapping[str, list[Expression]]:
    """Texts of constants, as expressions of their own so that a fault names the constant's line."""
    found: dict[str, list[Expression]] = {}
    for policy in policies:
        own: tuple[Key, ...] = (
            ("definitions",) if policy.section == "exportConstants" else ("constants", "local")
        )
        values: Any = policy.body
        for key in own:
            values = _mapping(values.get(key))
        for name, value in values.items():
            texts = value if isinstance(value, list) else [value]
            found.setdefault(str(name), []).extend(
                Expression(policy.document, (policy.section, *own, name), text)
                for text in texts
                if isinstance(text, str)
            )
    return found


def _attribute_words(directory: Path, known: Words) -> Mapping[str, frozenset[str]]:
    """For each attribute the words it can have; an attribute that any schema leaves free is not among them."""
    listed: dict[str, set[str]] = {}
    free: set[str] = set()
    for path in sorted((directory / SCHEMAS).rglob("*.json")):
        properties = _mapping(_mapping(documents.parse(path).content).get("properties"))
        for name, schema in ((name, _mapping(schema)) for name, schema in properties.items()):
            words = _list(schema.get("enum")) or _list(_mapping(schema.get("items")).get("enum"))
            listed.setdefault(str(name), set()).update(map(str, words))
            if not words:
                free.add(str(name))
    return {name: frozenset(words) for name, words in listed.items() if name not in free} | {
        "purpose": known.purposes,
        "purpose_family": known.families,
        "conflict": known.relations | {NO_CONFLICT},
        "roles": known.roles,
    }


def _compared(
    expression: Expression, words: Mapping[str, frozenset[str]], constants: Mapping[str, list[Expression]]
) -> Iterator[Finding]:
    """Words compared with an attribute that can never have them."""
    for term in cel.terms(cel.tokens(expression.text)):
        if not term.attributes or not term.attributes <= words.keys():
            continue
        can_be = frozenset[str]().union(*(words[name] for name in term.attributes))
        expected = " or ".join(
            _SPELT.get(name, f"one of {', '.join(sorted(words[name]))}") for name in sorted(term.attributes)
        )
        if not can_be.issuperset(term.strings):
            yield expression.finding(expected)
        for constant in (named for name in term.constants for named in constants.get(name, ())):
            if constant.text not in can_be:
                yield constant.finding(expected)


def _put_out(
    expression: Expression, known: Words, variables: Mapping[str, list[Expression]], kind: str
) -> Iterator[Finding]:
    """Relations accepted and fields masked that do not exist."""
    if expression.keys[-1] not in _EXPRESSIONS - {"expr"}:
        return
    masks = known.masks.get(kind, frozenset())
    put_out = cel.outputs(expression.text)
    for key, can_be, expected in (
        ("accepts", known.relations, "relations of conflicts.yaml"),
        ("mask", masks, f"columns or masks of {kind} in records.yaml: {', '.join(sorted(masks)) or 'none'}"),
    ):
        for place, text in _listed(expression, put_out.get(key, ()), variables, frozenset()):
            if text not in can_be:
                yield place.finding(f"{key}: {expected}")


def _listed(
    place: Expression,
    tokens: Sequence[cel.Token],
    variables: Mapping[str, list[Expression]],
    seen: frozenset[str],
) -> Iterator[tuple[Expression, str]]:
    """Texts that stand in lists, there or in the variables named there."""
    for term in cel.terms(tokens):
        if not term.attributes:
            yield from ((place, text) for text in term.listed)
        for name in term.variables - seen:
            for variable in variables.get(name, ()):
                yield from _listed(variable, cel.tokens(variable.text), variables, seen | {name})


def _unknown_roles(policy: Policy, known: Words) -> Iterator[Finding]:
    at, key = ("definitions", "parentRoles") if policy.section == "derivedRoles" else ("rules", "roles")
    expected = f"a role of purposes.yaml: {', '.join(sorted(known.roles))}"
    for place, node in enumerate(_list(policy.body.get(at))):
        for number, role in enumerate(_list(_mapping(node).get(key))):
            if role != EVERYBODY and role not in known.roles:
                yield policy.document.finding((policy.section, at, place, key, number), expected)


def _without_policy(policies: Iterable[Policy], known: Words, records: Document) -> Iterator[Finding]:
    served = {
        policy.body.get("resource")
        for policy in policies
        if policy.section == "resourcePolicy"
        and policy.body.get("version", DEFAULT_VERSION) == DEFAULT_VERSION
    }
    for kind in known.masks:
        if kind not in served:
            expected = (
                f"a resource policy for {kind} among the Cerbos policies; without one every lookup is refused"
            )
            yield records.finding(("kinds", kind), expected)
