"""Starlette's own test suite, from its source distribution, with purposegate around every app it calls."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "starlette_suite"
PEER = ROOT / ".cache/peers/starlette"
SUITE_TIMEOUT_S = 600
"""A run takes 10 to 30 s on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One run: each test's outcome, how many apps were wrapped, and what the gates recorded."""

    outcomes: dict[str, str]
    wrapped: int
    entries: int
    judged: int

    @property
    def failed(self) -> set[str]:
        """The tests that failed or could not be set up."""
        return {test for test, outcome in self.outcomes.items() if outcome == "failed"}


def run_suite(arm: str, report: Path) -> Account:
    """Run the whole suite in its own venv, in the given arm."""
    assert (PEER / ".ready").exists(), "Starlette's suite is not set up: run `make test-peers`"
    done = subprocess.run(
        [PEER / "venv/bin/python", "-m", "pytest", "tests", "-p", "peers.starlette_suite.suite_plugin", "-p", "no:cacheprovider", "-q", "--tb=short"],
        cwd=PEER / "source",
        env=os.environ | {"PURPOSEGATE_ARM": arm, "PURPOSEGATE_REPORT": str(report), "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'src'}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=SUITE_TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), (
        done.stdout[-4000:] + done.stderr[-2000:]
    )
    return Account(**json.loads(report.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The suite as Starlette ships it."""
    return run_suite("bare", tmp_path_factory.mktemp("bare") / "report.json")


def test_suite_is_whole(bare: Account) -> None:
    """The suite that is compared with ran: 1,416 tests in Starlette 1.10.0, nothing wrapped."""
    assert 1416 == len(bare.outcomes)
    assert 0 == bare.wrapped


def test_open_routes_change_nothing(bare: Account, tmp_path: Path) -> None:
    """With every route open the same tests fail as without the middleware, and nothing is recorded."""
    opened = run_suite("open", tmp_path / "report.json")

    assert bare.outcomes.keys() == opened.outcomes.keys()
    assert bare.failed == opened.failed
    assert opened.wrapped > 1000
    assert 0 == opened.entries


def test_monitor_mode_differs_as_written(bare: Account, tmp_path: Path) -> None:
    """With every http route a monitored view, the tests that end otherwise are those of differences.yaml, each with a reason."""
    monitored = run_suite("monitor", tmp_path / "report.json")
    known = YAML(typ="safe", pure=True).load((HERE / "differences.yaml").read_text(encoding="utf-8"))
    meant = {test for difference in known for test in difference["tests"]}
    varying = {test for difference in known if difference.get("varies") for test in difference["tests"]}
    differing = {test for test, outcome in monitored.outcomes.items() if bare.outcomes[test] != outcome}

    assert meant - varying == differing - varying
    assert all(len(difference["reason"]) > 40 for difference in known)
    assert monitored.wrapped > 500
    assert monitored.entries > 500
    assert monitored.judged > 300
