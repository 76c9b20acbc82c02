"""Figures of all benchmarks in one file: a flat map from figure name to number, beside what it was measured on."""

import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "summary.json"

FIGURE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
PACKAGES = ("apsw", "cerbos", "granian", "grpcio", "orjson", "rapidfuzz", "starlette", "uvloop")
"""What moves the figures; the rest of the lock is named by the commit."""


def merge(figures: Mapping[str, float], *, question: str, path: Path = RESULTS) -> None:
    """Put one benchmark's figures into the summary, in place of all that it put there before.

    Names are lower-case words joined by dots; numbers are finite. Raises `ValueError` otherwise, or where another
    question already owns a name; then nothing is written. The file is replaced in one step.
    """
    if wrong := [name for name in figures if not FIGURE.fullmatch(name)]:
        raise ValueError(f"figure names are lower-case words joined by dots: {', '.join(wrong)}")
    if wrong := [name for name, figure in figures.items() if not math.isfinite(figure)]:
        raise ValueError(f"not a number that was measured: {', '.join(wrong)}")
    summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"figures": {}, "runs": {}}
    kept = {name: run for name, run in summary["runs"].items() if name != question}
    if taken := [name for run in kept.values() for name in run["figures"] if name in figures]:
        raise ValueError(f"measured by another question: {', '.join(taken)}")
    owned = {name for run in kept.values() for name in run["figures"]}
    now, commit = datetime.now(UTC).isoformat(timespec="seconds"), measured_commit()
    others = {name: figure for name, figure in summary["figures"].items() if name in owned}
    run = {"date": now, "commit": commit, "figures": sorted(figures)}
    _replace(
        path,
        {
            "machine": machine(),
            "versions": versions(),
            "commit": commit,
            "date": now,
            "figures": dict(sorted((others | dict(figures)).items())),
            "runs": dict(sorted((kept | {question: run}).items())),
        },
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, flags=re.MULTILINE)
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages * page_bytes / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of what moves the figures, Cerbos itself included."""
    npm = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    pdp = npm["dependencies"]["@cerbos/cerbos-linux-x64"]
    return {"cerbos-pdp": pdp} | {package: version(package) for package in PACKAGES}


def measured_commit() -> str:
    """The commit that was measured, marked where the tree held more than it."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "policies", "benchmarks/*.py", "requirements")
    return f"{head}-changed" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _replace(path: Path, summary: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
