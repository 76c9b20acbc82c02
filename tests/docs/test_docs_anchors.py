"""Every link to a heading leads to one."""

import re

import pytest

from docs_blocks import ROOT

PAGES = [
    page.relative_to(ROOT).as_posix() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
]


def anchors(page: str) -> set[str]:
    """The names that a page's headings get: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_anchors_lead_to_headings(page: str) -> None:
    """Each `page.md#heading` of the page names a heading of that page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", text)
    wanted = [((ROOT / page).parent / (target or (ROOT / page).name), name) for target, name in links]
    missing = [
        f"{target.name}#{name}"
        for target, name in wanted
        if name not in anchors(target.resolve().relative_to(ROOT).as_posix())
    ]

    assert [] == missing
