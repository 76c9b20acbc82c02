"""Who lives together, and who lives next door."""

from collections.abc import Sequence
from math import asin, cos, dist, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.conflicts.addresses import Place, Point, place
from purposegate.conflicts.neighbours import EARTH_M, Nearness, metres, nearness
from purposegate.conflicts.relations import NearBy
from purposegate.model import Address, Tier

HOME = Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD")
SURE, MAYBE = Tier.CONFIRMED, Tier.CANDIDATE


def _place(**parts: str) -> Place:
    made = place(HOME._replace(**parts))
    if made is None:
        raise AssertionError
    return made


def _near(one: Place, other: Place) -> set[tuple[str, Tier]]:
    return {(near.relation, near.tier) for near in nearness(one, other, NearBy(numbers_within=2))}


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
    assert (Nearness("neighbour", SURE, "numbers-apart", 2),) == nearness(
        _place(), _place(number="16"), NearBy(numbers_within=2)
    )


def test_one_uprn_is_one_home_however_it_is_written() -> None:
    """The number stands for the home: no spelling is compared."""
    barn = _place(number="", street="The Old Barn", postcode="", uprn="000906700034")

    assert {("household", SURE)} == _near(_place(uprn="906700034"), barn)


def test_another_flat_of_a_building_with_its_own_uprn_may_be_the_same_home() -> None:
    """Some systems write the building's number for each of its flats."""
    one, other = _place(unit="1", uprn="7", postcode=""), _place(unit="2", uprn="7", street="", number="")

    assert {("household", MAYBE)} == _near(one, other)


WIDE = NearBy(numbers_within=2, metres_within=25, metres_perhaps=100, postcode_units=True)
BEHIND = {"number": "3", "street": "Back Lane", "postcode": "AB1 2CX"}
NORTH = 0.00009
"""Degrees of latitude that make 10 m."""


def _lying(north: float = 0.0, **parts: str) -> Place:
    return _place(latitude=f"{51.5 + north * NORTH:.8f}", longitude="-0.12", **parts)


@pytest.mark.parametrize(
    ("north", "expected"),
    [(0, {("neighbour", SURE)}), (2.4, {("neighbour", SURE)}), (2.6, {("neighbour", MAYBE)}), (9.9, {("neighbour", MAYBE)}),
     (10.1, set())],
)  # fmt: skip
def test_the_house_behind_is_found_by_its_coordinates(north: float, expected: set[tuple[str, Tier]]) -> None:
    """Another street and another postcode, and near all the same; each step here is ten metres."""
    found = nearness(_lying(), _lying(north, **BEHIND), WIDE)

    assert expected == {(near.relation, near.tier) for near in found}


def test_how_many_metres_apart_is_told() -> None:
    """The distance goes with the tie, to explain it."""
    (near,) = nearness(_lying(), _lying(2, **BEHIND), WIDE)

    assert near.by == "metres-apart"
    assert near.apart == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ("0", "0"),
        ("0.0", "0.000"),
        ("91", "0"),
        ("51.5", "181"),
        ("51.5", ""),
        ("51,5", "-0.12"),
        ("nan", "nan"),
    ],
)
def test_what_is_no_place_on_earth_is_not_near_itself(latitude: str, longitude: str) -> None:
    """Two records with the filler that systems write for "not known" do not lie in the same spot of sea."""
    nowhere = _place(number="", street="", postcode="", latitude=latitude, longitude=longitude)

    assert () == nearness(nowhere, nowhere, WIDE)


@pytest.mark.parametrize(
    ("postcode", "expected"),
    [("AB1 2CD", {("neighbour", MAYBE)}), ("ab12cd", {("neighbour", MAYBE)}), ("2600", set()), ("101", set()), ("AB1", set())],
)  # fmt: skip
def test_a_postcode_unit_alone_makes_a_candidate(postcode: str, expected: set[tuple[str, Tier]]) -> None:
    """A full United Kingdom postcode is a street's side; another country's is a town."""
    one, other = _place(number="9", street="", postcode=postcode), _place(number="", postcode=postcode)

    assert expected == {(near.relation, near.tier) for near in nearness(one, other, WIDE)}


def test_metres_agree_with_a_straight_line_through_the_earth() -> None:
    """An independent way to the same figure: the chord between two points of the sphere, and its arc."""
    one, other = Point(64.1466, -21.9426), Point(64.1470, -21.9411)

    def xyz(at: Point) -> tuple[float, float, float]:
        north, east = radians(at.latitude), radians(at.longitude)
        return cos(north) * cos(east), cos(north) * sin(east), sin(north)

    assert metres(one, other) == pytest.approx(2 * EARTH_M * asin(dist(xyz(one), xyz(other)) / 2), abs=1e-4)


addresses = st.builds(
    Address,
    number=st.sampled_from(["", "1", "2", "3", "3a", "4-6", "5", "9", "Oak"]),
    street=st.sampled_from(["", "Mill Lane", "Hill Lane", "High St"]),
    unit=st.sampled_from(["", "1", "2"]),
    locality=st.sampled_from(["", "Ashby", "Barton"]),
    postcode=st.sampled_from(["", "AB1 2CD", "AB1 2CE"]),
    latitude=st.sampled_from(["", "51.5", "51.5002", "51.5005", "51.5009"]),
    longitude=st.sampled_from(["", "-0.12", "-0.1203"]),
    uprn=st.sampled_from(["", "7", "8"]),
)
rules = st.builds(
    NearBy,
    numbers_within=st.integers(0, 10),
    metres_within=st.sampled_from([0, 25, 50]),
    metres_perhaps=st.sampled_from([0, 25, 100]),
    postcode_units=st.booleans(),
)


def _covered(before: Sequence[Nearness], after: Sequence[Nearness]) -> bool:
    """Whether each tie before is there after, as sure or surer."""
    held = {(near.relation, near.tier) for near in after}
    return all({(near.relation, near.tier), (near.relation, SURE)} & held for near in before)


@given(addresses, addresses, rules)
def test_nearness_is_mutual(one: Address, other: Address, within: NearBy) -> None:
    """Whoever lives near somebody has them living near."""
    mine, theirs = place(one), place(other)
    if mine and theirs:
        assert nearness(mine, theirs, within) == nearness(theirs, mine, within)


@given(addresses, addresses, rules, rules)
def test_a_wider_rule_never_loses_a_neighbour(
    one: Address, other: Address, some: NearBy, more: NearBy
) -> None:
    """Every rule widened, alone or with others, finds all that it found before, as sure or surer (law 5)."""
    mine, theirs = place(one), place(other)
    widened = NearBy(
        numbers_within=max(some.numbers_within, more.numbers_within),
        metres_within=max(some.metres_within, more.metres_within),
        metres_perhaps=max(some.metres_perhaps, more.metres_perhaps),
        postcode_units=some.postcode_units or more.postcode_units,
    )
    if mine and theirs:
        assert _covered(nearness(mine, theirs, some), nearness(mine, theirs, widened))


@given(addresses, addresses, rules)
def test_coordinates_and_a_uprn_never_lose_a_neighbour(one: Address, other: Address, within: NearBy) -> None:
    """Whatever more is known of where two addresses lie, what the rest of them says stays (law 5)."""
    bare = {"latitude": "", "longitude": "", "uprn": ""}
    mine, theirs = place(one._replace(**bare)), place(other._replace(**bare))
    mine_known, theirs_known = place(one), place(other)
    if mine and theirs and mine_known and theirs_known:
        assert _covered(nearness(mine, theirs, within), nearness(mine_known, theirs_known, within))
