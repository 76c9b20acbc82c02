"""The command line. One module per verb: `cli/ledger.py` holds the command `ledger`, mounted when it is asked for.

A module whose name begins with `_` is no verb. In this room: arguments, printing, exit codes, and the object graph of each
verb. Exit 0: done. 1: what was asked about is not in order. 2: the command line itself is wrong.
"""

import pkgutil
import sys
from importlib import import_module

import click

from purposegate.errors import PurposegateError


class Verbs(click.Group):
    """The modules of this package, as commands. A verb whose module cannot be imported fails loudly, never vanishes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Every verb, in alphabetical order."""
        return sorted(_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        """The verb's command, or None where there is no such verb."""
        module = _modules().get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f"{__name__}.{module}"), module, None)
        if not isinstance(command, click.Command):
            raise TypeError(f"{__name__}.{module}: want a click command named {module}")
        return command


def _modules() -> dict[str, str]:
    names = (found.name for found in pkgutil.iter_modules(__path__))
    return {name.replace("_", "-"): name for name in names if not name.startswith("_")}


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="purposegate")
def purposegate() -> None:
    """Release a record only for a declared, corroborated purpose, once the lookup is on disk."""


def main() -> None:
    """Run the command line. What purposegate raises on purpose is printed with its remedy, and exits 1."""
    try:
        purposegate()
    except PurposegateError as error:
        click.echo(f"{error}\n{error.remedy}", err=True)
        sys.exit(1)
