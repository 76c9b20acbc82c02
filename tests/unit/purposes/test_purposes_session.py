"""Sessions at rest and on the wire: what the store can tell, whose form is whose, and what expires when."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import DeclarationRefused, Outage, SettingsError
from purposegate.exchange import Request
from purposegate.model import Declaration
from purposegate.purposes import session_wire
from purposegate.purposes.session import Row, Seals, Session, token_digest
from purposegate.purposes.session_sqlite import SqliteSessions
from purposegate.purposes.session_wire import COOKIE, FIELD

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
SEALS = Seals(bytes(range(32)))
SESSION = Session(
    id="s1",
    principal="T1001",
    login="login-1",
    declaration=Declaration(
        purpose="investigate.crime", ref="CR/1042/26", reason="Mickey Mouse", originator="T1002"
    ),
    named="",
    declared_at=NOW,
    expires_at=NOW + timedelta(hours=8),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteSessions]:
    opened = SqliteSessions(tmp_path / "l.declarations")
    yield opened
    opened.close()


def row(number: int, *, owner: str = "T1001", until: int = AT + 60) -> Row:
    _, made = SEALS.made(replace(SESSION, id=f"s{number}", principal=owner))
    return made._replace(expires_at=until)


def test_a_session_comes_out_as_it_went_in() -> None:
    """Sealed and opened: the same session; the row is found by its token's digest."""
    token, made = SEALS.made(SESSION)

    assert SESSION == SEALS.opened(made)
    assert token_digest(token) == made.token


def test_no_two_tokens_are_alike() -> None:
    """43 characters of a cookie's alphabet, each time others."""
    tokens = {SEALS.made(SESSION)[0] for _ in range(50)}

    assert 50 == len(tokens)
    assert {43} == {len(token) for token in tokens}


def test_the_store_says_nothing_of_anybody(store: SqliteSessions, tmp_path: Path) -> None:
    """Its bytes hold no name, reference, reason or token, in the file or beside it, and its mode is 0600."""
    token, made = SEALS.made(SESSION)
    assert store.put(made, now=AT, most=5)
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert not any(
        text.encode() in held for text in ("T1001", "T1002", "CR/1042", "Mickey", "investigate", token)
    )
    assert 0o600 == (tmp_path / "l.declarations").stat().st_mode & 0o777


CHANGED = {
    "another token": {"token": bytes(32)},
    "other content": {"sealed": bytes(200)},
    "cut short": {"sealed": b"x"},
    "empty": {"sealed": b""},
}


@pytest.mark.parametrize("changes", CHANGED.values(), ids=CHANGED)
def test_a_row_that_was_changed_is_no_session(
    changes: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Another's token or another content under a row: it opens nothing, and operators are told."""
    _, made = SEALS.made(SESSION)

    assert SEALS.opened(made._replace(**changes)) is None  # type: ignore[arg-type] # bytes fields only
    assert "not as this gate sealed it" in caplog.text


def test_another_key_opens_nothing() -> None:
    """A key that was exchanged ends what was sealed with the old one."""
    assert Seals(bytes(32)).opened(SEALS.made(SESSION)[1]) is None


def test_the_store_finds_ends_and_forgets(store: SqliteSessions) -> None:
    """By token; by owner, live ones only; ended by its owner alone; expired ones go when the next is put."""
    mine, theirs, old = row(1), row(2, owner="T1002"), row(3, until=AT - 1)
    for one in (old, mine, theirs):
        assert store.put(one, now=AT - 10, most=5)

    assert (mine, None) == (store.get(mine.token), store.get(os.urandom(32)))
    assert (mine,) == store.held_by(mine.owner, now=AT)
    assert (False, True, False) == tuple(
        store.end("s1", owner) for owner in (theirs.owner, mine.owner, mine.owner)
    )
    assert store.get(mine.token) is None
    assert store.put(row(4), now=AT, most=5)
    assert store.get(old.token) is None


def test_the_store_holds_no_more_than_it_is_told(store: SqliteSessions) -> None:
    """One owner's limit is theirs alone, and holds for puts at the same moment."""
    rows, kept = [row(number) for number in range(12)], list[bool]()
    threads = [
        threading.Thread(target=lambda one=one: kept.append(store.put(one, now=AT, most=4))) for one in rows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False] * 8 + [True] * 4 == sorted(kept)
    assert store.put(row(99, owner="T1002"), now=AT, most=4)


def test_two_workers_share_one_store(store: SqliteSessions, tmp_path: Path) -> None:
    """What one puts or ends, the other sees at once."""
    other = SqliteSessions(tmp_path / "l.declarations")
    one = row(1)
    assert store.put(one, now=AT, most=5)

    assert one == other.get(one.token)
    assert other.end(one.id, one.owner)
    assert store.get(one.token) is None
    other.close()


def test_another_file_is_not_taken_for_it(tmp_path: Path) -> None:
    """A database of something else, or no database: named, and left as it is."""
    other, text = tmp_path / "other.db", tmp_path / "text"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    text.write_bytes(b"no database at all, but long enough to be read as one" * 50)

    for path in (other, text):
        with pytest.raises(SettingsError, match=path.name):
            SqliteSessions(path)


def test_a_store_that_is_gone_is_an_outage(store: SqliteSessions) -> None:
    """Closed under its user: an outage with its reason, at each question."""
    store.close()

    with pytest.raises(Outage, match="facts-unavailable"):
        store.get(bytes(32))


def test_a_forms_token_is_of_one_login_and_one_time() -> None:
    """Taken from its own login before its time, and from nothing else."""
    token = SEALS.form_token("T1001", "login-1", AT + 60)

    assert SEALS.is_own_form(token, "T1001", "login-1", AT)
    assert not SEALS.is_own_form(token, "T1001", "login-1", AT + 60)
    assert not SEALS.is_own_form(token, "T1001", "login-2", AT)
    assert not SEALS.is_own_form(token, "T1002", "login-1", AT)
    assert not Seals(bytes(32)).is_own_form(token, "T1001", "login-1", AT)


@given(st.text(max_size=90) | st.from_regex(r"[0-9]{0,14}\.[0-9a-f]{0,64}", fullmatch=True))
def test_no_text_passes_for_a_forms_token(text: str) -> None:
    """Whatever is sent in its place is no form of ours, and breaks nothing."""
    assert not SEALS.is_own_form(text, "T1001", "login-1", AT)


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request(method="GET", raw_path=b"/", path="/", headers=headers)


TOKEN = "A" * 43


def test_a_cookie_in_two_headers_is_read_as_one() -> None:
    """HTTP/2 clients split the cookie header; the token among them is found, and the rest goes on."""
    asked = request((b"cookie", b"a=1"), (b"cookie", f"{COOKIE}={TOKEN}".encode()), (b"x", b"y"))

    assert (TOKEN,) == session_wire.tokens(asked)
    assert ((b"cookie", b"a=1"), (b"x", b"y")) == session_wire.stripped(asked)


def test_header_and_cookie_with_one_token_are_one() -> None:
    """The same token twice over is one session."""
    asked = request((FIELD.lower().encode(), TOKEN.encode()), (b"cookie", f"{COOKIE}={TOKEN}".encode()))

    assert (TOKEN,) == session_wire.tokens(asked)


@pytest.mark.parametrize(
    "headers",
    [
        ((b"cookie", f"{COOKIE}={TOKEN}; {COOKIE}=x".encode()),),
        ((b"cookie", f"{COOKIE}={TOKEN}".encode()), (b"cookie", f"{COOKIE}=".encode())),
        ((FIELD.lower().encode(), TOKEN.encode()), (FIELD.lower().encode(), TOKEN.encode())),
    ],
    ids=["two in one header", "one in each of two", "two header fields"],
)
def test_a_second_one_refuses_both(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Who set the second is not known, so neither is believed."""
    with pytest.raises(DeclarationRefused, match="send it once"):
        session_wire.tokens(request(*headers))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_cookie_header_breaks_the_reading(values: list[bytes]) -> None:
    """Any bytes: tokens of the right form or none, or a refusal; and nothing stripped but the one cookie."""
    asked = request(*((b"cookie", value) for value in values))
    try:
        found = session_wire.tokens(asked)
    except DeclarationRefused:
        found = ()

    assert all(len(token) == 43 for token in found)
    if not any(COOKIE.encode() in value for value in values):
        assert asked.headers == session_wire.stripped(asked)
