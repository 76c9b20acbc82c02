"""`purposegate conflicts import` and `verify`: a feed into the register's store, and the store against its seals."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import click

from purposegate.application import ledger_location, ledger_witnesses
from purposegate.cli._conflicts_force import open_store, read_rules
from purposegate.cli._ledger_query import GIVEN, system_user
from purposegate.conflicts.register_import import MAIN_FEED, Feed, taking
from purposegate.conflicts.written import local_day
from purposegate.ledger.brief import opened
from purposegate.model import Entry, EntryKind
from purposegate.settings import Settings

FEED_NAME = r"[a-z][a-z0-9_-]{0,39}"


def _feed(_: click.Context, __: click.Parameter, value: str) -> str:
    if not re.fullmatch(FEED_NAME, value):
        raise click.BadParameter("want a name of a-z, 0-9, _ and -, at most 40 long")
    return value


@click.command("import")
@click.argument("file", type=GIVEN)
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@click.option("--as", "who", required=True, help="Who imports, by the force's own id.")
@click.option(
    "--feed", default=MAIN_FEED, callback=_feed, show_default=True, help="Which feed this is, all of it."
)
@click.option(
    "--accept-shorter", is_flag=True, help="Take it although most of the feed's last entries are gone."
)
def import_feed(file: Path, path: Path, who: str, feed: str, *, accept_shorter: bool) -> None:
    """Take FILE (CSV, JSON Lines, or a query in YAML) as the whole of one feed of the register: all of it or nothing.

    The import is an entry in the ledger before it takes effect; gates read it within their refresh.
    """
    settings, rules, zone = read_rules(path)
    store = open_store(settings, create=True)
    wanted = Feed(
        name=feed, source=file, least_share=settings.facts.least_share, accept_shorter=accept_shorter
    )
    with taking(store, wanted, rules, now=datetime.now(UTC), zone=zone) as pending:
        asked = {**pending.taken, "file": file.name, "accepted_shorter": accept_shorter}
        where = record(
            settings, EntryKind.IMPORT, {"principal": who, "system_user": system_user(), "import": asked}
        )
        pending.commit()
    taken = pending.taken
    click.echo(
        f"{feed}: {taken['rows']} entries: {taken['added']} new, {taken['changed']} changed, {taken['ended']} gone;"
        f" generation {taken['generation']}, entry {where}"
    )


def record(settings: Settings, kind: EntryKind, fields: dict[str, object]) -> str:
    """Write an entry; durable, and where it stands, on return. Raises `SettingsError`, `LedgerOutage`."""
    entry = Entry(kind=kind, lookup_id=str(uuid4()), at=datetime.now(UTC), released=True, fields=fields)
    location = ledger_location(settings.ledger)
    with opened(location, settings.ledger.origin, ledger_witnesses(settings.ledger)) as ledger:
        receipt = ledger.append_wait(entry)
    return f"{receipt.shard}/{receipt.index}"


@click.command()
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
def verify(path: Path) -> None:
    """Hold every row of the register's store against its seal and its pin. Shows nobody's name."""
    settings, rules, zone = read_rules(path)
    register = open_store(settings).load(rules)
    rows = register.check()
    due = register.due(local_day(datetime.now(UTC), zone))
    head = register.head
    click.echo(
        f"generation {head.generation}: {rows} rows, each as it was sealed; {head.decisions} decisions"
    )
    for name, feed in sorted(head.feeds.items()):
        click.echo(f"  {name}: {feed.rows} entries, true as of {feed.as_of.isoformat(timespec='seconds')}")
    if due:
        click.echo(f"  {due} entries are due for review")
    click.echo(f"register_sha256 {register.digest}; the ledger's entry of this generation must say the same")
