"""Room on the disk: the watermark below which no lookup is accepted, and the ballast that pays for the closing entry."""

import os
from contextlib import suppress
from pathlib import Path

from purposegate.errors import LedgerOutage
from purposegate.ledger.keys import sync_directory


class Room:
    """Free space where the ledger lies. `free_bytes` is what an unprivileged process may still use."""

    def __init__(self, directory: Path, *, watermark_bytes: int, ballast: Path, ballast_bytes: int) -> None:
        self._directory = directory
        self._watermark_bytes = watermark_bytes
        self._ballast = ballast
        self._ballast_bytes = ballast_bytes

    def free_bytes(self) -> int:
        """Bytes free now."""
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    def is_low(self) -> bool:
        """Whether new lookups must be refused."""
        return self.free_bytes() < self._watermark_bytes

    def is_ample(self) -> bool:
        """Whether work may resume: the watermark and room for the ballast, so that it does not flap at the edge."""
        return self.free_bytes() >= self._watermark_bytes + self._ballast_bytes

    def drop_ballast(self) -> None:
        """Give the ballast's space back, for the closing entry. Idempotent."""
        # A file that cannot be taken away: the closing entry may fit without its space.
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)

    def keep_ballast(self) -> None:
        """Make sure the ballast is there, in blocks that are really taken. Raises LedgerOutage; another worker may share it."""
        if self._ballast.exists() or not self._ballast_bytes:
            return
        draft = self._ballast.with_name(f"{self._ballast.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._ballast_bytes)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.replace(self._ballast)
            sync_directory(self._ballast.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise LedgerOutage(f"{self._ballast}: no room for the ballast: {error.strerror}") from error
