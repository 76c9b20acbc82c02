"""The published cases, encoded: the same facts, the same expectations, and each comes out as it must."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from purposegate.scenario.checking import Words
from purposegate.scenario.reading import read
from purposegate.scenario.running import run
from stories import POLICIES, ROOT

CASEBOOK = ROOT / "policies" / "examples" / "casebook"
LONG = 45
"""Cases with more lookups than this run in `make bench-casebook`, and here with --soak."""


def _load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


PUBLISHED = {case["id"]: case for case in _load(Path(__file__).with_name("published.yaml"))["cases"]}
ENCODED = {path.stem: _load(path) for path in CASEBOOK.glob("*.yaml") if not path.match("patterns-*")}
PATTERNS = sorted(path.stem for path in CASEBOOK.glob("patterns-*.yaml"))
"""Invented cases of the patterns that audits and hearings describe, each with its lawful twin; apart from what was published."""
WORDS = Words.of(POLICIES.folder)
ROLES = {"staff": "paralegal"}
"""Whom the catalogue knows by another word: a member of police staff who builds case files."""


def _relations(published: Any) -> list[str]:
    relation = published["relation"]
    return relation if isinstance(relation, list) else [relation]


def _ties(case: Any) -> Iterator[Any]:
    yield from case.get("register", ())
    yield from case.get("covert", ())


def test_every_published_case_is_encoded() -> None:
    """No case is left out and none is added under the name of the casebook."""
    assert PUBLISHED.keys() == ENCODED.keys()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_expectations_are_those_published(name: str) -> None:
    """The encoding asks of the gate exactly what the published case asks."""
    assert PUBLISHED[name]["expect"] == ENCODED[name]["expect"]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_facts_are_those_published(name: str) -> None:
    """Source, what is known, who asks, since when, and the kind of record are the published case's."""
    published, case = PUBLISHED[name], ENCODED[name]
    asker = case["staff"]["E1"]
    role = published["person"]["role"]

    assert published["source"] == case["source"]
    assert published["known"] == case["known"]
    assert published["person"]["days_in_post"] == asker["days_in_post"]
    assert [ROLES.get(role, role)] == asker["roles"]
    assert published["person"]["on_duty"] == (asker.get("duty", True) is True)
    assert {"E1"} == {one["who"] for one in case["lookups"]}
    first = case["lookups"][0]["record"]
    assert published["record"] == (first if isinstance(first, str) else first[0]).split(":")[0]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_lawful_lookups_are_those_published(name: str) -> None:
    """As many lawful lookups of the same kind of record as published, each set with its own circumstances."""
    published, case = PUBLISHED[name]["lawful"], ENCODED[name].get("lawful", [])

    assert [(one["record"], one["times"]) for one in published] == [
        ((one["record"] if isinstance(one["record"], str) else one["record"][0]).split(":")[0], one["times"])
        for one in case
    ]
    for facts, one in zip(published, case, strict=True):
        if facts.get("assigned") or facts.get("attending_incident"):
            ref = ENCODED[name]["references"][one["ref"]]
            assert "E1" in [each if isinstance(each, str) else each["staff"] for each in ref["assigned"]]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_gate_is_told_no_more_than_is_known(name: str) -> None:
    """Ties, homes, covert entries and end dates stand in the file only where the published case says that they were known."""
    known, case = PUBLISHED[name]["known"], ENCODED[name]
    dates = [
        one
        for ref in case.get("references", {}).values()
        for one in ref.get("assigned", ())
        if not isinstance(one, str)
    ]

    assert bool(case.get("covert")) == ("covert_entry" in known)
    assert bool(case.get("register")) == bool(
        {"relation_declared", "entry_added_after_the_lookups"} & {*known}
    )
    assert ("home" in case["staff"]["E1"]) == ("home_address" in known)
    assert bool(dates) == ("assignments_with_end_dates" in known)
    assert "links" not in case
    for tie in _ties(case):
        assert tie["relation"] in _relations(PUBLISHED[name])


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_misuse_has_no_reference_of_its_own(name: str) -> None:
    """Whoever misuses the system declares a reference that is open and not theirs, or a purpose that takes none."""
    case = ENCODED[name]
    for one in case["lookups"]:
        if one.get("lawful") or "ref" not in one:
            continue
        ref = case["references"][one["ref"]]
        assert "closed" not in ref
        assert "E1" not in ref.get("assigned", [])


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_has_its_lawful_twin(name: str) -> None:
    """No pattern is caught at the price of the people who do the same for their work."""
    case = _load(CASEBOOK / f"{name}.yaml")

    assert name == case["id"]
    assert case["lawful"]
    assert 0 == case["expect"].get("lawful_hindered", 0)


@pytest.mark.anyio
@pytest.mark.parametrize("name", [*sorted(PUBLISHED), *PATTERNS])
async def test_each_case_comes_out_as_expected(name: str, tmp_path: Path, soak: bool) -> None:
    """With the shipped policies every case is stopped and raised when it must be, and no lawful lookup is hindered."""
    story = read(CASEBOOK / f"{name}.yaml", POLICIES.zone, WORDS)
    if name in PUBLISHED and len(story.askings) > LONG and not soak:
        story = _shortened(story)

    found = await run(story, tmp_path, POLICIES)

    assert () == found.faults
    assert 0 == found.lawful_hindered


def _shortened(story: Any) -> Any:
    """The first lookups of a long case: what is expected of it is expected of these."""
    kept = story.askings[:LONG]
    return replace(story, askings=kept, end=kept[-1].at)
