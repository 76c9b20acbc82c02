"""What every test shares: one event loop, Hypothesis profiles, and the rule that nothing is skipped."""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# Time says nothing on a shared machine, so no deadline and no complaint about slow generation in any profile.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _UNTIMED, max_examples=100)
# A run of CI is repeatable: the same examples for the same code, and no store of earlier ones.
settings.register_profile("ci", _UNTIMED, max_examples=100, derandomize=True, database=None, print_blob=True)
settings.register_profile("soak", _UNTIMED, max_examples=5_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests that scale at full length")


def pytest_configure(config: pytest.Config) -> None:
    everyday = "ci" if os.environ.get("CI") else "dev"
    settings.load_profile("soak" if config.getoption("--soak") else everyday)


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether `make soak` asked for full length: tests that scale choose their counts by it."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio: grpc.aio, and so the gate, knows no other loop."""
    return "asyncio"


# A test that did not run proved nothing: a missing need, a skip or an expected failure fails the run.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _unless_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _unless_skipped((yield))


def _unless_skipped(report: Report) -> Report:
    if report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} did not run to a pass; nothing here is skipped or expected to fail. {why}"
        )
        vars(report).pop("wasxfail", None)
    return report
