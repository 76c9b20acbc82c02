"""Who lives together, and who lives next door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.conflicts.addresses import Place, place
from purposegate.conflicts.neighbours import Nearness, nearness
from purposegate.model import Address, Tier

HOME = Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD")
SURE, MAYBE = Tier.CONFIRMED, Tier.CANDIDATE


def _place(**parts: str) -> Place:
    made = place(HOME._replace(**parts))
    if made is None:
        raise AssertionError
    return made


def _near(one: Place, other: Place) -> set[tuple[str, Tier]]:
    return {(near.relation, near.tier) for near in nearness(one, other, numbers_within=2)}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, {("household", SURE)}),
        ({"street": "MILL LN"}, {("household", SURE)}),
        ({"number": "16"}, {("neighbour", SURE)}),
        ({"number": "12"}, {("neighbour", SURE)}),
        ({"number": "14a"}, {("neighbour", SURE)}),
        ({"number": "17"}, set()),
        ({"street": "Hill Lane"}, {("household", MAYBE)}),
        ({"street": "Mill Road"}, set()),
        ({"street": ""}, {("household", MAYBE)}),
        ({"postcode": "AB1 2CE"}, set()),
        ({"postcode": ""}, {("household", MAYBE)}),
        ({"postcode": "", "locality": "Barton"}, set()),
        ({"postcode": "", "locality": ""}, set()),
        ({"number": ""}, set()),
        ({"number": "Rose Cottage"}, set()),
        ({"unit": "2"}, {("household", MAYBE), ("neighbour", SURE)}),
    ],
)
def test_nearness_to_number_14(parts: dict[str, str], expected: set[tuple[str, Tier]]) -> None:
    """Each part that differs or is unknown decides what two addresses are to each other."""
    assert expected == _near(_place(), _place(**parts))


def test_two_flats_of_one_house_are_neighbours() -> None:
    """The same house, but known to be behind another door."""
    assert {("neighbour", SURE)} == _near(_place(unit="1"), _place(unit="2"))


def test_how_far_apart_is_told() -> None:
    """The number of house numbers between goes with the tie, to explain it."""
    assert (Nearness("neighbour", SURE, 2),) == nearness(_place(), _place(number="16"), numbers_within=2)


addresses = st.builds(
    Address,
    number=st.sampled_from(["", "1", "2", "3", "3a", "4-6", "5", "9", "Oak"]),
    street=st.sampled_from(["", "Mill Lane", "Hill Lane", "High St"]),
    unit=st.sampled_from(["", "1", "2"]),
    locality=st.sampled_from(["", "Ashby", "Barton"]),
    postcode=st.sampled_from(["", "AB1 2CD", "AB1 2CE"]),
)


@given(addresses, addresses, st.integers(0, 10))
def test_nearness_is_mutual(one: Address, other: Address, within: int) -> None:
    """Whoever lives near somebody has them living near."""
    mine, theirs = place(one), place(other)
    if mine and theirs:
        assert nearness(mine, theirs, numbers_within=within) == nearness(theirs, mine, numbers_within=within)


@given(addresses, addresses, st.integers(0, 10))
def test_looking_further_never_loses_a_neighbour(one: Address, other: Address, within: int) -> None:
    """A wider rule finds all that a narrower one does (law 5)."""
    mine, theirs = place(one), place(other)
    if mine and theirs:
        assert set(nearness(mine, theirs, numbers_within=within)) <= set(
            nearness(mine, theirs, numbers_within=within + 1)
        )
