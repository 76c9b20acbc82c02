"""A force's register, directory and ledger, open for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from purposegate import documents
from purposegate import settings as settings_file
from purposegate.application import ledger_location, register_source
from purposegate.cli._ledger_query import index_path, ring_of, system_user
from purposegate.conflicts import relations
from purposegate.conflicts.directory import read_directory
from purposegate.conflicts.register import Entries, read_register
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_store import RegisterStore
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.ties import Ties
from purposegate.errors import SettingsError
from purposegate.ledger import keys
from purposegate.ledger.index import Criteria, Index
from purposegate.ledger.location import Location
from purposegate.ledger.reading import ReadingDeclared
from purposegate.ledger.store import Reader
from purposegate.ledger.terms import Found, Term
from purposegate.model import RecordRef, Row
from purposegate.review.past import Past
from purposegate.settings import Settings

SIGHTINGS_READ = 50
"""How many of a record's newest entries are looked through for one that shows its people."""


class Rules(NamedTuple):
    """What settings and policies say that a register is read by."""

    settings: Settings
    relations: Relations
    zone: ZoneInfo


class Force(NamedTuple):
    """A force's register with what reads it, and its ledger, open."""

    settings: Settings
    relations: Relations
    register: Entries
    zone: ZoneInfo
    location: Location
    ring: keys.KeyRing
    reader: Reader

    def ties(self, now: datetime) -> Ties:
        """The ties that the gate would find now."""
        staff = read_directory(self.settings.facts.directory, now=now, zone=self.zone)
        return Ties(self.relations, self.register, staff, zone=self.zone)


def read_rules(path: Path) -> Rules:
    """Settings, relations and the force's time zone. Raises `SettingsError`."""
    settings = settings_file.load(path)
    rules = relations.load(settings.policies / "conflicts.yaml")
    zone = ZoneInfo(documents.read(settings.policies / "facts.yaml", "facts").content["zone"])
    return Rules(settings, rules, zone)


def open_store(settings: Settings, *, create: bool = False) -> RegisterStore:
    """The register's store. Raises `SettingsError` where the register is a file, which is only read."""
    place = register_source(settings)
    if not isinstance(place, RegisterPlace):
        raise SettingsError(
            f"{settings.path}: facts.register is a file, which is only read; name a facts.register_store in its place"
        )
    return place.open(create=create)


@contextmanager
def open_force(path: Path) -> Iterator[Force]:
    """Everything, read as it stands now. Raises `SettingsError`, `Outage`."""
    settings, rules, zone = read_rules(path)
    place = register_source(settings)
    if isinstance(place, RegisterPlace):
        entries: Entries = place.open().load(rules)
    else:
        entries = read_register(place, rules, now=datetime.now(UTC), zone=zone)
    location = ledger_location(settings.ledger)
    reader = location.reader()
    try:
        yield Force(settings, rules, entries, zone, location, ring_of(location, reader), reader)
    finally:
        reader.close()


def reading_declared(asked: dict[str, Any]) -> ReadingDeclared:
    """Who reads, as `reading_options` asked."""
    return ReadingDeclared(asked["reader"], system_user(), asked["purpose"], asked["reason"], asked["ref"])


def newest(force: Force, record: RecordRef) -> tuple[Row, str]:
    """The record with its people as last seen by anybody, and in which entry."""
    index = Index(index_path(force.location), force.reader, force.ring)
    try:
        index.catch_up()
        places = index.search(Criteria(terms=[Found(Term.RECORD, tuple(record))], limit=SIGHTINGS_READ))
    finally:
        index.close()
    past = Past(force.reader, force.ring)
    for place in places:
        for row in past.rows(place.shard, place.number, place.number + 1):
            if row.record == record and row.subjects:
                people = Row(record=record, subjects=row.subjects, fields=frozenset(), place=0)
                return people, f"{row.shard_name}/{row.number}"
    return Row(record=record, subjects=(), fields=frozenset(), place=0), ""
