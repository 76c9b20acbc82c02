"""The legal page's table is the profiles': each law, field, operation, place and source, and no other."""

from docs_blocks import ROOT
from purposegate.ledger.regimes import REGIMES

PAGE = (ROOT / "docs" / "legal.md").read_text(encoding="utf-8")
HEADING = "| law | wants | of | an entry answers in | source |\n|---|---|---|---|---|\n"


def test_table_is_the_profiles() -> None:
    """Row by row, in the profiles' order."""
    wanted = [
        f"| `{regime.name}` | {each.name} | {', '.join(sorted(each.operations)) or 'every operation'}"
        f" | {', then '.join(f'`{path}`' for path in each.where)} | {each.source} |"
        for regime in REGIMES.values()
        for each in regime.fields
    ]

    assert wanted == PAGE.partition(HEADING)[2].partition("\n\n")[0].splitlines()
