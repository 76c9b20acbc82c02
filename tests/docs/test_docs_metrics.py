"""The operator's page names every metric, span and attribute of telemetry.py, with its unit, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs_blocks import ROOT
from purposegate import telemetry

PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
METRIC = re.compile(
    r"^\| `(purposegate\.[a-z_.]+)` \| (counter|histogram|gauge) \| `([^`]+)` \| (.+) \|$", re.MULTILINE
)
OTHER = re.compile(r"^\| `(purposegate\.[a-z_.]+)` \| (?!counter |histogram |gauge )", re.MULTILINE)


def created() -> Iterator[tuple[str, str, str, str]]:
    """Name, sort, unit and description of each instrument, from the source: the API does not tell them."""
    source = Path(telemetry.__file__).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            sort = node.func.attr.removeprefix("create_")
            if sort != node.func.attr:
                said = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
                yield ast.literal_eval(node.args[0]), sort, said["unit"], said["description"]


def test_metrics_are_the_codes() -> None:
    """Each instrument has its row: name, sort, unit and what it counts."""
    assert sorted(created()) == sorted(METRIC.findall(PAGE))


def test_spans_and_attributes_are_the_codes() -> None:
    """Each span and attribute name has its row."""
    names = {value for name, value in vars(telemetry).items() if name.startswith(("SPAN_", "ATTR_"))}

    assert sorted(names) == sorted(OTHER.findall(PAGE))
