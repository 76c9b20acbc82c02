"""Tampering: what anyone with the file can do to it, and the entry that verify names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.merkle import Frontier, leaf_hash
from purposegate.ledger.verdict import Evidence, Report
from purposegate.ledger.verify import verify_file

SIZE = 300
"""Entries in the ledger under test, its genesis included: one full tile and an unfinished one."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untouched ledger of `SIZE` entries, closed."""
    path = tmp_path_factory.mktemp("whole") / "l.db"
    with open_ledger(path) as ledger:
        for number in range(1, SIZE):
            ledger.append_wait(entry(number))
    return path


def copied(whole: Path, folder: Path) -> Path:
    """A copy of the ledger's files but its locks. The ledger must be closed: copying drops SQLite's locks on it."""
    for source in whole.parent.glob("l.db*"):
        if not source.name.endswith(".lock"):
            shutil.copy(source, folder / source.name)
    return folder / "l.db"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy to tamper with, its key files and signed heads beside it."""
    return copied(whole, tmp_path)


def tamper(path: Path, *statements: str, arguments: tuple[object, ...] = ()) -> Report:
    """Change the file as its owner could, triggers and all, and verify it."""
    connection = apsw.Connection(str(path))
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement, arguments if "?" in statement else ())
    connection.close()
    return verify_file(path)


def named(report: Report) -> set[int | None]:
    return {mismatch.index for mismatch in report.mismatches}


POS = "(1 << 40) + "


@pytest.mark.parametrize("index", [0, 1, 200, 255, 256, SIZE - 1])
@pytest.mark.parametrize("table", ["leaf.data", "leaf.h", "payload.ct", "payload.nonce"])
def test_one_changed_byte_names_its_entry(copy: Path, index: int, table: str) -> None:
    """One byte of a leaf or a payload: exit code 1, with that entry's index."""
    name, column = table.split(".")
    connection = apsw.Connection(str(copy))
    raw = bytearray(connection.execute(f"SELECT {column} FROM {name} WHERE pos = {POS}{index}").get)
    connection.close()
    raw[len(raw) // 2] ^= 1
    report = tamper(copy, f"UPDATE {name} SET {column} = ? WHERE pos = {POS}{index}", arguments=(bytes(raw),))

    assert (1, index) == (report.exit_code, report.mismatches[0].index)
    assert {index, None} >= named(report)


@settings(max_examples=40)
@given(
    place=st.floats(0, 1, exclude_max=True),
    index=st.integers(0, SIZE - 1),
    of=st.sampled_from(["leaf", "payload"]),
)
def test_one_changed_byte_on_the_disk_names_its_entry(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, place: float, index: int, of: str
) -> None:
    """The same with a byte flipped in the file itself, behind SQLite's back, anywhere in a leaf or payload."""
    column = {"leaf": "data", "payload": "ct"}[of]
    connection = apsw.Connection(str(whole), flags=apsw.SQLITE_OPEN_READONLY)
    value = connection.execute(f"SELECT {column} FROM {of} WHERE pos = {POS}{index}").get
    connection.close()
    raw = bytearray(whole.read_bytes())
    at = raw.find(value)
    path = tmp_path_factory.mktemp("flip") / "l.db"
    copied(whole, path.parent)
    assert at > 0
    raw[at + int(place * len(value))] ^= 0x20
    path.write_bytes(raw)
    report = verify_file(path)

    assert (1, index) == (report.exit_code, report.mismatches[0].index)


@pytest.mark.parametrize(
    ("what", "statements", "index"),
    [
        ("leaf a number", [f"UPDATE leaf SET data = 5 WHERE pos = {POS}6"], 6),
        ("payload a text", [f"UPDATE payload SET ct = 'text', nonce = 7 WHERE pos = {POS}6"], 6),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_types_are_named(copy: Path, what: str, statements: list[str], index: int | None) -> None:
    """SQLite keeps a value of any type in any column; what is not bytes is told, not stumbled over."""
    report = tamper(copy, *statements)

    assert 1 == report.exit_code
    assert index in named(report)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = 5 WHERE name = 'origin'",
        "UPDATE meta SET value = x'ff' WHERE name = 'origin'",
        "UPDATE meta SET name = x'ff' WHERE name = 'signer'",
        "UPDATE shard SET name = x'ff'",
        "UPDATE shard SET origin = x'ff'",
        "UPDATE shard SET vkey = x'ff'",
        "UPDATE head SET size = 'many'",
        "UPDATE head SET size = 1.5",
        "UPDATE head SET size = -1",
        "UPDATE head SET size = 1 << 62",
        "UPDATE head SET size = (1 << 40) - 1",
        "UPDATE head SET root = 'text', frontier = 5, epoch = 'x'",
        f"UPDATE leaf SET pos = {POS}(1 << 39) WHERE pos = {POS}{SIZE - 1}",
        "UPDATE ckpt SET note = 5",
        "UPDATE ckpt SET size = 'x'",
        "UPDATE counter SET n = 'x'",
        "UPDATE counter SET tok = 'x' WHERE tok = (SELECT min(tok) FROM counter)",
        "UPDATE tile SET data = 5",
        "UPDATE tile SET l = 'x'",
        "UPDATE tile SET n = 'x'",
        "UPDATE tile SET n = -1",
        "UPDATE tile SET n = 1 << 62",
    ],
)
def test_rows_of_any_type_or_size_are_told(copy: Path, statement: str) -> None:
    """Whatever type or number an administrator puts into a row, verify ends, says tampered, and does not fall over it."""
    assert 1 == tamper(copy, statement).exit_code


def body_with(**changes: object) -> Callable[[bytes], bytes]:
    """The leaf with these values in its body, canonical still."""

    def change(leaf: bytes) -> bytes:
        body = {**json.loads(leaf), **changes}
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _leaf: b"[" * 60_000,
        lambda _leaf: b'{"a":' * 60_000,
        lambda _leaf: b"7",
        body_with(k=[]),
        body_with(k={}),
        body_with(t="2026-11-21T19:00:00"),
        body_with(_sd=[1, "a"]),
        body_with(_sd=[None]),
        body_with(_sd="abc"),
        body_with(d=["released"]),
        body_with(v=1.0),
        body_with(v=True),
        body_with(more=1),
    ],
)
def test_leaves_of_any_shape_are_named(copy: Path, change: Callable[[bytes], bytes]) -> None:
    """A leaf of odd types, or nested past any reader's depth, is told by its index: it cannot make verify fall over."""
    report = rewrite_leaf(copy, 6, change)

    assert (1, (6, "the leaf's form")) == (
        report.exit_code,
        next((one.index, one.what) for one in report.mismatches if one.index == 6),
    )


def rewrite_leaf(path: Path, index: int, change: Callable[[bytes], bytes]) -> Report:
    """Alter one leaf and, like a careful insider, every hash that follows from it, head and tile included."""
    connection = apsw.Connection(str(path))
    leaves = [leaf for (leaf,) in connection.execute("SELECT data FROM leaf ORDER BY pos")]
    connection.close()
    leaves[index] = change(leaves[index])
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    tile = b"".join(leaf_hash(leaf) for leaf in leaves[:256])
    head = (tree.root(), tree.to_bytes(), tile, leaves[index], leaf_hash(leaves[index]))
    return tamper(
        path,
        f"WITH new(root, frontier, tile, leaf, h) AS (VALUES {head_literals(head)}) UPDATE head SET (root, frontier) ="
        " (SELECT root, frontier FROM new)",
        f"WITH new(root, frontier, tile, leaf, h) AS (VALUES {head_literals(head)}) UPDATE tile SET data = (SELECT tile FROM new)",
        f"WITH new(root, frontier, tile, leaf, h) AS (VALUES {head_literals(head)}) UPDATE leaf SET (data, h) ="
        f" (SELECT leaf, h FROM new) WHERE pos = {POS}{index}",
    )


def head_literals(values: tuple[bytes, ...]) -> str:
    return "(" + ", ".join(f"x'{value.hex()}'" for value in values) + ")"


def test_careful_rewrite_of_a_digest_is_named_by_its_payload(copy: Path) -> None:
    """Whoever rewrites a digest and every hash above it still fails at the payload, which the digest must open."""
    report = rewrite_leaf(
        copy, 100, lambda leaf: leaf.replace(b'"_sd":["', b'"_sd":["-', 1).replace(b'","', b'","', 1)
    )

    assert (1, 100) == (report.exit_code, report.mismatches[0].index)


def later(leaf: bytes) -> bytes:
    return leaf.replace(b"T19:00", b"T20:00")


def forget_heads(path: Path) -> None:
    """Take away every signed head that the machine holds."""
    for memory in path.parent.glob("*.head"):
        memory.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM ckpt")
    connection.close()


def sign_again(path: Path) -> None:
    """Sign what is there now with the ledger's own key, as whoever holds the signer file can."""
    open_ledger(path).close()


def test_careful_rewrite_of_the_clear_leaf_contradicts_the_signed_head(copy: Path) -> None:
    """A rewritten time, with every hash above it, does not have the root that was signed."""
    report = rewrite_leaf(copy, 100, later)

    assert 1 == report.exit_code
    assert f"the root signed at {SIZE}" in report.text()


def test_rewrite_without_signed_heads_cannot_be_decided(copy: Path) -> None:
    """Whoever also takes the signed heads away leaves a log that nobody vouches for: exit code 2, not 0."""
    rewrite_leaf(copy, 100, later)
    forget_heads(copy)

    assert 2 == verify_file(copy).exit_code


def test_rewrite_with_the_signers_key_shows_only_to_a_head_from_outside(copy: Path) -> None:
    """Whoever has the signer's secret can rewrite all of it; a head that somebody else kept shows it, nothing else does."""
    kept = (copy.parent / "l.db.signer.shard-0.head").read_bytes()
    rewrite_leaf(copy, 100, later)
    forget_heads(copy)
    sign_again(copy)

    assert 0 == verify_file(copy).exit_code
    assert 1 == verify_file(copy, Evidence(heads=[kept])).exit_code


def test_rolled_back_file_contradicts_the_signers_memory(copy: Path, tmp_path: Path) -> None:
    """An older copy of the database is behind the head that the signer remembers: the lost entries are named."""
    older = copy.read_bytes()
    with open_ledger(copy) as ledger:
        ledger.append_wait(entry(999))
    copy.write_bytes(older)
    report = verify_file(copy)

    assert (1, SIZE) == (report.exit_code, report.mismatches[0].index)


def test_altered_signed_head_is_named(copy: Path) -> None:
    """A kept head that the log's key did not sign is told."""
    report = tamper(copy, "UPDATE ckpt SET note = CAST(replace(note, '300', '299') AS BLOB)")

    assert 1 == report.exit_code
    assert "a signed head in the store" in report.text()


def test_head_of_another_log_decides_nothing(copy: Path, tmp_path: Path) -> None:
    """A signed head of a log that is not in this file is a doubt, not a mismatch."""
    open_ledger(tmp_path / "o.db", origin="elsewhere").close()
    foreign = (tmp_path / "o.db.signer.shard-0.head").read_bytes()

    assert 2 == verify_file(copy, Evidence(heads=[foreign])).exit_code


def test_with_another_key_it_cannot_be_decided(copy: Path, tmp_path: Path) -> None:
    """Another ledger's key file decides nothing, and is not taken for tampering."""
    open_ledger(tmp_path / "other.db").close()

    assert 2 == verify_file(copy, Evidence(key_file=tmp_path / "other.db.keys")).exit_code


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_cut_file_is_tampered(copy: Path, keep: float) -> None:
    """A file cut short is told as tampered, not as some error of the program."""
    raw = copy.read_bytes()
    copy.write_bytes(raw[: int(len(raw) * keep) // 8192 * 8192])

    assert 1 == verify_file(copy).exit_code


def test_damaged_structure_names_where_it_begins(copy: Path) -> None:
    """Pages overwritten with noise are told with the first entry that cannot be read."""
    raw = bytearray(copy.read_bytes())
    at = raw.find(b'"r":"lookup-120"')
    page = at // 8192 * 8192
    raw[page : page + 100] = b"\xff" * 100
    copy.write_bytes(raw)
    report = verify_file(copy)
    first = report.mismatches[0].index

    assert 1 == report.exit_code
    assert first is not None
    assert first <= 120


def test_many_mismatches_are_counted_not_listed(copy: Path) -> None:
    """Past a thousand the report only counts."""
    report = Report()
    for index in range(1_005):
        report.add("shard-0", index, "leaf hash", b"a", b"b")

    assert (1_000, 5) == (len(report.mismatches), report.more)


def test_foreign_file_is_not_a_verdict(tmp_path: Path) -> None:
    """A file that is no ledger raises; it is neither intact nor tampered."""
    (tmp_path / "l.db").write_bytes(b"no database" * 100)
    with pytest.raises(SettingsError):
        verify_file(tmp_path / "l.db")
    with pytest.raises(LedgerOutage):
        verify_file(tmp_path / "none.db")
