"""Where an earlier verification ended, kept by whoever verifies, so that the next one reads only what came after.

Whoever holds this note trusts it as they trust their own eyes: keep it where the ledger's administrator cannot write. It holds
hashes and sizes, no personal data. It does not replace reading everything now and then: what is changed or deleted among
entries verified earlier is seen by that alone, except where it moves a root, a counter or a size.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from purposegate.errors import SettingsError
from purposegate.ledger.fold import Fold
from purposegate.ledger.keys import replace_private

FORMAT = "purposegate verified v1"
HASH_BYTES = 32
MAX_BYTES = 64 * 1024 * 1024
"""Some 25 KiB a shard at the most; far more is no such note."""


class Reached(NamedTuple):
    """One shard as verified: whose log it is, and the fold to go on from."""

    origin: str
    vkey: str
    size: int
    stack: tuple[tuple[int, bytes], ...]
    edges: Mapping[int, tuple[bytes, ...]]

    @classmethod
    def of(cls, origin: str, vkey: str, tree: Fold) -> "Reached":
        """Where this fold stands."""
        edges = {level: tuple(nodes) for level, nodes in tree.edges().items()}
        return cls(origin, vkey, tree.size, tuple(tree.stack), edges)

    def fold(self) -> Fold:
        """A fold that begins where that one ended."""
        return Fold(self.size, self.stack, self.edges)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was verified, shard by shard, when, and the digest of all counters then; empty where they were left out."""

    at: datetime
    shards: Mapping[str, Reached]
    counters: str

    def text(self) -> bytes:
        """The note's bytes."""
        shards = {
            name: {
                "origin": each.origin,
                "vkey": each.vkey,
                "size": each.size,
                "stack": [[height, b64encode(node).decode()] for height, node in each.stack],
                "edges": [
                    [b64encode(node).decode() for node in each.edges[level]]
                    for level in range(len(each.edges))
                ],
            }
            for name, each in self.shards.items()
        }
        whole = {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="seconds"),
            "counters": self.counters,
            "shards": shards,
        }
        return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()

    def keep(self, path: Path) -> None:
        """Write the note, durably and whole or not at all. Raises SettingsError."""
        try:
            replace_private(path, self.text())
        except OSError as error:
            raise SettingsError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path) -> Earlier | None:
    """The note at `path`, or None where there is none yet. Raises SettingsError for anything but a whole note."""
    try:
        content = path.read_bytes()[: MAX_BYTES + 1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        whole = json.loads(content)
        found = Earlier(
            datetime.fromisoformat(whole["at"]).astimezone(UTC),
            {str(name): _reached(each) for name, each in whole["shards"].items()},
            str(whole["counters"]),
        )
        if whole["format"] != FORMAT or found.text() != content:
            raise ValueError("another spelling")  # noqa: TRY301  # one spelling a note
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"{path}: is not a whole note of a verification; move it away, and everything is read again"
        ) from error
    return found


def _reached(each: Any) -> Reached:
    stack = tuple((int(height), _node(node)) for height, node in each["stack"])
    edges = {level: tuple(map(_node, nodes)) for level, nodes in enumerate(each["edges"])}
    size = int(each["size"])
    if [height for height, _ in stack] != [
        bit for bit in reversed(range(size.bit_length())) if size >> bit & 1
    ]:
        raise ValueError("stack")
    widths = [size // 256**level % 256 for level in range(len(edges))]
    if widths != [len(edges[level]) for level in range(len(edges))] or (size >= 256 ** len(edges)):
        raise ValueError("edges")
    return Reached(str(each["origin"]), str(each["vkey"]), size, stack, edges)


def _node(text: str) -> bytes:
    node = b64decode(text, validate=True)
    if len(node) != HASH_BYTES:
        raise ValueError("node")
    return node
