"""Finds the Cerbos binary and says what is wrong with it.

0.55 is the oldest that can be fit: before it a deny rule whose condition errs lets the lookup through, and nothing
turns that off (`engine.strictEvaluation` stops an older server from starting).
"""

import os
import platform
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from purposegate.errors import PdpOutage
from purposegate.reasons import Reason

MINIMUM = (0, 55, 0)
PACKAGED = "0.55.0"
"""The version that policies and tests were run against."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_ASKING_S = 20.0
"""A cold 100 MB binary on a loaded disk takes seconds to print its version."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A Cerbos binary new enough to be fit."""

    path: Path
    version: str


def package() -> str:
    """The npm package with the binary for this machine: `@cerbos/cerbos-linux-x64` and its siblings."""
    machine = platform.machine().lower()
    arch = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)
    return f"cerbos-{platform.system().lower()}-{arch}"


def remedy() -> str:
    """How to get a fit binary, in one sentence."""
    return (
        f"Install npm's @cerbos/{package()} at {PACKAGED} (`npm ci` where package-lock.json stands; never the npm package "
        f"`cerbos`, which is older), or put `cerbos` 0.55 or newer on PATH, or name it by its path."
    )


def _unfit(what: str) -> PdpOutage:
    return PdpOutage(Reason.PDP_UNAVAILABLE, f"{what} {remedy()}")


def version_of(text: str) -> tuple[int, int, int] | None:
    """The version that `cerbos --version` or ServerInfo names; None if it names none."""
    found = _VERSION.match(text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def require_fit(name: str, version: str) -> None:
    """Refuse a Cerbos that is too old to evaluate strictly. Raises `PdpOutage`."""
    parsed = version_of(version)
    if parsed is None:
        raise _unfit(f"{name} names no version.")
    if parsed < MINIMUM:
        raise _unfit(f"{name} is {'.'.join(map(str, parsed))}: too old to deny when a deny rule errs.")


@lru_cache(maxsize=8)
def _says(path: Path, _size: int, _changed_ns: int) -> str:
    """The first line of `--version`; asked once for each state of the file: a 100 MB program is slow to load."""
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own binary, no shell
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_ASKING_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise _unfit(f"{path.name} cannot be run: {error.strerror}.") from error
    except subprocess.SubprocessError as error:
        raise _unfit(f"{path.name} does not answer --version.") from error
    return (done.stdout.splitlines() or [""])[0].strip()


def inspect(path: Path) -> Binary:
    """Ask one binary for its version. Blocks; raises `PdpOutage` if it cannot run or is older than 0.55."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unfit(f"{path.name} cannot be run: {error.strerror}.") from error
    says = _says(path, found.st_size, found.st_mtime_ns)
    require_fit(path.name, says)
    return Binary(path, says.removeprefix("v"))


def _ours(path: Path) -> bool:
    """Whether only this account or root could have put the file there: a stray node_modules must not run as the gate."""
    found = path.stat()
    return found.st_uid in {0, os.geteuid()} and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def beside(start: Path) -> Path | None:
    """The npm package's binary in the nearest node_modules at or above `start`."""
    name = package()
    for directory in (start, *start.parents):
        candidate = directory / "node_modules" / "@cerbos" / name / name
        if candidate.is_file() and os.access(candidate, os.X_OK) and _ours(candidate):
            return candidate
    return None


def find(explicit: Path | None, project: Path) -> Binary:
    """The binary to use: `explicit`, else the npm package beside `project`, else `cerbos` on PATH.

    Blocks. Raises `PdpOutage` that says what is missing and how to get it; an explicit binary that is unfit is never
    replaced by another.
    """
    if explicit is not None:
        return inspect(explicit)
    packaged = beside(project.resolve())
    if packaged is not None:
        return inspect(packaged)
    on_path = shutil.which("cerbos")
    if on_path is not None:
        return inspect(Path(on_path))
    raise _unfit("No Cerbos binary was found.")
