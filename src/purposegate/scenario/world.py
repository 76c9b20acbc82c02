"""A scenario's force on disk: settings, policies, mapping, keys and feeds in one folder, as an operator would lay them out."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from purposegate import documents
from purposegate.errors import SettingsError
from purposegate.scenario.feeds import Feeds
from purposegate.scenario.issuer import AUDIENCE, ISSUER, Issuer
from purposegate.scenario.mapping import mapping
from purposegate.scenario.records import RecordsSystem
from purposegate.scenario.story import Story

SETTINGS = "purposegate.yaml"
LEDGER = "ledger.db"
MINIMUM_FREE_MIB = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policies that a run is held against, the Cerbos that reads them, and the zone of their days."""

    folder: Path
    cerbos: Path
    zone: ZoneInfo


def zone_of(policies: Path) -> ZoneInfo:
    """The force's zone, from facts.yaml. Raises `PolicyError`."""
    return ZoneInfo(documents.read(policies / "facts.yaml", "facts").content["zone"])


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One force in a folder of its own."""

    home: Path
    policies: Policies
    story: Story
    issuer: Issuer
    feeds: Feeds
    records: RecordsSystem

    @property
    def settings(self) -> Path:
        """purposegate.yaml."""
        return self.home / SETTINGS

    @property
    def ledger(self) -> Path:
        """The serving ledger."""
        return self.home / LEDGER


def build(story: Story, home: Path, policies: Policies) -> World:
    """Write everything but the feeds' first state. Raises `SettingsError` where the policies lack a file."""
    home.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(policies.folder, home / "policies", ignore=shutil.ignore_patterns("examples"))
    except OSError as error:
        raise SettingsError(f"{policies.folder}: cannot be copied: {error.strerror}") from error
    records = list(story.records.values())
    content = mapping(records)
    _write(home / "policies" / "records.yaml", content)
    (home / "feeds").mkdir()
    issuer = Issuer(home / "jwks.json")
    _write(home / SETTINGS, _settings(story, policies))
    columns = {kind: spec["columns"] for kind, spec in content["kinds"].items()}
    return World(
        home=home,
        policies=policies,
        story=story,
        issuer=issuer,
        feeds=Feeds(story, home / "feeds", policies.zone),
        records=RecordsSystem(records, columns),
    )


def _settings(story: Story, policies: Policies) -> dict[str, Any]:
    roles = sorted({role for member in story.staff.values() for role in member.roles})
    return {
        "policies": "policies",
        "modes": {"default": "enforce"},
        "ledger": {
            "path": LEDGER,
            "origin": f"scenario.example/{story.id}",
            "minimum_free_mib": MINIMUM_FREE_MIB,
        },
        "pdp": {"binary": str(policies.cerbos)},
        "identity": {
            "jwt": {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["ES256"], "jwks": "jwks.json"},
            "roles": {role: role for role in roles},
        },
        "facts": {
            "directory": "feeds/directory.csv",
            "register": "feeds/register.csv",
            "references": "feeds/references.csv",
            "assignments": "feeds/assignments.csv",
            "reference_records": "feeds/reference_records.csv",
            "duty": "feeds/duty.csv",
            "links": {"file": "feeds/links.db"},
            # Nothing is read again by itself: the story's time, not the machine's, says when.
            "refresh_s": 86400,
        },
        "ways_forward": {
            "hand_over": "mailto:allocations@scenario.example",
            "supervisor": "mailto:supervisor@scenario.example",
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
