"""The shipped policies: what the vocabulary promises of them, held for any lookup, against the real Cerbos."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cerbos_world import CERBOS, POLICIES, USUAL
from purposegate.decision import ManagedDecider, lint
from purposegate.decision.compile import findings as compile_findings
from purposegate.judge import judge
from purposegate.model import Action, Answer, Conflict, Obligation, Outcome, Question, Tier, Whose

Ask = Callable[..., tuple[Answer, ...]]

PURPOSES = (
    "respond.incident",
    "respond.missing",
    "stop.person",
    "stop.vehicle",
    "investigate.crime",
    "custody.process",
    "prosecute.casefile",
    "intel.develop",
    "protest.publicorder",
    "safeguard.victim",
    "licence.firearms",
    "vet.employment",
    "traffic.process",
    "disclose.partner",
    "rights.sar",
    "audit.psd",
    "admin.maintenance",
    "train.test",
)
STRONGER: dict[str, tuple[Any, ...]] = {
    "ref_state": ("closed", "open", "assigned"),
    "on_duty": (False, True),
    "entitled": (False, True),
    "break_glass": (False, True),
    "explained_by": ((), ("reference-involves-record",)),
    "repeat": ("over", "many", "few", "first"),
    "recipient": ("none", "named"),
}
"""Facts in the order of what they may open: one further to the left never opens more."""

CONFLICTS = st.builds(
    lambda whose, relation, tier, default: Conflict(
        whose=whose, relation=relation, tier=tier, provenance="hr", entry="e", declared=False, default=default
    ),
    st.sampled_from(Whose),
    st.sampled_from(["self", "relative", "partner", "neighbour", "colleague"]),
    st.sampled_from(Tier),
    st.sampled_from(["refuse", "flag"]),
)


@st.composite
def lookups(draw: st.DrawFn) -> Question:
    """Any lookup of a person in the vocabulary, without a conflict."""
    purpose = draw(st.sampled_from(PURPOSES))
    return replace(
        USUAL,
        roles=draw(st.sampled_from([("officer",), ("officer", "supervisor"), ("clerk",)])),
        tenure=draw(st.sampled_from(["new", "settled", "unknown"])),
        action=draw(st.sampled_from(Action)),
        purpose=purpose,
        purpose_family=(purpose.split(".")[0], purpose),
        **{name: draw(st.sampled_from(values)) for name, values in STRONGER.items()},
        originator=draw(st.sampled_from(["none", "named"])),
    )


@pytest.fixture(scope="module")
def ask(shipped: ManagedDecider) -> Iterator[Ask]:
    with asyncio.Runner() as runner:
        yield lambda *questions: runner.run(shipped.decide(questions, lookup_id="lookup-1")).answers


def tied(question: Question, conflict: Conflict) -> Question:
    """The question about one conflict alone, as the gate asks it."""
    return replace(
        question,
        conflict=conflict.relation,
        conflict_whose=conflict.whose.value,
        conflict_tier=conflict.tier.value,
        conflict_provenance=conflict.provenance,
        conflict_default=conflict.default,
    )


def outcome(
    ask: Ask, shipped: ManagedDecider, question: Question, conflicts: tuple[Conflict, ...] = ()
) -> Outcome:
    serving = shipped._serving
    assert serving is not None
    plain, *answers = ask(question, *(tied(question, conflict) for conflict in conflicts))
    return judge(
        plain,
        list(zip(conflicts, answers, strict=True)),
        allow_rules=serving.allow_rules,
        fulfilled=frozenset(Obligation),
    )


@given(question=lookups(), name=st.sampled_from(sorted(STRONGER)), data=st.data())
def test_weaker_facts_never_release(
    ask: Ask, shipped: ManagedDecider, question: Question, name: str, data: st.DataObject
) -> None:
    """A shorter assignment, a closed case, no duty, no explanation, one more repeat: none of them releases anything."""
    values = STRONGER[name]
    place = values.index(getattr(question, name))
    weaker = replace(question, **{name: data.draw(st.sampled_from(values[: place + 1]))})

    assert outcome(ask, shipped, weaker).released <= outcome(ask, shipped, question).released


@given(question=lookups(), conflicts=st.lists(CONFLICTS, max_size=3), more=CONFLICTS)
def test_one_more_conflict_never_releases(
    ask: Ask, shipped: ManagedDecider, question: Question, conflicts: list[Conflict], more: Conflict
) -> None:
    """Adding a conflict to any lookup can only refuse it, and can only add obligations."""
    before = outcome(ask, shipped, question, tuple(conflicts))
    after = outcome(ask, shipped, question, (*conflicts, more))

    assert after.released <= before.released
    assert after.obligations >= before.obligations


@given(question=lookups(), conflict=CONFLICTS)
def test_nobody_looks_themself_up(
    ask: Ask, shipped: ManagedDecider, question: Question, conflict: Conflict
) -> None:
    """Under no purpose, by no break-glass, for nobody's sake does a record open to the person it is about."""
    themself = tied(question, replace(conflict, relation="self"))

    assert not ask(themself)[0].allowed


@given(question=lookups(), conflict=CONFLICTS)
def test_an_accepted_conflict_is_flagged(
    ask: Ask, shipped: ManagedDecider, question: Question, conflict: Conflict
) -> None:
    """Whatever tie is let through, somebody looks at it afterwards."""
    told = outcome(ask, shipped, question, (conflict,))

    assert not told.released or Obligation.FLAG in told.obligations


@given(question=lookups())
def test_a_closed_or_unknown_reference_opens_nothing(
    ask: Ask, shipped: ManagedDecider, question: Question
) -> None:
    """Short of breaking glass, only a stop is made without a live reference."""
    told = [
        outcome(ask, shipped, replace(question, ref_state=state, break_glass=False)).released
        for state in ("closed", "unknown", "none")
    ]

    assert 1 == len(set(told))
    assert not any(told) or question.purpose_family[0] == "stop"


@given(question=lookups())
def test_an_unentitled_principal_needs_to_break_glass(
    ask: Ask, shipped: ManagedDecider, question: Question
) -> None:
    """A purpose the catalogue does not open to the principal opens nothing to them."""
    assert not outcome(ask, shipped, replace(question, entitled=False, break_glass=False)).released


@given(question=lookups())
@settings(max_examples=50)
def test_exports_and_edits_stay_narrow(ask: Ask, shipped: ManagedDecider, question: Question) -> None:
    """Exports are disclosures to a named recipient, edits are maintenance, counts are nobody's; glass opens views alone."""
    told = {action: outcome(ask, shipped, replace(question, action=action)).released for action in Action}

    assert not told[Action.COUNT]
    assert not told[Action.EXPORT] or (question.purpose_family[0], question.recipient) == (
        "disclose",
        "named",
    )
    assert not told[Action.EDIT] or question.purpose == "admin.maintenance"
    assert question.purpose != "train.test" or question.break_glass or not any(told.values())


def test_every_purpose_but_training_opens_something(ask: Ask, shipped: ManagedDecider) -> None:
    """With its reference assigned, on duty and entitled, each purpose of the catalogue is released; training is not."""
    told = {
        purpose: outcome(
            ask, shipped, replace(USUAL, purpose=purpose, purpose_family=(purpose.split(".")[0], purpose))
        ).released
        for purpose in PURPOSES
    }

    assert {purpose: purpose != "train.test" for purpose in PURPOSES} == told


def test_break_glass_tells_a_supervisor(ask: Ask, shipped: ManagedDecider) -> None:
    """A view through broken glass is flagged and a supervisor is told; a tie still refuses it."""
    glass = replace(USUAL, break_glass=True, ref_state="unknown", on_duty=False, repeat="over")
    neighbour = Conflict(
        whose=Whose.PRINCIPAL,
        relation="neighbour",
        tier=Tier.CONFIRMED,
        provenance="hr",
        entry="e",
        declared=False,
    )
    told = outcome(ask, shipped, glass)

    assert (True, frozenset({Obligation.FLAG}), frozenset({"supervisor"})) == (
        told.released,
        told.obligations,
        told.notify,
    )
    assert not outcome(ask, shipped, glass, (neighbour,)).released


def test_the_shipped_policies_compile_and_pass() -> None:
    """Cerbos' own compiler and the policies' own tests find nothing."""
    assert [] == compile_findings(POLICIES, binary=CERBOS)


def test_the_shipped_policies_pass_the_linter() -> None:
    """What the linter refuses, the shipped policies do not do."""
    assert [] == lint.findings(POLICIES)


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def spots(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every part of a policy whose loss must be seen by a test: a rule, a condition, one of several conditions."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "condition":
                yield (*path, key)
            yield from spots(value, (*path, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            if path[-1] in {"rules", "of"}:
                yield (*path, place)
            yield from spots(value, (*path, place))


def losses() -> list[tuple[str, tuple[Any, ...]]]:
    files = ("resource_policies/record.yaml", "derived_roles/standing.yaml")
    return [(file, spot) for file in files for spot in spots(load(POLICIES / file))]


@pytest.mark.parametrize(
    ("file", "spot"),
    losses(),
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_no_rule_or_condition_can_be_lost_unseen(tmp_path: Path, file: str, spot: tuple[Any, ...]) -> None:
    """Without any one rule or condition of the shipped policies, their own tests fail: each permits and refuses something."""
    copied = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    changed = load(copied / file)
    node = changed
    for key in spot[:-1]:
        node = node[key]
    del node[spot[-1]]
    with (copied / file).open("w") as out:
        YAML(typ="safe", pure=True).dump(changed, out)

    assert any("_test.yaml" in finding.file for finding in compile_findings(copied, binary=CERBOS))
