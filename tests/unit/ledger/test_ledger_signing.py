import shutil
from pathlib import Path

import apsw
import pytest

from ledgers import entry, open_ledger, until
from purposegate.errors import LedgerOutage, ProofFailed, SettingsError
from purposegate.ledger.merkle import consistency_proof, leaf_hash, root_of
from purposegate.ledger.signing import HeadSigner, create_secret, head_file, load_secret, shard_signer
from purposegate.ledger.sqlite_reader import SqliteReader

SECRET = b"s" * 32
HASHES = [leaf_hash(str(number).encode()) for number in range(20)]


def prove(old: int, new: int) -> list[bytes]:
    return consistency_proof(
        old, new, lambda level, index: root_of(HASHES[index << level : (index + 1) << level])
    )


def test_each_shard_has_a_key_of_its_own() -> None:
    """One secret gives each origin its own key, always the same."""
    one, two = shard_signer(SECRET, "a/shard-0").verifier, shard_signer(SECRET, "a/shard-1").verifier

    assert one.public != two.public
    assert str(one) == str(shard_signer(SECRET, "a/shard-0").verifier)
    assert one.public != shard_signer(b"t" * 32, "a/shard-0").verifier.public


def test_signer_never_goes_back(tmp_path: Path) -> None:
    """A smaller head is not signed, nor a different one of the same size; the memory stays."""
    signer = HeadSigner(SECRET, "o", tmp_path / "o.head")
    signer.sign(10, root_of(HASHES[:10]), prove)
    for size, root in ((9, root_of(HASHES[:9])), (10, root_of(HASHES[:9])), (12, root_of(HASHES[1:13]))):
        with pytest.raises(ProofFailed):
            signer.sign(size, root, prove)

    assert 10 == HeadSigner(SECRET, "o", tmp_path / "o.head").size


def test_signer_remembers_across_restarts(tmp_path: Path) -> None:
    """A new signer over the same memory continues the old one's heads."""
    HeadSigner(SECRET, "o", tmp_path / "o.head").sign(3, root_of(HASHES[:3]), prove)
    again = HeadSigner(SECRET, "o", tmp_path / "o.head")
    again.sign(8, root_of(HASHES[:8]), prove)

    assert (8, 0o600) == (again.size, (tmp_path / "o.head").stat().st_mode & 0o777)


def test_altered_memory_is_refused(tmp_path: Path) -> None:
    """A memory that this signer did not write is refused, not believed and not overwritten."""
    HeadSigner(SECRET, "o", tmp_path / "o.head").sign(3, root_of(HASHES[:3]), prove)
    note = (tmp_path / "o.head").read_text()
    (tmp_path / "o.head").write_text(note.replace("\n3\n", "\n2\n"))

    with pytest.raises(SettingsError, match="last head"):
        HeadSigner(SECRET, "o", tmp_path / "o.head")


@pytest.mark.parametrize(
    "text", ["", "purposegate ledger signer v1\nsecret AAAA\n", "x\nsecret " + "A" * 43 + "=\n"]
)
def test_malformed_signer_files_are_refused(tmp_path: Path, text: str) -> None:
    """A signer file has one form."""
    (tmp_path / "signer").touch(0o600)
    (tmp_path / "signer").write_text(text)

    with pytest.raises(SettingsError):
        load_secret(tmp_path / "signer")


def test_signer_file_is_private(tmp_path: Path) -> None:
    """Mode 0600 when made, refused when wider."""
    create_secret(tmp_path / "signer")
    assert 32 == len(load_secret(tmp_path / "signer"))
    (tmp_path / "signer").chmod(0o644)

    with pytest.raises(SettingsError, match="chmod 600"):
        load_secret(tmp_path / "signer")


def test_lost_database_is_not_begun_anew(tmp_path: Path) -> None:
    """With the database gone and the signer's memory there, a new database does not repeat the old log's name."""
    path = tmp_path / "l.db"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    path.unlink()
    with open_ledger(path) as ledger:
        assert "shard-0.r1" == ledger.shard


def test_store_that_contradicts_the_signed_head_is_not_continued(tmp_path: Path) -> None:
    """A store as long as what was signed, with another root there, goes on as another shard."""
    path = tmp_path / "l.db"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    shutil.copy(path, tmp_path / "fork.db")
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(2))
    memory = head_file(tmp_path / "l.db.signer", "shard-0")
    signed = memory.read_bytes()
    memory.write_bytes(SqliteNotes(tmp_path / "fork.db").last())
    shutil.copy(tmp_path / "fork.db", path)
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(3))
    memory.write_bytes(signed)
    with open_ledger(path) as ledger:
        assert "shard-0.r1" == ledger.shard


class SqliteNotes:
    """The signed heads kept in a database."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> bytes:
        """The largest one."""
        reader = SqliteReader(self._path)
        note = reader.checkpoints(1)[-1][1]
        reader.close()
        return note


def test_store_that_stops_leading_to_the_signed_head_is_disowned(tmp_path: Path) -> None:
    """If what the store holds stops leading to what was signed, the ledger refuses instead of signing over it."""
    path = tmp_path / "l.db"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
        ledger.append_wait(entry(2))
        until(lambda: ledger.signed_size == 3)
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(10_000)  # the ledger itself may be keeping a signed head at this moment
        connection.execute("DROP TRIGGER leaf_update")
        connection.execute("UPDATE leaf SET h = zeroblob(32) WHERE pos & 255 = 0")
        connection.close()
        ledger.append_wait(entry(3))
        until(lambda: ledger.state != "open")
        with pytest.raises(LedgerOutage, match="contradicts the last signed head"):
            ledger.append_wait(entry(4))

        assert ("forked", 3) == (ledger.state, ledger.signed_size)
