"""Whoever holds the database changes it: verify's exit code for every table and column, every key file, every roll-back."""

import shutil
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from fault_tamper import ATTACKS, Attack, Built, build, cosigned, grow, strike
from ledgers import open_ledger
from purposegate.errors import SettingsError
from purposegate.ledger.verdict import Evidence
from purposegate.ledger.verify import verify_file
from purposegate.model import Receipt


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def path(built: Built, tmp_path: Path) -> Path:
    """A copy to tamper with, its key files and signed heads beside it."""
    return built.copied(tmp_path)


def codes(path: Path, *evidence: Evidence) -> list[int]:
    return [verify_file(path, each).exit_code for each in evidence]


def test_untouched_ledger_is_intact(built: Built, path: Path) -> None:
    """Plain and with the auditor's keys and witness: 0, or no code below would mean anything."""
    assert [0, 0] == codes(path, Evidence(), built.informed), verify_file(path, built.informed).text()


def test_every_table_and_column_has_its_attacks(path: Path) -> None:
    """A table or column that is new without an attack on it fails here."""
    connection = apsw.Connection(str(path))
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = {
        table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in tables
    }
    connection.close()
    wanted = {
        (table, how)
        for table, names in columns.items()
        for how in ("insert", "delete", "swap", "truncate", *(f"update {name}" for name in names))
    }

    assert wanted == {(attack.table, attack.how) for attack in ATTACKS}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.table}: {attack.how}")
def test_attack_on_a_table_has_its_exit_code(built: Built, path: Path, attack: Attack) -> None:
    """What verify says of it, alone and with an auditor's evidence; where it is not told, the case says why not."""
    strike(path, attack)
    found = [verify_file(path), verify_file(path, built.informed)]

    assert [attack.plain, attack.informed] == [each.exit_code for each in found], found[0].text()
    assert bool(attack.why) == (attack.plain != 1)


# Files: each that lies beside the database, exchanged, taken away, or put back to what it was

FILES = {"database", "keys", "signer", "signed head"}


def kind_of(path: Path) -> str:
    """What a file of the ledger's is, by its name."""
    ends = {
        ".db": "database",
        ".db.keys": "keys",
        ".db.signer": "signer",
        ".head": "signed head",
        ".lock": "lock",
        ".db-wal": "log of the database",
        ".db-shm": "log of the database",
    }
    return next((kind for end, kind in ends.items() if path.name.endswith(end)), path.name)


def test_every_kind_of_file_has_its_attacks(built: Built) -> None:
    """A new kind of file beside the database fails here until the cases below know it. Locks hold nothing."""
    kinds = {kind_of(path) for path in built.path.parent.iterdir()}

    assert FILES == kinds - {"lock", "log of the database"}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Another ledger of the same origin and size: with keys, signer and heads of its own."""
    (tmp_path / "foreign").mkdir()
    with (
        open_ledger(tmp_path / "foreign" / "l.db") as first,
        open_ledger(tmp_path / "foreign" / "l.db") as second,
    ):
        grow(first, 601)
        grow(second, 41)
    return tmp_path / "foreign" / "l.db"


@pytest.mark.parametrize(
    ("file", "exchanged", "gone"),
    [("l.db.keys", 2, 2), ("l.db.signer", 0, 0), ("l.db.signer.shard-0.head", 1, 0)],
)
def test_key_files_exchanged_or_taken_away(
    path: Path, foreign: Path, file: str, exchanged: int, gone: int
) -> None:
    """Another ledger's keys decide nothing, its signed head contradicts; the signer's secret is no evidence."""
    shutil.copy(foreign.with_name(file), path.with_name(file))
    found = verify_file(path).exit_code
    path.with_name(file).unlink()

    assert [exchanged, gone] == [found, verify_file(path).exit_code]


def test_exchanged_signer_is_refused_on_opening(path: Path, foreign: Path) -> None:
    """What verify does not read of the signer, opening does: nothing is signed by a secret that is not this log's."""
    shutil.copy(foreign.with_name("l.db.signer"), path.with_name("l.db.signer"))

    with pytest.raises(SettingsError, match="another ledger"):
        open_ledger(path)


def test_without_any_signed_head_nothing_is_decided(path: Path) -> None:
    """With the signer's memory and the kept heads gone, nobody vouches for the log: 2, not 0."""
    for memory in path.parent.glob("*.head"):
        memory.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM ckpt")
    connection.execute("DELETE FROM cosig")
    connection.close()

    assert 2 == verify_file(path).exit_code


def test_whole_ledger_forged_under_other_keys_is_caught_from_outside_alone(
    built: Built, path: Path, foreign: Path
) -> None:
    """A ledger made anew with other keys and signer, in place of all files: sound by itself, and told by whoever kept anything.

    A trusted verifier key, a signed head, a witness's cosignature, a receipt: each alone is enough.
    """
    for file in foreign.parent.glob("l.db*"):
        shutil.copy(file, path.with_name(file.name))
    head = built.heads[501]

    assert [0] == codes(path, Evidence())
    assert [1, 1, 1, 1] == codes(
        path,
        Evidence(keys={str(log.key) for log in built.policy.logs}),
        Evidence(heads=[head]),
        Evidence(heads=[head + cosigned(head).encode()], policy=built.policy),
        Evidence(receipts=built.receipts[-1:]),
    )


class Kept(NamedTuple):
    """What somebody else held when the roll-back came."""

    head: bytes
    receipt: Receipt


def rolled_back(built: Built, path: Path, *, memory: bool) -> Kept:
    """Put the database, and with `memory` the signed heads too, back to what they were before twenty entries more."""
    older = path.parent / "older"
    older.mkdir()
    built.copied(older)
    with open_ledger(path) as ledger:
        receipts = grow(ledger, 621)
    head = path.with_name("l.db.signer.shard-0.head").read_bytes()
    for source in older.iterdir():
        if source.name == path.name or (memory and source.name.endswith(".head")):
            shutil.copy(source, path.with_name(source.name))
    return Kept(head, receipts[-1])


def test_database_rolled_back_contradicts_the_signers_memory(built: Built, path: Path) -> None:
    """An older copy of the database beside the signer's memory: 1, without anything from outside."""
    rolled_back(built, path, memory=False)

    assert [1] == codes(path, Evidence())


def test_whole_file_roll_back_is_caught_with_outside_evidence_and_not_without(
    built: Built, path: Path
) -> None:
    """With every file put back: 0 alone; 1 with the last signed head, with a witness's cosignature of it, or with a receipt."""
    kept = rolled_back(built, path, memory=True)
    lines = cosigned(kept.head).encode()

    assert [0] == codes(path, Evidence())
    assert [1, 1, 1] == codes(
        path,
        Evidence(heads=[kept.head]),
        Evidence(heads=[kept.head + lines], policy=built.policy, require_witness=True),
        Evidence(receipts=[kept.receipt]),
    )


def test_roll_back_that_grew_over_is_caught_the_same(built: Built, path: Path) -> None:
    """Other entries written over the lost ones, as many of them: the same verdicts, for what stands there is not what was."""
    kept = rolled_back(built, path, memory=True)
    with open_ledger(path) as ledger:
        grow(ledger, 700)

    assert [0] == codes(path, Evidence())
    assert [1, 1] == codes(path, Evidence(heads=[kept.head]), Evidence(receipts=[kept.receipt]))
