"""The suite's own rule: what does not run to a pass is a failure."""

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[2] / "conftest.py"

WAYS_OF_NOT_RUNNING = {
    "skip mark": "@pytest.mark.skip(reason='no disk')\ndef test_it(): pass",
    "skip call": "def test_it(): pytest.skip('no disk')",
    "skip in a fixture": "@pytest.fixture\ndef disk(): pytest.skip('no disk')\ndef test_it(disk): pass",
    "skip of a module": "pytest.skip('no disk', allow_module_level=True)",
    "missing import": "pytest.importorskip('a_module_that_is_not_there')",
    "expected failure": "@pytest.mark.xfail\ndef test_it(): assert False",
    "expected failure, not run": "@pytest.mark.xfail(run=False)\ndef test_it(): assert False",
    "expected failure that passes": "@pytest.mark.xfail\ndef test_it(): pass",
}


@pytest.mark.parametrize("body", WAYS_OF_NOT_RUNNING.values(), ids=WAYS_OF_NOT_RUNNING)
def test_not_running_fails(pytester: pytest.Pytester, body: str) -> None:
    """A skip or an expected failure, however it is written, fails the run and leaves nothing counted as skipped."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nxfail_strict = true")
    pytester.makepyfile("import pytest\n" + body)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    outcomes = result.parseoutcomes()
    assert result.ret != pytest.ExitCode.OK
    assert {} == {
        name: n for name, n in outcomes.items() if name in {"skipped", "xfailed", "xpassed", "passed"}
    }


def test_running_passes(pytester: pytest.Pytester) -> None:
    """A test that runs and passes is left alone."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile("def test_it(): pass")

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    assert {"passed": 1} == result.parseoutcomes()


def test_examples_have_no_deadline() -> None:
    """Hypothesis times nothing, so a busy machine fails no property."""
    assert settings.default is not None
    assert settings.default.deadline is None
