"""What professional standards learn beside the gate: the watcher's list and the look back, each run as its own command.

The watcher is a process of its own, on a shipped copy, and this room does not know it (law 6). Both know the real time only,
so stories lie in the past.
"""

import contextlib
import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from purposegate.errors import PurposegateError
from purposegate.scenario.feeds import REGISTER_COLUMNS, tie_row
from purposegate.scenario.story import Tie
from purposegate.scenario.world import SETTINGS, World

READER = (
    "--as",
    "psd-1",
    "--purpose",
    "audit.psd",
    "--ref",
    "PSD/1/24",
    "--reason",
    "Scenario: what the list would hold",
)
COMMAND = (sys.executable, "-c", "from purposegate.cli import main; main()")
MOST_S = 600


class CommandFailed(PurposegateError):
    """A command of purposegate itself did not do what a scenario needs of it."""

    remedy = "Run the command named by hand, with --keep to leave the scenario's folder in place."


class Hit(NamedTuple):
    """One lookup that a tie raised, by the ledger's id for it, and when the force could know."""

    lookup: str
    at: datetime
    known: datetime | None
    why: str


def covert_hits(world: World) -> list[Hit]:
    """The watcher's list, after one import and one cycle over a shipped copy. Empty where the story has no covert entries."""
    ties = world.story.covert
    if not ties:
        return []
    folder = world.home.parent / f"{world.home.name}-watcher"
    folder.mkdir(mode=0o700)
    copy = _ship(world.ledger, folder / "shipped")
    entries = folder / "intelligence.csv"
    with entries.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(REGISTER_COLUMNS)
        writer.writerows(tie_row(tie, world.policies.zone) for tie in ties)
    where = (
        "--home", str(folder / "home"), "--conflicts", str(world.home / "policies" / "conflicts.yaml"),
        "--zone", world.policies.zone.key,
    )  # fmt: skip
    _run("watch", "import", str(entries), *where, *READER)
    _run("watch", "run", *where, "--ledger", str(copy), "--keys", f"{copy}.keys", "--once")
    listed = _run("watch", "list", *where, "--format", "json", *READER)
    return list(_hits(listed, ties, "watcher"))


def lookback_hits(world: World) -> list[Hit]:
    """What the register's entries say of lookups from before they were known. Empty where no entry came later."""
    first = world.story.askings[0].at
    later = [tie for tie in world.story.register if tie.known is not None and tie.known > first]
    if not later:
        return []
    chosen = [word for tie in later for word in ("--entry", tie.id)]
    settings = ("--settings", str(world.home / SETTINGS))
    listed = _run("conflicts", "lookback", *settings, *chosen, "--format", "json", *READER)
    return list(_hits(listed, later, "look back"))


def _ship(ledger: Path, folder: Path) -> Path:
    """A copy of the ledger and its keys, as docs/watcher.md ships one."""
    folder.mkdir()
    copy = folder / "ledger.db"
    with (
        contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    shutil.copy2(f"{ledger}.keys", f"{copy}.keys")
    return copy


def _run(*words: str) -> str:
    done = subprocess.run(  # noqa: S603  our own command line, no shell
        [*COMMAND, *words], capture_output=True, text=True, timeout=MOST_S, check=False
    )
    if done.returncode != 0:
        raise CommandFailed(f"purposegate {' '.join(words[:2])}: {done.stderr.strip()[-600:]}")
    return done.stdout


def _hits(listed: str, ties: Sequence[Tie], source: str) -> Iterator[Hit]:
    by_id = {tie.id: tie for tie in ties}
    for text in listed.splitlines():
        found: dict[str, Any] = json.loads(text)
        tie = by_id[found["entry"]]
        at = datetime.fromisoformat(found["at"])
        yield Hit(found["lookup"], at, tie.known, f"{source}: {tie.relation}")
