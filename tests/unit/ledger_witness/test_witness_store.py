"""The witness's memory: made once, never started without, refused when it is another's."""

import shutil
import stat
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from growing_log import GrowingLog
from ledgers import faulty_disk
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import witness_store
from purposegate.ledger.merkle import EMPTY_ROOT
from purposegate.ledger.note import LogSigner
from purposegate.ledger.witness_store import Seen, WitnessStore, read_state

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


def test_folder_that_cannot_be_written_takes_no_state(tmp_path: Path) -> None:
    """Where no file can be made, that is said, and nothing is left."""
    with pytest.raises(LedgerOutage, match="cannot be made"):
        WitnessStore.create(tmp_path / "gone" / "witness.db", vkey=VKEY)
    assert [] == list(tmp_path.iterdir())


def test_damaged_state_is_refused(path: Path) -> None:
    """A state that was cut off is an outage, not an empty memory."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))

    with pytest.raises(LedgerOutage, match="cannot be opened"):
        opened(path)


def test_state_in_a_weaker_mode_is_refused(path: Path) -> None:
    """Somebody who turned the log file off turned durability off."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "delete")
    db.close()

    with pytest.raises(LedgerOutage, match="WAL"):
        opened(path)


def test_sqlite_that_loses_commits_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of SQLite that can lose committed writes is not trusted with the memory."""
    monkeypatch.setattr(apsw, "SQLITE_VERSION_NUMBER", 3_051_002)

    with pytest.raises(SettingsError, match="apsw"):
        opened(path)


def test_state_is_shown_while_it_is_in_use(path: Path) -> None:
    """Whoever investigates need not stop the witness."""
    store = opened(path)
    store.advance(Seen(0, EMPTY_ROOT, b"", 0), LOG.head(3), LOG.signed(3), 7)
    store.keep_refused(ORIGIN, "two-roots", b"note", 8)

    shown = read_state(path)
    store.close()

    assert (VKEY, {ORIGIN: Seen(3, LOG.roots[3], LOG.signed(3), 7)}) == shown[:2]
    assert [(ORIGIN, ("two-roots", b"note", LOG.signed(3), 8))] == shown[2]


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100], ids=["gone", "empty", "other"])
def test_other_file_is_not_shown(tmp_path: Path, content: bytes | None) -> None:
    """What is not a witness's state is not shown as one, nor made into one."""
    if content is not None:
        (tmp_path / "witness.db").write_bytes(content)

    with pytest.raises(SettingsError, match="not a witness's state"):
        read_state(tmp_path / "witness.db")
    assert content == ((tmp_path / "witness.db").read_bytes() if content is not None else None)


def test_damaged_state_is_not_shown(path: Path) -> None:
    """A damaged state is an outage, not a shorter list."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))

    with pytest.raises(LedgerOutage, match="cannot be read"):
        read_state(path)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("operation", ["write", "sync"])
def test_no_failing_write_lets_a_head_be_cosigned_and_forgotten(
    tmp_path: Path, operation: str, *, lasting: bool
) -> None:
    """Whichever write or sync of five advances fails: what was confirmed is there after a crash.

    The crash is a copy of the files at that moment, opened anew. Once the disk is well again, so is the witness.
    """
    failed_at = 1
    while _advance_with_a_fault(tmp_path / f"{failed_at}", operation, failed_at, lasting=lasting):
        failed_at += 1
    assert failed_at > 5


def _advance_with_a_fault(folder: Path, operation: str, failed_at: int, *, lasting: bool) -> bool:
    """Advance five times with the `failed_at`th operation failing; whether it came to that."""
    folder.mkdir()
    WitnessStore.create(folder / "witness.db", vkey=VKEY)
    with faulty_disk() as disk:
        disk.fault = lambda done, _file, ordinal: (
            done == operation and (ordinal >= failed_at if lasting else ordinal == failed_at)
        )
        try:
            store = WitnessStore(folder / "witness.db", vkey=VKEY, origins=[ORIGIN], vfs=disk.name)
        except LedgerOutage:
            return True
        for size in range(1, 6):
            with suppress(LedgerOutage):
                _advance(store, folder, size)
        reached = disk.ordinals.get(operation, 0) >= failed_at
        disk.fault = lambda *_: False
        with suppress(LedgerOutage):  # the first call after a fault may be the one that opens the state anew
            store.seen(ORIGIN)
        _advance(store, folder, 6)
        store.close()
        return reached


def _advance(store: WitnessStore, folder: Path, size: int) -> None:
    seen = store.seen(ORIGIN)
    assert seen is not None
    assert store.advance(seen, LOG.head(size), LOG.signed(size), size) is not None
    assert size == _after_a_crash(folder, size)


def _after_a_crash(folder: Path, size: int) -> int:
    copy = folder / f"crash-{size}"
    copy.mkdir()
    for file in folder.glob("witness.db*"):
        shutil.copy(file, copy)
    store = opened(copy / "witness.db")
    seen = store.seen(ORIGIN)
    store.close()
    return seen.size if seen else -1
