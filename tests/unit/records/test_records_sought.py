"""Whom a search's criteria describe."""

from urllib.parse import urlencode

import pytest

from purposegate.exchange import Request
from purposegate.model import Address, Identity, Name
from purposegate.protocols import Routes


def _sought(mapping: Routes, query: str) -> tuple[Identity, ...]:
    path = "/people/person.json"
    match = mapping.match(
        Request(method="GET", raw_path=path.encode(), path=path, query=query.encode(), headers=(), body=b"")
    )
    if match is None:
        raise AssertionError
    return match.sought


EDMUND = Identity(names=(Name("Edmund", "Archer"),), born=("1981-11-05",))


@pytest.mark.parametrize(
    "query",
    [
        "given_name=Edmund&surname=Archer&date_of_birth=19811105",
        "given_name__exact=Edmund&surname__exact=Archer&date_of_birth__exact=19811105",
        "given_name__startswith=Edmund&surname__like=%25Archer%25&date_of_birth=19811105",
        "_search_given_name=Edmund&_search_surname=Archer&date_of_birth=19811105",
    ],
)
def test_criteria_are_read_as_a_row_would_be(mapping: Routes, query: str) -> None:
    """Each column means to a search what it means to a record, whichever operator asks for it."""
    assert (EDMUND,) == _sought(mapping, query)


def test_an_address_is_read_in_its_parts(mapping: Routes) -> None:
    """A search for whoever lives somewhere names a home."""
    (found,) = _sought(mapping, "surname=Archer&street_number=14&address_1=Mill+Lane&postcode=2600")

    assert (Address(number="14", street="Mill Lane", postcode="2600"),) == found.addresses


@pytest.mark.parametrize(
    "text",
    ["Edmund Archer 1981-11-05", "Edmund Archer 19811105", "Edmund Archer 5/11/1981", '"Edmund Archer" 05.11.1981', "archer* 1981-11-05"],
)  # fmt: skip
def test_free_text_is_read_for_a_name_and_a_birth(mapping: Routes, text: str) -> None:
    """People type all of it into one field."""
    (found,) = _sought(mapping, urlencode({"_search": text}))

    assert ("1981-11-05",) == found.born
    assert any(name.surname.casefold() == "archer" for name in found.names)


@pytest.mark.parametrize(
    ("text", "phones", "plates"),
    [
        ("07700 900123", ("07700900123",), ()),
        ("+44 7700 900123", ("+447700900123",), ()),
        ("AB12CDE", (), ("AB12CDE",)),
        ("AB12 CDE", (), ("AB12", "AB12CDE")),
    ],
)
def test_free_text_is_read_for_a_telephone_and_a_plate(
    mapping: Routes, text: str, phones: tuple[str, ...], plates: tuple[str, ...]
) -> None:
    """Written together or apart."""
    (found,) = _sought(mapping, urlencode({"_search": text}))

    assert (phones, plates) == (found.phones, found.plates)


@pytest.mark.parametrize(
    "query",
    ["", "surname__not=Archer", "date_of_birth__gt=19811105", "surname__isnull=1", "_sort=surname", "surname=", "surname=%25",
     "soc_sec_id=1234567", "state=nsw"],
)  # fmt: skip
def test_what_describes_nobody_is_nobody(mapping: Routes, query: str) -> None:
    """What is not looked for, compared with more than one value, or no column of a person."""
    assert () == _sought(mapping, query)


def test_a_long_list_of_names_is_nobody_in_particular(mapping: Routes) -> None:
    """Only its first few are looked at, whatever somebody sends."""
    names = ",".join(f"name{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    (found,) = _sought(mapping, f"given_name__in={names}&surname__in={names}")

    assert 4 == len(found.names)
