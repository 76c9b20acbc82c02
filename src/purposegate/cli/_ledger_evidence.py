"""`purposegate ledger export`, `prove` and `status`: evidence for other people, and how the ledger stands."""

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from purposegate.cli._ledger_query import (
    FILE,
    LEDGER,
    index_path,
    located,
    progress_bar,
    ring_of,
    system_user,
    witnesses_option,
)
from purposegate.errors import SettingsError
from purposegate.ledger import standalone_verifier
from purposegate.ledger.export import export_shard
from purposegate.ledger.index import Opener
from purposegate.ledger.location import Location
from purposegate.ledger.prove import bundle, prove_entry
from purposegate.ledger.quorum import states_in_store
from purposegate.ledger.reading import ReadingDeclared, declare
from purposegate.ledger.store import Reader, ShardRow, StoredEntry


@click.command()
@click.argument("path", type=LEDGER)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(path: str | Path, directory: Path) -> None:
    """Write the leaves and hashes of the ledger at PATH as C2SP tiles into DIRECTORY, one folder a shard.

    No payload is written, so no personal data. Exporting again adds what is new.
    """
    reader = located(path, None).reader()
    try:
        reader.hold()
        for row in reader.shards():
            with progress_bar(row.name) as progress:
                done = export_shard(reader, row, directory, progress)
            click.echo(f"{done.shard}: {done.size} entries, {done.files} files written")
    finally:
        reader.close()


def _find(reader: Reader, name: str) -> tuple[ShardRow, StoredEntry]:
    shard, _, number = name.rpartition("/")
    rows = [row for row in reader.shards() if row.name == shard]
    if not rows or not number.isascii() or not number.isdigit():
        raise click.UsageError(
            "ENTRY: want <shard>/<number>, such as shard-0/1042, of a shard in this ledger"
        )
    found = list(reader.entries(rows[0].number, int(number), int(number) + 1)) if len(number) < 13 else []  # noqa: PLR2004
    if not found:
        raise click.UsageError(f"ENTRY: {shard} has {rows[0].head.size} entries, numbered from 0")
    return rows[0], found[0]


@click.command()
@click.argument("path", type=LEDGER)
@click.argument("entry")
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@click.option("--disclose", multiple=True, metavar="FIELD", help="A field to disclose; may be repeated.")
@click.option(
    "--row", "rows", multiple=True, type=int, help="A row of the list to disclose, from 0; may be repeated."
)
@click.option("--out", type=FILE, help="Where to write the bundle; standard output unless given.")
@click.option("--with-verifier", is_flag=True, help="Put the verifier script beside the bundle.")
@click.option("--as", "reader_name", default="", help="Who discloses; with --disclose or --row.")
@click.option("--purpose", default="", help="A purpose under audit or rights; with --disclose or --row.")
@click.option("--reason", default="", help="Why; with --disclose or --row.")
@click.option("--ref", default="", help="The case of the inquiry.")
@witnesses_option
def prove(path: str | Path, entry: str, *, out: Path | None, with_verifier: bool, **asked: Any) -> None:
    """Write a bundle that shows a stranger, offline, that ENTRY stands in the ledger at PATH, as <shard>/<number>.

    Without --disclose it shows when something happened and whether it was released, and no personal data. Disclosing reads
    the evidence, which is recorded first.
    """
    location = located(path, asked["key_file"])
    reader = location.reader()
    try:
        row, stored = _find(reader, entry)
        proof = prove_entry(reader, row, stored)
        payload = None
        names, numbers = asked["disclose"], asked["rows"]
        if names or numbers:
            ring = ring_of(location, reader)
            payload = Opener(ring, [row]).payload(row.number, stored)
        text = bundle(stored, proof, payload, names=names, rows=numbers)
        if payload:
            reading = ReadingDeclared(
                asked["reader_name"], system_user(), asked["purpose"], asked["reason"], asked["ref"]
            )
            declare(
                location,
                reader.meta,
                reading,
                {"prove": entry, "disclose": list(names), "rows": list(numbers)},
                asked["witnesses"],
            )
    finally:
        reader.close()
    if out is None:
        click.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        click.echo(
            f"{out}: check it with\n  python3 standalone_verifier.py {out.name} --log '{row.vkey}'", err=True
        )
    if with_verifier:
        shutil.copyfile(
            standalone_verifier.__file__, (out.parent if out else Path()) / "standalone_verifier.py"
        )


def _standing(location: Location, reader: Reader, row: ShardRow) -> dict[str, Any]:
    notes = reader.checkpoints(row.number)
    cosigned = reader.cosigned(row.number)
    signed_at = reader.signed_at(row.number)
    return {
        "shard": row.name,
        "origin": row.origin,
        "vkey": row.vkey,
        "entries": row.head.size,
        "writing": location.is_written(row.name, reader),
        "signed_to": notes[-1][0] if notes else 0,
        "signed_age_s": int(time.time()) - signed_at if signed_at else None,
        "witnessed_to": cosigned,
        "witnesses": [
            {"name": each.name, "size": each.size, "age_s": int(each.age_s or 0)}
            for each in states_in_store(notes, time.time())
        ],
    }


@click.command()
@click.argument("path", type=LEDGER)
@click.option("--keys", "key_file", type=FILE, help="Key file; PATH.keys unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(path: str | Path, key_file: Path | None, *, as_json: bool) -> None:
    """Say how the ledger at PATH stands: its shards, what is signed and witnessed, and the room on the disk."""
    location = located(path, key_file)
    reader = location.reader()
    try:
        reader.hold()
        found = {
            "path": str(location),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "origin": reader.meta["origin"].decode(),
            "bytes": location.size_bytes(reader),
            "free_bytes": location.free_bytes(),
            "search_index": location.key_file is not None and index_path(location).exists(),
            "shards": [_standing(location, reader, row) for row in reader.shards()],
        }
    except KeyError as error:
        raise SettingsError(f"{location}: the ledger's meta rows are not all there") from error
    finally:
        reader.close()
    click.echo(json.dumps(found, indent=1) if as_json else _status_text(found))


def _status_text(found: dict[str, Any]) -> str:
    index = "search index" if found["search_index"] else "no search index yet"
    free = "" if found["free_bytes"] is None else f", {found['free_bytes'] / 2**30:.1f} GiB free"
    lines = [f"{found['origin']}: {found['bytes'] / 2**20:.1f} MiB{free}, {index}"]
    for shard in found["shards"]:
        age = "never" if shard["signed_age_s"] is None else f"{shard['signed_age_s']} s ago"
        witnessed = f"witnessed to {shard['witnessed_to']}" if shard["witnessed_to"] else "not witnessed"
        writing = "being written" if shard["writing"] else "nobody writes"
        lines.append(
            f"  {shard['shard']}: {shard['entries']} entries, {writing}, signed to {shard['signed_to']} ({age}), {witnessed}"
        )
        lines += [
            f"    {each['name']} cosigned {each['size']} entries, {each['age_s']} s ago"
            for each in shard["witnesses"]
        ]
    return "\n".join(lines)
