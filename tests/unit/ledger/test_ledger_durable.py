import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from ledgers import entry, open_ledger
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import verify

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.anyio


def foreign_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE leaf (idx INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    "make", [foreign_sqlite, lambda path: path.write_bytes(b"text" * 500), lambda path: path.touch()]
)
def test_foreign_file_is_refused_unchanged(tmp_path: Path, make: object) -> None:
    """Another program's database, a text, an empty file: refused, and not one byte changed."""
    assert callable(make)
    make(tmp_path / "l.db")
    before = (tmp_path / "l.db").read_bytes()

    with pytest.raises(SettingsError, match="not a ledger"):
        open_ledger(tmp_path / "l.db")
    assert before == (tmp_path / "l.db").read_bytes()


def test_future_schema_is_refused_unchanged(tmp_path: Path) -> None:
    """A file of a later release is refused, not written to with old habits."""
    open_ledger(tmp_path / "l.db").close()
    connection = apsw.Connection(str(tmp_path / "l.db"))
    connection.pragma("user_version", 2)
    connection.close()
    before = (tmp_path / "l.db").read_bytes()

    with pytest.raises(SettingsError, match="schema 2"):
        open_ledger(tmp_path / "l.db")
    assert before == (tmp_path / "l.db").read_bytes()


def test_missing_directory_is_an_outage(tmp_path: Path) -> None:
    """A directory that is not there is named."""
    with pytest.raises(LedgerOutage, match="No such file"):
        open_ledger(tmp_path / "none" / "l.db")


def test_network_filesystem_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network filesystem nothing is made."""
    monkeypatch.setattr("purposegate.ledger.place.filesystem_of", lambda *_: "nfs4")

    with pytest.raises(SettingsError, match="nfs4"):
        open_ledger(tmp_path / "l.db")
    assert [] == list(tmp_path.iterdir())


def test_creation_cut_short_is_begun_again(tmp_path: Path) -> None:
    """What a crash leaves of a creation (a draft, a key file alone) does not stand in the way."""
    open_ledger(tmp_path / "l.db").close()
    (tmp_path / "l.db").unlink()
    (tmp_path / "l.db.signer.shard-0.head").unlink()
    (tmp_path / ".l.db.new").write_bytes(b"half a file")
    with open_ledger(tmp_path / "l.db") as ledger:
        ledger.append_wait(entry(1))

    assert 0 == verify.verify_file(tmp_path / "l.db").exit_code


def test_read_only_directory_is_an_outage(tmp_path: Path) -> None:
    """A directory that cannot be written is an outage that names the file, for a new ledger and for one that exists."""
    open_ledger(tmp_path / "l.db").close()
    script = (
        "import sys; sys.path[:0] = ['src', 'tests']\n"
        "from ledgers import *\n"
        "from purposegate.errors import LedgerOutage\n"
        "for name in ('l.db', 'new.db'):\n"
        "    try:\n"
        "        open_ledger(Path(sys.argv[1]) / name)\n"
        "    except LedgerOutage as error:\n"
        "        print(name in str(error))\n"
    )
    # Root passes every mode bit by a capability; without it root is bound like its owner.
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    tmp_path.chmod(0o500)
    try:
        run = subprocess.run(
            [*bound, sys.executable, "-c", script, tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        tmp_path.chmod(0o700)

    assert ("True\nTrue\n", "") == (run.stdout, run.stderr)


def test_synchronous_is_read_back(tmp_path: Path) -> None:
    """The writing connection commits with WAL and synchronous FULL."""
    with open_ledger(tmp_path / "l.db") as ledger:
        connection = ledger._store._writer  # type: ignore[attr-defined]  # only the connection itself can say

        assert ("wal", 2) == (connection.pragma("journal_mode"), connection.pragma("synchronous"))


def test_file_forced_out_of_wal_is_put_back_or_refused(tmp_path: Path) -> None:
    """A file that somebody switched to another journal mode is an outage, not a slower or weaker log."""
    open_ledger(tmp_path / "l.db").close()
    connection = apsw.Connection(str(tmp_path / "l.db"))
    connection.pragma("journal_mode", "delete")
    connection.close()

    with pytest.raises(LedgerOutage, match="want WAL"):
        open_ledger(tmp_path / "l.db")


def test_link_to_the_file_is_the_file(tmp_path: Path) -> None:
    """Opened by a symbolic link, the ledger has the same keys and locks: no second worker on a shard that is held."""
    (tmp_path / "link.db").symlink_to(tmp_path / "l.db")
    with open_ledger(tmp_path / "l.db") as first, open_ledger(tmp_path / "link.db") as second:
        assert ("shard-0", "shard-1") == (first.shard, second.shard)
        assert "open" == first.state
