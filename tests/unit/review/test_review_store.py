"""The suite of every store of matters, on SQLite; and what is SQLite's own."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

pytest.register_assert_rewrite("review_store_suite")
from purposegate.errors import Outage, SettingsError  # noqa: E402  # after the line that makes its asserts speak
from purposegate.review.sqlite_store import SqliteStore  # noqa: E402
from review_store_suite import *  # noqa: E402, F403
from review_store_suite import Opened, row  # noqa: E402


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Connections to one file."""
    stores: list[SqliteStore] = []

    def make() -> SqliteStore:
        stores.append(SqliteStore(tmp_path / "l.db.review"))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def test_the_file_is_its_owners_alone(opened: Opened, tmp_path: Path) -> None:
    """Mode 0600."""
    opened()

    assert 0o600 == (tmp_path / "l.db.review").stat().st_mode & 0o777


@pytest.mark.parametrize("content", ["PRAGMA application_id = 7", "PRAGMA user_version = 99"])
def test_another_programs_file_is_refused(tmp_path: Path, content: str) -> None:
    """It is named, and left as it is."""
    path = tmp_path / "l.db.review"
    SqliteStore(path).close()
    with apsw.Connection(str(path)) as db:
        db.execute(content)

    with pytest.raises(SettingsError, match=r"l\.db\.review"):
        SqliteStore(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """Such as a text."""
    path = tmp_path / "l.db.review"
    path.write_text("notes\n" * 400)

    with pytest.raises(SettingsError, match="rebuild"):
        SqliteStore(path)


def test_a_file_that_is_damaged_is_an_outage(opened: Opened, tmp_path: Path) -> None:
    """A table that is gone is no answer, and never an approval."""
    store = opened()
    store.put(row())
    with apsw.Connection(str(tmp_path / "l.db.review")) as db:
        db.execute("DROP TABLE party; DROP TABLE matter")

    with pytest.raises(Outage):
        store.get("m1")
