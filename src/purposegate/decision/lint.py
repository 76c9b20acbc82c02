"""What a Cerbos policy may not do here, though Cerbos would take it: each rule keeps a law or a trap shut.

Policies read a closed vocabulary of words (design section 7), so that what decides is visible, testable and the same at
every hour; and they are written so that one more role, one missing attribute or one losing rule cannot let a record out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from purposegate.decision import bundle as bundles
from purposegate.decision import cel
from purposegate.decision.lint_schemas import schema_findings
from purposegate.decision.purity import calls_clock
from purposegate.decision.sheets import Expression, Sheet, read
from purposegate.decision.vocabulary import (
    ACTIONS,
    OBLIGATIONS,
    OUTPUT_KEYS,
    PRINCIPAL_ATTRS,
    RECORD_ATTRS,
    RESOURCE,
)
from purposegate.errors import Finding, PolicyError

_ROOTS = {
    ("P",): "principal",
    ("request", "principal"): "principal",
    ("R",): "record",
    ("request", "resource"): "record",
}
_ATTRS = {"principal": PRINCIPAL_ATTRS, "record": RECORD_ATTRS}
_PLAIN = {"principal": frozenset({"roles"}), "record": frozenset[str]()}
_OUTSIDE = frozenset({"request", "runtime", "globals", "G", "auxData", "aux_data"})
_AROUND_EQUALITY = frozenset({"", "&&", "||", "(", ")", "?", ":", ",", "[", "]", "{", "}", "!"})


def _rooted(path: cel.Path) -> tuple[str, tuple[str, ...]] | None:
    """(whose attributes, the rest of the name) where a path reads the principal or the record."""
    for root, whose in _ROOTS.items():
        if path.parts[: len(root)] == root:
            return whose, path.parts[len(root) :]
    return None


def attributes(expression: Expression) -> Iterator[tuple[str, str]]:
    """(`principal` or `record`, attribute) of every attribute of the vocabulary an expression reads by name."""
    for path in cel.paths(expression.stream):
        whose, rest = _rooted(path) or ("", ())
        if rest[:1] == ("attr",) and len(rest) > 1 and rest[1] in _ATTRS[whose]:
            yield whose, rest[1]


def _equality_alone(stream: tuple[cel.Token, ...], path: cel.Path) -> bool:
    """Whether the whole of one side of `==` or `!=` is the path, so that it is compared and nothing else."""
    before = stream[path.start - 1].text if path.start else ""
    after = stream[path.end].text if path.end < len(stream) else ""
    if after in {"==", "!="}:
        return before in _AROUND_EQUALITY
    return before in {"==", "!="} and after in _AROUND_EQUALITY


def _name(path: cel.Path) -> str:
    return ".".join(path.parts)


def _read_fault(path: cel.Path, stream: tuple[cel.Token, ...]) -> str:
    """What is wrong with one name that an expression reads; empty where nothing is."""
    rooted = _rooted(path)
    if rooted is None:
        return f"{_name(path)}: nothing outside the vocabulary is read" if path.parts[0] in _OUTSIDE else ""
    whose, rest = rooted
    if (whose, rest) == ("record", ("kind",)):
        return f"{_name(path)}: always `{RESOURCE}`; read R.attr.kind"
    if rest == ("id",):
        return (
            "" if _equality_alone(stream, path) else f"{_name(path)}: an id is only compared, with == or !="
        )
    if len(rest) == 1 and rest[0] in _PLAIN[whose]:
        return ""
    if rest[:1] == ("attr",) and len(rest) > 1:
        known = _ATTRS[whose]
        unknown = f"{_name(path)}: not in the vocabulary; known: {', '.join(sorted(known))}"
        return "" if rest[1] in known else unknown
    return f"{_name(path)}: want one attribute of the vocabulary, by its name"


def reading(sheet: Sheet) -> Iterator[Finding]:
    """No clock, no ids but for equality, nothing outside the vocabulary."""
    for expression in sheet.expressions:
        for place, token in enumerate(expression.stream):
            if calls_clock(expression.stream, place):
                yield sheet.finding(expression.keys, f"{token.text}(): no policy reads the clock")
        for path in cel.paths(expression.stream):
            fault = _read_fault(path, expression.stream)
            if fault:
                yield sheet.finding(expression.keys, fault)


def shape(sheet: Sheet) -> Iterator[Finding]:
    """No policies that decide past the resource policies, and none that no question reaches."""
    if sheet.kind == "principalPolicy":
        yield sheet.finding((sheet.kind,), "no principal policies: their allow beats every deny rule")
    if sheet.kind == "rolePolicy":
        yield sheet.finding((sheet.kind,), "no role policies: what they narrow, a second role undoes")
    if sheet.kind != "resourcePolicy":
        return
    if sheet.body.get("scope"):
        yield sheet.finding((sheet.kind, "scope"), "no scope: questions carry none")
    if str(sheet.body.get("version")) != bundles.DEFAULT_VERSION:
        yield sheet.finding((sheet.kind, "version"), "want `default`: questions ask for no other")
    if sheet.body.get("resource") != RESOURCE:
        expected = (
            f"want `{RESOURCE}`: questions are about no other resource; a rule for one kind reads R.attr.kind"
        )
        yield sheet.finding((sheet.kind, "resource"), expected)
    for keys, rule in sheet.rules():
        for place, action in enumerate(rule.get("actions") or ()):
            if action != "*" and action not in ACTIONS:
                known = ", ".join(sorted(ACTIONS))
                yield sheet.finding((*keys, "actions", place), f"want one of {known}, or *")


def _for_everybody(rule: Mapping[str, Any], everybody: frozenset[str]) -> bool:
    derived = rule.get("derivedRoles") or ()
    return "*" in (rule.get("roles") or ()) or (bool(derived) and all(name in everybody for name in derived))


def roles(sheet: Sheet, everybody: frozenset[str]) -> Iterator[Finding]:
    """Deny rules and rules with outputs hold for every role. `everybody` are derived roles that any role can have.

    Cerbos weighs role by role and stops at the first that allows: a deny on one role is undone by another, and an output
    for a later role is never given.
    """
    for keys, rule in sheet.rules():
        if rule.get("effect") == "EFFECT_DENY" and list(rule.get("roles") or ()) != ["*"]:
            yield sheet.finding(
                (*keys, "effect"), 'a deny rule wants roles: ["*"]: another role would undo it'
            )
        if rule.get("output") and not _for_everybody(rule, everybody):
            expected = (
                'a rule with an output wants roles: ["*"], or derived roles of it: another role would hide it'
            )
            yield sheet.finding((*keys, "output"), expected)


def _words(value: tuple[cel.Token, ...]) -> tuple[str, ...] | None:
    """The words of a list literal of strings; None for any other expression."""
    if len(value) < 2 or (value[0].text, value[-1].text) != ("[", "]"):  # noqa: PLR2004 - both brackets
        return None
    inner = value[1:-1]
    texts = inner[::2]
    commas = all(token.kind is cel.Kind.SIGN and token.text == "," for token in inner[1::2])
    if not commas or not all(token.kind is cel.Kind.TEXT for token in texts):
        return None
    return tuple(token.text for token in texts)


def _output_faults(found: Mapping[str, tuple[cel.Token, ...]], *, may_accept: bool) -> Iterator[str]:
    known = ", ".join(sorted(OUTPUT_KEYS))
    for key in found.keys() - OUTPUT_KEYS:
        yield f"{key or '(computed key)'}: unknown key of an output; known: {known}"
    if "accepts" in found and not may_accept:
        yield "accepts: counts only in an allow rule, and one without an output for conditionNotMet"
    for key in OUTPUT_KEYS & found.keys():
        value = found[key]
        words = _words(value)
        if key in {"reason", "notify"}:
            if words is not None or (
                len(value) == 1 and value[0].kind is not cel.Kind.TEXT and value[0].text != "V"
            ):
                yield f"{key}: want a text"
            continue
        if len(value) == 1 and value[0].kind is cel.Kind.TEXT:
            yield f"{key}: want a list of words"
        if key == "obligations" and words is not None and set(words) - OBLIGATIONS:
            yield f"obligations: want some of {', '.join(sorted(OBLIGATIONS))}"
        if key == "accepts" and words is not None and "self" in words:
            yield "accepts: `self` is accepted under no purpose"


def outputs(sheet: Sheet) -> Iterator[Finding]:
    """Outputs say only what purposegate reads, where that can be seen without evaluating them."""
    allows = {
        keys: rule.get("effect") == "EFFECT_ALLOW" and not bundles.speaks_unmet(rule)
        for keys, rule in sheet.rules()
    }
    for expression in sheet.expressions:
        when = expression.keys[-1]
        if when not in {"ruleActivated", "conditionNotMet"}:
            continue
        may_accept = allows.get(expression.keys[:3], False) and when == "ruleActivated"
        if len(expression.stream) == 1 and expression.stream[0].kind is not cel.Kind.NAME:
            yield sheet.finding(expression.keys, "want a map")
        for found in cel.maps(expression.stream):
            for fault in _output_faults(found, may_accept=may_accept):
                yield sheet.finding(expression.keys, fault)


def _everybody(sheets: list[Sheet]) -> frozenset[str]:
    """Derived roles that every role can have, in every document that defines the name."""
    definitions = [
        definition
        for sheet in sheets
        if sheet.kind == "derivedRoles"
        for definition in sheet.body.get("definitions") or ()
        if isinstance(definition, Mapping)
    ]
    narrow = {str(one.get("name")) for one in definitions if list(one.get("parentRoles") or ()) != ["*"]}
    return frozenset(str(one.get("name")) for one in definitions) - narrow


def findings(policies_dir: Path) -> list[Finding]:
    """Everything the policies do that they may not, by file and line; empty where all is well. Blocks; needs no Cerbos."""
    try:
        files = bundles.read_files(policies_dir)
    except PolicyError as error:
        return list(error.findings)
    found: list[Finding] = []
    sheets: list[Sheet] = []
    for path, content in files.items():
        if not path.startswith("_schemas/"):
            sheet, faults = read(policies_dir / path, content)
            found += faults
            if sheet is not None:
                sheets.append(sheet)
    everybody = _everybody(sheets)
    each: tuple[Callable[[Sheet], Iterator[Finding]], ...] = (
        shape,
        lambda sheet: roles(sheet, everybody),
        reading,
        outputs,
    )
    for sheet in sheets:
        for check in each:
            found += check(sheet)
    found += schema_findings(sheets, files, attributes)
    return sorted(found, key=lambda one: (one.file, one.line))
