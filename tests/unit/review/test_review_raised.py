"""Which rows of the work list an entry makes, and how they are ranked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.model import EntryKind
from purposegate.review.bodies import Body
from purposegate.review.raised import raised, settled
from purposegate.review.terms import Terms

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SIBLING = {"whose": "principal", "relation": "sibling", "tier": "confirmed"}


def row(**changes: Any) -> dict[str, Any]:
    """One record of an answer, flagged."""
    known = {
        "kind": "person",
        "id": "p1",
        "released": True,
        "reasons": [],
        "obligations": ["flag"],
        "conflicts": [],
        "sight": 3,
        "repeat": "first",
        "subjects": [{"names": [["Ann", "Archer"]], "born": ["1984-02-29"]}],
    }
    return {**known, **changes}


def body(*rows: dict[str, Any], kind: EntryKind = EntryKind.RELEASE, **fields: Any) -> Body:
    """One entry."""
    known = {
        "principal": "E1",
        "purpose": "investigate.crime",
        "ref": "CR/1/26",
        "action": "view",
        "reasons": [],
        "obligations": [],
        "on_duty": True,
        "tenure": "settled",
        "ref_state": "assigned",
        "records": [["person", "p1"]],
    }
    return Body(
        kind=kind,
        at=AT,
        lookup_id="l1",
        released=kind is EntryKind.RELEASE,
        fields={**known, **fields},
        rows=rows,
    )


def test_an_ordinary_release_makes_no_row() -> None:
    """A lookup that nothing flagged is nobody's business."""
    assert () == raised(body(row(obligations=[])))


def test_a_flag_makes_a_row_in_words() -> None:
    """The row names principal, record and data subject, and says why in a sentence."""
    (one,) = raised(body(row(repeat="few")))

    assert ("E1", ("person", "p1"), "Ann Archer, 1984-02-29") == (one.principal, one.record, one.subject)
    assert ("repeat-few", "flagged") == one.reasons
    assert (
        "E1 looked up person/p1 under investigate.crime, CR/1/26: nothing explains it, and the principal keeps coming back"
        " (sight 3); a rule flags it. It was released."
    ) == one.why


@pytest.mark.parametrize(
    ("heavier", "lighter"),
    [
        pytest.param(
            {"conflicts": [SIBLING]}, {"conflicts": [{**SIBLING, "tier": "candidate"}]}, id="a sure tie"
        ),
        pytest.param(
            {"conflicts": [{**SIBLING, "relation": "self"}]}, {"conflicts": [SIBLING]}, id="oneself"
        ),
        pytest.param(
            {"conflicts": [SIBLING]}, {"conflicts": [{**SIBLING, "relation": "colleague"}]}, id="a relative"
        ),
        pytest.param({"conflicts": [SIBLING]}, {"repeat": "many"}, id="a tie before repeats"),
        pytest.param({"repeat": "over"}, {"repeat": "many"}, id="the more often"),
        pytest.param({"repeat": "few"}, {}, id="coming back before a flag alone"),
        pytest.param({"involvement": "ended"}, {}, id="work that is over"),
    ],
)
def test_what_weighs_more(heavier: dict[str, Any], lighter: dict[str, Any]) -> None:
    """The less a sign can be chance, the higher its row stands."""
    (high,), (low,) = raised(body(row(**heavier))), raised(body(row(**lighter)))

    assert high.score > low.score


@pytest.mark.parametrize("changes", [{"tenure": "new"}, {"on_duty": False}])
def test_new_joiners_and_off_duty_weigh_more(changes: dict[str, Any]) -> None:
    """Published cases began soon after joining, and off duty."""
    assert raised(body(row(), **changes))[0].score > raised(body(row()))[0].score


def test_what_somebody_is_to_be_told_of_makes_a_row() -> None:
    """A rule's `notify` is a wish to be looked at, flag or none."""
    (one,) = raised(body(row(obligations=[]), notify=["supervisor"]))

    assert ("notify",) == one.reasons


def test_what_a_search_showed_weighs_less_than_what_was_opened() -> None:
    """Who shares a surname with a relative sees that relative's row withheld, and chose nothing."""
    shown, opened = body(row(conflicts=[SIBLING]), action="search"), body(row(conflicts=[SIBLING]))

    assert raised(shown)[0].score < raised(opened)[0].score


def test_a_flag_alone_waits_with_the_originator() -> None:
    """Where the originator is to answer anyway, a flag for asking on another's behalf is no second row; a tie is."""
    waits: dict[str, Any] = {"originator_known_as": "E2", "originator_confirmed": False}

    assert {("countersign-overdue",)} == {one.reasons for one in raised(body(row(), **waits))}
    assert 3 == len(raised(body(row(conflicts=[SIBLING]), **waits)))


def test_what_a_supervisor_approved_weighs_less() -> None:
    """Somebody has looked already."""
    approved = body(row(repeat="many"), approvals=[{"matter": "m1", "approver": "S1"}])

    assert raised(approved)[0].score < raised(body(row(repeat="many")))[0].score


@pytest.mark.parametrize("reason", ["purpose-missing", "reason-poor", "route-unmapped"])
def test_a_faulty_request_makes_no_row(reason: str) -> None:
    """People mistype all day."""
    assert () == raised(body(kind=EntryKind.REFUSAL, reasons=[reason]))


@pytest.mark.parametrize("reason", ["self", "conflict", "policy-refused", "obligation-unmet"])
def test_what_policy_refused_makes_a_row(reason: str) -> None:
    """Refused before the answer, where a row has an id and nothing else."""
    refused = row(released=False, reasons=[reason], obligations=[], subjects=[])
    (one,) = raised(body(refused, kind=EntryKind.REFUSAL, reasons=[reason]))

    assert one.why.endswith("It was not released.")
    assert one.score > 0


def test_a_long_list_makes_one_row_unless_its_rows_have_signs_of_their_own() -> None:
    """A search of fifty flagged rows is one thing to look at; the row with a tie in it is another."""
    many = [row(id=f"p{n}") for n in range(50)]

    assert 1 == len(raised(body(*many, action="search", patterns=["paged-through"])))
    assert [("person", "p7")] == [
        one.record
        for one in raised(body(*many[:7], row(id="p7", conflicts=[SIBLING]), *many[8:], action="search"))
    ]


def test_an_unanswered_countersign_counts_against_both_once_it_is_overdue() -> None:
    """The rows wait for the deadline of the settings, and for an answer that settles them."""
    release = body(row(obligations=[]), originator="E2", originator_known_as="E2", originator_confirmed=False)
    rows = raised(release, Terms(countersign_hours=10))
    answer = body(kind=EntryKind.COUNTERSIGN, event="confirmed", matter="l1")

    assert {"E1", "E2"} == {one.principal for one in rows}
    assert {AT + timedelta(hours=10)} == {one.due for one in rows}
    assert {settled(answer)} == {one.waits_for for one in rows}


def test_a_denied_countersign_counts_against_both() -> None:
    """More against whoever looked than against whoever is said to have asked."""
    denied = body(kind=EntryKind.COUNTERSIGN, event="denied", matter="l1", principal="E2", looked_up_by="E1")

    assert ["E1", "E2"] == [one.principal for one in raised(denied)]


def test_broken_glass_without_review_becomes_a_row() -> None:
    """From when the review was due, and until somebody reviews it."""
    due = AT + timedelta(hours=24)
    (one,) = raised(body(kind=EntryKind.BROKEN_GLASS, event="noticed", matter="m1", until=due.isoformat()))

    assert (due, settled(body(kind=EntryKind.BROKEN_GLASS, event="reviewed", matter="m1"))) == (
        one.due,
        one.waits_for,
    )


def test_an_approver_with_a_tie_is_on_the_list_too() -> None:
    """The lookup's row is the principal's; a second one is the approver's."""
    tied = body(
        row(released=False, reasons=["obligation-unmet"], obligations=["approve"]),
        kind=EntryKind.REFUSAL,
        reasons=["obligation-unmet"],
        approvals=[{"matter": "m1", "approver": "S1"}],
        approver_conflicts=[SIBLING],
    )

    assert {"E1", "S1"} == {one.principal for one in raised(tied)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["principal", "reasons", "obligations", "records", "originator_known_as", "event", "matter", "until", "approvals",
     "approver_conflicts", "patterns", "conflicts", "subjects", "names", "key", "on_duty", "repeat", "id", "kind"]
)  # fmt: skip


@given(
    kind=st.sampled_from(list(EntryKind)),
    fields=st.dictionaries(NAMES, JSON),
    rows=st.lists(st.dictionaries(NAMES, JSON) | JSON, max_size=4),
    released=st.booleans(),
)
def test_entries_of_any_shape_are_read(
    kind: EntryKind, fields: dict[str, Any], rows: list[Any], released: bool
) -> None:
    """An entry of another release, or of somebody with the key and a grudge, makes rows or none, never an error."""
    strange = Body(kind=kind.value, at=AT, lookup_id="l1", released=released, fields=fields, rows=rows)

    assert all(0 <= one.score <= 100 for one in raised(strange))
    assert isinstance(settled(strange), str)
