"""Private directories for sockets and policies in use, and the locks that tell the living from the dead.

A lock is `flock(2)`: the kernel lets go of it with the process that held it, so a directory left by a killed process is
known by its free lock and swept.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from purposegate.decision.canary import unfit

_PREFIX = "purposegate-"


class FileLock:
    """An exclusive lock on a file or a directory, held until released or until this process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor >= 0

    def acquire(self) -> bool:
        """Take it if it is free; never waits. A file that is not there is made. Raises `OSError`."""
        return self.held or self._take(fcntl.LOCK_EX)

    def share(self) -> bool:
        """Hold it beside others who share it. False while somebody has it alone. Raises `OSError`."""
        return self.held or self._take(fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Whether nobody shares it any more; then it is held exclusively. Raises `OSError`."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _take(self, how: int) -> bool:
        mode = os.O_RDONLY if self._path.is_dir() else os.O_RDWR | os.O_CREAT
        descriptor = os.open(self._path, mode | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go. Idempotent."""
        if self.held:
            os.close(self._descriptor)
            self._descriptor = -1


def require_private(directory: Path) -> None:
    """Make a directory only this account can enter, or refuse one that others can. Raises `PdpOutage`.

    Whoever can enter it can put another Cerbos behind the socket's name.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise unfit(f"the runtime directory cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise unfit(
            "the runtime directory must belong to this account with mode 0700: `chmod 700` it, or name another."
        )


class RuntimeDirectory:
    """A new private directory below `parent`, removed on `close` or, if this process is killed, by the next one's start.

    It is locked itself, which also tells systemd-tmpfiles to leave what is in it alone.
    """

    def __init__(self, parent: Path | None) -> None:
        """Sweep what dead processes left, then make a directory. Raises `PdpOutage`, `OSError`."""
        base = Path(tempfile.gettempdir()) if parent is None else parent
        if parent is not None:
            require_private(parent)
        prefix = f"{_PREFIX}{os.geteuid()}-"
        sweep(base, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        self._lock = FileLock(self.path)
        while not self._hold():  # another start swept it before it was locked
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            self._lock = FileLock(self.path)

    def _hold(self) -> bool:
        try:
            return self._lock.acquire() and self.path.is_dir()
        except IsADirectoryError:  # gone between the look and the opening
            return False

    def ensure(self) -> Path:
        """The directory, made anew if somebody removed it. Raises `PdpOutage`, `OSError`."""
        if not self.path.is_dir():
            self._lock.release()
            require_private(self.path)
            self._lock.acquire()
        return self.path

    def close(self) -> None:
        """Remove the directory. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def sweep(base: Path, prefix: str) -> None:
    """Remove private directories of processes that are gone."""
    for directory in base.glob(f"{prefix}*"):
        with contextlib.suppress(FileNotFoundError):  # another start sweeps as well
            if directory.is_symlink() or not directory.is_dir() or directory.stat().st_uid != os.geteuid():
                continue
            lock = FileLock(directory)
            if lock.acquire():
                shutil.rmtree(directory, ignore_errors=True)
                lock.release()
