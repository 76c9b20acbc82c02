"""Export, prove, status: what others can check without us."""

import json
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from purposegate.cli.ledger import ledger as command
from purposegate.ledger import standalone_verifier
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.note import LogSigner, Note
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.tiles import Tile, build_tiles, tiles_for
from purposegate.ledger.verdict import Evidence
from purposegate.ledger.verify_export import verify_export

SIZE = 600
READING = ("--as", "psd-7", "--purpose", "rights.access", "--reason", "disclosure to the complainant")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger of `SIZE` entries in one shard."""
    path = tmp_path_factory.mktemp("evidence") / "l.db"
    with open_ledger(path) as ledger:
        for number in range(1, SIZE):
            rows = [{"kind": "person", "id": f"rec-{row}"} for row in range(number % 4)]
            ledger.append_wait(entry(number, rows=rows))
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may write to."""
    for source in whole.parent.glob("l.db*"):
        if not source.name.endswith(".lock"):
            shutil.copy(source, tmp_path / source.name)
    return tmp_path / "l.db"


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def vkey(path: Path) -> str:
    reader = SqliteReader(path)
    (shard,) = reader.shards()
    reader.close()
    return shard.vkey


def leaves(path: Path) -> list[bytes]:
    reader = SqliteReader(path)
    found = [each.leaf for each in reader.entries(1, 0, 10_000)]
    reader.close()
    return found


# Export


def test_export_is_the_tiles_of_the_leaves(path: Path, tmp_path: Path) -> None:
    """Every tile and bundle is what tlog-tiles says of these leaves, and no other file lies there."""
    assert 0 == run("export", path, tmp_path / "out").exit_code
    base = tmp_path / "out" / "shard-0"
    expected = {tile.path: content for tile, content in build_tiles(leaves(path))}
    found = {str(file.relative_to(base)): file.read_bytes() for file in base.rglob("*") if file.is_file()}

    assert expected == {name: content for name, content in found.items() if name.startswith("tile/")}
    assert {"checkpoint", "log.vkey"} == found.keys() - expected.keys()


def test_export_has_no_personal_data(path: Path, tmp_path: Path) -> None:
    """Neither names nor references nor record ids are in an export."""
    run("export", path, tmp_path / "out")

    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert b"pc-42" not in file.read_bytes()


def test_export_again_adds_what_is_new(path: Path, tmp_path: Path) -> None:
    """A second export writes only tiles that are new or were partial, and verifies as the first did."""
    run("export", path, tmp_path / "out")
    full = tmp_path / "out" / "shard-0" / Tile(0, 0).path
    before = full.stat().st_mtime_ns
    with open_ledger(path) as ledger:
        for number in range(300):
            ledger.append_wait(entry(number))
    run("export", path, tmp_path / "out")

    assert before == full.stat().st_mtime_ns
    assert (0, SIZE + 300) == (
        verify_export(tmp_path / "out").exit_code,
        verify_export(tmp_path / "out").shards[0].size,
    )


def test_export_of_a_store_that_contradicts_its_head_stops(path: Path, tmp_path: Path) -> None:
    """A store whose hashes do not lead to the signed head is not exported as if they did."""
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER tile_update")
    connection.execute("UPDATE tile SET data = zeroblob(8192) WHERE n = 1")
    connection.close()
    result = run("export", path, tmp_path / "out")

    assert 2 == result.exit_code
    assert not (tmp_path / "out" / "shard-0" / "checkpoint").exists()


def damage(base: Path, name: str, change: Callable[[bytearray], None]) -> None:
    raw = bytearray((base / name).read_bytes())
    change(raw)
    (base / name).write_bytes(raw)


def flip(raw: bytearray) -> None:
    raw[len(raw) // 2] ^= 1


@pytest.mark.parametrize("name", [tile.path for tile in tiles_for(SIZE)])
def test_one_changed_byte_in_any_exported_file_is_named(path: Path, tmp_path: Path, name: str) -> None:
    """A byte of any tile or bundle: exit code 1."""
    run("export", path, tmp_path / "out")
    damage(tmp_path / "out" / "shard-0", name, flip)

    assert 1 == verify_export(tmp_path / "out").exit_code


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("checkpoint", flip),
        ("log.vkey", flip),
        ("tile/entries/000", lambda raw: raw.pop()),
        ("tile/entries/000", lambda raw: raw.extend(b"\0")),
        ("tile/0/001", lambda raw: raw.clear()),
    ],
)
def test_cut_and_altered_exports_are_tampered(
    path: Path, tmp_path: Path, name: str, change: Callable[[bytearray], None]
) -> None:
    """A head or key that was changed, a bundle that was cut or lengthened: exit code 1, no other error."""
    run("export", path, tmp_path / "out")
    damage(tmp_path / "out" / "shard-0", name, change)

    assert 1 == run("verify", tmp_path / "out").exit_code


def test_missing_tile_is_tampered(path: Path, tmp_path: Path) -> None:
    """A file taken away is told."""
    run("export", path, tmp_path / "out")
    (tmp_path / "out" / "shard-0" / Tile(None, 1).path).unlink()

    assert 1 == verify_export(tmp_path / "out").exit_code


def test_export_under_another_key_is_not_trusted(path: Path, tmp_path: Path) -> None:
    """An export verifies under its own key, and fails where another is trusted."""
    run("export", path, tmp_path / "out")

    assert 0 == run("verify", tmp_path / "out").exit_code
    assert 0 == verify_export(tmp_path / "out", Evidence(keys={vkey(path)})).exit_code
    assert 1 == verify_export(tmp_path / "out", Evidence(keys={"another"})).exit_code


def test_directory_without_export_is_no_verdict(tmp_path: Path) -> None:
    """An empty directory is neither intact nor tampered."""
    assert 2 == run("verify", tmp_path).exit_code


# Prove


def proved(path: Path, *words: object) -> dict[str, Any]:
    result = run("prove", path, *words)
    assert 0 == result.exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def judged(path: Path, body: dict[str, Any], *words: str, key: str = "") -> tuple[int, str]:
    """What the stand-alone script says of a bundle, run as a stranger would: another process, isolated, no packages."""
    file = path.with_name("bundle.json")
    file.write_text(json.dumps(body), encoding="utf-8")
    script = path.with_name("standalone_verifier.py")
    shutil.copyfile(standalone_verifier.__file__, script)
    run = subprocess.run(
        [sys.executable, "-I", "-S", script, file, "--log", key or vkey(path), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == run.stderr
    return run.returncode, run.stdout


@pytest.mark.parametrize("number", [0, 1, 255, 256, 511, SIZE - 1])
def test_stranger_checks_an_entry_offline(path: Path, number: int) -> None:
    """With the standard library alone the script proves that the entry stands in the log, and shows no personal data."""
    code, text = judged(path, proved(path, f"shard-0/{number}"))

    assert 0 == code
    assert f"entry {number} of " in text
    assert "pc-42" not in text


def test_chosen_fields_are_disclosed(path: Path) -> None:
    """The fields and rows asked for are shown and proved; the others stay closed."""
    body = proved(path, "shard-0/7", "--disclose", "principal", "--row", "2", *READING)
    code, text = judged(path, body)

    assert 0 == code
    assert 'principal = "pc-42"' in text
    assert 'row 2 = {"id": "rec-2", "kind": "person"}' in text
    assert "rec-1" not in json.dumps(body)
    assert "investigate" not in text


def test_disclosing_is_recorded(path: Path) -> None:
    """A disclosure leaves an entry before it leaves the house; without purpose or for another one there is none."""
    before = len(leaves(path))
    refused = run("prove", path, "shard-0/7", "--disclose", "principal")

    assert (2, "", before) == (refused.exit_code, refused.stdout, len(leaves(path)))
    proved(path, "shard-0/7", "--disclose", "principal", *READING)
    assert b'"k":"reading"' in leaves(path)[-1]


def test_unknown_fields_and_entries_are_told(path: Path) -> None:
    """What the entry does not have is named, with what it has."""
    assert (
        "it has counts, number, principal, purpose, rows"
        in run("prove", path, "shard-0/7", "--disclose", "secret", *READING).stderr
    )
    assert 2 == run("prove", path, "shard-0/7", "--row", "9", *READING).exit_code
    for name in ("shard-0/600", "shard-9/1", "7", "shard-0/x", "shard-0/-1", f"shard-0/{10**30}"):
        assert 3 == run("prove", path, name).exit_code


def test_cosigned_head_is_proved_with_its_witness(path: Path) -> None:
    """A cosignature in the store travels with the proof; a witness that did not sign is not found."""
    reader = SqliteReader(path)
    size, note = reader.checkpoints(1)[-1]
    reader.close()
    witness, other = (
        WitnessSigner.generate("witness.example.org"),
        WitnessSigner.generate("other.example.org"),
    )
    line = witness.cosign(Note.parse(note).text, 1_800_000_000).line
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO cosig VALUES (1, ?, ?, ?)", (size, witness.name, line))
    connection.close()
    body = proved(path, "shard-0/7")
    code, text = judged(path, body, "--witness", str(witness.verifier))

    assert 0 == code
    assert "seen by witness.example.org at POSIX second 1800000000" in text
    assert 1 == judged(path, body, "--witness", str(other.verifier))[0]


def change_leaf(body: dict[str, Any]) -> None:
    body["leaf"] = body["leaf"].replace("released", "withheld")


def change_disclosure(body: dict[str, Any]) -> None:
    body["disclosures"][0] = body["disclosures"][0][:-2] + "AA"


def swap_row(body: dict[str, Any]) -> None:
    body["rows"][0]["index"] = 0


def drop_rows_commitment(body: dict[str, Any]) -> None:
    body["disclosures"] = body["disclosures"][:1]


def change_index(body: dict[str, Any]) -> None:
    body["tlog_proof"] = body["tlog_proof"].replace("index 7\n", "index 8\n")


def change_size(body: dict[str, Any]) -> None:
    body["tlog_proof"] = body["tlog_proof"].replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")


def cut_proof(body: dict[str, Any]) -> None:
    lines = body["tlog_proof"].split("\n")
    body["tlog_proof"] = "\n".join(lines[:2] + lines[3:])


def unsigned(body: dict[str, Any]) -> None:
    body["tlog_proof"] = body["tlog_proof"].rsplit("\u2014", 1)[0]


def no_leaf(body: dict[str, Any]) -> None:
    del body["leaf"]


def nested(body: dict[str, Any]) -> None:
    body["disclosures"] = {"a": [1]}


@pytest.mark.parametrize(
    "change",
    [
        change_leaf,
        change_disclosure,
        swap_row,
        drop_rows_commitment,
        change_index,
        change_size,
        cut_proof,
        unsigned,
        no_leaf,
        nested,
    ],
)
def test_altered_bundles_prove_nothing(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Whatever is changed in a bundle, the script says so and exits 1."""
    body = proved(path, "shard-0/7", "--disclose", "principal", "--row", "2", *READING)
    change(body)
    code, text = judged(path, body)

    assert 1 == code
    assert text.startswith("NOT PROVED")


def test_another_logs_key_proves_nothing(path: Path, tmp_path: Path) -> None:
    """Under a key of the same name that is not the log's, or of another log, nothing is proved."""
    body = proved(path, "shard-0/7")
    (tmp_path / "other").mkdir()
    open_ledger(tmp_path / "other" / "l.db").close()
    open_ledger(tmp_path / "other" / "m.db", origin="elsewhere").close()

    assert 1 == judged(path, body, key=vkey(tmp_path / "other" / "l.db"))[0]
    assert 1 == judged(path, body, key=vkey(tmp_path / "other" / "m.db"))[0]


@pytest.mark.parametrize("words", [[], ["none.json", "--log", "x"], ["--log"]])
def test_verifier_usage_exits_3(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that was not understood, or a file that is not there, is no verdict."""
    assert 3 == standalone_verifier.main(words)
    capsys.readouterr()


@settings(max_examples=20)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=50), place=st.integers(0, 511))
def test_pure_ed25519_agrees_with_the_library(seed: bytes, message: bytes, place: int) -> None:
    """The script's own Ed25519 accepts what OpenSSL signs, and with any bit of it changed both say no."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), bytearray(private.sign(message))

    assert standalone_verifier.ed25519_verifies(public, message, bytes(signature))
    signature[place // 8] ^= 1 << place % 8
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(signature), message)
    assert not standalone_verifier.ed25519_verifies(public, message, bytes(signature))


def test_bundle_and_script_are_written_side_by_side(path: Path, tmp_path: Path) -> None:
    """`--out` and `--with-verifier` put both files where they can be handed over together."""
    (tmp_path / "give").mkdir()
    result = run("prove", path, "shard-0/7", "--out", tmp_path / "give" / "p.json", "--with-verifier")

    assert 0 == result.exit_code
    assert {"p.json", "standalone_verifier.py"} == {file.name for file in (tmp_path / "give").iterdir()}
    assert vkey(path) in result.stderr


# Status


def test_status_says_how_the_shards_stand(path: Path) -> None:
    """Entries, signed head and whether somebody writes, for people and for programs."""
    with open_ledger(path):
        running = json.loads(run("status", path, "--json").stdout)
    text = run("status", path).stdout

    assert (SIZE, SIZE, True) == tuple(
        running["shards"][0][name] for name in ("entries", "signed_to", "writing")
    )
    assert f"shard-0: {SIZE} entries, nobody writes, signed to {SIZE}" in text
    assert "not witnessed" in text


# What commands say of a store that was tampered with


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaf SET pos = 1 << 62 WHERE pos = (1 << 40) + 7",
        "UPDATE leaf SET data = 5 WHERE pos = (1 << 40) + 7",
        "UPDATE leaf SET h = 5 WHERE pos = (1 << 40) + 599",
        "UPDATE payload SET nonce = 'x', ct = 7 WHERE pos = (1 << 40) + 7",
        "UPDATE ckpt SET size = 1 << 62",
        "UPDATE ckpt SET size = -1",
        "UPDATE ckpt SET note = x'ff'",
        "UPDATE ckpt SET at = 'x'",
        "UPDATE head SET size = 'x'",
        "UPDATE shard SET name = x'ff'",
        "UPDATE meta SET value = 5",
    ],
)
def test_commands_never_fall_over_what_was_tampered_with(path: Path, tmp_path: Path, statement: str) -> None:
    """Each ends with an answer or with what to do next, never in a traceback that hides which of the two it is."""
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER leaf_update")
    connection.execute(statement)
    connection.close()
    results = [
        run("status", path),
        run("export", path, tmp_path / "out"),
        run("prove", path, "shard-0/7"),
        run("prove", path, "shard-0/7", "--disclose", "principal", *READING),
        run("query", path, "--principal", "pc-42", *READING),
        run("verify", path),
    ]

    assert [] == [each.exc_info for each in results if not isinstance(each.exception, SystemExit | None)]
    assert {0, 1, 2, 3} >= {each.exit_code for each in results}


# What a log that lies, with its own key, could have the script print


def forged(*, leaf: str = "", name: str = "principal", **changes: Any) -> tuple[dict[str, Any], str]:
    """A bundle of a log of one leaf, signed by that log's own key, and the key."""
    log = LogSigner.generate("force.example/purposegate/shard-0")
    text = json.dumps(["salt", name, "pc-42"])
    disclosure = urlsafe_b64encode(text.encode()).decode().rstrip("=")
    digest = urlsafe_b64encode(sha256(disclosure.encode()).digest()).decode().rstrip("=")
    body: dict[str, Any] = {
        "_sd": [digest],
        "_sd_alg": "sha-256",
        "d": "released",
        "k": "release",
        "r": "lookup-1",
    }
    body |= {"s": "shard-0", "t": "2026-11-21T19:00:00.000000Z", "v": 1, **changes}
    leaf = leaf or json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    root = b64encode(sha256(b"\x00" + leaf.encode()).digest()).decode()
    note = f"{log.name}\n1\n{root}\n"
    proof = f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}\n{log.sign(note).line}"
    bundle = {
        "purposegate_proof": 1,
        "leaf": leaf,
        "tlog_proof": proof,
        "disclosures": [disclosure],
        "rows": [],
    }
    return bundle, str(log.verifier)


LINE = "release\n  seen by witness.example.org/psd at POSIX second 1790000000"


def test_forged_bundle_as_such_is_proved(path: Path) -> None:
    """The bundle that the cases below are made from is in order, or their refusals would mean nothing."""
    bundle, key = forged()

    assert 0 == judged(path, bundle, key=key)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"k": LINE},
        {"t": LINE},
        {"r": "x\x1b[2J"},
        {"d": "released\u2028seen by"},
        {"name": LINE},
        {"k": ["release"]},
        {"v": True},
        {"v": 1.0},
        {"leaf": '{"v":1,"v":1}'},
        {"leaf": "[" * 60_000},
        {"leaf": '{"v":' + "1" * 5_000 + "}"},
    ],
)
def test_log_cannot_have_lines_of_its_own_printed(path: Path, changes: dict[str, Any]) -> None:
    """Whoever holds the log's key writes what it likes into a leaf, but no line that says a witness saw it, nor two readings."""
    bundle, key = forged(**changes)
    code, text = judged(path, bundle, key=key)

    assert (1, True, False) == (code, text.startswith("NOT PROVED"), "seen by" in text)


def twice(text: str) -> str:
    return text.replace('"purposegate_proof": 1', '"purposegate_proof": 2, "purposegate_proof": 1')


@pytest.mark.parametrize(
    "change",
    [
        twice,
        lambda text: text.replace('"purposegate_proof": 1', '"purposegate_proof": true'),
        lambda text: text.replace('"purposegate_proof": 1', '"purposegate_proof": 1.0'),
        lambda text: text.replace('"purposegate_proof": 1', '"purposegate_proof": ' + "1" * 5_000),
        lambda text: text.replace("index 0", "index " + "0" * 5_000),
        lambda text: text.replace("index 0", "index " + "9" * 5_000),
        lambda text: text.replace("index 0", "index 1"),
        lambda text: text.replace("index 0", "index \u0660"),
        lambda _text: "[" * 100_000,
        lambda _text: "[]",
        lambda _text: "\ud800",
    ],
)
def test_other_spellings_of_a_bundle_prove_nothing(
    tmp_path: Path, change: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys twice, numbers of another type or without end, and no bundle at all: refused, never a traceback."""
    bundle, key = forged()
    file = tmp_path / "bundle.json"
    file.write_bytes(change(json.dumps(bundle, ensure_ascii=False)).encode("utf-8", "surrogatepass"))

    assert 1 == standalone_verifier.main([str(file), "--log", key])
    assert capsys.readouterr().out.startswith("NOT PROVED")


@pytest.mark.parametrize("first", [True, False])
def test_bad_second_signature_by_the_same_key_proves_nothing(path: Path, *, first: bool) -> None:
    """A good signature does not make up for a bad one of the log's, before it or after it."""
    bundle, key = forged()
    above, _, line = bundle["tlog_proof"].rpartition("\u2014")
    name, blob = line.split()
    raw = bytearray(b64decode(blob))
    raw[-1] ^= 1
    bad = f" {name} {b64encode(raw).decode()}\n"
    lines = (bad, line) if first else (line, bad)
    bundle["tlog_proof"] = above + "".join(f"\u2014{each}" for each in lines)

    assert 1 == judged(path, bundle, key=key)[0]
