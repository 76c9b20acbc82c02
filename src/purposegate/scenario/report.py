"""A run's results, as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from purposegate.scenario.verdict import Verdict

COLUMNS = ("case", "lookups", "stopped", "raised", "why", "lawful", "hindered", "as expected")


def as_json(verdicts: Sequence[Verdict]) -> str:
    """One JSON object: every verdict, and the sums."""
    cases = [{**asdict(one), "as_expected": one.as_expected} for one in verdicts]
    sums = {
        "total": len(verdicts),
        "as_expected": sum(one.as_expected for one in verdicts),
        "lawful": sum(one.lawful for one in verdicts),
        "lawful_hindered": sum(one.lawful_hindered for one in verdicts),
    }
    return json.dumps({"cases": cases, **sums}, ensure_ascii=False, indent=2)


def print_table(verdicts: Sequence[Verdict], console: Console) -> None:
    """A line a case, and what was not as expected below."""
    table = Table(*COLUMNS, box=None, header_style="bold")
    for one in verdicts:
        why = ", ".join(dict.fromkeys((*one.stopped_why, one.raised_why))).strip(", ")
        table.add_row(
            one.id,
            str(one.lookups),
            _number(one.stopped_at),
            _number(one.raised_at),
            why,
            str(one.lawful),
            str(one.lawful_hindered),
            "yes" if one.as_expected else "NO",
        )
    console.print(table)
    for one in verdicts:
        for fault in one.faults:
            console.print(f"{one.id}: {fault}", markup=False, highlight=False)
        if one.lawful_hindered:
            console.print(f"{one.id}: lawful lookups hindered: {', '.join(one.lawful_why)}", markup=False)


def _number(number: int | None) -> str:
    return "never" if number is None else f"at {number}"
