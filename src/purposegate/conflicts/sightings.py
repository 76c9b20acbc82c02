"""The token index of past lookups: one entry against all of them without reading them. Derived; it can be built again.

One SQLite file of (token, where), nothing in clear but how many lookups there were; see `lookback.Tokens`.
"""

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from purposegate.conflicts.lookback import PastRow, Tokens, entry_keys, keys_version, row_keys
from purposegate.conflicts.register import RegisterEntry
from purposegate.errors import SettingsError

APPLICATION_ID = 0x50474C33
VERSION = 1
SHARD_SHIFT = 40
"""A position is the shard's number, then the entry's: shards are few, and entries of one fit 40 bits."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE made   (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE done   (shard INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE seen   (tok INTEGER, pos INTEGER, row INTEGER, PRIMARY KEY (tok, pos, row)) WITHOUT ROWID;
CREATE TABLE looked (tok INTEGER PRIMARY KEY, print BLOB NOT NULL);
"""


class Where(NamedTuple):
    """One record of one past lookup: shard number, entry number, row."""

    shard: int
    number: int
    row: int


class Sightings:
    """One index file. Use from one thread, and from one process at a time."""

    def __init__(self, path: Path, secret: bytes) -> None:
        """Open the index, or make it; one made with another key, or in another way, is emptied first.

        Raises SettingsError for a file that is something else.
        """
        self._tokens = Tokens(secret)
        made = {"key": sha256(b"sightings\0" + secret).digest(), "keys": keys_version().encode()}
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(5_000)
            if self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                with self._db:
                    self._db.execute(SCHEMA)
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
            if known == (APPLICATION_ID, VERSION):
                self._begin(made)
        except apsw.Error as error:
            raise SettingsError(
                f"{path}: cannot be used as an index; delete it, it can be built again"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            raise SettingsError(f"{path}: not this release's index; delete it, it can be built again")

    def _begin(self, made: Mapping[str, bytes]) -> None:
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", 1)  # derived: what a power cut takes is derived again
        before: dict[Any, Any] = dict(self._db.execute("SELECT name, value FROM made"))
        if before != made:
            with self._db as db:
                for table in ("made", "done", "seen", "looked"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed words only
                db.executemany("INSERT INTO made VALUES (?, ?)", made.items())

    def sizes(self) -> dict[int, int]:
        """How many entries of each shard are in the index, by the shard's number."""
        rows: list[Any] = self._db.execute("SELECT shard, size FROM done").fetchall()
        return dict(rows)

    def clear(self) -> None:
        """Forget all lookups, so that they are read again."""
        with self._db as db:
            db.execute("DELETE FROM seen")
            db.execute("DELETE FROM done")

    def add(self, shard: int, size: int, rows: Iterable[PastRow]) -> None:
        """Add the rows of a shard's entries up to `size`, in one transaction; again is no harm."""
        found = [
            (token, (row.shard << SHARD_SHIFT) + row.number, row.row)
            for row in rows
            for keys in (row_keys(row),)
            for staff_id in {staff_id for _, staff_id in row.behind}
            for token in self._tokens.of(staff_id, keys)
        ]
        found.sort()  # in the order of the tree that they go into
        with self._db as db:
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", found)
            db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (shard, size))

    def candidates(self, entry: RegisterEntry, after: Mapping[int, int]) -> list[Where]:
        """Past rows of the entry's principal worth weighing, in order; of each shard those from its number in `after` on."""
        found: set[tuple[int, int]] = set()
        sizes = self.sizes()
        for token in self._tokens.of(entry.principal, entry_keys(entry)):
            for shard, size in sizes.items():
                base = shard << SHARD_SHIFT
                found.update(
                    self._db.execute(
                        "SELECT pos, row FROM seen WHERE tok = ? AND pos >= ? AND pos < ?",
                        (token, base + after.get(shard, 0), base + size),
                    )
                )
        return [Where(pos >> SHARD_SHIFT, pos & ((1 << SHARD_SHIFT) - 1), row) for pos, row in sorted(found)]

    def is_new(self, entry: RegisterEntry, model: str) -> bool:
        """Whether this state of the entry was not looked back for by this model yet."""
        known: bytes | None = self._db.execute(
            "SELECT print FROM looked WHERE tok = ?", (self._name(entry),)
        ).get
        return known != self._print(entry, model)

    def looked(self, entries: Iterable[RegisterEntry], model: str) -> None:
        """Remember that these were looked back for."""
        with self._db as db:
            db.executemany(
                "INSERT OR REPLACE INTO looked VALUES (?, ?)",
                [(self._name(entry), self._print(entry, model)) for entry in entries],
            )

    def _name(self, entry: RegisterEntry) -> int:
        return self._tokens.of(entry.principal, [("entry", entry.id)])[0]

    def _print(self, entry: RegisterEntry, model: str) -> bytes:
        return self._tokens.digest(f"{model}\n{sorted(entry.records)}\n{_plain(entry)}")

    def close(self) -> None:
        """Let go. Idempotent."""
        self._db.close(True)


def _plain(entry: RegisterEntry) -> str:
    """Everything but the records, whose order in a set is not always the same."""
    return repr(
        (
            entry.id, entry.principal, entry.relation, entry.provenance, entry.person, entry.homes,
            entry.valid_from, entry.valid_to, entry.known_from, entry.declared_by,
        )
    )  # fmt: skip
