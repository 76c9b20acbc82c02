"""Every page runs as written, and every link on it leads somewhere."""

import re
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from docs_blocks import ROOT, Block, BlockFailedError, Story, blocks, clean_copy, run

PAGES = [
    page.relative_to(ROOT).as_posix() for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
]
STAMPS = (".venv/.package", "node_modules/.cerbos", ".cache/wheels/.febrl")
"""Without them, a page's `make` would set up anew what the copy is linked to."""
LINKED = [*PAGES, "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md"]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A clean copy of the tree to run a page in."""
    missing = [stamp for stamp in STAMPS if not (ROOT / stamp).exists()]
    assert not missing, f"{', '.join(missing)} missing: run `make venv` first"
    clean_copy(tmp_path)
    return Story(tmp_path)


def block(info: str, text: str) -> Block:
    """The only block of a page called page.md."""
    [only] = blocks("page.md", f"```{info}\n{text}\n```\n")
    return only


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str, story: Story) -> None:
    """Every block of the page does what the page says, in order, starting from a clean copy."""
    for each in blocks(page, (ROOT / page).read_text(encoding="utf-8")):
        run(each, story)


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link on the page names a file that is there."""
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))

    assert [] == [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]


FAULTS = {
    "unknown language": ("perl", "print 1"),
    "no language": ("", "ls"),
    "output differs": ("console", "$ echo one\ntwo"),
    "output is longer": ("console", "$ printf 'one\\ntwo\\n'\none"),
    "command fails": ("console", "$ false"),
    "command fails before a good one": ("console", "$ false\n$ true"),
    "command does not fail as said": ("console", "$ true  # exits 3"),
    "shell ends early": ("console", "$ exit 0\n$ true"),
    "console without a command": ("console", "just output"),
    "script fails half-way": ("sh", "false\ntrue"),
    "python raises": ("python", "1 / 0"),
    "python name of no block": ("python", "nobody_bound_this"),
    "yaml of no file": ("yaml", "a: 1"),
    "yaml of no schema": ("yaml", "# file: nothing-like-it.yaml\na: 1"),
    "yaml against its schema": ("yaml", "# file: purposes.yaml\na: 1"),
    "yaml outside the tree": ("yaml", "# file: ../purposes.yaml\na: 1"),
    "json malformed": ("json", "{,}"),
    "text is not what its command prints": ('text command="echo one"', "two"),
    "text with an unknown word": ("text comand=ls", "x"),
}


@pytest.mark.parametrize(("info", "text"), FAULTS.values(), ids=FAULTS)
def test_faulty_block_fails(info: str, text: str, tmp_path: Path) -> None:
    """A block that does not do what it shows fails, and the failure names page and line."""
    with pytest.raises(BlockFailedError, match=r"^page\.md:[23]: "):
        run(block(info, text), Story(tmp_path))


GOOD = {
    "output as shown": ("console", "$ echo one; echo two\none\ntwo"),
    "output elided": ("console", "$ seq 9\n1\n...\n9"),
    "output elided in a line": ("console", "$ echo took 12 ms\ntook ... ms"),
    "state carries from line to line": ("console", "$ cd /\n$ pwd\n/"),
    "command over two lines": ("console", "$ echo a \\\n> b\na b"),
    "failure as said": ("console", "$ sh -c 'echo no; exit 3'  # exits 3\nno"),
    "picture": ("text", "a --> b"),
    "text as its command prints it": ('text command="echo one"', "one"),
    "json": ("json", '{"a": 1}'),
}


@pytest.mark.parametrize(("info", "text"), GOOD.values(), ids=GOOD)
def test_good_block_passes(info: str, text: str, tmp_path: Path) -> None:
    """A block that does what it shows passes."""
    run(block(info, text), Story(tmp_path))


@pytest.mark.parametrize(("variable", "passes"), [("P.id", True), ("V.nobody_defined_this", False)])
def test_cerbos_policies_compile(variable: str, passes: bool, story: Story) -> None:
    """A policy on a page compiles beside the shipped ones, or its page fails."""
    policy = f"""# file: policies/cerbos/resource_policies/vehicle.yaml
apiVersion: api.cerbos.dev/v1
resourcePolicy:
  version: default
  resource: vehicle
  rules:
    - actions: [view]
      effect: EFFECT_ALLOW
      roles: ["*"]
      condition: {{match: {{expr: '{variable} == "T1001"'}}}}
"""
    outcome = nullcontext() if passes else pytest.raises(BlockFailedError, match=r"page\.md:2")
    with outcome:
        run(block("yaml", policy), story)


def test_python_blocks_share_names(tmp_path: Path) -> None:
    """A later block of a page sees what an earlier one bound, and files land in the page's own folder."""
    story = Story(tmp_path)
    run(block("python", "from pathlib import Path\nhere = Path.cwd()"), story)
    run(block("python", "(here / 'made').touch()"), story)

    assert (tmp_path / "made").exists()


def test_indented_code_is_read_too() -> None:
    """Code without a fence does not slip past: it has no language, so it fails."""
    [only] = blocks("page.md", "Text\n\n    rm -rf important\n")

    assert "" == only.language


def test_background_processes_end(tmp_path: Path) -> None:
    """A server left running by a block is gone when the block ends."""
    run(block("console", "$ sleep 600 & echo $! > pid"), Story(tmp_path))
    pid = (tmp_path / "pid").read_text(encoding="utf-8").strip()
    status = Path("/proc", pid, "status")

    for _ in range(500):  # the kernel ends it in its own time
        if not status.exists() or "Z (zombie)" in status.read_text(encoding="utf-8"):
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} still runs")
