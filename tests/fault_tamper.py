"""Everything that whoever holds the database can do to each of its tables, and what verify must say of it.

An attack is SQL, run past the triggers. `plain` is verify's exit code with the files beside the ledger, `informed` with a
policy that names log and witness, and a witness required. Where a code is 0, `why` says what the change is worth.
"""

import shutil
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

import apsw

from ledgers import entry, open_ledger, sight, until
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.durable import DurableLedger
from purposegate.ledger.note import Note
from purposegate.ledger.policy import Policy
from purposegate.ledger.verdict import Evidence
from purposegate.model import Receipt

WITNESS = WitnessSigner.generate("witness.example.org/w1")
FIRST = 1 << 40
"""Position of shard-0's entry 0; its number in the store is 1."""
SIZES = (301, 501, 601)
"""Shard-0's signed heads: two that were cosigned, in minutes of their own, and the last one."""


class Built(NamedTuple):
    """A ledger of two shards, closed, and what others hold of it."""

    path: Path
    heads: dict[int, bytes]
    receipts: list[Receipt]
    policy: Policy

    @property
    def informed(self) -> Evidence:
        """What an auditor brings who trusts this log's keys and this witness."""
        return Evidence(
            policy=self.policy, require_witness=True, keys={str(log.key) for log in self.policy.logs}
        )

    def copied(self, folder: Path) -> Path:
        """A copy of the ledger's files but its locks."""
        for source in self.path.parent.iterdir():
            if not source.name.endswith(".lock"):
                shutil.copy(source, folder / source.name)
        return folder / self.path.name


def build(folder: Path) -> Built:
    """Two shards with full tiles, counters of several heights, kept heads and cosignatures."""
    path = folder / "l.db"
    heads: dict[int, bytes] = {}
    receipts: list[Receipt] = []
    with open_ledger(path) as first, open_ledger(path) as second:
        for size in SIZES:
            receipts += grow(first, size)
            until(partial(_is_signed, first, size))
            heads[size] = first._signer.note
        grow(second, 41)
        vkeys = [str(each._signer.key) for each in (first, second)]
        until(partial(_is_signed, second, 41))
        second_head = second._signer.note
    cosign(path, 1, {size: heads[size] for size in SIZES[:2]})
    cosign(path, 2, {41: second_head})
    lines = [*(f"log {vkey}" for vkey in vkeys), f"witness w1 {WITNESS.verifier}", "quorum w1"]
    return Built(path, heads, receipts, Policy.parse("".join(f"{line}\n" for line in lines).encode()))


def _is_signed(ledger: DurableLedger, size: int) -> bool:
    return ledger.signed_size == size


def grow(ledger: DurableLedger, size: int) -> list[Receipt]:
    """Append up to so many entries; records are viewed the more often the lower their number."""
    pendings = [
        ledger._pending(entry(number, counts=[sight(number % 7), sight(number % 3)]), None, Future())
        for number in range(ledger.size, size)
    ]
    for pending in pendings:
        ledger._writer.submit(pending)
    return [pending.future.result(30) for pending in pendings]


def cosigned(note: bytes) -> str:
    """The witness's line under a head."""
    return WITNESS.cosign(Note.parse(note).text, 1_790_000_000).line


def cosign(path: Path, shard: int, heads: dict[int, bytes]) -> None:
    """Keep heads and cosignatures as an hour of serving leaves them: one of a minute."""
    connection = apsw.Connection(str(path))
    for size, note in heads.items():
        connection.execute("INSERT OR REPLACE INTO ckpt VALUES (?, ?, ?, ?)", (shard, size, 60 * size, note))
        connection.execute(
            "INSERT INTO cosig VALUES (?, ?, ?, ?)", (shard, size, WITNESS.name, cosigned(note))
        )
    connection.close()


class Attack(NamedTuple):
    """One change to one table."""

    table: str
    how: str
    statements: tuple[str, ...]
    plain: int = 1
    informed: int = 1
    why: str = ""


def _swap(table: str, columns: str, one: str, other: str) -> tuple[str, ...]:
    """Exchange some columns of two rows, each named by a condition."""
    names = [name.strip() for name in columns.split(",")]
    return (
        f"CREATE TEMP TABLE held AS SELECT {columns} FROM {table} WHERE {one}",
        f"UPDATE {table} SET ({columns}) = (SELECT {columns} FROM {table} WHERE {other}) WHERE {one}",
        f"UPDATE {table} SET ({columns}) = (SELECT {', '.join(names)} FROM held) WHERE {other}",
    )


def _flip(table: str, column: str, where: str) -> tuple[str, ...]:
    """Change the last byte of a value, whatever it was."""
    cut = f"substr({column}, 1, length({column}) - 1)"
    other = f"CASE WHEN substr(CAST({column} AS BLOB), -1) = x'01' THEN x'02' ELSE x'01' END"
    return (f"UPDATE {table} SET {column} = CAST({cut} || {other} AS BLOB) WHERE {where}",)


ENTRY = f"pos = {FIRST + 7}"
OTHER = f"pos = {FIRST + 8}"
TAIL = f"pos >= {FIRST + 590} AND pos < {FIRST * 2}"
LATEST = "shard = 1 AND size = 601"
FENCE = "the epoch fences off writers that were replaced; it says nothing of entries"
AGE = "the time of keeping decides only which heads of a minute are dropped; the head's own time is the witness's"
COPY = "a kept head is a copy: the signer's memory has the last one, witnesses and callers have theirs"
BORROWED = "a cosignature taken away leaves the log as it was; the witness has it still, and --require-witness asks for one"
FOUND_BY = "the line names its witness itself; the column is how it is found"
UNKNOWN_WITNESS = "whoever knows no witness cannot tell its line from another's; with the policy it is told"

ATTACKS = (
    Attack("meta", "update name", ("UPDATE meta SET name = 'orgin' WHERE name = 'origin'",)),
    Attack(
        "meta", "update value", ("UPDATE meta SET value = CAST('elsewhere' AS BLOB) WHERE name = 'origin'",)
    ),
    Attack("meta", "insert", ("INSERT INTO meta VALUES ('other', x'00')",)),
    Attack(
        "meta",
        "delete",
        ("DELETE FROM meta WHERE name = 'key 0'",),
        2,
        2,
        "no key of the file can be told to be the right one",
    ),
    Attack("meta", "swap", _swap("meta", "value", "name = 'origin'", "name = 'signer'")),
    Attack("meta", "truncate", ("DELETE FROM meta WHERE name = (SELECT max(name) FROM meta)",)),
    Attack("shard", "update number", ("UPDATE shard SET number = 9 WHERE number = 1",)),
    Attack("shard", "update name", ("UPDATE shard SET name = 'other' WHERE number = 1",)),
    Attack("shard", "update origin", ("UPDATE shard SET origin = 'elsewhere' WHERE number = 1",)),
    Attack(
        "shard",
        "update vkey",
        ("UPDATE shard SET vkey = (SELECT vkey FROM shard WHERE number = 2) WHERE number = 1",),
    ),
    Attack(
        "shard",
        "insert",
        ("INSERT INTO shard SELECT 9, 'shard-9', origin, vkey FROM shard WHERE number = 1",),
    ),
    Attack("shard", "delete", ("DELETE FROM shard WHERE number = 1",)),
    Attack("shard", "swap", _swap("shard", "origin, vkey", "number = 1", "number = 2")),
    Attack("shard", "truncate", ("DELETE FROM shard WHERE number = 2",)),
    Attack("head", "update shard", ("UPDATE head SET shard = 9 WHERE shard = 1",)),
    Attack("head", "update size", ("UPDATE head SET size = size + 1 WHERE shard = 1",)),
    Attack("head", "update root", _flip("head", "root", "shard = 1")),
    Attack("head", "update frontier", _flip("head", "frontier", "shard = 1")),
    Attack("head", "update epoch", ("UPDATE head SET epoch = epoch + 5",), 0, 0, FENCE),
    Attack(
        "head",
        "insert",
        ("INSERT INTO head SELECT 9, size, root, frontier, epoch FROM head WHERE shard = 1",),
    ),
    Attack("head", "delete", ("DELETE FROM head WHERE shard = 1",)),
    Attack("head", "swap", _swap("head", "size, root, frontier", "shard = 1", "shard = 2")),
    Attack("head", "truncate", ("DELETE FROM head WHERE shard = 2",)),
    Attack("leaf", "update pos", (f"UPDATE leaf SET pos = {FIRST + 601} WHERE {ENTRY}",)),
    Attack("leaf", "update data", _flip("leaf", "data", ENTRY)),
    Attack("leaf", "update h", _flip("leaf", "h", ENTRY)),
    Attack("leaf", "insert", (f"INSERT INTO leaf SELECT {FIRST + 601}, data, h FROM leaf WHERE {ENTRY}",)),
    Attack("leaf", "delete", (f"DELETE FROM leaf WHERE {ENTRY}",)),
    Attack("leaf", "swap", _swap("leaf", "data, h", ENTRY, OTHER)),
    Attack("leaf", "truncate", (f"DELETE FROM leaf WHERE {TAIL}",)),
    Attack("payload", "update pos", (f"UPDATE payload SET pos = {FIRST + 601} WHERE {ENTRY}",)),
    Attack("payload", "update kid", (f"UPDATE payload SET kid = 2 WHERE {ENTRY}",)),
    Attack("payload", "update nonce", _flip("payload", "nonce", ENTRY)),
    Attack("payload", "update ct", _flip("payload", "ct", ENTRY)),
    Attack(
        "payload",
        "insert",
        (f"INSERT INTO payload SELECT {FIRST + 601}, kid, nonce, ct FROM payload WHERE {ENTRY}",),
    ),
    Attack("payload", "delete", (f"DELETE FROM payload WHERE {ENTRY}",)),
    Attack("payload", "swap", _swap("payload", "kid, nonce, ct", ENTRY, OTHER)),
    Attack("payload", "truncate", (f"DELETE FROM payload WHERE {TAIL}",)),
    Attack("tile", "update shard", ("UPDATE tile SET shard = 9 WHERE n = 1",)),
    Attack("tile", "update l", ("UPDATE tile SET l = 1 WHERE n = 1",)),
    Attack("tile", "update n", ("UPDATE tile SET n = 5 WHERE n = 1",)),
    Attack("tile", "update data", _flip("tile", "data", "n = 1")),
    Attack("tile", "insert", ("INSERT INTO tile SELECT 9, l, n, data FROM tile WHERE n = 1",)),
    Attack("tile", "delete", ("DELETE FROM tile WHERE n = 0",)),
    Attack("tile", "swap", _swap("tile", "data", "n = 0", "n = 1")),
    Attack("tile", "truncate", ("DELETE FROM tile WHERE n = 1",)),
    Attack(
        "counter",
        "update tok",
        ("UPDATE counter SET tok = x'00' WHERE tok = (SELECT max(tok) FROM counter)",),
    ),
    Attack("counter", "update shard", ("UPDATE counter SET shard = 9 WHERE shard = 2",)),
    Attack(
        "counter", "update n", ("UPDATE counter SET n = n - 1 WHERE tok = (SELECT max(tok) FROM counter)",)
    ),
    Attack("counter", "insert", ("INSERT INTO counter VALUES (x'00', 1, 3)",)),
    Attack("counter", "delete", ("DELETE FROM counter WHERE tok = (SELECT min(tok) FROM counter)",)),
    Attack(
        "counter",
        "swap",
        _swap(
            "counter",
            "n",
            "(tok, shard) = (SELECT tok, shard FROM counter WHERE shard = 1 ORDER BY n, tok LIMIT 1)",
            "(tok, shard) = (SELECT tok, shard FROM counter WHERE shard = 2 ORDER BY n DESC, tok LIMIT 1)",
        ),
    ),
    Attack("counter", "truncate", ("DELETE FROM counter WHERE tok = (SELECT max(tok) FROM counter)",)),
    Attack("ckpt", "update shard", (f"UPDATE ckpt SET shard = 2 WHERE {LATEST}",)),
    Attack("ckpt", "update size", (f"UPDATE ckpt SET size = 600 WHERE {LATEST}",)),
    Attack("ckpt", "update at", ("UPDATE ckpt SET at = at + 86400",), 0, 0, AGE),
    Attack(
        "ckpt",
        "update note",
        (f"UPDATE ckpt SET note = CAST(replace(note, '601', '600') AS BLOB) WHERE {LATEST}",),
    ),
    Attack("ckpt", "insert", (f"INSERT INTO ckpt SELECT shard, 599, at, note FROM ckpt WHERE {LATEST}",)),
    Attack("ckpt", "delete", (f"DELETE FROM ckpt WHERE {LATEST}",), 0, 0, COPY),
    Attack("ckpt", "swap", _swap("ckpt", "note", LATEST, "shard = 1 AND size = 501")),
    Attack("ckpt", "truncate", ("DELETE FROM ckpt WHERE size >= 501",)),
    Attack("cosig", "update shard", ("UPDATE cosig SET shard = 2 WHERE size = 301",)),
    Attack("cosig", "update size", ("UPDATE cosig SET size = 601 WHERE size = 501",), 0, 1, UNKNOWN_WITNESS),
    Attack("cosig", "update keyname", ("UPDATE cosig SET keyname = 'another'",), 0, 0, FOUND_BY),
    Attack(
        "cosig",
        "update line",
        ("UPDATE cosig SET line = (SELECT max(line) FROM cosig)",),
        0,
        1,
        UNKNOWN_WITNESS,
    ),
    Attack("cosig", "insert", ("INSERT INTO cosig VALUES (1, 601, 'junk', 'no signature line')",)),
    Attack("cosig", "delete", ("DELETE FROM cosig",), 0, 2, BORROWED),
    Attack("cosig", "swap", _swap("cosig", "line", "size = 301", "size = 501"), 0, 1, UNKNOWN_WITNESS),
    Attack("cosig", "truncate", ("DELETE FROM cosig WHERE size = 501",), 0, 0, BORROWED),
)


def strike(path: Path, attack: Attack) -> None:
    """Do it, as the file's owner can: past every trigger."""
    connection = apsw.Connection(str(path))
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    changed = 0
    for statement in attack.statements:
        before = connection.total_changes()
        connection.execute(statement)
        changed += connection.total_changes() - before
    connection.close()
    if not changed:
        raise RuntimeError(f"{attack.table}, {attack.how}: the attack changed nothing")
