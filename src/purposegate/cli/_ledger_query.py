"""`purposegate ledger query`: search the evidence, which is itself a lookup and leaves an entry."""

import csv
import json
import os
import pwd
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from purposegate.errors import SettingsError
from purposegate.ledger import keys
from purposegate.ledger.index import Criteria, Index
from purposegate.ledger.location import FileLocation, Location, is_address, on_server
from purposegate.ledger.quorum import Witnesses
from purposegate.ledger.reading import ReadingDeclared, Shown, declare, show
from purposegate.ledger.store import Reader
from purposegate.ledger.terms import Found, Term, subject
from purposegate.ledger.verdict import Report

GIVEN = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WIDEST = 60
"""Characters of one table cell; JSON and CSV give the whole."""
COLUMNS = ("entry", "time", "kind", "outcome", "principal", "purpose", "ref", "records", "reasons")


class LedgerArgument(click.ParamType["str | Path"]):
    """Where a ledger is: an existing file, or a postgresql:// URL without a password. With `directories`, an export's too."""

    name = "ledger"

    def __init__(self, *, directories: bool = False) -> None:
        self._path = click.Path(exists=True, dir_okay=directories, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """The URL as text, or the path."""
        if isinstance(value, str) and is_address(value):
            return value
        path: Path = self._path.convert(value, param, ctx)
        return path


LEDGER = LedgerArgument()


def located(where: str | Path, key_file: Path | None, signer_file: Path | None = None) -> Location:
    """The ledger that a command was pointed at. Raises SettingsError."""
    if isinstance(where, Path):
        return FileLocation.of(where, key_file, signer_file)
    return on_server(where, key_file, signer_file)


def index_path(location: Location) -> Path:
    """Where a ledger's search index lies."""
    return location.beside(".index")


def system_user() -> str:
    """The name that the system knows this process by: from its user id, never from the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def ring_of(location: Location, reader: Reader) -> keys.KeyRing:
    """The ledger's keys. Raises SettingsError for another ledger's: an index made with those would find nothing."""
    file = location.key_file
    if file is None:
        raise SettingsError(f"{location}: name its key file with --keys")
    ring = keys.load(file)
    if any(reader.meta.get(f"key {kid}") != ring.fingerprint(kid) for kid in (0, *ring.payload)):
        raise SettingsError(
            f"{file}: this key file belongs to another ledger; name the right one with --keys"
        )
    return ring


def _parse_witnesses(_: click.Context, __: click.Parameter, value: Path | None) -> Witnesses | None:
    if value is None:
        return None
    found = Witnesses.read([], value)
    if not found.places:
        raise click.BadParameter("none of its witnesses has an address; write it behind the witness's key")
    return found


witnesses_option = click.option(
    "--witnesses",
    type=GIVEN,
    callback=_parse_witnesses,
    help="A c2sp.org/tlog-policy whose witnesses are to cosign the entry that this leaves.",
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that opens payloads (law 11)."""
    for option in (
        click.option("--ref", default="", help="The case of the inquiry."),
        click.option("--reason", required=True, help="What you are looking into, in a sentence."),
        click.option("--purpose", required=True, help="A purpose under audit or rights, such as audit.psd."),
        click.option("--as", "reader", required=True, help="Who reads, by the force's own id."),
    ):
        command = option(command)
    return command


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that shows itself once there is something to wait for."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def parse_time(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """An ISO 8601 time; without a zone it is UTC."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter("want an ISO 8601 time, such as 2026-11-21 or 2026-11-21T19:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _parse_record(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    kind, found, name = value.partition("/")
    if not found or not kind or not name:
        raise click.BadParameter("want <kind>/<id>, such as person/rec-17-org")
    return kind, name


@click.command()
@click.argument("path", type=LEDGER)
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@click.option("--principal", help="Who asked.")
@click.option("--originator", help="On whose behalf.")
@click.option("--recipient", help="To whom.")
@click.option("--record", callback=_parse_record, help="A record shown, withheld or asked for: <kind>/<id>.")
@click.option("--subject", nargs=2, metavar="GIVEN SURNAME", help="A data subject of a record in the answer.")
@click.option("--born", help="With --subject: the date of birth, as the record gives it.")
@click.option("--case", help="The reference declared.")
@click.option("--purpose-of", help="The purpose declared, or a family of purposes.")
@click.option("--because", help="A reason of the outcome, such as conflict.")
@click.option("--lookup", help="The id of a lookup.")
@click.option(
    "--kind", default="", help="What the entry says happened: release, refusal, outage, reading ..."
)
@click.option(
    "--outcome", type=click.Choice(["released", "withheld"]), help="Whether something was released."
)
@click.option("--since", callback=parse_time, help="From this time on (UTC unless it says otherwise).")
@click.option("--until", callback=parse_time, help="Before this time.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 1_000_000), help="Newest entries shown."
)
@click.option(
    "--format", "form", default="table", type=click.Choice(["table", "json", "csv"]), show_default=True
)
@click.option("--rebuild", is_flag=True, help="Throw the search index away and build it again.")
@witnesses_option
@reading_options
def query(
    path: str | Path,
    key_file: Path | None,
    form: str,
    *,
    rebuild: bool,
    witnesses: Witnesses | None,
    **asked: Any,
) -> None:
    """Find entries of the ledger at PATH, newest first; all that is given must hold.

    The search is recorded in the ledger before anything is shown.
    """
    reading = ReadingDeclared(
        asked.pop("reader"), system_user(), asked.pop("purpose"), asked.pop("reason"), asked.pop("ref")
    )
    reading.require()
    criteria = _criteria(**asked)
    location = located(path, key_file)
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        if rebuild:
            for leftover in index_path(location).parent.glob(index_path(location).name + "*"):
                leftover.unlink()
        index = Index(index_path(location), reader, ring)
        with progress_bar("indexing") as progress:
            index.catch_up(progress)
        found = index.search(replace(criteria, limit=criteria.limit + 1))
        hits = found[: criteria.limit]
        receipt = declare(
            location,
            reader.meta,
            reading,
            {name: str(value) for name, value in asked.items() if value},
            witnesses,
        )
        shown = show(reader, ring, hits)
        _print(shown, form)
        click.echo(
            f"{_told(shown, more=len(found) > len(hits))}; this search is entry {receipt.shard}/{receipt.index}",
            err=True,
        )
        index.close()
    finally:
        reader.close()


def _told(shown: list[Shown], *, more: bool) -> str:
    """How many were found; where there are more, how to come by them.

    The search that goes on repeats the oldest shown, since another shard may hold an entry of the same moment.
    """
    if not more:
        return f"{len(shown)} found"
    oldest = min(one.leaf.at for one in shown) + timedelta(microseconds=1)
    until = oldest.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"the newest {len(shown)} of MORE: go on with --until {until}, or give a higher --limit"


def compare_index(location: Location, report: Report) -> None:
    """Derive the search index again, and add to the report every entry that searches would miss or wrongly find."""
    if not index_path(location).exists():
        report.doubts.append("there is no search index to compare")
        return
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        reader.hold()
        names = {row.number: row.name for row in reader.shards()}
        index = Index(index_path(location), reader, ring)
        with (
            tempfile.TemporaryDirectory(dir=index_path(location).parent) as scratch,
            progress_bar("deriving the index") as progress,
        ):
            for shard, number, missing in index.compare(Path(scratch) / "index", progress):
                found = "fewer" if missing else "more"
                report.add(
                    names.get(shard, f"shard {shard}"),
                    number,
                    "search terms",
                    "those that the entry gives",
                    found,
                )
        index.close()
    finally:
        reader.close()


def _criteria(**asked: Any) -> Criteria:
    terms = [
        Found(term, (asked[name],))
        for term, name in (
            (Term.LOOKUP, "lookup"),
            (Term.PRINCIPAL, "principal"),
            (Term.ORIGINATOR, "originator"),
            (Term.RECIPIENT, "recipient"),
            (Term.CASE, "case"),
            (Term.REASON, "because"),
            (Term.PURPOSE, "purpose_of"),
        )
        if asked[name]
    ]
    if asked["record"]:
        terms.insert(0, Found(Term.RECORD, asked["record"]))
    if asked["subject"]:
        name = subject(*asked["subject"])
        born = Found(Term.SUBJECT_BORN, (name, asked["born"]))
        terms.insert(0, born if asked["born"] else Found(Term.SUBJECT, (name,)))
    elif asked["born"]:
        raise click.UsageError("--born goes with --subject")
    return Criteria(
        terms=terms,
        since=asked["since"],
        until=asked["until"],
        kind=asked["kind"],
        released={"released": True, "withheld": False}.get(asked["outcome"]),
        limit=asked["limit"],
    )


def _row(shown: Shown) -> dict[str, str]:
    fields = shown.payload.fields if shown.payload else {}
    rows = shown.payload.rows if shown.payload else ()
    records = [
        f"{row['kind']}/{row['id']}" for row in rows if isinstance(row, dict) and {"kind", "id"} <= row.keys()
    ]
    records = records or ["/".join(map(str, each)) for each in fields.get("records", [])]
    return {
        "entry": f"{shown.shard}/{shown.number}",
        "time": shown.leaf.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "kind": shown.leaf.kind,
        "outcome": "released" if shown.leaf.released else "withheld",
        "principal": str(fields.get("principal", "" if shown.payload else "(erased)")),
        "purpose": str(fields.get("purpose", "")),
        "ref": str(fields.get("ref", "")),
        "records": " ".join(records),
        "reasons": " ".join(map(str, fields.get("reasons", []))),
    }


def _print(found: list[Shown], form: str) -> None:
    if form == "csv":
        sheet = csv.DictWriter(sys.stdout, COLUMNS)
        sheet.writeheader()
        # A cell that begins like a formula would run in the spreadsheet that opens it.
        sheet.writerows(
            {k: f"'{v}" if v[:1] in "=+-@\t\r" and v else v for k, v in _row(one).items()} for one in found
        )
        return
    if form == "json":
        for one in found:
            whole = {
                **_row(one),
                "lookup": one.leaf.lookup_id,
                "fields": one.payload.fields if one.payload else None,
                "rows": list(one.payload.rows) if one.payload else None,
            }
            click.echo(json.dumps(whole, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in {"entry", "time"})
    for one in found:
        row = _row(one)
        table.add_row(*(_shown(row[column]) for column in COLUMNS))
    # A pipe or a file has no width of its own: let no cell be cut there.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _shown(text: str) -> str:
    """Clear text as it may be printed: what people typed may hold terminal escapes and markup."""
    plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    shortened = plain if len(plain) <= WIDEST else plain[: WIDEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return shortened.replace("[", r"\[")
