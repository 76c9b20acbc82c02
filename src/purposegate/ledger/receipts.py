"""Receipts as callers of the gate keep them: the value of the `Purposegate-Receipt` header, one a line.

    shard-0;17;9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A receipt is not signed. It shows that a ledger was put back or rewritten to whoever trusts the one who kept it.
"""

import re

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.merkle import MAX_SIZE
from purposegate.model import Receipt

_LINE = re.compile(
    rb"(?:(?i:purposegate-receipt):[ \t]*)?([a-z0-9][a-z0-9.-]{0,62});(0|[1-9][0-9]{0,18});([0-9a-f]{64})"
)


def read(raw: bytes) -> list[Receipt]:
    """The receipts of a file; empty lines and lines that start with `#` are passed over.

    Raises EvidenceMalformed naming the line, never echoing it.
    """
    found: list[Receipt] = []
    for number, line in enumerate(raw.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or int(match[2]) > MAX_SIZE:
            raise EvidenceMalformed(f"receipts line {number}: want `<shard>;<index>;<64 hex digits>`")
        shard, index, digest = (part.decode("ascii") for part in match.groups())
        found.append(Receipt(shard=shard, index=int(index), leaf_hash=bytes.fromhex(digest)))
    return found
