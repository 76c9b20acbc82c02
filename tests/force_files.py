"""Writes the six CSV files of a small force, and the lookups its people make."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from purposegate.conflicts import directory, register, relations
from purposegate.conflicts.ties import Ties
from purposegate.facts import FactsPaths
from purposegate.model import (
    Action,
    Address,
    Declaration,
    Identity,
    Lookup,
    Name,
    Principal,
    RecordRef,
    Row,
)

POLICIES = Path(__file__).parents[1] / "policies"
LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

DIRECTORY = directory.COLUMNS
REGISTER = register.COLUMNS
REFERENCES = ("ref", "kind", "state", "opened", "closed")
ASSIGNMENTS = ("ref", "staff_id", "from", "to")
REFERENCE_RECORDS = ("ref", "kind", "id")
DUTY = ("staff_id", "from", "to")

HOME = "14|Mill Lane||Ashby|AB1 2CD|2019-05-01"
OFFICER = {
    "staff_id": "E1",
    "names": "Ann|Archer",
    "born": "1984-02-29",
    "homes": HOME,
    "unit": "cid",
    "joined": "2015-03-02",
}
SERGEANT = {
    "staff_id": "E2",
    "names": "Bilal|Khan",
    "born": "1979-07-14",
    "unit": "response",
    "joined": "2009-01-05",
}
BROTHER = {
    "id": "r1",
    "principal": "E1",
    "relation": "sibling",
    "provenance": "self-declared",
    "names": "Edmund|Archer",
    "born": "1981-11-05",
    "declared_by": "E1",
}

Cells = Mapping[str, str]


def write(
    path: Path, columns: Sequence[str], rows: Sequence[Cells], *, as_of: str = "2026-11-20T09:00:00Z"
) -> Path:
    """Write one file; cells not given stay empty. `as_of` is its stated time, none if empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if as_of:
            file.write(f"#as_of={as_of}\n")
        sheet = csv.DictWriter(file, columns, restval="")
        sheet.writeheader()
        sheet.writerows(rows)
    return path


def write_force(
    into: Path,
    *,
    staff: Sequence[Cells] = (OFFICER, SERGEANT),
    entries: Sequence[Cells] = (BROTHER,),
    references: Sequence[Cells] = (),
    assignments: Sequence[Cells] = (),
    reference_records: Sequence[Cells] = (),
    duty: Sequence[Cells] = (),
) -> FactsPaths:
    """Write all six files."""
    return FactsPaths(
        directory=write(into / "directory.csv", DIRECTORY, staff),
        register=write(into / "register.csv", REGISTER, entries),
        references=write(into / "references.csv", REFERENCES, references),
        assignments=write(into / "assignments.csv", ASSIGNMENTS, assignments),
        reference_records=write(into / "reference_records.csv", REFERENCE_RECORDS, reference_records),
        duty=write(into / "duty.csv", DUTY, duty),
    )


def ties_of(
    into: Path, *, staff: Sequence[Cells] = (OFFICER, SERGEANT), entries: Sequence[Cells] = (BROTHER,)
) -> Ties:
    """The ties of a small force, under the shipped conflicts.yaml."""
    rules = relations.load(POLICIES / "conflicts.yaml")
    return Ties(
        rules,
        register.read_register(write(into / "register.csv", REGISTER, entries), rules, now=NOW, zone=LONDON),
        directory.read_directory(write(into / "directory.csv", DIRECTORY, staff), now=NOW, zone=LONDON),
        zone=LONDON,
    )


def somebody(
    given: str = "",
    surname: str = "",
    born: str = "",
    address: Address | None = None,
    **rest: tuple[str, ...],
) -> Identity:
    """A data subject as a record shows one."""
    return Identity(
        names=(Name(given, surname),) if given or surname else (),
        born=(born,) if born else (),
        addresses=(address,) if address else (),
        phones=rest.get("phones", ()),
        plates=rest.get("plates", ()),
    )


def row(*subjects: Identity, record: str = "900", kind: str = "person") -> Row:
    """One row of an answer."""
    return Row(record=RecordRef(kind, record), subjects=subjects, fields=frozenset(), place=0)


def lookup(
    principal: str = "E1", action: Action = Action.VIEW, *, at: datetime = NOW, ref: str = "", **declared: str
) -> Lookup:
    """One lookup by a member of the force."""
    return Lookup(
        id="l1",
        at=at,
        principal=Principal(id=principal, roles=("officer",)),
        action=action,
        kind="person",
        records=(),
        declaration=replace(Declaration(purpose="investigate.crime", ref=ref), **declared),  # type: ignore[arg-type] # texts only
    )
