"""`purposegate challenge`: show a day's key once the day is over, and make every draw of that day again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from purposegate import documents
from purposegate import settings as settings_file
from purposegate.application import ledger_location
from purposegate.cli._ledger_query import (
    GIVEN,
    index_path,
    progress_bar,
    reading_options,
    ring_of,
    system_user,
)
from purposegate.conflicts.written import local_day
from purposegate.errors import SettingsError
from purposegate.facts.challenge import DRAWN, commitment, draw, is_drawn, key_path, read, subjects_of
from purposegate.ledger.index import Criteria, Index
from purposegate.ledger.keys import KeyRing
from purposegate.ledger.location import Location
from purposegate.ledger.reading import ReadingDeclared, Shown, declare, show
from purposegate.ledger.store import Reader
from purposegate.model import EntryKind

AT_ONCE = 2_048
SLACK = timedelta(hours=1)
"""A commitment is stamped when it is made, which may be just after the midnight that the lookup was before."""
RATE = "challenge_per_million"


@dataclass(slots=True)
class Findings:
    """What a day's entries say of its draws. `wrong` are entries whose draw is another one, `early` drawn before a commitment."""

    day: str
    key: str
    commitment: str
    committed_in: list[str] = field(default_factory=list)
    other_commitments: list[str] = field(default_factory=list)
    lookups: int = 0
    drawn: int = 0
    wrong: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    unread: int = 0

    @property
    def is_in_order(self) -> bool:
        """Whether the key was committed before every draw, no other key was, and every draw comes out again."""
        return bool(self.committed_in) and not (self.other_commitments or self.wrong or self.early)


@click.group()
def challenge() -> None:
    """Random challenges. The day's key is shown once the day is over; reading it is an entry in the ledger first."""


@challenge.command()
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--settings", "path", required=True, type=GIVEN, help="purposegate.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@reading_options
@click.pass_context
def reveal(ctx: click.Context, /, day: datetime, path: Path, *, as_json: bool, **asked: Any) -> None:
    """Print the key of DAY, check it against the ledger's commitment, and make every draw of that day again.

    Exit code 1: the key is not the one committed, or a lookup's draw does not come out as its entry says.
    """
    reading = ReadingDeclared(asked["reader"], system_user(), asked["purpose"], asked["reason"], asked["ref"])
    reading.require()
    settings = settings_file.load(path)
    zone = ZoneInfo(documents.read(settings.policies / "facts.yaml", "facts").content["zone"])
    location, wanted = ledger_location(settings.ledger), day.date()
    key = _key(location, wanted, zone)
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        found = _check(wanted, zone, key, _shown(location, reader, ring, wanted, zone))
        receipt = declare(location, reader.meta, reading, {"challenge": wanted.isoformat()})
    finally:
        reader.close()
    click.echo(json.dumps(asdict(found) | {"in_order": found.is_in_order}) if as_json else _text(found))
    click.echo(f"this reading is entry {receipt.shard}/{receipt.index}", err=True)
    ctx.exit(0 if found.is_in_order else 1)


def _key(location: Location, day: date, zone: ZoneInfo) -> bytes:
    if day >= local_day(datetime.now(UTC), zone):
        raise SettingsError(f"{day}: the day is not over; whoever has its key can foresee its draws")
    path = key_path(location.beside(".challenge"), day)
    try:
        return read(path)
    except OSError as error:
        raise SettingsError(
            f"{path}: no key of that day lies here: challenges were off, or another gate's folder has it"
        ) from error


def _shown(location: Location, reader: Reader, ring: KeyRing, day: date, zone: ZoneInfo) -> Iterator[Shown]:
    """The day's entries, each shard's in its order, with what comes soon after."""
    start, end = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    index = Index(index_path(location), reader, ring)
    try:
        with progress_bar("indexing") as progress:
            index.catch_up(progress)
        hits = sorted(index.search(Criteria(since=start, until=end + SLACK, limit=1 << 62)))
    finally:
        index.close()
    for at in range(0, len(hits), AT_ONCE):
        yield from show(reader, ring, hits[at : at + AT_ONCE])


def _check(day: date, zone: ZoneInfo, key: bytes, entries: Iterator[Shown]) -> Findings:
    found = Findings(day.isoformat(), key.hex(), commitment(key))
    committed: set[str] = set()
    for one in entries:
        where = f"{one.shard}/{one.number}"
        if one.payload is None:
            found.unread += local_day(one.leaf.at, zone) == day
            continue
        fields = one.payload.fields
        if one.leaf.kind == EntryKind.CHALLENGE_KEY and fields.get("day") == found.day:
            is_ours = fields.get("commitment") == found.commitment
            (found.committed_in if is_ours else found.other_commitments).append(where)
            committed.add(one.shard)
        elif local_day(one.leaf.at, zone) == day and RATE in fields.get("numbers", {}):
            found.lookups += 1
            found.drawn += fields["challenge"] == DRAWN
            if one.shard not in committed:
                found.early.append(where)
            if (fields["challenge"] == DRAWN) is not _again(key, day, fields):
                found.wrong.append(where)
    return found


def _again(key: bytes, day: date, fields: dict[str, Any]) -> bool:
    """The draw of a lookup, from its entry alone."""
    records: Sequence[Sequence[str]] = fields["records"]
    return any(
        is_drawn(
            draw(key, principal=fields["principal"], subject=one, purpose=fields["purpose"], day=day),
            fields["numbers"][RATE],
        )
        for one in subjects_of(records, fields["kind"], fields["criteria"])
    )


def _text(found: Findings) -> str:
    lines = [
        f"key of {found.day}: {found.key}",
        f"its SHA-256: {found.commitment}",
        f"committed in: {', '.join(found.committed_in) or 'no entry of that day'}",
        f"{found.lookups} entries with a draw, {found.drawn} drawn; every one made again: {len(found.wrong)} differ",
    ]
    for what, places in (
        ("another key was committed in", found.other_commitments),
        ("the draw differs in", found.wrong),
        ("drawn before the commitment", found.early),
    ):
        if places:
            lines.append(f"{what}: {', '.join(places)}")
    if found.unread:
        lines.append(f"{found.unread} entries of that day were erased or do not open")
    lines.append("in order" if found.is_in_order else "NOT in order")
    return "\n".join(lines)
