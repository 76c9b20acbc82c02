"""The settings page has a row for every key of the schema and no other, with the default that the code has."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from docs_blocks import ROOT, blocks
from purposegate import settings

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_.<>]+)` \| `?([^`|]+?)`? \| (?:reload|start) \|", PAGE, re.MULTILINE))
NAMES = {"modes": "<kind>", "identity.roles": "<name>"}
"""Maps whose keys the force chooses, and what the page calls such a key."""


def schema() -> dict[str, Any]:
    """The settings' schema as it ships."""
    text = (resources.files("purposegate") / "schemas" / "settings.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def keys(node: Mapping[str, Any], path: str = "", *, needed: bool = True) -> Iterator[tuple[str, bool]]:
    """Every key that holds a value, dotted, and whether the file must say it."""
    if path in NAMES:
        yield f"{path}.{NAMES[path]}", needed
    elif "properties" in node:
        for name, below in node["properties"].items():
            inner = needed and name in node.get("required", ())
            yield from keys(below, f"{path}.{name}".lstrip("."), needed=inner)
    else:
        yield path, needed


def test_every_key_has_a_row() -> None:
    """The page's rows are the schema's keys, no more and no fewer."""
    assert sorted(path for path, _ in keys(schema())) == sorted(ROWS)


def test_required_keys_are_marked() -> None:
    """A row says `required` exactly where the schema does."""
    wanted = {path for path, needed in keys(schema()) if needed}

    assert wanted == {path for path, default in ROWS.items() if default == "required"}


def test_defaults_are_the_codes(tmp_path: Path) -> None:
    """Each default on the page is what the smallest file on the page gives."""
    smallest = next(each for each in blocks("settings.md", PAGE) if each.language == "yaml")
    path = tmp_path / "settings.yaml"
    path.write_text(smallest.text, encoding="utf-8")
    read = settings.load(path)
    defaults = {
        "declaration.header": read.header,
        "ledger.minimum_free_mib": read.ledger.minimum_free_mib,
        "pdp.shared": str(read.pdp.shared).lower(),
        "pdp.deadline_s": read.pdp.deadline_s,
        "identity.jwt.id_claim": read.jwt.id_claim,
        "identity.jwt.roles_claim": read.jwt.roles_claim,
        "identity.jwt.leeway_s": read.jwt.leeway_s,
        "facts.refresh_s": read.facts.refresh_s,
        "facts.least_share": read.facts.least_share,
        "limits.refusals_per_minute": read.refusals_per_minute,
        "limits.refill_pages": read.refill_pages,
        "limits.cursor_lifetime_s": read.cursor_lifetime_s,
        "ledger.witness_every_s": read.ledger.witness_every_s,
        "ledger.max_unwitnessed_s": read.ledger.max_unwitnessed_s,
        "ledger.when_unwitnessed": "stop" if read.ledger.stop_when_unwitnessed else "record",
        "ledger.monitor_without_ledger": "pass" if read.ledger.monitor_without_ledger else "refuse",
    }

    assert {path: str(value) for path, value in defaults.items()} == {path: ROWS[path] for path in defaults}
