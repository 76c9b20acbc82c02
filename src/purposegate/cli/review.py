"""`purposegate review`: the work list of professional standards. Reading it is a lookup and leaves an entry (law 11)."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import click
from rich.console import Console
from rich.table import Table

from purposegate.cli._ledger_query import (
    FILE,
    LEDGER,
    located,
    progress_bar,
    reading_options,
    ring_of,
    system_user,
)
from purposegate.ledger.durable import Limits
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.location import Location
from purposegate.ledger.reading import ReadingDeclared, declare
from purposegate.ledger.store import Reader
from purposegate.review.opening import open_store
from purposegate.review.rebuild import rebuild as build_again
from purposegate.review.terms import Terms
from purposegate.review.work_index import WorkIndex
from purposegate.review.work_list import DISPOSITIONS, MOST_ROWS, Line, WorkList, disposed

ENDING = ".worklist"
COLUMNS = ("group", "score", "principal", "about", "lookups", "last", "disposition", "why")
ROW_COLUMNS = ("entry", "time", "score", "record", "reasons", "disposition", "why")
WIDE = 200
TERMS = Terms()


class Desk(NamedTuple):
    """One ledger's work list, open for one command."""

    location: Location
    reader: Reader
    ring: KeyRing
    work: WorkList
    now: datetime


@click.group()
def review() -> None:
    """Go through what the gate raised, group by group, and say what became of it."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of every command here."""
    for option in (
        reading_options,
        click.option(
            "--countersign-hours",
            default=TERMS.countersign_hours,
            show_default=True,
            type=click.IntRange(1, 720),
            help="As in the settings: when an originator's answer is overdue.",
        ),
        click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given."),
        click.argument("path", type=LEDGER),
    ):
        command = option(command)
    return command


def _reading(asked: dict[str, Any]) -> ReadingDeclared:
    reading = ReadingDeclared(
        asked.pop("reader"), system_user(), asked.pop("purpose"), asked.pop("reason"), asked.pop("ref")
    )
    reading.require()
    return reading


@contextmanager
def _open(path: str | Path, key_file: Path | None, countersign_hours: int) -> Iterator[Desk]:
    """The work list, brought up to what the ledger holds now."""
    location = located(path, key_file)
    terms = Terms(countersign_hours=countersign_hours)
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        index = WorkIndex(location.beside(ENDING), reader, ring, terms)
        try:
            with progress_bar("reading") as progress:
                index.catch_up(progress)
            yield Desk(location, reader, ring, WorkList(index, reader, ring, terms), datetime.now(UTC))
        finally:
            index.close()
    finally:
        reader.close()


@review.command("list")
@_common
@click.option("--all", "closed", is_flag=True, help="Also what was closed.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Groups shown.")
@click.option(
    "--format", "form", default="table", type=click.Choice(["table", "json", "csv"]), show_default=True
)
def list_(
    path: str | Path,
    key_file: Path | None,
    countersign_hours: int,
    form: str,
    *,
    closed: bool,
    limit: int,
    **asked: Any,
) -> None:
    """List the groups of the ledger at PATH, the heaviest first: one principal and one data subject each.

    The reading is recorded in the ledger before anything is shown.
    """
    reading = _reading(asked)
    with _open(path, key_file, countersign_hours) as desk:
        groups = desk.work.index.groups(now=desk.now, limit=limit, closed=closed)
        shown = []
        for group in groups:
            lines = desk.work.lines(group, now=desk.now, limit=1, closed=closed)
            shown.append(
                {
                    "group": group.id,
                    "score": group.score,
                    "principal": _principal(lines),
                    "about": desk.work.about(group, now=desk.now),
                    "lookups": group.lookups,
                    "first": _time(group.first),
                    "last": _time(group.last),
                    "disposition": " ".join(group.dispositions),
                    "why": lines[0].plain()["why"] if lines else "",
                }
            )
        receipt = declare(
            desk.location,
            desk.reader.meta,
            reading,
            {"work_list": f"{len(shown)} groups", "closed": str(closed)},
        )
    _print(shown, COLUMNS, form)
    click.echo(f"{len(shown)} groups; this reading is entry {receipt.shard}/{receipt.index}", err=True)


@review.command()
@_common
@click.argument("group")
@click.option(
    "--format", "form", default="table", type=click.Choice(["table", "json", "csv"]), show_default=True
)
def show(
    path: str | Path, key_file: Path | None, countersign_hours: int, group: str, form: str, **asked: Any
) -> None:
    """Show every row of GROUP, open or closed, with the entries that made them."""
    reading = _reading(asked)
    with _open(path, key_file, countersign_hours) as desk:
        found = desk.work.index.group(group, now=desk.now)
        lines = desk.work.lines(found, now=desk.now, closed=True)
        about = desk.work.about(found, now=desk.now)
        receipt = declare(desk.location, desk.reader.meta, reading, {"work_list": f"group {group}"})
    if form == "table":
        click.echo(f"{_principal(lines)} and {about}: {len(lines)} rows, weight {found.score:g}")
    _print([_row(line, form) for line in lines], ROW_COLUMNS, form)
    click.echo(f"{len(lines)} rows; this reading is entry {receipt.shard}/{receipt.index}", err=True)


@review.command()
@_common
@click.argument("group")
@click.option("--disposition", required=True, type=click.Choice(DISPOSITIONS), help="What became of it.")
@click.option("--note", required=True, help="What was found, in a sentence.")
def close(
    path: str | Path,
    key_file: Path | None,
    countersign_hours: int,
    group: str,
    *,
    disposition: str,
    note: str,
    **asked: Any,
) -> None:
    """Say what became of every row of GROUP so far. Rows that come later stand open again."""
    reading = _reading(asked)
    with _open(path, key_file, countersign_hours) as desk:
        found = desk.work.index.group(group, now=desk.now)
        lines = desk.work.lines(found, now=desk.now, closed=True)
        fields = {
            "principal": reading.reader,
            "system_user": reading.system_user,
            "purpose": reading.purpose,
            "reason": reading.reason,
            "ref": reading.ref,
            "note": note,
        }
        entry = disposed(
            lines, found, lookup_id=str(uuid4()), at=desk.now, disposition=disposition, fields=fields
        )
        origin = desk.reader.meta["origin"].decode()
        with desk.location.open(origin=origin, limits=Limits(ballast_bytes=0)) as ledger:
            receipt = ledger.append_wait(entry)
    rest = f"; the heaviest {MOST_ROWS} only, run it again" if len(lines) == MOST_ROWS else ""
    click.echo(f"{len(lines)} rows: {disposition}{rest}; entry {receipt.shard}/{receipt.index}")


@review.command()
@click.argument("path", type=LEDGER)
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@click.option(
    "--countersign-hours", default=TERMS.countersign_hours, show_default=True, type=click.IntRange(1, 720)
)
def rebuild(path: str | Path, key_file: Path | None, countersign_hours: int) -> None:
    """Make what stands beside the ledger at PATH anew from its entries: open matters, and the work list.

    Nothing is shown, so nothing is entered. Running gates may go on; what they decide meanwhile may be a step behind.
    """
    location = located(path, key_file)
    terms = Terms(countersign_hours=countersign_hours)
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        reader.hold()
        store = open_store(location)
        try:
            with progress_bar("matters") as progress:
                matters = build_again(store, reader, ring, terms, progress)
        finally:
            store.close()
        for leftover in location.beside(ENDING).parent.glob(location.beside(ENDING).name + "*"):
            leftover.unlink()
        index = WorkIndex(location.beside(ENDING), reader, ring, terms)
        try:
            with progress_bar("work list") as progress:
                entries = index.catch_up(progress)
        finally:
            index.close()
    finally:
        reader.close()
    click.echo(f"{matters} matters and the work list, from {entries} entries")


def _principal(lines: list[Line]) -> str:
    """Who did what a group holds."""
    return next((line.row.principal for line in lines if line.row), "(erased)")


def _row(line: Line, form: str) -> dict[str, Any]:
    plain = line.plain()
    return plain if form == "json" else plain | {"reasons": " ".join(plain["reasons"])}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], form: str) -> None:
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    if form == "csv":
        sheet = csv.DictWriter(sys.stdout, columns, extrasaction="ignore")
        sheet.writeheader()
        for row in rows:
            texts = {name: str(row.get(name, "")) for name in columns}
            # A cell that begins like a formula would run in the spreadsheet that opens it.
            sheet.writerow({k: f"'{v}" if v[:1] in "=+-@\t\r" and v else v for k, v in texts.items()})
        return
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"group", "entry", "score"})
    for row in rows:
        table.add_row(*(_cell(str(row.get(column, ""))) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(text: str) -> str:
    """Clear text as it may be printed: what people typed may hold terminal escapes and markup."""
    plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return plain.replace("[", r"\[")
