"""A bundle that shows a stranger, offline, that one entry stands in the log, and what it says as far as it is disclosed.

    {"purposegate_proof": 1, "leaf": "<the leaf's text>", "tlog_proof": "<c2sp.org/tlog-proof@v1>",
     "disclosures": ["<RFC 9901 disclosure>", ...], "rows": [{"row": "<...>", "index": 0, "proof": ["<base64url>", ...]}]}

Each disclosure is checked by its digest in the leaf; a row by its audit path to the root that the disclosure `rows` gives.
`standalone_verifier.py` checks all of it with Python's standard library alone.
"""

import json
from collections.abc import Collection
from typing import Any

from purposegate.errors import EvidenceMalformed, LedgerDamaged, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.entry import Payload, base64url, digest
from purposegate.ledger.merkle import inclusion_proof, leaf_hash, root_of
from purposegate.ledger.note import Note
from purposegate.ledger.proof import TlogProof
from purposegate.ledger.store import Reader, ShardRow, StoredEntry

VERSION = 1


def newest_head(reader: Reader, row: ShardRow) -> tuple[int, bytes]:
    """Size and note of the newest signed head, cosignatures and all. Raises SettingsError when there is none."""
    notes = reader.checkpoints(row.number)
    if not notes:
        raise SettingsError(f"{row.name}: no head is signed yet")
    return sound_head(row, *notes[-1])


def sound_head(row: ShardRow, size: int, note: bytes) -> tuple[int, bytes]:
    """The same size and note, if the note is a head of that size and the shard reaches it.

    Raises EvidenceError, LedgerDamaged.
    """
    if not 0 < Checkpoint.parse(Note.parse(note).text).size == size <= row.head.size:
        raise LedgerDamaged(f"{row.name}: a signed head is kept under a size that is not its own")
    return size, note


def prove_entry(reader: Reader, row: ShardRow, entry: StoredEntry) -> TlogProof:
    """The entry's inclusion in the newest signed head. Raises SettingsError where that head does not reach it yet."""
    size, note = newest_head(reader, row)
    if not isinstance(entry.leaf, bytes):
        raise LedgerDamaged(f"{row.name}: entry {entry.index} is not bytes")
    if entry.index >= size:
        raise SettingsError(
            f"{row.name}: entry {entry.index} is not covered by a signed head yet; ask again in a second"
        )
    try:
        hashes = inclusion_proof(entry.index, size, reader.subtrees(row.number))
    except LookupError as error:
        raise LedgerDamaged(f"{row.name}: what a proof needs is not all there") from error
    return TlogProof(entry.index, tuple(hashes), note)


def bundle(
    entry: StoredEntry,
    proof: TlogProof,
    payload: Payload | None = None,
    *,
    names: Collection[str] = (),
    rows: Collection[int] = (),
) -> str:
    """The bundle's text. `names` are the fields and `rows` the row numbers to disclose.

    Raises SettingsError for what the payload does not have, EvidenceMalformed if it does not match its leaf.
    """
    body: dict[str, Any] = {
        "purposegate_proof": VERSION,
        "leaf": entry.leaf.decode(),
        "tlog_proof": proof.to_bytes().decode(),
        "disclosures": [],
        "rows": [],
    }
    if names or rows:
        if payload is None:
            raise SettingsError(
                f"entry {entry.index}: the payload was erased or does not open; nothing can be disclosed"
            )
        _disclose(body, payload, set(names) | ({"rows"} if rows else set()))
        body["rows"] = [_row(payload, number) for number in rows]
    return json.dumps(body, indent=1, ensure_ascii=False)


def _disclose(body: dict[str, Any], payload: Payload, names: set[str]) -> None:
    digests = json.loads(body["leaf"])["_sd"]
    known = {each.name: each.text for each in payload.disclosures}
    missing = names - known.keys()
    if missing:
        raise SettingsError(
            f"the entry has no field {', '.join(sorted(missing))}; it has {', '.join(sorted(known))}"
        )
    for name in sorted(names):
        if base64url(digest(known[name])).decode() not in digests:
            raise EvidenceMalformed(
                f"field {name} is not what the leaf commits to; run `purposegate ledger verify`"
            )
        body["disclosures"].append(base64url(known[name]).decode())


def _row(payload: Payload, number: int) -> dict[str, Any]:
    texts = payload.row_texts
    if not 0 <= number < len(texts):
        raise SettingsError(f"the entry has {len(texts)} rows, numbered from 0")
    hashes = [leaf_hash(digest(text)) for text in texts]

    def subtree(level: int, index: int) -> bytes:
        return root_of(hashes[index << level : (index + 1) << level])

    path = inclusion_proof(number, len(texts), subtree)
    return {
        "row": base64url(texts[number]).decode(),
        "index": number,
        "proof": [base64url(each).decode() for each in path],
    }
