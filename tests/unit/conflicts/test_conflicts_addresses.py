"""Addresses as they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.conflicts.addresses import Number, Place, place, places
from purposegate.model import Address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Address(number="14", street="Mill Lane"), Address(street="14 Mill Ln.")),
        (Address(number="14", street="Mill Lane"), Address(street="14, MILL LANE")),
        (Address(number="14", street="Mill Lane", unit="2"), Address(street="Flat 2, 14 Mill Lane")),
        (Address(number="14", street="Mill Lane", unit="2"), Address(number="2/14", street="Mill Lane")),
        (
            Address(number="14", street="Mill Lane", unit="2"),
            Address(number="14", street="Mill Lane", unit="Flat 2"),
        ),
        (
            Address(number="14", street="Mill Lane", unit="2"),
            Address(number="14", street="Mill Lane", unit="02"),
        ),
        (Address(number="14a", street="St John's Rd"), Address(number="14 A", street="St Johns Road")),
        (Address(number="12-14", street="High St"), Address(number="12 - 14", street="high street")),
        (Address(number="14", postcode="AB1 2CD"), Address(number="14", postcode="ab12cd")),
    ],
)
def test_two_ways_of_writing_one_address(one: Address, other: Address) -> None:
    """What differs only in writing is folded to one."""
    assert place(one) == place(other)


def test_a_saint_is_no_street() -> None:
    """`St` opening a street's name stays; closing it is spelt out."""
    assert Place(None, "stjohnsstreet", "", "", "") == place(Address(street="St John's St"))


def test_a_house_may_have_a_name() -> None:
    """A name where the number stands is kept as a name, which is next to nothing."""
    made = place(Address(number="Rose Cottage", street="Mill Lane"))

    assert Place(Number(0, 0, name="rosecottage"), "milllane", "", "", "") == made


def test_nothing_comparable_is_no_address() -> None:
    """Blanks and dashes are unknown, not a place that all of them share."""
    assert () == places([Address(), Address(number="-", street="  ", locality="...")])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Number(14, 14), Number(16, 16), 2),
        (Number(14, 14), Number(14, 14, "a"), 0),
        (Number(12, 14), Number(16, 18), 2),
        (Number(12, 16), Number(14, 14), 0),
        (Number(0, 0, name="rosecottage"), Number(1, 1), None),
    ],
)
def test_how_far_numbers_are_apart(one: Number, other: Number, expected: int | None) -> None:
    """Ranges are measured from their nearer ends; a name is no number."""
    assert (expected, expected) == (one.apart(other), other.apart(one))


texts = st.text(max_size=30)


@given(texts, texts, texts, texts, texts)
def test_any_text_can_be_an_address(
    number: str, street: str, unit: str, locality: str, postcode: str
) -> None:
    """Whatever a record holds there, reading it ends, and ends in one of the two answers."""
    made = place(Address(number, street, unit, locality, postcode))

    assert made is None or any(made)
