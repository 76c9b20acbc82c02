"""What the ledger's benchmark works on: entries as the gate writes them, and the stores that are compared."""

import os
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from purposegate.ledger import home as files
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.growth import TILE_WIDTH
from purposegate.ledger.merkle import EMPTY_ROOT, Frontier, root_of
from purposegate.ledger.note import LogKey
from purposegate.ledger.room import Room
from purposegate.ledger.store import Batch, Head
from purposegate.ledger.subtrees import Subtrees
from purposegate.model import CountKey, Entry, EntryKind, RecordRef

ORIGIN = "north.police.uk/purposegate/bench"
NO_MARGIN = Limits(watermark_bytes=0, ballast_bytes=0)
PRINCIPALS, RECORDS, CASES, SURNAMES = 2_000, 200_000, 20_000, 5_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def lookup(number: int, chance: random.Random) -> Entry:
    """A released view of one record with one data subject: 27 fields, as many as the gate writes."""
    principal, record, case = chance.randrange(PRINCIPALS), chance.randrange(RECORDS), chance.randrange(CASES)
    return Entry(
        kind=EntryKind.RELEASE,
        lookup_id=f"0198c9a2-0000-7000-8000-{number:012x}",
        at=START + timedelta(seconds=number),
        released=True,
        fields={
            "principal": f"S{principal}", "roles": ["response-officer"],
            "purpose": ("investigate.crime", "respond.life")[number % 2],
            "ref": f"CR/{case}/26", "reason": "burglary at Mill Lane, named by a witness", "originator": "", "recipient": "",
            "declared_break_glass": False, "reasons": [], "obligations": ["flag"], "masks": [], "notify": [],
            "policy_reasons": ["assigned"], "break_glass": False, "mode": "enforce", "policies": "a1" * 32, "route": "person-row",
            "action": "view", "kind": "person", "records": [["person", f"rec-{record}"]], "criteria": {}, "ref_state": "assigned",
            "on_duty": True, "unit": "response-2", "tenure": "settled", "facts_as_of": "2026-11-21T19:00:00+00:00",
            "numbers": {"register_rows": 3},
        },
        rows=[
            {
                "kind": "person", "id": f"rec-{record}", "released": True, "reasons": [],
                "fields_released": ["given_name", "surname", "street_number", "address_1", "suburb", "postcode", "date_of_birth"],
                "fields_withheld": ["soc_sec_id"], "obligations": [], "conflicts": [], "sight": 2,
                "subjects": [
                    {
                        "names": [["michaela", f"neumann{record % SURNAMES}"]], "born": ["1915-11-11"],
                        "addresses": [["8", "stanley street", "", "winston hills", "4223"]], "phones": [], "plates": [],
                    }
                ],
            }
        ],
        counts=[CountKey(f"S{principal}", "viewed", RecordRef("person", f"rec-{record}"))],
    )  # fmt: skip


class FileStore:
    """The least that is durable: leaves and payloads appended to a file, one fdatasync a batch. No index, no counters."""

    is_remote = False

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._head = Head(0, EMPTY_ROOT, Frontier().to_bytes(), 1)
        self._hashes: list[bytes] = []

    @property
    def subtrees(self) -> Subtrees:
        def tile(level: int, number: int) -> bytes | None:
            width = TILE_WIDTH ** (level + 1)
            if (number + 1) * width > len(self._hashes):
                return None
            step, first = width // TILE_WIDTH, number * width
            return b"".join(root_of(self._hashes[at : at + step]) for at in range(first, first + width, step))

        return Subtrees(lambda first, count: self._hashes[first : first + count], tile)

    def seek(self, shard: str) -> Head | None:
        return None

    def enter(self, shard: str, key: LogKey) -> Head:
        return self._head

    def head(self) -> Head:
        return self._head

    def commit(self, batch: Batch, recheck: Callable[[Sequence[bytes]], None]) -> None:
        frames: list[bytes] = []
        for each in batch.entries:
            frames += (
                len(each.leaf).to_bytes(4, "big"),
                each.leaf,
                len(each.sealed).to_bytes(4, "big"),
                each.nonce,
                each.sealed,
            )
        os.write(self._file, b"".join(frames))
        os.fdatasync(self._file)
        recheck([each.leaf for each in batch.entries])
        self._hashes += [each.leaf_hash for each in batch.entries]
        self._head = batch.after

    def keep(self, size: int, note: bytes, at_s: int) -> None:
        """Signed heads are remembered by the signer alone."""

    def keep_cosigned(self, size: int, note: bytes, at_s: int, keyname: str, line: str) -> None:
        raise NotImplementedError

    def cosigned(self) -> list[tuple[bytes, str]]:
        return []

    def kept(self) -> bytes:
        return b""

    def counts(self, tokens: Sequence[bytes]) -> list[tuple[int, int]]:
        return [(0, 0)] * len(tokens)

    def reopen(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        os.close(self._file)


def open_file(folder: Path) -> DurableLedger:
    """The same ledger over the plain file."""
    home = files.Home.of(folder / "plain", ORIGIN, None, None)
    room = Room(folder, watermark_bytes=0, ballast=folder / "ballast", ballast_bytes=0)
    secrets = files.secrets_of(home, begun=False)
    store = FileStore(folder / "plain")
    with ExitStack() as resources:
        resources.callback(store.close)
        standing = files.stand(store, home, secrets, "shard-0")
        return DurableLedger.serve(store, standing, secrets, room=room, limits=NO_MARGIN, resources=resources)


def open_sqlite(folder: Path, **changes: Any) -> DurableLedger:
    """The embedded default."""
    return DurableLedger.open(
        folder / "l.db", origin=ORIGIN, limits=Limits(watermark_bytes=0, ballast_bytes=0, **changes)
    )
