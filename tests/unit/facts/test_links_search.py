"""Paths over links: what explains a record now, what once did, and who last worked on it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import NOW
from link_worlds import explain, link, naive, reopening, store, template
from purposegate.conflicts.dates import BEGINNING, Interval
from purposegate.facts.explanations import Explanations
from purposegate.facts.links import MOST_LINKS_OF_A_NODE, Link, node
from purposegate.facts.links_search import MOST_BRANCHES, Explained, Walk

pytestmark = pytest.mark.anyio

CASE = template("case", "principal -assigned-> case -involves-> record")
FILE = template("file", "principal -assigned-> record")
KEEPER = template("keeper", "principal -assigned-> case -involves-> person -keeps-> record:vehicle")
TEAM = template(
    "team",
    "principal -member-> team <-member- staff -assigned-> case -involves-> record",
    is_remembered=False,
)
LATE = template("late", "principal -dispatched-> incident -involves-> record", within=0.5)
ALL = Explanations(templates=(CASE, FILE, KEEPER, TEAM, LATE), assigned=frozenset({"assigned", "dispatched"}))
NOTHING = Explained((), "none")


async def test_an_assignment_explains_what_the_case_involves() -> None:
    """The person in the case, and nobody else; not for somebody who is not assigned."""
    links = [link("staff:E1 -assigned-> case:CR/1/26"), link("case:CR/1/26 -involves-> person:77")]

    assert (Explained(("case",), "current"), NOTHING) == await explain(links, ALL, "person:77", "person:78")
    assert (NOTHING,) == await explain(links, ALL, "person:77", principal="E2")


async def test_spelling_of_staff_and_references_does_not_matter() -> None:
    """Feeds write `cr/1/26 ` and ` e1`; a person's id is compared to the letter."""
    links = [link("staff:e1 -assigned-> case:cr/1/26"), link("case:CR/1/26 -involves-> person:a7")]

    assert (Explained(("case",), "current"), NOTHING) == await explain(links, ALL, "person:a7", "person:A7")


async def test_an_arrow_may_point_back() -> None:
    """A vehicle that a person in the case keeps; a colleague's case through the team of both."""
    links = [
        link("staff:E1 -assigned-> case:C1"),
        link("case:C1 -involves-> person:77"),
        link("person:77 -keeps-> vehicle:V1"),
        link("staff:E2 -member-> team:cid"),
        link("staff:E1 -member-> team:cid"),
        link("staff:E2 -assigned-> case:C2"),
        link("case:C2 -involves-> person:88"),
    ]

    assert [("keeper",), ("team",)] == [
        one.explained_by for one in await explain(links, ALL, "vehicle:V1", "person:88")
    ]


async def test_a_record_may_be_the_reference_itself() -> None:
    """Whoever is assigned to a case may open its file."""
    assert (Explained(("file",), "current"),) == await explain(
        [link("staff:E1 -assigned-> case:C1")], ALL, "case:C1"
    )


@pytest.mark.parametrize(
    ("assigned", "involved", "expected"),
    [
        ((-5, 5), (None, None), "current"),
        ((-5, 0), (None, None), "ended"),
        ((0, 5), (None, None), "current"),
        ((1, 5), (None, None), "none"),
        ((-5, 5), (-9, -3), "ended"),
        ((-5, 5), (-9, -6), "none"),
        ((-5, -3), (-2, 2), "none"),
        ((-5, 5), (1, 2), "none"),
    ],
)
async def test_a_path_holds_while_all_its_links_do(
    assigned: tuple[float, float], involved: tuple[float, float], expected: str
) -> None:
    """Now; once, all at one time; or never: two links that never held together are no path."""
    links = [
        link("staff:E1 -assigned-> case:C1", *assigned),
        link("case:C1 -involves-> person:77", *involved),
    ]
    (found,) = await explain(links, ALL, "person:77")

    assert (expected, ("case",) if expected == "current" else ()) == (found.involvement, found.explained_by)


async def test_links_that_never_held_together_are_no_past() -> None:
    """The vehicle came after the assignment's end: nobody was ever involved with it."""
    links = [
        link("staff:E1 -assigned-> case:C1", -5, -3),
        link("case:C1 -involves-> person:77"),
        link("person:77 -keeps-> vehicle:V1", -1),
    ]

    assert ["none", "ended"] == [
        one.involvement for one in await explain(links, ALL, "vehicle:V1", "person:77")
    ]


async def test_a_link_may_count_after_its_end() -> None:
    """`within` is for each arrow of its template alone."""
    links = [
        link("staff:E1 -dispatched-> incident:I1", -2, -0.4),
        link("incident:I1 -involves-> person:77"),
        link("staff:E1 -assigned-> case:C1", -2, -0.4),
        link("case:C1 -involves-> person:88"),
    ]
    now, later = [await explain(links, ALL, "person:77", "person:88", days=days) for days in (0, 0.2)]

    assert (["current", "ended"], ["ended", "ended"]) == (
        [one.involvement for one in now],
        [one.involvement for one in later],
    )


async def test_a_purpose_may_grant_grace() -> None:
    """For the principal's own link, and for no other."""
    day = 86_400
    own = [link("staff:E1 -assigned-> case:C1", -5, -2), link("case:C1 -involves-> person:77")]
    other = [link("staff:E1 -assigned-> case:C1"), link("case:C1 -involves-> person:77", -5, -2)]
    found = [
        await explain(links, ALL, "person:77", grace=grace)
        for links in (own, other)
        for grace in (day, 3 * day)
    ]

    assert ["ended", "current", "ended", "ended"] == [one.involvement for (one,) in found]


async def test_only_the_declared_reference_if_the_template_says_so() -> None:
    """Any node of the path may be it; without a declared reference nothing holds."""
    only = Explanations(templates=(replace(CASE, only_declared=True),))
    links = [link("staff:E1 -assigned-> case:C1"), link("case:C1 -involves-> person:77")]
    found = [await explain(links, only, "person:77", ref=ref) for ref in ("c1 ", "C2", "")]

    assert ["current", "none", "none"] == [one.involvement for (one,) in found]


@pytest.mark.parametrize(("closed", "expected"), [(1, "current"), (0, "ended"), (-3, "none")])
async def test_a_closed_reference_explains_nothing(closed: float, expected: str) -> None:
    """Whatever the links say of an assignment that nobody ended."""
    links = [link("staff:E1 -assigned-> case:C1", -2), link("case:C1 -involves-> person:77")]
    known = {"c1": Interval(BEGINNING, NOW + timedelta(days=closed))}
    (person, file) = await explain(links, ALL, "person:77", "case:C1", references=known)

    assert (expected, expected) == (person.involvement, file.involvement)


async def test_who_once_shared_a_team_is_not_involved() -> None:
    """A template that is not remembered gives `none` once it is over."""
    links = [
        link("staff:E1 -member-> team:cid", -9, -1),
        link("staff:E2 -member-> team:cid"),
        link("staff:E2 -assigned-> case:C2"),
        link("case:C2 -involves-> person:88"),
    ]

    assert (NOTHING,) == await explain(links, ALL, "person:88")


@pytest.mark.parametrize(
    ("on", "written", "expected"),
    [
        ("case:C1", -1, "current"),
        ("person:77", -1, "current"),
        ("case:C2", -1, "ended"),
        ("case:C1", -6, "ended"),
        ("case:C1", -12, "ended"),
        ("case:C1", 1, "ended"),
    ],
)
async def test_work_after_a_recorded_end_reopens_an_assignment(
    on: str, written: float, expected: str
) -> None:
    """For five days after the last update; one before the end, or of something else, proves nothing."""
    links = [
        link("staff:E1 -assigned-> case:C1", -30, -10),
        link("case:C1 -involves-> person:77"),
        link(f"staff:E1 -updated-> {on}", written),
    ]
    five_days = reopening(ALL, 5)

    assert (expected, "ended") == (
        (await explain(links, five_days, "person:77"))[0].involvement,
        (await explain(links, ALL, "person:77"))[0].involvement,
    )


async def test_work_before_the_end_reopens_nothing() -> None:
    """However recent: whoever wrote a last note and was taken off the case is off the case."""
    links = [
        link("staff:E1 -assigned-> case:C1", -30, -2),
        link("case:C1 -involves-> person:77"),
        link("staff:E1 -updated-> case:C1", -2.5),
    ]

    assert "ended" == (await explain(links, reopening(ALL, 5), "person:77"))[0].involvement


@pytest.mark.parametrize(("grace", "expected"), [(1, "ended"), (3, "current")])
async def test_grace_outlasts_the_closing_of_the_principals_own_reference(grace: int, expected: str) -> None:
    """Of a case closed two days ago; a case between the two has no grace."""
    own = [link("staff:E1 -assigned-> case:C1"), link("case:C1 -involves-> person:77")]
    team = [
        link("staff:E1 -member-> team:t"),
        link("staff:E2 -member-> team:t"),
        link("staff:E2 -assigned-> case:C1"),
        link("case:C1 -involves-> person:77"),
    ]
    known = {"c1": Interval(BEGINNING, NOW - timedelta(days=2))}
    found = [
        (await explain(links, ALL, "person:77", grace=grace * 86_400, references=known))[0].involvement
        for links in (own, team)
    ]

    assert [expected, "none"] == found


async def test_a_closed_reference_is_not_reopened() -> None:
    """The feed of assignments errs; the reference's own state does not."""
    links = [
        link("staff:E1 -assigned-> case:C1", -30, -10),
        link("case:C1 -involves-> person:77"),
        link("staff:E1 -updated-> case:C1", -1),
    ]
    known = {"c1": Interval(BEGINNING, NOW - timedelta(days=2))}

    assert "ended" == (await explain(links, reopening(ALL, 5), "person:77", references=known))[0].involvement


async def test_stores_are_searched_as_one() -> None:
    """An assignment from one feed, what the case involves from another."""
    one, other = store([link("staff:E1 -assigned-> case:C1")]), store([link("case:C1 -involves-> person:77")])

    assert (Explained(("case",), "current"),) == await explain([one, other], ALL, "person:77")


async def test_a_crossroads_explains_nothing() -> None:
    """An address with more cases than the bound; the same case by another way still does."""
    crowd = [link(f"case:C{number} -involves-> person:77") for number in range(MOST_LINKS_OF_A_NODE + 1)]
    links = [link("staff:E1 -assigned-> case:C1"), *crowd]

    assert (NOTHING,) == await explain(links, ALL, "person:77")
    assert (Explained(("case",), "current"),) == await explain(links[:-1], ALL, "person:77")


async def test_a_path_that_branches_too_often_explains_nothing() -> None:
    """Many cases with many staff each; other rows and other paths go on."""
    wide = [link(f"case:C{number} -involves-> person:77") for number in range(40)]
    deep = [link(f"staff:S{who} -assigned-> case:C{number}") for number in range(40) for who in range(30)]
    teams = [link(f"staff:{who} -member-> team:cid") for who in ("S1", "E1")]
    links = [*wide, *deep, *teams, link("staff:E1 -assigned-> case:C5")]
    assert 40 * 30 > MOST_BRANCHES

    assert [("case",), ("team",)] == [
        one.explained_by
        for one in await explain(
            [*links, link("case:C0 -involves-> person:88")], ALL, "person:77", "person:88"
        )
    ]


async def test_links_that_run_in_a_circle_end() -> None:
    """A path has as many arrows as its template, whatever leads back."""
    links = [
        link("staff:E1 -assigned-> case:C1"),
        link("case:C1 -involves-> case:C1"),
        link("case:C1 -involves-> person:77"),
        link("person:77 -involves-> case:C1"),
    ]

    assert ["case"] == [name for one in await explain(links, ALL, "person:77") for name in one.explained_by]


async def test_the_last_evidence_of_work() -> None:
    """An update of the record or of a case about it, or the start of an assignment to one; none from the future."""
    links = [
        link("staff:E1 -assigned-> case:C1", -9, -8),
        link("case:C1 -involves-> person:77"),
        link("staff:E1 -assigned-> case:C2"),
        link("case:C2 -involves-> person:88"),
        link("staff:E1 -updated-> person:99", -3),
        link("staff:E1 -updated-> person:99", -2),
        link("staff:E1 -updated-> person:99", 1),
        link("staff:E2 -updated-> person:77", -1),
        link("staff:E1 -updated-> case:C1", -8.5),
    ]
    walk = Walk([store(links)], ALL, "E1", NOW, references={})
    names = [node("person", one) for one in ("77", "88", "99", "0")]

    assert (NOW - timedelta(days=8.5), None, NOW - timedelta(days=2), None) == await walk.last_work(names)


# Links that fit some template, so that worlds of a few have paths; and a few that fit none.
SOUND = [
    *(f"staff:E{who} -assigned-> case:C{case}" for who in (1, 2) for case in (1, 2)),
    *(f"case:C{case} -involves-> person:{whom}" for case in (1, 2) for whom in (1, 2)),
    *(f"person:{whom} -keeps-> vehicle:V" for whom in (1, 2)),
    *(f"staff:E{who} -member-> team:t" for who in (1, 2)),
    "staff:E1 -dispatched-> incident:I1",
    "incident:I1 -involves-> person:1",
    "staff:E1 -assigned-> incident:I1",
    "person:1 -involves-> case:C1",
    "case:C1 -assigned-> staff:E1",
    "case:C1 -involves-> case:C2",
]
starts = st.one_of(st.none(), st.integers(-6, 1))
ends = st.one_of(st.none(), st.integers(-5, 3))


@st.composite
def _links(draw: st.DrawFn) -> Link:
    start, end = draw(starts), draw(ends)
    if start is not None and end is not None and start >= end:
        start, end = end, start + 1
    return link(draw(st.sampled_from(SOUND)), start, end)


worlds = st.lists(_links(), min_size=4, max_size=16)
records = st.sampled_from(["person:1", "person:2", "vehicle:V", "case:C1"])


@given(links=worlds, record=records, ref=st.sampled_from(["", "C1"]), only=st.booleans())
async def test_the_search_finds_what_trying_every_path_finds(
    links: Sequence[Link], record: str, ref: str, *, only: bool
) -> None:
    """The bounded search from the record, and every sequence of links from the principal, agree."""
    rules = Explanations((replace(CASE, only_declared=only), *ALL.templates[1:]))

    assert (naive(links, rules, record, ref=ref),) == await explain(links, rules, record, ref=ref)


@given(links=worlds, record=records, data=st.data())
async def test_less_of_a_link_never_explains_more(
    links: list[Link], record: str, data: st.DataObject
) -> None:
    """Removing a link, or ending it earlier, adds no explanation."""
    if not links:
        links = [link("staff:E1 -assigned-> case:C1")]
    place = data.draw(st.integers(0, len(links) - 1))
    taken, rest = links[place], links[:place] + links[place + 1 :]
    earlier = data.draw(st.integers(-5, 4))
    end = NOW + timedelta(days=earlier)
    if taken.held.start < end < taken.held.end and data.draw(st.booleans()):
        rest = [*rest, taken._replace(held=Interval(taken.held.start, end))]
    (before,), (after,) = await explain(links, ALL, record), await explain(rest, ALL, record)

    assert set(after.explained_by) <= set(before.explained_by)


@given(links=worlds, record=records, written=st.integers(-4, 1), place=st.integers(0, 20))
async def test_less_work_never_explains_more(
    links: list[Link], record: str, written: int, place: int
) -> None:
    """With reopening too: an update that is gone, or an assignment with it, adds no explanation."""
    two_days = reopening(ALL, 2)
    whole = [*links, link("staff:E1 -updated-> case:C1", written)]
    rest = [one for number, one in enumerate(whole) if number != place % len(whole)]
    (before,), (after,) = await explain(whole, two_days, record), await explain(rest, two_days, record)

    assert set(after.explained_by) <= set(before.explained_by)
