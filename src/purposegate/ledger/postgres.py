"""A ledger on a PostgreSQL server: opened for writing, and verified. Needs psycopg, the extra `postgres`.

Only the rows are on the server. The key files stay with the gate; so does the signer's memory of its last heads, and with
it the gate's *place*: eight characters, made once, that begin the names of its shards. Two machines thus never sign for
the same log, however often they restart and whatever became of the server meanwhile.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from purposegate.errors import LedgerDamaged, LedgerOutage, SettingsError
from purposegate.ledger import home as files
from purposegate.ledger.durable import DurableLedger, Limits, check_names
from purposegate.ledger.keys import write_private
from purposegate.ledger.place import AUTO, MAX_SHARDS, creating
from purposegate.ledger.postgres_reader import PostgresReader
from purposegate.ledger.postgres_session import Address
from purposegate.ledger.postgres_store import PostgresStore
from purposegate.ledger.room import Room
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
    """Open the ledger in the database at `url`, beginning one if its tables are empty. Blocks for some network round trips.

    As `DurableLedger.open`, but `key_file` must be named; `signer_file` is `<key_file>.signer` unless given. Gates on other
    machines get copies of both files. Free space on the server is the server's to watch: `limits` bound only batches and
    the queue.
    Raises SettingsError for a database or files that are not this ledger's, LedgerOutage for servers and locks; neither
    shows the URL's user or password.
    """
    check_names(origin, shard)
    address = Address.parse(url)
    signer = signer_file or key_file.with_name(key_file.name + ".signer")
    home = files.Home(str(address), key_file.absolute(), signer.absolute(), origin)
    limits = limits or Limits()
    room = Room(
        home.signer_file.parent,
        watermark_bytes=0,
        ballast=home.signer_file.with_name(home.signer_file.name + ".ballast"),
        ballast_bytes=0,
    )
    with ExitStack() as resources:
        store = PostgresStore(address)
        resources.callback(store.close)
        secrets, place = _prepare(store, home)
        name = _hold(store, shard, place)
        standing = files.stand(store, home, secrets, name)
        return DurableLedger.serve(store, standing, secrets, room=room, limits=limits, resources=resources)


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


def verify_postgres(
    url: str, evidence: Evidence, *, payloads: bool = True, progress: Progress | None = None
) -> Report:
    """Read the ledger at `url` again from end to end, as of one moment; writers go on meanwhile.

    As `verify_file`; `evidence` names the key file and, where this machine's signed heads shall count, the signer file.
    Raises SettingsError for what is no ledger, LedgerOutage for a server that does not answer.
    """
    report = Report()
    try:
        reader = PostgresReader(Address.parse(url))
    except LedgerDamaged as error:
        report.add("database", None, "the database's structure", "readable pages", error.detail)
        return report
    try:
        verify_reader(reader, evidence, report, payloads=payloads, progress=progress)
    finally:
        reader.close()
    return report
