"""Budgets over a counting ledger: what lookups in turn are told, as day after day the counts go on or begin anew."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import NOW, POLICIES, lookup, row, somebody
from purposegate.facts import bands
from purposegate.facts.bands import Bands
from purposegate.facts.budgets import Budget
from purposegate.facts.history import History
from purposegate.facts.sights import Sights
from purposegate.model import Action, Counted, CountKey, Identity, Lookup, RecordFacts, Row, Standing

pytestmark = pytest.mark.anyio

BANDS = bands.load(POLICIES / "facts.yaml")
PLAIN = RecordFacts(conflicts=(), explained_by=(), as_of=NOW)
EXPLAINED = replace(PLAIN, explained_by=("assigned-case",), involvement="current")
EDMUND = somebody("Edmund", "Archer", "1981-11-05")
REASON = "Witness statement for the burglary in Carr Lane"


@dataclass
class Gate:
    """Looks as the gate does: by name, with people, then a durable entry that raises what the row says."""

    durable: Counter[CountKey] = field(default_factory=Counter)
    last: Sights | None = None
    bands: Bands = BANDS

    async def counted(self, keys: Sequence[CountKey]) -> Sequence[Counted]:
        found = [Counted(self.durable[key]) for key in keys]  # as it stood when it was asked
        await asyncio.sleep(0)
        return found

    async def look(
        self,
        about: Lookup,
        *rows: Row,
        facts: RecordFacts = PLAIN,
        tenure: str = "settled",
        releases: bool = True,
    ) -> list[Standing]:
        sights = self.last = Sights(History(self.counted), Budget(self.bands, about, tenure=tenure))
        if about.action is Action.SEARCH:
            await sights.take([row(record="")], [PLAIN])
        else:
            await sights.take([replace(one, subjects=()) for one in rows], [facts] * len(rows))
        standings = list(await sights.take(rows, [facts] * len(rows)))
        counted = {*sights.words.counted, *(key for one in standings for key in one.counted)}
        if releases:
            self.durable.update(counted)
        sights.settle(counted if releases else ())
        return standings

    @property
    def words(self) -> tuple[str, tuple[str, ...]]:
        """Breadth and patterns of the lookup made last."""
        assert self.last is not None
        return self.last.words.breadth, self.last.words.patterns


def view(record: str = "900", *people: Identity, kind: str = "person") -> Row:
    """One opened record."""
    return row(*people, record=record, kind=kind)


def by(principal: str, at: datetime = NOW) -> Lookup:
    """A lookup by this member of staff, with words of their own."""
    return lookup(principal, at=at, reason=f"{REASON}, asked {principal}")


async def _bands(gate: Gate, times: int, *rows: Row, **how: object) -> list[str]:
    about = lookup(reason=REASON)
    return [(await gate.look(about, *rows, **how))[0].repeat for _ in range(times)]  # type: ignore[arg-type] # `look`'s own


async def test_the_ladder_of_one_record() -> None:
    """Released, asked from the third, a supervisor from the fifth, over from the eighth."""
    assert ["first"] * 2 + ["few"] * 2 + ["many"] * 3 + ["over"] * 2 == await _bands(Gate(), 9, view())


async def test_the_ladder_is_halved_for_those_new_in_post() -> None:
    """Asked from the second, a supervisor from the third, over from the fourth."""
    assert ["first", "few", "many", "over", "over"] == await _bands(Gate(), 5, view(), tenure="new")


async def test_one_person_through_many_records_is_one_count() -> None:
    """Their person record, their car, their case and their address: the eighth sight of them is over by any door."""
    gate = Gate()
    doors = [
        view(str(place), EDMUND, kind=kind)
        for place, kind in enumerate(["person", "vehicle", "case", "address"] * 2)
    ]
    seen = [(await gate.look(lookup(), door))[0].repeat for door in doors]

    assert "over" == seen[-1]
    assert ["first", "first", "few", "few", "many", "many", "many"] == seen[:-1]


async def test_two_records_of_one_person_in_one_answer_are_one_sight() -> None:
    """A list that shows somebody twice has shown them once."""
    gate = Gate()
    rows = [row(EDMUND, record=str(number)) for number in range(5)]
    standings = await gate.look(lookup(action=Action.SEARCH), *rows)

    assert [1] * 5 == [one.numbers["subject"] for one in standings]


async def test_namesakes_have_counts_of_their_own() -> None:
    """Ten different John Smiths are ten people."""
    gate = Gate()
    seen = [
        (await gate.look(lookup(), view(str(number), somebody("John", "Smith"))))[0].repeat
        for number in range(10)
    ]

    assert {"first"} == set(seen)


async def test_time_alone_gives_nothing_back() -> None:
    """A year later the fourth sight is the fourth."""
    gate = Gate()
    times = [NOW + timedelta(days=100 * step) for step in range(9)]
    seen = [(await gate.look(lookup(at=at), view()))[0].ordinal for at in times]

    assert list(range(1, 10)) == seen


async def test_work_begins_a_new_count_and_deletes_nothing() -> None:
    """After an update the next sight is the first; the old count stands, for whoever reads the ledger."""
    gate = Gate()
    before = [(await gate.look(lookup(), view("900", EDMUND)))[0] for _ in range(8)]
    worked = replace(PLAIN, last_work=datetime(2026, 11, 20, 9, tzinfo=UTC))
    after = [(await gate.look(lookup(), view("900", EDMUND), facts=worked))[0] for _ in range(3)]
    again = (await gate.look(lookup(), view("900", EDMUND)))[0]

    assert ("over", ["first", "first", "few"]) == (before[-1].repeat, [one.repeat for one in after])
    assert 9 == again.ordinal


async def test_work_on_one_record_gives_nothing_for_another() -> None:
    """Whoever writes in one case has not worked on the next."""
    gate = Gate()
    await _bands(gate, 8, view("900"))
    worked = replace(PLAIN, last_work=NOW)
    await gate.look(lookup(), view("901"), facts=worked)

    assert ["over"] == await _bands(gate, 1, view("900"))


async def test_explained_sights_owe_nothing_and_buy_nothing() -> None:
    """Forty views of an assigned case, and the first unexplained look at the same person is the first: no less, no more."""
    gate = Gate()
    lawful = await _bands(gate, 40, view("900", EDMUND), facts=EXPLAINED)
    unexplained = await _bands(gate, 9, view("900", EDMUND))

    assert {"first"} == set(lawful)
    assert await _bands(Gate(), 9, view("900", EDMUND)) == unexplained


async def test_unexplained_looks_between_explained_ones_add_up() -> None:
    """A misuser who is also assigned for a while has the same budget as one who never was."""
    gate = Gate()
    seen = []
    for _ in range(9):
        await gate.look(lookup(), view("900", EDMUND), facts=EXPLAINED)
        seen += await _bands(gate, 1, view("900", EDMUND))

    assert await _bands(Gate(), 9, view("900", EDMUND)) == seen


async def test_what_was_refused_costs_nothing() -> None:
    """Nothing was seen, so nothing is counted."""
    gate = Gate()
    for _ in range(20):
        await gate.look(lookup(), view(), releases=False)

    assert ["first"] == await _bands(gate, 1, view())


async def test_a_reference_used_for_whomever_is_counted() -> None:
    """Eighty different people under one colleague's open case: the reference itself is the pattern."""
    gate = Gate()
    about = lookup(ref="CR/2200/26")
    seen = [(await gate.look(about, view(str(number))))[0].repeat for number in range(80)]

    assert ["first", "few", "few", "many"] == [seen[38], seen[39], seen[78], seen[79]]


async def test_work_on_a_reference_begins_its_count_anew() -> None:
    """Whoever writes in the case they name has its room again; a record's own count stays as it is."""
    gate = Gate()
    about = lookup(ref="CR/2200/26")
    for number in range(80):
        await gate.look(about, view(str(number)))
    (after,) = await gate.look(about, view("0"), facts=replace(PLAIN, ref_work=NOW))
    (without,) = await gate.look(about, view("90"))

    assert {"reference": 1, "record": 2} == {name: after.numbers[name] for name in ("reference", "record")}
    assert ("first", "many") == (after.repeat, without.repeat)


async def test_a_list_stops_later_than_a_view() -> None:
    """Shown in a search: few from the tenth, over from the fortieth, and no view is counted by it."""
    gate = Gate()
    seen = [
        (await gate.look(lookup(action=Action.SEARCH, reason=REASON), view("900", EDMUND)))[0].repeat
        for _ in range(40)
    ]

    assert ["first", "few", "many", "over"] == [seen[8], seen[9], seen[19], seen[39]]
    assert ["first"] == await _bands(gate, 1, view("900", EDMUND))


async def test_a_row_of_a_list_raises_few_counts() -> None:
    """The record, its person's surest key and the reference: a hundred rows must not raise a thousand counters."""
    somebody_known = replace(EDMUND, phones=("07700 900123",), plates=("AB12 CDE",))
    (shown,) = await Gate().look(lookup(action=Action.SEARCH, ref="CR/1/26"), view("900", somebody_known))
    (opened,) = await Gate().look(lookup(ref="CR/1/26"), view("900", somebody_known))

    assert 3 == len(shown.counted) < len(opened.counted)


async def test_breadth_is_of_one_local_day() -> None:
    """The 120th lookup of a day is high; a new day begins at midnight in London, not in Greenwich."""
    gate = Gate()
    summer = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)  # 23:30 in London
    words = []
    for number in range(120):
        await gate.look(lookup(at=summer), view(str(number)))
        words.append(gate.words[0])
    await gate.look(lookup(at=summer + timedelta(hours=1)), view("next day"))

    assert (["usual"] * 119 + ["high"], "usual") == (words, gate.words[0])


async def test_explained_lookups_count_for_breadth() -> None:
    """Breadth ranks who looks at far more than others do, for whatever cause."""
    gate = Gate()
    for number in range(120):
        await gate.look(lookup(), view(str(number)), facts=EXPLAINED)

    assert "high" == gate.words[0]


def _search(**about: object) -> Lookup:
    return replace(lookup(action=Action.SEARCH), **{"criteria": {"*": "Alex B."}, **about})  # type: ignore[arg-type] # fields of Lookup


async def test_partial_names_without_an_opened_record() -> None:
    """The sixth search by parts in a row; a record opened in between begins a new row, and the next day too."""
    gate = Gate()
    found = []
    for _ in range(6):
        await gate.look(_search())
        found.append(gate.words[1])
    await gate.look(lookup(), view())
    await gate.look(_search())
    found.append(gate.words[1])

    assert [()] * 5 + [("partial-name",), ()] == found


async def test_whole_names_are_no_fishing() -> None:
    """However many people are searched for by their names."""
    gate = Gate()
    for number in range(30):
        await gate.look(_search(criteria={"surname": f"Smith{number}"}))

    assert () == gate.words[1]


async def test_a_list_walked_page_by_page() -> None:
    """The sixth further page of one list; a new search begins anew, and pages are not lookups of their own."""
    gate = Gate()
    await gate.look(_search())
    found = []
    for _ in range(6):
        await gate.look(_search(continues=True))
        found.append(gate.words[1])
    await gate.look(_search())
    await gate.look(_search(continues=True))
    assert gate.last is not None

    assert [()] * 5 + [("paged-through",)] == found
    assert ((), 1) == (gate.words[1], gate.last.words.numbers["pages-run"])


async def test_many_records_opened_from_one_search() -> None:
    """The twelfth unexplained record since the last search; explained ones, and those without a search, are none."""
    gate = Gate()
    before = [(await gate.look(lookup(), view(f"a{number}")))[0].patterns for number in range(15)]
    await gate.look(_search(criteria={"surname": "Smith"}))
    for number in range(15):
        await gate.look(lookup(), view(f"b{number}"), facts=EXPLAINED)
    after = [(await gate.look(lookup(), view(f"c{number}")))[0].patterns for number in range(12)]

    assert {()} == {*before, *after[:11]}
    assert ("many-opens",) == after[-1]


async def test_one_person_through_many_doors_in_a_week() -> None:
    """Vehicle, address, then case: the third kind of record about one person; the same kind again is no new door."""
    gate = Gate()
    kinds = ["vehicle", "vehicle", "address", "vehicle", "case"]
    seen = [
        (await gate.look(lookup(), view(str(place), EDMUND, kind=kind)))[0].patterns
        for place, kind in enumerate(kinds)
    ]
    later = await gate.look(lookup(at=NOW + timedelta(days=7)), view("9", EDMUND, kind="phone"))

    assert [()] * 4 + [("many-doors",)] == seen
    assert () == later[0].patterns


async def test_a_file_on_a_crowd_is_a_door_to_nobody() -> None:
    """Its people are counted as seen, but whoever reads it has not come to one of them by another way."""
    gate = Gate()
    crowd = [EDMUND, *(somebody("Q", f"Blakeney{number}", "1990-01-01") for number in range(20))]
    for kind in ("vehicle", "address"):
        await gate.look(lookup(), view("1", EDMUND, kind=kind))
    (standing,) = await gate.look(lookup(), view("2", *crowd, kind="case"))

    assert ((), 3) == (standing.patterns, standing.numbers["subject"])


async def test_the_same_words_for_many_people() -> None:
    """The fifth record with one sentence as reason, its case number changed each time; one record again is no new one."""
    gate = Gate()
    seen = []
    for number in (1, 1, 1, 2, 3, 4, 1, 5):
        about = lookup(reason=f"Checking details for CR/{number}/26")
        seen.append((await gate.look(about, view(str(number))))[0].patterns)
    fresh = await gate.look(lookup(reason=REASON), view("6"))

    assert [()] * 7 + [("same-reason",)] == seen
    assert () == fresh[0].patterns


async def test_many_members_of_staff_come_to_see_one_person() -> None:
    """The eighth of them in one day, by whichever record; whoever comes again is one, explained sights are none, a day ends it."""
    gate = Gate()
    for number in range(9):
        await gate.look(by(f"X{number}"), view("900", EDMUND), facts=EXPLAINED)
    seen = [
        (await gate.look(by(f"E{number}"), view(str(place), EDMUND, kind=f"kind{place % 2}")))[0].patterns
        for place, number in enumerate((1, 2, 2, 3, 4, 5, 6, 7, 1, 8, 9))
    ]
    other = await gate.look(by("E20"), view("901", somebody("Percy", "Blakeney", "1970-01-01")))
    later = await gate.look(by("E21", at=NOW + timedelta(days=1)), view("900", EDMUND))

    assert [()] * 9 + [("crowd",)] * 2 == seen
    assert [(), ()] == [other[0].patterns, later[0].patterns]


async def test_a_force_that_sets_no_crowd_has_none() -> None:
    """However many come, where facts.yaml does not say from when they are too many."""
    gate = Gate(bands=replace(BANDS, patterns=BANDS.patterns._replace(crowd=0)))
    seen = [(await gate.look(by(f"E{number}"), view("900", EDMUND)))[0] for number in range(12)]

    assert {()} == {one.patterns for one in seen}
    assert not any("crowd" in key.sight for key in gate.durable)


async def test_numbers_go_to_the_ledger() -> None:
    """Each dimension's ordinal, and the counts behind the patterns."""
    gate = Gate()
    await gate.look(lookup(ref="CR/1/26", reason=REASON), view("900", EDMUND))
    (second,) = await gate.look(lookup(ref="CR/1/26", reason=REASON), view("901", EDMUND, kind="vehicle"))
    assert gate.last is not None

    assert {"record": 1, "subject": 2, "reference": 2, "many-doors": 2, "same-reason": 2} == second.numbers
    assert {"lookups": 2} == gate.last.words.numbers


async def test_what_is_counted_was_reserved_by_the_same_lookup() -> None:
    """Every key that an entry raises had its ordinal read before the decision: no count grows behind a lookup's back."""
    gate = Gate()
    asked: set[CountKey] = set()

    async def counted(keys: Sequence[CountKey]) -> Sequence[Counted]:
        asked.update(keys)
        return [Counted(0)] * len(keys)

    for about in (lookup(ref="CR/1/26", reason=REASON), _search(), _search(continues=True)):
        sights = Sights(History(counted), Budget(BANDS, about, tenure="new"))
        standings = [
            *await sights.take([view()], [PLAIN]),
            *await sights.take([view("900", EDMUND), view("901", EDMUND)], [PLAIN, EXPLAINED]),
        ]
        raised = {*sights.words.counted, *(key for one in standings for key in one.counted)}
        sights.settle(())

        assert raised <= asked
    assert not gate.durable


PEOPLE = (EDMUND, somebody("Mary", "Hill", "1970-02-03"), somebody("Mary", "Hill"))
steps = st.integers(0, 4)
looks = st.tuples(
    steps,
    steps,
    steps,
    st.sampled_from(["person", "vehicle", "case"]),
    st.sampled_from(["1", "2"]),
    st.lists(st.sampled_from(PEOPLE), max_size=2, unique=True),
    st.booleans(),
)
Look = tuple[int, int, int, str, str, list[Identity], bool]


async def _at_once(schedule: Sequence[Look]) -> Counter[CountKey]:
    """Lookups as the gate makes them, each with waits of its own; what was released, by key."""
    gate = Gate()
    history = History(gate.counted)
    released: Counter[CountKey] = Counter()

    async def look(
        begin: int, first: int, second: int, kind: str, record: str, people: list[Identity], fails: bool
    ) -> None:
        async def wait(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        await wait(begin)
        sights = Sights(history, Budget(BANDS, lookup(reason=REASON), tenure="settled"))
        counted: set[CountKey] = set()
        try:
            (named,) = await sights.take([view(record, kind=kind)], [PLAIN])
            await wait(first)
            (standing,) = await sights.take([view(record, *people, kind=kind)], [PLAIN])
            if "over" not in (named.repeat, standing.repeat) and not fails:
                counted = {*sights.words.counted, *standing.counted}
                gate.durable.update(counted)  # the entry is durable
                released.update(key for key in standing.counted if key.sight == bands.VIEWED)
                await wait(second)
        finally:
            sights.settle(counted)

    await asyncio.gather(*(look(*one) for one in schedule))
    return released


@given(st.lists(looks, min_size=1, max_size=40))
def test_no_key_is_ever_over_its_budget(schedule: list[Look]) -> None:
    """However lookups overlap and whichever fail: no record and no data subject is released eight times, by any door."""
    assert all(count < 8 for count in asyncio.run(_at_once(schedule)).values())


@given(st.integers(1, 30), st.lists(st.tuples(steps, steps, steps), min_size=30, max_size=30))
def test_at_once_releases_what_in_turn_would(count: int, waits: list[tuple[int, int, int]]) -> None:
    """Looks at one record that differ only in their timing: seven go out, or all of them where there are fewer."""
    schedule: list[Look] = [(*wait, "person", "1", [EDMUND], False) for wait in waits[:count]]

    assert {min(count, 7)} == set(asyncio.run(_at_once(schedule)).values())
