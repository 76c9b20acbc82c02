"""Receipts that callers kept, against the ledger: what shows a history exchanged whole, key and all."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from purposegate.cli.ledger import ledger as command
from purposegate.errors import EvidenceMalformed
from purposegate.ledger import receipts
from purposegate.model import Receipt


def line(receipt: Receipt) -> str:
    """The header's value, as the gate sends it."""
    return f"{receipt.shard};{receipt.index};{receipt.leaf_hash.hex()}"


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of two entries, as it was yesterday, signer and all, in the folder `old`; and of three today."""
    path = tmp_path / "l.db"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    (tmp_path / "old").mkdir()
    for source in tmp_path.glob("l.db*"):
        if not source.name.endswith((".lock", "-wal", "-shm")):
            shutil.copy(source, tmp_path / "old" / source.name)
    with open_ledger(path) as ledger:
        told = ledger.append_wait(entry(2))
    (tmp_path / "receipts").write_text(f"# kept by the caller\n\nPurposegate-Receipt: {line(told)}\n")
    return path


def test_receipts_of_an_honest_ledger_stand(path: Path) -> None:
    """Exit code 0."""
    assert 0 == run("verify", path, "--receipts", path.with_name("receipts")).exit_code


def test_roll_back_of_everything_is_caught_by_a_receipt_and_not_without(path: Path) -> None:
    """The old copy verifies by itself; the receipt names an entry that it does not have."""
    old = path.parent / "old" / "l.db"
    without = run("verify", old).exit_code
    caught = run("verify", old, "--receipts", path.with_name("receipts"))

    assert (0, 1) == (without, caught.exit_code)
    assert "entry 2: an entry that a receipt names" in caught.stdout


def test_rewritten_history_is_caught_by_a_receipt(path: Path) -> None:
    """Another entry at the receipt's index has another leaf hash."""
    old = path.parent / "old" / "l.db"
    with open_ledger(old) as ledger:
        ledger.append_wait(entry(3))
    caught = run("verify", old, "--receipts", path.with_name("receipts"))

    assert (0, 1) == (run("verify", old).exit_code, caught.exit_code)
    assert "entry 2: the leaf hash that a receipt names" in caught.stdout


def test_receipt_of_a_shard_that_is_gone_is_caught(path: Path) -> None:
    """A whole shard can be missing too."""
    kept = path.with_name("others")
    kept.write_text(line(Receipt(shard="shard-7", index=4, leaf_hash=bytes(32))) + "\n")

    assert "shard-7 entry 4" in run("verify", path, "--receipts", kept).stdout


def test_exported_tiles_are_held_to_receipts(path: Path) -> None:
    """Who has only an export can compare as well."""
    told = (path.with_name("receipts")).read_text().split()[-1]
    wrong = path.with_name("wrong")
    wrong.write_text(told[:-1] + ("0" if told[-1] != "0" else "1"))
    exported = path.with_name("tiles")
    assert 0 == run("export", path, exported).exit_code

    codes = [
        run("verify", exported, "--receipts", each).exit_code for each in (path.with_name("receipts"), wrong)
    ]
    assert [0, 1] == codes


@given(
    st.lists(
        st.builds(
            Receipt,
            shard=st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,62}\Z"),
            index=st.integers(0, 2**63 - 1),
            leaf_hash=st.binary(min_size=32, max_size=32),
        )
    )
)
def test_receipts_read_back(kept: list[Receipt]) -> None:
    """What the gate writes is read as it was."""
    assert kept == receipts.read("\n".join(map(line, kept)).encode())


@pytest.mark.parametrize(
    "text",
    ["shard-0;1", "shard-0;01;" + "0" * 64, "SHARD 0;1;" + "0" * 64, "shard-0;1;" + "0" * 63, "\udcff"],
)
def test_other_lines_are_refused_by_number(text: str) -> None:
    """A line that is no receipt is named by its number and not echoed."""
    with pytest.raises(EvidenceMalformed, match=r"^receipts line 2: want"):
        receipts.read(b"# kept\n" + text.encode("utf-8", "surrogateescape"))
