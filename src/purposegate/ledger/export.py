"""A shard as C2SP tiles in a directory: leaves, hashes and the signed head, which other people's tools can read.

    <directory>/<shard>/checkpoint, log.vkey, tile/0/000, tile/entries/000 ...

It holds no payload, so no personal data. Exporting again into the same directory adds what is new: full tiles never change.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from purposegate.errors import EvidenceMalformed, LedgerDamaged, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.keys import sync_directory
from purposegate.ledger.merkle import frontier_at
from purposegate.ledger.note import Note
from purposegate.ledger.prove import sound_head
from purposegate.ledger.store import Reader, ShardRow, StoredEntry
from purposegate.ledger.subtrees import Subtrees
from purposegate.ledger.tiles import TILE_WIDTH, Tile, encode_bundle, parse_bundle, parse_hashes, tiles_for
from purposegate.ledger.verdict import Progress

CHECKPOINT = "checkpoint"
VKEY = "log.vkey"


class Exported(NamedTuple):
    """One shard's export: how far it goes, and how many files were new."""

    shard: str
    size: int
    files: int


def export_shard(
    reader: Reader, row: ShardRow, directory: Path, progress: Progress | None = None
) -> Exported:
    """Write one shard up to its newest signed head. Raises LedgerDamaged if the store does not lead to that head.

    The head is written last, so that what a half-finished export shows is whole.
    """
    notes = reader.checkpoints(row.number)
    if not notes:
        raise SettingsError(
            f"{row.name}: no signed head to export; open the ledger once with its signer file"
        )
    size, note = sound_head(row, *notes[-1])
    head = Checkpoint.parse(Note.parse(note).text)
    subtrees = reader.subtrees(row.number)
    try:
        leads = frontier_at(size, subtrees).root() == head.root
    except LookupError:
        leads = False
    if not leads:
        raise LedgerDamaged(f"{row.name}: what is stored does not lead to the head signed at {size}")
    base = directory / row.name
    base.mkdir(parents=True, exist_ok=True)
    files = 0
    for tile in tiles_for(size):
        path = base / tile.path
        if tile.width == TILE_WIDTH and path.exists():
            continue
        if tile.level is None:
            content = encode_bundle(
                _bytes(row, entry)
                for entry in reader.entries(
                    row.number, tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width
                )
            )
        else:
            content = _hashes(row, subtrees, tile)
        _write(path, content)
        files += 1
        if progress:
            progress(min(size, (tile.index + 1) * TILE_WIDTH), size)
    _write(base / VKEY, f"{row.vkey}\n".encode())
    _write(base / CHECKPOINT, note)
    return Exported(row.name, size, files)


def _hashes(row: ShardRow, subtrees: Subtrees, tile: Tile) -> bytes:
    try:
        return b"".join(subtrees.hashes(tile.level or 0, tile.index * TILE_WIDTH, tile.width))
    except LookupError as error:
        raise LedgerDamaged(f"{row.name}: what {tile.path} is made of is not all there") from error


def _bytes(row: ShardRow, entry: StoredEntry) -> bytes:
    if not isinstance(entry.leaf, bytes):
        raise LedgerDamaged(f"{row.name}: entry {entry.index} is not bytes")
    return entry.leaf


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
    sync_directory(path.parent)


def exported_leaves(base: Path, size: int) -> Iterator[bytes]:
    """The leaves of an exported shard, in order. Raises EvidenceMalformed for a bundle that is cut or missing."""
    for first in range(0, size, TILE_WIDTH):
        width = min(TILE_WIDTH, size - first)
        yield from parse_bundle(_read(base / Tile(None, first // TILE_WIDTH, width).path), width)


def exported_tiles(base: Path, size: int) -> Iterator[tuple[Tile, list[bytes]]]:
    """The hash tiles of an exported shard. Raises EvidenceMalformed."""
    for tile in tiles_for(size):
        if tile.level is not None:
            yield tile, parse_hashes(_read(base / tile.path), tile.width)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvidenceMalformed(f"{path.name}: cannot be read: {error.strerror}") from error
