"""Runs the fenced blocks of a documentation page, so that the page cannot drift from the program.

One page is one story: its blocks run in order, in one clean copy of the tree, and later blocks see what earlier ones left.

    console   each `$ ` line runs in bash; what follows is its output, where `...` stands for any text. A command that ends in
              `# exits N` must exit with N, all others with 0
    sh, bash  runs as a script that stops at the first failure
    python    runs; the blocks of a page share their names
    yaml      starts with `# file: PATH.yaml`, is written there, and is valid by the product's schema of that name; below
              policies/cerbos/ it compiles with the shipped policies beside it
    json      parses
    text      a picture, unless its info string has `command="..."`: then it is what that command prints

A block in any other language, or in none, fails: nothing on a page goes unread.
"""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from purposegate import documents
from purposegate.decision.binary import find
from purposegate.errors import PolicyError

ROOT = Path(__file__).parents[1]

BLOCK_TIMEOUT_S = 300
"""The longest block is `make demo`, which promises 90 s; three times that, because the machine is shared."""

CERBOS_POLICIES = "policies/cerbos/"
SCHEMAS = {"purposegate": "settings"}
"""Files whose schema has another name than they."""

OUTER_MAKE = frozenset({"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"})
"""A page's `make` is a reader's own: under `make test` it would call itself a sub-make and say so."""
SET_UP = (".venv", "node_modules", ".cache")
"""What `make venv` made: linked into the copy, never made again there."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where its content starts, its info string and its text."""

    page: str
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        """The first word of the info string."""
        return self.info.split(maxsplit=1)[0] if self.info.strip() else ""


class BlockFailedError(AssertionError):
    """A block did not do what its page says. The message names page and line."""

    def __init__(self, block: Block, why: str) -> None:
        super().__init__(f"{block.page}:{block.line}: {why}")


@dataclass(slots=True)
class Story:
    """A page being run: the clean copy it runs in, and the names its python blocks have bound."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})


def blocks(page: str, text: str) -> Iterator[Block]:
    """Every code block of a Markdown page, in order; an indented one has no language."""
    for token in MarkdownIt().parse(text):
        if token.type in {"fence", "code_block"}:
            start = token.map[0] if token.map else 0
            yield Block(page, start + (2 if token.type == "fence" else 1), token.info, token.content)


def clean_copy(folder: Path) -> None:
    """Copy what git tracks or would track into `folder`, and link the set-up beside it."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
            # Older than every stamp of the set-up, so that make finds it up to date and leaves it alone.
            os.utime(target, (0, 0))
    for name in SET_UP:
        (folder / name).symlink_to(ROOT / name)


def run(block: Block, story: Story) -> None:
    """Run one block. Raises `BlockFailedError`."""
    runner = RUNNERS.get(block.language)
    if runner is None:
        raise BlockFailedError(block, f"language {block.language!r} is none of {', '.join(sorted(RUNNERS))}")
    runner(block, story)


def _run_python(block: Block, story: Story) -> None:
    # Blank lines before it make a traceback name the page's own line.
    source = "\n" * (block.line - 1) + block.text
    before = Path.cwd()
    os.chdir(story.folder)
    try:
        exec(compile(source, block.page, "exec"), story.names)
    except Exception as error:
        raise BlockFailedError(block, f"python raised {error!r}") from error
    finally:
        os.chdir(before)


def _run_script(block: Block, story: Story) -> None:
    status, output = _bash(block.text, story.folder)
    if status != 0:
        raise BlockFailedError(block, f"the script exited with {status}:\n{output}")


def _run_console(block: Block, story: Story) -> None:
    steps = list(_steps(block))
    mark = secrets.token_hex(8)
    lines = []
    for step in steps:
        lines += [step.command, f"printf '\\n{mark} %d\\n' $?"]
    _, transcript = _bash("\n".join(lines), story.folder, options="")
    pieces = re.split(rf"\n{mark} (\d+)\n", transcript)
    for index, step in enumerate(steps):
        place = Block(block.page, step.line, block.info, step.command)
        if len(pieces) <= 2 * index + 1:
            raise BlockFailedError(place, f"the shell ended here:\n{pieces[-1]}")
        output, status = pieces[2 * index], int(pieces[2 * index + 1])
        if status != step.exits:
            raise BlockFailedError(place, f"exited with {status}, the page says {step.exits}:\n{output}")
        _compare(place, step.output, output)


@dataclass(slots=True)
class _Step:
    line: int
    command: str
    output: list[str] = field(default_factory=list)

    @property
    def exits(self) -> int:
        said = re.search(r"# exits (\d+)\s*$", self.command)
        return int(said[1]) if said else 0


def _steps(block: Block) -> Iterator[_Step]:
    step: _Step | None = None
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            if step:
                yield step
            step = _Step(number, line[2:])
        elif step is None:
            raise BlockFailedError(block, "a console block starts with a `$ ` line")
        elif line.startswith("> ") and not step.output:
            step.command += "\n" + line[2:]
        else:
            step.output.append(line)
    if step is None:
        raise BlockFailedError(block, "a console block runs at least one command")
    yield step


def _run_text(block: Block, story: Story) -> None:
    said = dict(part.partition("=")[::2] for part in shlex.split(block.info)[1:])
    if unknown := set(said) - {"command"}:
        raise BlockFailedError(block, f"unknown word in the info string: {', '.join(sorted(unknown))}")
    if command := said.get("command"):
        status, output = _bash(command, story.folder)
        if status != 0:
            raise BlockFailedError(block, f"`{command}` exited with {status}:\n{output}")
        _compare(block, block.text.splitlines() or [""], output)


def _run_yaml(block: Block, story: Story) -> None:
    named = re.match(r"# file: ((?:[\w-]+/)*([\w-]+)\.yaml)\n", block.text)
    if named is None:
        raise BlockFailedError(
            block, "a yaml block starts with `# file: PATH.yaml`, where it would stand in the tree"
        )
    path = story.folder / named[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    if named[1].startswith(CERBOS_POLICIES):
        _run_script(
            replace(block, text=f"{find(None, ROOT).path} compile --skip-tests {CERBOS_POLICIES}"), story
        )
        return
    try:
        documents.read(path, SCHEMAS.get(named[2], named[2]))
    except FileNotFoundError as error:
        raise BlockFailedError(block, f"the product has no schema for {named[1]}") from error
    except PolicyError as error:
        raise BlockFailedError(block, str(error)) from error


def _run_json(block: Block, story: Story) -> None:
    try:
        json.loads(block.text)
    except json.JSONDecodeError as error:
        raise BlockFailedError(block, f"not JSON: {error}") from error


def _compare(block: Block, shown: list[str], printed: str) -> None:
    """Compare what a page shows with what was printed; nothing shown, nothing compared."""
    if not shown:
        return
    expected = "\n".join(line.rstrip() for line in shown).strip("\n")
    actual = "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n")
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    if not re.fullmatch(pattern, actual, flags=re.DOTALL):
        raise BlockFailedError(block, f"printed:\n{actual}\n--- the page shows:\n{expected}")


def _bash(script: str, folder: Path, options: str = "set -euo pipefail\n") -> tuple[int, str]:
    """Run a script with the venv first on PATH. Returns exit status and what a terminal would show; nothing outlives it."""
    inherited = {name: value for name, value in os.environ.items() if name not in OUTER_MAKE}
    environment = inherited | {
        "PATH": f"{folder / '.venv/bin'}:{os.environ['PATH']}",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONWARNINGS": "default",
    }
    screen = folder / f".screen-{secrets.token_hex(4)}"
    with screen.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-c", options + script],
            cwd=folder, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            status = shell.wait(timeout=BLOCK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        finally:
            # A server that a block left in the background goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    text = screen.read_text(encoding="utf-8", errors="replace")
    screen.unlink()
    return status, text


RUNNERS: dict[str, Callable[[Block, Story], None]] = {
    "bash": _run_script,
    "console": _run_console,
    "json": _run_json,
    "python": _run_python,
    "sh": _run_script,
    "text": _run_text,
    "yaml": _run_yaml,
}
