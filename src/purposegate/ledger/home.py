"""A ledger's files: made together, recognised together, refused when one is not this ledger's."""

from pathlib import Path
from typing import Any, NamedTuple

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import keys, signing
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.merkle import frontier_at
from purposegate.ledger.note import Note
from purposegate.ledger.place import creating
from purposegate.ledger.room import Room
from purposegate.ledger.sqlite_file import create_file, open_reader
from purposegate.ledger.store import Head, Store

MAX_GENERATIONS = 1_000


class Home(NamedTuple):
    """Where a ledger is, as messages say it, its key files, and its name."""

    place: str
    key_file: Path
    signer_file: Path
    origin: str

    @classmethod
    def of(cls, path: Path, origin: str, key_file: Path | None, signer_file: Path | None) -> "Home":
        """The files of the ledger at `path`, with their usual names where none is given."""
        path = path.absolute()
        return cls(
            str(path),
            (key_file or path.with_name(path.name + ".keys")).absolute(),
            (signer_file or path.with_name(path.name + ".signer")).absolute(),
            origin,
        )


class Secrets(NamedTuple):
    """What the key files hold."""

    ring: keys.KeyRing
    signer: bytes


def prepare(path: Path, home: Home, room: Room, vfs: str) -> Secrets:
    """Make what is missing, in an order that a crash may cut anywhere: the key files first, the database last.

    Raises SettingsError, LedgerOutage.
    """
    try:
        with creating(path):
            exists = path.exists()
            if exists:  # what is no ledger at all is told so before any of its files is missed
                open_reader(path, vfs=vfs)[0].close()
            secrets = secrets_of(home, begun=exists)
            if not exists:
                if room.is_low():
                    raise LedgerOutage(f"{path}: too little room on the disk to begin a ledger")
                create_file(path, meta_of(home, secrets), vfs=vfs)
    except OSError as error:
        raise LedgerOutage(f"{path}: cannot be made or read: {error.strerror}") from error
    return secrets


def secrets_of(home: Home, *, begun: bool) -> Secrets:
    """What the key files hold; where the ledger is not begun yet, missing ones are made. Raises SettingsError, OSError."""
    for file, create in ((home.key_file, keys.create), (home.signer_file, signing.create_secret)):
        if begun and not file.exists():
            raise SettingsError(
                f"{file}: this file of the ledger is gone; restore it, a new one could not take its place"
            )
        if not file.exists():
            create(file)
    return Secrets(keys.load(home.key_file), signing.load_secret(home.signer_file))


def meta_of(home: Home, secrets: Secrets) -> dict[str, bytes]:
    """What a database says of the ledger it holds: its origin, and fingerprints of its keys."""
    ring = secrets.ring
    base = signing.shard_signer(secrets.signer, home.origin).verifier
    fingerprints = {f"key {kid}": ring.fingerprint(kid) for kid in (0, *ring.payload)}
    return {"origin": home.origin.encode(), "signer": base.public, **fingerprints}


def recognise(home: Home, meta: dict[str, bytes], secrets: Secrets) -> None:
    """Return if the database was made with these files under this origin; else SettingsError."""
    wanted = meta_of(home, secrets)
    if meta.get("origin") != wanted.pop("origin"):
        raise SettingsError(
            f"{home.place}: this ledger has another origin; mend `origin` in the settings, or name another file"
        )
    if meta.get("signer") != wanted.pop("signer"):
        raise SettingsError(
            f"{home.signer_file}: this signer file belongs to another ledger; restore the right one"
        )
    if any(meta.get(name) != fingerprint for name, fingerprint in wanted.items()):
        raise SettingsError(
            f"{home.key_file}: this key file belongs to another ledger; restore the right one"
        )


class Standing(NamedTuple):
    """The shard to write, its signer, and what its genesis must say if it takes the place of one that was lost."""

    name: str
    signer: signing.HeadSigner
    lost: dict[str, Any]


def stand(store: Store, home: Home, secrets: Secrets, name: str) -> Standing:
    """The shard to continue under a name: itself, or its next generation where the store is older than what was signed.

    A restored backup would otherwise grow a second history beside the one this log has put its name to. Raises
    LedgerOutage, SettingsError.
    """
    lost: dict[str, Any] = {}
    for generation in range(1, MAX_GENERATIONS):
        shard = name if generation == 1 else f"{name}.r{generation - 1}"
        memory = signing.head_file(home.signer_file, shard)
        signer = signing.HeadSigner(secrets.signer, f"{home.origin}/{shard}", memory)
        head = store.seek(shard)
        if _continues(store, head, signer):
            return Standing(shard, signer, lost)
        note = signer.note or store.kept()
        lost = {
            "shard": shard,
            "checkpoint": note.decode(),
            "signed_size": Checkpoint.parse(Note.parse(note).text).size,
            "store_size": head.size if head else 0,
        }
    raise LedgerOutage(f"{home.place}: {name} was lost {MAX_GENERATIONS} times; name another shard")


def _continues(store: Store, head: Head | None, signer: signing.HeadSigner) -> bool:
    """Whether what the store holds begins with all that was signed."""
    if signer.last is None:  # a memory that is gone while heads were kept may hide a roll-back
        return head is None or not store.kept()
    if head is None or head.size < signer.last.size:
        return False
    try:
        return frontier_at(signer.last.size, store.subtrees).root() == signer.last.root
    except LookupError:
        return False
