"""The score: what it adds up, what it makes of families, and that neither side matters more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import POLICIES, somebody
from purposegate.conflicts import relations
from purposegate.conflicts.matching import Linker, Score
from purposegate.conflicts.people import person
from purposegate.model import Address, Identity, Name, Tier

LINKER = Linker(relations.load(POLICIES / "conflicts.yaml").matching)
HOME = Address(number="14", street="Mill Lane", locality="Ashby", postcode="AB1 2CD")
AWAY = Address(number="9", street="Station Road", locality="Barton", postcode="XY9 8ZW")
EDMUND = somebody("Edmund", "Archer", "1981-11-05", HOME)

given_names = st.sampled_from(["", "Edmund", "Edmond", "Ned", "E", "Mary Ann", "Mary", "Zo\u00eb", "Archer"])
surnames = st.sampled_from(["", "Archer", "Archar", "Smith", "Archer-Smith", "Edmund"])
dates = st.sampled_from(
    ["1981-11-05", "1981-05-11", "1981-11", "1981", "1981-11-06", "1944-02-01", "1981-19-05"]
)
homes = st.sampled_from(
    [HOME, AWAY, HOME._replace(postcode=""), HOME._replace(street="Mill Lene"), Address(postcode="AB1 2CD")]
)
people = st.builds(
    Identity,
    names=st.lists(st.builds(Name, given_names, surnames), max_size=3).map(tuple),
    born=st.lists(dates, max_size=2).map(tuple),
    addresses=st.lists(homes, max_size=2).map(tuple),
    phones=st.sampled_from([(), ("07700 900123",), ("+44 7700 900123", "01632 960001")]),
    plates=st.sampled_from([(), ("AB12 CDE",), ("ab12cde", "XY34 ZZZ")]),
)


def _score(one: Identity, other: Identity) -> Score:
    return LINKER.score(person(one), person(other))


def _tier(one: Identity, other: Identity) -> Tier | None:
    return LINKER.tier(_score(one, other))


@pytest.mark.parametrize(
    "other",
    [
        somebody("EDMUND", "ARCHER", "1981-11-05", HOME),
        somebody("Edmund", "Archer", "1981-11-05", AWAY),
        somebody("Archer", "Edmund", "1981-11-05", HOME),
        somebody("Edmund", "Archer", "1981-05-11", HOME),
        somebody("Edmond", "Acher", "1981-11-05"),
        somebody("Ned", "Archer", "1981-11-05"),
        somebody("Edmund", "Newname", "1981-11-05", HOME),
        somebody("Edmund", "Archer", "1981-11-06", HOME),
        somebody("Edmund", "Archer", "", HOME),
        somebody("Ned James", "Archer", "1981-11-05"),
        somebody("Edmund", "", "1981-11-05", HOME),
        somebody("", "Edmund Archer", "1981-11-05"),
        somebody("", "ARCHER, Edmund James", "1981-11-05"),
        somebody("Mr Edmund Archer", "", "1981-11-05"),
    ],
)
def test_one_person_written_in_another_way_is_confirmed(other: Identity) -> None:
    """Moved, misspelt, married, swapped or shortened: still the same person."""
    assert Tier.CONFIRMED == _tier(EDMUND, other)


@pytest.mark.parametrize(
    "other",
    [
        somebody("Edmund", "Archer"),
        somebody("", "Archer", "", HOME),
        somebody("", "", "", HOME),
        somebody(phones=("07700 900123",)),
    ],
)
def test_too_little_to_be_sure_is_a_candidate(other: Identity) -> None:
    """A rare name alone, or a home that may be a relative's: worth a flag, never certain."""
    assert Tier.CANDIDATE == _tier(
        somebody("Edmund", "Archer", "1981-11-05", HOME, phones=("07700900123",)), other
    )


@pytest.mark.parametrize(
    "other",
    [
        somebody("Mary", "Archer", "1983-02-14", HOME),
        somebody("Mary", "Other", "", HOME),
        somebody("Edmund", "Other", "1944-02-01", AWAY),
        somebody("Ahmed", "Khan", "1981-11-05", AWAY),
        somebody("Mary", "Archer", "1944-02-01"),
        somebody("Mary", "Other", "1944-02-01", HOME),
        somebody("Mary", "Archer", "", HOME),
        somebody("", "", "", HOME._replace(number="16")),
        somebody("Edmund", ""),
        somebody(),
    ],
)
def test_somebody_else_is_nobody(other: Identity) -> None:
    """A sister in the same house, a flatmate, a namesake of another age, a stranger born the same day, somebody next door."""
    assert None is _tier(EDMUND, other)


def test_common_names_need_more() -> None:
    """John Smith by name alone is no candidate, where a rare name is."""
    john = somebody("John", "Smith")

    assert (None, Tier.CANDIDATE) == (_tier(john, john), _tier(EDMUND, somebody("Edmund", "Archer")))


def test_a_plate_is_enough_alone() -> None:
    """A vehicle's record may name nobody; the plate is one vehicle's."""
    assert Tier.CONFIRMED == _tier(
        somebody("Edmund", "Archer", plates=("AB12 CDE",)), somebody(plates=("ab12cde",))
    )


def test_a_plate_with_another_keeper_is_a_candidate() -> None:
    """The vehicle may have been sold."""
    mine, theirs = (
        somebody("Edmund", "Archer", plates=("AB12 CDE",)),
        somebody("Mary", "Jones", plates=("AB12 CDE",)),
    )

    assert Tier.CONFIRMED is not _tier(mine, theirs)


def test_a_larger_crowd_needs_more_evidence() -> None:
    """Against twice as many people a chance agreement is twice as likely: one bit more is wanted."""
    score = Score(22.5, (), kinds=2)

    assert (Tier.CONFIRMED, Tier.CANDIDATE) == (LINKER.tier(score), LINKER.tier(score, raised_bits=1.0))


@given(people, people)
def test_the_table_adds_up(one: Identity, other: Identity) -> None:
    """Every bit of a score is explained by a line of its table, and none of them is empty."""
    score = _score(one, other)

    assert score.bits == pytest.approx(sum(bits for _, bits in score.table))
    assert 0.0 not in {bits for _, bits in score.table}


@given(people, people)
def test_neither_side_matters_more(one: Identity, other: Identity) -> None:
    """The register's description against the record's, or the other way round."""
    assert _score(one, other).bits == pytest.approx(_score(other, one).bits)


RANK = {None: 0, Tier.CANDIDATE: 1, Tier.CONFIRMED: 2}


@given(people, people, st.builds(Name, given_names, surnames))
def test_one_more_alias_never_loosens_a_tie(one: Identity, other: Identity, alias: Name) -> None:
    """Learning another name of somebody can only find more (law 5), once any name is known."""
    known = [name for name in one.names if person(Identity(names=(name,))).names]
    if known:
        more = Identity(
            names=(*one.names, alias),
            born=one.born,
            addresses=one.addresses,
            phones=one.phones,
            plates=one.plates,
        )
        assert RANK[_tier(one, other)] <= RANK[_tier(more, other)]


@given(people)
def test_everybody_matches_themself_at_least_as_well_as_anybody_else(one: Identity) -> None:
    """No evidence speaks against a description being of the person it describes."""
    assert all(bits > 0 or field == "address:bounded" for field, bits in _score(one, one).table)
