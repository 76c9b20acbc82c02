"""Where a ledger may lie, and who holds which shard of it."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purposegate.errors import LedgerOutage, SettingsError

NETWORK_FILESYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ]
)
"""Where byte-range locks and fsync are not what SQLite's WAL needs (sqlite.org/wal.html, point 2)."""
MAX_SHARDS = 256
AUTO = "auto"
_OCTAL = re.compile(r"\\([0-7]{3})")


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the filesystem that holds an absolute path, from the text of /proc/self/mountinfo (proc(5))."""
    found, best = "", -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
        if path.is_relative_to(point) and len(point) >= best:  # a later mount on one point hides the earlier
            found, best = after.split(" ")[0], len(point)
    return found


def require_local(directory: Path) -> None:
    """Return if the directory is on a local filesystem; else SettingsError. Only Linux can tell."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # macOS and containers without /proc: docs/operator.md names the filesystems to avoid
    kind = filesystem_of(directory.resolve(), mountinfo)
    if kind in NETWORK_FILESYSTEMS:
        raise SettingsError(
            f"{directory}: {kind} is a network filesystem; put the ledger on a local disk or in PostgreSQL"
        )


class Lock:
    """An exclusive lock on a file, gone when the process is, however it dies."""

    def __init__(self, path: Path) -> None:
        """Take it or raise BlockingIOError at once."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def creating(path: Path) -> Iterator[None]:
    """Hold the lock under which a ledger's files are made, waiting for whoever makes them now."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hold_shard(path: Path, wanted: str) -> tuple[str, Lock]:
    """Take a shard of the ledger at `path`: the one named, or for `auto` the first that nobody holds.

    Raises LedgerOutage when it is taken.
    """
    names = [f"shard-{number}" for number in range(MAX_SHARDS)] if wanted == AUTO else [wanted]
    for name in names:
        try:
            return name, Lock(path.with_name(f"{path.name}.{name}.lock"))
        except BlockingIOError:
            continue
        except OSError as error:
            raise LedgerOutage(f"{path}: {name} cannot be locked: {error.strerror}") from error
    if wanted == AUTO:
        raise LedgerOutage(f"{path}: all {MAX_SHARDS} shards are held by running workers")
    raise LedgerOutage(f"{path}: {wanted} is held by another worker; stop it, or open with shard `auto`")
