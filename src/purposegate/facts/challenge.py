"""Random challenges: a draw that nobody can foresee, that asking again does not change, and that an auditor can make again.

    draw = HMAC-SHA256(day key, principal, what is asked for, purpose, local day), its first eight bytes as a number
    drawn  when draw / 2**64 is below the rate

The day key is 32 random bytes, made at the first lookup of a local day. Its SHA-256 is an entry in the ledger before the first
draw with it, so the key cannot be chosen afterwards to spare somebody or to strike them. The key itself lies in a file of mode
0600 beside the ledger, one for all workers that share that folder, and is shown to auditors once the day is over
(`purposegate challenge reveal`): they check it against the commitment and make every draw of the day again.

What is asked for is the record where the request names one, so that a challenge comes before the records system is asked; a
search draws on its criteria. Whoever can read the key file can foresee the draws: keep it as the ledger's own keys are kept.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from hashlib import sha256
from hmac import digest as hmac_digest
from pathlib import Path

from purposegate.errors import SettingsError
from purposegate.model import Lookup

KEY_BYTES = 32
PER_MILLION = 1_000_000
DRAWN, NONE = "drawn", "none"
_TITLE = "purposegate challenge v1"

Commit = Callable[[date, str], Awaitable[None]]
"""Makes a key's SHA-256, hex, an entry of this day; durable on return. Raises `LedgerOutage`."""


def subjects_of(
    records: Sequence[Sequence[str]], kind: str, criteria: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """What a lookup is drawn on: each record it names, or else its criteria."""
    if records:
        return [("record", *record) for record in records]
    asked = sorted((name, " ".join(text.casefold().split())) for name, text in criteria.items())
    return [("search", kind, *(part for pair in asked for part in pair))]


def draw(key: bytes, *, principal: str, subject: Sequence[str], purpose: str, day: date) -> int:
    """The draw, from 0 to 2**64 - 1. Each part is preceded by its length, so that no two lists collide."""
    parts = [
        part.encode("utf-8", "surrogatepass")
        for part in (_TITLE, principal, purpose, day.isoformat(), *subject)
    ]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return int.from_bytes(hmac_digest(key, message, "sha256")[:8], "big")


def is_drawn(drawn: int, per_million: int) -> bool:
    """Whether a draw is below the rate, in whole numbers: everybody who makes it again comes to the same."""
    return drawn * PER_MILLION < per_million << 64


def commitment(key: bytes) -> str:
    """What the ledger holds of a day key: its SHA-256, hex. 32 random bytes cannot be guessed from it."""
    return sha256(key).hexdigest()


def any_drawn(key: bytes, lookup: Lookup, day: date, per_million: int) -> bool:
    """Whether a lookup draws a challenge: one draw for each record that it names."""
    return any(
        is_drawn(
            draw(
                key, principal=lookup.principal.id, subject=one, purpose=lookup.declaration.purpose, day=day
            ),
            per_million,
        )
        for one in subjects_of(lookup.records, lookup.kind, lookup.criteria)
    )


class DayKeys:
    """The day keys of one ledger, in a folder of mode 0700. One event loop; any number of processes on one folder."""

    def __init__(self, folder: Path, commit: Commit) -> None:
        self._folder = folder
        self._commit = commit
        self._held: dict[date, bytes] = {}
        self._making = asyncio.Lock()

    async def of(self, day: date) -> bytes:
        """The day's key, made where there is none, its commitment an entry of this process's shard before it is used.

        Every process commits: one that died between making a key and recording it leaves nothing unrecorded behind.
        Raises `LedgerOutage`, `SettingsError`.
        """
        held = self._held.get(day)
        if held is not None:
            return held
        async with self._making:
            if day not in self._held:
                key = await asyncio.to_thread(obtain, self._folder, day)
                await self._commit(day, commitment(key))
                # Lookups of the day before may still be under way at midnight.
                self._held = {
                    other: kept for other, kept in self._held.items() if abs((day - other).days) <= 1
                }
                self._held[day] = key
        return self._held[day]


def obtain(folder: Path, day: date) -> bytes:
    """The day's key from its file, which is made if it is absent: whole, or not at all. Blocks. Raises `SettingsError`."""
    path = key_path(folder, day)
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _make(path)
        return read(path)
    except OSError as error:
        raise SettingsError(f"{path}: a challenge key cannot be made here: {error.strerror}") from error


def key_path(folder: Path, day: date) -> Path:
    """Where the key of a day lies."""
    return folder / f"{day.isoformat()}.key"


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another worker was first: its key is everybody's
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> bytes:
    """A day key from its file. Raises `SettingsError`, which never shows the key, and OSError where there is no file."""
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            f"{path}: others can read this key; run `chmod 600` on it, and consider the day's draws foreseen"
        )
    text = path.read_bytes()
    try:
        key = bytes.fromhex(text.decode("ascii").removesuffix("\n"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or text != key.hex().encode() + b"\n":
        raise SettingsError(
            f"{path}: want {KEY_BYTES} bytes as hex on one line; restore it from a backup of the ledger's folder"
        )
    return key
