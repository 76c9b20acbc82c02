"""Where a register's store is: an SQLite file or a PostgreSQL database, and the key file, which is in neither."""

from dataclasses import dataclass
from pathlib import Path

from purposegate.conflicts import register_keys
from purposegate.conflicts.register_sql import Connection
from purposegate.conflicts.register_sqlite import SqliteConnection
from purposegate.conflicts.register_store import RegisterStore, checked
from purposegate.errors import SettingsError
from purposegate.feeds.private import read_private


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPlace:
    """A store's place: exactly one of `path` and `url_file` (which holds a postgresql:// URL, mode 0600)."""

    path: Path | None
    url_file: Path | None
    key_file: Path

    def open(self, *, create: bool = False) -> RegisterStore:
        """The store; with `create`, its database and key file are made where both are missing.

        Raises SettingsError for files that are not a register's, or are of different ones.
        """
        if create and not self.key_file.exists():
            self._make_keys()
        keys = register_keys.load(self.key_file)
        checked(self._connect(create=create), keys, begin=create).close()
        return RegisterStore(self._connect, keys)

    def _make_keys(self) -> None:
        if self.path is not None and self.path.exists():
            raise SettingsError(
                f"{self.key_file}: the register's key file is gone; restore it, or move {self.path} away and import anew"
            )
        try:
            register_keys.create(self.key_file)
        except FileExistsError:
            return  # another import was first: its key is everybody's
        except OSError as error:
            raise SettingsError(f"{self.key_file}: cannot be made: {error.strerror}") from error

    def _connect(self, *, create: bool = False) -> Connection:
        if self.path is not None:
            return SqliteConnection(self.path, create=create)
        try:
            from purposegate.conflicts.register_postgres import PostgresConnection  # noqa: PLC0415  # psycopg is an extra
        except ImportError as error:
            raise SettingsError(
                "a register in PostgreSQL needs psycopg: pip install 'purposegate[postgres]'"
            ) from error
        if self.url_file is None:
            raise SettingsError("register: want path or url_file")
        return PostgresConnection(read_private(self.url_file, "the register's URL"), create=create)
