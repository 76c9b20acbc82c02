"""What a witness objected to a shard: kept beside the signer's files, so that the shard is not continued and people can look."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from purposegate.errors import LedgerOutage
from purposegate.ledger.keys import replace_private

_TITLE = "purposegate witness contradiction v1"
_OFFERED, _SHOWN, _END = "-- offered --\n", "-- shown by the witness --\n", "-- end --\n"
_NOTHING = "(no head with this log's signature)\n"


def kept(memory: Path) -> list[Path]:
    """The files of a shard's contradictions; `memory` is where its last signed head is remembered."""
    return sorted(memory.parent.glob(f"{memory.name}.contradiction-*"))


def require_none(memory: Path) -> None:
    """Return if no witness contradicted this shard before; else LedgerOutage."""
    for path in kept(memory):
        raise LedgerOutage(
            f"{path}: a witness contradicted this shard, so it is not continued; keep this file and the ledger for the inquiry"
        )


def keep(memory: Path, *, witness: str, url: str, offered: bytes, shown: bytes, said: str) -> Path:
    """Write both sides down, durably and once. `shown` is empty where the witness had nothing to show. Raises OSError."""
    told = "".join(
        (
            f"{_TITLE}\nwitness {witness}\nurl {url}\nsaid {said}\n",
            _OFFERED,
            offered.decode(),
            _SHOWN,
            shown.decode() or _NOTHING,
            _END,
        )
    )
    path = memory.with_name(f"{memory.name}.contradiction-{sha256(told.encode()).hexdigest()[:16]}")
    if not path.exists():  # else said before, at an earlier start
        replace_private(path, f"{told}at {datetime.now(UTC).isoformat()}\n".encode())
    return path


def shown(path: Path) -> bytes:
    """The head that the witness showed, as a note; empty where it showed none. Raises OSError."""
    text = path.read_bytes().partition(_SHOWN.encode())[2].partition(_END.encode())[0]
    return b"" if text == _NOTHING.encode() else text
