"""Laws 5 and 7 under approvals: a reviewer who grants everything releases nothing that more than an approval was missing for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gates import POLICIES
from purposegate.approval import Binding, Taken
from purposegate.approving import with_approval
from purposegate.attempt import Attempt, Snapshot
from purposegate.enforcement.refusal import WaysForward
from purposegate.exchange import Request
from purposegate.judge import judge
from purposegate.model import (
    Action,
    Answer,
    Conflict,
    Declaration,
    Lookup,
    Mode,
    Obligation,
    Output,
    Principal,
    RecordRef,
    Row,
    Tier,
    Whose,
)
from purposegate.purposes.catalogue import load as load_catalogue
from purposegate.records.cursor import Cursors
from purposegate.records.mapping import load as load_records
from purposegate.testing import FixedFacts, UnsafeAllowAll

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RECORD = RecordRef("person", "p1")
ROW = Row(record=RECORD, subjects=(), fields=frozenset(), place=0)
FLAG = frozenset({Obligation.FLAG})
RULE = "rule"
WORDS = [one.value for one in Obligation]


class GrantsAll:
    """A reviewer who has approved everything there is, and counts what was asked of them."""

    def __init__(self, *, owes: bool = False) -> None:
        self.spent = 0
        self._owes = owes

    async def take(
        self, binding: Binding, *, lookup: Lookup, fits: Callable[[str], Awaitable[bool]]
    ) -> Taken | None:
        assert await fits("S1")
        self.spent += 1
        return Taken(id="m1", approver="S1", at=AT)

    async def confirmed(self, lookup: Lookup, originator: str) -> bool:
        return True

    async def owes(self, lookup: Lookup) -> bool:
        return self._owes

    async def broken(self, lookup: Lookup, *, approved: bool) -> None:
        raise AssertionError

    async def on_behalf(self, lookup: Lookup, originator: str) -> None:
        raise AssertionError


async def nobody(_: Request) -> Principal:
    raise AssertionError


SNAPSHOT = Snapshot(
    routes=load_records(POLICIES / "records.yaml"),
    catalogue=load_catalogue(POLICIES / "purposes.yaml", field="Access-Purpose"),
    decider=UnsafeAllowAll(),
    facts=FixedFacts(),
    identify=nobody,
    cursors=Cursors(bytes(32), lifetime_s=3600),
    ways=WaysForward(hand_over="/hand-over", supervisor="/supervisor"),
    modes={},
    digest="d",
)


def attempt(review: GrantsAll, *, glass: bool = False, mode: Mode = Mode.ENFORCE) -> Attempt:
    """A view of one record on its way."""
    principal = Principal(id="E1", roles=("officer",))
    declaration = Declaration(purpose="respond.incident", ref="INC/1/26", break_glass=glass)
    request = Request(method="GET", raw_path=b"/", path="/")
    made = Attempt(
        id="l1",
        at=AT,
        snapshot=replace(SNAPSHOT, review=review, modes={"default": mode}),
        principal=principal,
        request=request,
        match=None,
    )
    made.declaration, made.purpose = declaration, SNAPSHOT.catalogue.named("respond.incident")
    made.lookup = Lookup(
        id="l1",
        at=AT,
        principal=principal,
        action=Action.VIEW,
        kind="person",
        records=(RECORD,),
        declaration=declaration,
    )
    return made


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """What a policy may answer: any effect, obligations, and relations accepted."""
    value: dict[str, Any] = {"obligations": draw(st.lists(st.sampled_from(WORDS), max_size=3))}
    value["accepts"] = draw(st.lists(st.sampled_from(["sibling", "neighbour"]), max_size=2))
    return Answer(draw(st.booleans()), (Output(draw(st.sampled_from([RULE, "other"])), value),))


TIES = st.builds(
    Conflict,
    whose=st.sampled_from(Whose),
    relation=st.sampled_from(["sibling", "neighbour", "self"]),
    tier=st.sampled_from(Tier),
    provenance=st.just("directory"),
    entry=st.just("e"),
    declared=st.booleans(),
)
TIED = st.lists(st.tuples(TIES, answers()), max_size=3)


def decided(review: GrantsAll, plain: Answer, tied: Sequence[tuple[Conflict, Answer]], **given: Any) -> bool:
    """Whether the record is released."""
    ruled = partial(judge, plain, list(tied), allow_rules=frozenset({RULE}))
    return asyncio.run(with_approval(attempt(review, **given), ROW, ruled, fulfilled=FLAG)).released


def without_approve(answer: Answer) -> Answer:
    """The same answer by a policy that wants no approval."""
    outputs = tuple(
        Output(one.src, {**one.value, "obligations": [w for w in one.value["obligations"] if w != "approve"]})
        for one in answer.outputs
    )
    return Answer(answer.allowed, outputs)


@given(plain=answers(), tied=TIED)
def test_an_approval_carries_out_one_obligation_and_no_more(
    plain: Answer, tied: list[tuple[Conflict, Answer]]
) -> None:
    """With every approval granted, what is released is what would be if no rule wanted one: no tie, effect or other duty gives way."""
    free = judge(
        without_approve(plain),
        [(tie, without_approve(answer)) for tie, answer in tied],
        allow_rules=frozenset({RULE}),
        fulfilled=FLAG,
    )

    assert free.released == decided(GrantsAll(), plain, tied)


@given(plain=answers(), tied=TIED, more=st.tuples(TIES, answers()))
def test_one_more_tie_only_refuses(
    plain: Answer, tied: list[tuple[Conflict, Answer]], more: tuple[Conflict, Answer]
) -> None:
    """Law 5, with every approval granted."""
    assert decided(GrantsAll(), plain, tied) or not decided(GrantsAll(), plain, [*tied, more])


@given(plain=answers(), tied=TIED)
def test_an_approval_is_spent_only_where_it_is_all_that_lacks(
    plain: Answer, tied: list[tuple[Conflict, Answer]]
) -> None:
    """Where it would not release, it is not even looked for."""
    review = GrantsAll()

    assert decided(review, plain, tied) or review.spent == 0


@given(plain=answers(), tied=TIED)
def test_the_price_of_broken_glass_only_refuses(plain: Answer, tied: list[tuple[Conflict, Answer]]) -> None:
    """Owing reviews releases nothing that was refused, and with no approval refuses what was released."""
    priced = decided(GrantsAll(owes=True), plain, tied, glass=True)

    assert decided(GrantsAll(), plain, tied, glass=True) or not priced
    assert not decided(Refuses(owes=True), plain, tied, glass=True)


class Refuses(GrantsAll):
    """A reviewer who has approved nothing."""

    async def take(
        self, binding: Binding, *, lookup: Lookup, fits: Callable[[str], Awaitable[bool]]
    ) -> Taken | None:
        return None


def test_monitor_mode_spends_nothing() -> None:
    """Law 10: what passes anyway uses up no approval."""
    review = GrantsAll()
    wants = Answer(True, (Output(RULE, {"obligations": ["approve"]}),))

    assert (False, 0) == (decided(review, wants, [], mode=Mode.MONITOR), review.spent)


@given(st.lists(st.text(max_size=6), min_size=7, max_size=7), st.integers(0, 6))
def test_nothing_that_is_bound_can_be_exchanged(parts: list[str], place: int) -> None:
    """Any part that differs, also where texts are only moved between parts, gives another digest."""

    def bound(values: list[str]) -> Binding:
        principal, action, name, purpose, ref, originator, policy = values
        return Binding(
            principal=principal,
            action=action,
            record=RecordRef("person", name),
            purpose=purpose,
            ref=ref,
            originator=originator,
            recipient="",
            policy=policy,
        )

    changed = [*parts[:place], parts[place] + "x", *parts[place + 1 :]]
    moved = [*parts[1:], parts[0]]

    assert bound(parts).digest != bound(changed).digest
    assert (moved == parts) == (bound(parts).digest == bound(moved).digest)
