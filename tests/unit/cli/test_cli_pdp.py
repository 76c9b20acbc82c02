"""`purposegate pdp` says which Cerbos and policies would decide, and what is missing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cerbos_world import CERBOS, POLICIES, policy, rule, write
from purposegate.cli.pdp import pdp
from purposegate.decision import policies_digest


def run(*arguments: str) -> Result:
    return CliRunner().invoke(pdp, list(arguments), catch_exceptions=False)


def test_a_fit_pdp_is_told_with_its_digest() -> None:
    """Binary, version, digest and proof are printed, and the exit code is 0."""
    done = run("--policies", str(POLICIES), "--binary", str(CERBOS))

    assert 0 == done.exit_code
    assert all(
        word in done.output for word in (str(CERBOS), "0.55.0", policies_digest(POLICIES), "every canary")
    )


def test_a_missing_binary_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to be found: the npm package and its version are named, the policies are still told, exit code 1."""
    monkeypatch.setenv("PATH", str(tmp_path))
    write(tmp_path / "policies", {"a.yaml": policy("record", rule("open", "ALLOW"))})
    done = run("--policies", str(tmp_path / "policies"))

    assert 1 == done.exit_code
    assert all(word in done.output for word in ("npm", "0.55.0", policies_digest(tmp_path / "policies")))


def test_the_environment_may_name_the_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    """PURPOSEGATE_CERBOS stands for --binary."""
    monkeypatch.setenv("PURPOSEGATE_CERBOS", str(CERBOS))

    assert str(CERBOS) in run("--policies", str(POLICIES)).output


def test_policies_that_do_not_load_are_told_by_line(tmp_path: Path) -> None:
    """Faulty policies are named with their line and the way forward, exit code 1."""
    write(tmp_path, {"a.yaml": "apiVersion: api.cerbos.dev/v1\nresourcePolicy: [\n"})
    done = run("--policies", str(tmp_path), "--binary", str(CERBOS))

    assert 1 == done.exit_code
    assert "a.yaml:3" in done.output
    assert "purposegate check" in done.output


def test_policies_for_a_remote_cerbos_can_be_written(tmp_path: Path) -> None:
    """--stamp writes policies and canaries under the digest."""
    done = run("--policies", str(POLICIES), "--binary", str(CERBOS), "--stamp", str(tmp_path / "out"))

    assert 0 == done.exit_code
    assert (tmp_path / "out" / policies_digest(POLICIES) / "purposegate_canary.yaml").is_file()
