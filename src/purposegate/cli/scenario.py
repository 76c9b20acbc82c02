"""`purposegate scenario`: what the policies would have done about a case, shown on the real gate."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from purposegate.cli._ledger_query import progress_bar
from purposegate.decision.binary import find
from purposegate.errors import Finding, PolicyError, PurposegateError
from purposegate.scenario.checking import Words
from purposegate.scenario.reading import read
from purposegate.scenario.report import as_json, print_table
from purposegate.scenario.running import run
from purposegate.scenario.story import Story
from purposegate.scenario.verdict import Verdict
from purposegate.scenario.world import Policies, zone_of

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
BAD_FILE = 2
NOT_AS_EXPECTED = 1


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option(
    "--policies",
    "folder",
    default="policies",
    show_default=True,
    type=FOLDER,
    help="The policies to run against.",
)
@click.option("--cerbos", type=FILE, help="The Cerbos binary; found as the gate finds it unless given.")
@click.option("--format", "form", default="table", type=click.Choice(["table", "json"]), show_default=True)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="A new folder in which everything is left: feeds, ledger, settings.",
)
def scenario(files: tuple[Path, ...], folder: Path, cerbos: Path | None, **output: Any) -> None:
    """Run each scenario FILE through the real gate, and compare what came of it with what it expects.

    Exits 0 when all is as expected, 1 when it is not or a run failed, 2 when a file is wrong (each fault with its line).
    """
    try:
        policies = Policies(folder=folder, cerbos=find(cerbos, Path.cwd()).path, zone=zone_of(folder))
        stories = _read(files, policies)
    except PolicyError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_FILE)
    keep: Path | None = output["keep"]
    with ExitStack() as stack:
        if keep is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scenario-")))
        else:
            keep.mkdir(parents=True)
            home = keep.resolve()
        verdicts = list(_played(stories, home, policies))
    if output["form"] == "json":
        click.echo(as_json(verdicts))
    else:
        print_table(verdicts, Console(width=200, soft_wrap=True))
    is_fine = len(verdicts) == len(stories) and all(one.as_expected for one in verdicts)
    sys.exit(0 if is_fine else NOT_AS_EXPECTED)


def _read(files: tuple[Path, ...], policies: Policies) -> list[Story]:
    """Every file, or `PolicyError` with the faults of all that are wrong."""
    stories: list[Story] = []
    faults: list[Finding] = []
    words = Words.of(policies.folder)
    for path in files:
        try:
            stories.append(read(path, policies.zone, words))
        except PolicyError as error:
            faults.extend(error.findings)
    ids = [story.id for story in stories]
    if faults:
        raise PolicyError(faults)
    if len(set(ids)) != len(ids):
        raise click.UsageError("two files have one id; give each scenario its own")
    return stories


def _played(stories: list[Story], home: Path, policies: Policies) -> Iterator[Verdict]:
    """The verdict of every run; one that failed is said by its id, and the others go on."""
    for story in stories:
        try:
            yield _run(story, home, policies)
        except PurposegateError as error:
            click.echo(f"{story.id}: the run failed: {error}\n{error.remedy}", err=True)


def _run(story: Story, home: Path, policies: Policies) -> Verdict:
    if not sys.stderr.isatty():
        return asyncio.run(run(story, home, policies))
    with progress_bar(story.id) as progress:
        return asyncio.run(run(story, home, policies, progress))
