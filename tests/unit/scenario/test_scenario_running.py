"""Scenarios through the real gate, policies, ledger, watcher and look back."""

import json
from pathlib import Path
from typing import Any

from stories import command, lookup, played, story, written

RELATIVE = {
    "staff": "E1",
    "relation": "relative",
    "person": "P1",
    "provenance": "vetting",
    "from": "2015-01-01",
}


def _often(times: int, **changes: Any) -> dict[str, Any]:
    return lookup(times=times, every="1d", **changes)


def test_a_known_tie_stops_the_first_lookup(tmp_path: Path) -> None:
    """What the register knows refuses at once, raises at once, and hinders nothing lawful."""
    found = played(tmp_path, story(register=[RELATIVE], expect={"stop_by": 1, "raise_by": 1}))

    assert (1, 1, 0) == (found.stopped_at, found.raised_at, found.lawful_hindered)
    assert found.as_expected


def test_a_tie_counts_from_when_it_is_known(tmp_path: Path) -> None:
    """The feeds hold an entry from its known_from on: the lookups before it go through, and the look back raises them."""
    later = RELATIVE | {"known_from": "2024-01-10"}
    content = story(register=[later], lookups=[_often(4)], expect={"stop_by": 3, "raise_by": 3})

    found = played(tmp_path, content)

    assert 3 == found.stopped_at
    assert ("look back: relative", 2) == (found.raised_why, found.raised_at)


def test_an_assignment_ends_with_its_last_day(tmp_path: Path) -> None:
    """A case that was theirs explains nothing from the day after the recorded end."""
    ending = {
        "kind": "case", "opened": "2023-11-01", "records": ["person:P1"],
        "assigned": [{"staff": "E1", "from": "2023-11-01", "to": "2024-01-08"}],
    }  # fmt: skip
    refs = story()["references"] | {"CR/3/24": ending}
    content = story(
        references=refs, lookups=[lookup(ref="CR/3/24", lawful=True), lookup(at="2024-01-09T10:00")]
    )

    found = played(tmp_path, content | {"expect": {"stop_by": 2, "raise_by": 2}})

    assert () == found.faults
    assert 2 == found.stopped_at


def test_links_explain_what_references_do_not(tmp_path: Path) -> None:
    """A task is work: who has it may look as often as it takes, and nobody is asked."""
    links = [
        {"source": "staff:E1", "relation": "tasked", "target": "task:T1", "from": "2024-01-08"},
        {"source": "task:T1", "relation": "involves", "target": "person:P1"},
    ]
    expect = {"stop_by": "never", "raise_by": "never"}

    found = played(tmp_path, story(links=links, lookups=[_often(12)], expect=expect))

    assert () == found.faults
    assert found.asked_at is None


def test_a_search_does_not_show_who_is_tied(tmp_path: Path) -> None:
    """Whoever is tied is left out of the list, which counts as stopped; others are shown."""
    searches = [
        lookup(action="search", search={"kind": "person", "surname": surname}, record=f"person:{one}")
        for surname, one in (("Weld", "P1"), ("Varga", "P2"))
    ]
    content = story(
        register=[RELATIVE],
        lookups=[searches[0] | {"expect": "withheld"}, searches[1] | {"expect": "released"}],
    )

    assert () == played(tmp_path, content).faults


def test_covert_entries_raise_and_nobody_sees(tmp_path: Path) -> None:
    """The watcher lists the first lookup; what the officer saw is what they would have seen without it."""
    tie = {"staff": "E1", "relation": "associate", "person": "P1", "known_from": "2023-12-01"}
    expect = {"raise_by": 1, "stop_by": "never", "quiet": True}

    found = played(tmp_path, story(covert=[tie], lookups=[_often(2)], expect=expect))

    assert () == found.faults
    assert "watcher: associate" == found.raised_why


def test_quiet_is_broken_by_a_question(tmp_path: Path) -> None:
    """A case that must stay quiet and is asked about is not as expected, though the watcher lists it."""
    tie = {"staff": "E1", "relation": "associate", "person": "P1", "known_from": "2023-12-01"}

    found = played(tmp_path, story(covert=[tie], lookups=[_often(6)], expect={"raise_by": 1, "quiet": True}))

    assert any(fault.startswith("quiet: lookup 3") for fault in found.faults)


def test_an_originator_with_a_tie_stops_the_lookup(tmp_path: Path) -> None:
    """Looking for somebody else weighs that person's ties as well."""
    tied = RELATIVE | {"staff": "E2"}

    found = played(tmp_path, story(register=[tied], lookups=[lookup(originator="E2")], expect={"stop_by": 1}))

    assert () == found.faults


def test_every_kind_of_record_has_its_people(tmp_path: Path) -> None:
    """A vehicle's keeper, a case's people and whoever lives at an address are data subjects of it."""
    records = story()["records"] | {
        "vehicle": {"V1": {"plate": "AB12 CDE", "keeper": "P1"}},
        "case": {"C1": {"people": ["P2", "P1"]}},
        "address": {
            "A1": {"address": {"number": "4", "street": "Mill Lane", "postcode": "AB1 2CD"}, "people": ["P1"]}
        },
        "operation": {"O1": {"people": [{"name": "Vera Okafor"}, "P1"]}},
    }
    asked = [
        lookup(record=one, expect="refused")
        for one in ("vehicle:V1", "case:C1", "address:A1", "operation:O1")
    ]

    assert () == played(tmp_path, story(records=records, register=[RELATIVE], lookups=asked)).faults


def test_one_not_as_expected_exits_with_1(tmp_path: Path) -> None:
    """The command prints what was expected and what came, as a table and as JSON."""
    good = written(tmp_path, story(id="good"))
    bad = written(tmp_path, story(id="bad", expect={"stop_by": 1}))

    done = command(good, bad, "--format", "json")

    found = json.loads(done.stdout)
    assert 1 == done.returncode
    assert (2, 1) == (found["total"], found["as_expected"])
    assert ["stopped: expected by 1, was never"] == [
        fault for one in found["cases"] for fault in one["faults"]
    ]


INCIDENT = {"INC/7/24": {"kind": "incident", "opened": "2024-01-08", "records": ["person:P2"]}}
SENT = {
    "source": "staff:E1",
    "relation": "dispatched",
    "target": "reference:INC/7/24",
    "from": "2024-01-08T12:00",
    "to": "2024-01-08T14:00",
}


def test_a_dispatch_lasts_for_its_reference_as_for_its_records(tmp_path: Path) -> None:
    """Whoever was sent writes it up hours later under the incident's number; a day later their part in it is over."""
    asked = lookup(
        purpose="respond.incident", ref="INC/7/24", reason="Writing up the damaged fence at the school"
    )
    looked = [
        asked | {"at": "2024-01-08T20:00", "expect": "released"},
        asked | {"at": "2024-01-09T20:00", "expect": "approval"},
    ]

    assert () == played(tmp_path, story(references=INCIDENT, links=[SENT], lookups=looked, lawful=[])).faults


def test_an_incident_excuses_the_tie_of_whoever_was_sent(tmp_path: Path) -> None:
    """A live incident is not left waiting for somebody without ties; whoever only knows its number is refused."""
    asked = lookup(
        purpose="respond.incident",
        ref="INC/7/24",
        record="person:P2",
        reason="Attending the broken window at the school",
    )
    ties = [RELATIVE | {"person": "P2"}, RELATIVE | {"person": "P2", "staff": "W1"}]
    content = story(
        staff=story()["staff"] | {"W1": {}},
        references=INCIDENT,
        links=[SENT],
        register=ties,
        lookups=[asked | {"at": "2024-01-08T12:30", "who": "W1", "expect": "refused"}],
        lawful=[asked | {"at": "2024-01-08T12:20"}],
    )

    found = played(tmp_path, content)

    assert () == found.faults
    assert (0, 1) == (found.lawful_hindered, found.lawful_raised)


def test_a_postcode_shared_is_no_tie_to_explained_work(tmp_path: Path) -> None:
    """Somebody who may live near is flagged where nothing explains the lookup, and is geography in one's own case."""

    def at(number: str) -> dict[str, str]:
        return {"number": number, "street": "Mill Lane", "locality": "Ashby", "postcode": "AB1 2CD"}

    people = {
        "P1": {"name": "Tamsin Weld", "born": "1988-03-04", "home": at("40")},
        "P2": {"name": "Leon Varga", "born": "1991-12-24", "home": at("64")},
    }
    staff = story()["staff"] | {"E1": {"name": "Rowan Ashdown", "home": at("4")}}
    expect = {"stop_by": "never", "raise_by": 1}

    found = played(tmp_path, story(staff=staff, records={"person": people}, expect=expect))

    assert () == found.faults
    assert (0, 0) == (found.lawful_hindered, found.lawful_raised)


def test_a_run_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """A search that does not find what it is for says nothing of the policies: its scenario is named, the next one is played."""
    lost = story(id="lost", lookups=[lookup(search={"kind": "person", "surname": "Nobody"})])
    paths = [written(tmp_path, lost), written(tmp_path, story())]

    done = command(*paths, "--format", "json")

    assert 1 == done.returncode
    assert "lost: the run failed: line" in done.stderr
    assert 1 == json.loads(done.stdout)["total"]
