"""Each known trap of Cerbos, shown against the real binary: what it answers, and that nothing is released by it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cerbos_world import CERBOS, USUAL, foreign_cerbos, policy, rule, write
from purposegate.decision import ManagedDecider, RemoteDecider, messages
from purposegate.decision.bundle import canary_files
from purposegate.decision.vocabulary import RESOURCE
from purposegate.errors import PdpOutage
from purposegate.judge import judge
from purposegate.model import Answer, Obligation, Outcome, Question, Ruling
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

TRAP = USUAL

RULES = (
    rule(
        "base",
        "ALLOW",
        actions=("view", "search", "export", "edit", "count"),
        roles=("officer", "supervisor"),
    ),
    rule("errs", "DENY", expr='R.attr.never_sent == "x"', actions=("export",)),
    rule("one-role", "DENY", roles=("officer",), actions=("edit",)),
    rule("loses", "ALLOW", actions=("search",), output='{"accepts": ["neighbour"], "obligations": ["flag"]}'),
    rule("wins", "DENY", actions=("search",), output='{"reason": "no"}'),
    rule(
        "speaks",
        "ALLOW",
        actions=("view",),
        output='{"reason": R.attr.purpose}',
        expr='R.attr.purpose == "good"',
    ),
    rule("curious", "DENY", actions=("view",), expr='R.attr.purpose == "curious"'),
    rule("broken", "ALLOW", actions=("count",), output='{"reason": R.attr.never_sent}'),
)


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedDecider]:
    directory = write(tmp_path_factory.mktemp("traps"), {"trap.yaml": policy(RESOURCE, *RULES)})
    decider = ManagedDecider(directory, binary=CERBOS, deadline_s=5.0)
    asyncio.run(decider.start())
    yield decider
    asyncio.run(decider.aclose())


async def ask(decider: ManagedDecider, *questions: Question) -> Ruling:
    return await decider.decide(questions, lookup_id="lookup-1")


def weigh(ruling: Ruling) -> Outcome:
    return judge(ruling.answers[0], (), allow_rules=ruling.allow_rules, fulfilled=frozenset(Obligation))


async def test_a_deny_rule_that_errs_denies(trapped: ManagedDecider) -> None:
    """A deny rule whose condition cannot be evaluated refuses: strict evaluation is on."""
    ruling = await ask(trapped, replace(TRAP, action="export"))

    assert (Answer(allowed=False),) == ruling.answers


async def test_a_lax_cerbos_is_unfit(tmp_path: Path) -> None:
    """A Cerbos without strict evaluation lets a lookup through an erring deny rule, so it is never used."""
    policies = write(tmp_path / "p", {name: content.decode() for name, content in canary_files().items()})
    lax = foreign_cerbos(tmp_path, policies, engine={"strictEvaluation": False})
    with lax as address, pytest.raises(PdpOutage, match="a deny rule that errs lets lookups through"):
        await RemoteDecider(address).start()


async def test_a_cerbos_that_only_warns_is_unfit(tmp_path: Path) -> None:
    """A Cerbos whose schemas do not reject is never used."""
    policies = write(tmp_path / "p", {name: content.decode() for name, content in canary_files().items()})
    warning = foreign_cerbos(tmp_path, policies, schema={"enforcement": "warn"})
    with warning as address, pytest.raises(PdpOutage, match="schemas do not reject"):
        await RemoteDecider(address).start()


async def test_a_deny_on_one_role_is_undone_by_a_second(trapped: ManagedDecider) -> None:
    """Cerbos allows what one role is denied if another is allowed: why the linter wants deny rules for every role."""
    alone = await ask(trapped, replace(TRAP, action="edit"))
    both = await ask(trapped, replace(TRAP, action="edit", roles=("officer", "supervisor")))

    assert (False, True) == (alone.answers[0].allowed, both.answers[0].allowed)


async def test_the_order_of_roles_decides_nothing(trapped: ManagedDecider) -> None:
    """Cerbos stops at the first role that allows; purposegate always sends the roles in one order, each once."""
    orders = [("supervisor", "officer"), ("officer", "supervisor"), ("officer", "supervisor", "officer")]
    rulings = [await ask(trapped, replace(TRAP, action="edit", roles=roles)) for roles in orders]

    assert 1 == len({ruling.answers[0].allowed for ruling in rulings})
    assert 1 == len({tuple(output.src for output in ruling.answers[0].outputs) for ruling in rulings})


async def test_outputs_of_a_losing_rule_release_nothing(trapped: ManagedDecider) -> None:
    """Cerbos returns the outputs of an allow rule that a deny rule beat; the answer is still a refusal."""
    ruling = await ask(trapped, replace(TRAP, action="search"))

    assert {"resource.record.vdefault#loses", "resource.record.vdefault#wins"} == {
        output.src for output in ruling.answers[0].outputs
    }
    assert (Reason.POLICY_REFUSED,) == weigh(ruling).reasons


async def test_an_output_that_errs_refuses_though_the_rule_allows(trapped: ManagedDecider) -> None:
    """Cerbos allows and says the output erred; the ruling as a whole is then malformed."""
    ruling = await ask(trapped, replace(TRAP, action="count"))

    assert ruling.answers[0].allowed
    with pytest.raises(PdpOutage) as caught:
        weigh(ruling)
    assert Reason.POLICY_OUTPUT_MALFORMED == caught.value.reason


@pytest.mark.parametrize("purposes", [("good", "curious"), ("curious", "good"), ("good", "curious", "good")])
async def test_questions_about_one_record_get_their_own_answers(
    trapped: ManagedDecider, purposes: tuple[str, ...]
) -> None:
    """Questions that differ in purpose alone are answered each for itself, in their order."""
    ruling = await ask(trapped, *(replace(TRAP, record_id="r-7", purpose=purpose) for purpose in purposes))

    assert [purpose == "good" for purpose in purposes] == [answer.allowed for answer in ruling.answers]
    assert [1 if purpose == "good" else 0 for purpose in purposes] == [
        len(one.outputs) for one in ruling.answers
    ]


async def test_a_resource_without_policy_is_refused(
    trapped: ManagedDecider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cerbos answers a resource it has no policy for as refused, with no output."""
    monkeypatch.setattr(messages, "RESOURCE", "elsewhere")
    ruling = await ask(trapped, replace(TRAP, purpose="good"))

    assert (Answer(allowed=False),) == ruling.answers


@pytest.mark.parametrize("kind", ["person", "vehicle", "a kind that nobody thought of"])
async def test_every_kind_of_record_is_judged_by_the_one_policy(trapped: ManagedDecider, kind: str) -> None:
    """What sort of record it is chooses no policy: rules that do not read the kind hold for all."""
    ruling = await ask(trapped, replace(TRAP, kind=kind), replace(TRAP, kind=kind, purpose="curious"))

    assert [True, False] == [answer.allowed for answer in ruling.answers]


async def test_more_questions_than_one_call_carries(trapped: ManagedDecider) -> None:
    """Past Cerbos' 50 a call, questions are split, and each still gets its own answer."""
    purposes = ["curious" if number % 3 == 0 else "good" for number in range(173)]
    ruling = await ask(
        trapped,
        *(replace(TRAP, record_id=f"r-{number}", purpose=purpose) for number, purpose in enumerate(purposes)),
    )

    assert [purpose == "good" for purpose in purposes] == [answer.allowed for answer in ruling.answers]
    assert 4 == len(ruling.call_id.split(","))


async def test_principals_are_not_mixed_in_one_call(trapped: ManagedDecider) -> None:
    """Questions of several principals in one decide are answered for their own principal."""
    asked = [
        replace(TRAP, action="edit", roles=(role,)) for role in ("officer", "supervisor", "officer", "clerk")
    ]
    ruling = await ask(trapped, *asked)

    assert [False, True, False, False] == [answer.allowed for answer in ruling.answers]


async def test_a_principal_without_roles_is_refused(trapped: ManagedDecider) -> None:
    """Cerbos takes no question without a role; such a principal is refused, which is no outage."""
    ruling = await ask(trapped, replace(TRAP, roles=()), replace(TRAP, purpose="good"))

    assert [False, True] == [answer.allowed for answer in ruling.answers]


async def test_no_questions_have_no_answers(trapped: ManagedDecider) -> None:
    """Nothing asked, nothing answered, and no call made."""
    assert ((), "") == ((ruling := await ask(trapped)).answers, ruling.call_id)


@pytest.mark.parametrize("poison", ["\ud800", "\udfff tail"])
async def test_text_that_cannot_be_sent_is_an_outage(trapped: ManagedDecider, poison: str) -> None:
    """A lone surrogate cannot be written for Cerbos: an outage with its reason, not a crash and not an answer."""
    with pytest.raises(PdpOutage) as caught:
        await ask(trapped, replace(TRAP, record_id=poison))
    assert Reason.PDP_ANSWER_MALFORMED == caught.value.reason


async def test_a_principal_without_id_is_an_outage(trapped: ManagedDecider) -> None:
    """Cerbos refuses to take the question: nothing was decided, so nothing is answered."""
    with pytest.raises(PdpOutage) as caught:
        await ask(trapped, replace(TRAP, principal_id=""))
    assert Reason.PDP_ANSWER_MALFORMED == caught.value.reason


@pytest.mark.parametrize("text", ["\x00", "é", 'O\'Brien "x" \\', "{{R.id}}", "x" * 20_000])
async def test_odd_ids_are_answered(trapped: ManagedDecider, text: str) -> None:
    """Whatever text a record id is made of, the question is answered like any other."""
    ruling = await ask(trapped, replace(TRAP, record_id=text, purpose="good"))

    assert ruling.answers[0].allowed


async def test_the_loaded_allow_rules_are_known_by_their_src(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names computed from policy files are those the binary gives outputs: odd kinds, nameless rules, both effects."""
    said = '{"reason": "x"}'
    kinds = [
        "plain",
        "two words-x",
        "a:b/c",
        "dotted.kind",
        "Hy--phen",
        "at@x",
        "a_b",
        "a::b",
        "a:1b",
        "café-x",
    ]
    files = {
        f"p{number}.yaml": policy(
            kind,
            rule("named", "ALLOW", output=said),
            rule("", "ALLOW", output=said),
            rule("no", "DENY", output=said),
        )
        for number, kind in enumerate(kinds)
    }
    decider = ManagedDecider(write(tmp_path, files), binary=CERBOS, deadline_s=5.0)
    await decider.start()
    try:
        given: set[str] = set()
        for kind in kinds:
            monkeypatch.setattr(messages, "RESOURCE", kind)
            # Asked under an id of its own, since an answer to the very same question is remembered.
            ruling = await ask(decider, replace(TRAP, record_id=kind))
            given |= {output.src for answer in ruling.answers for output in answer.outputs}
    finally:
        await decider.aclose()

    assert ruling.allow_rules == {src for src in given if not src.endswith("#no")}
    assert 2 * len(kinds) == len(ruling.allow_rules)
