"""`purposegate watch`: covert entries against a shipped copy of the ledger, in a world of its own (law 6)."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.table import Table

from purposegate.cli._ledger_query import FILE, GIVEN, reading_options, system_user
from purposegate.conflicts import relations
from purposegate.errors import PurposegateError
from purposegate.ledger.policy import Policy
from purposegate.ledger.reading import ReadingDeclared
from purposegate.review.watcher.store import Hit
from purposegate.review.watcher.watching import Watcher

LIST = (
    "hit",
    "staff_id",
    "record",
    "at",
    "purpose",
    "ref",
    "relation",
    "tier",
    "timing",
    "knowledge",
    "ledger",
)

SHOWN = (
    *(
        "entry",
        "relation",
        "staff_id",
        "principal",
        "whose",
        "record",
        "at",
        "action",
        "released",
        "purpose",
        "ref",
        "reason",
    ),
    *("tier", "score_bits", "timing", "knowledge", "ledger", "row", "lookup", "model"),
)


def _zone(_: click.Context, __: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.BadParameter("want a zone of the IANA database, such as Europe/London") from error


def home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that works in a watcher's home."""
    for option in (
        click.option(
            "--zone", default="Europe/London", show_default=True, callback=_zone, help="Whose days dates are."
        ),
        click.option(
            "--conflicts", "conflicts_file", required=True, type=GIVEN, help="The force's conflicts.yaml."
        ),
        click.option(
            "--home",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="The watcher's own folder, of mode 0700.",
        ),
    ):
        command = option(command)
    return command


def _watcher(home: Path, conflicts_file: Path, zone: ZoneInfo) -> Watcher:
    return Watcher(home, relations.load(conflicts_file), zone=zone)


def _reading(asked: dict[str, Any]) -> ReadingDeclared:
    return ReadingDeclared(asked["reader"], system_user(), asked["purpose"], asked["reason"], asked["ref"])


@click.group()
def watch() -> None:
    """Match covert entries against a copy of the ledger. Run it on a machine that serves no lookups."""


@watch.command("import")
@click.argument("path", type=GIVEN)
@home_options
@reading_options
def import_(path: Path, home: Path, conflicts_file: Path, zone: ZoneInfo, **asked: Any) -> None:
    """Take the entries in PATH, CSV or JSON Lines with the register's columns: all, or none and every fault by line.

    An entry replaces the one that has its id. What no longer stands in the file stays; end it with valid_to.
    """
    new, changed = _watcher(home, conflicts_file, zone).take(path, _reading(asked))
    click.echo(f"{new} new, {changed} changed")


@watch.command()
@home_options
@click.option("--ledger", required=True, type=FILE, help="The shipped copy; never the serving database.")
@click.option("--keys", "key_file", required=True, type=FILE, help="The ledger's key file.")
@click.option(
    "--policy", "policy_file", type=GIVEN, help="Trusted logs and witnesses (c2sp.org/tlog-policy)."
)
@click.option(
    "--every",
    default=300.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between cycles.",
)
@click.option("--once", is_flag=True, help="One cycle; exit 1 if the copy is refused.")
def run(
    home: Path, conflicts_file: Path, zone: ZoneInfo, ledger: Path, key_file: Path, **options: Any
) -> None:
    """Read what is new in the copy and match it, on a fixed schedule, whether or not there are entries.

    A copy that is refused is said on standard error, and looked at again in the next cycle.
    """
    watcher = _watcher(home, conflicts_file, zone)
    policy_file: Path | None = options["policy_file"]
    policy = Policy.parse(policy_file.read_bytes()) if policy_file else None

    def cycle() -> None:
        done = watcher.cycle(ledger, key_file, policy)
        unread = f", {done.unread} could not be opened" if done.unread else ""
        click.echo(f"{_now()} {done.read} ledger entries read{unread}, {done.hits} new hits")

    if options["once"]:
        cycle()
        return
    every: float = options["every"]
    began, number = time.monotonic(), 0
    while True:
        try:
            cycle()
        except PurposegateError as error:
            click.echo(f"{_now()} {error}\n{error.remedy}", err=True)
        # The schedule stands whatever a cycle took; one that overran leaves out the beats it missed.
        number = max(number + 1, int((time.monotonic() - began) / every) + 1)
        time.sleep(max(0.0, began + number * every - time.monotonic()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@watch.command()
@click.argument("shard")
@home_options
@reading_options
def restored(shard: str, home: Path, conflicts_file: Path, zone: ZoneInfo, **asked: Any) -> None:
    """Accept that SHARD was restored from a back-up, so that a copy shorter than the last one is read again.

    Ask first who restored it, when, and what is missing: this is also what hiding a lookup would look like.
    """
    known = _watcher(home, conflicts_file, zone).restored(shard, _reading(asked))
    click.echo(
        f"{shard}: {known.size} entries had been read, root {known.root.hex()}; the next copy counts as a first one"
    )


@watch.command("list")
@home_options
@click.option("--format", "form", default="table", type=click.Choice(["table", "json"]), show_default=True)
@reading_options
def list_(home: Path, conflicts_file: Path, zone: ZoneInfo, form: str, **asked: Any) -> None:
    """List all hits. That it was read is in the watcher's chain first."""
    found, receipt = _watcher(home, conflicts_file, zone).hits(_reading(asked))
    if form == "json":
        for hit in found:
            click.echo(json.dumps({"hit": hit.number, **hit.body}, ensure_ascii=False))
    else:
        table = Table(*LIST, box=None, header_style="bold")
        for hit in found:
            table.add_row(*(_cell(hit, column) for column in LIST))
        Console(width=200, soft_wrap=True).print(table)
    click.echo(
        f"{len(found)} hits; this reading is entry {receipt.shard}/{receipt.index} of the chain", err=True
    )


def _cell(hit: Hit, column: str) -> str:
    if column == "hit":
        return str(hit.number)
    value = hit.body[column]
    return "/".join(value) if isinstance(value, list) else str(value)


@watch.command()
@click.argument("number", type=click.IntRange(min=1))
@home_options
@reading_options
def show(number: int, home: Path, conflicts_file: Path, zone: ZoneInfo, **asked: Any) -> None:
    """Show one hit with the table that explains its score. That it was read is in the watcher's chain first."""
    found, receipt = _watcher(home, conflicts_file, zone).hits(_reading(asked), number=number)
    if not found:
        raise click.UsageError(f"there is no hit {number}")
    for hit in found:
        for name in SHOWN:
            click.echo(f"{name:14} {_cell(hit, name)}")
        for field, bits in hit.body["table"]:
            click.echo(f"  {field:24} {bits:+.2f}")
    click.echo(f"this reading is entry {receipt.shard}/{receipt.index} of the chain", err=True)
