"""The reasons page says what the code does, and the answers shown on other pages are the code's own."""

import json

import pytest

from docs_blocks import ROOT, blocks
from docs_reasons import LOOKUP_ID, PAGE, page
from purposegate.enforcement.refusal import WaysForward, problem, refused
from purposegate.exchange import Reply
from purposegate.reasons import Reason

WAYS = WaysForward(
    hand_over="mailto:allocations@northam.example", supervisor="mailto:duty-supervisor@northam.example"
)
LINKS = WAYS.links(breaks_glass=True)


def test_reasons_page_is_the_codes() -> None:
    """docs/reasons.md is what `python tests/docs_reasons.py` writes: every reason, status and wording."""
    assert page() == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("docs/life-of-a-lookup.md", refused(lookup_id=LOOKUP_ID, links=LINKS)),
        ("docs/operator.md", problem(Reason.REGISTER_STALE, lookup_id=LOOKUP_ID, links=LINKS)),
    ],
    ids=["refusal", "outage"],
)
def test_problem_shown_is_the_codes(name: str, reply: Reply) -> None:
    """The problem document that a page shows is the one the gate sends, member for member."""
    [shown] = [
        json.loads(each.text)
        for each in blocks(name, (ROOT / name).read_text(encoding="utf-8"))
        if each.language == "json" and '"instance"' in each.text
    ]

    assert json.loads(reply.body) == shown
