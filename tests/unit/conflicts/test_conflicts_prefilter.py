"""The prefilters: whom they let through to the scorer, held to a reading of their rule that looks at every pair."""

from hypothesis import given, settings
from hypothesis import strategies as st

from purposegate.conflicts.people import Person, person
from purposegate.conflicts.prefilter import Narrow, PairPool, Pool, narrow_keys, wide_keys
from purposegate.model import Address, Identity, Name

# Few values of each sort, so that strangers often share one thing and sometimes two.
NAMES = st.builds(
    Name, st.sampled_from(["", "Ann", "Anne", "Bo", "Mary Jane"]), st.sampled_from(["", "Ode", "Oade", "Lee"])
)
BORN = st.sampled_from(["1980-01-02", "1980-02-01", "1980-01", "1981", "1990-01-02"])
ADDRESSES = st.builds(
    Address,
    number=st.sampled_from(["", "1", "2"]),
    street=st.sampled_from(["", "Mill Lane", "High Street"]),
    locality=st.sampled_from(["", "Aby"]),
    postcode=st.sampled_from(["", "AB1 2CD"]),
)
PEOPLE = st.builds(
    Identity,
    names=st.lists(NAMES, max_size=2).map(tuple),
    born=st.lists(BORN, max_size=2).map(tuple),
    addresses=st.lists(ADDRESSES, max_size=2).map(tuple),
    phones=st.lists(st.sampled_from(["07700 900001", "07700 900002"]), max_size=1).map(tuple),
).map(person)


def share(one: Narrow, other: Narrow) -> bool:
    """Something rare in common, or two of: how a name sounds or begins, a birth, a home."""
    births, homes = set(one.births) & set(other.births), set(one.homes) & set(other.homes)
    kinds = (one.hints & other.hints, births, homes)
    return bool(one.alone & other.alone) or sum(map(bool, kinds)) > 1


@settings(max_examples=300)
@given(st.lists(PEOPLE, max_size=6), PEOPLE)
def test_pairs_let_through_whoever_shares_two_things(others: list[Person], someone: Person) -> None:
    """A whole directory's prefilter finds exactly those who share two sorts of thing, or one that is rare."""
    wanted = [place for place, other in enumerate(others) if share(narrow_keys(someone), narrow_keys(other))]

    assert wanted == PairPool(others).near(narrow_keys(someone))


@settings(max_examples=300)
@given(st.lists(PEOPLE, max_size=6), PEOPLE)
def test_a_single_thing_lets_through_where_entries_are_few(others: list[Person], someone: Person) -> None:
    """The prefilter of one member of staff's entries finds exactly those who share any one thing."""
    wanted = [place for place, other in enumerate(others) if wide_keys(someone) & wide_keys(other)]

    assert wanted == Pool(others, wide_keys).near(wide_keys(someone))


@settings(max_examples=300)
@given(st.lists(PEOPLE, max_size=6), PEOPLE)
def test_nobody_is_passed_over_before_their_pairs_are_made(others: list[Person], someone: Person) -> None:
    """The look before the look: where it says that no pair can be met, none is."""
    pool = PairPool(others)

    if not pool.may_be_near(someone, wide_keys(someone)):
        assert [] == pool.near(narrow_keys(someone))
