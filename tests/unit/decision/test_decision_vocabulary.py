"""The vocabulary page, the questions, the schemas and the linter speak of the same words."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cerbos_world import CERBOS, POLICIES, ROOT, USUAL
from purposegate.decision import ManagedDecider, lint
from purposegate.decision.vocabulary import ACTIONS, OBLIGATIONS, OUTPUT_KEYS, PRINCIPAL_ATTRS, RECORD_ATTRS
from purposegate.judge import judge
from purposegate.model import Obligation

pytestmark = pytest.mark.anyio

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


async def test_the_page_s_example_does_what_it_says(tmp_path: Path) -> None:
    """Vehicles open at the roadside and people do not; a second look is asked about, a lapsed training refuses."""
    policies = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    example = re.search(
        r"```yaml\n# file: policies/cerbos/(resource_policies/record\.yaml)\n(.*?)```", PAGE, re.DOTALL
    )
    assert example is not None
    (policies / example[1]).write_text(example[2], encoding="utf-8")
    stop = replace(USUAL, kind="vehicle", purpose="stop.vehicle", purpose_family=("stop", "stop.vehicle"))
    asked = [
        stop,
        replace(stop, kind="person"),
        replace(stop, repeat="few"),
        replace(stop, training="expired"),
    ]
    decider = ManagedDecider(policies, binary=CERBOS, deadline_s=5.0)
    await decider.start()
    try:
        ruling = await decider.decide(asked, lookup_id="1")
    finally:
        await decider.aclose()
    told = [
        judge(answer, (), allow_rules=ruling.allow_rules, fulfilled=frozenset(Obligation))
        for answer in ruling.answers
    ]

    assert [] == lint.findings(policies)
    assert [True, False, True, False] == [one.released for one in told]
    assert [{"flag"}, {"flag", "justify"}] == [set(told[0].obligations), set(told[2].obligations)]
