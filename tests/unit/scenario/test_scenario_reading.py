"""Scenario files that are wrong are refused whole, each fault with its line."""

from pathlib import Path
from typing import Any

import pytest

from purposegate.errors import PolicyError
from purposegate.scenario.checking import Words
from purposegate.scenario.reading import read
from stories import POLICIES, ROOT, command, lookup, story, written

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": (story(staf={}), "unknown key"),
    "no lookups at all": ({k: v for k, v in story().items() if k not in ("lookups", "lawful")}, "lookups"),
    "nothing that happens": ({**story(lawful=[]), "lookups": []}, "lookups"),
    "lawful work of nobody": ({k: v for k, v in story(lawful=[]).items() if k != "lookups"}, "at least one lookup"),
    "somebody who does not work there": (story(lookups=[lookup(who="E9")]), "ids of staff of this file"),
    "a record that is not there": (story(lookups=[lookup(record="person:P9")]), "records of this file"),
    "a day that the calendar lacks": (story(lookups=[lookup(at="2023-02-30")]), "calendar"),
    "a search without saying for what": (story(lookups=[lookup(action="search")]), "search exactly where"),
    "an end before its beginning": (
        story(references={"CR/1/24": {"kind": "case", "opened": "2024-02-01", "closed": "2024-01-01"}}, lawful=[]),
        "a moment after opened",
    ),
    "an assignment of nobody": (
        story(references={"CR/1/24": {"kind": "case", "assigned": ["E7"]}}, lawful=[]),
        "id of a member of staff",
    ),
    "a tie of nobody": (
        story(register=[{"staff": "E7", "relation": "friend", "person": "P1"}]), "id of a member of staff",
    ),
    "a tie to nobody": (
        story(register=[{"staff": "E1", "relation": "friend", "person": "P7"}]), "id of a person record",
    ),
    "joined twice": (story(staff={"E1": {"joined": "2020-01-01", "days_in_post": 3}, "E2": {}}), "either joined"),
    "a nameless person": (story(records={"person": {"P1": {"born": "1990"}, "P2": {"name": "A B"}}}), "a name, or same_as"),
    "a range backwards": (story(staff={"E1": {}, "E2": {}, "W9..W3": {}}), "one id, or a range"),
    "a link to nothing": (
        story(links=[{"source": "staff:E7", "relation": "updated", "target": "person:P1"}]), "a staff of this file",
    ),
}  # fmt: skip


SEARCHED = {key: value for key, value in lookup().items() if key != "record"}
LAWFUL = story()["lawful"][0]
ALL_LAWFUL = {key: value for key, value in story().items() if key != "lookups"}


def _staff(**changes: Any) -> dict[str, Any]:
    return story(staff={"E1": changes, "E2": {}})


def _person(**changes: Any) -> dict[str, Any]:
    return story(records={"person": {"P1": {"name": "Tamsin Weld"} | changes, "P2": {"name": "Leon Varga"}}})


def _tie(**changes: Any) -> dict[str, Any]:
    entry = {"staff": "E1", "relation": "friend", "person": "P1", "from": "2020-01-01"}
    return story(register=[entry | changes])


def _link(**changes: str) -> dict[str, Any]:
    return story(links=[{"source": "staff:E1", "relation": "updated", "target": "person:P1"} | changes])


ASIDE: dict[str, tuple[dict[str, Any], str]] = {
    "a purpose that is not in the catalogue": (story(lookups=[lookup(purpose="investigate.crimes")]), "a purpose of"),
    "a purpose that is only a parent": (story(lookups=[lookup(purpose="investigate")]), "a purpose of"),
    "a reference that is not there": (story(lookups=[lookup(ref="CR/9/24")]), "a reference of this file"),
    "a reference of another form": (story(references={"CASE9": {"kind": "case"}}, lookups=[lookup(ref="CASE9")], lawful=[]), "a case as"),
    "a kind of reference that nobody uses": (story(references={"CR/1/24": {"kind": "casefile"}}, lawful=[]), "one of case"),
    "a role that nobody has": (_staff(roles=["detektiv"]), "not detektiv"),
    "an originator who does not work there": (story(lookups=[lookup(originator="E9")]), "id of a member of staff"),
    "a relation that nobody has": (_tie(relation="enemy"), "a relation of conflicts.yaml"),
    "a provenance that nobody gives": (_tie(provenance="rumour"), "one of self-declared"),
    "a tie that ends before it begins": (_tie(to="2019-01-01"), "not before from"),
    "two entries with one id": (
        story(register=[_tie(id="R")["register"][0], _tie(id="R", person="P2")["register"][0]]), "no entry before",
    ),
    "a link that explains nothing": (_link(relation="asigned"), "a relation that an explanation"),
    "a link from nowhere": (_link(source="stafff:E1"), "a kind that an explanation"),
    "a link to a record that is not there": (_link(target="person:P99"), "a record or reference"),
    "a lookup of tomorrow": (story(lookups=[lookup(at="2190-01-01")]), "moments of the past"),
    "lookups that reach into the future": (story(lookups=[lookup(times=9999, every="9w")]), "moments of the past"),
    "a birthday that the calendar lacks": (_person(born="1988-13-44"), "the calendar has"),
    "a last day that the calendar lacks": (_staff(left="2024-02-31"), "the calendar has"),
    "leaving before joining": (_staff(joined="2020-02-01", left="2019-01-01"), "not before joined"),
    "a shift at an hour that there is not": (
        _staff(duty={"days": ["mon"], "from": "29:00", "to": "06:00"}), "from 00:00 to 23:59",
    ),
    "a home left before it was moved to": (
        _staff(home={"street": "Mill Lane", "from": "2020-01-01", "to": "2019-01-01"}), "not before from",
    ),
    "more days in post than anybody's": (_staff(days_in_post=9_999_999), "days in post"),
    "one id for two members of staff": (story(staff={"E1": {}, "E2": {}, "e2..e4": {}}), "no other line"),
    "one id for a member of staff and a person": (
        story(records={"person": {"P1": {"name": "A B"}, "P2": {"name": "C D"}, "E1": {"name": "E F"}}}), "same_as makes",
    ),
    "a record that has no turn": (story(lookups=[lookup(record=["person:P1", "person:P2"])]), "times: 2"),
    "somebody who has no turn": (story(lookups=[lookup(who=["E1", "E2"])]), "times: 2"),
    "a reason that has no turn": (story(lookups=[lookup(reason=["One at length", "Another at length"])]), "times: 2"),
    "an interval of one lookup": (story(lookups=[lookup(every="2d")]), "no interval"),
    "a lawful lookup that is not": (story(lawful=[LAWFUL | {"lawful": False}]), "stands under lookups"),
    "a lawful lookup to be refused": (story(lawful=[LAWFUL | {"expect": "refused"}]), "must go through"),
    "a search for a kind that is not there": (
        story(lookups=[SEARCHED | {"search": {"kind": "persons", "surname": "Weld"}}]), "a kind of this file",
    ),
    "a person with a keeper": (_person(keeper="P2"), "nothing of the sort"),
    "a vehicle with a name": (
        story(records=story()["records"] | {"vehicle": {"V1": {"plate": "KX19 RTY", "name": "A B"}}}), "nothing of the sort",
    ),
    "a record about staff and about somebody else": (_person(same_as="E1"), "or a person described"),
    "being stopped at a lookup that there is not": (story(expect={"stop_by": 50}), "1 are, of 1"),
    "being stopped where nothing is wrong": (ALL_LAWFUL | {"expect": {"stop_by": 1}}, "0 are, of 0"),
    "being stopped without noticing": (story(expect={"quiet": True, "stop_by": 1}), "nobody is stopped without"),
    "a lookup to be refused where none is stopped": (
        story(lookups=[lookup(expect="refused")], expect={"stop_by": "never"}), "what the file's own expect allows",
    ),
}  # fmt: skip
WORDS = Words.of(POLICIES.folder)


@pytest.mark.parametrize("name", ASIDE)
def test_nothing_that_would_be_left_aside_passes(name: str, tmp_path: Path) -> None:
    """Neither a word that no policy knows, nor a line that nothing reads, nor wishes that contradict; each with its line."""
    content, expected = ASIDE[name]
    path = written(tmp_path, content)

    with pytest.raises(PolicyError) as refused:
        read(path, POLICIES.zone, WORDS)

    assert expected in str(refused.value)
    assert all(finding.line >= 1 and finding.file == str(path) for finding in refused.value.findings)


def test_what_is_meant_to_fail_may_be_written(tmp_path: Path) -> None:
    """A lookup with a reference or a purpose that there is not, where the file says that it is refused."""
    meant = [lookup(ref="CR/9/24", expect="refused"), lookup(purpose="investigate.crimes", expect="refused")]

    assert 3 == len(read(written(tmp_path, story(lookups=meant)), POLICIES.zone, WORDS).askings)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    """Each fault names file, line and what should stand there."""
    content, expected = WRONG[name]
    path = written(tmp_path, content)

    with pytest.raises(PolicyError) as refused:
        read(path, POLICIES.zone)

    assert expected in str(refused.value)
    assert all(finding.line >= 1 and finding.file == str(path) for finding in refused.value.findings)


def test_faults_of_one_file_are_told_together(tmp_path: Path) -> None:
    """Two wrong lookups give two faults, in the order of their lines."""
    path = written(tmp_path, story(lookups=[lookup(who="E9"), lookup(record="person:P9")]))

    with pytest.raises(PolicyError) as refused:
        read(path, POLICIES.zone)

    lines = [finding.line for finding in refused.value.findings]
    assert 2 == len(lines)
    assert sorted(lines) == lines


def test_a_wrong_file_exits_with_2_and_says_where(tmp_path: Path) -> None:
    """The command tells a file that is wrong from a case that is not as expected."""
    path = written(tmp_path, story(lookups=[lookup(who="E9")]))

    done = command(path)

    assert 2 == done.returncode
    assert f"{path}:" in done.stderr


def test_dates_may_be_written_bare() -> None:
    """A date without quotation marks is what it says, whatever YAML makes of it."""
    found = read(ROOT / "policies" / "examples" / "casebook" / "mps-embassy.yaml", POLICIES.zone)

    assert "2023-05-05T23:00:00+00:00" == str(found.references["OP/ALDER/23"].open.end).replace(" ", "T")


def test_lookups_count_in_order_of_time(tmp_path: Path) -> None:
    """The number of a lookup is its place in time, wherever it stands in the file; lawful ones beside them have none."""
    later, earlier = lookup(at="2024-02-01", times=2, every="3d"), lookup(at="2024-01-10")

    found = read(written(tmp_path, story(lookups=[later, earlier])), POLICIES.zone)

    assert [(0, 8), (1, 10), (2, 1), (3, 4)] == [(one.number, one.at.day) for one in found.askings]


def test_a_range_of_staff_is_so_many_people(tmp_path: Path) -> None:
    """A crowd is written in one line; each of them is somebody with a name of their own."""
    content = story(
        staff={"E1": {}, "E2": {}, "W1..W40": {"unit": "response"}}, lookups=[lookup(who="W1..W40", times=40)]
    )

    found = read(written(tmp_path, content), POLICIES.zone)

    assert 42 == len(found.staff)
    assert 42 == len({member.person.names for member in found.staff.values()})
    assert 40 == len({one.who for one in found.askings if one.number})


def test_the_same_hour_holds_across_summer_time(tmp_path: Path) -> None:
    """Lookups some days apart happen at the same hour by the wall clock."""
    content = story(lookups=[lookup(at="2024-03-30T10:00", times=2, every="1d")])

    found = read(written(tmp_path, content), POLICIES.zone)

    assert [10, 9] == [one.at.hour for one in found.askings if one.number]
