"""Verifying a ledger by reading all of it again, along a code path of its own.

What is checked, of every shard:

1. each leaf is there, hashes to what is stored beside it, and stands where its tile says;
2. the leaves lead to the head's root, frontier and every stored tile;
3. each leaf is well-formed, belongs to its shard, and the first one, alone, is the genesis;
4. each payload opens under its key, and its disclosures are exactly those the leaf commits to; so are the rows;
   one that is gone was given up by a recorded request that two people signed, old enough and under no hold;
5. every counter is the number of times that entries raised it;
6. no row belongs to no entry or shard, and the store names itself as its shards do;
7. every signed head at hand (kept in the store, remembered by the signer, held by others) verifies, and the tree had that
   root at that size.

With `evidence.earlier` it begins where an earlier verification ended; the heads, roots, sizes and counters of then must lead to
those of now. Once something was erased since, all is read again.

What this cannot show without a head from outside: that the whole machine was not put back or rewritten, signer and all.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import apsw

from purposegate.errors import LedgerDamaged, SettingsError
from purposegate.ledger import contradiction, keys
from purposegate.ledger.earlier import Earlier, Reached
from purposegate.ledger.fold import TILE_WIDTH
from purposegate.ledger.reread import REMEMBERED, STORED, ShardCheck
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.store import Reader, ShardRow
from purposegate.ledger.verdict import Evidence, Progress, Report, Verified
from purposegate.ledger.verify_retention import settle

ERASE = "erase"
_OWN_ROW = re.compile(r"origin|signer|application|schema|key (0|[1-9][0-9]{0,8})", re.ASCII)


def verify_file(
    path: Path, evidence: Evidence | None = None, *, payloads: bool = True, progress: Progress | None = None
) -> Report:
    """Read the SQLite ledger at `path` again from end to end, as of one moment; writers go on meanwhile.

    Without the key file (`<path>.keys` unless `evidence` names another) payloads and counters cannot be decided, unless
    `payloads` is False, which leaves them out. Raises SettingsError for what is not a ledger, LedgerOutage for what cannot
    be opened.
    """
    report = Report()
    evidence = evidence or Evidence()
    try:
        reader = SqliteReader(path)
    except LedgerDamaged as error:
        report.add("file", None, "the database's structure", "a readable file", error.detail)
        return report
    beside = replace(
        evidence,
        key_file=evidence.key_file or path.with_name(path.name + ".keys"),
        signer_file=evidence.signer_file or path.with_name(path.name + ".signer"),
    )
    try:
        verify_reader(reader, beside, report, payloads=payloads, progress=progress)
    finally:
        reader.close()
    return report


def verify_reader(
    reader: Reader, evidence: Evidence, report: Report, *, payloads: bool, progress: Progress | None
) -> None:
    """Read again all that this reader reads, as of one moment. Raises LedgerOutage where it cannot."""
    try:
        ring = _ring(reader, evidence.key_file, report) if payloads else None
        reader.hold()
        signer = evidence.signer_file
        memory = _remembered(signer) if signer else {}
        shown = _contradicted(signer, report) if signer else {}
        outside = _Outside(evidence, memory, shown)
        _verify(reader, ring, report, outside, progress or (lambda _done, _all: None))
    except (apsw.Error, LedgerDamaged) as error:
        report.add("file", None, "the database's structure", "a readable file", type(error).__name__)


class _Outside(NamedTuple):
    """The evidence, and the signer's memory by shard name."""

    evidence: Evidence
    memory: dict[str, bytes]
    shown: dict[str, list[bytes]]


def _remembered(signer_file: Path) -> dict[str, bytes]:
    """The last head that the signer remembers of each shard; it can be read without the signer's secret."""
    start, end = len(signer_file.name) + 1, -len(".head")
    found = signer_file.parent.glob(f"{signer_file.name}.*.head")
    return {path.name[start:end]: path.read_bytes() for path in found}


def _contradicted(signer_file: Path, report: Report) -> dict[str, list[bytes]]:
    """The heads that witnesses showed when they contradicted a shard. That they did is a doubt by itself."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(signer_file.parent.glob(f"{signer_file.name}.*.head.contradiction-*")):
        shard = path.name[len(signer_file.name) + 1 :].partition(".head.contradiction-")[0]
        note = contradiction.shown(path)
        if note:
            found.setdefault(shard, []).append(note)
        report.doubts.append(f"{shard}: a witness contradicted it; {path} says how")
    return found


def _take_heads(check: ShardCheck, reader: Reader, outside: _Outside) -> None:
    row, evidence = check.row, outside.evidence
    for size, note in reader.checkpoints(row.number):
        check.head(note, STORED, evidence, size)
    if row.name in outside.memory:
        check.head(outside.memory[row.name], REMEMBERED, evidence)
    for note in evidence.heads:
        if note.startswith(row.origin.encode() + b"\n"):
            check.head(note, "elsewhere", evidence)
    for note in outside.shown.get(row.name, ()):
        check.head(note, "shown by a witness that contradicted this shard", evidence)
    for each in evidence.receipts:
        if each.shard == row.name:
            check.receipt(each.index, each.leaf_hash)
    if evidence.keys is not None and row.vkey not in evidence.keys:
        check.add(None, "the log's verifier key", "one that you trust", row.vkey)


def _weigh(check: ShardCheck, outside: _Outside) -> None:
    """Say what the signatures leave open."""
    name = check.row.name
    if not check.signed and check.row.head.size > 1:
        check.report.doubts.append(f"{name}: no signed head, so nothing says that this is what was written")
    if outside.evidence.require_witness and not check.witnessed:
        check.report.doubts.append(f"{name}: no head that the policy's witnesses cosigned")


def _unknown_heads(shards: Sequence[ShardRow], outside: _Outside, report: Report) -> None:
    """A head signed for a shard that the store does not have is a whole log lost."""
    names, origins = {row.name for row in shards}, {row.origin for row in shards}
    for name in outside.memory.keys() - names:
        report.add(name, 0, "a shard that the signer remembers", "its entries", "none")
    for each in outside.evidence.receipts:
        if each.shard not in names:
            report.add(
                each.shard, each.index, "an entry that a receipt names", each.leaf_hash, "no such shard"
            )
    for note in outside.evidence.heads:
        if note.partition(b"\n")[0].decode("utf-8", "replace") not in origins:
            report.doubts.append("a head given is of a log that is not in this file")


def _ring(reader: Reader, key_file: Path | None, report: Report) -> keys.KeyRing | None:
    if key_file is None:
        report.doubts.append("payloads and counters were not checked: no key file was named")
        return None
    try:
        ring = keys.load(key_file)
    except SettingsError as error:
        report.doubts.append(f"payloads and counters were not checked: {error}")
        return None
    for kid in (0, *ring.payload):
        if reader.meta.get(f"key {kid}") != ring.fingerprint(kid):
            report.doubts.append(f"{key_file}: key {kid} is not the one this ledger was made with")
            return None
    return ring


def _verify(
    reader: Reader, ring: keys.KeyRing | None, report: Report, outside: _Outside, progress: Progress
) -> None:
    earlier = outside.evidence.earlier
    if earlier and ring and not earlier.counters:
        raise SettingsError("the earlier verification left the payloads out; read everything again")
    doubts = tuple(report.doubts)
    checks = _passes(reader, ring, report, outside, progress)
    if earlier and any(body["k"] == ERASE for check in checks for _, body, _ in check.retained):
        # What was given up may be of then, and lowered counters of then.
        report.begin_again(doubts)
        again = replace(outside.evidence, earlier=None)
        _verify(reader, ring, report, outside._replace(evidence=again), progress)
        return
    shards = [check.row for check in checks]
    settle(checks, outside.evidence, report)
    _itself(reader, shards, report)
    _unknown_heads(shards, outside, report)
    _strays(reader, shards, report)
    digest = _counters(reader, checks, earlier, report) if ring else ""
    reached = {check.row.name: Reached.of(check.row.origin, check.row.vkey, check.tree) for check in checks}
    report.reached = Earlier(datetime.now(UTC), reached, digest)


def _passes(
    reader: Reader, ring: keys.KeyRing | None, report: Report, outside: _Outside, progress: Progress
) -> list[ShardCheck]:
    """Read every shard from where it was left, or from its first entry."""
    earlier = outside.evidence.earlier
    shards = reader.shards()
    began = {row.name: _began(row, earlier, report) for row in shards}
    for name in (earlier.shards.keys() if earlier else ()) - began.keys():
        report.add(name, 0, "a shard verified earlier", "its entries", "none")
    total = sum(row.head.size - (each.size if (each := began[row.name]) else 0) for row in shards)
    done = 0
    checks: list[ShardCheck] = []
    for row in shards:
        check = ShardCheck(row, ring, report, began[row.name])
        checks.append(check)
        _take_heads(check, reader, outside)
        try:
            for entry in reader.entries(row.number, check.start, row.head.size):
                check.entry(entry)
                done += 1
                if done % TILE_WIDTH == 0:
                    progress(done, total)
        except (apsw.Error, LedgerDamaged) as error:
            report.add(
                row.name,
                check.tree.size,
                "the database's structure from here on",
                "rows",
                type(error).__name__,
            )
            continue
        check.finish(reader.tiles(row.number))
        _weigh(check, outside)
        report.shards.append(
            Verified(
                row.name,
                row.origin,
                row.head.size,
                check.tree.root(),
                check.signed,
                check.witnessed,
                check.start,
            )
        )
    progress(total, total)
    return checks


def _began(row: ShardRow, earlier: Earlier | None, report: Report) -> Reached | None:
    """Where to go on with a shard. What contradicts the earlier verification is noted, and the shard read from its start."""
    reached = earlier.shards.get(row.name) if earlier else None
    if reached is None:
        return None
    for what, then, now in (
        ("the log's origin, verified earlier", reached.origin, row.origin),
        ("the log's verifier key, verified earlier", reached.vkey, row.vkey),
    ):
        if then != now:
            report.add(row.name, None, what, then, now)
            return None
    if row.head.size < reached.size:
        report.add(
            row.name,
            row.head.size,
            "entries verified earlier",
            f"{reached.size} entries",
            f"{row.head.size} entries",
        )
        return None
    return reached


def _itself(reader: Reader, shards: Sequence[ShardRow], report: Report) -> None:
    """What the store says of itself: whose log it is, and nothing that no release writes."""
    origin = reader.meta.get("origin", b"").decode("utf-8", "replace")
    for row in shards:
        if row.origin != f"{origin}/{row.name}":
            report.add(row.name, None, "the log's origin", f"{origin}/{row.name}", row.origin)
    if len(reader.meta.get("signer", b"")) != keys.KEY_BYTES:
        report.add("file", None, "the signer's public key", f"{keys.KEY_BYTES} bytes", "none such")
    for name in reader.meta:
        if not _OWN_ROW.fullmatch(name):
            report.add("file", None, "a meta row", "none of that name", name)


def _strays(reader: Reader, shards: Sequence[ShardRow], report: Report) -> None:
    names = {row.number: row.name for row in shards}
    for table, number, index in reader.strays():
        where = "beyond the head" if index is not None else "without what it belongs to"
        report.add(names.get(number, f"shard {number}"), index, f"a {table} row {where}", "none", "one")


def _counters(reader: Reader, checks: Sequence[ShardCheck], earlier: Earlier | None, report: Report) -> str:
    """Compare every counter with what entries raised since; the digest of all as they stand, for the next verification."""
    names = {check.row.number: check.row.name for check in checks}
    raised: Counter[tuple[int, bytes]] = Counter()
    for check in checks:
        raised.update({(check.row.number, token): n for token, n in check.raised.items()})
    then, now = sha256(), sha256()
    for number, token, n in reader.counters():
        since = raised.pop((number, token), 0)
        now.update(_counter_line(number, token, n))
        if earlier is None and since != n:
            report.add(names.get(number, f"shard {number}"), None, f"counter {token.hex()}", since, n)
        elif n > since:
            then.update(_counter_line(number, token, n - since))
        elif n < since:
            report.add(
                names.get(number, f"shard {number}"), None, f"counter {token.hex()}", f"at least {since}", n
            )
    for (number, token), wanted in raised.items():
        report.add(names.get(number, f"shard {number}"), None, f"counter {token.hex()}", wanted, "none")
    if earlier and then.hexdigest() != earlier.counters:
        found = then.hexdigest()
        report.add("file", None, "the counters less what was raised since", earlier.counters, found)
    return now.hexdigest()


def _counter_line(number: int, token: bytes, n: int) -> bytes:
    return b"%d %s %d\n" % (number, token.hex().encode(), n)
