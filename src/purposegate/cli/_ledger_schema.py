"""`purposegate ledger schema`: the SQL that makes room for a ledger in PostgreSQL."""

from importlib import resources

import click


@click.command()
def schema() -> None:
    """Print the SQL that a database administrator runs once in each PostgreSQL database that is to hold a ledger.

    It makes the tables and four roles, and explains them. What people decide about lookups, and what
    they declare ahead of them, have schemas of their own at the end.
    """
    for room in ("purposegate.ledger", "purposegate.review", "purposegate.purposes"):
        text = resources.files(room).joinpath("postgres_schema.sql").read_text(encoding="utf-8")
        click.echo(text, nl=False)
