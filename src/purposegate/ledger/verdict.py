"""What a verification is given, and what it says."""

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from purposegate.ledger.earlier import Earlier
from purposegate.ledger.policy import Policy
from purposegate.ledger.retention import RetentionPolicy
from purposegate.model import Receipt

INTACT, TAMPERED, UNDECIDED, USAGE = 0, 1, 2, 3
"""Exit codes."""
MAX_FINDINGS = 1_000
"""Enough to see the pattern; a log rewritten throughout would list every entry."""
Progress = Callable[[int, int], object]
"""(entries done, entries in all)."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it must be. `index` is the entry's, or None where no one entry can be named."""

    shard: str
    index: int | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"{self.shard} entry {self.index}" if self.index is not None else self.shard
        return f"TAMPERED {where}: {self.what}: expected {self.expected}, found {self.found}"


class Verified(NamedTuple):
    """One shard as the evidence shows it. `signed` and `witnessed` are the largest sizes signed and cosigned; 0: none.

    The first `earlier` entries were read by an earlier verification and not again.
    """

    name: str
    origin: str
    size: int
    root: bytes
    signed: int
    witnessed: int
    earlier: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What verification may lean on besides the database.

    `heads` are signed notes from elsewhere: receipts' checkpoints, a witness's answers, an export. `keys` are the verifier
    keys trusted for the logs; where it is None they are taken from the ledger itself, which its owner could exchange.
    `receipts` are what callers of the gate got with an answer: each names a leaf hash that must stand at its index.
    `policy` says which witnesses count, `retention` who may approve an erasure and how old an entry must be for it; where it
    is None the approvers are those that the erase entries name, and the floor is the least there is. `earlier` is where an
    earlier verification ended: what it read is not read again.
    """

    key_file: Path | None = None
    signer_file: Path | None = None
    heads: Sequence[bytes] = ()
    receipts: Sequence[Receipt] = ()
    keys: Collection[str] | None = None
    policy: Policy | None = None
    require_witness: bool = False
    retention: RetentionPolicy | None = None
    earlier: Earlier | None = None


@dataclass(slots=True)
class Report:
    """What a verification found. `doubts` are why something could not be decided."""

    shards: list[Verified] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    payloads: int = 0
    erased: int = 0
    more: int = 0
    reached: Earlier | None = None
    """Where this one ended, for the next to go on from; trust it only if this one said intact."""

    @property
    def exit_code(self) -> int:
        """0 intact as far as the evidence reaches, 1 tampered, 2 cannot decide."""
        if self.mismatches:
            return TAMPERED
        return UNDECIDED if self.doubts else INTACT

    def begin_again(self, doubts: Sequence[str]) -> None:
        """Forget what was found but these doubts."""
        self.shards, self.mismatches, self.doubts = [], [], list(doubts)
        self.payloads = self.erased = self.more = 0

    def add(self, shard: str, index: int | None, what: str, expected: object, found: object) -> None:
        """Note one mismatch, up to the limit."""
        if len(self.mismatches) >= MAX_FINDINGS:
            self.more += 1
            return
        self.mismatches.append(Mismatch(shard, index, what, _shown(expected), _shown(found)))

    def json(self) -> str:
        """The report for programs: one JSON object."""
        body = {
            "exit_code": self.exit_code,
            "mismatches": [asdict(each) for each in self.mismatches],
            "more": self.more,
            "doubts": self.doubts,
            "shards": [{**each._asdict(), "root": b64encode(each.root).decode()} for each in self.shards],
            "payloads": self.payloads,
            "erased": self.erased,
        }
        return json.dumps(body, indent=1)

    def text(self) -> str:
        """The report for people: mismatches first, then doubts, then each shard's size and root."""
        lines = [str(each) for each in self.mismatches]
        if self.more:
            lines.append(f"... and {self.more} more")
        lines += [f"cannot decide: {each}" for each in self.doubts]
        verdict = ("intact", "TAMPERED", "undecided")[self.exit_code]
        for shard in self.shards:
            root = b64encode(shard.root).decode()
            signed = f"signed to {shard.signed}" if shard.signed else "not signed"
            witnessed = f"witnessed to {shard.witnessed}" if shard.witnessed else "not witnessed"
            earlier = f", {shard.earlier} of them read earlier and not again" if shard.earlier else ""
            lines.append(
                f"{verdict}: {shard.name}: {shard.size} entries{earlier}, root {root}, {signed}, {witnessed}"
            )
        read = sum(shard.size - shard.earlier for shard in self.shards)
        opened = f"{read} entries, {self.payloads} payloads opened"
        lines.append(opened + (f", {self.erased} erased as recorded" if self.erased else ""))
        return "\n".join(lines)


def _shown(value: object) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
