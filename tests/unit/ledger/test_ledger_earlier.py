"""Going on from an earlier verification: the note that says where it ended, and the fold that it continues."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from naive_tree import mth, numbered
from purposegate.cli.ledger import ledger as command
from purposegate.errors import SettingsError
from purposegate.ledger.earlier import Earlier, Reached, read
from purposegate.ledger.fold import TILE_WIDTH, Fold
from purposegate.ledger.merkle import leaf_hash
from purposegate.ledger.verify import verify_file

LONGEST = 3 * TILE_WIDTH + 5


def hashes(first: int, last: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(first, last)]


def note(size: int) -> Earlier:
    tree = Fold()
    for each in hashes(0, size):
        tree.append(each)
    return Earlier(datetime(2026, 11, 21, tzinfo=UTC), {"shard-0": Reached.of("o", "v", tree)}, "00")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, LONGEST), st.integers(0, LONGEST))
def test_a_fold_goes_on_as_if_it_had_never_ended(one: int, other: int) -> None:
    """A fold that was put away at any size has the roots, frontiers and tiles of one that was not."""
    first, last = sorted((one, other))
    whole = note(last).shards["shard-0"].fold()
    resumed = note(first).shards["shard-0"].fold()
    for each in hashes(first, last):
        resumed.append(each)
    unbroken = Fold()
    for each in hashes(0, last):
        unbroken.append(each)

    assert unbroken.root() == resumed.root() == whole.root()
    assert unbroken.frontier() == resumed.frontier()
    assert unbroken.edges() == resumed.edges()
    assert {
        tile for tile in unbroken.full_tiles() if tile[1] >= (first >> 8 * (tile[0] + 1))
    } == resumed.full_tiles()
    assert all(unbroken.tile(*tile) == resumed.tile(*tile) for tile in resumed.full_tiles())


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 300])
def test_a_fold_has_the_root_of_the_definition(size: int) -> None:
    """The fold's root is RFC 6962's."""
    tree = note(size).shards["shard-0"].fold()

    assert mth(numbered(size)) == tree.root()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 700])
def test_a_note_is_read_as_it_was_kept(tmp_path: Path, size: int) -> None:
    """Keeping and reading a note gives the same note, in a file that others cannot read."""
    path = tmp_path / "verified"
    note(size).keep(path)

    assert (note(size), 0o600) == (read(path), path.stat().st_mode & 0o777)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_note_that_was_changed_is_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A note with one byte changed is another note or none, never an unexpected failure."""
    content = bytearray(note(300).text())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    path = tmp_path_factory.mktemp("notes") / "verified"
    path.write_bytes(bytes(content))
    try:
        found = read(path)
    except SettingsError:
        found = None

    assert found != note(300)


def verified(path: Path, *more: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["verify", str(path), *map(str, more)])
    return result.exit_code, result.output


def test_the_command_keeps_its_own_note(tmp_path: Path) -> None:
    """The first run reads everything and makes the note, the next reads what came since and moves it on."""
    path, kept = tmp_path / "l.db", tmp_path / "elsewhere"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    first = verified(path, "--since", kept)
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(2))
    second, third = verified(path, "--since", kept), verified(path, "--since", kept)

    assert (0, 0, 0) == (first[0], second[0], third[0])
    assert "2 of them read earlier" in second[1]
    assert "0 entries, 0 payloads opened" in third[1]


def test_the_note_stays_where_verification_failed(tmp_path: Path) -> None:
    """After a finding the note is as it was: the next run finds it again."""
    path, kept = tmp_path / "l.db", tmp_path / "elsewhere"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    verified(path, "--since", kept)
    before = kept.read_bytes()
    (tmp_path / "l.db.signer.shard-0.head").write_bytes(b"another")

    assert (1, before) == (verified(path, "--since", kept)[0], kept.read_bytes())


def test_a_leaves_only_note_does_not_stand_for_payloads(tmp_path: Path) -> None:
    """Payloads that an earlier run left out are not taken as read: the command refuses and says what to do."""
    path, kept = tmp_path / "l.db", tmp_path / "elsewhere"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    verified(path, "--since", kept, "--leaves-only")
    code, said = verified(path, "--since", kept)

    assert (2, True) == (code, "read everything again" in said)


def test_an_export_is_read_whole(tmp_path: Path) -> None:
    """A note for an export is a usage error."""
    (tmp_path / "export").mkdir()

    assert 3 == verified(tmp_path / "export", "--since", tmp_path / "note")[0]


def test_whole_verification_without_a_note_says_where_it_ended(tmp_path: Path) -> None:
    """Every verification leaves what the next could go on from."""
    path = tmp_path / "l.db"
    with open_ledger(path) as ledger:
        ledger.append_wait(entry(1))
    reached = verify_file(path).reached

    assert reached is not None
    assert {"shard-0": 2} == {name: each.size for name, each in reached.shards.items()}
