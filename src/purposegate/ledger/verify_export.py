"""Verifying an export: the leaves and hashes of each shard against the head that the log signed. No database, no key."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from purposegate.errors import EvidenceError, EvidenceMalformed, SettingsError
from purposegate.ledger.checkpoint import SignedCheckpoint
from purposegate.ledger.export import CHECKPOINT, VKEY, exported_leaves, exported_tiles
from purposegate.ledger.note import LogKey
from purposegate.ledger.reread import ShardCheck
from purposegate.ledger.store import Head, ShardRow, StoredEntry
from purposegate.ledger.tiles import TILE_WIDTH
from purposegate.ledger.verdict import Evidence, Report, Verified

MAX_NOTE_BYTES = 1_000_000


def verify_export(directory: Path, evidence: Evidence | None = None) -> Report:
    """Verify every shard exported into `directory`. Raises SettingsError where there is none.

    The log's key is the export's own unless `evidence.keys` names those that are trusted.
    """
    report = Report()
    bases = sorted(path.parent for path in directory.glob(f"*/{CHECKPOINT}"))
    if not bases:
        raise SettingsError(
            f"{directory}: holds no exported shard; make one with `purposegate ledger export`"
        )
    for base in bases:
        try:
            _verify(base, evidence or Evidence(), report)
        except EvidenceMalformed as error:
            report.add(base.name, None, "the export", "whole files", str(error))
    return report


def _verify(base: Path, evidence: Evidence, report: Report) -> None:
    note = (base / CHECKPOINT).read_bytes()[:MAX_NOTE_BYTES]
    try:
        vkey = (base / VKEY).read_text(encoding="utf-8").strip()
        key = LogKey.parse(vkey)
        head = SignedCheckpoint.open(note, key.name, [key]).checkpoint
    except (OSError, UnicodeDecodeError, EvidenceError) as error:
        report.add(base.name, None, "the signed head", "a note by the log's key", str(error))
        return
    row = ShardRow(0, base.name, key.name, vkey, Head(head.size, head.root, b"", 0))
    check = ShardCheck(row, None, report)
    for each in (note, *(one for one in evidence.heads if one.startswith(key.name.encode() + b"\n"))):
        check.head(each, "in the export" if each is note else "elsewhere", evidence)
    for told in evidence.receipts:
        if told.shard == base.name:
            check.receipt(told.index, told.leaf_hash)
    if evidence.keys is not None and vkey not in evidence.keys:
        check.add(None, "the log's verifier key", "one that you trust", vkey)
    hashes = (
        hashed for tile, found in exported_tiles(base, head.size) if tile.level == 0 for hashed in found
    )
    for index, (leaf, hashed) in enumerate(zip(exported_leaves(base, head.size), hashes, strict=True)):
        check.entry(StoredEntry(index, leaf, hashed, None, None, None))
    check.finish(_full_tiles(base, head.size), frontier=False)
    _compare_partial_tiles(check, base, head.size)
    if evidence.require_witness and not check.witnessed:
        report.doubts.append(f"{base.name}: no head that the policy's witnesses cosigned")
    report.shards.append(
        Verified(base.name, key.name, head.size, check.tree.root(), check.signed, check.witnessed)
    )


def _full_tiles(base: Path, size: int) -> Iterator[tuple[int, int, bytes]]:
    for tile, hashes in exported_tiles(base, size):
        if tile.width == TILE_WIDTH and tile.level is not None:
            yield tile.level, tile.index, b"".join(hashes)


def _compare_partial_tiles(check: ShardCheck, base: Path, size: int) -> None:
    for tile, hashes in exported_tiles(base, size):
        if tile.width == TILE_WIDTH or tile.level is None:
            continue
        found = (check.tree.tile(tile.level, tile.index) or [])[: tile.width]
        if found != hashes:
            check.add(
                None,
                tile.path,
                sha256(b"".join(hashes)).digest(),
                sha256(b"".join(found)).digest(),
            )
