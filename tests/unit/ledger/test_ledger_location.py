"""Where a ledger is said to be: URLs that never show their passwords, and settings that name one place."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger_settings import settings_of, shown
from ledgers import NO_MARGIN, ORIGIN, open_ledger
from purposegate.application import ledger_location
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.location import FileLocation, on_server
from purposegate.ledger.postgres_reader import PostgresReader
from purposegate.ledger.postgres_session import Address

SECRET = "hunter2-never-shown"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://gate:{SECRET}@/ledger?host=/nowhere",
        f"postgresql://gate:{SECRET}@127.0.0.1:1/ledger",
        f"postgresql://gate:{SECRET}@[::1/ledger",
        f"postgresql://gate:{SECRET}@host/ledger?what={SECRET}",
        f"postgresql://gate:{SECRET}@host:port/ledger",
        f"postgresql://gate:{SECRET}%zz@host/ledger",
        f"postgresql://gate:{SECRET}@host/ledger?sslmode={SECRET}",
        f"postgresql://gate:{SECRET}@host",
        f"postgresql://gate:{SECRET}\0@host/ledger",
        f"mysql://gate:{SECRET}@host/ledger",
    ],
)
def test_password_is_never_shown(tmp_path: Path, url: str) -> None:
    """Whatever is wrong with a URL, neither message nor trace shows the password in it, and nothing is made."""
    site_files = tmp_path / "l.keys"
    with pytest.raises((SettingsError, LedgerOutage)) as caught:
        PostgresReader(Address.parse(url))

    assert SECRET not in shown(caught.value)
    assert not site_files.exists()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://gate:x@db.north.example:6432/ledger?sslmode=require", "postgresql://db.north.example:6432/ledger"),
        ("postgres://gate@/ledger?host=/run/postgresql", "postgresql:///run/postgresql/ledger"),
        ("postgresql://a:x@one,two:5433/ledger", "postgresql://one,two:5433/ledger"),
    ],
)  # fmt: skip
def test_address_reads_as_host_port_and_database(url: str, text: str) -> None:
    """What messages call a database has no name and no password."""
    address = Address.parse(url)

    assert (text, text, ":x@" in url) == (str(address), repr(address), address.has_password)


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        ("  origin: o\n", "exactly one of path, url and url_file"),
        ("  path: a\n  url: postgresql://h/d\n  key_file: k\n  origin: o\n", "exactly one of"),
        ("  url: postgresql://h/d\n  origin: o\n", "key_file as well"),
        ("  url_file: u\n  origin: o\n", "key_file as well"),
        ("  url: mysql://h/d\n  key_file: k\n  origin: o\n", "postgres"),
    ],
)
def test_settings_want_one_place(tmp_path: Path, ledger: str, message: str) -> None:
    """A ledger is in one place, and on a server its key file is named."""
    with pytest.raises(SettingsError, match=message):
        settings_of(tmp_path, ledger)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.chmod(0o640), "chmod 600"),
        (lambda file: file.unlink(), "cannot be read"),
        (lambda file: file.write_bytes(b"\xff"), "cannot be read"),
        (lambda file: file.write_text(f"{SECRET}"), "want postgresql"),
    ],
)
def test_url_files_are_private_and_readable(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    """A URL file that others can read, that is gone or holds no URL is refused, and nothing of it is shown."""
    file = tmp_path / "url"
    file.touch(0o600)
    file.write_text(f"postgresql://gate:{SECRET}@host/ledger\n")
    spoil(file)
    found = settings_of(tmp_path, f"  url_file: url\n  key_file: k\n  origin: {ORIGIN}\n")
    with pytest.raises(SettingsError, match=message) as caught:
        ledger_location(found)

    assert SECRET not in shown(caught.value)


def test_url_of_the_settings_holds_no_password(tmp_path: Path) -> None:
    """A password in purposegate.yaml itself is refused, with where it belongs."""
    found = settings_of(
        tmp_path, f"  url: postgresql://gate:{SECRET}@host/ledger\n  key_file: k\n  origin: {ORIGIN}\n"
    )
    with pytest.raises(SettingsError, match="mode 0600") as caught:
        ledger_location(found)

    assert SECRET not in shown(caught.value)


def test_missing_psycopg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra a URL is refused with what to install; files do without it."""
    for name in [name for name in sys.modules if name.startswith(("psycopg", "purposegate.ledger.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"purposegate\[postgres\]"):
        on_server("postgresql://host/ledger", tmp_path / "keys")

    FileLocation.of(tmp_path / "l.db").open(origin=ORIGIN, limits=NO_MARGIN).close()


def test_key_files_may_lie_elsewhere(tmp_path: Path) -> None:
    """A location opens, reads and verifies with the key files that it was given."""
    (tmp_path / "keys").mkdir()
    location = FileLocation.of(tmp_path / "l.db", tmp_path / "keys" / "k", tmp_path / "keys" / "s")
    location.open(origin=ORIGIN, limits=NO_MARGIN).close()
    reader = location.reader()
    held = location.is_written("shard-0", reader)
    with open_ledger(tmp_path / "l.db", key_file=location.key_file, signer_file=location.signer_file):
        writing = location.is_written("shard-0", reader)
    reader.close()

    assert (False, True) == (held, writing)
    assert not (tmp_path / "l.db.keys").exists()
