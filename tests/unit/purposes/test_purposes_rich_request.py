"""What a token was granted for (RFC 9396): read strictly, narrowed by its common fields, and not for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import DeclarationRefused
from purposegate.exchange import Request
from purposegate.model import Declaration, Login
from purposegate.protocols import Match
from purposegate.purposes.rich_request import Granted, granted, is_live
from purposegate.reasons import Reason
from purposegate.records.mapping import load

ROUTES = load(Path(__file__).parents[3] / "policies" / "records.yaml")
SAID = {"purpose": "investigate.crime", "ref": "CR/1042/26", "reason": "Witness statement for burglary"}
ELEMENT = {"type": "purposegate_lookup", **SAID}
DECLARATION = Declaration(purpose=SAID["purpose"], ref=SAID["ref"], reason=SAID["reason"])


def match(path: str = "/people/person/rec-1.json") -> Match:
    found = ROUTES.match(Request(method="GET", raw_path=path.encode(), path=path))
    assert found is not None
    return found


def read(details: Any, **login: Any) -> tuple[Granted, ...]:
    given: dict[str, Any] = {"audience": "records", "issued_at": 1_000_000, **login}
    return granted(Login(authorization_details=details, **given), match())


@pytest.mark.parametrize(
    "details", [None, [], [{"type": "payment", "amount": 1}]], ids=["no claim", "none", "others'"]
)
def test_a_token_without_our_type_says_nothing(details: Any) -> None:
    """No claim, an empty one, and elements for other APIs declare nothing."""
    assert () == read(details)


def test_an_element_is_the_declaration_that_its_parts_make() -> None:
    """Read as in the header; without an identifier it is granted for no record in particular."""
    assert (Granted(DECLARATION, names_record=False),) == read([{"type": "payment"}, ELEMENT])


APPLIES: dict[str, tuple[dict[str, Any], bool]] = {
    "our audience": ({"locations": ["elsewhere", "records"]}, True),
    "another's": ({"locations": ["elsewhere"]}, False),
    "this action": ({"actions": ["search", "view"]}, True),
    "another action": ({"actions": ["search"]}, False),
    "this kind": ({"datatypes": ["person"]}, True),
    "another kind": ({"datatypes": ["vehicle"]}, False),
    "this record": ({"identifier": "rec-1"}, True),
    "another record": ({"identifier": "rec-2"}, False),
    "all of it": (
        {"locations": ["records"], "actions": ["view"], "datatypes": ["person"], "identifier": "rec-1"},
        True,
    ),
}


@pytest.mark.parametrize(("more", "expected"), APPLIES.values(), ids=APPLIES)
def test_common_fields_only_narrow(more: dict[str, Any], expected: bool) -> None:
    """Each has to fit the lookup, or the element says nothing about it."""
    found = read([{**ELEMENT, **more}])

    assert expected is bool(found)
    assert all(("identifier" in more) is one.names_record for one in found)


def test_an_identifier_names_no_search() -> None:
    """A list is no record, so an element for one record says nothing about it."""
    login = Login(authorization_details=[{**ELEMENT, "identifier": "rec-1"}], audience="records")

    assert () == granted(login, match("/people/person.json"))


MALFORMED: dict[str, Any] = {
    "an object": {"type": "purposegate_lookup"},
    "a text": "purposegate_lookup",
    "texts": ["purposegate_lookup"],
    "no type": [SAID],
    "a number for a type": [{**SAID, "type": 1}],
    "an unknown key": [{**ELEMENT, "records": "any"}],
    "privileges": [{**ELEMENT, "privileges": ["admin"]}],
    "break glass": [{**ELEMENT, "break-glass": True}],
    "a number for a reason": [{**ELEMENT, "reason": 7}],
    "a line break": [{**ELEMENT, "reason": "a\nb"}],
    "an over-long reason": [{**ELEMENT, "reason": "x" * 501}],
    "a text for a list": [{**ELEMENT, "actions": "view"}],
    "an empty list": [{**ELEMENT, "locations": []}],
    "a list of numbers": [{**ELEMENT, "datatypes": [1]}],
    "an action that is none": [{**ELEMENT, "actions": ["view", "peek"]}],
    "a list for an identifier": [{**ELEMENT, "identifier": ["rec-1"]}],
    "an empty identifier": [{**ELEMENT, "identifier": ""}],
    "ever so many": [ELEMENT] * 21,
    "one good and one bad": [ELEMENT, {**ELEMENT, "x": 1}],
    "a bad one that would not apply": [{**ELEMENT, "locations": ["elsewhere"], "x": 1}],
}


@pytest.mark.parametrize("details", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_refuses(details: Any) -> None:
    """Unknown keys and wrong types are errors, not noise, whether or not the element would have applied."""
    with pytest.raises(DeclarationRefused) as caught:
        read(details)

    assert Reason.DECLARATION_MALFORMED is caught.value.reason
    assert caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(
    JSON
    | st.lists(
        st.fixed_dictionaries({"type": st.just("purposegate_lookup")}, optional=dict.fromkeys(SAID, JSON))
    )
)
def test_no_claim_breaks_the_reading(details: Any) -> None:
    """Any JSON: declarations of ours, nothing, or a refusal."""
    try:
        found = read(details)
    except DeclarationRefused as refused:
        assert refused.reason in {Reason.DECLARATION_MALFORMED, Reason.PURPOSE_MISSING}  # noqa: PT017  either may hold
        return
    assert all(isinstance(one.declaration, Declaration) for one in found)


def test_what_was_granted_is_good_for_a_time() -> None:
    """From the token's `iat`, for the purpose's window; without one, never."""
    issued = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    login = Login(issued_at=int(issued.timestamp()))

    assert is_live(login, 60, issued + timedelta(seconds=59))
    assert not is_live(login, 60, issued + timedelta(seconds=60))
    assert not is_live(Login(), 10**9, issued)
