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


WHOLE = Address(number="14", street="Mill Lane", unit="2", locality="Ashby", postcode="AB1 2CD")


@pytest.mark.parametrize(
    "line",
    [
        "Flat 2, 14 Mill Lane, Ashby, AB1 2CD",
        "Flat 2, 14, Mill Lane, Ashby, AB1 2CD",
        "FLAT 2, MAPLE COURT, 14, MILL LN, NORTHSIDE, ASHBY, ab12cd",
        "2/14, Mill Lane, Ashby, AB1 2CD",
    ],
)
def test_an_address_in_one_line_is_read_in_its_parts(line: str) -> None:
    """Many systems have one column for all of it."""
    assert place(WHOLE) == place(Address(street=line))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("Mill Lane, Ashby", {"street": "Mill Lane", "locality": "Ashby"}),
        ("Rose Cottage, Mill Lane, Ashby", {"number": "Rose Cottage", "street": "Mill Lane", "locality": "Ashby"}),
        ("14 Flat Lane, Ashby", {"number": "14", "street": "Flat Lane", "locality": "Ashby"}),
        ("First Floor Flat, 70, Acorn Road, Ashby", {"number": "70", "street": "Acorn Road", "unit": "First Floor Flat", "locality": "Ashby"}),
        ("14 Mill Lane,", {"number": "14", "street": "Mill Lane"}),
    ],
)  # fmt: skip
def test_what_a_line_does_not_hold_stays_unknown(line: str, parts: dict[str, str]) -> None:
    """No flat, no number, no postcode: the rest is read all the same."""
    assert place(Address(**parts)) == place(Address(street=line))


def test_parts_that_stand_alone_go_before_those_of_a_line() -> None:
    """Only what is not known yet is taken out of the line."""
    assert place(WHOLE) == place(WHOLE._replace(street="Mill Lane, Barton"))


@given(st.text(st.sampled_from("1a ,/-FlatRoseAB2CD"), max_size=30))
def test_any_line_is_read_somehow(line: str) -> None:
    """Commas in any place break nothing."""
    made = place(Address(street=line))

    assert made is None or any(made)
