"""Does the gate stop and raise every published case as it must, and hinder no lawful lookup, with the shipped policies?"""

import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import summary
from purposegate.decision.binary import find
from purposegate.scenario.reading import read
from purposegate.scenario.report import print_table
from purposegate.scenario.running import run
from purposegate.scenario.verdict import Verdict
from purposegate.scenario.world import Policies, zone_of

ROOT = Path(__file__).parents[1]
CASEBOOK = ROOT / "policies" / "examples" / "casebook"


def played() -> list[Verdict]:
    """Every case of the casebook, run through the real gate."""
    folder = ROOT / "policies"
    policies = Policies(folder=folder, cerbos=find(None, ROOT).path, zone=zone_of(folder))
    stories = [
        read(path, policies.zone) for path in sorted(CASEBOOK.glob("*.yaml")) if not path.match("patterns-*")
    ]
    with tempfile.TemporaryDirectory(prefix="casebook-") as home:
        return [asyncio.run(run(story, Path(home), policies)) for story in stories]


def main() -> int:
    """Print the table and merge the figures. Returns 1 when a case is not as expected or a lawful lookup was hindered."""
    verdicts = played()
    print_table(verdicts, Console(width=200, soft_wrap=True))
    figures = {
        "casebook.total": len(verdicts),
        "casebook.as_expected": sum(one.as_expected for one in verdicts),
        "casebook.lawful": sum(one.lawful for one in verdicts),
        "casebook.lawful_hindered": sum(one.lawful_hindered for one in verdicts),
        "casebook.lawful_raised": sum(one.lawful_raised for one in verdicts),
    }
    summary.merge(figures, question="casebook")
    return int(any(not one.as_expected or one.lawful_hindered for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
