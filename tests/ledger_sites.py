"""Where a ledger can be: what the tests that every kind of store must pass ask of one."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw

from ledgers import open_ledger
from purposegate.ledger import keys
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.entry import read_leaf, read_payload
from purposegate.ledger.signing import head_file
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import Reader, StoredEntry
from purposegate.ledger.verdict import Evidence, Progress, Report
from purposegate.ledger.verify import verify_file


class Site(ABC):
    """One ledger's place: a file, or a database on a server, with its key files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def key_file(self) -> Path: ...

    @property
    @abstractmethod
    def signer_file(self) -> Path: ...

    @abstractmethod
    def open(self, **changes: Any) -> DurableLedger:
        """Open it for appending, with an origin of the tests' own."""

    @abstractmethod
    def opening(self) -> str:
        """Python that opens it in another process, run in the repository's root; it ends in an expression."""

    @abstractmethod
    def shard(self, number: int) -> str:
        """What `auto` calls the shard of this number, once the ledger was opened."""

    @abstractmethod
    def reader(self) -> Reader: ...

    @abstractmethod
    def verify(
        self, evidence: Evidence | None = None, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report: ...

    @abstractmethod
    def execute(self, *statements: str, guarded: bool = False) -> list[Any]:
        """What its owner can do to it: SQL that both kinds read. `guarded` leaves the triggers in place."""

    @abstractmethod
    def copied(self, folder: Path) -> "Site":
        """Another one like it, key files and all. The ledger must be closed."""

    @abstractmethod
    def backed_up(self) -> Callable[[], None]:
        """What puts the rows back to how they are now, the key files untouched. The ledger must be closed."""

    @abstractmethod
    def begun_without_keys(self) -> None:
        """What a crash leaves of a beginning: key files and nothing else. The ledger must be closed."""

    def head_file(self, number: int = 0) -> Path:
        """The signer's memory of one shard's last head."""
        return head_file(self.signer_file, self.shard(number))

    def stored(self, shard: int = 1) -> list[StoredEntry]:
        """Every entry of a shard, by its number in the store."""
        reader = self.reader()
        try:
            return list(reader.entries(shard, 0, 10_000))
        finally:
            reader.close()

    def kinds(self) -> list[str]:
        return [read_leaf(each.leaf).kind for each in self.stored()]

    def sizes(self) -> dict[str, int]:
        """How many entries each shard's head says it has."""
        reader = self.reader()
        try:
            return {row.name: row.head.size for row in reader.shards()}
        finally:
            reader.close()

    def fields(self, found: StoredEntry, shard: int = 1) -> dict[str, Any]:
        """What an entry disclosed."""
        reader = self.reader()
        (row,) = (row for row in reader.shards() if row.number == shard)
        reader.close()
        assert found.sealed is not None
        assert found.kid is not None
        assert found.nonce is not None
        cipher = keys.Cipher(keys.load(self.key_file), row.origin)
        return read_payload(
            cipher.open(found.sealed, index=found.index, kid=found.kid, nonce=found.nonce)
        ).fields


class SqliteSite(Site):
    """A file."""

    @property
    def path(self) -> Path:
        return self.folder / "l.db"

    @property
    def key_file(self) -> Path:
        return self.folder / "l.db.keys"

    @property
    def signer_file(self) -> Path:
        return self.folder / "l.db.signer"

    def open(self, **changes: Any) -> DurableLedger:
        return open_ledger(self.path, **changes)

    def opening(self) -> str:
        return f"from ledgers import *\nopen_ledger(Path({str(self.path)!r}))"

    def shard(self, number: int) -> str:
        return f"shard-{number}"

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path)

    def verify(
        self, evidence: Evidence | None = None, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report:
        return verify_file(self.path, evidence, payloads=payloads, progress=progress)

    def execute(self, *statements: str, guarded: bool = False) -> list[Any]:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(10_000)  # the ledger itself may be keeping a signed head at this moment
        try:
            triggers: list[Any] = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall()
            for (name,) in () if guarded else triggers:
                connection.execute(f"DROP TRIGGER {name}")
            rows: list[Any] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows
        finally:
            connection.close()

    def copied(self, folder: Path) -> "SqliteSite":
        copy_files(self.folder, folder, "l.db*")  # of a closed ledger: copying drops SQLite's locks on it
        return SqliteSite(folder)

    def backed_up(self) -> Callable[[], None]:
        raw = self.path.read_bytes()

        def put_back() -> None:
            self.path.write_bytes(raw)

        return put_back

    def begun_without_keys(self) -> None:
        self.path.unlink()


def copy_files(source: Path, folder: Path, pattern: str, but: Sequence[str] = (".lock",)) -> None:
    """Copy files between folders, but those that end so."""
    for path in source.glob(pattern):
        if not path.name.endswith(tuple(but)):
            shutil.copy(path, folder / path.name)
