"""A cursor tells nothing and serves one principal, one list, one while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import AnswerOutage, RouteRefused
from purposegate.exchange import Page
from purposegate.protocols import Match
from purposegate.reasons import Reason
from purposegate.records.cursor import MAX_TOKEN_BYTES, Cursors
from purposegate.records.mapping import load
from records_system import POLICIES, get

MAPPING = load(POLICIES / "records.yaml")
KEY = b"k" * 32
TOKENS = st.text(max_size=120)
SKIPS = st.integers(0, 2**32 - 1)


def matched(address: str) -> Match:
    match = MAPPING.match(get(address))
    assert match is not None
    return match


LIST = matched("/people/person.json?surname=white&_size=5")


class Clock:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@given(TOKENS, SKIPS, st.text(max_size=30))
def test_a_cursor_comes_back_as_its_page(token: str, skip: int, principal_id: str) -> None:
    """Any token and place survive sealing, for the same principal and list."""
    cursors = Cursors(KEY, 60)

    cursor = cursors.seal(Page(token, skip), principal_id=principal_id, match=LIST)

    assert Page(token, skip) == cursors.unseal(cursor, principal_id=principal_id, match=LIST)


@given(TOKENS, TOKENS)
def test_cursors_are_equally_long(one: str, other: str) -> None:
    """The length of a cursor tells nothing about the token within."""
    cursors = Cursors(KEY, 60)

    lengths = {len(cursors.seal(Page(token), principal_id="p", match=LIST)) for token in (one, other)}

    assert {1062} == lengths


def test_two_cursors_for_one_page_differ() -> None:
    """Nobody can tell from two cursors whether two lists stand at the same row."""
    cursors = Cursors(KEY, 60)

    assert cursors.seal(Page("a"), principal_id="p", match=LIST) != cursors.seal(
        Page("a"), principal_id="p", match=LIST
    )


@pytest.mark.parametrize(
    "other",
    [
        "/people/person.json?surname=black&_size=5",
        "/people/person.json?surname=white",
        "/people/person.json?surname=white&_size=6",
        "/people/person.json?_size=5&surname=white",
        "/people/person?surname=white&_size=5",
        "/people/person.json",
    ],
)
def test_a_cursor_serves_no_other_list(other: str) -> None:
    """Another route, criterion or page size cannot be continued with it."""
    cursor = Cursors(KEY, 60).seal(Page("rec-1"), principal_id="p", match=LIST)

    assert Reason.CURSOR_INVALID is refused(Cursors(KEY, 60), cursor, match=matched(other))


def refused(cursors: Cursors, cursor: str, *, principal_id: str = "p", match: Match = LIST) -> Reason:
    with pytest.raises(RouteRefused) as caught:
        cursors.unseal(cursor, principal_id=principal_id, match=match)
    return caught.value.reason


def test_a_cursor_serves_no_other_principal() -> None:
    """A cursor handed to a colleague is refused."""
    cursor = Cursors(KEY, 60).seal(Page("rec-1"), principal_id="p", match=LIST)

    assert Reason.CURSOR_INVALID is refused(Cursors(KEY, 60), cursor, principal_id="q")


def test_the_page_before_does_not_matter() -> None:
    """A cursor continues its list from any page of it: the old cursor in the query is no parameter of the list."""
    cursors = Cursors(KEY, 60)
    second = matched(f"/people/person.json?surname=white&_size=5&_next={'x' * 40}")

    assert Page("rec-1") == cursors.unseal(
        cursors.seal(Page("rec-1"), principal_id="p", match=LIST), principal_id="p", match=second
    )


def test_a_cursor_expires() -> None:
    """A cursor is good until its lifetime has passed, and not a second longer."""
    clock = Clock()
    cursors = Cursors(KEY, 60, clock)
    cursor = cursors.seal(Page("rec-1"), principal_id="p", match=LIST)

    clock.now += 59
    assert Page("rec-1") == cursors.unseal(cursor, principal_id="p", match=LIST)
    clock.now += 1
    assert Reason.CURSOR_INVALID is refused(cursors, cursor)


def test_another_key_opens_nothing() -> None:
    """Cursors die with the key."""
    cursor = Cursors(KEY, 60).seal(Page("rec-1"), principal_id="p", match=LIST)

    assert Reason.CURSOR_INVALID is refused(Cursors(b"l" * 32, 60), cursor)


@given(st.integers(0, 1061), st.sampled_from("ABCabc019-_"))
def test_a_changed_cursor_is_refused(at: int, character: str) -> None:
    """Any one character changed breaks the seal."""
    cursors = Cursors(KEY, 60)
    cursor = cursors.seal(Page("rec-1"), principal_id="p", match=LIST)
    changed = cursor[:at] + character + cursor[at + 1 :]
    if changed == cursor:
        return

    assert Reason.CURSOR_INVALID is refused(cursors, changed)


def test_a_cursor_has_one_spelling() -> None:
    """Bits of the last character that no byte uses are none the less part of it: sixteen spellings, one cursor."""
    cursors = Cursors(KEY, 60)
    cursor = cursors.seal(Page("rec-1"), principal_id="p", match=LIST)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    assert {Reason.CURSOR_INVALID} == {
        refused(cursors, cursor[:-1] + last) for last in alphabet if last != cursor[-1]
    }
    assert Reason.CURSOR_INVALID is refused(cursors, cursor + "==")


@given(st.text(max_size=1100))
def test_no_text_is_a_cursor_by_chance(text: str) -> None:
    """Whatever a client sends instead of a cursor is refused, never a crash."""
    assert Reason.CURSOR_INVALID is refused(Cursors(KEY, 60), text)


@pytest.mark.parametrize("token", ["rec-1003-dup-0", "white,rec-1003-dup-0", ""])
def test_the_upstreams_own_token_is_no_cursor(token: str) -> None:
    """Datasette's tokens are row ids: with one, anybody could start a list at any row."""
    assert Reason.CURSOR_INVALID is refused(Cursors(KEY, 60), token)


def test_a_token_too_long_to_seal_is_an_outage() -> None:
    """A token that would not fit the one length is not sealed in part."""
    cursors = Cursors(KEY, 60)

    cursors.seal(Page("x" * MAX_TOKEN_BYTES), principal_id="p", match=LIST)
    with pytest.raises(AnswerOutage):
        cursors.seal(Page("x" * (MAX_TOKEN_BYTES + 1)), principal_id="p", match=LIST)


@pytest.mark.parametrize(("key", "lifetime_s"), [(b"k" * 31, 60), (b"", 60), (KEY, 0), (KEY, -1)])
def test_a_poor_key_or_lifetime_is_refused(key: bytes, lifetime_s: int) -> None:
    """A short key or no lifetime is a mistake of the caller."""
    with pytest.raises(ValueError, match=r"seconds > 0|32 bytes"):
        Cursors(key, lifetime_s)
