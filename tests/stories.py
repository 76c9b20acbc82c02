"""Scenario files for tests, and the ways to run them: in this process, and as the command."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from purposegate.decision.binary import find
from purposegate.scenario.reading import read
from purposegate.scenario.running import run
from purposegate.scenario.verdict import Verdict
from purposegate.scenario.world import Policies, zone_of

ROOT = Path(__file__).parents[1]
POLICIES = Policies(folder=ROOT / "policies", cerbos=find(None, ROOT).path, zone=zone_of(ROOT / "policies"))

SMALL: dict[str, Any] = {
    "version": 1,
    "id": "small",
    "staff": {
        "E1": {"name": "Rowan Ashdown", "roles": ["officer"], "days_in_post": 900},
        "E2": {"roles": ["supervisor"]},
    },
    "records": {
        "person": {
            "P1": {"name": "Tamsin Weld", "born": "1988-03-04"},
            "P2": {"name": "Leon Varga", "born": "1991-12-24"},
        }
    },
    "references": {
        "CR/1/24": {"kind": "case", "opened": "2023-11-01", "records": ["person:P1"], "assigned": ["E2"]},
        "CR/2/24": {"kind": "case", "opened": "2023-11-01", "records": ["person:P2"], "assigned": ["E1"]},
    },
    "lookups": [
        {
            "at": "2024-01-08T10:00",
            "who": "E1",
            "record": "person:P1",
            "purpose": "investigate.crime",
            "ref": "CR/1/24",
        }
    ],
    "lawful": [
        {
            "at": "2024-01-08T11:00",
            "who": "E1",
            "record": "person:P2",
            "purpose": "investigate.crime",
            "ref": "CR/2/24",
        }
    ],
    "expect": {},
}
"""One officer, one case of their own, and one of somebody else's."""


def story(**changes: Any) -> dict[str, Any]:
    """The small scenario with sections exchanged."""
    return SMALL | changes


def lookup(**changes: Any) -> dict[str, Any]:
    """The small scenario's lookup, changed."""
    found: dict[str, Any] = SMALL["lookups"][0] | changes
    return found


def written(folder: Path, content: dict[str, Any]) -> Path:
    """The scenario as a file."""
    path = folder / f"{content['id']}.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return path


def played(folder: Path, content: dict[str, Any]) -> Verdict:
    """What came of a scenario."""
    home = folder / "run"
    home.mkdir()
    return asyncio.run(run(read(written(folder, content), POLICIES.zone), home, POLICIES))


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """`purposegate scenario`, as somebody would type it in the repository."""
    code = "from purposegate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "scenario", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
