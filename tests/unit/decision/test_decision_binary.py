"""Finding a fit Cerbos, and saying how to get one."""

from pathlib import Path

import pytest

from cerbos_world import CERBOS, ROOT
from purposegate.decision import binary
from purposegate.errors import PdpOutage


def program(path: Path, says: str, *, mode: int = 0o755) -> Path:
    """A program that answers --version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(mode)
    return path


def test_the_packaged_binary_is_found_beside_the_project() -> None:
    """The npm package in node_modules, at or above the project, is used and asked for its version."""
    assert binary.Binary(CERBOS, "0.55.0") == binary.find(None, ROOT / "policies" / "cerbos")


@pytest.mark.parametrize("says", ["0.54.9", "0.51.0", "v0.9.99"])
def test_an_old_binary_is_refused(tmp_path: Path, says: str) -> None:
    """Below 0.55 a deny rule that errs lets lookups through, and nothing can be set against it."""
    with pytest.raises(PdpOutage, match="too old"):
        binary.find(program(tmp_path / "cerbos", says), tmp_path)


@pytest.mark.parametrize("says", ["0.55.0", "0.55.12", "0.100.0", "1.0.0", "v0.56.0-rc1"])
def test_a_newer_binary_is_taken(tmp_path: Path, says: str) -> None:
    """0.55 and all that follow are taken; what they really do is for the canaries to say."""
    assert says.removeprefix("v") == binary.find(program(tmp_path / "cerbos", says), tmp_path).version


@pytest.mark.parametrize("says", ["", "hello", "Usage: cerbos 0.55.0"])
def test_a_program_that_names_no_version_is_refused(tmp_path: Path, says: str) -> None:
    """What does not answer as Cerbos does is not taken for it."""
    with pytest.raises(PdpOutage, match="names no version"):
        binary.find(program(tmp_path / "cerbos", says), tmp_path)


def test_an_explicit_binary_is_never_replaced(tmp_path: Path) -> None:
    """A missing binary that was named is an error, though another stands beside the project."""
    with pytest.raises(PdpOutage, match="cannot be run"):
        binary.find(tmp_path / "nowhere", ROOT)


def test_a_binary_on_path_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none named and none beside the project, PATH is searched."""
    found = program(tmp_path / "bin" / "cerbos", "0.57.1")
    monkeypatch.setenv("PATH", str(found.parent))

    assert binary.Binary(found, "0.57.1") == binary.find(None, tmp_path)


def test_nothing_found_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the npm package and its version, and warns of the other one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PdpOutage) as caught:
        binary.find(None, tmp_path)

    told = caught.value.detail
    assert all(
        word in told
        for word in (f"@cerbos/{binary.package()}", "0.55.0", "npm ci", "never the npm package `cerbos`")
    )


@pytest.mark.parametrize("mode", [0o644, 0o777, 0o775])
def test_a_packaged_binary_others_could_have_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """A node_modules above the project is trusted only as far as its file's owner and mode."""
    name = binary.package()
    program(tmp_path / "node_modules" / "@cerbos" / name / name, "0.55.0", mode=mode)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PdpOutage, match="No Cerbos binary was found"):
        binary.find(None, tmp_path)
