"""Files that hold secrets: read only where nobody else can, written whole or not at all."""

import os
import stat
import threading
from pathlib import Path

from purposegate.errors import SettingsError


def require_private(path: Path) -> None:
    """Return if only the owner can read the file; else SettingsError. Symbolic links are followed. Raises OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"{path}: want a regular file")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SettingsError(f"{path}: others can read this file; run `chmod 600` on it and consider it seen")


def read_private(path: Path, what: str) -> str:
    """The text of a file of mode 0600, without blanks around it. Raises SettingsError, which shows nothing of it."""
    try:
        require_private(path)
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{path}: {what} cannot be read ({type(error).__name__})") from None


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Make a file of mode 0600 that is either whole and on the disk or as it was. Raises OSError, FileExistsError."""
    # Each thread has a draft of its own: two that shared one could put the other's half-written text in the file's place.
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.new")
    draft.unlink(missing_ok=True)  # a crash may have left one
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # a file's own fsync does not make its name durable
    finally:
        os.close(folder)
