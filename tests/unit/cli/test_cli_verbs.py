"""The command line's verbs: each module one verb, a broken one loud, refusals printed with their remedy."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from purposegate import cli
from purposegate.errors import PolicyError

ROOT = Path(__file__).parents[3]


def test_every_module_is_a_verb() -> None:
    """A verb is mounted because its module is there, under the module's name."""
    modules = {path.stem for path in (ROOT / "src/purposegate/cli").glob("[a-z]*.py")}

    assert {"check", "ledger", "pdp"} <= modules
    assert sorted(name.replace("_", "-") for name in modules) == cli.purposegate.list_commands(_context())


def test_every_verb_has_its_command() -> None:
    """Each mounted name leads to a command with a line of help."""
    commands = {
        name: cli.purposegate.get_command(_context(), name)
        for name in cli.purposegate.list_commands(_context())
    }

    assert all(command is not None and command.get_short_help_str() for command in commands.values())


def test_a_verb_that_cannot_be_imported_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is an error, never a verb less."""
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])

    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        cli.purposegate.get_command(_context(), "broken")


def test_a_module_without_its_command_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that forgets its command says which one it wants."""
    (tmp_path / "mute.py").write_text("mute = 1\n")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "purposegate.cli.mute", raising=False)

    with pytest.raises(TypeError, match="a click command named mute"):
        cli.purposegate.get_command(_context(), "mute")


def test_an_unknown_verb_is_the_caller_s_fault() -> None:
    """Exit 2, as for any wrong command line."""
    result = CliRunner().invoke(cli.purposegate, ["chekc"])

    assert 2 == result.exit_code
    assert "No such command 'chekc'" in result.output


def test_help_lists_the_verbs() -> None:
    """`-h` and `--help` name every verb."""
    output = CliRunner().invoke(cli.purposegate, ["-h"]).output

    assert output == CliRunner().invoke(cli.purposegate, ["--help"]).output
    assert all(f"\n  {name} " in output for name in cli.purposegate.list_commands(_context()))


def test_what_is_raised_on_purpose_is_printed_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, the message and what to do next, and no traceback."""

    def fail() -> None:
        raise PolicyError([])

    monkeypatch.setattr(cli, "purposegate", fail)

    with pytest.raises(SystemExit) as caught:
        cli.main()

    assert 1 == caught.value.code
    assert PolicyError.remedy in capsys.readouterr().err


def test_the_program_runs() -> None:
    """The console script's own entry, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from purposegate.cli import main; main()", "check", "policies"],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("purposes   18 ")


def _context() -> click.Context:
    return click.Context(cli.purposegate)
