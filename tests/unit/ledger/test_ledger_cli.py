from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from ledgers import entry, open_ledger
from purposegate.cli.ledger import ledger as command


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of three entries."""
    with open_ledger(tmp_path / "l.db") as ledger:
        for number in range(2):
            ledger.append_wait(entry(number))
    return tmp_path / "l.db"


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def test_intact_ledger_exits_0(path: Path) -> None:
    """An intact ledger is told with its size and root, and that nobody witnessed it."""
    result = run("verify", path)

    assert 0 == result.exit_code
    assert "intact: shard-0: 3 entries" in result.stdout
    assert "not witnessed" in result.stdout


def test_tampered_ledger_exits_1_and_names_the_entry(path: Path) -> None:
    """A changed payload is told with index, expected and found."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE payload SET ct = zeroblob(length(ct)) WHERE pos & 255 = 1")
    connection.close()
    result = run("verify", path)

    assert 1 == result.exit_code
    assert "TAMPERED shard-0 entry 1: the payload does not open: expected" in result.stdout


def test_missing_key_exits_2(path: Path) -> None:
    """Without the key file the payloads are undecided; the leaves alone are not."""
    path.with_name("l.db.keys").unlink()

    assert 2 == run("verify", path).exit_code
    assert 0 == run("verify", "--leaves-only", path).exit_code


def test_foreign_file_exits_2_with_a_remedy(tmp_path: Path) -> None:
    """A file that is no ledger cannot be decided, and the message says so."""
    (tmp_path / "text").write_text("no ledger " * 200)
    result = run("verify", tmp_path / "text")

    assert 2 == result.exit_code
    assert "not a ledger" in result.stderr


@pytest.mark.parametrize("words", [["verify"], ["verify", "none.db"], ["verify", "--what", "x"], ["nothing"]])
def test_usage_errors_exit_3(words: list[str]) -> None:
    """A command that was not understood says nothing about the evidence."""
    assert 3 == run(*words).exit_code
