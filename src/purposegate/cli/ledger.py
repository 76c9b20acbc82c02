"""`purposegate ledger`: verify and read the evidence."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from purposegate.cli._ledger_evidence import export, prove, status
from purposegate.cli._ledger_query import LedgerArgument, compare_index, located, query
from purposegate.cli._ledger_retention import approve, erase, hold
from purposegate.cli._ledger_schema import schema
from purposegate.cli._witness import witness
from purposegate.errors import PurposegateError
from purposegate.ledger import receipts
from purposegate.ledger.earlier import Earlier
from purposegate.ledger.earlier import read as read_earlier
from purposegate.ledger.policy import Policy
from purposegate.ledger.retention import RetentionPolicy
from purposegate.ledger.verdict import INTACT, UNDECIDED, USAGE, Evidence, Report
from purposegate.ledger.verify_export import verify_export

FILE = click.Path(dir_okay=False, path_type=Path)
GIVEN = click.Path(exists=True, dir_okay=False, path_type=Path)


class LedgerGroup(click.Group):
    """A group whose usage errors exit 3: in this group 1 and 2 say something about the evidence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; a usage error exits 3, a file that cannot be used exits 2."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            ctx.exit(USAGE)
        except PurposegateError as error:
            click.echo(f"{error}\n{error.remedy}", err=True)
            ctx.exit(UNDECIDED)


@click.group(cls=LedgerGroup)
def ledger() -> None:
    """Verify, search and export the ledger. Exit codes: 0 intact, 1 tampered, 2 cannot decide, 3 usage."""


for command in (approve, erase, export, hold, prove, query, schema, status, witness):
    ledger.add_command(command)


@ledger.command()
@click.argument("path", type=LedgerArgument(directories=True))
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@click.option(
    "--signer", "signer_file", type=FILE, help="Beside it lie the signed heads; PATH.signer unless given."
)
@click.option(
    "--head", "heads", type=GIVEN, multiple=True, help="A signed head held elsewhere; may be repeated."
)
@click.option(
    "--receipts",
    "receipt_files",
    type=GIVEN,
    multiple=True,
    help="Purposegate-Receipt values that callers kept, one a line; may be repeated.",
)
@click.option(
    "--policy", "policy_file", type=GIVEN, help="Trusted logs and witnesses (c2sp.org/tlog-policy)."
)
@click.option("--retention", "retention_file", type=GIVEN, help="Who may approve erasures, and the floor.")
@click.option(
    "--require-witness", is_flag=True, help="Exit 2 unless the policy's witnesses cosigned each log."
)
@click.option("--leaves-only", is_flag=True, help="Leave payloads and counters out; no key is needed.")
@click.option("--index", "with_index", is_flag=True, help="Derive the search index again and compare.")
@click.option(
    "--since",
    "note_file",
    type=FILE,
    help="A file of yours that says where you last ended: only what came after is read. Made and kept up by this command.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def verify(ctx: click.Context, /, path: str | Path, **options: Any) -> None:
    """Read the whole ledger at PATH again and say whether it is what was written.

    PATH is a file, a postgresql:// URL, or an export's directory.

    Every mismatch is printed with the entry's index, what was expected and what was found. Without a policy the logs' keys
    are taken from the ledger itself. With --since, entries read by an earlier run are not read again unless something was
    erased: keep that file where the ledger's administrator cannot write, and read everything now and then.
    """
    with_index, note_file = options.pop("with_index"), options.pop("note_file")
    if note_file:
        if isinstance(path, Path) and path.is_dir():
            raise click.UsageError("--since: an export is always read whole; leave it out")
        options["earlier"] = read_earlier(note_file)
    report = _verified(path, **options)
    if with_index:
        compare_index(located(path, options["key_file"]), report)
    if note_file and report.reached and report.exit_code == INTACT:
        report.reached.keep(note_file)
    click.echo(report.json() if options["as_json"] else report.text())
    ctx.exit(report.exit_code)


def _verified(
    path: str | Path,
    *,
    key_file: Path | None,
    signer_file: Path | None,
    heads: tuple[Path, ...],
    receipt_files: tuple[Path, ...],
    policy_file: Path | None,
    retention_file: Path | None,
    require_witness: bool,
    leaves_only: bool,
    as_json: bool,  # noqa: ARG001  # of the printing
    earlier: Earlier | None = None,
) -> Report:
    if require_witness and policy_file is None:
        raise click.UsageError("--require-witness needs --policy: it says which witnesses count")
    policy = Policy.parse(policy_file.read_bytes()) if policy_file else None
    evidence = Evidence(
        key_file=key_file,
        signer_file=signer_file,
        heads=[head.read_bytes() for head in heads],
        receipts=[each for file in receipt_files for each in receipts.read(file.read_bytes())],
        keys={str(log.key) for log in policy.logs} if policy else None,
        policy=policy,
        require_witness=require_witness,
        retention=RetentionPolicy.parse(retention_file.read_bytes()) if retention_file else None,
        earlier=earlier,
    )
    if isinstance(path, Path) and path.is_dir():
        return verify_export(path, evidence)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("entries", total=None)
        return located(path, key_file, signer_file).verify(
            evidence,
            payloads=not leaves_only,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
