"""The shipped policies: what the vocabulary promises of them, held for any lookup, against the real Cerbos."""

import asyncio
import json
import re
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
from purposegate.errors import Finding
from purposegate.judge import judge
from purposegate.model import Action, Answer, Conflict, Obligation, Outcome, Question, Tier, Whose

WEIGHING = "variables/weighing.yaml"

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
    "ref_state": ("closed", "ended", "open", "assigned"),
    "on_duty": (False, True),
    "entitled": (False, True),
    "explained_by": ((), ("case-involves-record",), ("case-involves-record", "dispatched")),
    "involvement": ("ended", "none", "current"),
    "repeat": ("over", "many", "few", "first"),
    "breadth": ("high", "usual"),
    "challenge": ("drawn", "none"),
    "vetting": ("expired", "unknown", "valid"),
    "training": ("expired", "unknown", "valid"),
    "tenure": ("new", "unknown", "settled"),
    "originator": ("named", "confirmed", "none"),
    "recipient": ("none", "named"),
}
"""Facts in the order of what they may open: one further to the left never opens more, and never owes less."""

PATTERNS = (
    "partial-name",
    "many-opens",
    "paged-through",
    "many-doors",
    "same-reason",
    "crowd",
    "searched-tie",
)
KINDS = ("person", "case", "vehicle", "address", "phone", "operation", "exhibit")

CONFLICTS = st.builds(
    lambda whose, relation, tier, origin, default: Conflict(
        whose=whose,
        relation=relation,
        tier=tier,
        provenance=origin,
        entry="e",
        declared=False,
        default=default,
    ),
    st.sampled_from(Whose),
    st.sampled_from(["self", "relative", "partner", "neighbour", "colleague"]),
    st.sampled_from(Tier),
    st.sampled_from(["hr", "directory", "self-declared"]),
    st.sampled_from(["refuse", "flag"]),
)


@st.composite
def lookups(draw: st.DrawFn) -> Question:
    """Any lookup in the vocabulary, without a conflict."""
    purpose = draw(st.sampled_from(PURPOSES))
    return replace(
        USUAL,
        roles=draw(st.sampled_from([("officer",), ("officer", "supervisor"), ("clerk",)])),
        kind=draw(st.sampled_from(KINDS)),
        action=draw(st.sampled_from(Action)),
        purpose=purpose,
        purpose_family=(purpose.split(".")[0], purpose),
        **{name: draw(st.sampled_from(values)) for name, values in STRONGER.items()},
        break_glass=draw(st.sampled_from([False, False, False, True])),
        patterns=tuple(draw(st.lists(st.sampled_from(PATTERNS), unique=True, max_size=3))),
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


def no_better(worse: Outcome, better: Outcome) -> bool:
    """Whether the one releases no more than the other, and where it releases owes no less."""
    return not worse.released or (better.released and worse.obligations >= better.obligations)


@given(question=lookups(), name=st.sampled_from(sorted(STRONGER)), data=st.data())
def test_weaker_facts_never_release_more_or_owe_less(
    ask: Ask, shipped: ManagedDecider, question: Question, name: str, data: st.DataObject
) -> None:
    """A shorter assignment, a closed case, work that is over, lapsed vetting, one more repeat: each only refuses or owes more."""
    values = STRONGER[name]
    place = values.index(getattr(question, name))
    weaker = replace(question, **{name: data.draw(st.sampled_from(values[: place + 1]))})

    assert no_better(outcome(ask, shipped, weaker), outcome(ask, shipped, question))


@given(question=lookups(), data=st.data())
def test_facts_that_are_weaker_together_never_release_more_or_owe_less(
    ask: Ask, shipped: ManagedDecider, question: Question, data: st.DataObject
) -> None:
    """However many facts turn for the worse at once, nothing opens by it and nothing is owed less."""
    steps = {
        name: data.draw(st.sampled_from(values[: values.index(getattr(question, name)) + 1]), label=name)
        for name, values in STRONGER.items()
    }
    more = data.draw(st.lists(st.sampled_from(PATTERNS), unique=True))
    weaker = replace(question, **steps, patterns=tuple(sorted({*question.patterns, *more})))

    assert no_better(outcome(ask, shipped, weaker), outcome(ask, shipped, question))


@given(question=lookups(), pattern=st.sampled_from(PATTERNS))
def test_one_more_sign_of_fishing_never_releases_more_or_owes_less(
    ask: Ask, shipped: ManagedDecider, question: Question, pattern: str
) -> None:
    """A pattern more can only refuse, or owe more."""
    fishing = replace(question, patterns=tuple(sorted({*question.patterns, pattern})))

    assert no_better(outcome(ask, shipped, fishing), outcome(ask, shipped, question))


@given(question=lookups(), state=st.sampled_from(["closed", "unknown", "none"]))
def test_no_reference_is_worth_more_than_one_that_is_over(
    ask: Ask, shipped: ManagedDecider, question: Question, state: str
) -> None:
    """A reference that is closed, unknown or missing opens nothing that one whose assignment has ended does not."""
    assert (
        outcome(ask, shipped, replace(question, ref_state=state)).released
        <= outcome(ask, shipped, replace(question, ref_state="ended")).released
    )


@given(question=lookups())
def test_the_kind_of_record_changes_nothing(ask: Ask, shipped: ManagedDecider, question: Question) -> None:
    """The shipped rules hold for every kind a force maps, also for one that nobody has thought of yet."""
    told = [outcome(ask, shipped, replace(question, kind=kind)) for kind in (*KINDS, "thought of later")]

    assert [told[0]] * len(told) == told


@given(question=lookups())
def test_what_work_explains_is_asked_nothing(ask: Ask, shipped: ManagedDecider, question: Question) -> None:
    """Only a draw asks somebody whose work explains the lookup, and nothing sends them to a supervisor."""
    explained = replace(question, explained_by=("case-involves-record",), challenge="none")
    told = outcome(ask, shipped, explained)

    assert told.obligations <= {Obligation.FLAG}


@given(question=lookups())
def test_broken_glass_waits_for_nobody(ask: Ask, shipped: ManagedDecider, question: Question) -> None:
    """A view in a declared emergency is neither asked for a longer reason nor sent to a supervisor first."""
    told = outcome(ask, shipped, replace(question, action=Action.VIEW, break_glass=True))

    assert told.obligations <= {Obligation.FLAG}


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


@pytest.mark.parametrize("state", ["assigned", "open"])
def test_the_first_sights_of_somebody_are_asked_nothing(
    ask: Ask, shipped: ManagedDecider, state: str
) -> None:
    """A settled officer's unexplained view on duty is released and owes nothing at all, not even a flag."""
    told = outcome(ask, shipped, replace(USUAL, ref_state=state))

    assert (True, frozenset()) == (told.released, told.obligations)


def test_what_nothing_explains_climbs_from_question_to_refusal(ask: Ask, shipped: ManagedDecider) -> None:
    """Under somebody else's reference: released, asked, sent to a supervisor, refused."""
    bands = ("first", "few", "many", "over")
    told = [outcome(ask, shipped, replace(USUAL, ref_state="open", repeat=band)) for band in bands]

    assert [True, True, True, False] == [one.released for one in told]
    assert [set(), {"flag", "justify"}, {"flag", "justify", "approve"}] == [
        set(one.obligations) for one in told[:3]
    ]


@given(question=lookups())
def test_work_that_is_over_waits_for_a_supervisor(
    ask: Ask, shipped: ManagedDecider, question: Question
) -> None:
    """Once nothing current ties the principal to a record they worked on, no view of it is released unasked."""
    told = outcome(
        ask,
        shipped,
        replace(question, action=Action.VIEW, involvement="ended", explained_by=(), break_glass=False),
    )

    assert not told.released or {Obligation.APPROVE, Obligation.FLAG} <= told.obligations


@given(question=lookups(), word=st.sampled_from(["vetting", "training"]))
def test_what_has_lapsed_opens_nothing_but_for_people_in_need(
    ask: Ask, shipped: ManagedDecider, question: Question, word: str
) -> None:
    """Vetting or training past its date leaves the purposes that save lives, flagged."""
    change: dict[str, Any] = {word: "expired"}
    told = outcome(ask, shipped, replace(question, **change))

    assert not told.released or question.purpose_family[0] == "respond"
    assert not told.released or Obligation.FLAG in told.obligations


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


def findings_without(tmp_path: Path, file: str, change: Callable[[Any], None]) -> list[Finding]:
    """What compiling and testing a copy of the shipped policies finds, one file of it changed."""
    copied = Path(shutil.copytree(POLICIES, tmp_path / "policies"))
    changed = load(copied / file)
    change(changed)
    (copied / file).write_text(json.dumps(changed), encoding="utf-8")
    return compile_findings(copied, binary=CERBOS)


@pytest.mark.parametrize(
    ("file", "spot"),
    losses(),
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_no_rule_or_condition_can_be_lost_unseen(tmp_path: Path, file: str, spot: tuple[Any, ...]) -> None:
    """Without any one rule or condition of the shipped policies, their own tests fail: each permits and refuses something."""

    def lose(node: Any) -> None:
        for key in spot[:-1]:
            node = node[key]
        del node[spot[-1]]

    assert any("_test.yaml" in finding.file for finding in findings_without(tmp_path, file, lose))


CLAIM = re.compile(
    r""""[\w-]+" in [\w.]+|size\([\w.]+\) > 0|[\w.]+ [!=]= "\w+"|!?(?:V\.\w+|[PR]\.attr\.(?:on_duty|break_glass))"""
)
"""One claim in a shared variable: a word compared, a list that holds one, another variable."""


def claims() -> list[Any]:
    """(variable, what it says without one of its claims) for every claim: true where others must hold too, else false."""
    found = []
    for name, text in load(POLICIES / WEIGHING)["exportVariables"]["definitions"].items():
        for claim in CLAIM.finditer(text):
            before, after = text[: claim.start()], text[claim.end() :]
            joined = re.match(r"\s*(&&|\|\|)", after) or re.search(r"(&&|\|\|)[\s(]*$", before)
            lost = "true" if joined and joined[1] == "&&" else "false"
            found.append(pytest.param(name, before + lost + after, id=f"{name}-{claim[0]}"))
    return found


@pytest.mark.parametrize(("name", "text"), claims())
def test_no_claim_can_be_lost_unseen(tmp_path: Path, name: str, text: str) -> None:
    """Without any one claim of the shared variables, the policies' own tests fail."""

    def lose(content: Any) -> None:
        content["exportVariables"]["definitions"][name] = text

    assert any("_test.yaml" in finding.file for finding in findings_without(tmp_path, WEIGHING, lose))
