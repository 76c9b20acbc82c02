"""Matters are what their entries say, in whatever order a store is built again from them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from purposegate.model import Entry, EntryKind
from purposegate.review.matters import OPEN, STEPS, Matter, State, parties, stepped
from purposegate.review.rebuild import _stepping

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KINDS = sorted({kind for kind, _, _ in STEPS})
EVENTS = sorted({event for _, event, _ in STEPS})


def entry(kind: EntryKind, event: str, number: int = 0, name: str = "m1", **fields: Any) -> Entry:
    """One step of a matter."""
    known = {
        "event": event,
        "matter": name,
        "principal": "E1",
        "until": (AT + timedelta(hours=1)).isoformat(),
    }
    return Entry(
        kind=kind,
        lookup_id=name,
        at=AT + timedelta(seconds=number),
        released=False,
        fields={**known, **fields},
    )


def folded(entries: Sequence[Entry]) -> Matter | None:
    """What these entries add up to, in turn; what is no step is passed over."""
    matter: Matter | None = None
    for one in entries:
        matter = stepped(one, matter) or matter
    return matter


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(EVENTS)), max_size=8))
def test_only_steps_of_the_table_are_taken(wanted: list[tuple[EntryKind, str]]) -> None:
    """Whatever comes, a matter moves along the table, counts its steps, and keeps its id and kind."""
    matter: Matter | None = None
    for number, (kind, event) in enumerate(wanted):
        after = stepped(entry(kind, event, number), matter)
        if after is not None:
            assert STEPS[kind, event, matter.state if matter else None] is after.state
            assert (1 if matter is None else matter.step + 1, "m1", kind) == (
                after.step,
                after.id,
                after.kind,
            )
            matter = after
        else:
            assert (kind, event, matter.state if matter else None) not in STEPS or (
                matter is not None and matter.kind is not kind
            )


def test_what_is_over_takes_no_step() -> None:
    """A matter that was refused, used, ended or answered stays so."""
    over = set(State) - OPEN - {State.CONFIRMED, State.DENIED, State.REVIEWED}

    assert [] == [
        (kind, event, state)
        for kind, event, state in product(KINDS, EVENTS, over)
        if (kind, event, state) in STEPS
    ]


@given(st.permutations(["requested", "approved", "used"]))
def test_a_store_is_built_again_whatever_the_clocks_said(order: list[str]) -> None:
    """Entries of gates whose clocks differ come in the wrong order; the matter is the same."""
    matters: dict[str, Matter] = {}
    made = [
        one
        for step in _stepping(matters, [entry(EntryKind.APPROVAL, event) for event in order])
        for one in step
    ]

    assert [State.WAITING, State.APPROVED, State.USED] == [one.state for one in made]
    assert State.USED is matters["m1"].state


def test_an_entry_of_another_matter_is_no_step() -> None:
    """Nor is one without an id, or whose time cannot be read."""
    waiting = folded([entry(EntryKind.APPROVAL, "requested")])

    assert stepped(entry(EntryKind.APPROVAL, "approved", name="m2"), waiting) is None
    assert stepped(entry(EntryKind.APPROVAL, "requested", matter=7), None) is None
    assert stepped(entry(EntryKind.APPROVAL, "requested", until="soon"), None) is None
    assert stepped(entry(EntryKind.APPROVAL, "requested", until="2026-11-20T12:00:00"), None) is None


def test_a_later_step_changes_nobody() -> None:
    """Who asked stays who asked, whoever acts afterwards; who acted stands under the event."""
    approved = folded(
        [
            entry(EntryKind.APPROVAL, "requested"),
            entry(EntryKind.APPROVAL, "approved", principal="S1", records=[["x", "y"]]),
        ]
    )

    assert approved is not None
    assert ("E1", "S1") == (approved.text("principal"), approved.body["approved"]["principal"])
    assert ("", "") == approved.record


def test_an_approval_is_found_by_its_binding_only_while_it_stands() -> None:
    """Before and after, nobody who looks for an approval meets it."""
    steps = [entry(EntryKind.APPROVAL, event, binding="b") for event in ("requested", "approved", "used")]
    found = [("bound", "b") in set(parties(folded(steps[:n]) or _none())) for n in (1, 2, 3)]

    assert [False, True, False] == found


def _none() -> Matter:
    raise AssertionError("the steps lead somewhere")


def test_what_was_answered_hides_nothing_that_waits() -> None:
    """The newest matters of somebody are shown: an answered one takes no place there, or a flood of them would hide an old one."""
    asked = [
        (EntryKind.COUNTERSIGN, ("asked", "confirmed"), {"originator": "E2"}),
        (EntryKind.COUNTERSIGN, ("asked", "denied"), {"originator": "E2"}),
        (EntryKind.HAND_OVER, ("passed", "returned"), {"to": "E2"}),
        (EntryKind.HAND_OVER, ("passed", "taken", "done"), {"to": "E2"}),
    ]
    for kind, events, fields in asked:
        steps = [entry(kind, event, number, **fields) for number, event in enumerate(events)]
        found = [
            ("for", kind, "E2") in set(parties(folded(steps[: n + 1]) or _none())) for n in range(len(steps))
        ]

        assert [*[True] * (len(steps) - 1), False] == found
