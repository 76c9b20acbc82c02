"""The explanations of facts.yaml: read, and refused by line where they are no paths."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from force_files import POLICIES
from purposegate.errors import PolicyError
from purposegate.facts import explanations
from purposegate.facts.explanations import Explanations, Hop, Template

SHIPPED = POLICIES / "facts.yaml"
PATH = "principal -assigned-> case -involves-> record"


def _with(tmp_path: Path, part: dict[str, Any] | None) -> Path:
    yaml = YAML(typ="rt", pure=True)
    content = yaml.load(SHIPPED.read_text(encoding="utf-8"))
    if part is None:
        del content["explanations"]
    else:
        content["explanations"] = part
    path = tmp_path / "facts.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


def _templates(tmp_path: Path, **given: Any) -> tuple[Template, ...]:
    return explanations.load(_with(tmp_path, {"templates": {"one": given}})).templates


def test_the_shipped_templates_are_paths() -> None:
    """Each has a name of its own, and the plain assignment comes first."""
    shipped = explanations.load(SHIPPED)

    assert ("assigned-case", 14 * 86_400) == (shipped.templates[0].name, shipped.reopened_for)


def test_without_explanations_the_declared_reference_explains(tmp_path: Path) -> None:
    """As before there were any: an older facts.yaml means what it meant."""
    (only,) = explanations.load(_with(tmp_path, None)).templates

    assert ("reference-involves-record", True) == (only.name, only.only_declared)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PATH, [Hop(">assigned", "case"), Hop(">involves", "")]),
        ("principal -assigned-> record:case", [Hop(">assigned", "case")]),
        ("principal  <-led-by-  operation -of-> reference\n -on-> record", [Hop("<led-by", "operation"), Hop(">of", "reference"), Hop(">on", "")]),
    ],
)  # fmt: skip
def test_a_path_is_arrows(tmp_path: Path, path: str, expected: list[Hop]) -> None:
    """Forwards, backwards, and to records of one kind."""
    assert expected == list(_templates(tmp_path, path=path)[0].hops)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "principal",
        "principal record",
        "principal -assigned->",
        "principal -assigned-> case",
        "record -assigned-> record",
        "principal -assigned-> principal -involves-> record",
        "principal -assigned-> record -involves-> record",
        "principal -assigned- case -involves-> record",
        "principal assigned case involves record",
        "principal -Assigned-> record",
        "principal --> record",
        "principal <-a-> record",
        "principal -a-> b -c-> d -e-> f -g-> h -i-> record",
        "principal -a-> record:",
        "principal -a-> record:Person",
        "principal -a-> record record",
    ],
)
def test_what_is_no_path_is_refused_by_its_line(tmp_path: Path, path: str) -> None:
    """With what a path looks like; at most four arrows."""
    file = _with(tmp_path, {"templates": {"good": {"path": PATH}, "bad": {"path": path}}})
    with pytest.raises(PolicyError) as refused:
        explanations.load(file)
    (finding,) = refused.value.findings
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if text.strip() == "bad:")

    assert ("explanations.templates.bad.path", line + 1) == (finding.key, finding.line)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"templates": {}}, "explanations.templates"),
        ({"templates": {"Bad": {"path": PATH}}}, "explanations.templates.Bad"),
        ({"templates": {"one": {}}}, "explanations.templates.one"),
        ({"templates": {"one": {"path": PATH, "window": "PT1H"}}}, "explanations.templates.one.window"),
        ({"templates": {"one": {"path": PATH, "within": "1 hour"}}}, "explanations.templates.one.within"),
        (
            {"templates": {"one": {"path": PATH, "within": {"asigned": "PT1H"}}}},
            "explanations.templates.one.within.asigned",
        ),
        (
            {"templates": {"one": {"path": PATH, "within": {"assigned": "soon"}}}},
            "explanations.templates.one.within.assigned",
        ),
        ({"templates": {"one": {"path": PATH}}, "reopened_for": "P2W"}, "explanations.reopened_for"),
        (
            {"templates": {"one": {"path": PATH}}, "work": {"assigned": "assigned"}},
            "explanations.work.assigned",
        ),
        ({"templates": {"one": {"path": PATH}}, "work": {"updated": ["Did"]}}, "explanations.work.updated.0"),
    ],
)
def test_every_other_fault_is_named(tmp_path: Path, part: dict[str, Any], expected: str) -> None:
    """By its key."""
    with pytest.raises(PolicyError) as refused:
        explanations.load(_with(tmp_path, part))

    assert expected in [finding.key for finding in refused.value.findings]


def test_windows_are_for_all_arrows_or_by_relation(tmp_path: Path) -> None:
    """A duration alone is every arrow's."""
    whole = _templates(tmp_path, path=PATH, within="PT12H")
    apart = _templates(tmp_path, path=PATH, within={"assigned": "P1DT6H30M"})

    assert [[43_200, 43_200], [109_800, 0]] == [[hop.within for hop in one.hops] for (one,) in (whole, apart)]


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1W", "-P1D", "P1.5D", "1D", "P1D ", "PT1S", "P12345D"]
)
def test_what_is_no_duration(text: str) -> None:
    """Days, hours and minutes, whole and in that order."""
    with pytest.raises(ValueError):
        explanations.read_duration(text)


def test_templates_that_end_alike_share_their_way() -> None:
    """What they have in common is followed once."""
    case = Template(name="case", hops=(Hop(">assigned", "case"), Hop(">involves", "")))
    team = Template(name="team", hops=(Hop(">member", "team"), Hop(">on", "case"), Hop(">involves", "")))
    way = Explanations((case, team)).way("person:1")
    (steps,) = way.steps.values()

    assert ([], ["case", "case"], [True, False]) == (
        list(way.doors),
        [step.to.kind for step in steps],
        [step.is_last for step in steps],
    )
