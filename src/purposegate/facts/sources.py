"""Sources of facts and their age: where each is, what of it was last read, and when it is too old to go by."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from purposegate.conflicts.register_place import RegisterPlace
from purposegate.errors import SettingsError
from purposegate.feeds.table import Stamp, Table

HeldT = TypeVar("HeldT")


class Dated(Protocol):
    """Anything read from a file: when it was true, what it was, and which state of the file it came from."""

    @property
    def as_of(self) -> datetime:
        """When the source was true, UTC."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hex."""
        ...

    @property
    def stamp(self) -> Stamp:
        """The file's state when it was read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[HeldT]):
    """What one file holds."""

    held: HeldT
    as_of: datetime
    digest: str
    stamp: Stamp

    @classmethod
    def of(cls, table: Table, held: HeldT) -> "Source[HeldT]":
        """What was taken from a table. Raises `ImportRefused` if anything in it was wrong."""
        table.close()
        return cls(held=held, as_of=table.as_of, digest=table.digest, stamp=table.stamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsPaths:
    """Where the six sources are: files, or queries in YAML; the register a store perhaps.

    A directory or register with less than `least_share` of the rows in use is not taken by itself: it may have broken off.
    """

    directory: Path
    register: Path | RegisterPlace
    references: Path
    assignments: Path
    reference_records: Path
    duty: Path
    least_share: float = 0.8


class Refusal(NamedTuple):
    """A source that was not read again, and why: the one in use stays, and ages."""

    source: str
    error: SettingsError
