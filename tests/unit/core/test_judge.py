from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import PdpOutage
from purposegate.judge import Demand, judge, read_outputs
from purposegate.model import Answer, Conflict, Obligation, Outcome, Output, Tier, Whose
from purposegate.reasons import Reason

ALLOW = "policy#allow"
DENY = "policy#deny"
RULES = frozenset({ALLOW})
RELATIONS = ("relative", "neighbour", "partner", "self")


def tie(relation: str, whose: Whose = Whose.PRINCIPAL) -> Conflict:
    return Conflict(
        whose=whose, relation=relation, tier=Tier.CONFIRMED, provenance="vetting", entry="C-1", declared=False
    )


values = st.fixed_dictionaries(
    {},
    optional={
        "reason": st.sampled_from(["because", "work"]),
        "obligations": st.lists(st.sampled_from([word.value for word in Obligation]), max_size=2),
        "accepts": st.lists(st.sampled_from(RELATIONS), max_size=3),
        "mask": st.lists(st.sampled_from(["address", "phone"]), max_size=2),
        "notify": st.sampled_from(["supervisor", "psd"]),
    },
)
answers = st.builds(
    Answer,
    allowed=st.booleans(),
    outputs=st.lists(
        st.builds(Output, src=st.sampled_from([ALLOW, DENY]), value=values, error=st.just("")), max_size=3
    ).map(tuple),
)
ties = st.builds(tie, st.sampled_from(RELATIONS), st.sampled_from(list(Whose)))
weighed = st.lists(st.tuples(ties, answers), max_size=4)
fulfilled = st.frozensets(st.sampled_from(list(Obligation)))


def outcome(plain: Answer, tied: Sequence[tuple[Conflict, Answer]], done: frozenset[Obligation]) -> Outcome:
    return judge(plain, tied, allow_rules=RULES, fulfilled=done)


@given(plain=answers, tied=weighed, one=st.tuples(ties, answers), done=fulfilled)
def test_adding_a_conflict_never_releases(
    plain: Answer,
    tied: list[tuple[Conflict, Answer]],
    one: tuple[Conflict, Answer],
    done: frozenset[Obligation],
) -> None:
    """Law 5: whatever policies answer, one more conflict releases nothing that was refused without it."""
    before = outcome(plain, tied, done)
    after = outcome(plain, [*tied, one], done)

    assert before.released or not after.released


@given(plain=answers, tied=weighed, one=st.tuples(ties, answers), done=fulfilled)
def test_adding_a_conflict_never_lifts_an_obligation_or_a_mask(
    plain: Answer,
    tied: list[tuple[Conflict, Answer]],
    one: tuple[Conflict, Answer],
    done: frozenset[Obligation],
) -> None:
    """Law 5: obligations and masks are unions, so one more conflict can only add to them."""
    before = outcome(plain, tied, done)
    after = outcome(plain, [*tied, one], done)

    assert before.obligations <= after.obligations
    assert before.masks <= after.masks


@given(plain=answers, tied=weighed, done=fulfilled)
def test_release_needs_every_answer_and_every_relation_accepted(
    plain: Answer, tied: list[tuple[Conflict, Answer]], done: frozenset[Obligation]
) -> None:
    """A record is released only if all answers allow and each tie is accepted by an allow rule's output about it."""

    def accepted(conflict: Conflict, answer: Answer) -> bool:
        return any(
            conflict.relation in output.value.get("accepts", [])
            for output in answer.outputs
            if output.src == ALLOW
        )

    demanded = {
        word for answer in (plain, *(a for _, a in tied)) for output in answer.outputs
        for word in output.value.get("obligations", [])
    }  # fmt: skip
    expected = (
        plain.allowed
        and all(a.allowed and accepted(c, a) and c.relation != "self" for c, a in tied)
        and demanded <= set(done)
    )

    assert expected == outcome(plain, tied, done).released


def test_self_is_accepted_under_no_purpose() -> None:
    """A rule that accepts `self` releases nothing: that is a law, not a policy."""
    answer = Answer(allowed=True, outputs=(Output(ALLOW, {"accepts": ["self"]}),))

    assert (Reason.SELF,) == outcome(Answer(allowed=True), [(tie("self"), answer)], frozenset()).reasons


def test_the_losing_rules_output_does_not_accept() -> None:
    """Outputs of a rule that is not an allow rule bind, but accept nothing."""
    answer = Answer(allowed=True, outputs=(Output(DENY, {"accepts": ["relative"], "mask": ["address"]}),))
    seen = outcome(Answer(allowed=True), [(tie("relative"), answer)], frozenset())

    assert (False, frozenset({"address"})) == (seen.released, seen.masks)


def test_an_answer_about_one_relation_accepts_no_other() -> None:
    """Accepting a neighbour in the question about a relative releases nothing."""
    answer = Answer(allowed=True, outputs=(Output(ALLOW, {"accepts": ["neighbour"]}),))

    assert not outcome(Answer(allowed=True), [(tie("relative"), answer)], frozenset()).released


def test_an_obligation_nobody_carries_out_refuses() -> None:
    """An allowed lookup with an obligation beyond this entrance is refused, not released without it."""
    answer = Answer(allowed=True, outputs=(Output(ALLOW, {"obligations": ["approve"]}),))

    assert (Reason.OBLIGATION_UNMET,) == outcome(answer, [], frozenset({Obligation.FLAG})).reasons


@pytest.mark.parametrize(
    "output",
    [
        Output(ALLOW, None),
        Output(ALLOW, "accepts"),
        Output(ALLOW, {"accepts": "relative"}),
        Output(ALLOW, {"accepts": [1]}),
        Output(ALLOW, {"obligations": ["applaud"]}),
        Output(ALLOW, {"mask": [None]}),
        Output(ALLOW, {"reason": 7}),
        Output(ALLOW, {"notify": None}),
        Output(ALLOW, {"accept": ["relative"]}),
        Output(ALLOW, {}, error="no such key"),
    ],
)
def test_a_malformed_output_refuses_the_ruling(output: Output) -> None:
    """An output with an error, an unknown key or word, or a wrong type is an outage of its own, never passed over."""
    with pytest.raises(PdpOutage) as caught:
        read_outputs([output], RULES)

    assert Reason.POLICY_OUTPUT_MALFORMED == caught.value.reason


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=5,
)


@given(
    value=junk
    | st.dictionaries(st.sampled_from(["reason", "obligations", "accepts", "mask", "notify"]), junk)
)
def test_any_output_is_read_whole_or_refused(value: Any) -> None:
    """Whatever a policy emits is either read in full or an outage: there is no third way."""

    def read() -> Demand | Reason:
        try:
            return read_outputs([Output(ALLOW, value)], RULES)
        except PdpOutage as outage:
            return outage.reason

    demand = read()

    assert demand is Reason.POLICY_OUTPUT_MALFORMED or (
        isinstance(demand, Demand)
        and set(value.get("mask", [])) == demand.masks
        and set(value.get("accepts", [])) == demand.accepts
    )


def test_the_error_of_a_malformed_output_does_not_echo_it() -> None:
    """The message names the rule and the key, never the value, which may hold personal data."""
    with pytest.raises(PdpOutage) as caught:
        read_outputs([Output(ALLOW, {"mask": "Jane Roe"})], RULES)

    assert "Jane" not in str(caught.value)


ACCEPTING = Output(ALLOW, {"accepts": ["relative"]})


@pytest.mark.parametrize("allowed", [False, None, 1, "yes", "EFFECT_ALLOW"])
def test_only_true_is_an_allow(allowed: Any) -> None:
    """Law 2: whatever else stands where the effect must be refuses, in the plain answer and in one about a tie.

    A deny beside an allow rule's output is real: Cerbos gives the outputs of every rule that was active.
    """
    good, bad = Answer(allowed=True, outputs=(ACCEPTING,)), Answer(allowed=allowed, outputs=(ACCEPTING,))

    assert outcome(good, [(tie("relative"), good)], frozenset()).released
    assert (Reason.POLICY_REFUSED,) == outcome(bad, [(tie("relative"), good)], frozenset()).reasons
    assert (Reason.CONFLICT,) == outcome(good, [(tie("relative"), bad)], frozenset()).reasons


def test_what_an_answer_about_a_tie_demands_binds() -> None:
    """Law 9: an obligation or a mask that only the tie brings is the record's all the same."""
    demanding = Output(ALLOW, {"accepts": ["relative"], "obligations": ["approve"], "mask": ["address"]})
    found = outcome(
        Answer(allowed=True),
        [(tie("relative"), Answer(allowed=True, outputs=(demanding,)))],
        frozenset({Obligation.FLAG}),
    )

    assert ((Reason.OBLIGATION_UNMET,), frozenset({"address"})) == (found.reasons, found.masks)


@pytest.mark.parametrize(
    "value", [{"accepts": [""]}, {"mask": [""]}, {"obligations": [""]}, {"reason": ""}, {"notify": ""}]
)
def test_an_empty_word_says_nothing_and_refuses(value: Any) -> None:
    """Law 9: a policy that computed nothing where a word must stand did not mean to allow."""
    with pytest.raises(PdpOutage):
        read_outputs([Output(ALLOW, value)], RULES)
