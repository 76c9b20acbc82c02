"""What a Cerbos policy may not do here: each rule of the linter refuses its fault, by file, line and key, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerbos_world import policy, rule, write
from purposegate.decision import cel, lint
from purposegate.decision.vocabulary import PRINCIPAL_ATTRS, RECORD_ATTRS
from purposegate.errors import Finding

SCHEMAS = {"principalSchema": {"ref": "cerbos:///p.json"}, "resourceSchema": {"ref": "cerbos:///r.json"}}
FILES = {
    "_schemas/p.json": json.dumps({"required": sorted(PRINCIPAL_ATTRS)}),
    "_schemas/r.json": json.dumps(
        {
            "required": sorted(RECORD_ATTRS),
            "properties": {
                "ref_state": {"enum": ["open", "closed"]},
                "patterns": {"type": "array", "items": {"enum": ["many-doors"]}},
            },
        }
    ),
}


def faults(tmp_path: Path, text: str, **more: str) -> list[Finding]:
    files = {name.replace("__", "/"): content for name, content in more.items()}
    return lint.findings(write(tmp_path, FILES | {"a.yaml": text} | files))


def told(tmp_path: Path, *rules: dict[str, Any], **more: Any) -> list[str]:
    """What the linter expects of a policy with these rules."""
    return [
        one.expected for one in faults(tmp_path, policy("record", *rules, **{"schemas": SCHEMAS, **more}))
    ]


@pytest.mark.parametrize(
    "expression",
    [
        'R.attr.purpose == "x" && P.attr.on_duty',
        'request.resource.attr.purpose in ["a", "b"]',
        'R.attr["purpose"] == "x"',
        'P.id == "p-1" || "p-1" != P.id',
        '(R.id == "r") && !(R.id != "s")',
        "P.id == R.id",
        '"supervisor" in P.roles && R.attr.kind == "person"',
        'R.attr.purpose_family.exists(step, step.startsWith("now"))',
        '"now()" == R.attr.purpose // now()',
        'R.attr.ref_state == "open"',
        'R.attr.purpose == "opened"',
        '"many-doors" in R.attr.patterns && "x" in R.attr.purpose_family',
    ],
)
def test_what_may_be_read_passes(tmp_path: Path, expression: str) -> None:
    """Attributes of the vocabulary, roles and kind are read freely; ids are compared."""
    assert [] == told(tmp_path, rule("one", "ALLOW", expr=expression))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("now() > now()", "reads the clock"),
        ("now().getHours() > 18", "reads the clock"),
        ('timestamp("2026-01-01T00:00:00Z") < now()', "reads the clock"),
        ('timestamp(R.attr.purpose).timeSince() > duration("1h")', "reads the clock"),
        ('R.attr.age == "x"', "not in the vocabulary"),
        ('R.attr["age"] == "x"', "not in the vocabulary"),
        ('P.attr.clearance == "x"', "not in the vocabulary"),
        ("P.attr.purpose == R.attr.unit", "not in the vocabulary"),
        ("R.attr[P.attr.unit] == 'x'", "one attribute of the vocabulary, by its name"),
        ("size(R.attr) > 3", "one attribute of the vocabulary, by its name"),
        ("has(R.attr.age)", "not in the vocabulary"),
        ('P == "x"', "one attribute of the vocabulary, by its name"),
        ('R.kind == "person"', "read R.attr.kind"),
        ('request.resource.kind == "record"', "read R.attr.kind"),
        ('R.policyVersion == "x"', "one attribute of the vocabulary, by its name"),
        ('request.auxData.jwt.sub == "x"', "nothing outside the vocabulary"),
        ('request == "x"', "nothing outside the vocabulary"),
        ('"x" in runtime.effectiveDerivedRoles', "nothing outside the vocabulary"),
        ('R.id.startsWith("r")', "one attribute of the vocabulary, by its name"),
        ("size(R.id) > 3", "an id is only compared"),
        ('R.id < "m"', "an id is only compared"),
        ('P.id in ["p-1"]', "an id is only compared"),
        ('R.id + "x" == "rx"', "an id is only compared"),
        ('"rx" == R.id + "x"', "an id is only compared"),
        ('R["id"] > "m"', "an id is only compared"),
        ("R.id", "an id is only compared"),
        ('R.attr.ref_state == "opened"', "never that word"),
        ('"opened" != R.attr.ref_state', "never that word"),
        ('R.attr.ref_state in ["open", "opened"]', "never that word"),
        ('"many-dors" in R.attr.patterns', "never that word"),
        ("R.attr.purpose == `x`", "a CEL expression"),
    ],
)
def test_what_may_not_be_read_is_found(tmp_path: Path, expression: str, expected: str) -> None:
    """Clocks, ids but for equality, and anything outside the vocabulary are findings."""
    found = told(tmp_path, rule("one", "ALLOW", expr=expression))

    assert found
    assert all(expected in one for one in found)


@pytest.mark.parametrize("place", ["variable", "imported", "derived role", "output"])
def test_expressions_are_found_wherever_they_stand(tmp_path: Path, place: str) -> None:
    """A clock is found in variables, in exports, in derived roles and in outputs, as in conditions."""
    match place:
        case "variable":
            text = policy(
                "record", rule("one", "ALLOW"), schemas=SCHEMAS, variables={"local": {"x": "now() > now()"}}
            )
            found = faults(tmp_path, text)
        case "imported":
            export = json.dumps(
                {"apiVersion": "v1", "exportVariables": {"name": "e", "definitions": {"x": "now()"}}}
            )
            found = faults(tmp_path, export)
        case "derived role":
            one = {"name": "r", "parentRoles": ["*"], "condition": {"match": {"expr": "now() > now()"}}}
            found = faults(
                tmp_path,
                json.dumps({"apiVersion": "v1", "derivedRoles": {"name": "d", "definitions": [one]}}),
            )
        case _:
            found = faults(
                tmp_path,
                policy("record", rule("one", "ALLOW", output='{"reason": string(now())}'), schemas=SCHEMAS),
            )

    assert found
    assert {"now(): no policy reads the clock"} == {one.expected for one in found}


def test_constants_are_no_expressions(tmp_path: Path) -> None:
    """A constant is a plain value, whatever it looks like."""
    constants = {"local": {"hours": "now().getHours()"}}

    assert [] == told(tmp_path, rule("one", "ALLOW"), constants=constants)


@pytest.mark.parametrize("roles", [("officer",), ("officer", "*"), ()])
def test_a_deny_rule_is_for_every_role(tmp_path: Path, roles: tuple[str, ...]) -> None:
    """A deny on some roles is undone by another role, so it is refused."""
    assert ["another role would undo it"] == [
        one[-26:] for one in told(tmp_path, rule("shut", "DENY", roles=roles))
    ]


def test_a_deny_rule_on_a_derived_role_is_found(tmp_path: Path) -> None:
    """A derived role is one more role among others; a deny on it alone is refused too."""
    shut = rule("shut", "DENY", roles=())
    shut["derivedRoles"] = ["anybody"]

    assert any("another role would undo it" in one for one in told(tmp_path, shut))


@pytest.mark.parametrize(
    ("parents", "hidden"), [(["*"], False), (["officer"], True), (["*", "officer"], True)]
)
def test_a_rule_with_an_output_is_for_every_role(tmp_path: Path, parents: list[str], hidden: bool) -> None:
    """An output of a rule for some roles is never given once another role allows, so its obligation would be lost."""
    one = rule("open", "ALLOW", roles=(), output='{"obligations": ["flag"]}')
    one["derivedRoles"] = ["near"]
    definitions = [
        {"name": "near", "parentRoles": parents, "condition": {"match": {"expr": "P.attr.on_duty"}}}
    ]
    derived = json.dumps({"apiVersion": "v1", "derivedRoles": {"name": "d", "definitions": definitions}})
    found = faults(
        tmp_path, policy("record", one, schemas=SCHEMAS, importDerivedRoles=["d"]), **{"d.yaml": derived}
    )

    assert hidden is any("another role would hide it" in fault.expected for fault in found)
    assert hidden is bool(found)


@pytest.mark.parametrize(
    "output",
    [
        '{"reason": "x", "obligations": ["flag", "justify"], "accepts": [R.attr.conflict], "mask": ["phone"]}',
        '{"reason": P.attr.on_duty ? "a" : "b", "obligations": P.attr.on_duty ? ["flag"] : []}',
        'P.attr.on_duty ? {"reason": "a"} : {"notify": "supervisor"}',
        "V.said",
        '{"reason": {"over": "x"}["over"]}',
        '{"obligations": ["flag"].filter(x, {"odd": x} != {})}',
        "{}",
    ],
)
def test_outputs_that_may_be_said_pass(tmp_path: Path, output: str) -> None:
    """Known keys, and values that are not in plain sight, pass; the judge reads them when they come."""
    assert [] == told(tmp_path, rule("one", "ALLOW", output=output))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"reson": "x"}', "reson: unknown key"),
        ('{R.attr.purpose: "x"}', "(computed key): unknown key"),
        ('P.attr.on_duty ? {"reason": "a"} : {"oblige": []}', "oblige: unknown key"),
        ('({"oblige": []})', "oblige: unknown key"),
        ('{"obligations": ["flog"]}', "obligations: want some of"),
        ('{"obligations": "flag"}', "obligations: want a list"),
        ('{"accepts": "neighbour"}', "accepts: want a list"),
        ('{"accepts": ["neighbour", "self"]}', "under no purpose"),
        ('{"reason": ["x"]}', "reason: want a text"),
        ('{"notify": true}', "notify: want a text"),
        ('"just words"', "want a map"),
        ("12", "want a map"),
    ],
)
def test_outputs_that_may_not_be_said_are_found(tmp_path: Path, output: str, expected: str) -> None:
    """Where it can be seen without evaluating, an output that purposegate would refuse is refused before it runs."""
    found = told(tmp_path, rule("one", "ALLOW", output=output))

    assert any(expected in one for one in found)


def test_relations_are_accepted_only_where_a_rule_allows(tmp_path: Path) -> None:
    """`accepts` in a deny rule, or of a condition that was not met, counts for nothing or too much: refused."""
    accepts = '{"accepts": ["neighbour"]}'
    unmet = rule("unmet", "ALLOW", expr="P.attr.on_duty")
    unmet["output"] = {"when": {"conditionNotMet": accepts}}
    both = rule("both", "ALLOW", expr="P.attr.on_duty", output=accepts)
    both["output"]["when"]["conditionNotMet"] = '{"reason": "off duty"}'
    found = told(
        tmp_path, rule("shut", "DENY", output=accepts), unmet, both, rule("open", "ALLOW", output=accepts)
    )

    assert [
        "accepts: counts only in an allow rule, and one without an output for conditionNotMet"
    ] * 3 == found


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"principalPolicy": {"principal": "p", "version": "default", "rules": []}}, "beats every deny"),
        ({"rolePolicy": {"role": "r", "rules": []}}, "a second role undoes"),
        ({"mystery": {}}, "one of resourcePolicy"),
    ],
)
def test_policies_past_the_resource_policies_are_found(
    tmp_path: Path, document: dict[str, Any], expected: str
) -> None:
    """A principal policy overrides everything, a role policy nothing for sure; neither may be."""
    assert any(
        expected in one.expected for one in faults(tmp_path, json.dumps({"apiVersion": "v1", **document}))
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"scope": "acme"}, "no scope"),
        ({"version": "v2"}, "want `default`"),
        ({"resource": "purposegate.canary"}, "want `record`"),
        ({"resource": "vehicle"}, "reads R.attr.kind"),
        ({"schemas": {}}, "want schemas.principalSchema.ref"),
        (
            {"schemas": {**SCHEMAS, "resourceSchema": {"ref": "cerbos:///nowhere.json"}}},
            "want schemas.resourceSchema.ref",
        ),
        (
            {"schemas": {**SCHEMAS, "resourceSchema": {"ref": "https://elsewhere/r.json"}}},
            "want schemas.resourceSchema.ref",
        ),
    ],
)
def test_policies_no_question_reaches_are_found(tmp_path: Path, more: dict[str, Any], expected: str) -> None:
    """Scopes and versions that no question asks for, other resources and missing schemas are findings."""
    assert any(expected in one for one in told(tmp_path, rule("one", "ALLOW"), **more))


def test_an_unknown_action_is_found(tmp_path: Path) -> None:
    """A rule about an action that no lookup has would never be weighed."""
    assert ["want one of count, edit, export, search, view, or *"] == told(
        tmp_path, rule("one", "ALLOW", actions=("view", "peek", "*"))
    )


def test_what_is_read_must_be_required(tmp_path: Path) -> None:
    """An attribute that a rule reads, here or in what it imports, must be required by the policy's schema."""
    export = json.dumps(
        {
            "apiVersion": "v1",
            "exportVariables": {"name": "e", "definitions": {"x": 'R.attr.repeat == "over"'}},
        }
    )
    found = faults(
        tmp_path,
        policy(
            "record",
            rule("one", "ALLOW", expr="R.attr.entitled"),
            schemas=SCHEMAS,
            variables={"import": ["e"]},
        ),
        **{"e.yaml": export, "_schemas__r.json": json.dumps({"required": ["purpose"]})},
    )

    assert {
        ("a.yaml", "entitled: not in `required` of _schemas/r.json"),
        ("e.yaml", "repeat: not in `required` of _schemas/r.json"),
    } == {(Path(one.file).name, one.expected) for one in found}


def test_findings_name_file_line_and_key(tmp_path: Path) -> None:
    """A finding points at the value at fault."""
    text = (
        "apiVersion: api.cerbos.dev/v1\n"
        "resourcePolicy:\n"
        "  version: default\n"
        "  resource: record\n"
        "  schemas:\n"
        "    principalSchema: {ref: cerbos:///p.json}\n"
        "    resourceSchema: {ref: cerbos:///r.json}\n"
        "  rules:\n"
        "    - name: one\n"
        "      actions: [view]\n"
        "      effect: EFFECT_ALLOW\n"
        '      roles: ["*"]\n'
        "      condition:\n"
        "        match:\n"
        "          expr: now() > now()\n"
    )
    (one, _) = faults(tmp_path, text)

    assert (str(tmp_path / "a.yaml"), 15, "resourcePolicy.rules.0.condition.match.expr") == one[:3]


def test_no_policies_are_a_finding(tmp_path: Path) -> None:
    """An empty or missing directory is not a clean one."""
    assert 1 == len(lint.findings(tmp_path))
    assert 1 == len(lint.findings(tmp_path / "nowhere"))


@given(st.text(max_size=60))
def test_no_expression_breaks_the_tokenizer(text: str) -> None:
    """Any text is tokens or a named fault; nothing else happens, and reading the tokens ends."""
    try:
        stream = cel.tokens(text)
    except ValueError:
        return
    list(cel.paths(stream))
    list(cel.maps(stream))


@given(st.text("RPattr.id[]\"'(){}:,? ", max_size=40))
def test_no_arrangement_of_signs_breaks_the_reading(text: str) -> None:
    """Brackets that do not match and names cut short are read to their end."""
    try:
        stream = cel.tokens(text)
    except ValueError:
        return
    list(cel.paths(stream))
    list(cel.maps(stream))


def test_strings_have_their_values() -> None:
    """Every form of string literal is read, with its escapes."""
    texts = [r'"a\"b"', r"'a\'b'", '"""a"b"""', "'''a'b'''", r'r"a\b"', 'b"ab"']

    assert ['a"b', "a'b", 'a"b', "a'b", r"a\b", "ab"] == [cel.tokens(text)[0].text for text in texts]
