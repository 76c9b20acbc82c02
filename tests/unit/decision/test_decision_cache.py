"""Remembered answers: the same as asked ones, of the policies in use, and only while Cerbos is known alive."""

import asyncio
import os
import select
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerbos_world import CERBOS, POLICIES, USUAL, foreign_cerbos, policy, rule, write
from purposegate.decision import ManagedDecider, RemoteDecider, stamp
from purposegate.decision import bundle as bundles
from purposegate.decision.cache import ALIVE_S, KEPT_S, AnswerCache, Told
from purposegate.decision.purity import Reads
from purposegate.decision.serving import Decider, Serving
from purposegate.errors import PdpOutage
from purposegate.model import Answer, Output, Question
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

OPEN = policy("record", rule("open", "ALLOW"))
SHUT = policy("record", rule("shut", "DENY"))
CANARIES = {name: text.decode() for name, text in bundles.canary_files().items()}
OTHER = replace(USUAL, action="search")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountedCerbos:
    """A Cerbos of numbered policies: what it answers depends on the policies and the question, and it counts its calls."""

    def __init__(self, policies: int) -> None:
        self.policies = policies
        self.epoch = 1
        self.connected = True
        self.alive = True
        self.calls = 0
        self.closed = False

    async def check(self, questions: Sequence[Question], *, lookup_id: str) -> tuple[Told, ...]:
        """Answer each question, or be dead."""
        if not self.alive:
            raise PdpOutage(Reason.PDP_UNAVAILABLE, "dead")
        self.calls += 1
        return tuple(Told(self.true(question), f"call-{self.calls}") for question in questions)

    def true(self, question: Question) -> Answer:
        """What these policies answer, always."""
        words = (self.policies, question.action, question.repeat, question.tenure)
        seed = sum(ord(char) for char in repr(words))
        return Answer(seed % 2 == 0, (Output("rule", {"reason": f"r{seed}"}),) if seed % 3 == 0 else ())

    async def aclose(self) -> None:
        """Be closed."""
        self.closed = True


class Numbered(Decider):
    """A decider over a counted Cerbos, with a cache as the real ones have."""

    def __init__(self, clock: Clock, *, by_principal: bool = False) -> None:
        super().__init__()
        self._clock = clock
        self._by_principal = by_principal
        self.cerbos = self.use(0)

    def use(self, policies: int) -> CountedCerbos:
        """Change to other policies."""
        self.cerbos = CountedCerbos(policies)
        client: Any = self.cerbos
        cache = AnswerCache(allow_rules=(), by_principal=self._by_principal, clock=self._clock)
        self._replace(
            Serving(
                client,
                digest=str(policies),
                allow_rules=frozenset(),
                reads_record_ids=False,
                version="",
                cache=cache,
            )
        )
        return self.cerbos


QUESTIONS = st.builds(
    lambda **words: replace(USUAL, **words),
    principal_id=st.sampled_from(["p-1", "p-2"]),
    action=st.sampled_from(["view", "search"]),
    repeat=st.sampled_from(["first", "few"]),
    roles=st.sampled_from([("officer",), ("analyst", "officer"), ()]),
)
STEPS = st.lists(
    st.one_of(
        st.lists(QUESTIONS, max_size=6).map(lambda asked: ("ask", asked)),
        st.floats(0, 90).map(lambda seconds: ("wait", seconds)),
        st.integers(0, 3).map(lambda policies: ("reload", policies)),
        st.just(("restart", 0)),
        st.sampled_from([True, False]).map(lambda connected: ("connect", connected)),
    ),
    max_size=30,
)


@given(STEPS)
async def test_remembered_answers_are_those_that_would_be_given(steps: list[tuple[str, Any]]) -> None:
    """For every sequence of questions, pauses, reloads, restarts and lost channels: what is told is what Cerbos says now."""
    clock = Clock()
    decider = Numbered(clock)
    for step, given_ in steps:
        if step == "ask":
            ruling = await decider.decide(given_, lookup_id="lookup-1")
            wanted = [decider.cerbos.true(one) if one.roles else Answer(allowed=False) for one in given_]
            assert (tuple(wanted), decider.digest) == (ruling.answers, ruling.digest)
        elif step == "reload":
            decider.use(given_)
        elif step == "restart":
            decider.cerbos.epoch += 1
        elif step == "connect":
            decider.cerbos.connected = given_
        else:
            clock.now += given_


@given(STEPS.filter(bool), st.lists(QUESTIONS.filter(lambda one: bool(one.roles)), min_size=1, max_size=6))
async def test_a_dead_cerbos_is_an_outage_within_the_bound(
    steps: list[tuple[str, Any]], asked: list[Question]
) -> None:
    """Law 2: whatever was remembered, past the bound it counts for nothing."""
    clock = Clock()
    decider = Numbered(clock)
    for step, given_ in steps:
        if step == "ask":
            await decider.decide(given_, lookup_id="lookup-1")
    decider.cerbos.alive = False
    clock.now += ALIVE_S * 1.01

    with pytest.raises(PdpOutage):
        await decider.decide(asked, lookup_id="lookup-2")


async def test_the_same_question_is_put_once() -> None:
    """And once more when its second is over, and when its minute is."""
    clock = Clock()
    decider = Numbered(clock)
    for pause in (0.0, 0.5, 0.5, 0.6, 0.1, KEPT_S):
        clock.now += pause
        await decider.decide([USUAL], lookup_id="lookup-1")

    assert 3 == decider.cerbos.calls


async def test_principals_whom_no_policy_tells_apart_share_answers() -> None:
    """Unless a policy reads who asks."""
    calls = []
    for by_principal in (False, True):
        decider = Numbered(Clock(), by_principal=by_principal)
        for principal in ("p-1", "p-2"):
            await decider.decide([replace(USUAL, principal_id=principal)], lookup_id="lookup-1")
        calls.append(decider.cerbos.calls)

    assert [1, 2] == calls


async def test_a_remembered_answer_names_the_call_that_gave_it() -> None:
    """An investigator finds it in Cerbos' own log, under the lookup that asked first."""
    decider = Numbered(Clock())
    first = await decider.decide([USUAL], lookup_id="lookup-1")
    again = await decider.decide([USUAL], lookup_id="lookup-2")
    mixed = await decider.decide([OTHER, USUAL], lookup_id="lookup-3")

    assert ("call-1", "call-1") == (first.call_id, again.call_id)
    assert {"call-1", "call-2"} == set(mixed.call_id.split(","))


@pytest.mark.parametrize(
    "output",
    [
        Output("rule", None),
        Output("rule", {"reason": "r"}, "no such key"),
        Output("rule", {"unknown": "r"}),
        Output("rule", {"obligations": ["dance"]}),
    ],
)
def test_what_is_malformed_is_not_remembered(output: Output) -> None:
    """It is asked again, so that a mended Cerbos is heard."""
    cache = AnswerCache(allow_rules=(), by_principal=False, clock=Clock())
    cache.learn(
        {USUAL: Told(Answer(True, (output,)), "c"), OTHER: Told(Answer(True), "c")},
        epoch=1,
        began=cache.now(),
    )

    assert [OTHER] == list(cache.recall([USUAL, OTHER], epoch=1))


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ('R.attr.purpose == "a"', Reads()),
        ('P.id == "p-1"', Reads(principal_ids=True)),
        ('request.principal.id == "p-1"', Reads(principal_ids=True)),
        ('P["id"] == "p-1"', Reads(principal_ids=True)),
        ("size(P) > 1", Reads(principal_ids=True)),
        ("size(request) > 1", Reads(principal_ids=True, record_ids=True)),
        ('R.id == "7"', Reads(record_ids=True)),
        ("now() > timestamp('2026-01-01T00:00:00Z')", Reads(clock=True)),
        ('"officer" in P.roles && P.attr.on_duty', Reads()),
    ],
)
def test_what_policies_read_is_known(tmp_path: Path, expression: str, reads: Reads) -> None:
    """An answer keeps only for what its question carries."""
    text = policy("record", rule("one", "ALLOW", expr=expression))

    assert reads == bundles.read(write(tmp_path, {"a.yaml": text})).reads


def test_a_principal_policy_is_about_one_principal(tmp_path: Path) -> None:
    """Though no expression of it reads an id."""
    text = (
        '{"apiVersion": "api.cerbos.dev/v1", "principalPolicy": {"principal": "p-1", "version": "default", '
        '"rules": [{"resource": "record", "actions": [{"action": "view", "effect": "EFFECT_ALLOW"}]}]}}'
    )

    assert bundles.read(write(tmp_path, {"a.yaml": OPEN, "b.yaml": text})).reads.principal_ids


def test_the_shipped_policies_let_answers_be_shared() -> None:
    """They read neither who asks, nor for which record, nor when."""
    assert Reads() == bundles.read(POLICIES).reads


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedDecider]:
    """A managed Cerbos of this module's own."""
    decider = ManagedDecider(POLICIES, binary=CERBOS, deadline_s=5.0)
    asyncio.run(decider.start())
    yield decider
    asyncio.run(decider.aclose())


def serving_of(decider: Decider) -> Serving:
    """What a decider asks at this moment."""
    serving = decider._serving
    if serving is None:
        raise AssertionError("the decider is not started")
    return serving


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(
            st.builds(
                lambda **words: replace(USUAL, **words),
                action=st.sampled_from(["view", "search", "export"]),
                repeat=st.sampled_from(["first", "few", "many", "over"]),
                ref_state=st.sampled_from(["assigned", "open", "closed", "unknown", "none"]),
                tenure=st.sampled_from(["new", "settled"]),
                conflict=st.sampled_from(["none", "self", "neighbour"]),
            ),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=6,
    )
)
async def test_the_shipped_policies_say_the_same_remembered_or_asked(
    real: ManagedDecider, lookups: list[list[Question]]
) -> None:
    """With the real Cerbos and the shipped policies, for any sequence of questions."""
    for asked in lookups:
        ruling = await real.decide(asked, lookup_id="lookup-1")
        true = await serving_of(real).client.check(asked, lookup_id="lookup-1")
        assert tuple(told.answer for told in true) == ruling.answers


async def test_a_reload_forgets(tmp_path: Path) -> None:
    """The first question after a change of policies is answered by the new ones."""
    directory = write(tmp_path / "policies", {"a.yaml": OPEN})
    decider = ManagedDecider(directory, binary=CERBOS, deadline_s=5.0)
    await decider.start()
    try:
        before = [(await decider.decide([USUAL], lookup_id="l")).answers[0].allowed for _ in range(3)]
        write(directory, {"a.yaml": SHUT})
        await decider.reload()
        after = [(await decider.decide([USUAL], lookup_id="l")).answers[0].allowed for _ in range(3)]
    finally:
        await decider.aclose()

    assert ([True] * 3, [False] * 3) == (before, after)


async def told_until_it_fails(decider: Decider) -> int:
    """How many answers came before an outage; both are in due order, so a cache that hides death ends at the deadline."""
    count, deadline = 0, monotonic() + 20
    while monotonic() < deadline:
        await decider.decide([USUAL], lookup_id="lookup-1")
        count += 1
        await asyncio.sleep(0.005)
    raise AssertionError("no outage in twenty seconds")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_managed_cerbos_that_is_killed_or_stopped_is_an_outage(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Law 2, with the question warm in the cache: killed or hung, nothing is decided any more."""
    decider = ManagedDecider(write(tmp_path / "policies", {"a.yaml": OPEN}), binary=CERBOS, deadline_s=0.5)
    await decider.start()
    try:
        ids = {(await decider.decide([USUAL], lookup_id="lookup-1")).call_id for _ in range(5)}
        pid = decider.pid
        assert pid is not None
        os.kill(pid, number)
        with pytest.raises(PdpOutage) as caught:
            await told_until_it_fails(decider)
    finally:
        if number is signal.SIGSTOP and pid is not None:
            os.kill(pid, signal.SIGKILL)
        await decider.aclose()

    assert (1, Reason.PDP_UNAVAILABLE) == (len(ids), caught.value.reason)


async def test_a_managed_cerbos_that_has_ended_answers_not_once_more(tmp_path: Path) -> None:
    """Law 2: once the kernel has ended it, the very next question is an outage, though its answer is remembered."""
    decider = ManagedDecider(write(tmp_path / "policies", {"a.yaml": OPEN}), binary=CERBOS, deadline_s=5.0)
    await decider.start()
    try:
        await decider.decide([USUAL], lookup_id="lookup-1")
        pid = decider.pid
        assert pid is not None
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([ended], [], [], 20)
        os.close(ended)
        with pytest.raises(PdpOutage):
            await decider.decide([USUAL], lookup_id="lookup-2")
    finally:
        await decider.aclose()


async def test_somebody_elses_cerbos_that_dies_is_an_outage(tmp_path: Path) -> None:
    """The same for a remote one that serves the policies under their digest."""
    source, served = write(tmp_path / "mine", {"a.yaml": OPEN}), tmp_path / "served"
    write(served, CANARIES)
    stamp.write(bundles.read(source), served)
    with foreign_cerbos(tmp_path, served) as address:
        decider = RemoteDecider(address, policies_dir=source, deadline_s=5.0)
        await decider.start()
        ids = {(await decider.decide([USUAL], lookup_id="lookup-1")).call_id for _ in range(5)}
    with pytest.raises(PdpOutage):
        await told_until_it_fails(decider)
    await decider.aclose()

    assert 1 == len(ids)


async def test_policies_that_nobody_can_name_are_asked_each_time(tmp_path: Path) -> None:
    """Unverified, they may change unseen: nothing is remembered of them."""
    source, served = write(tmp_path / "mine", {"a.yaml": SHUT}), tmp_path / "served"
    write(served, {"a.yaml": OPEN} | CANARIES)
    with foreign_cerbos(tmp_path, served) as address:
        decider = RemoteDecider(address, policies_dir=source, deadline_s=5.0)
        await decider.start()
        ids = {(await decider.decide([USUAL], lookup_id="lookup-1")).call_id for _ in range(3)}
        digest = decider.digest
        await decider.aclose()

    assert ("unverified", 3) == (digest, len(ids))
