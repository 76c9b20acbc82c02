"""The watcher's cycle: what it finds, what it refuses to read, and what it leaves behind."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import apsw
import pytest

from force_files import somebody
from ledgers import open_ledger
from past_lookups import COVERT, GANG_MEMBER, RULES, lookup, ship, write_entries, write_ledger
from purposegate.errors import SettingsError
from purposegate.ledger.reading import ReadingDeclared
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.verify import verify_file
from purposegate.review.watcher import watching
from purposegate.review.watcher.copy import CopyRefused, require_whole
from purposegate.review.watcher.watching import Watcher

ROOT = Path(__file__).parents[3]
READER = ReadingDeclared("psd-7", "root", "audit.psd", "complaint of the neighbour", "PSD/12")
STRANGER = somebody("Astrid", "Overbeck", "1951-02-03")


def watcher(tmp_path: Path) -> Watcher:
    return Watcher(tmp_path / "watcher", RULES, zone=ZoneInfo("Europe/London"))


def bodies(one: Watcher) -> list[dict[str, Any]]:
    return [hit.body for hit in one.hits(READER)[0]]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A ledger in which E1 looked at the gang member twice, at a stranger once, and E2 at the gang member."""
    (tmp_path / "live").mkdir()
    return write_ledger(
        tmp_path / "live" / "l.db",
        [
            lookup(1, STRANGER, record="17"),
            lookup(2, GANG_MEMBER, at=datetime(2023, 5, 1, 9, tzinfo=UTC)),
            lookup(3, GANG_MEMBER, who="E2"),
            lookup(4, GANG_MEMBER, at=datetime(2026, 11, 20, 13, tzinfo=UTC)),
        ],
    )


@pytest.fixture
def copy(live: Path, tmp_path: Path) -> Path:
    return ship(live, tmp_path / "shipped" / "l.db")


@pytest.fixture
def key_file(copy: Path) -> Path:
    return copy.with_name("l.db.keys")


def test_two_lookups_of_a_gang_member_are_raised(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """The published case: an intelligence entry, two lookups of the man: both raised, and nobody else's."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(copy, key_file)

    assert [("E1", ["person", "900"], "shard-0/2"), ("E1", ["person", "900"], "shard-0/4")] == [
        (body["principal"], body["record"], body["ledger"]) for body in bodies(one)
    ]
    assert [("before_relationship", "before_known"), ("during", "known")] == [
        (body["timing"], body["knowledge"]) for body in bodies(one)
    ]


def test_first_lookup_is_raised_in_the_next_cycle(
    tmp_path: Path, live: Path, key_file: Path, copy: Path
) -> None:
    """An entry known beforehand raises the first lookup as soon as a copy shows it."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", {**COVERT, "principal": "E3"}), READER)
    assert (0, 5) == (one.cycle(copy, key_file).hits, 5)
    write_ledger(live, [lookup(5, GANG_MEMBER, who="E3")])
    done = one.cycle(ship(live, copy), key_file)

    assert (1, 1) == (done.read, done.hits)
    assert ["E3"] == [body["principal"] for body in bodies(one)]


def test_every_new_entry_is_read_without_covert_entries(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """A watcher with nothing to look for reads what one with entries reads."""
    empty, full = watcher(tmp_path / "empty"), watcher(tmp_path / "full")
    full.take(write_entries(tmp_path / "i.csv", COVERT), READER)

    assert [(5, 0), (5, 2)] == [
        (done.read, done.hits) for done in (w.cycle(copy, key_file) for w in (empty, full))
    ]


def test_cycle_again_finds_nothing_twice(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """Hits are named by entry, lookup, record and model, in the table and in the chain."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(copy, key_file)
    again = watcher(tmp_path).cycle(copy, key_file)
    (tmp_path / "watcher" / "seen.db").unlink()
    rebuilt = watcher(tmp_path).cycle(copy, key_file)

    assert (0, 0, 0, 5) == (again.read, again.hits, rebuilt.hits, rebuilt.read)
    assert 2 == len(bodies(one))


def test_entry_imported_later_is_matched_against_the_past(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """An entry that comes after the lookups were read finds them all the same; so does one that changed."""
    one = watcher(tmp_path)
    one.cycle(copy, key_file)
    one.take(write_entries(tmp_path / "i.csv", {**COVERT, "names": "Somebody|Else", "born": ""}), READER)
    before = one.cycle(copy, key_file).hits
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)

    assert (0, 2) == (before, one.cycle(copy, key_file).hits)


def test_originator_is_found(tmp_path: Path, live: Path, copy: Path, key_file: Path) -> None:
    """A lookup made for somebody is that somebody's too."""
    write_ledger(live, [lookup(5, GANG_MEMBER, who="E9", fields={"originator": "e1 "})])
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(ship(live, copy), key_file)

    assert ("E9", "originator") == (bodies(one)[-1]["principal"], bodies(one)[-1]["whose"])


def test_refused_lookup_is_found_by_the_record_that_it_named(
    tmp_path: Path, live: Path, copy: Path, key_file: Path
) -> None:
    """Asking is enough: a refusal before any record was shown is raised where the entry names the record's id."""
    write_ledger(live, [lookup(5, who="E4", record="77", released=False, rows=[])])
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", {**COVERT, "principal": "E4", "records": "person:77"}), READER)
    one.cycle(ship(live, copy), key_file)

    assert [(False, [["record-id", 60.0]])] == [(body["released"], body["table"]) for body in bodies(one)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("jordan quillfeather", ["candidate"]),
        ("Quillfeather, Jordan", ["candidate"]),
        ("quillfeather", []),
        ("jordan smith", []),
    ],
)
def test_search_that_found_nobody_is_raised(
    tmp_path: Path, live: Path, copy: Path, key_file: Path, text: str, found: list[str]
) -> None:
    """Free text that names the man, given name and surname, is a candidate though no record came of it."""
    write_ledger(live, [lookup(5, who="E5", rows=[], fields={"records": [], "criteria": {"*": text}})])
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", {**COVERT, "principal": "E5"}), READER)
    one.cycle(ship(live, copy), key_file)

    assert found == [body["tier"] for body in bodies(one)]


def test_hits_and_readings_stand_in_the_chain(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """The watcher's own log holds the import, both hits and each reading, and verifies; the store says so in rows."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(copy, key_file)
    bodies(one)
    reader = SqliteReader(tmp_path / "watcher" / "chain.db")
    kinds = [json.loads(each.leaf)["k"] for each in reader.entries(1, 0, 100)]
    reader.close()

    assert ["genesis", "import", "match", "match", "reading"] == kinds
    assert 0 == verify_file(tmp_path / "watcher" / "chain.db").exit_code


def test_home_shows_nobody_in_clear(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """No file of the watcher's home holds a name, a staff id's entry or a record in clear, and others cannot read any."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(copy, key_file)
    bodies(one)
    files = [path for path in (tmp_path / "watcher").iterdir() if path.is_file()]

    assert [] == [
        path.name
        for path in files
        if b"uillfeather" in path.read_bytes() or b"anarywort" in path.read_bytes()
    ]
    assert [0o600] * 2 == [
        stat.S_IMODE((tmp_path / "watcher" / name).stat().st_mode) for name in ("watcher.keys", "entries.db")
    ]


# Copies that are refused


def alter(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("writable_schema", 1)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for each in statements:
        connection.execute(each)
    connection.close()


def test_altered_copy_is_refused(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """One changed payload: the copy does not verify, nothing is matched, nothing is remembered."""
    alter(copy, "UPDATE payload SET ct = zeroblob(64) WHERE pos & 0xffff = 2")
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    with pytest.raises(CopyRefused, match="does not verify"):
        one.cycle(copy, key_file)

    assert [] == bodies(one)


def test_shorter_copy_is_refused(tmp_path: Path, live: Path, copy: Path, key_file: Path) -> None:
    """A copy with fewer entries than were read before: somebody put the ledger back."""
    older = tmp_path / "older.db"
    shutil.copy(copy, older)
    write_ledger(live, [lookup(5, STRANGER)])
    one = watcher(tmp_path)
    one.cycle(ship(live, copy), key_file)
    older.replace(copy)

    with pytest.raises(CopyRefused, match="5 entries, and 6 were read before"):
        one.cycle(copy, key_file)


def test_restored_shard_is_read_again_once_accepted(
    tmp_path: Path, live: Path, copy: Path, key_file: Path
) -> None:
    """Somebody who answers for it lets a shorter copy in; old hits are not raised twice, and the chain names the loss."""
    older = tmp_path / "older.db"
    shutil.copy(copy, older)
    write_ledger(live, [lookup(5, STRANGER)])
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    one.cycle(ship(live, copy), key_file)
    older.replace(copy)

    assert 6 == one.restored("shard-0", READER).size
    assert (5, 0) == ((done := one.cycle(copy, key_file)).read, done.hits)
    with pytest.raises(SettingsError, match="nothing of such"):
        one.restored("shard-9", READER)


def test_another_history_is_refused(tmp_path: Path, copy: Path, key_file: Path) -> None:
    """A longer ledger that does not continue the one read before is refused, though it verifies by itself."""
    one = watcher(tmp_path)
    one.cycle(copy, key_file)
    (tmp_path / "other").mkdir()
    other = write_ledger(tmp_path / "other" / "l.db", [lookup(n, STRANGER) for n in range(9)])
    shipped = ship(other, tmp_path / "shipped2" / "l.db")

    with pytest.raises(CopyRefused, match="another history"):
        one.cycle(shipped, shipped.with_name("l.db.keys"))


@pytest.mark.parametrize("what", ["held", "signer", "wal", "open", "missing"])
def test_serving_database_is_refused(
    tmp_path: Path, live: Path, copy: Path, key_file: Path, what: str
) -> None:
    """What a writer holds, what lies in a serving directory, what is open elsewhere: none of them is a shipped copy."""
    one = watcher(tmp_path)
    if what == "held":
        live.with_name("l.db.signer").rename(tmp_path / "signer")
        with (
            open_ledger(live, signer_file=tmp_path / "signer"),
            pytest.raises(CopyRefused, match="holds this"),
        ):
            one.cycle(live, key_file)
        return
    if what == "signer":
        with pytest.raises(CopyRefused, match="signer"):
            one.cycle(live, key_file)
        return
    if what == "wal":
        copy.with_name("l.db-wal").write_bytes(b"x")
        with pytest.raises(CopyRefused, match="write-ahead"):
            one.cycle(copy, key_file)
        return
    if what == "missing":
        with pytest.raises(CopyRefused, match="no such file"):
            one.cycle(tmp_path / "gone.db", key_file)
        return
    script = "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.execute('SELECT count(*) FROM leaf').fetchall(); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(copy)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"open\n" == holder.stdout.readline()
        with pytest.raises(CopyRefused, match="another process"):
            one.cycle(copy, key_file)
        holder.communicate()

    assert 5 == one.cycle(copy, key_file).read


def test_copy_exchanged_while_read_is_refused(
    tmp_path: Path, live: Path, copy: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy put in place between verifying and matching was not verified: nothing of it is kept, and the next cycle reads it."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)

    def exchange(*arguments: Any) -> None:
        require_whole(*arguments)
        write_ledger(live, [lookup(5, GANG_MEMBER)])
        ship(live, copy)

    monkeypatch.setattr(watching, "require_whole", exchange)
    with pytest.raises(CopyRefused, match="exchanged"):
        one.cycle(copy, key_file)
    assert [] == bodies(one)
    monkeypatch.undo()

    assert (6, 3) == ((done := one.cycle(copy, key_file)).read, done.hits)


def test_wrong_key_is_refused(tmp_path: Path, copy: Path) -> None:
    """A key file of another ledger opens nothing, so the copy cannot be read."""
    one = watcher(tmp_path)
    with pytest.raises(CopyRefused, match="not the one"):
        one.cycle(copy, tmp_path / "watcher" / "watcher.keys")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda home: (home / "watcher.keys").unlink(),
        lambda home: (home / "watcher.keys").chmod(0o644),
        lambda home: home.chmod(0o755),
    ],
    ids=["key gone", "key open to others", "folder open to others"],
)
def test_spoilt_home_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """No new key is made for an old store, and what others can read is not used."""
    one = watcher(tmp_path)
    one.take(write_entries(tmp_path / "i.csv", COVERT), READER)
    spoil(tmp_path / "watcher")

    with pytest.raises(Exception, match=r"bring it back|chmod"):
        watcher(tmp_path)
