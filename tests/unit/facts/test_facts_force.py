"""`ForceFacts`: what the gate is told, when it is told nothing, and how files are read again."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from force_files import (
    BROTHER,
    DIRECTORY,
    DUTY,
    NOW,
    OFFICER,
    POLICIES,
    REFERENCES,
    REGISTER,
    SERGEANT,
    lookup,
    row,
    somebody,
    write,
    write_force,
)
from purposegate.errors import FactsOutage, ImportRefused, SettingsError
from purposegate.facts import FactsPaths, ForceFacts
from purposegate.facts.history import History
from purposegate.model import Action, Counted, CountKey, Whose
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

REF = "CR/1/26"
EDMUND = somebody("Edmund", "Archer", "1981-11-05")
BILAL = somebody("Bilal", "Khan", "1979-07-14")


async def nothing_yet(keys: Sequence[CountKey]) -> Sequence[Counted]:
    """A ledger without entries."""
    return [Counted(0)] * len(keys)


async def _load(paths: FactsPaths, *, now: datetime = NOW, history: History | None = None) -> ForceFacts:
    return await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=POLICIES / "facts.yaml",
        paths=paths,
        counts=nothing_yet,
        clock=lambda: now,
        history=history,
    )


def _register(paths: FactsPaths) -> Path:
    assert isinstance(paths.register, Path)
    return paths.register


@pytest.fixture
def paths(tmp_path: Path) -> FactsPaths:
    return write_force(
        tmp_path,
        references=[
            {"ref": REF, "kind": "case", "state": "open", "opened": "2026-03-01"},
            {"ref": "CR/2/26", "kind": "case", "state": "closed", "closed": "2026-03-01"},
        ],
        assignments=[
            {"ref": REF, "staff_id": "E1", "from": "2026-03-01", "to": "2026-11-20"},
            {"ref": "CR/2/26", "staff_id": "E1"},
            {"ref": "CR/3/26", "staff_id": "E1"},
        ],
        reference_records=[{"ref": REF, "kind": "person", "id": "77"}],
        duty=[{"staff_id": "E1", "from": "2026-11-20T06:00Z", "to": "2026-11-20T14:00Z"}],
    )


async def test_what_is_known_of_the_lookup(paths: FactsPaths) -> None:
    """Unit, tenure, duty and reference, with the raw days for the ledger alone."""
    about = await (await _load(paths)).about_lookup(lookup(ref=REF))

    assert ("cid", "settled", True, "assigned", {"days_in_post": 4281}) == (
        about.unit,
        about.tenure,
        about.on_duty,
        about.ref_state,
        dict(about.numbers),
    )


async def test_since_when_sights_are_counted(paths: FactsPaths) -> None:
    """Of what nothing explains: the latest work on the record, and on the reference declared; of the rest neither."""
    facts = await _load(paths)
    unlinked, explained = await facts.about_records(lookup(ref=REF), [row(record="78"), row(record="77")])
    (elsewhere,) = await facts.about_records(lookup(ref="CR/9/26"), [row(record="78")])
    assigned = datetime(2026, 3, 1, tzinfo=UTC)

    assert (None, assigned) == (unlinked.last_work, unlinked.ref_work)
    assert (None, None) == (explained.last_work, explained.ref_work)
    assert (None, None) == (elsewhere.last_work, elsewhere.ref_work)


async def test_a_principal_outside_the_directory(paths: FactsPaths) -> None:
    """Nothing is made up about somebody the force does not know."""
    about = await (await _load(paths)).about_lookup(lookup("X9"))

    assert ("unknown", "unknown", False, "none", {}) == (
        about.unit,
        about.tenure,
        about.on_duty,
        about.ref_state,
        dict(about.numbers),
    )


@pytest.mark.parametrize(
    ("who", "ref", "hours", "expected"),
    [
        ("E1", "", 0, "none"),
        ("E1", "   ", 0, "none"),
        ("E1", REF, 0, "assigned"),
        ("E1", "cr/1/26 ", 0, "assigned"),
        ("e1", REF, 0, "assigned"),
        ("E1", REF, 11.9, "assigned"),
        ("E1", REF, 12.1, "ended"),
        ("E2", REF, 0, "open"),
        ("E1", "CR/2/26", 0, "closed"),
        ("E1", "CR/3/26", 0, "unknown"),
        ("E1", "CR/9/99", 0, "unknown"),
    ],
)
async def test_the_state_of_a_reference(
    paths: FactsPaths, who: str, ref: str, hours: float, expected: str
) -> None:
    """Assigned to the principal now, open, closed, not known to the force, or none given."""
    about = await (await _load(paths)).about_lookup(lookup(who, ref=ref, at=NOW + timedelta(hours=hours)))

    assert expected == about.ref_state


async def test_an_assignment_explains_the_records_it_names(paths: FactsPaths) -> None:
    """Whatever reference is declared, only while assigned, only the records it names; the id is enough."""
    facts = await _load(paths)
    rows = [row(record="77"), row(record="78"), row(record="77", kind="case")]
    found = [
        [about.explained_by for about in await facts.about_records(one, rows)]
        for one in (lookup(ref=REF), lookup(ref="CR/2/26"), lookup(), lookup("E2", ref=REF))
    ]

    assert [*[[("assigned-case",), (), ()]] * 3, [(), (), ()]] == found


async def test_ties_of_all_three_behind_a_lookup(paths: FactsPaths) -> None:
    """The principal's, the originator's and the recipient's, each said whose."""
    asked = lookup("E2", originator="E1", recipient="E2")
    (about,) = await (await _load(paths)).about_records(asked, [row(EDMUND, BILAL)])

    assert {
        (Whose.PRINCIPAL, "self"),
        (Whose.ORIGINATOR, "sibling"),
        (Whose.ORIGINATOR, "colleague"),
        (Whose.RECIPIENT, "self"),
    } == {(tie.whose, tie.relation) for tie in about.conflicts}


async def test_one_answer_for_each_row_in_order(paths: FactsPaths) -> None:
    """A long list keeps its order over the turns it yields."""
    rows = [row(EDMUND if place % 3 == 0 else somebody("Q", "Blakeney")) for place in range(35)]
    found = await (await _load(paths)).about_records(lookup(), rows)

    assert [place % 3 == 0 for place in range(35)] == [bool(about.conflicts) for about in found]


async def test_only_who_works_here_can_originate(tmp_path: Path) -> None:
    """A stranger and a leaver are not known; a member of staff is, by the directory's own spelling."""
    staff = [OFFICER, {**SERGEANT, "left": "2026-11-19"}]
    facts = await _load(write_force(tmp_path, staff=staff))

    assert ["E1", "", "", "E1"] == [await facts.known_as(one) for one in ("E1", "E2", "X9", " e1")]


async def test_sights_are_reserved_and_banded(paths: FactsPaths) -> None:
    """The eighth view is over; a search's eighth sight is not."""
    facts = await _load(paths)
    one = [row(record="78")]
    held = [
        facts.sights(lookup(action=action), tenure="settled")
        for action in (Action.VIEW, Action.SEARCH)
        for _ in range(8)
    ]
    found = await facts.about_records(lookup(), one)
    standings = [(await sights.take(one, found))[0] for sights in held]

    assert [(8, "over"), (8, "first")] == [(one.ordinal, one.repeat) for one in standings[7::8]]


async def test_history_outlives_a_reload(paths: FactsPaths) -> None:
    """What is in flight under the old policies stands before what begins under the new."""
    old = await _load(paths)
    new = await _load(paths, history=old.history)
    one = [row(record="77")]
    found = await old.about_records(lookup(), one)
    held = [facts.sights(lookup(), tenure="settled") for facts in (old, new)]

    assert [1, 2] == [(await sights.take(one, found))[0].ordinal for sights in held]


# Stated as of 09:00: 26 hours later the work is stale, 50 hours later the people.
@pytest.mark.parametrize(
    ("hours", "ref", "expected"),
    [
        (23.0, REF, (None, None)),
        (23.1, REF, (Reason.FACTS_STALE, Reason.FACTS_STALE)),
        (23.1, "", (Reason.FACTS_STALE, Reason.FACTS_STALE)),
        (47.1, "", (Reason.FACTS_STALE, Reason.REGISTER_STALE)),
    ],
)
async def test_a_source_past_its_limit_is_an_outage(
    paths: FactsPaths, hours: float, ref: str, expected: tuple[Reason | None, Reason | None]
) -> None:
    """The register has its own reason; with no reference declared, work may still explain what is looked up."""
    facts = await _load(paths)
    late = lookup(ref=ref, at=NOW + timedelta(hours=hours))
    found: list[Reason | None] = []
    for ask in (facts.about_lookup(late), facts.about_records(late, [row(EDMUND)])):
        try:
            await ask
            found.append(None)
        except FactsOutage as outage:
            found.append(outage.reason)

    assert expected == tuple(found)


async def test_broken_glass_may_go_by_stale_data(paths: FactsPaths) -> None:
    """A confirmed tie still stops it, so the old register is asked all the same."""
    facts = await _load(paths)
    late = lookup(ref=REF, at=NOW + timedelta(days=300))
    (about,) = await facts.about_records(late, [row(EDMUND)], stale_ok=True)

    assert ("ended", ["sibling"]) == (
        (await facts.about_lookup(late, stale_ok=True)).ref_state,
        [tie.relation for tie in about.conflicts],
    )


async def test_facts_carry_the_oldest_time(paths: FactsPaths) -> None:
    """An answer is as old as its oldest source."""
    write(paths.duty, DUTY, [], as_of="2026-11-20T03:00:00Z")
    write(_register(paths), REGISTER, [BROTHER], as_of="2026-11-19T22:00:00Z")
    facts = await _load(paths)
    (about,) = await facts.about_records(lookup(), [row(EDMUND)])

    assert ["2026-11-20T03:00:00+00:00", "2026-11-19T22:00:00+00:00"] == [
        (await facts.about_lookup(lookup())).as_of.isoformat(),
        about.as_of.isoformat(),
    ]


async def test_a_changed_file_is_read_again(paths: FactsPaths) -> None:
    """From one lookup to the next, without a restart."""
    facts = await _load(paths)
    write(_register(paths), REGISTER, [{**BROTHER, "relation": "friend"}])
    refusals = await facts.refresh()
    (about,) = await facts.about_records(lookup(), [row(EDMUND)])

    assert ((), ["friend"]) == (refusals, [tie.relation for tie in about.conflicts])


async def test_a_register_that_broke_off_clears_no_conflict(paths: FactsPaths) -> None:
    """A header without entries is not taken by itself, however well-formed it is."""
    facts = await _load(paths)
    write(_register(paths), REGISTER, [])
    (refusal,) = await facts.refresh()
    (about,) = await facts.about_records(lookup(), [row(EDMUND)])

    assert ("register", ["sibling"]) == (refusal.source, [tie.relation for tie in about.conflicts])


async def test_a_directory_that_broke_off_clears_no_tie(paths: FactsPaths) -> None:
    """Half of the staff gone overnight are gone from an export: the ones missing stay colleagues."""
    facts = await _load(paths)
    write(paths.directory, DIRECTORY, [OFFICER])
    (refusal,) = await facts.refresh()
    (about,) = await facts.about_records(lookup(), [row(BILAL)])

    assert ("directory", ["colleague"]) == (refusal.source, [tie.relation for tie in about.conflicts])


@pytest.mark.parametrize("fault", ["missing", "faulty", "a directory"])
async def test_a_file_that_cannot_be_read_again_keeps_the_old(paths: FactsPaths, fault: str) -> None:
    """Nothing of it is taken, the reason is handed back, and the old one ages."""
    facts = await _load(paths)
    before = facts.digest
    _register(paths).unlink()
    if fault == "faulty":
        write(_register(paths), REGISTER, [{**BROTHER, "provenance": "intelligence"}])
    elif fault == "a directory":
        _register(paths).mkdir()
    (refusal,) = await facts.refresh()
    (about,) = await facts.about_records(lookup(), [row(EDMUND)])

    assert ("register", before, ["sibling"]) == (
        refusal.source,
        facts.digest,
        [tie.relation for tie in about.conflicts],
    )
    with pytest.raises(FactsOutage):
        await facts.about_records(lookup(at=NOW + timedelta(hours=48)), [row(EDMUND)])


async def test_a_mended_file_is_taken(paths: FactsPaths) -> None:
    """After a fault, the next good file replaces the old."""
    facts = await _load(paths)
    write(paths.directory, DIRECTORY, [{**OFFICER, "born": "never"}])
    await facts.refresh()
    write(paths.directory, DIRECTORY, [{**OFFICER, "unit": "roads"}, SERGEANT])

    assert ((), "roads") == (await facts.refresh(), (await facts.about_lookup(lookup())).unit)


async def test_a_file_written_again_unchanged_is_fresh(paths: FactsPaths) -> None:
    """A feed that says the same at a later time has been heard."""
    facts = await _load(paths)
    for path in (paths.directory, paths.duty):
        text = path.read_text(encoding="utf-8").replace("2026-11-20T09", "2026-11-20T11")
        path.write_text(text, encoding="utf-8")
        os.utime(path, (1, 1))
    await facts.refresh()

    assert "2026-11-20T11:00:00+00:00" == (await facts.about_lookup(lookup())).as_of.isoformat()


async def test_nothing_starts_on_a_faulty_file(paths: FactsPaths) -> None:
    """At the start there is no old one to keep."""
    write(paths.references, REFERENCES, [{"ref": "x", "kind": "case", "state": "ajar"}])

    with pytest.raises(ImportRefused):
        await _load(paths)


async def test_nothing_starts_without_a_file(paths: FactsPaths) -> None:
    """A feed that was never set up is not an empty one."""
    with pytest.raises(SettingsError):
        await _load(replace(paths, duty=paths.duty.with_name("none.csv")))


async def test_the_digest_names_what_decided(paths: FactsPaths) -> None:
    """Any change of any source changes it; the same files give the same."""
    first, second = await _load(paths), await _load(paths)
    write(paths.duty, DUTY, [])
    await second.refresh()

    assert (first.digest == (await _load(paths)).digest, first.digest == second.digest) == (False, False)
    assert second.digest == (await _load(paths)).digest


async def test_words_for_vetting_and_training(tmp_path: Path) -> None:
    """Valid up to the day stated; unknown where the directory has no column for it, or nothing in it."""
    found = []
    for vetting, training in (("2026-11-20", "2026-11-19"), ("", "2027-01-01")):
        paths = write_force(tmp_path)
        columns = (*DIRECTORY, "training_expires", "vetting_expires")
        write(
            paths.directory, columns, [{**OFFICER, "vetting_expires": vetting, "training_expires": training}]
        )
        about = await (await _load(paths)).about_lookup(lookup())
        found.append((about.vetting, about.training))
    plain = await (await _load(write_force(tmp_path))).about_lookup(lookup())

    assert [("valid", "expired"), ("unknown", "valid"), ("unknown", "unknown")] == [
        *found,
        (plain.vetting, plain.training),
    ]


async def test_a_service_needs_no_name(tmp_path: Path) -> None:
    """The directory may hold what is no person, and says so."""
    paths = write_force(tmp_path)
    write(paths.directory, (*DIRECTORY, "kind"), [OFFICER, {"staff_id": "custody-app", "kind": "service"}])
    facts = await _load(paths)

    assert [False, True, False] == [await facts.is_service(one) for one in ("E1", "Custody-App", "X9")]


@pytest.mark.parametrize(("column", "cell"), [("kind", "robot"), ("vetting_expires", "soon"), ("names", "")])
async def test_a_faulty_optional_cell_refuses_the_directory(tmp_path: Path, column: str, cell: str) -> None:
    """As any other: named by its column, and a person still needs a name."""
    paths = write_force(tmp_path)
    write(paths.directory, tuple(dict.fromkeys((*DIRECTORY, column))), [{**OFFICER, column: cell}])

    with pytest.raises(ImportRefused) as refused:
        await _load(paths)

    assert [column] == [finding.key for finding in refused.value.findings]
