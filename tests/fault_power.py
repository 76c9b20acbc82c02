"""A disk that forgets, when its power is cut, what was not synced: as POSIX allows, and no kinder.

Kept after the cut: every byte that was synced, and of the writes since then any subset, each whole, torn at a sector or as
zeros where the file grew. A name appears or goes for good only when its directory was synced. A sync that fails leaves its
pages clean: they can be read, and no later sync writes them (Linux, and what PostgreSQL calls fsyncgate).

SQLite's files are followed through a VFS; the ledger's other files through `os`, whose calls pass on to the real ones.
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple
from unittest.mock import patch

import apsw

SECTOR = 512
"""What a disk writes whole or not at all."""


class Write(NamedTuple):
    """Bytes put at an offset."""

    offset: int
    content: bytes

    def onto(self, held: bytearray, chance: random.Random | None) -> None:
        """Apply, sector by sector: all of it, or with `chance` each sector as it may have come out."""
        for at in range(0, len(self.content), SECTOR):
            piece, offset = self.content[at : at + SECTOR], self.offset + at
            if chance is not None and chance.random() < 0.5:  # a coin
                if chance.random() < 0.8:  # mostly nothing came; else the file grew and its content did not
                    continue
                piece = bytes(held[offset : offset + len(piece)].ljust(len(piece), b"\0"))
            if len(held) < offset:
                held.extend(bytes(offset - len(held)))
            held[offset : offset + len(piece)] = piece


class Truncate(NamedTuple):
    """The file made so long."""

    size: int

    def onto(self, held: bytearray, _chance: random.Random | None) -> None:
        """Apply; it comes whole or not at all."""
        del held[self.size :]
        held.extend(bytes(self.size - len(held)))


@dataclass(slots=True, eq=False)
class Inode:
    """One file: what is surely on the disk, and what was written since. `outside` files are not SQLite's."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)
    outside: bool = False

    def sync(self) -> None:
        """Everything written is on the disk."""
        for each in self.pending:
            each.onto(self.durable, None)
        self.pending.clear()

    def fail_to_sync(self, chance: random.Random) -> None:
        """Some of it is; the rest counts as written and never will be."""
        self.durable = self.survivors(chance)
        self.pending.clear()

    def survivors(self, chance: random.Random) -> bytearray:
        """What is read back after a power cut now."""
        held = bytearray(self.durable)
        how = chance.choice(["none", "all", "prefix", "subset", "torn"])
        kept = {"none": 0, "prefix": chance.randint(0, len(self.pending))}.get(how, len(self.pending))
        for each in self.pending[:kept]:
            if how != "subset" or chance.random() < 0.5:  # a coin
                each.onto(held, chance if how == "torn" else None)
        return held


Renaming = tuple[tuple[Path, Inode | None], ...]
"""Names set or taken away together."""


class Frozen(NamedTuple):
    """The disk at one moment: what a power cut then could leave. `known` is what the outside world had been told by then."""

    known: Any
    names: dict[Path, Inode]
    renamings: tuple[Renaming, ...]
    live: dict[Path, bytes]

    def cut(self, root: Path, to: Path, chance: random.Random) -> None:
        """Write into `to` one state that the disk might be found in."""
        names = dict(self.names)
        ordered = chance.random() < 0.5  # a journal keeps the order of names, POSIX does not ask for it
        kept = chance.randint(0, len(self.renamings))
        for at, renaming in enumerate(self.renamings):
            if at < kept if ordered else chance.random() < 0.5:  # a coin
                names.update({path: inode for path, inode in renaming if inode})
                for path in (path for path, inode in renaming if inode is None):
                    names.pop(path, None)
        for path, inode in names.items():
            content = inode.survivors(chance)
            if inode.outside and chance.random() < 0.5:  # unsynced bytes of a small file: any beginning
                live = self.live.get(path, b"")
                content = content or bytearray(live[: chance.randint(0, len(live))])
            place = to / path.relative_to(root)
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
            place.chmod(0o600)


class LossyDisk(apsw.VFS):
    """Directories on a disk that may lose its power. `known` is asked at every freezing; `sick` says which sync fails."""

    _numbers = count()

    def __init__(self, root: Path, chance: random.Random, known: Callable[[], Any], *, every: float) -> None:
        """Freeze the state at a share `every` of its operations."""
        self.name = f"lossy-{next(self._numbers)}"
        self.root = root
        self.frozen: list[Frozen] = []
        self.sick: Callable[[], bool] = lambda: False
        self._chance = chance
        self._known = known
        self._every = every
        self._lock = RLock()
        self._names: dict[Path, Inode] = {}
        self._durable_names: dict[Path, Inode] = {}
        self._renamings: list[Renaming] = []
        super().__init__(self.name, "")

    # What the model is told

    def holds(self, path: str | os.PathLike[str]) -> Path | None:
        """The path, if it is of this disk."""
        found = Path(os.fspath(path))
        return found if found.is_relative_to(self.root) and found != self.root else None

    def inode(self, path: Path, *, outside: bool = False) -> Inode:
        """The file of that name, made if there is none."""
        with self._lock:
            if path not in self._names:
                self.rename(((path, Inode(outside=outside)),))
            return self._names[path]

    def known_as(self, path: Path) -> Inode | None:
        """The file of that name, if there is one."""
        return self._names.get(path)

    def rename(self, renaming: Renaming) -> None:
        """Names changed; whether that lasts shows when the directory is synced."""
        with self._lock:
            self._renamings.append(renaming)
            for path, inode in renaming:
                if inode is None:
                    self._names.pop(path, None)
                else:
                    self._names[path] = inode
        self.moment()

    def sync_names(self, directory: Path) -> None:
        """A directory was synced. No name of the ledger's moves from one directory to another."""
        self.moment()
        with self._lock:
            elsewhere = {
                path: inode for path, inode in self._durable_names.items() if path.parent != directory
            }
            here = {path: inode for path, inode in self._names.items() if path.parent == directory}
            self._durable_names = elsewhere | here
            self._renamings = [each for each in self._renamings if each[0][0].parent != directory]
        self.moment()

    def sync(self, inode: Inode) -> None:
        """A file is synced, or fails to be."""
        self.moment()
        with self._lock:
            if self.sick():
                inode.fail_to_sync(self._chance)
                raise apsw.IOError("injected")
            inode.sync()
        self.moment()

    def put(self, inode: Inode, change: Write | Truncate) -> None:
        """A file changed."""
        with self._lock:
            inode.pending.append(change)
        self.moment()

    def moment(self) -> None:
        """Maybe freeze this moment."""
        if self._chance.random() >= self._every:
            return
        known = self._known()  # first: what is promised while the state is copied is no promise of this state
        with self._lock:
            copies = {
                id(each): Inode(bytearray(each.durable), list(each.pending), each.outside)
                for each in self._all()
            }
            self.frozen.append(
                Frozen(
                    known,
                    {path: copies[id(inode)] for path, inode in self._durable_names.items()},
                    tuple(
                        tuple((path, inode and copies[id(inode)]) for path, inode in renaming)
                        for renaming in self._renamings
                    ),
                    {
                        path: path.read_bytes()
                        for path, inode in self._names.items()
                        if inode.outside and path.exists()
                    },
                )
            )

    def _all(self) -> Iterator[Inode]:
        yield from self._durable_names.values()
        yield from self._names.values()
        yield from (inode for renaming in self._renamings for _, inode in renaming if inode)

    # SQLite's side

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "LossyFile":  # noqa: N802  # SQLite's name
        return LossyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, False)
        if path := self.holds(filename):
            self.rename(((path, None),))
            if syncdir:
                self.sync_names(path.parent)


_DIRECTORY_TOO = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
"""With the first sync of these SQLite syncs their directory (os_unix.c, UNIXFILE_DIRSYNC)."""


class LossyFile(apsw.VFSFile):
    """One open file of SQLite's on the lossy disk."""

    def __init__(self, disk: LossyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        spelled = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = disk.holds(spelled) if spelled else None
        self._inode = disk.inode(path) if path else None
        self._directory = path.parent if path else disk.root
        self._directory_too = bool(flags[0] & _DIRECTORY_TOO and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xLock(self, level: int) -> None:  # noqa: N802
        try:
            super().xLock(level)
        except (
            apsw.IOError
        ) as error:  # a read-only connection, closing, may not have the lock it tries for: not our fault
            raise apsw.BusyError("the file is open for reading only") from error

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        if self._inode:
            self._disk.put(self._inode, Write(offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        if self._inode:
            self._disk.put(self._inode, Truncate(size))

    def xSync(self, flags: int) -> None:  # noqa: N802  # the model alone decides what a sync is worth
        if self._inode:
            self._disk.sync(self._inode)
            if self._directory_too:
                self._disk.sync_names(self._directory)
                self._directory_too = False


@contextmanager
def lossy_disk(
    root: Path, chance: random.Random, known: Callable[[], Any], *, every: float
) -> Iterator[LossyDisk]:
    """An empty directory on a lossy disk, for as long as the test writes there."""
    disk = LossyDisk(root, chance, known, every=every)
    try:
        with _watched(disk):
            yield disk
    finally:
        disk.unregister()


@contextmanager
def _watched(disk: LossyDisk) -> Iterator[None]:
    """Tell the disk what this process does there by other ways than SQLite."""
    watch = _Watch(disk)
    names = ("open", "pwrite", "fsync", "link", "unlink", "replace")
    with patch.multiple(os, **{name: getattr(watch, name) for name in names}):
        yield


class _Watch:
    """`os` for whoever uses the lossy disk: each call goes through, and the disk hears of it."""

    def __init__(self, disk: LossyDisk) -> None:
        self._disk = disk
        self._open, self._pwrite, self._fsync, self._link, self._unlink, self._replace = (
            os.open,
            os.pwrite,
            os.fsync,
            os.link,
            os.unlink,
            os.replace,
        )

    def open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        descriptor = self._open(path, flags, *rest, **more)
        held = self._disk.holds(path) if isinstance(path, str | os.PathLike) else None
        if held and flags & os.O_CREAT:
            self._disk.inode(held, outside=True)
        return descriptor

    def pwrite(self, descriptor: int, content: bytes, offset: int) -> int:
        written = self._pwrite(descriptor, content, offset)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self._disk.holds(path) and (inode := self._disk.known_as(path)):
            self._disk.put(inode, Write(offset, bytes(content[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self._disk.root or (self._disk.holds(path) and path.is_dir()):
            self._disk.sync_names(path)
        elif self._disk.holds(path) and (inode := self._disk.known_as(path)):
            if inode.outside:
                inode.durable = bytearray(path.read_bytes())
            try:
                self._disk.sync(inode)
            except apsw.IOError as error:
                raise OSError(errno.EIO, "injected") from error
        else:
            self._fsync(descriptor)

    def link(self, source: Any, target: Any, **more: Any) -> None:
        self._link(source, target, **more)
        if (held := self._disk.holds(target)) and (inode := self._disk.known_as(Path(source))):
            self._disk.rename(((held, inode),))

    def unlink(self, path: Any, **more: Any) -> None:
        self._unlink(path, **more)
        if held := self._disk.holds(path):
            self._disk.rename(((held, None),))

    def replace(self, source: Any, target: Any, **more: Any) -> None:
        self._replace(source, target, **more)
        if (held := self._disk.holds(target)) and (inode := self._disk.known_as(Path(source))):
            self._disk.rename(((held, inode), (Path(source), None)))
