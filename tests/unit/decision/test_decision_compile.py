"""Cerbos' compiler and the policies' own tests, as findings by file and line."""

import shutil
from pathlib import Path

import pytest

from cerbos_world import CERBOS, POLICIES, policy, rule, write
from purposegate.decision.compile import findings, read_report
from purposegate.errors import PdpOutage

TESTED = """name: person
principals:
  one: {id: p-1, roles: [officer]}
resources:
  one: {kind: record, id: r-1}
tests:
  - name: viewed
    input: {principals: [one], resources: [one], actions: [view]}
    expected:
      - principal: one
        resource: one
        actions: {view: EFFECT_ALLOW}
"""
OPEN = policy("record", rule("open", "ALLOW"))


def found(tmp_path: Path, **files: str) -> list[tuple[str, int, str]]:
    """(file, line, what was expected), with the directory left out."""
    named = {"a.yaml": OPEN, "a_test.yaml": TESTED} | {
        name.replace("__", "."): text for name, text in files.items()
    }
    directory = write(tmp_path, named)
    return [(Path(one.file).name, one.line, one.expected) for one in findings(directory, binary=CERBOS)]


def test_policies_in_order_have_no_findings(tmp_path: Path) -> None:
    """Policies that compile and pass their tests have none."""
    assert [] == found(tmp_path)


def test_a_failed_test_is_named(tmp_path: Path) -> None:
    """A test that fails is found at its line, with who asked for what."""
    assert [("a_test.yaml", 7, "one / one / view: expected EFFECT_ALLOW, got EFFECT_DENY")] == found(
        tmp_path, a__yaml=OPEN.replace("ALLOW", "DENY")
    )


def test_a_failed_output_is_named(tmp_path: Path) -> None:
    """A test whose output differs names the rule."""
    text = TESTED + "        outputs:\n          - action: view\n            expected:\n"
    text += "              - src: resource.record.vdefault#open\n                val: {reason: x}\n"
    ((file, line, expected),) = found(tmp_path, a_test__yaml=text)

    assert ("a_test.yaml", 7) == (file, line)
    assert "resource.record.vdefault#open" in expected


@pytest.mark.parametrize(
    "skip", ["    skip: true\n    input", "    skip: true\n    skipReason: later\n    input"]
)
def test_a_skipped_test_is_a_finding(tmp_path: Path, skip: str) -> None:
    """A test of a policy that is skipped proves nothing, so it is a finding."""
    (one,) = found(tmp_path, a_test__yaml=TESTED.replace("    input", skip))

    assert "skipped" in one[2]


def test_a_skipped_suite_is_a_finding(tmp_path: Path) -> None:
    """So is a whole suite that is skipped."""
    assert found(tmp_path, a_test__yaml="skip: true\n" + TESTED)


def test_policies_without_tests_are_a_finding(tmp_path: Path) -> None:
    """Nothing was tested is not all is well."""
    directory = write(tmp_path, {"a.yaml": OPEN})

    assert "at least one test" in findings(directory, binary=CERBOS)[0].expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apiVersion: api.cerbos.dev/v1\nresourcePolicy: [\n", 2),
        (policy("record", rule("open", "ALLOW", expr="R.attr.x ==")), 1),
        (policy("record", rule("open", "MAYBE")), 1),
        (policy("record", rule("open", "ALLOW"), importDerivedRoles=["nowhere"]), 1),
        (OPEN.replace('"resource"', '"resauce"'), 1),
    ],
    ids=["yaml", "cel", "effect", "import", "key"],
)
def test_what_does_not_compile_is_named(tmp_path: Path, text: str, line: int) -> None:
    """Each fault that keeps a policy from compiling is found by its file and line, with what was expected."""
    told = found(tmp_path, a__yaml=text)

    assert told
    assert ("a.yaml", line) == told[0][:2]
    assert told[0][2]


def test_one_policy_defined_twice_is_named(tmp_path: Path) -> None:
    """Both files are named."""
    told = found(tmp_path, b__yaml=OPEN)

    assert {"a.yaml", "b.yaml"} <= {word for file, _, expected in told for word in (file, *expected.split())}


def test_tests_that_do_not_load_are_named(tmp_path: Path) -> None:
    """A test file with a fault is found by its line."""
    assert [("a_test.yaml", 9)] == [
        one[:2] for one in found(tmp_path, a_test__yaml=TESTED.split("      - p", maxsplit=1)[0])
    ]


def test_tests_are_strict(tmp_path: Path) -> None:
    """Tests run under strict evaluation, as the server does: a deny rule that errs denies."""
    erring = policy("record", rule("open", "ALLOW"), rule("errs", "DENY", expr='R.attr.never_sent == "x"'))

    assert "got EFFECT_DENY" in found(tmp_path, a__yaml=erring)[0][2]


def test_schemas_bind_in_tests(tmp_path: Path) -> None:
    """A fixture outside the shipped schemas fails its test: what passes is what can be asked."""
    copied = Path(shutil.copytree(POLICIES, tmp_path / "p"))
    resources = copied / "tests" / "testdata" / "resources.yaml"
    write(
        copied,
        {
            str(resources.relative_to(copied)): resources.read_text().replace(
                "ref_state: open", "ref_state: opened"
            )
        },
    )

    assert findings(copied, binary=CERBOS)


def test_an_unfit_binary_is_an_outage(tmp_path: Path) -> None:
    """Without Cerbos nothing is known of the policies: an error, not an empty list."""
    with pytest.raises(PdpOutage):
        findings(write(tmp_path, {"a.yaml": OPEN}), binary=tmp_path / "nowhere")


def test_a_binary_that_says_nothing_is_a_finding(tmp_path: Path) -> None:
    """A compiler that fails without a report is told with its last words."""
    fake = tmp_path / "cerbos"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 0.55.0 && exit 0\necho boom >&2\nexit 9\n')
    fake.chmod(0o755)

    assert "boom" in findings(tmp_path, binary=fake)[0].expected


@pytest.mark.parametrize("text", ["", "no report", "[]", "null"])
def test_what_is_no_report_is_not_read_as_clean(text: str) -> None:
    """Only a report can say that all is well."""
    with pytest.raises(ValueError):
        read_report(text, Path())
