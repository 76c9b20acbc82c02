"""A ledger on a PostgreSQL server: opened for writing, and verified. Needs psycopg, the extra `postgres`.

Only the rows are on the server. The key files stay with the gate; so does the signer's memory of its last heads, and with
it the gate's *place*: eight characters, made once, that begin the names of its shards. Two machines thus never sign for
the same log, however often they restart and whatever became of the server meanwhile.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from purposegate.errors import LedgerDamaged, LedgerOutage, SettingsError
from purposegate.ledger import home as files
from purposegate.ledger import postgres_eraser
from purposegate.ledger.durable import DurableLedger, Limits, check_names
from purposegate.ledger.keys import write_private
from purposegate.ledger.place import AUTO, MAX_SHARDS, creating
from purposegate.ledger.postgres_reader import PostgresReader
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.postgres_store import PostgresStore
from purposegate.ledger.room import Room
from purposegate.ledger.store import Reader
from purposegate.ledger.verdict import Evidence, Progress, Report
from purposegate.ledger.verify import verify_reader

PLACE_BYTES = 4


def open_postgres(
    url: str,
    *,
    origin: str,
    key_file: Path,
    signer_file: Path | None = None,
    shard: str = AUTO,
    limits: Limits | None = None,
) -> DurableLedger:
    """Open the ledger in the database at `url`; see `PostgresLocation.open`."""
    return PostgresLocation.of(url, key_file, signer_file).open(origin=origin, shard=shard, limits=limits)


@dataclass(frozen=True, slots=True)
class PostgresLocation:
    """`location.Location` in a database on a server."""

    address: Address
    key_file: Path | None
    signer_file: Path | None

    @classmethod
    def of(
        cls, url: str, key_file: Path | None = None, signer_file: Path | None = None
    ) -> "PostgresLocation":
        """The database, and `<key_file>.signer` unless another is given. Without a key file only leaves can be read.

        Raises SettingsError for a URL that cannot be one, and shows nothing of it.
        """
        if key_file and not signer_file:
            signer_file = key_file.with_name(key_file.name + ".signer")
        return cls(Address.parse(url), key_file, signer_file)

    def __str__(self) -> str:
        return str(self.address)

    def beside(self, ending: str) -> Path:
        """See `Location`: these files lie with the key file."""
        key_file, _ = self._files()
        return key_file.with_name(key_file.name + ending)

    def _files(self) -> tuple[Path, Path]:
        if self.key_file is None or self.signer_file is None:
            raise SettingsError(f"{self}: name the ledger's key file; it is not on the server")
        return self.key_file.absolute(), self.signer_file.absolute()

    def open(self, *, origin: str, limits: Limits | None = None, shard: str = AUTO) -> DurableLedger:
        """Open the ledger, beginning one if its tables are empty. Blocks for some network round trips.

        Gates on other machines get copies of the key file and the signer file. Free space on the server is the server's to
        watch: `limits` bound only batches and the queue.
        Raises SettingsError for a database or files that are not this ledger's, LedgerOutage for servers and locks; neither
        shows the URL's user or password.
        """
        check_names(origin, shard)
        home = files.Home(str(self), *self._files(), origin)
        ballast = home.signer_file.with_name(home.signer_file.name + ".ballast")
        room = Room(home.signer_file.parent, watermark_bytes=0, ballast=ballast, ballast_bytes=0)
        with ExitStack() as resources:
            store = PostgresStore(self.address)
            resources.callback(store.close)
            secrets, place = _prepare(store, home)
            name = _hold(store, shard, place)
            standing = files.stand(store, home, secrets, name)
            return DurableLedger.serve(
                store, standing, secrets, room=room, limits=limits or Limits(), resources=resources
            )

    def reader(self) -> PostgresReader:
        """See `Location`."""
        return PostgresReader(self.address)

    def verify(
        self, evidence: Evidence, *, payloads: bool = True, progress: Progress | None = None
    ) -> Report:
        """Read all of it again, as of one moment; writers go on meanwhile. Of signed heads, this machine's are compared."""
        report = Report()
        try:
            reader = self.reader()
        except LedgerDamaged as error:
            report.add("database", None, "the database's structure", "readable pages", error.detail)
            return report
        given = replace(evidence, key_file=self.key_file, signer_file=self.signer_file)
        try:
            verify_reader(reader, given, report, payloads=payloads, progress=progress)
        finally:
            reader.close()
        return report

    def erase(self, positions: Sequence[int], lowered: Mapping[tuple[bytes, int], int]) -> bool:
        """See `Location`. Always False: what is deleted stays on the server's disk until it vacuums."""
        postgres_eraser.erase(self.address, positions, lowered)
        return False

    def is_written(self, shard: str, reader: Reader) -> bool:
        """See `Location`."""
        return isinstance(reader, PostgresReader) and reader.is_held(shard.partition(".r")[0])

    def size_bytes(self, reader: Reader) -> int:
        """See `Location`."""
        return reader.size_bytes() if isinstance(reader, PostgresReader) else 0

    def free_bytes(self) -> int | None:
        """See `Location`: only the server knows."""
        return None


def _prepare(store: PostgresStore, home: files.Home) -> tuple[files.Secrets, str]:
    """Key files, made where the ledger is not begun yet, and the place; then the ledger, begun with them or recognised."""
    try:
        with creating(home.key_file):
            begun = "origin" in store.meta
            secrets = files.secrets_of(home, begun=begun)
            if not begun:
                store.found(files.meta_of(home, secrets))
            files.recognise(home, store.meta, secrets)
            return secrets, _place(home.signer_file)
    except OSError as error:
        raise LedgerOutage(f"{home.key_file}: cannot be made or read: {error.strerror}") from error


def _place(signer_file: Path) -> str:
    path = signer_file.with_name(signer_file.name + ".place")
    if not path.exists():
        write_private(path, os.urandom(PLACE_BYTES).hex() + "\n")
    place = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        check_names("place", place)
    except SettingsError as error:
        raise SettingsError(f"{path}: want one name of a-z and 0-9; restore it from its backup") from error
    return place


def _hold(store: PostgresStore, wanted: str, place: str) -> str:
    names = [f"{place}-{number}" for number in range(MAX_SHARDS)] if wanted == AUTO else [wanted]
    held = store.hold(names)
    if held is None:
        what = f"all {MAX_SHARDS} shards of {place} are" if wanted == AUTO else f"{wanted} is"
        raise LedgerOutage(
            f"{store.address}: {what} held by running gates; stop one, or open with shard `auto`"
        )
    return held
