"""`purposegate check` on the shipped policies and on broken copies: each fault by file, line, key and what was expected."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from purposegate.cli import purposegate
from purposegate.decision.bundle import policies_digest

SHIPPED = Path(__file__).parents[3] / "policies"
RECORD = "cerbos/resource_policies/record.yaml"
STANDING = "cerbos/derived_roles/standing.yaml"
WEIGHING = "cerbos/variables/weighing.yaml"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A copy of the shipped policies to break, with the project's Cerbos in reach."""
    copy = tmp_path / "policies"
    shutil.copytree(SHIPPED, copy)
    (tmp_path / "node_modules").symlink_to(SHIPPED.parent / "node_modules")
    return copy


def check(policies: Path) -> Result:
    return CliRunner().invoke(purposegate, ["check", str(policies)], catch_exceptions=False)


def test_the_shipped_policies_are_in_order() -> None:
    """Exit 0, and a summary with the digest that ledger entries name."""
    result = check(SHIPPED)

    assert 0 == result.exit_code, result.output
    assert f"digest     {policies_digest(SHIPPED / 'cerbos')}" in result.output.splitlines()
    assert "kinds      person" in result.output.splitlines()


class Slip(NamedTuple):
    """One slip of an author: in which file, what was written, what it became, and how the fault is named.

    `marker` is a text on the line that the fault names.
    """

    file: str
    old: str
    new: str
    marker: str
    key: str
    expected: str


RESPOND = """expr: '"respond" in R.attr.purpose_family'"""
SELF = """expr: R.attr.conflict == "self\""""
EXPORT = """expr: R.attr.recipient == "named\""""
STOP = """{"reason": "stop-check", "obligations": V.owed, "accepts": V.accepted_by_default}"""

SLIPS = {
    "an unknown purpose family": Slip(
        RECORD, RESPOND, RESPOND.replace("respond", "respnd"), '"respnd" in', "resourcePolicy.rules.0.condition.match.expr",
        "purpose_family: a purpose of purposes.yaml, parent or leaf",
    ),
    "an unknown purpose in a list": Slip(
        WEIGHING, '"custody", "prosecute"', '"custody", "prosecution"', "casework: >-",
        "exportVariables.definitions.casework", "purpose_family: a purpose of purposes.yaml",
    ),
    "a parent where only leaves are declared": Slip(
        RECORD, RESPOND, 'expr: R.attr.purpose == "respond"', 'purpose == "respond"',
        "resourcePolicy.rules.0.condition.match.expr", "purpose: a purpose of purposes.yaml that can be declared",
    ),
    "the beginning of a purpose": Slip(
        RECORD, RESPOND, 'expr: R.attr.purpose.startsWith("respond.")', "startsWith",
        "resourcePolicy.rules.0.condition.match.expr", "compare parents with purpose_family",
    ),
    "a purpose by index": Slip(
        RECORD, RESPOND, "expr: request.resource.attr[\"purpose\"] == 'stop.persn'", "stop.persn",
        "resourcePolicy.rules.0.condition.match.expr", "purpose: a purpose of purposes.yaml",
    ),
    "an unknown relation compared": Slip(
        RECORD, SELF, SELF.replace("self", "selves"), 'conflict == "selves"',
        "resourcePolicy.rules.11.condition.match.expr", "conflict: a relation of conflicts.yaml, or none",
    ),
    "an unknown relation accepted": Slip(
        RECORD, STOP, STOP.replace("V.accepted_by_default", '["neighbor"]'), "ruleActivated",
        "resourcePolicy.rules.1.output.when.ruleActivated", "accepts: relations of conflicts.yaml",
    ),
    "an unknown relation accepted by a variable": Slip(
        WEIGHING, "R.attr.break_glass)) ? [R.attr.conflict]", 'R.attr.break_glass)) ? ["neighbor"]', "accepted_on_incident",
        "exportVariables.definitions.accepted_on_incident", "accepts: relations of conflicts.yaml",
    ),
    "an unknown field masked": Slip(
        RECORD, STOP, STOP.replace('"accepts"', '"mask": ["adress"], "accepts"'), "ruleActivated",
        "resourcePolicy.rules.1.output.when.ruleActivated", "mask: columns or masks of a kind in records.yaml: address,",
    ),
    "an unknown role": Slip(
        RECORD, "      derivedRoles: [patrolling]", "      derivedRoles: [patrolling]\n      roles: [oficer]", "oficer",
        "resourcePolicy.rules.1.roles.0", "a role of purposes.yaml: control_room, custody_officer",
    ),
    "an unknown parent role": Slip(
        STANDING, '    - name: patrolling\n      parentRoles: ["*"]', "    - name: patrolling\n      parentRoles: [oficer]",
        "oficer", "derivedRoles.definitions.1.parentRoles.0", "a role of purposes.yaml",
    ),
    "an unknown role in a condition": Slip(
        RECORD, EXPORT, "expr: '\"disclosure\" in P.roles'", '"disclosure" in',
        "resourcePolicy.rules.4.condition.match.all.of.1.expr", "roles: a role of purposes.yaml",
    ),
    "no policy for records": Slip(
        RECORD, "  resource: record\n", "  resource: person\n", "resource: person", "resourcePolicy.resource", "want `record`",
    ),
    "a kind of record that nobody maps": Slip(
        RECORD, EXPORT, 'expr: R.attr.kind == "vehicle"', '"vehicle"', "resourcePolicy.rules.4.condition.match.all.of.1.expr",
        "kind: a record kind of records.yaml",
    ),
    "a broken catalogue": Slip(
        "purposes.yaml", "roles: [vetting_officer]", "roles: [veting_officer]", "veting_officer",
        "purposes.vet.purposes.employment.roles.0", "a role of this file",
    ),
    "a broken mapping": Slip(
        "records.yaml", "    action: view\n", "    action: vieww\n", "vieww", "routes.0.action", "want one of",
    ),
    "a broken list of relations": Slip(
        "conflicts.yaml", "inverse: child, does", "inverse: childd, does", "childd", "relations.parent.inverse",
        "the name of a relation in this file",
    ),
    "broken thresholds": Slip(
        "facts.yaml", "record: {few: 3, many: 5,", "record: {few: 3, many: many,", "many: many", "repeat.viewed.record.many",
        "want integer",
    ),
    "a breadth for a role that nobody has": Slip(
        "facts.yaml", "roles: {control_room: 500", "roles: {controlroom: 500", "controlroom", "breadth.roles.controlroom",
        "a role of purposes.yaml",
    ),
    "a field that a purpose opens and no record has": Slip(
        "purposes.yaml", "opens: {vehicle: all, person: [name, born, address]}",
        "opens: {vehicle: all, person: [name, borne, address]}", "borne",
        "purposes.stop.purposes.vehicle.opens.person", "columns or masks of person in records.yaml: address",
    ),
    "a rule that Cerbos cannot compile": Slip(
        RECORD, RESPOND, "expr: '\"respond\" inn R.attr.purpose_family'", "inn", "resourcePolicy.rules[0].condition",
        "Invalid expression",
    ),
    "a policy whose tests fail": Slip(
        RECORD, "derivedRoles: [attending]\n      condition:\n        match:\n          " + RESPOND,
        "derivedRoles: [patrolling]\n      condition:\n        match:\n          " + RESPOND,
        "", "an incident is attended on duty", "expected EFFECT_DENY, got EFFECT_ALLOW",
    ),
    "a deny rule for one role": Slip(
        RECORD, 'effect: EFFECT_DENY\n      roles: ["*"]', "effect: EFFECT_DENY\n      roles: [officer]", "EFFECT_DENY",
        "resourcePolicy.rules.7.effect", "a deny rule wants roles",
    ),
    "a policy that reads the clock": Slip(
        RECORD, EXPORT, "expr: now().getHours() > 6", "now()", "resourcePolicy.rules.4.condition.match.all.of.1.expr",
        "no policy reads the clock",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_a_slip_is_named(policies: Path, slip: Slip) -> None:
    """Exit 1, and one line says file, line, key and what was expected there."""
    file = policies / slip.file
    text = file.read_text(encoding="utf-8")
    assert slip.old in text
    file.write_text(text.replace(slip.old, slip.new, 1), encoding="utf-8")

    result = check(policies)

    assert 1 == result.exit_code
    [line] = [line for line in result.stdout.splitlines() if slip.key in line and slip.expected in line][:1]
    named = re.match(r"(?P<file>.+?):(?P<line>[1-9][0-9]*): (?P<key>.+?): .+", line)
    assert named is not None
    where = Path(named["file"])
    assert policies in where.parents
    if slip.marker:
        assert file == where
        assert slip.marker in where.read_text(encoding="utf-8").splitlines()[int(named["line"]) - 1]


def test_every_fault_is_printed(policies: Path) -> None:
    """Slips in three files are all named in one run, and counted."""
    for name in ("an unknown purpose family", "broken thresholds", "an unknown parent role"):
        slip = SLIPS[name]
        file = policies / slip.file
        file.write_text(file.read_text(encoding="utf-8").replace(slip.old, slip.new, 1), encoding="utf-8")

    result = check(policies)

    found = {
        name
        for name, slip in SLIPS.items()
        if any(slip.key in line and slip.expected in line for line in result.stdout.splitlines())
    }
    assert {"an unknown purpose family", "broken thresholds", "an unknown parent role"} <= found
    assert f"{len(result.stdout.splitlines())} fault(s)\n" == result.stderr


@pytest.mark.parametrize("file", ["purposes.yaml", "records.yaml", "conflicts.yaml", "facts.yaml"])
def test_a_missing_file_is_named(policies: Path, file: str) -> None:
    """Each of the four files is needed."""
    (policies / file).unlink()

    result = check(policies)

    assert 1 == result.exit_code
    assert f"{policies / file}:1: (file): a readable file" in result.stdout


def test_missing_cerbos_policies_are_named(policies: Path) -> None:
    """Without policies nothing decides, and check says so."""
    shutil.rmtree(policies / "cerbos")

    result = check(policies)

    assert 1 == result.exit_code
    assert f"{policies / 'cerbos'}:1: (directory): a directory of Cerbos policies" in result.stdout


def test_words_in_constants_are_named_at_the_constant(policies: Path) -> None:
    """A purpose that a rule compares through a constant is as dead as one in the rule itself."""
    person = policies / RECORD
    text = person.read_text(encoding="utf-8").replace(RESPOND, "expr: R.attr.purpose in C.urgent")
    person.write_text(
        text.replace(
            "  rules:\n",
            '  constants:\n    local:\n      urgent: [respond.incident, "respond.now"]\n  rules:\n',
        ),
        encoding="utf-8",
    )

    lines = check(policies).stdout.splitlines()

    assert any(
        "resourcePolicy.constants.local.urgent: purpose: a purpose of purposes.yaml" in line for line in lines
    )


def test_words_of_other_attributes_are_left_alone(policies: Path) -> None:
    """A word compared with another attribute in the same expression is not taken for a purpose or a relation."""
    person = policies / RECORD
    both = 'expr: (\'"respond" in R.attr.purpose_family && R.attr.ref_state == "assigned"\')'
    both = both.replace("('", "'").replace("')", "'")
    person.write_text(person.read_text(encoding="utf-8").replace(RESPOND, both), encoding="utf-8")

    assert [] == [line for line in check(policies).stdout.splitlines() if "purposes.yaml" in line]


def test_no_fit_cerbos_is_no_check(policies: Path) -> None:
    """A check without Cerbos would pass policies that do not compile: it fails, once it has said what it found."""
    not_cerbos = policies.parent / "cerbos"
    not_cerbos.write_text("#!/bin/sh\necho 0.51.0\n")
    not_cerbos.chmod(0o755)
    (policies / "facts.yaml").unlink()

    result = CliRunner().invoke(purposegate, ["check", "--cerbos", str(not_cerbos), str(policies)])

    assert result.exit_code != 0
    assert "0.51.0: too old" in str(result.exception)
    assert f"{policies / 'facts.yaml'}:1: (file): a readable file" in result.stdout
