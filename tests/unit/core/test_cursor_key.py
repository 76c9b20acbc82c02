"""The key of page cursors: one for all workers, whole or absent, and never readable by others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from purposegate.application import cursor_key
from purposegate.errors import SettingsError


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where a ledger would stand."""
    return tmp_path / "ledger.db"


def test_a_key_is_made_once(ledger: Path) -> None:
    """A second worker, or a restart, reads what the first wrote: links given before stay good."""
    first = cursor_key(ledger)

    assert (32, first) == (len(first), cursor_key(ledger))
    assert ["ledger.db.cursor-key"] == [path.name for path in ledger.parent.iterdir()]


def test_nobody_sees_a_key_that_is_being_written(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts while another makes the key gets that one's key, whole."""

    def drawn_while_another_starts(size: int) -> bytes:
        monkeypatch.undo()
        others.append(cursor_key(ledger))
        return b"x" * size

    others: list[bytes] = []
    monkeypatch.setattr("secrets.token_bytes", drawn_while_another_starts)
    mine = cursor_key(ledger)

    assert [mine] == others
    assert 32 == len(mine)


def test_workers_that_start_together_share_one_key(ledger: Path) -> None:
    """Whatever the interleaving."""
    with ThreadPoolExecutor(8) as workers:
        keys: Iterator[bytes] = workers.map(cursor_key, [ledger] * 64)

    assert 1 == len(set(keys))


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_file_is_named(ledger: Path, content: bytes) -> None:
    """A full disk may once have left half a key: the operator hears which file, and what to do."""
    path = ledger.with_name("ledger.db.cursor-key")
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(SettingsError, match=r"ledger\.db\.cursor-key: want 32 bytes; delete it"):
        cursor_key(ledger)


def test_a_key_that_others_can_read_is_refused(ledger: Path) -> None:
    """Whoever has it can read where lists go on, and so who was withheld."""
    cursor_key(ledger)
    ledger.with_name("ledger.db.cursor-key").chmod(0o640)

    with pytest.raises(SettingsError, match="want mode 0600"):
        cursor_key(ledger)
