"""The vocabulary page, the questions, the schemas and the linter speak of the same words."""

import json
import re
from typing import Any

from cerbos_world import POLICIES, ROOT
from purposegate.decision.vocabulary import ACTIONS, OBLIGATIONS, OUTPUT_KEYS, PRINCIPAL_ATTRS, RECORD_ATTRS

PAGE = (ROOT / "docs" / "policy-vocabulary.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([A-Za-z_.]+)` \| ([^|]*) \|", PAGE, re.MULTILINE))


def schema(name: str) -> dict[str, dict[str, Any]]:
    text = json.loads((POLICIES / "_schemas" / f"{name}.json").read_text(encoding="utf-8"))
    assert sorted(text["required"]) == sorted(text["properties"])
    properties: dict[str, dict[str, Any]] = text["properties"]
    return properties


def test_the_page_has_a_row_for_every_word() -> None:
    """Each attribute that is sent and each key of an output has its row, and there is no row for anything else."""
    named = {f"P.attr.{name}" for name in PRINCIPAL_ATTRS} | {f"R.attr.{name}" for name in RECORD_ATTRS}

    assert named | {"P.id", "P.roles", "R.id"} | OUTPUT_KEYS == set(ROWS)


def test_the_page_lists_the_words_of_each_attribute() -> None:
    """Where a schema closes an attribute's words, the page lists those and no others."""
    closed = {
        f"{letter}.attr.{name}": set(map(str, words))
        for letter, properties in (("P", schema("principal")), ("R", schema("record")))
        for name, value in properties.items()
        if isinstance(words := {**value, **value.get("items", {})}.get("enum"), list)
    }

    assert closed == {name: set(re.findall(r"`([^`]+)`", ROWS[name])) for name in closed}
    assert set(OBLIGATIONS) == set(re.findall(r"`([^`]+)`", ROWS["obligations"]))
    assert all(f"`{action}`" in PAGE for action in ACTIONS)


def test_the_shipped_schemas_require_the_whole_vocabulary() -> None:
    """The schemas know and require exactly what is sent."""
    assert (set(PRINCIPAL_ATTRS), set(RECORD_ATTRS)) == (set(schema("principal")), set(schema("record")))
