"""A search for somebody whom the searcher has a tie to: in the entry and on the work list, and nowhere the searcher looks."""

from urllib.parse import urlencode

import pytest

from gates import Gated
from purposegate.model import Entry, EntryKind
from purposegate.review.bodies import Body
from purposegate.review.raised import raised

pytestmark = pytest.mark.anyio


def _patterns(entry: Entry) -> list[str]:
    found: list[str] = entry.fields["patterns"]
    return found


def _body(entry: Entry) -> Body:
    return Body(
        kind=entry.kind,
        at=entry.at,
        lookup_id=entry.lookup_id,
        released=entry.released,
        fields=entry.fields,
        rows=entry.rows,
    )


def _for_relative(gated: Gated, **changed: str) -> str:
    """A search for the detective's relative, as the records system spells them."""
    row = gated.world.both.records[gated.world.cast.relative]
    asked = {name: row[name] for name in ("given_name", "surname", "date_of_birth")} | changed
    return f"/people/person.json?{urlencode(asked)}"


async def test_it_is_told_to_nobody_but_the_ledger(gated: Gated) -> None:
    """Where no record fits, whoever has the tie gets what anybody gets, byte for byte, and only their entry says more."""
    path = _for_relative(gated, state="nowhere")
    tied, other = await gated.ask(path), await gated.ask(path, who="T1003")

    assert (other.status_code, other.content) == (tied.status_code, tied.content)
    assert sorted(set(other.headers)) == sorted(set(tied.headers))
    assert [["searched-tie"], []] == [_patterns(entry) for entry in gated.entries]


async def test_it_is_raised_though_nothing_was_found(gated: Gated) -> None:
    """The attempt is what the work list shows: an empty answer is no less a search."""
    await gated.ask(_for_relative(gated, state="nowhere"))
    (entry,) = gated.entries

    assert EntryKind.RELEASE == entry.kind
    assert [True] == ["searched-tie" in row.reasons for row in raised(_body(entry))]


async def test_the_record_is_withheld_as_from_any_list(gated: Gated) -> None:
    """It is not refused for what was searched for; the row stays behind for its tie."""
    answer = await gated.ask(_for_relative(gated))

    assert (200, []) == (answer.status_code, answer.json()["rows"])
    assert ["searched-tie"] == _patterns(gated.entries[-1])


async def test_a_search_by_a_name_alone_is_not_for_one_person(gated: Gated) -> None:
    """Namesakes are looked up all day."""
    row = gated.world.both.records[gated.world.cast.relative]
    await gated.ask(f"/people/person.json?{urlencode({'surname': row['surname'], 'state': 'nowhere'})}")

    assert "searched-tie" not in _patterns(gated.entries[-1])
