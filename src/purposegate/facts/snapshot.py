"""One state of everything the force's files say: read together, swapped in one assignment, never changed after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from purposegate.conflicts.dates import Interval
from purposegate.conflicts.directory import Directory, read_directory
from purposegate.conflicts.register import Entries, Register, read_register
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_store import StoredRegister
from purposegate.conflicts.relations import Relations
from purposegate.conflicts.ties import Ties
from purposegate.conflicts.written import staff_key
from purposegate.errors import FactsOutage, SettingsError
from purposegate.facts.bands import Bands
from purposegate.facts.links import LinkStore, node
from purposegate.facts.links_files import links_of_files
from purposegate.facts.sources import Dated, FactsPaths, Refusal
from purposegate.facts.work import (
    Assignment,
    Assignments,
    Duty,
    ReferenceRecords,
    References,
    read_assignments,
    read_duty,
    read_reference_records,
    read_references,
    reference_key,
)
from purposegate.feeds.reading import is_current
from purposegate.model import RecordRef
from purposegate.reasons import Reason

DatedT = TypeVar("DatedT", bound=Dated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Directory, register and work as last read, with the ties they give."""

    directory: Directory
    register: Entries
    references: References
    assignments: Assignments
    reference_records: ReferenceRecords
    duty: Duty
    ties: Ties
    links: LinkStore
    open: Mapping[str, Interval]
    """When each reference was open, by `reference_key`."""

    @property
    def sources(self) -> Mapping[str, Dated]:
        """Every source by its name in facts.yaml."""
        return {
            "directory": self.directory,
            "register": self.register,
            "references": self.references,
            "assignments": self.assignments,
            "reference_records": self.reference_records,
            "duty": self.duty,
        }

    def oldest(self, *names: str) -> datetime:
        """When the oldest of these sources was true, UTC."""
        dated: list[Dated] = [getattr(self, name) for name in names]
        return min([one.as_of for one in dated])

    def check_age(self, bands: Bands, at: datetime, *names: str) -> None:
        """Raise `FactsOutage` if one of these sources is past its limit: `register-stale` for the register."""
        for name in names:
            if at - getattr(self, name).as_of > bands.max_ages[name]:
                reason = Reason.REGISTER_STALE if name == "register" else Reason.FACTS_STALE
                raise FactsOutage(reason, f"{name}: older than its limit in facts.yaml")

    def ref_state(self, ref: str, staff_id: str, at: datetime) -> str:
        """`assigned` to this person now, `open`, `closed`, `unknown`, or `none` where no reference was given."""
        key = reference_key(ref)
        if not key:
            return "none"
        reference = self.references.held.get(key)
        if reference is None:
            return "unknown"
        if not reference.open.holds(at):
            return "closed"
        held = self.assignments.held.get(Assignment(key, staff_key(staff_id)), ())
        return "assigned" if any(interval.holds(at) for interval in held) else "open"

    def involves(self, ref: str, record: RecordRef) -> bool:
        """Whether the reference names the record."""
        return record in self.reference_records.held.get(reference_key(ref), frozenset())

    def reference(self, ref: str) -> str:
        """The reference's node, by the kind that the force has it under; empty where it knows none such."""
        known = self.references.held.get(reference_key(ref))
        return node(known.kind, ref) if known else ""

    def is_on_duty(self, staff_id: str, at: datetime) -> bool:
        """Whether the roster has this person on duty."""
        return any(interval.holds(at) for interval in self.duty.held.get(staff_key(staff_id), ()))


class _Rereading:
    """One pass over the files: takes what changed, and keeps the old of what is gone or wrong."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.refusals: list[Refusal] = []

    def source(self, name: str, path: Path, kept: DatedT | None, read: Callable[[Path], DatedT]) -> DatedT:
        """The source as it is now, or as kept; with nothing kept, a refusal is raised."""
        try:
            return kept if kept is not None and is_current(path, kept.stamp, self._now) else read(path)
        except (OSError, SettingsError) as error:
            fault = (
                error if isinstance(error, SettingsError) else SettingsError(f"{path.name}: {error.strerror}")
            )
            if kept is None:
                raise fault from error
            self.refusals.append(Refusal(name, fault))
            return kept

    def store(self, place: RegisterPlace, kept: Entries | None, relations: Relations) -> Entries:
        """The register's newest generation, or the one in use; with none in use, a refusal is raised."""
        try:
            if not isinstance(kept, StoredRegister):
                return place.open().load(relations)
            return kept if kept.is_current else kept.renewed(relations)
        except (SettingsError, FactsOutage) as error:
            fault = error if isinstance(error, SettingsError) else SettingsError(error.detail)
            if kept is None:
                raise fault from error
            self.refusals.append(Refusal("register", fault))
            return kept


class Reader:
    """Reads the six files; a second reading takes only those that changed, and keeps the old of those that are wrong."""

    def __init__(self, relations: Relations, bands: Bands, paths: FactsPaths) -> None:
        self._relations = relations
        self._bands = bands
        self._paths = paths

    def read(self, old: Snapshot | None, now: datetime) -> tuple[Snapshot, tuple[Refusal, ...]]:
        """A snapshot and what was refused; with nothing old to keep, a refusal is raised instead. Blocks on files."""
        zone, paths, again = self._bands.zone, self._paths, _Rereading(now)
        directory = again.source(
            "directory",
            paths.directory,
            old.directory if old else None,
            lambda path: read_directory(
                path, now=now, zone=zone, at_least=self._share_of(len(old.directory.staff) if old else 0)
            ),
        )
        register = self._register(old.register if old else None, again, now)
        is_same = old is not None and directory is old.directory and register is old.register
        references = again.source(
            "references",
            paths.references,
            old.references if old else None,
            lambda path: read_references(path, now, zone),
        )
        assignments = again.source(
            "assignments",
            paths.assignments,
            old.assignments if old else None,
            lambda path: read_assignments(path, now, zone),
        )
        involved = again.source(
            "reference_records",
            paths.reference_records,
            old.reference_records if old else None,
            lambda path: read_reference_records(path, now),
        )
        is_same_work = old is not None and (
            references is old.references
            and assignments is old.assignments
            and involved is old.reference_records
        )
        snapshot = Snapshot(
            directory=directory,
            register=register,
            references=references,
            assignments=assignments,
            reference_records=involved,
            duty=again.source(
                "duty", paths.duty, old.duty if old else None, lambda path: read_duty(path, now, zone)
            ),
            ties=old.ties if old and is_same else self._ties(old, register, directory),
            links=old.links if old and is_same_work else links_of_files(references, assignments, involved),
            open=old.open
            if old and is_same_work
            else MappingProxyType({ref: one.open for ref, one in references.held.items()}),
        )
        return snapshot, tuple(again.refusals)

    def _register(self, kept: Entries | None, again: _Rereading, now: datetime) -> Entries:
        place, relations, zone = self._paths.register, self._relations, self._bands.zone
        if isinstance(place, RegisterPlace):
            return again.store(place, kept, relations)
        known = kept if isinstance(kept, Register) else None
        at_least = self._share_of(known.size if known else 0)
        return again.source(
            "register",
            place,
            known,
            lambda path: read_register(path, relations, now=now, zone=zone, at_least=at_least),
        )

    def _share_of(self, size: int) -> int:
        """How many rows a source must have that had so many, to be taken without being told."""
        return ceil(self._paths.least_share * size)

    def _ties(self, old: Snapshot | None, register: Entries, directory: Directory) -> Ties:
        # A directory of 40,000 takes seconds to make ready: one more register entry may not cost that.
        colleagues = old.ties.colleagues if old and old.directory is directory else None
        return Ties(self._relations, register, directory, zone=self._bands.zone, colleagues=colleagues)
