"""What must hold of a ledger after any fault: checked from its files alone, as whoever opens them next morning would."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fault_load import Promise
from ledgers import entry, open_ledger
from purposegate.ledger.entry import Leaf, read_leaf, read_payload
from purposegate.ledger.keys import Cipher, load
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import StoredEntry
from purposegate.ledger.verdict import Evidence
from purposegate.ledger.verify import verify_file


class KeyFiles(NamedTuple):
    """Where the key files are, if not beside the ledger."""

    key_file: Path | None = None
    signer_file: Path | None = None


BESIDE = KeyFiles()


class Opened:
    """Every entry of a ledger, with its payload opened."""

    def __init__(self, path: Path, key_file: Path | None = None) -> None:
        ring = load(key_file or path.with_name(path.name + ".keys"))
        reader = SqliteReader(path)
        self.leaves: dict[tuple[str, int], tuple[Leaf, str]] = {}
        self.fields: dict[tuple[str, int], dict[str, Any]] = {}
        self.rows: dict[tuple[str, int], list[Any]] = {}
        try:
            self.shards = [row.name for row in reader.shards()]
            for row in reader.shards():
                cipher = Cipher(ring, row.origin)
                for each in reader.entries(row.number, 0, row.head.size):
                    self._take((row.name, each.index), each, cipher)
        finally:
            reader.close()

    def _take(self, place: tuple[str, int], each: StoredEntry, cipher: Cipher) -> None:
        self.leaves[place] = (read_leaf(each.leaf), each.leaf_hash.hex())
        if each.sealed is not None and each.kid is not None and each.nonce is not None:
            payload = read_payload(cipher.open(each.sealed, index=each.index, kid=each.kid, nonce=each.nonce))
            self.fields[place], self.rows[place] = payload.fields, list(payload.rows)

    @property
    def lookups(self) -> set[str]:
        """The lookup ids of all entries."""
        return {leaf.lookup_id for leaf, _ in self.leaves.values()}

    def explained(self) -> dict[str, bool]:
        """What recovery entries say of commits in doubt: lookup id -> whether its entry stands."""
        return {
            lookup: bool(commit["present"])
            for place, (leaf, _) in self.leaves.items()
            if leaf.kind == "recovery"
            for commit in self.fields[place].get("commits", ())
            for lookup in commit["lookups"]
            if lookup != leaf.kind  # the ledger's own entries all bear their kind as their name
        }


def broken_promises(opened: Opened, promises: Iterable[Promise]) -> list[Promise]:
    """Those promised durable that are not there, or not as they were promised."""
    return [
        each
        for each in promises
        if (found := opened.leaves.get((each.shard, each.number))) is None
        or (each.lookup, each.leaf_hash) != (found[0].lookup_id, found[1])
    ]


def faults_of(
    path: Path,
    promises: Collection[Promise],
    *,
    refused: Collection[str] = (),
    killed: bool = False,
    keys: KeyFiles = BESIDE,
) -> list[str]:
    """All that is wrong with the ledger at `path`, in sentences: it is opened again, written to, and verified.

    `killed`: it could not write the entry that explains what was refused.
    """
    with open_ledger(path, **keys._asdict()) as ledger:
        receipt = ledger.append_wait(entry(1, lookup_id="after"))
    opened = Opened(path, keys.key_file)
    report = verify_file(path, Evidence(key_file=keys.key_file, signer_file=keys.signer_file))
    wrong = [f"promised and gone: {each}" for each in broken_promises(opened, promises)]
    if report.exit_code:
        wrong.append(f"verify exits {report.exit_code}: {report.text()}")
    if opened.shards != ["shard-0"]:
        wrong.append(f"the shard was given up, as if it had been rolled back: {opened.shards}")
    if (receipt.shard, receipt.index) != max(opened.leaves):
        wrong.append("an entry appended after the fault is not the last one")
    if not killed:  # whoever was killed could not write the entry that explains
        explained = opened.explained()
        standing = {each for each in refused if each in opened.lookups}
        told = {each for each, present in explained.items() if present}
        wrong += [f"refused, standing and unexplained: {each}" for each in sorted(standing - told)]
        wrong += [f"said to stand and absent: {each}" for each in sorted(told - opened.lookups)]
        denied = {each for each, present in explained.items() if not present} & opened.lookups
        wrong += [f"said to be absent and standing: {each}" for each in sorted(denied)]
    return wrong
