"""`purposegate links`: import links into the file or database that gates read, and say what is there."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from purposegate import documents
from purposegate import settings as settings_file
from purposegate.errors import SettingsError
from purposegate.facts.links_reading import FileFeed
from purposegate.facts.links_sqlite import SqliteLinks, write_generation
from purposegate.link_sources import postgres_url
from purposegate.settings import LinksSettings, Settings

SETTINGS = click.option(
    "--settings",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("purposegate.yaml"),
    show_default=True,
    help="The gate's settings; `facts.links` says where the links are.",
)


@click.group()
def links() -> None:
    """Links between staff, work and records, which explain lookups."""


@links.command("import")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@SETTINGS
def import_links(source: Path, path: Path) -> None:
    """Take SOURCE whole, in place of all links there were; or, if a line is wrong, nothing of it.

    Gates take the new links within seconds, and go on with the old ones meanwhile.
    """
    settings = settings_file.load(path)
    chosen = _chosen(settings)
    facts = settings.policies / "facts.yaml"
    zone = ZoneInfo(documents.read(facts, "facts").content["zone"])
    feed = FileFeed(source, now=datetime.now(UTC), zone=zone)
    if chosen.file is not None:
        count = write_generation(chosen.file, feed)
    else:
        from purposegate.facts.links_postgres import write_postgres  # noqa: PLC0415  # psycopg is an extra

        count = write_postgres(postgres_url(chosen), feed)
    click.echo(f"{count} links, as of {feed.as_of.isoformat()}")


@links.command()
@SETTINGS
def show(path: Path) -> None:
    """Say how many links the generation file holds, and how old they are. Reads all of it, and so proves it whole."""
    chosen = _chosen(settings_file.load(path))
    if chosen.file is None:
        raise SettingsError("facts.links: only a file can be shown; ask the database itself")
    held = SqliteLinks.open(chosen.file)
    click.echo(f"{held.count()} links, as of {held.as_of.isoformat()}\ndigest {held.digest}")
    held.close()


def _chosen(settings: Settings) -> LinksSettings:
    chosen = settings.facts.links
    if chosen is None or chosen.endpoint:
        raise SettingsError(f"{settings.path}: facts.links: name a file or a database to import links into")
    return chosen
