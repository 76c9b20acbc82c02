"""What tests of looking back share: lookups as the gate's own evidence writes them, in real ledgers, and shipped copies."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from force_files import POLICIES, REGISTER, somebody
from ledgers import open_ledger
from purposegate.conflicts import relations
from purposegate.evidence import identity_row
from purposegate.model import Address, Entry, EntryKind, Identity

RULES = relations.load(POLICIES / "conflicts.yaml")
GANG_MEMBER = somebody(
    "Jordan",
    "Quillfeather",
    "1993-06-17",
    Address(number="8", street="Tanner Row", locality="Ashby", postcode="AB1 4EF"),
)
COVERT = {
    "id": "i1",
    "principal": "E1",
    "relation": "associate",
    "provenance": "intelligence",
    "names": "Jordan|Quillfeather;Jordie|Zyxcanarywort",
    "born": "1993-06-17",
    "valid_from": "2024-01-01",
    "known_from": "2026-11-19",
}
READING = (
    "--as",
    "psd-7",
    "--purpose",
    "audit.psd",
    "--ref",
    "PSD/12",
    "--reason",
    "complaint of the neighbour",
)


def lookup(
    number: int,
    *people: Identity,
    who: str = "E1",
    at: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC),
    record: str = "900",
    released: bool = True,
    **more: Any,
) -> Entry:
    """One record opened, as the gate would enter it."""
    row = {
        "kind": "person",
        "id": record,
        "released": released,
        "subjects": [identity_row(one) for one in people],
    }
    fields = {
        "principal": who, "purpose": "investigate.crime", "ref": "CR/1042/26", "reason": "Witness statement", "action": "view",
        "records": [["person", record]],
    }  # fmt: skip
    return Entry(
        kind=more.pop("kind", EntryKind.RELEASE if released else EntryKind.REFUSAL),
        lookup_id=more.pop("lookup_id", f"lookup-{number}"),
        at=at,
        released=released,
        fields=fields | more.pop("fields", {}),
        rows=more.pop("rows", [row]),
    )


def write_ledger(path: Path, entries: Sequence[Entry]) -> Path:
    """Append to a real ledger and close it."""
    with open_ledger(path) as ledger:
        for one in entries:
            ledger.append_wait(one)
    return path


def ship(ledger: Path, to: Path) -> Path:
    """Copy the database by SQLite's own means, and the key file, as docs/watcher.md says."""
    to.parent.mkdir(exist_ok=True)
    draft = to.with_name(to.name + ".part")
    source, target = (
        apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READONLY),
        apsw.Connection(str(draft)),
    )
    with target.backup("main", source, "main") as backup:
        backup.step()
    source.close()
    target.close()
    draft.replace(to)
    shutil.copy(ledger.with_name(ledger.name + ".keys"), to.with_name(to.name + ".keys"))
    return to


def write_entries(path: Path, *rows: Mapping[str, str]) -> Path:
    """A CSV file of covert entries."""
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, REGISTER, restval="")
        sheet.writeheader()
        sheet.writerows(rows)
    return path
