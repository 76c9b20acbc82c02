"""A ledger in a database of a test server, as the suite of every store wants it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger_sites import Site, copy_files
from ledgers import NO_MARGIN, ORIGIN
from peers.postgres_server import PostgresServer
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.postgres import PostgresLocation, open_postgres
from purposegate.ledger.postgres_reader import PostgresReader
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.verdict import Evidence, Progress, Report


class PostgresSite(Site):
    """A database, written to as the role of gates and read as the role of auditors."""

    def __init__(self, folder: Path, server: PostgresServer, database: str = "") -> None:
        super().__init__(folder)
        self.server = server
        self.database = database or server.database()

    @property
    def url(self) -> str:
        return self.server.url(self.database, "gate")

    @property
    def key_file(self) -> Path:
        return self.folder / "l.keys"

    @property
    def signer_file(self) -> Path:
        return self.folder / "l.keys.signer"

    def open(self, **changes: Any) -> DurableLedger:
        given = {
            "url": self.url,
            "origin": ORIGIN,
            "key_file": self.key_file,
            "limits": NO_MARGIN,
            **changes,
        }
        return open_postgres(**given)

    def opening(self) -> str:
        return (
            "from ledgers import *\nfrom purposegate.ledger.postgres import open_postgres\n"
            f"open_postgres({self.url!r}, origin=ORIGIN, key_file=Path({str(self.key_file)!r}))"
        )

    def shard(self, number: int) -> str:
        place = self.signer_file.with_name(self.signer_file.name + ".place").read_text().strip()
        return f"{place}-{number}"

    def reader(self) -> PostgresReader:
        return PostgresReader(Address.parse(self.server.url(self.database, "auditor")))

    def verify(
        self, evidence: Evidence | None = None, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report:
        location = self.location(self.server.url(self.database, "auditor"))
        return location.verify(evidence or Evidence(), payloads=payloads, progress=progress)

    def location(self, url: str = "") -> PostgresLocation:
        """The ledger as commands are pointed at it."""
        return PostgresLocation.of(url or self.url, self.key_file, self.signer_file)

    def execute(self, *statements: str, guarded: bool = False) -> list[Any]:
        quiet = () if guarded else ("SET session_replication_role = replica",)  # no triggers
        return self.server.execute(self.database, *quiet, *statements)

    def copied(self, folder: Path) -> "PostgresSite":
        copy_files(self.folder, folder, "l.keys*")
        return PostgresSite(folder, self.server, self.server.database(self.database))

    def backed_up(self) -> Callable[[], None]:
        copy = self.server.database(self.database)
        return lambda: self.server.replace(self.database, copy)

    def begun_without_keys(self) -> None:
        self.server.replace(self.database, self.server.database())
