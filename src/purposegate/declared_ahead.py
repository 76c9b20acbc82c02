"""Puts together what declarations made ahead need: their store beside the ledger, the desk, and the pages they are made on."""

from dataclasses import dataclass

from purposegate.enforcement.browser import Browser
from purposegate.enforcement.declaration_page import DeclarationPage
from purposegate.errors import SettingsError
from purposegate.ledger.location import FileLocation, Location
from purposegate.pages import Page
from purposegate.purposes.catalogue import PurposeCatalogue
from purposegate.purposes.desk import Desk
from purposegate.purposes.session import Seals, Store
from purposegate.purposes.session_pages import pages
from purposegate.purposes.session_sqlite import SqliteSessions

ENDING = ".declarations"


@dataclass(frozen=True, slots=True)
class DeclaredAhead:
    """What a snapshot takes of it."""

    desk: Desk
    pages: tuple[Page, ...]
    browser: Browser


def open_store(location: Location) -> Store:
    """The store of this ledger's declarations, made if it is not there. Blocks. Raises `SettingsError`, `Outage`."""
    if isinstance(location, FileLocation):
        return SqliteSessions(location.beside(ENDING))
    try:
        from purposegate.ledger import postgres_session  # noqa: PLC0415  # psycopg is an extra
        from purposegate.ledger.postgres import PostgresLocation  # noqa: PLC0415
        from purposegate.purposes.session_postgres import PostgresSessions  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "a ledger in PostgreSQL needs psycopg: pip install 'purposegate[postgres]'"
        ) from error
    if not isinstance(location, PostgresLocation):
        raise SettingsError(f"{location}: declarations are kept beside a file or in PostgreSQL")
    address = location.address
    return PostgresSessions(lambda: postgres_session.connect(address, "declarations"), str(address))


def declared_ahead(catalogue: PurposeCatalogue, store: Store, key: bytes) -> DeclaredAhead:
    """Desk and pages for one catalogue; `key` is 32 bytes that every worker has."""
    desk = Desk(catalogue=catalogue, store=store, seals=Seals(key))
    page = DeclarationPage(desk)
    return DeclaredAhead(desk, (*pages(desk), *page.pages), Browser(page))
