"""Opens the store of matters that goes with a ledger: a file beside a file, tables beside tables."""

from purposegate.errors import SettingsError
from purposegate.ledger.location import FileLocation, Location
from purposegate.review.sqlite_store import SqliteStore
from purposegate.review.store import Store

ENDING = ".review"


def open_store(location: Location) -> Store:
    """The store of this ledger's matters, made if it is not there. Raises `SettingsError`, `Outage`."""
    if isinstance(location, FileLocation):
        return SqliteStore(location.beside(ENDING))
    try:
        from purposegate.ledger.postgres import PostgresLocation  # noqa: PLC0415  # psycopg is an extra
        from purposegate.review.postgres_store import PostgresStore  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "a ledger in PostgreSQL needs psycopg: pip install 'purposegate[postgres]'"
        ) from error
    if not isinstance(location, PostgresLocation):
        raise SettingsError(f"{location}: reviews are kept beside a file or in PostgreSQL")
    return PostgresStore(location.address)
