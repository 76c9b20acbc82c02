"""Commands that leave an entry beside a running gate: in a shard of their own, cosigned when they are told by whom."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ledgers import entry, open_ledger
from purposegate.cli.ledger import ledger as command
from purposegate.ledger.sqlite_reader import SqliteReader
from witnesses import LocalWitness, vkeys

READING = ("--as", "psd-7", "--purpose", "audit.psd", "--reason", "a complaint about pc-42")


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of two shards: a gate's, and the one that commands write while it serves."""
    with open_ledger(tmp_path / "l.db"), open_ledger(tmp_path / "l.db"):
        pass
    return tmp_path / "l.db"


@pytest.fixture
def witness(tmp_path: Path, path: Path) -> LocalWitness:
    """A witness that knows both."""
    made = LocalWitness(tmp_path / "psd")
    made.know(*vkeys(path))
    return made


def policy(path: Path, witness: LocalWitness) -> Path:
    """What the witness's address and the verifier's quorum are written in."""
    lines = [f"log {key}" for key in vkeys(path)] + [
        f"witness psd {witness.vkey} {witness.url}",
        "quorum psd",
    ]
    file = path.with_name("policy")
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def cosigned(path: Path) -> list[bool]:
    """Of each shard, whether its newest entry is cosigned."""
    reader = SqliteReader(path)
    found = [reader.cosigned(row.number) == row.head.size for row in reader.shards()]
    reader.close()
    return found


@pytest.mark.parametrize("told", [True, False])
def test_what_a_search_records_is_cosigned_when_it_is_told_by_whom(
    path: Path, witness: LocalWitness, *, told: bool
) -> None:
    """With `--witnesses` the entry of a search beside a gate has its cosignature when the command ends; without, not."""
    file = policy(path, witness)
    words = ("--witnesses", file) if told else ()
    with open_ledger(path) as gate, witness.running():
        gate.append_wait(entry(1))
        result = run("query", path, "--principal", "pc-42", *READING, *words)

    assert (0, True) == (result.exit_code, "entry shard-1/" in result.stderr)
    assert [False, told] == cosigned(path)


def test_all_is_witnessed_once_every_command_says_by_whom(path: Path, witness: LocalWitness) -> None:
    """With the gate's shard pushed as well, verify with `--require-witness` is content."""
    file = policy(path, witness)
    with witness.running():
        with open_ledger(path):
            run("query", path, "--principal", "pc-42", *READING, "--witnesses", file)
        run("query", path, "--principal", "pc-42", *READING, "--witnesses", file)

    assert [True, True] == cosigned(path)
    assert 0 == run("verify", path, "--policy", file, "--require-witness").exit_code


def test_silent_witness_hides_no_answer(path: Path, witness: LocalWitness) -> None:
    """A witness that is down is no reason not to search: the entry stands, uncosigned."""
    result = run("query", path, "--principal", "pc-42", *READING, "--witnesses", policy(path, witness))

    assert 0 == result.exit_code
    assert [False, False] == cosigned(path)


def test_policy_without_an_address_is_a_usage_error(path: Path, witness: LocalWitness) -> None:
    """Nobody could be asked."""
    file = policy(path, witness)
    file.write_text(file.read_text(encoding="utf-8").replace(f" {witness.url}", ""), encoding="utf-8")
    result = run("query", path, *READING, "--witnesses", file)

    assert 3 == result.exit_code
