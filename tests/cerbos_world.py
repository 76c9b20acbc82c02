"""Real Cerbos for tests: where the binary is, questions with usual values, policies written for one trap."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from purposegate.decision.binary import find
from purposegate.model import Question

ROOT = Path(__file__).parents[1]
POLICIES = ROOT / "policies" / "cerbos"
CERBOS = find(None, ROOT).path

USUAL = Question(
    principal_id="p-1001",
    roles=("officer",),
    unit="CID",
    tenure="settled",
    on_duty=True,
    action="view",
    kind="person",
    record_id="",
    purpose="investigate.crime",
    purpose_family=("investigate", "investigate.crime"),
    entitled=True,
    break_glass=False,
    ref_state="assigned",
    explained_by=(),
    repeat="first",
    originator="none",
    recipient="none",
)
"""An allocated investigation, viewed for the first time: the shipped policies allow it."""


def rule(
    name: str,
    effect: str,
    *,
    expr: str = "",
    output: str = "",
    roles: tuple[str, ...] = ("*",),
    actions: tuple[str, ...] = ("view",),
) -> dict[str, Any]:
    """One rule of a resource policy."""
    written: dict[str, Any] = {"actions": list(actions), "effect": f"EFFECT_{effect}", "roles": list(roles)}
    if name:
        written["name"] = name
    if expr:
        written["condition"] = {"match": {"expr": expr}}
    if output:
        written["output"] = {"when": {"ruleActivated": output}}
    return written


def policy(kind: str, *rules: dict[str, Any], **more: Any) -> str:
    """A resource policy as JSON, which is YAML."""
    body = {"version": "default", "resource": kind, "rules": list(rules), **more}
    return json.dumps({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": body})


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write files below a directory."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


@contextmanager
def foreign_cerbos(directory: Path, policies: Path, **settings: Any) -> Iterator[str]:
    """Somebody else's Cerbos on a Unix socket below `directory`, fit unless `settings` say otherwise: its address."""
    directory.mkdir(parents=True, exist_ok=True)
    address = settings.pop("address", f"unix:{directory / 'foreign.sock'}")
    config = {
        "server": {"httpListenAddr": f"unix:{directory / 'http.sock'}", "grpcListenAddr": address}
        | settings.pop("server", {}),
        "engine": {"strictEvaluation": True},
        "schema": {"enforcement": "reject"},
        "telemetry": {"disabled": True},
        "storage": {"driver": "disk", "disk": {"directory": str(policies), "watchForChanges": False}},
    } | settings
    (directory / "foreign.json").write_text(json.dumps(config))
    command = [
        str(CERBOS),
        "server",
        f"--config={directory / 'foreign.json'}",
        "--log-level=info",
        "--debug-listen-addr=",
    ]
    with (
        (directory / "foreign.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            until = monotonic() + 20
            while b"Starting gRPC server" not in (directory / "foreign.log").read_bytes():
                if process.poll() is not None or monotonic() > until:
                    raise RuntimeError((directory / "foreign.log").read_text())
                sleep(0.02)
            yield address
        finally:
            process.kill()
