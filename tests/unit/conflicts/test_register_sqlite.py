"""The register in an SQLite file: the suite of every store, and what is a file's own."""

import shutil
import stat
from pathlib import Path

import pytest

from force_files import BROTHER
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_sqlite import SqliteConnection
from purposegate.errors import SettingsError
from register_suite import *  # noqa: F403  # every test of the suite
from registers import RULES, RegisterSite


@pytest.fixture
def site(tmp_path: Path) -> RegisterSite:
    path = tmp_path / "register.db"
    place = RegisterPlace(path=path, url_file=None, key_file=tmp_path / "register.keys")
    return RegisterSite(tmp_path, place, lambda: SqliteConnection(path))


def test_files_are_nobody_elses(site: RegisterSite) -> None:
    """Database, keys and memory are of mode 0600, whatever the umask."""
    site.take([BROTHER])
    site.load()

    assert {0o600} == {
        stat.S_IMODE(path.stat().st_mode) for path in site.folder.glob("register.*") if path.suffix != ".csv"
    }


def test_a_file_put_back_is_noticed(site: RegisterSite) -> None:
    """Yesterday's database opens under its keys, and this machine remembers a newer one."""
    site.take([BROTHER])
    shutil.copy(site.folder / "register.db", site.folder / "old.db")
    site.take([{**BROTHER, "relation": "friend"}])
    site.load()
    for file in site.folder.glob("register.db-*"):
        file.unlink()
    shutil.copy(site.folder / "old.db", site.folder / "register.db")

    with pytest.raises(SettingsError, match="older"):
        site.load()


def test_keys_of_another_register_are_refused(site: RegisterSite) -> None:
    """Before anything is read or written with them."""
    site.take([BROTHER])
    (site.folder / "register.keys").rename(site.folder / "own.keys")
    other = RegisterPlace(
        path=site.folder / "other.db", url_file=None, key_file=site.folder / "register.keys"
    )
    with pytest.raises(SettingsError, match="gone"):
        site.place.open(create=True)
    other.open(create=True)

    with pytest.raises(SettingsError, match="another key file"):
        site.place.open()


def test_keys_that_others_can_read_are_refused(site: RegisterSite) -> None:
    """They count as seen."""
    site.take([BROTHER])
    (site.folder / "register.keys").chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        site.load()


def test_another_programs_file_is_left_alone(site: RegisterSite) -> None:
    """Naming the ledger's file by mistake makes no register of it."""
    assert site.store.keys
    (site.folder / "register.db").write_bytes(
        b"not a database at all, but long enough to be read as one" * 20
    )

    with pytest.raises(SettingsError):
        site.load()


def test_a_register_never_imported_says_what_to_do(site: RegisterSite) -> None:
    """Silence would mean that nobody has a tie."""
    with pytest.raises(SettingsError, match="key file"):
        site.load()
    assert site.store.keys
    with pytest.raises(SettingsError, match="conflicts import"):
        site.place.open().load(RULES)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As a fault of the settings, for the database as for the keys."""
    keys = RegisterPlace(path=tmp_path / "r.db", url_file=None, key_file=tmp_path / "no" / "r.keys")
    database = RegisterPlace(path=tmp_path / "no" / "r.db", url_file=None, key_file=tmp_path / "r.keys")

    for place in (keys, database):
        with pytest.raises(SettingsError, match="no/r"):
            place.open(create=True)
