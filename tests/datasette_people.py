"""A records system nobody here wrote: Datasette, unmodified, on a SQLite table of febrl4 "b" people."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from datasette.app import Datasette

import febrl

DATABASE = "people"
TABLE = "person"
ID = "rec_id"
COLUMNS = (
    ID,
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
    "date_of_birth",
    "soc_sec_id",
)

Person = Mapping[str, str]


def people() -> list[dict[str, str]]:
    """The 5,000 people, in the order of their ids."""
    return sorted(febrl.rows("dataset4b"), key=lambda person: person[ID])


def build(directory: Path, rows: Iterable[Person]) -> Path:
    """Write `people.db` in a directory: one table, an index of its words for `_search`, an index of surnames."""
    path = directory / f"{DATABASE}.db"
    columns = ", ".join(f"{name} TEXT{' PRIMARY KEY' if name == ID else ''}" for name in COLUMNS)
    words = ", ".join(name for name in COLUMNS if name != ID)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {TABLE} ({columns})")
        marks = ", ".join("?" for _ in COLUMNS)
        connection.executemany(
            f"INSERT INTO {TABLE} VALUES ({marks})",
            ([person[name] or None for name in COLUMNS] for person in rows),
        )
        connection.execute(f"CREATE INDEX by_surname ON {TABLE} (surname)")
        connection.execute(f'CREATE VIRTUAL TABLE {TABLE}_fts USING fts5({words}, content="{TABLE}")')
        connection.execute(f"INSERT INTO {TABLE}_fts (rowid, {words}) SELECT rowid, {words} FROM {TABLE}")
    return path


def app(database: Path, *, immutable: bool = False, **settings: Any) -> Any:
    """Datasette's own ASGI application on one database, as `datasette serve` would make it (`-i` where immutable)."""
    files = {"immutables" if immutable else "files": [str(database)]}
    return Datasette(**{"files": [], **files}, settings=settings).app()
