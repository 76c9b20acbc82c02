"""`purposegate check --settings`: where a field that a claimed law wants could stay empty, named by file, line and key."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from purposegate import settings as settings_file
from purposegate.cli import _legal, purposegate
from purposegate.purposes.catalogue import load as load_catalogue

ROOT = Path(__file__).parents[3]
EVERY = ["eu-led", "uk-dpa", "uk-duaa"]
RECORD = "cerbos/resource_policies/record.yaml"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The shipped policies and settings in a folder of their own."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def settings(home: Path, **changes: Any) -> Path:
    """purposegate.yaml, with sections changed."""
    content = YAML(typ="safe").load((ROOT / "demo" / "purposegate.yaml").read_text(encoding="utf-8"))
    content |= {"policies": "policies"} | changes
    path = home / "purposegate.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(content, file)
    return path


def spoil(home: Path, file: str, old: str, new: str) -> None:
    path = home / "policies" / file
    text = path.read_text(encoding="utf-8")
    assert 1 == text.count(old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def found(home: Path, **changes: Any) -> list[tuple[str, str]]:
    """(file, key) of every fault."""
    chosen = settings_file.load(settings(home, **changes))
    catalogue = load_catalogue(chosen.policies / "purposes.yaml")
    return [(Path(each.file).name, each.key) for each in _legal.findings(chosen, chosen.policies, catalogue)]


def test_shipped_policies_meet_european_and_british_law(home: Path) -> None:
    """Exit 0 by the command itself, the directory taken from the settings."""
    path = settings(home, regime=EVERY)
    result = CliRunner().invoke(purposegate, ["check", "--settings", str(path)], catch_exceptions=False)

    assert (0, True) == (result.exit_code, "kinds      person" in result.output), result.output


def test_purpose_without_a_reason_is_named(home: Path) -> None:
    """The command's line says where, what to write, and which laws want it; exit code 1."""
    spoil(
        home,
        "purposes.yaml",
        "reason: {required: true, words: 3}\n        originator: none",
        "reason: {required: false}\n        originator: none",
    )
    path = settings(home, regime=EVERY)
    result = CliRunner().invoke(purposegate, ["check", "--settings", str(path)], catch_exceptions=False)
    line = next(line for line in result.output.splitlines() if "train" in line)

    assert 1 == result.exit_code
    assert "purposes.train.purposes.test.reason: `reason: {required: true}`" in line
    assert "regime eu-led, uk-dpa wants justification" in line


def test_american_law_wants_codes_and_the_agency(home: Path) -> None:
    """Each purpose its NCIC letter, and the settings the agency's identifier."""
    training = ("purposes.yaml", "purposes.train.purposes.test.aliases")

    assert [training, ("purposegate.yaml", "agency.ori")] == sorted(found(home, regime=["us-cjis"]))[::-1]
    assert [training] == found(home, regime=["us-cjis"], agency={"ori": "NH0301000"})


def test_export_to_nobody_named_is_found(home: Path) -> None:
    """A rule that exports must demand a recipient, plainly and not as one of several ways."""
    named = 'expr: R.attr.recipient == "named"'
    spoil(home, RECORD, named, "expr: R.attr.on_duty")

    assert [("record.yaml", "resourcePolicy.rules.4.actions")] == found(home, regime=["uk-duaa"])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"modes": {"default": "enforce", "person": "monitor"}}, "modes"),
        (
            {
                "ledger": {
                    "path": "l.db",
                    "origin": "a.example/log",
                    "monitor_without_ledger": "pass",
                }
            },
            "ledger.monitor_without_ledger",
        ),
    ],
    ids=["monitor", "unrecorded"],
)
def test_settings_that_release_unrecorded_or_undeclared_are_found(
    home: Path, changes: dict[str, Any], key: str
) -> None:
    """A law's record is not kept by a gate that only watches, or that passes what it cannot record."""
    assert [("purposegate.yaml", key)] == found(home, regime=["uk-duaa"], **changes)


def test_without_a_claim_nothing_is_asked(home: Path) -> None:
    """Settings that claim no law are checked for themselves alone."""
    assert [] == found(home, regime=[], modes={"person": "monitor"})


def test_faulty_settings_end_the_check(home: Path) -> None:
    """An unknown law is a fault of the settings, named with its line."""
    path = settings(home, regime=["gdpr"])
    result = CliRunner().invoke(purposegate, ["check", "--settings", str(path)], catch_exceptions=False)

    assert (1, True) == (result.exit_code, "want one of eu-led, uk-dpa, uk-duaa, us-cjis" in result.output)
