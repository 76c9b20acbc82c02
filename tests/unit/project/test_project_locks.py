"""The locks hold what pyproject.toml asks for, whole, and say nothing of where they were made."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PROJECT["dependency-groups"]


def pinned(lock: Path) -> dict[NormalizedName, str]:
    """Name to version, of every `name==version` line."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(m[1]): m[2] for line in lines if (m := re.match(r"([\w.-]+)==(\S+)", line))}


def group(name: str) -> list[str]:
    """A dependency group's requirements, includes followed."""
    return [
        requirement
        for item in GROUPS[name]
        for requirement in (group(item["include-group"]) if isinstance(item, dict) else [item])
    ]


def unmet(requirements: list[str], lock: Path) -> list[str]:
    """The requirements that a lock does not satisfy."""
    versions = pinned(lock)
    parsed = [Requirement(text) for text in requirements]
    return [
        str(r)
        for r in parsed
        if not r.specifier.contains(versions.get(canonicalize_name(r.name), "0"), prereleases=True)
    ]


def test_development_lock_is_current() -> None:
    """Each dependency, extra and development group is in requirements/dev.txt; if not, run `make lock`."""
    project = PROJECT["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["demo"] + group("dev")

    assert [] == unmet(wanted, ROOT / "requirements/dev.txt")


def test_peers_lock_is_current() -> None:
    """The suite of another project runs with the product's own dependencies; if not, run `make lock`."""
    wanted = PROJECT["project"]["dependencies"] + group("peers-starlette")

    assert [] == unmet(wanted, ROOT / "requirements/peers-starlette.txt")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes(lock: Path) -> None:
    """No line of a lock stands without a hash, and no option or address comes with it."""
    text = re.sub(r"#.*", "", lock.read_text(encoding="utf-8"))
    entries = re.split(r"\n(?=\S)", text.strip().replace("\\\n", " "))

    assert entries
    assert [] == [
        entry for entry in entries if not re.match(r"[\w.-]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry)
    ]
    assert [] == re.findall(r"\S*://\S*|--(?!hash=)\S+", text)


def test_npm_lock_names_no_registry() -> None:
    """package-lock.json checks integrity and leaves the registry to the machine."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    packages.pop("")

    assert {"node_modules/@cerbos/cerbos-linux-x64": "0.55.0", "node_modules/axe-core": "4.14.1"} == {
        name: package["version"] for name, package in packages.items()
    }
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
