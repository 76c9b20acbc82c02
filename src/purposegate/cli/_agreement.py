"""Whether the Cerbos policies speak of what the other files hold: purposes, relations, roles, record kinds, fields.

Cerbos compiles a policy that compares the purpose with a code nobody can declare; such a rule is dead, and where it
refuses, its refusal is. So each word that a policy compares, accepts or masks must stand where it is defined:
purposes.yaml, conflicts.yaml or records.yaml. (Words that the policies' own schemas list are the linter's.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purposegate.cli._terms import terms
from purposegate.decision import bundle as bundles
from purposegate.decision import cel, sheets
from purposegate.decision.sheets import Expression, Keys, Sheet
from purposegate.decision.vocabulary import RESOURCE
from purposegate.documents import Document
from purposegate.errors import Finding

SCHEMAS = "_schemas/"
NO_CONFLICT = "none"
EVERYBODY = "*"
OUTPUTS = frozenset({"ruleActivated", "conditionNotMet"})

_SPELT = {
    "purpose": "a purpose of purposes.yaml that can be declared (compare parents with purpose_family)",
    "purpose_family": "a purpose of purposes.yaml, parent or leaf",
    "conflict": "a relation of conflicts.yaml, or none",
    "roles": "a role of purposes.yaml",
    "kind": "a record kind of records.yaml",
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
class Place:
    """A word, or a list of them, and where it stands."""

    sheet: Sheet
    keys: Keys
    stream: tuple[cel.Token, ...]

    def finding(self, expected: str) -> Finding:
        """A fault there."""
        return self.sheet.finding(self.keys, expected)


def findings(directory: Path, known: Words, records: Document) -> list[Finding]:
    """Every word of the Cerbos policies in `directory` that nothing defines, and records without a policy.

    What cannot be read is left out: the linter and Cerbos' compiler name it. Raises `PolicyError` for no directory.
    """
    files = bundles.read_files(directory)
    read = (
        sheets.read(directory / path, text)[0] for path, text in files.items() if not path.startswith(SCHEMAS)
    )
    policies = [sheet for sheet in read if sheet is not None and not sheet.document.content.get("disabled")]
    variables, constants = _variables(policies), _constants(policies)
    faults = list(_without_policy(policies, records))
    for sheet in policies:
        faults += _unknown_roles(sheet, known)
        for expression in sheet.expressions:
            place = Place(sheet, expression.keys, expression.stream)
            faults += _compared(place, known, constants)
            if expression.keys[-1] in OUTPUTS:
                faults += _put_out(place, known, variables)
    return list(dict.fromkeys(faults))


# Cerbos' compiler says what is malformed; here a malformed part merely holds no words.
def _mapping(node: Any) -> Mapping[Any, Any]:
    return node if isinstance(node, Mapping) else {}


def _list(node: Any) -> Sequence[Any]:
    return node if isinstance(node, list) else ()


def _is_variable(expression: Expression) -> bool:
    return expression.keys[-1] not in OUTPUTS | {"expr"}


def _variables(policies: Iterable[Sheet]) -> Mapping[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for sheet in policies:
        for expression in filter(_is_variable, sheet.expressions):
            place = Place(sheet, expression.keys, expression.stream)
            found.setdefault(str(expression.keys[-1]), []).append(place)
    return found


def _constants(policies: Iterable[Sheet]) -> Mapping[str, list[Place]]:
    """The words of constants, each as a place of its own, so that a fault names the constant's line."""
    found: dict[str, list[Place]] = {}
    for sheet in policies:
        exported = sheet.kind == "exportConstants"
        own = ("definitions",) if exported else ("constants", "local")
        values: Any = sheet.body
        for key in own:
            values = _mapping(_mapping(values).get(key))
        for name, value in values.items():
            for text in _list(value) or (value,):
                if isinstance(text, str):
                    word = (cel.Token(cel.Kind.TEXT, text),)
                    found.setdefault(str(name), []).append(Place(sheet, (sheet.kind, *own, name), word))
    return found


def _compared(place: Place, known: Words, constants: Mapping[str, list[Place]]) -> Iterator[Finding]:
    """Words compared with an attribute that can never have them."""
    can_be = {
        "purpose": known.purposes,
        "purpose_family": known.families,
        "conflict": known.relations | {NO_CONFLICT},
        "roles": known.roles,
        "kind": frozenset(known.masks),
    }
    for term in terms(place.stream):
        # Other attributes have their words in the policies' own schemas, which the linter compares.
        if not term.attributes or not term.attributes <= can_be.keys():
            continue
        words = frozenset[str]().union(*(can_be[name] for name in term.attributes))
        expected = "; ".join(f"{name}: {_SPELT[name]}" for name in sorted(term.attributes))
        if not words.issuperset(term.words):
            yield place.finding(expected)
        for constant in (each for name in term.constants for each in constants.get(name, ())):
            if constant.stream[0].text not in words:
                yield constant.finding(expected)


def _put_out(output: Place, known: Words, variables: Mapping[str, list[Place]]) -> Iterator[Finding]:
    """Relations accepted and fields masked that do not exist."""
    masks = frozenset[str]().union(*known.masks.values())
    for key, can_be, expected in (
        ("accepts", known.relations, "relations of conflicts.yaml"),
        ("mask", masks, f"columns or masks of a kind in records.yaml: {', '.join(sorted(masks)) or 'none'}"),
    ):
        for entries in cel.maps(output.stream):
            value = Place(output.sheet, output.keys, entries.get(key, ()))
            for place, word in _listed(value, variables, frozenset()):
                if word not in can_be:
                    yield place.finding(f"{key}: {expected}")


def _listed(
    place: Place, variables: Mapping[str, list[Place]], seen: frozenset[str]
) -> Iterator[tuple[Place, str]]:
    """Words that stand in lists, there or in the variables named there."""
    for term in terms(place.stream):
        if not term.attributes:
            yield from ((place, word) for word in term.listed)
        for name in term.variables - seen:
            for variable in variables.get(name, ()):
                yield from _listed(variable, variables, seen | {name})


def _unknown_roles(sheet: Sheet, known: Words) -> Iterator[Finding]:
    at, key = ("definitions", "parentRoles") if sheet.kind == "derivedRoles" else ("rules", "roles")
    expected = f"a role of purposes.yaml: {', '.join(sorted(known.roles))}"
    for place, node in enumerate(_list(sheet.body.get(at))):
        for number, role in enumerate(_list(_mapping(node).get(key))):
            if role != EVERYBODY and role not in known.roles:
                yield sheet.finding((sheet.kind, at, place, key, number), expected)


def _without_policy(policies: Iterable[Sheet], records: Document) -> Iterator[Finding]:
    if not any(
        sheet.body.get("resource") == RESOURCE for sheet in policies if sheet.kind == "resourcePolicy"
    ):
        expected = (
            f"a policy for the resource `{RESOURCE}` among the Cerbos policies; without one all is refused"
        )
        yield records.finding(("kinds",), expected)
