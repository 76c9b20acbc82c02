"""Scenario files that are wrong are refused whole, each fault with its line."""

from pathlib import Path
from typing import Any

import pytest

from purposegate.errors import PolicyError
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
