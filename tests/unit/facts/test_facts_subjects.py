"""One data subject under one key, through whatever record; and namesakes apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import somebody
from purposegate.facts.subjects import MOST, subject_keys
from purposegate.model import Address, Identity, Name

MILL = Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD")
EDMUND = Identity(
    names=(Name("Edmund", "Archer"),),
    born=("1981-11-05",),
    addresses=(MILL,),
    phones=("07700 900123",),
    plates=("AB12 CDE",),
)


def _shared(one: Identity, other: Identity) -> bool:
    return not set(subject_keys(one)).isdisjoint(subject_keys(other))


@pytest.mark.parametrize(
    "door",
    [
        somebody("EDMUND", "ARCHER", "1981-11-05"),
        somebody("E.", "Archer", "1981-11-05"),
        somebody("Edmund", "Archer", address=Address(number="14", postcode="ab12cd")),
        somebody("Edmund", "Archer", phones=("+44 7700 900123",)),
        somebody("Edmund", "Archer", plates=("ab12cde",)),
        somebody("", "Archer, Edmund", "1981-11-05"),
    ],
    ids=["person", "initial", "keeper at home", "caller", "keeper of the car", "name in one column"],
)
def test_another_door_is_the_same_person(door: Identity) -> None:
    """A name with any one thing that namesakes do not share."""
    assert _shared(EDMUND, door)


@pytest.mark.parametrize(
    "other",
    [
        somebody("Edmund", "Archer"),
        somebody("Edmund", "Archer", "1981"),
        somebody("Edmund", "Archer", "1981-11"),
        somebody("Edmund", "Archer", "1971-11-05"),
        somebody("Frank", "Archer", "1981-11-05"),
        somebody("Ernest", "Archer", address=MILL),
        somebody("Mary", "Hill", phones=("07700 900123",)),
        somebody("Edmund", "Archer", address=Address(street="Mill Lane", locality="Ashby")),
        Identity(),
    ],
    ids=["name", "year", "month", "namesake", "twin", "brother", "same line", "no number", "nobody"],
)
def test_somebody_else_or_nobody_known_shares_nothing(other: Identity) -> None:
    """Namesakes, and those who share a home, a line or a birthday, are counted apart."""
    assert not _shared(EDMUND, other)


def test_a_year_or_a_month_makes_no_person() -> None:
    """Two John Smiths of one year, or one month, are two people as far as anybody can tell."""
    vague = [somebody("John", "Smith", born) for born in ("1981", "1981-11")]

    assert [False, False] == [_shared(one, one) for one in vague]


def test_without_a_name_a_number_stands_for_its_bearer() -> None:
    """A phone's or a vehicle's own record may name nobody; the same number again is the same one."""
    line = Identity(phones=("07700 900123",), plates=("AB12 CDE",))

    assert _shared(line, Identity(phones=("+44 7700 900123",)))
    assert not _shared(line, EDMUND)


def test_the_surest_key_comes_first() -> None:
    """A list counts by one key a person: the date of birth where there is one."""
    assert ["born", "home"] == [
        subject_keys(one)[0].split(":")[0] for one in (EDMUND, somebody("Ann", "Lee", address=MILL))
    ]


texts = st.text(max_size=20)
identities = st.builds(
    Identity,
    names=st.lists(st.builds(Name, given=texts, surname=texts), max_size=4).map(tuple),
    born=st.lists(st.dates().map(str), max_size=3).map(tuple),
    addresses=st.lists(st.builds(Address, number=texts, street=texts, postcode=texts), max_size=3).map(tuple),
    phones=st.lists(texts, max_size=3).map(tuple),
    plates=st.lists(texts, max_size=3).map(tuple),
)


@given(identities)
def test_keys_are_few_and_each_once(identity: Identity) -> None:
    """Whatever a record says of its people, there are at most six keys, the same every time."""
    keys = subject_keys(identity)

    assert (len(set(keys)), keys) == (len(keys), subject_keys(identity))
    assert len(keys) <= MOST
