"""`purposegate ledger`: verify and read the evidence."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from purposegate.errors import PurposegateError
from purposegate.ledger.verify import UNDECIDED, USAGE, verify_file


class LedgerGroup(click.Group):
    """A group whose usage errors exit 3: in this group 1 and 2 say something about the evidence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; a usage error exits 3."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            ctx.exit(USAGE)


@click.group(cls=LedgerGroup)
def ledger() -> None:
    """Verify, search and export the ledger. Exit codes: 0 intact, 1 tampered, 2 cannot decide, 3 usage."""


@ledger.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--keys",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key file; PATH.keys unless given.",
)
@click.option("--leaves-only", is_flag=True, help="Leave payloads and counters out; no key is needed.")
@click.pass_context
def verify(ctx: click.Context, path: Path, key_file: Path | None, *, leaves_only: bool) -> None:
    """Read the whole ledger at PATH again and say whether it is what was written.

    Every mismatch is printed with the entry's index, what was expected and what was found.
    """
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("entries", total=None)
            report = verify_file(
                path,
                key_file=key_file,
                payloads=not leaves_only,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except PurposegateError as error:
        click.echo(f"cannot decide: {error}\n{error.remedy}", err=True)
        ctx.exit(UNDECIDED)
    click.echo(report.text())
    ctx.exit(report.exit_code)
