"""`purposegate watch`: what its commands print, and on which schedule it works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from force_files import POLICIES
from ledgers import until
from past_lookups import COVERT, GANG_MEMBER, READING, lookup, ship, write_entries, write_ledger
from purposegate.cli.watch import watch


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    live = write_ledger(tmp_path / "live" / "l.db", [lookup(1, GANG_MEMBER), lookup(2, GANG_MEMBER)])
    return ship(live, tmp_path / "shipped" / "l.db")


def options(home: Path) -> list[str]:
    return ["--home", str(home), "--conflicts", str(POLICIES / "conflicts.yaml")]


def source(copy: Path) -> list[str]:
    return ["--ledger", str(copy), "--keys", str(copy.with_name("l.db.keys"))]


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(watch, [*words, *options(home)])


def test_commands_in_turn(tmp_path: Path, copy: Path) -> None:
    """Import, one cycle, list and show: both lookups of the gang member, each with where it stands in the ledger."""
    home = tmp_path / "watcher"
    imported = run(home, "import", str(write_entries(tmp_path / "i.csv", COVERT)), *READING)
    cycle = run(home, "run", "--once", *source(copy))
    listed = run(home, "list", "--format", "json", *READING)
    shown = run(home, "show", "2", *READING)

    assert "1 new, 0 changed\n" == imported.stdout
    assert "3 ledger entries read, 2 new hits" in cycle.stdout
    assert ["shard-0/1", "shard-0/2"] == [json.loads(line)["ledger"] for line in listed.stdout.splitlines()]
    assert "record         person/900" in shown.stdout
    assert "birth:exact" in shown.stdout
    assert "E1" in run(home, "list", *READING).stdout


def test_refused_copy_fails_one_cycle(tmp_path: Path, copy: Path) -> None:
    """With --once a refused copy is an error; the message says what to do."""
    copy.with_name("l.db.signer").touch()
    result = run(tmp_path / "watcher", "run", "--once", *source(copy))

    assert (1, "") == (result.exit_code, result.stdout)
    assert "signer" in str(result.exception)


def test_unknown_hit_is_a_usage_error(tmp_path: Path) -> None:
    """A hit that is not there is named, after the reading was recorded."""
    assert 2 == run(tmp_path / "watcher", "show", "9", *READING).exit_code


def test_schedule_outlives_a_refused_copy(tmp_path: Path, copy: Path) -> None:
    """The loop says why a copy was refused, goes on, and reads the next one."""
    home, log = tmp_path / "watcher", tmp_path / "log"
    run(home, "import", str(write_entries(tmp_path / "i.csv", COVERT)), *READING)
    signer = copy.with_name("l.db.signer")
    signer.touch()
    command = [
        sys.executable,
        "-c",
        "from purposegate.cli import main; main()",
        "watch",
        "run",
        "--every",
        "0.2",
    ]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *options(home), *source(copy)], stdout=out, stderr=out)
        try:
            until(lambda: b"signer" in log.read_bytes())
            signer.unlink()
            until(lambda: b"2 new hits" in log.read_bytes())
            until(lambda: log.read_bytes().count(b" 0 ledger entries read, 0 new hits") > 1)
        finally:
            process.terminate()
            process.wait()

    assert b"Traceback" not in log.read_bytes()
