"""The witness's memory: made once, never started without, refused when it is another's."""

import stat
from pathlib import Path

import apsw
import pytest

from growing_log import GrowingLog
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import witness_store
from purposegate.ledger.merkle import EMPTY_ROOT
from purposegate.ledger.note import LogSigner
from purposegate.ledger.witness_store import Seen, WitnessStore

ORIGIN = "force.example/log"
LOG = GrowingLog(LogSigner.generate(ORIGIN)).grow(9)
VKEY = "w+00000000+AAAA"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    WitnessStore.create(tmp_path / "witness.db", vkey=VKEY)
    return tmp_path / "witness.db"


def opened(path: Path, vkey: str = VKEY) -> WitnessStore:
    return WitnessStore(path, vkey=vkey, origins=[ORIGIN])


def test_state_is_its_owners_alone(path: Path) -> None:
    """Nobody else on the machine may read or write the memory."""
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_state_is_not_made_twice(path: Path) -> None:
    """Making it again would forget every log; it is refused and nothing changes."""
    before = path.read_bytes()

    with pytest.raises(SettingsError, match="already"):
        WitnessStore.create(path, vkey=VKEY)
    assert before == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_witness_does_not_start_without_its_memory(tmp_path: Path) -> None:
    """A state file that is gone is not quietly replaced by an empty one."""
    with pytest.raises(SettingsError, match="no state file"):
        opened(tmp_path / "witness.db")
    assert not (tmp_path / "witness.db").exists()


def test_state_of_another_key_is_refused(path: Path) -> None:
    """A state does not pass from one witness to another."""
    with pytest.raises(SettingsError, match="another witness key"):
        opened(path, vkey="other+00000000+AAAA")


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look like one" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is not a witness's state is refused and left as it was."""
    (tmp_path / "witness.db").write_bytes(content)

    with pytest.raises(SettingsError, match="not a witness's state"):
        opened(tmp_path / "witness.db")
    assert content == (tmp_path / "witness.db").read_bytes()


def test_other_database_is_refused(tmp_path: Path) -> None:
    """Another program's database is refused and left as it was."""
    db = apsw.Connection(str(tmp_path / "witness.db"))
    db.execute("CREATE TABLE seen (x)")
    db.close()
    before = (tmp_path / "witness.db").read_bytes()

    with pytest.raises(SettingsError, match="not a witness's state"):
        opened(tmp_path / "witness.db")
    assert before == (tmp_path / "witness.db").read_bytes()


def test_later_schema_is_refused(path: Path) -> None:
    """A state by a later release is not guessed at."""
    db = apsw.Connection(str(path))
    db.pragma("user_version", 2)
    db.close()

    with pytest.raises(SettingsError, match="another release"):
        opened(path)


def test_state_is_held_by_one_witness(path: Path) -> None:
    """A second process on the same state is refused while the first runs, and let in after."""
    first = opened(path)
    with pytest.raises(LedgerOutage, match="another witness"):
        opened(path)
    first.close()

    opened(path).close()


def test_refused_opening_lets_go(path: Path) -> None:
    """A failed start leaves no lock behind."""
    with pytest.raises(SettingsError):
        opened(path, vkey="other+00000000+AAAA")

    opened(path).close()


def test_new_log_starts_at_nothing_and_old_ones_stay(path: Path) -> None:
    """Adding a log to the configuration neither moves nor forgets the others."""
    first = opened(path)
    first.advance(Seen(0, EMPTY_ROOT, b"", 0), LOG.head(3), LOG.signed(3), 7)
    first.close()
    second = WitnessStore(path, vkey=VKEY, origins=[ORIGIN, "force.example/new"])

    assert Seen(3, LOG.roots[3], LOG.signed(3), 7) == second.seen(ORIGIN)
    assert Seen(0, EMPTY_ROOT, b"", 0) == second.seen("force.example/new")
    assert second.seen("force.example/never") is None
    second.close()


@pytest.mark.parametrize(
    "seen", [Seen(2, EMPTY_ROOT, b"", 0), Seen(0, bytes(32), b"", 0)], ids=["size", "root"]
)
def test_head_is_replaced_only_if_it_is_the_one_seen(path: Path, seen: Seen) -> None:
    """Another size or another root than stands there changes nothing."""
    store = opened(path)

    assert store.advance(seen, LOG.head(3), LOG.signed(3), 7) is None
    assert Seen(0, EMPTY_ROOT, b"", 0) == store.seen(ORIGIN)
    store.close()


def test_refused_heads_are_bounded_for_each_kind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends nonsense proofs can neither fill the disk nor crowd out the proof of a fork."""
    monkeypatch.setattr(witness_store, "MAX_REFUSED", 5)
    store = opened(path)
    store.advance(Seen(0, EMPTY_ROOT, b"", 0), LOG.head(3), LOG.signed(3), 7)
    for number in range(15):
        store.keep_refused(ORIGIN, "unproved", b"note %d" % number, number)
    store.keep_refused(ORIGIN, "two-roots", b"the fork", 5_000)
    store.keep_refused(ORIGIN, "two-roots", b"the fork", 6_000)
    kept = store.refused(ORIGIN)

    assert 5 + 1 == len(kept)
    assert ("two-roots", b"the fork", LOG.signed(3), 5_000) == kept[-1]
    store.close()


def test_state_goes_on_after_an_error(path: Path) -> None:
    """After a failed call the state is opened anew, and serves again."""
    store = opened(path)
    store._db.close()

    with pytest.raises(LedgerOutage):
        store.seen(ORIGIN)
    assert Seen(0, EMPTY_ROOT, b"", 0) == store.seen(ORIGIN)
    store.close()


def test_read_only_folder_is_refused_with_its_reason(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(SettingsError, match="folder"):
        opened(tmp_path / "gone" / "witness.db")
