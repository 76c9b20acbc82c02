"""Laws 2, 5 and 7: silence refuses, one more conflict releases nothing, refusals do not talk."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo.walk import declare
from gates import MINE, Gated, World, behind
from hostile import HostileApp, row_page, table_page
from purposegate.errors import FactsOutage, PdpOutage, PurposegateError
from purposegate.gate import Parts
from purposegate.model import (
    Answer,
    Conflict,
    EntryKind,
    Lookup,
    LookupFacts,
    Output,
    Question,
    RecordFacts,
    Row,
    Ruling,
    Tier,
    Whose,
)
from purposegate.protocols import Decider, Facts
from purposegate.reasons import Reason
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio

GLASS = declare("respond.missing", reason="Missing teenager threatens to jump, on the phone now", broken=True)


class Around:
    """The real part, with some of its methods replaced by a fault."""

    def __init__(self, real: Any, **faults: Any) -> None:
        self._real = real
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return self._faults.get(name) or getattr(self._real, name)


def raising(fault: BaseException) -> Any:
    async def fail(*_: Any, **__: Any) -> Any:
        raise fault

    return fail


class TiedFacts:
    """The real facts, plus ties that a test invents for every row."""

    def __init__(self, facts: Facts, ties: Sequence[Conflict]) -> None:
        self._facts = facts
        self._ties = tuple(ties)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)

    async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
        return await self._facts.about_lookup(lookup, stale_ok=stale_ok)

    async def about_records(
        self, lookup: Lookup, rows: Sequence[Row], *, stale_ok: bool = False
    ) -> tuple[RecordFacts, ...]:
        found = await self._facts.about_records(lookup, rows, stale_ok=stale_ok)
        return tuple(
            replace(facts, conflicts=facts.conflicts + (self._ties if row.subjects else ()))
            for row, facts in zip(rows, found, strict=True)
        )


FAULTS = [
    RuntimeError("bug"),
    TimeoutError(),
    KeyError("missing"),
    PdpOutage(Reason.PDP_UNAVAILABLE),
    PdpOutage(Reason.PDP_ANSWER_MALFORMED),
    FactsOutage(Reason.FACTS_STALE),
    FactsOutage(Reason.REGISTER_STALE),
    PurposegateError("unforeseen"),
]
SEAMS = [("facts", "about_lookup"), ("facts", "about_records"), ("facts", "sights"), ("facts", "known_as"),
         ("decider", "decide"), ("routes", "match")]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__ + str(fault))
@pytest.mark.parametrize(("part", "method"), SEAMS)
async def test_a_fault_at_any_seam_releases_nothing(
    world: World, parts: Parts, part: str, method: str, fault: Exception
) -> None:
    """Law 2: whatever fails, however, nothing of the record leaves, and the entry says outage."""
    row = world.both.records[world.cast.suspect]
    broken: Any = Around(getattr(parts.snapshot, part), **{method: raising(fault)})
    if method == "match":
        broken = Around(parts.snapshot.routes, match=lambda _: (_ for _ in ()).throw(fault))
    if method == "sights":
        real = parts.snapshot.facts
        broken = Around(
            real, sights=lambda lookup, **new: Around(real.sights(lookup, **new), take=raising(fault))
        )
    gated = behind(world, HostileApp(row_page(row)), parts, **{part: broken})
    mine = declare("investigate.crime", "CR/1042/26", originator="T1003") if method == "known_as" else MINE
    answer = await gated.ask(world.path(world.cast.suspect), declared=mine)

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)
    assert [EntryKind.OUTAGE] == [entry.kind for entry in gated.entries]


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (Answer(allowed=False),) * 9,
        (Answer(allowed="yes"),) * 3,  # type: ignore[arg-type]
        (Answer(allowed=True, outputs=(Output("resource.record.vdefault#x", {"obligations": ["approve"]}),)),)
        * 3,
        (Answer(allowed=True, outputs=(Output("resource.record.vdefault#x", {"surprise": 1}),)),) * 3,
    ],
)
async def test_a_malformed_answer_of_the_pdp_releases_nothing(
    world: World, parts: Parts, answers: tuple[Answer, ...]
) -> None:
    """Law 2: too few, too many, of a wrong type or with unknown outputs: nothing leaves."""

    class Babbling:
        digest, reads_record_ids = "0" * 64, False

        async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
            return Ruling(answers=answers, allow_rules=frozenset(), digest=self.digest)

    row = world.both.records[world.cast.suspect]
    gated = behind(world, HostileApp(row_page(row)), parts, decider=Babbling())
    answer = await gated.ask(world.path(world.cast.suspect))

    assert answer.status_code in (403, 503)
    assert row["surname"] not in answer.text


ties = st.builds(
    Conflict,
    whose=st.sampled_from(list(Whose)),
    relation=st.sampled_from(["self", "partner", "relative", "neighbour", "colleague", "ex_colleague", "associate", "unheard_of"]),
    tier=st.sampled_from(list(Tier)),
    provenance=st.sampled_from(["self-declared", "vetting", "hr", "derived", "directory"]),
    entry=st.just("C-9"),
    declared=st.booleans(),
    default=st.sampled_from(["refuse", "flag"]),
    score=st.just(30.0),
    table=st.just(()),
)  # fmt: skip
declared_as = st.sampled_from(
    [
        (MINE, "T1001", ("Detective",)),
        (
            declare("respond.missing", "INC/1187/26", "Missing teenager last seen at the bus station"),
            "T1002",
            ("Constable",),
        ),
        (GLASS, "T1002", ("Constable",)),
        (declare("investigate.crime", "CR/2200/26"), "T1001", ("Detective",)),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    few=st.lists(ties, max_size=2),
    more=st.lists(ties, min_size=1, max_size=3),
    how=declared_as,
    dead=st.booleans(),
)
async def test_adding_a_conflict_never_releases_with_the_shipped_policies(
    world: World,
    parts: Parts,
    few: list[Conflict],
    more: list[Conflict],
    how: tuple[str, str, tuple[str, ...]],
    dead: bool,
) -> None:
    """Law 5 through the whole gate and the real Cerbos, alive and dead, glass whole and broken."""
    row = world.both.records[world.cast.suspect]
    declared, who, roles = how
    decider: Decider = parts.snapshot.decider
    if dead:
        decider = Around(decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))

    async def released(conflicts: list[Conflict]) -> bool:
        facts = TiedFacts(parts.snapshot.facts, conflicts)
        gated = behind(world, HostileApp(row_page(row)), parts, facts=facts, decider=decider)
        answer = await gated.ask(world.path(world.cast.suspect), declared=declared, who=who, roles=roles)
        assert (answer.status_code == 200) == (row["surname"] in answer.text)
        return answer.status_code == 200

    assert await released(few) or not await released([*few, *more])
    assert await released(few) or not await released([*more, *few])


async def test_a_malformed_answer_about_a_tie_is_no_way_to_break_glass(world: World, parts: Parts) -> None:
    """Law 5: a tie whose question the policies answer with nonsense does not turn a refusal into a release."""

    class Choking:
        digest, reads_record_ids = "0" * 64, False

        async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
            if any(question.conflict != "none" for question in questions):
                raise PdpOutage(Reason.POLICY_OUTPUT_MALFORMED)
            return Ruling(
                answers=(Answer(allowed=True),) * len(questions), allow_rules=frozenset(), digest=""
            )

    candidate = Conflict(
        whose=Whose.PRINCIPAL,
        relation="neighbour",
        tier=Tier.CANDIDATE,
        provenance="derived",
        entry="",
        declared=False,
    )
    row = world.both.records[world.cast.suspect]
    facts = TiedFacts(parts.snapshot.facts, [candidate])
    gated = behind(world, HostileApp(row_page(row)), parts, facts=facts, decider=Choking())
    answer = await gated.ask(
        world.path(world.cast.suspect), declared=GLASS, who="T1002", roles=("Constable",)
    )

    assert (503, False) == (answer.status_code, row["surname"] in answer.text)
    assert Reason.POLICY_OUTPUT_MALFORMED in gated.entries[-1].fields["reasons"]


async def test_broken_glass_stands_in_for_a_dead_pdp(world: World, parts: Parts) -> None:
    """The outage table: a purpose with when_unavailable break-glass, declared so, by a role the catalogue names."""
    row = world.both.records[world.cast.suspect]
    decider = Around(parts.snapshot.decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))
    gated = behind(world, HostileApp(row_page(row)), parts, decider=decider)
    answer = await gated.ask(
        world.path(world.cast.suspect), declared=GLASS, who="T1002", roles=("Constable",)
    )
    entry = gated.entries[-1]

    assert (200, "pdp-unavailable") == (answer.status_code, entry.fields["overridden"])
    assert {"flag"} == set(entry.rows[0]["obligations"])


@pytest.mark.parametrize(
    ("tier", "status", "reasons"), [(Tier.CONFIRMED, 403, ["conflict"]), (Tier.CANDIDATE, 200, [])]
)
async def test_broken_glass_never_stands_in_where_a_tie_is_confirmed(
    world: World, parts: Parts, tier: Tier, status: int, reasons: list[str]
) -> None:
    """The outage table: with the PDP dead, a tie that the answer shows for certain keeps the record closed; a likeness does not."""
    tie = Conflict(
        whose=Whose.PRINCIPAL,
        relation="relative",
        tier=tier,
        provenance="vetting",
        entry="C-9",
        declared=False,
    )
    row = world.both.records[world.cast.suspect]
    decider = Around(parts.snapshot.decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))
    facts = TiedFacts(parts.snapshot.facts, [tie])
    gated = behind(world, HostileApp(row_page(row)), parts, facts=facts, decider=decider)
    answer = await gated.ask(
        world.path(world.cast.suspect), declared=GLASS, who="T1002", roles=("Constable",)
    )

    assert (status, status == 200) == (answer.status_code, row["surname"] in answer.text)
    assert reasons == gated.entries[-1].fields["reasons"]
    assert ["C-9"] == [found["entry"] for found in gated.entries[-1].rows[0]["conflicts"]]


async def test_a_sight_through_broken_glass_is_counted(world: World, parts: Parts) -> None:
    """Data too old to decide by does not make a sight one that nobody counts."""

    class Stale(TiedFacts):
        async def about_lookup(self, lookup: Lookup, *, stale_ok: bool = False) -> LookupFacts:
            if not stale_ok:
                raise FactsOutage(Reason.FACTS_STALE)
            return await super().about_lookup(lookup, stale_ok=True)

    person = list(world.both.records)[700]
    app = HostileApp(row_page(world.both.records[person]))
    gated = behind(world, app, parts, facts=Stale(parts.snapshot.facts, []))
    for _ in range(2):
        await gated.ask(world.path(person), declared=GLASS, who="T1002", roles=("Constable",))

    assert [1, 2] == [entry.rows[0]["sight"] for entry in gated.entries]


async def test_an_identity_that_cannot_be_checked_is_an_outage(world: World, parts: Parts) -> None:
    """Law 2: whatever breaks where identity is read, nobody is let in and the records system is not asked."""
    app = HostileApp()
    gated = behind(world, app, parts, identify=raising(RuntimeError("bug")))
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (503, []) == (answer.status_code, app.asked)
    assert [EntryKind.UNIDENTIFIED] == [entry.kind for entry in gated.entries]


async def test_outages_do_not_say_what_is_wrong(world: World, parts: Parts) -> None:
    """What failed, and where, is for the log and the entry: one answer for all that is down on the gate's side."""
    faults = [
        PdpOutage(Reason.PDP_UNAVAILABLE, "on /run/x"),
        FactsOutage(Reason.REGISTER_STALE, "register: old"),
    ]
    bodies = []
    for fault in faults:
        decider = Around(parts.snapshot.decider, decide=raising(fault))
        gated = behind(world, HostileApp(), parts, decider=decider)
        body = (await gated.ask(world.path(world.cast.suspect))).json()
        bodies.append(body | {"instance": ""})
        assert fault.detail == gated.entries[-1].fields["detail"]

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("declared", "who", "roles", "status"),
    [
        (MINE, "T1001", ("Detective",), 503),
        (
            declare("respond.missing", "INC/1187/26", "Missing teenager last seen at the bus station"),
            "T1002",
            ("Constable",),
            503,
        ),
        (GLASS, "T1004", ("Paralegal",), 400),
    ],
)
async def test_glass_breaks_only_when_declared_by_whom_the_catalogue_names(
    world: World, parts: Parts, declared: str, who: str, roles: tuple[str, ...], status: int
) -> None:
    """With the PDP dead, a closed purpose, whole glass and a role without the right each stay closed."""
    row = world.both.records[world.cast.suspect]
    decider = Around(parts.snapshot.decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))
    gated = behind(world, HostileApp(row_page(row)), parts, decider=decider)
    answer = await gated.ask(world.path(world.cast.suspect), declared=declared, who=who, roles=roles)

    assert (status, False) == (answer.status_code, row["surname"] in answer.text)


async def test_all_refusals_after_a_valid_declaration_look_alike(gated: Gated) -> None:
    """Law 7: conflict, assignment and policy give the same status, headers and body, but for the lookup's own numbers."""
    world, cast = gated.world, gated.world.cast
    seen = [
        await gated.ask(world.path(cast.relative)),
        await gated.ask(world.path(cast.suspect), declared=declare("investigate.crime", "CR/917/25")),
        await gated.ask(world.path(cast.suspect), declared=declare("investigate.crime", "CR/4711/26")),
        await gated.ask("/people/person.json", declared=declare("investigate.crime", "CR/917/25")),
    ]

    def plain(answer: Any) -> Any:
        body = {name: value for name, value in answer.json().items() if name != "instance"}
        headers = {name: value for name, value in answer.headers.items() if name != "purposegate-receipt"}
        return answer.status_code, str(body), str(headers)

    assert 1 == len({plain(answer) for answer in seen})


async def test_every_refusal_has_a_way_forward(gated: Gated) -> None:
    """Law 8: correct the declaration, hand over, ask a supervisor, break glass, as links in the body."""
    answer = await gated.ask(gated.world.path(gated.world.cast.relative))

    assert ["correct-declaration", "hand-over", "supervisor", "break-glass"] == [
        link["rel"] for link in answer.json()["links"]
    ]


async def test_what_a_refusal_offers_depends_on_the_principal_alone(gated: Gated) -> None:
    """Law 7: somebody who may break glass is offered it on every refusal, whatever the record or the purpose."""
    path, roles = gated.world.path(gated.world.cast.suspect), ("Constable",)
    answers = [
        await gated.ask(path, who="T1002", roles=roles, declared=declared)
        for declared in (declare("investigate.crime", "CR/917/25"), declare("respond.missing", "INC/4711/26", "Missing teenager at the bus station"))
    ]  # fmt: skip

    assert ["break-glass"] * 2 == [answer.json()["links"][-1]["rel"] for answer in answers]


async def test_only_self_and_declared_ties_are_named(gated: Gated) -> None:
    """Law 7: a tie from vetting is never named; oneself and what one declared may be."""
    world, cast = gated.world, gated.world.cast
    helen = {"who": "T1005", "roles": ("Sergeant",), "declared": GLASS}
    named = [
        (await gated.ask(world.path(cast.relative))).json().get("because"),
        (await gated.ask(world.path(cast.officer_themself), who="T1002", roles=("Constable",)))
        .json()
        .get("because"),
        (await gated.ask(world.path(cast.partner_of_sergeant), **helen)).json().get("because"),  # type: ignore[arg-type]
    ]

    assert [None, ["self"], ["partner"]] == named


async def test_a_missing_purpose_lists_what_could_be_declared(gated: Gated) -> None:
    """428 names the purposes open to this principal's roles, with a line to copy."""
    answer = await gated.ask(gated.world.path(gated.world.cast.suspect), declared=None)

    assert 428 == answer.status_code
    assert "investigate.crime" in {purpose["code"] for purpose in answer.json()["declare"]}
    assert "audit.psd" not in {purpose["code"] for purpose in answer.json()["declare"]}


async def test_a_list_withholds_the_conflicted_row_alone(world: World, parts: Parts) -> None:
    """A search with a relative among the hits answers as if the relative did not exist."""
    cast, records = world.cast, world.both.records
    rows = [records[cast.suspect], records[cast.relative], records[cast.witness]]
    gated = behind(world, HostileApp(table_page(rows)), parts)
    answer = await gated.ask("/people/person.json")
    bare = await behind(world, HostileApp(table_page([rows[0], rows[2]])), parts).ask("/people/person.json")

    assert bare.content == answer.content
    assert [True, True, False] == [row["released"] for row in gated.entries[-1].rows]


async def test_an_unknown_originator_is_malformed(gated: Gated) -> None:
    """Somebody the directory lacks cannot be whom the lookup is for."""
    answer = await gated.ask(
        gated.world.path(gated.world.cast.suspect),
        declared=declare("investigate.crime", "CR/1042/26", originator="T9999"),
    )

    assert (400, "/.purposegate/problems/originator-unknown") == (answer.status_code, answer.json()["type"])


@pytest.mark.parametrize("who", ["T9999", "T1006"])
async def test_a_principal_the_directory_lacks_is_nobody_known(world: World, parts: Parts, who: str) -> None:
    """Somebody unknown, or who has left, has no findable ties, so nothing is released: glass whole or broken."""
    row = world.both.records[world.cast.suspect]
    app = HostileApp(row_page(row))
    gated = behind(world, app, parts)
    answers = [
        await gated.ask(world.path(world.cast.suspect), who=who, roles=("Constable",), declared=declared)
        for declared in (MINE, GLASS)
    ]

    assert [403, 403] == [answer.status_code for answer in answers]
    assert {"/.purposegate/problems/principal-unknown"} == {answer.json()["type"] for answer in answers}
    assert [] == app.asked


async def test_broken_glass_opens_a_record_and_no_list(world: World, parts: Parts) -> None:
    """Broken glass is for one record: a search declared so is refused as such, also where the PDP is dead."""
    row = world.both.records[world.cast.suspect]
    decider = Around(parts.snapshot.decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))
    gated = behind(world, HostileApp(table_page([row])), parts, decider=decider)
    answer = await gated.ask("/people/person.json", declared=GLASS, who="T1002", roles=("Constable",))

    assert (400, False) == (answer.status_code, row["surname"] in answer.text)


async def test_an_outage_is_told_to_the_operators_once_a_minute(
    world: World, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """Law 3: the log names the reason and the lookup, not the person, and is not flooded."""
    decider = Around(parts.snapshot.decider, decide=raising(PdpOutage(Reason.PDP_UNAVAILABLE)))
    gated = behind(world, HostileApp(), parts, decider=decider)
    for _ in range(10):
        await gated.ask(world.path(world.cast.suspect))

    said = [record.getMessage() for record in caplog.records if record.name == "purposegate"]
    assert 1 == len(said)
    assert "pdp-unavailable" in said[0]
    assert "T1001" not in said[0]


async def test_a_ledger_outage_is_told_to_the_operators_once_a_minute(
    world: World, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """The log may stand on the disk that is full: people who try again do not fill it."""
    app = HostileApp(row_page(world.both.records[world.cast.suspect]))
    gated = behind(world, app, parts, ledger=DeadLedger(parts))
    statuses = {(await gated.ask(world.path(world.cast.suspect))).status_code for _ in range(10)}

    said = [record.getMessage() for record in caplog.records if record.name == "purposegate"]
    assert {503} == statuses
    assert ["the ledger could not append: nothing is released (1 since last said)"] == said


async def test_one_lookup_asks_one_question_once(world: World, parts: Parts) -> None:
    """A view whose answer changes nothing about the question is not asked about again."""
    asked: list[Question] = []

    async def decide(questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        asked.extend(questions)
        return await parts.snapshot.decider.decide(questions, lookup_id=lookup_id)

    row = world.both.records[world.cast.suspect]
    gated = behind(
        world, HostileApp(row_page(row)), parts, decider=Around(parts.snapshot.decider, decide=decide)
    )
    answer = await gated.ask(world.path(world.cast.suspect))

    assert (200, 1) == (answer.status_code, len(asked))


async def test_a_crash_is_logged_without_what_it_said(
    world: World, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception's message can quote a record: the log gets its type and place, and the lookup's number."""
    facts = Around(parts.snapshot.facts, about_records=raising(RuntimeError("surname whitlam")))
    gated = behind(world, HostileApp(), parts, facts=facts)
    await gated.ask(world.path(world.cast.suspect))

    said = "".join(record.getMessage() for record in caplog.records)
    assert (True, True, False) == (
        "RuntimeError" in said,
        gated.entries[0].lookup_id in said,
        "whitlam" in caplog.text,
    )
