"""`purposegate conflicts`: what the register says of past lookups, and of one record. Reading it is a lookup (law 11)."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from purposegate import documents
from purposegate import settings as settings_file
from purposegate.application import ledger_location
from purposegate.cli._ledger_query import (
    GIVEN,
    index_path,
    parse_time,
    progress_bar,
    reading_options,
    ring_of,
    system_user,
)
from purposegate.conflicts import directory, register, relations
from purposegate.conflicts.circle import seen
from purposegate.conflicts.lookback import LookBack, PastHit
from purposegate.conflicts.register import Register, RegisterEntry
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.sightings import Sightings
from purposegate.conflicts.ties import Ties
from purposegate.conflicts.written import local_day, staff_key
from purposegate.ledger import keys
from purposegate.ledger.index import Criteria, Index
from purposegate.ledger.location import Location
from purposegate.ledger.reading import ReadingDeclared, declare
from purposegate.ledger.store import Reader
from purposegate.ledger.terms import Found, Term
from purposegate.model import Conflict, RecordRef, Row, Whose
from purposegate.review.past import Past, catch_up
from purposegate.settings import Settings

COLUMNS = (
    "entry",
    "principal",
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
SIGHTINGS_READ = 50
"""How many of a record's newest entries are looked through for one that shows its people."""


class Force(NamedTuple):
    """A force's register with what reads it, and its ledger, open."""

    settings: Settings
    relations: Relations
    register: Register
    zone: ZoneInfo
    location: Location
    ring: keys.KeyRing
    reader: Reader


@contextmanager
def _force(path: Path) -> Iterator[Force]:
    settings = settings_file.load(path)
    rules = relations.load(settings.policies / "conflicts.yaml")
    zone = ZoneInfo(documents.read(settings.policies / "facts.yaml", "facts").content["zone"])
    entries = register.read_register(settings.facts.register, rules, now=datetime.now(UTC), zone=zone)
    location = ledger_location(settings.ledger)
    reader = location.reader()
    try:
        yield Force(settings, rules, entries, zone, location, ring_of(location, reader), reader)
    finally:
        reader.close()


def _reading(asked: dict[str, Any]) -> ReadingDeclared:
    return ReadingDeclared(asked["reader"], system_user(), asked["purpose"], asked["reason"], asked["ref"])


@click.group()
def conflicts() -> None:
    """Read the register against the past, or against one record. Each reading is an entry in the ledger first."""


@conflicts.command()
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@click.option("--entry", "ids", multiple=True, help="A register entry, by its id; may be repeated.")
@click.option("--principal", default="", help="Entries of this member of staff only.")
@click.option(
    "--since", callback=parse_time, help="Lookups from this time on (UTC unless it says otherwise)."
)
@click.option("--all", "again", is_flag=True, help="Also entries that were looked back for before.")
@click.option("--format", "form", default="table", type=click.Choice(["table", "json"]), show_default=True)
@reading_options
def lookback(path: Path, form: str, *, again: bool, **asked: Any) -> None:
    """Match register entries against all past lookups: those new or changed since the last look back, unless --all.

    Each hit stands on two clocks: before, during or after the tie; and before or after the force knew.
    """
    reading = _reading(asked)
    reading.require()
    with _force(path) as force:
        looking = LookBack(force.relations.matching, zone=force.zone)
        past = Past(force.reader, force.ring)
        sightings = Sightings(force.location.beside(".lookback"), force.ring.term("lookback", ()))
        try:
            with progress_bar("indexing") as progress:
                catch_up(past, sightings, progress)
            wanted = _wanted(force.register, asked["ids"], asked["principal"])
            chosen = [one for one in wanted if again or sightings.is_new(one, looking.model)]
            hits = list(
                _hits(chosen, past, sightings=sightings, looking=looking, force=force, since=asked["since"])
            )
            request = {name: str(asked[name]) for name in ("ids", "principal", "since") if asked[name]}
            request |= {"lookback": f"{len(chosen)} entries", "register": force.register.digest}
            receipt = declare(force.location, force.reader.meta, reading, request)
            _print(hits, form)
            if asked["since"] is None:  # what was not looked at may not count as looked at
                sightings.looked(chosen, looking.model)
        finally:
            sightings.close()
    unread = f"; {past.unread} entries could not be opened" if past.unread else ""
    click.echo(
        f"{len(chosen)} of {len(wanted)} entries looked back for, {len(hits)} hits{unread};"
        f" this reading is entry {receipt.shard}/{receipt.index}",
        err=True,
    )


def _wanted(entries: Register, ids: Sequence[str], principal: str) -> list[RegisterEntry]:
    every = [one for rows in entries.entries.values() for one in rows]
    if unknown := set(ids) - {one.id for one in every}:
        raise click.UsageError(f"--entry: the register has no {', '.join(sorted(unknown))}")
    mine = staff_key(principal)
    return [one for one in every if (not ids or one.id in ids) and mine in {"", staff_key(one.principal)}]


def _hits(
    chosen: Sequence[RegisterEntry],
    past: Past,
    *,
    sightings: Sightings,
    looking: LookBack,
    force: Force,
    since: datetime | None,
) -> Iterator[PastHit]:
    # An entry that does not say since when it is known was known, as far as anybody can show, when its file was written.
    known_by = local_day(force.register.as_of, force.zone)
    for entry in chosen:
        for row in past.at(sightings.candidates(entry, {})):
            hit = looking.weigh(entry, row, known_by=known_by)
            if hit and (since is None or row.at >= since):
                yield hit


def _plain(hit: PastHit) -> dict[str, Any]:
    row = hit.row
    return {
        "entry": hit.entry.id,
        "relation": hit.entry.relation,
        "principal": row.principal,
        "whose": hit.whose.value,
        "record": "/".join(row.record),
        "at": row.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "action": row.action,
        "released": row.released,
        "purpose": row.purpose,
        "ref": row.ref,
        "reason": row.reason,
        "tier": hit.tier.value,
        "score_bits": hit.score_bits,
        "table": [list(line) for line in hit.table],
        "timing": hit.timing.value,
        "knowledge": hit.knowledge.value,
        "ledger": f"{row.shard_name}/{row.number}",
        "row": row.row,
        "lookup": row.lookup_id,
    }


def _print(hits: Sequence[PastHit], form: str) -> None:
    if form == "json":
        for hit in hits:
            click.echo(json.dumps(_plain(hit), ensure_ascii=False))
        return
    table = Table(*COLUMNS, box=None, header_style="bold")
    for hit in hits:
        shown = _plain(hit)
        table.add_row(*(str(shown[column]) for column in COLUMNS))
    Console(width=200, soft_wrap=True).print(table)


@conflicts.command()
@click.argument("principal")
@click.argument("record")
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@reading_options
def explain(principal: str, record: str, path: Path, **asked: Any) -> None:
    """Show every tie between PRINCIPAL and the people in RECORD, as <kind>/<id>, with the table of each score.

    The people are those that the record's newest entry in the ledger shows; the ties are those that the gate would find now.
    """
    reading = _reading(asked)
    reading.require()
    kind, slash, identifier = record.partition("/")
    if not (kind and slash and identifier):
        raise click.UsageError("RECORD: want <kind>/<id>, such as person/rec-17-org")
    ref = RecordRef(kind, identifier)
    with _force(path) as force:
        now = datetime.now(UTC)
        staff = directory.read_directory(force.settings.facts.directory, now=now, zone=force.zone)
        row, where = _newest(force, ref)
        ties = Ties(force.relations, force.register, staff, zone=force.zone)
        found = ties.of(principal, Whose.PRINCIPAL, seen(row), at=now)
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
        _print_tie(tie)
    click.echo(f"this reading is entry {receipt.shard}/{receipt.index}", err=True)


def _newest(force: Force, record: RecordRef) -> tuple[Row, str]:
    """The record with its people as last seen by anybody, and in which entry."""
    index = Index(index_path(force.location), force.reader, force.ring)
    try:
        index.catch_up()
        criteria = Criteria(terms=[Found(Term.RECORD, tuple(record))], limit=SIGHTINGS_READ)
        places = index.search(criteria)
    finally:
        index.close()
    past = Past(force.reader, force.ring)
    for place in places:
        for row in past.rows(place.shard, place.number, place.number + 1):
            if row.record == record and row.subjects:
                people = Row(record=record, subjects=row.subjects, fields=frozenset(), place=0)
                return people, f"{row.shard_name}/{row.number}"
    return Row(record=record, subjects=(), fields=frozenset(), place=0), ""


def _print_tie(tie: Conflict) -> None:
    click.echo(
        f"\n{tie.relation}, {tie.tier.value}, by {tie.entry} ({tie.provenance}): {tie.score:.2f} bits, {tie.default}"
    )
    for field, bits in tie.table:
        click.echo(f"  {field:24} {bits:+.2f}")
