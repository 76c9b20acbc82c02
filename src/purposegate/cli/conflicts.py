"""`purposegate conflicts`: the register taken in, held against the past and against one record, and decided upon.

Reading it is a lookup (law 11): each reading is an entry in the ledger before anything is shown.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from purposegate.cli._conflicts_decide import confirm, reject
from purposegate.cli._conflicts_force import Force, newest, open_force, reading_declared
from purposegate.cli._conflicts_import import import_feed, verify
from purposegate.cli._conflicts_lookback import looking_back, print_hits
from purposegate.cli._conflicts_raise import raise_hits
from purposegate.cli._ledger_query import GIVEN, parse_time, reading_options
from purposegate.conflicts.circle import seen
from purposegate.conflicts.decisions import Decision
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.written import staff_key
from purposegate.ledger.reading import declare
from purposegate.model import Conflict, RecordRef, Whose


@click.group()
def conflicts() -> None:
    """Import the register, read it against the past or one record, and decide candidates. Each is an entry in the ledger."""


for command in (import_feed, verify, confirm, reject):
    conflicts.add_command(command)


@conflicts.command()
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@click.option("--entry", "ids", multiple=True, help="A register entry, by its id; may be repeated.")
@click.option(
    "--principal", default="", help="Entries of this member of staff only, and what others make with them."
)
@click.option(
    "--since", callback=parse_time, help="Lookups from this time on (UTC unless it says otherwise)."
)
@click.option("--all", "again", is_flag=True, help="Also entries that were looked back for before.")
@click.option("--format", "form", default="table", type=click.Choice(["table", "json"]), show_default=True)
@reading_options
def lookback(path: Path, form: str, *, again: bool, **asked: Any) -> None:
    """Match register entries against all past lookups: those new or changed since the last look back, unless --all.

    What new entries find goes on the work list (`purposegate review list`), unless --since leaves a part out.

    Each hit stands on two clocks: before, during or after the tie; and before or after the force knew.
    """
    reading = reading_declared(asked)
    reading.require()
    with open_force(path) as force, looking_back(force) as looking:
        model = looking.looking.model
        chosen, wanted = [], 0
        for one in _wanted(
            force, asked["ids"], asked["principal"]
        ):  # of millions, most were looked back for before
            wanted += 1
            if again or looking.sightings.is_new(one, model):
                chosen.append(one)
        hits = list(looking.hits(force, chosen, since=asked["since"]))
        request = {name: str(asked[name]) for name in ("ids", "principal", "since") if asked[name]}
        request |= {"lookback": f"{len(chosen)} entries", "register": force.register.digest}
        receipt = declare(force.location, force.reader.meta, reading, request)
        if asked["since"] is None:
            fresh = [hit for hit in hits if looking.sightings.is_new(hit.entry, model)]
            raise_hits(force, fresh, reading)
        print_hits(hits, form)
        if asked["since"] is None:  # what was not looked at may not count as looked at
            looking.sightings.looked(chosen, model)
        unread = looking.unread
    click.echo(
        f"{len(chosen)} of {wanted} entries looked back for, {len(hits)} hits{unread};"
        f" this reading is entry {receipt.shard}/{receipt.index}",
        err=True,
    )


def _wanted(force: Force, ids: Sequence[str], principal: str) -> Iterator[RegisterEntry]:
    """The entries asked for; with a member of staff, also those that others make with theirs."""
    mine, unknown = staff_key(principal), set(ids)
    for one in force.register.each():
        if not ids or one.id in ids:
            unknown.discard(one.id)
            if mine in {"", staff_key(one.principal)}:
                yield one
    if unknown:
        raise click.UsageError(f"--entry: the register has no {', '.join(sorted(unknown))}")
    if principal and not ids:
        yield from force.ties(datetime.now(UTC)).prepare(principal).composed


@conflicts.command()
@click.argument("principal")
@click.argument("record")
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@reading_options
def explain(principal: str, record: str, path: Path, **asked: Any) -> None:
    """Show every tie between PRINCIPAL and the people in RECORD, as <kind>/<id>, with the table of each score.

    The people are those that the record's newest entry in the ledger shows; the ties are those that the gate would find now.
    """
    reading = reading_declared(asked)
    reading.require()
    ref = record_named(record)
    with open_force(path) as force:
        now = datetime.now(UTC)
        row, where = newest(force, ref)
        ties = force.ties(now)
        found = ties.of(principal, Whose.PRINCIPAL, seen(row), at=now)
        own = ties.prepare(principal)
        compared = len(force.register.entries_of(principal))
        receipt = declare(
            force.location, force.reader.meta, reading, {"explain": principal, "record": record}
        )
    known = (
        f"its people as {where} has them"
        if where
        else "no entry of the ledger shows its people; its id alone"
    )
    click.echo(f"{principal} and {record}: {len(found)} ties ({compared} register entries; {known})")
    for tie in found:
        _print_tie(tie, own.entry(tie.entry))
    for decision in own.decided(ref):
        _print_decision(decision)
    click.echo(f"this reading is entry {receipt.shard}/{receipt.index}", err=True)


def record_named(record: str) -> RecordRef:
    """A record as commands name it. Raises UsageError."""
    kind, slash, identifier = record.partition("/")
    if not (kind and slash and identifier):
        raise click.UsageError("RECORD: want <kind>/<id>, such as person/rec-17-org")
    return RecordRef(kind, identifier)


def _print_tie(tie: Conflict, entry: RegisterEntry | None) -> None:
    click.echo(
        f"\n{tie.relation}, {tie.tier.value}, by {tie.entry} ({tie.provenance}): {tie.score:.2f} bits, {tie.default}"
    )
    for link in entry.chain if entry else ():
        click.echo(f"  by way of {link.entry}: {link.relation}")
    for field, bits in tie.table:
        click.echo(f"  {field:24} {bits:+.2f}")


def _print_decision(decision: Decision) -> None:
    at = decision.at.isoformat(timespec="seconds")
    click.echo(
        f"\n{decision.verdict.value} by {decision.by} at {at}: {decision.relation}, by {decision.entry}"
        f" (entry {decision.receipt})"
    )
