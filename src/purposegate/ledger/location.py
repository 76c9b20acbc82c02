"""Where a ledger is: a file, or a database on a server. What is beside it, and how it is opened, read and verified."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from purposegate.errors import SettingsError
from purposegate.ledger import sqlite_eraser
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.keys import require_private
from purposegate.ledger.place import Lock
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import Reader
from purposegate.ledger.verdict import Evidence, Progress, Report
from purposegate.ledger.verify import verify_file

_URL = re.compile(r"postgres(ql)?://", re.ASCII)


class Location(Protocol):
    """One ledger's place. `str` is what messages call it, without secrets."""

    @property
    def key_file(self) -> Path | None:
        """The payload and index keys, where they were named."""
        ...

    def beside(self, ending: str) -> Path:
        """A file of this machine that belongs to the ledger: its search index, a key. Raises SettingsError."""
        ...

    def open(self, *, origin: str, limits: Limits | None = None) -> DurableLedger:
        """Open it for appending, in the first free shard. Raises SettingsError, LedgerOutage."""
        ...

    def reader(self) -> Reader:
        """A connection to read with. Raises SettingsError, LedgerOutage."""
        ...

    def verify(
        self, evidence: Evidence, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report:
        """Read all of it again. Key file and signer are those of this place. Raises SettingsError, LedgerOutage."""
        ...

    def erase(self, positions: Sequence[int], lowered: Mapping[tuple[bytes, int], int]) -> bool:
        """Delete payloads, and lower counters by (token, shard), in one durable transaction.

        Whether nothing of them is left in the store's own files. Raises LedgerOutage.
        """
        ...

    def is_written(self, shard: str, reader: Reader) -> bool:
        """Whether a running process holds the shard."""
        ...

    def size_bytes(self, reader: Reader) -> int:
        """What it takes on the disk."""
        ...

    def free_bytes(self) -> int | None:
        """Room left on its disk, or None where only its server knows."""
        ...


@dataclass(frozen=True, slots=True)
class FileLocation:
    """An SQLite file."""

    path: Path
    key_file: Path
    signer_file: Path

    @classmethod
    def of(cls, path: Path, key_file: Path | None = None, signer_file: Path | None = None) -> "FileLocation":
        """The file with its key files, under their usual names unless given."""
        return cls(
            path,
            key_file or path.with_name(path.name + ".keys"),
            signer_file or path.with_name(path.name + ".signer"),
        )

    def __str__(self) -> str:
        return str(self.path)

    def beside(self, ending: str) -> Path:
        """See `Location`."""
        return self.path.with_name(self.path.name + ending)

    def open(self, *, origin: str, limits: Limits | None = None) -> DurableLedger:
        """See `Location`."""
        return DurableLedger.open(
            self.path, origin=origin, key_file=self.key_file, signer_file=self.signer_file, limits=limits
        )

    def reader(self) -> SqliteReader:
        """See `Location`."""
        return SqliteReader(self.path)

    def verify(
        self, evidence: Evidence, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report:
        """See `Location`."""
        given = replace(evidence, key_file=self.key_file, signer_file=self.signer_file)
        return verify_file(self.path, given, payloads=payloads, progress=progress)

    def erase(self, positions: Sequence[int], lowered: Mapping[tuple[bytes, int], int]) -> bool:
        """See `Location`."""
        return sqlite_eraser.erase(self.path, positions, lowered)

    def is_written(self, shard: str, reader: Reader) -> bool:  # noqa: ARG002  # a server's reader could tell
        """See `Location`."""
        file = self.beside(f".{shard.partition('.r')[0]}.lock")
        try:
            if file.exists():
                Lock(file).release()
        except (BlockingIOError, PermissionError):
            return True
        return False

    def size_bytes(self, reader: Reader) -> int:  # noqa: ARG002
        """See `Location`."""
        return self.path.stat().st_size

    def free_bytes(self) -> int | None:
        """See `Location`."""
        return shutil.disk_usage(self.path.parent).free


def is_address(text: str) -> bool:
    """Whether this names a database on a server, and not a file."""
    return bool(_URL.match(text))


def on_server(url: str, key_file: Path | None, signer_file: Path | None = None) -> Location:
    """A ledger in a database that holds no secret in its URL. Raises SettingsError."""
    return _server(url, key_file, signer_file, secret=False)


def on_server_in(url_file: Path, key_file: Path | None, signer_file: Path | None = None) -> Location:
    """The same with the URL, and a password in it perhaps, in a file of mode 0600. Raises SettingsError."""
    try:
        require_private(url_file)
        url = url_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{url_file}: the ledger's URL cannot be read ({type(error).__name__})") from None
    return _server(url, key_file, signer_file, secret=True)


def _server(url: str, key_file: Path | None, signer_file: Path | None, *, secret: bool) -> Location:
    try:
        from purposegate.ledger.postgres import PostgresLocation  # noqa: PLC0415  # psycopg is an extra
    except ImportError as error:
        raise SettingsError(
            "a ledger in PostgreSQL needs psycopg: pip install 'purposegate[postgres]'"
        ) from error
    found = PostgresLocation.of(url, key_file, signer_file)
    if found.address.has_password and not secret:
        raise SettingsError(
            f"{found}: put a URL that holds a password in a file of mode 0600, or the password in ~/.pgpass"
        )
    return found
