"""`purposegate ledger erase`, `hold` and `approve`: clear text given up or held, by two people's signatures."""

from datetime import UTC, datetime
from pathlib import Path

import click

from purposegate.cli._ledger_query import (
    FILE,
    GIVEN,
    LEDGER,
    index_path,
    located,
    progress_bar,
    ring_of,
    witnesses_option,
)
from purposegate.errors import EvidenceMalformed, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.erasure import Retention
from purposegate.ledger.index import Index
from purposegate.ledger.note import LogSigner, Note
from purposegate.ledger.quorum import Witnesses
from purposegate.ledger.retention import Act, Request, RetentionPolicy, Span


def _draft(
    path: str | Path, act: Act, *, file: Path, spans: tuple[str, ...], rule: str, authority: str
) -> None:
    if not spans or not rule or not authority:
        raise click.UsageError("--draft needs --entries, --rule and --authority")
    reader = located(path, None).reader()
    origin = reader.meta["origin"].decode()
    reader.close()
    try:
        request = Request(
            act=act,
            origin=origin,
            spans=tuple(map(Span.parse, spans)),
            rule=rule,
            authority=authority,
            asked_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        Request.parse(request.text)
    except EvidenceMalformed as error:
        raise click.UsageError(str(error)) from error
    keys.write_private(file, request.text)
    click.echo(
        f"{file}: have two approvers run `purposegate ledger approve {file.name} --key THEIR-KEY`", err=True
    )


def _carry_out(
    path: str | Path,
    act: set[Act],
    *,
    request: Path,
    policy_file: Path | None,
    key_file: Path | None,
    witnesses: Witnesses | None,
) -> None:
    if policy_file is None:
        raise click.UsageError("--request needs --retention: it says who may approve")
    note = request.read_bytes()
    if Request.parse(Note.parse(note).text).act not in act:
        raise click.UsageError(f"{request}: this request asks for something else")
    location = located(path, key_file)
    reader = location.reader()
    try:
        ring = ring_of(location, reader)
        index = Index(index_path(location), reader, ring)
        with progress_bar("indexing") as progress:
            index.catch_up(progress)
        done = Retention(
            location,
            reader,
            ring,
            index,
            RetentionPolicy.parse(policy_file.read_bytes()),
            witnesses=witnesses,
        ).carry_out(note)
        index.close()
    finally:
        reader.close()
    click.echo(f"recorded as {done.receipt.shard}/{done.receipt.index}; {done.erased} payloads erased")
    if not done.wal_emptied:
        click.echo(
            "copies remain for a while: in SQLite until readers let the write-ahead log go, in PostgreSQL until vacuum",
            err=True,
        )


@click.command()
@click.argument("path", type=LEDGER)
@click.option("--draft", type=FILE, help="Write a request for approval to this file, and do nothing else.")
@click.option(
    "--entries", "spans", multiple=True, metavar="SHARD/FIRST-LAST", help="What it covers; may be repeated."
)
@click.option("--rule", default="", help="The retention rule.")
@click.option("--authority", default="", help="Who decided, and where it is written.")
@click.option("--request", type=GIVEN, help="An approved request, to be carried out.")
@click.option("--retention", "policy_file", type=GIVEN, help="Who may approve, and the floor.")
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@witnesses_option
def erase(
    path: str | Path,
    *,
    draft: Path | None,
    spans: tuple[str, ...],
    rule: str,
    authority: str,
    request: Path | None,
    policy_file: Path | None,
    key_file: Path | None,
    witnesses: Witnesses | None,
) -> None:
    """Give up the clear text of entries of the ledger at PATH: with --draft a request, with --request carry it out.

    The leaves stay. Entries younger than the retention floor, under a hold, or about the log itself are never erased.
    """
    if (draft is None) == (request is None):
        raise click.UsageError("want either --draft or --request")
    if draft is not None:
        _draft(path, Act.ERASE, file=draft, spans=spans, rule=rule, authority=authority)
    elif request is not None:
        _carry_out(
            path,
            {Act.ERASE},
            request=request,
            policy_file=policy_file,
            key_file=key_file,
            witnesses=witnesses,
        )


@click.command()
@click.argument("path", type=LEDGER)
@click.option("--draft", type=FILE, help="Write a request for approval to this file, and do nothing else.")
@click.option(
    "--entries", "spans", multiple=True, metavar="SHARD/FIRST-LAST", help="What it covers; may be repeated."
)
@click.option("--lift", is_flag=True, help="Lift a hold instead.")
@click.option("--rule", default="", help="Why it is held: an inquest, an appeal.")
@click.option("--authority", default="", help="Who decided, and where it is written.")
@click.option("--request", type=GIVEN, help="An approved request, to be carried out.")
@click.option("--retention", "policy_file", type=GIVEN, help="Who may approve, and the floor.")
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@witnesses_option
def hold(
    path: str | Path,
    *,
    draft: Path | None,
    spans: tuple[str, ...],
    lift: bool,
    rule: str,
    authority: str,
    request: Path | None,
    policy_file: Path | None,
    key_file: Path | None,
    witnesses: Witnesses | None,
) -> None:
    """Keep entries of the ledger at PATH from being erased, or with --lift let them go again."""
    if (draft is None) == (request is None):
        raise click.UsageError("want either --draft or --request")
    if draft is not None:
        _draft(path, Act.LIFT if lift else Act.HOLD, file=draft, spans=spans, rule=rule, authority=authority)
    elif request is not None:
        _carry_out(
            path,
            {Act.HOLD, Act.LIFT},
            request=request,
            policy_file=policy_file,
            key_file=key_file,
            witnesses=witnesses,
        )


@click.command()
@click.argument("request", type=FILE, required=False)
@click.option("--key", "key_file", type=FILE, required=True, help="The approver's own key; mode 0600.")
@click.option("--new-key", metavar="NAME", help="Make a key for an approver of this name, then stop.")
def approve(request: Path | None, *, key_file: Path, new_key: str | None) -> None:
    """Sign the retention REQUEST with an approver's own key, after showing what it asks for."""
    if new_key is not None:
        signer = LogSigner.generate(new_key)
        keys.write_private(key_file, signer.secret_text() + "\n")
        click.echo(f"approver {signer.verifier}")
        return
    if request is None:
        raise click.UsageError("want a REQUEST to sign, or --new-key NAME")
    try:
        keys.require_private(key_file)
        signer = LogSigner.parse(key_file.read_text(encoding="utf-8").strip())
        raw = request.read_bytes()
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
    note = Note.parse(raw) if b"\n\n" in raw else None
    text = note.text if note else raw.decode("utf-8", "replace")
    Request.parse(text)
    earlier = note.signatures if note else ()
    if any(each.name == signer.name for each in earlier):
        raise SettingsError(f"{request}: {signer.name} has signed it already")
    click.echo(text, err=True)
    keys.replace_private(request, Note(text, (*earlier, signer.sign(text))).to_bytes())
    click.echo(f"{request}: signed by {signer.name}; {len(earlier) + 1} signatures", err=True)
