"""Opens the source of links that the settings name. Part of the application: it alone knows settings and facts."""

import asyncio

from purposegate.errors import SettingsError
from purposegate.facts.http_source import HttpSource
from purposegate.facts.links import LinkSource
from purposegate.facts.links_sqlite import SqliteSource
from purposegate.feeds.private import read_private
from purposegate.settings import LinksSettings


async def open_links(chosen: LinksSettings | None) -> tuple[LinkSource, ...]:
    """The source, if one is named. A database or endpoint is not asked yet: lookups say what it does not answer.

    Raises SettingsError for files that cannot be used.
    """
    if chosen is None:
        return ()
    if chosen.file is not None:
        return (await asyncio.to_thread(SqliteSource, chosen.file),)
    if chosen.endpoint:
        token = read_private(chosen.token_file, "the endpoint's token") if chosen.token_file else ""
        try:
            source = HttpSource(
                chosen.endpoint,
                token=token,
                ca=chosen.ca,
                deadline_s=chosen.deadline_s,
                cache_s=chosen.cache_s,
            )
        except OSError as error:
            raise SettingsError(f"facts.links.ca: {chosen.ca}: cannot be read as PEM") from error
        return (source,)
    return (_database(postgres_url(chosen), chosen.deadline_s),)


def postgres_url(chosen: LinksSettings) -> str:
    """The database's URL, from its file if it has one. Raises SettingsError, without the URL."""
    if chosen.url_file is None:
        if "@" in chosen.url and ":" in chosen.url.partition("://")[2].partition("@")[0]:
            raise SettingsError(
                "facts.links.url: holds a password; put the URL into a file: facts.links.url_file"
            )
        return chosen.url
    return read_private(chosen.url_file, "the links' URL")


def _database(url: str, deadline_s: float) -> LinkSource:
    try:
        from purposegate.facts.links_postgres import PostgresSource  # noqa: PLC0415  # psycopg is an extra
    except ImportError as error:
        raise SettingsError("facts.links: PostgreSQL wants psycopg; install purposegate[postgres]") from error
    return PostgresSource(url, deadline_s=deadline_s)
