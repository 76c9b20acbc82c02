"""What every register store keeps, in SQLite and in PostgreSQL alike. Tests take the fixture `site`."""

import json
from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from force_files import BROTHER, LONDON, NOW, REGISTER, Cells, write
from purposegate.conflicts.decisions import Verdict
from purposegate.conflicts.register import RegisterEntry, read_register
from purposegate.conflicts.register_import import Feed, taking
from purposegate.errors import FactsOutage, ImportRefused, SettingsError
from purposegate.model import RecordRef
from registers import RULES, RegisterSite

FRIEND: Cells = {
    "id": "r2",
    "principal": "e1 ",
    "relation": "friend",
    "provenance": "vetting",
    "names": "Zoë|Ní Bhriain; Zo|Byrne",
    "born": "1990; 1990-03",
    "addresses": "3|High Street|2|Ashby|AB1 2CD|2010-01-01|2015-06-30; 9|Hill Lane",
    "phones": "+44 7700 900123",
    "plates": "AB12 CDE",
    "records": "person:77; vehicle:v:9; staff: E2",
    "valid_from": "2019-03-01",
    "valid_to": "2022-12-31",
    "known_from": "2020-01-01",
    "review": "2027-01-01",
}
COUSIN: Cells = {**BROTHER, "id": "r3", "principal": "E2", "relation": "relative", "names": "Ida|Khan"}
WIDE = frozenset(RULES.by_name)


def test_what_was_imported_is_what_a_file_in_memory_holds(site: RegisterSite) -> None:
    """Every cell comes back as the smallest set-up has it, whichever way the staff id is spelt."""
    rows = [BROTHER, FRIEND, COUSIN]
    site.take(rows)
    register = site.load()
    in_memory = read_register(write(site.folder / "m.csv", REGISTER, rows), RULES, now=NOW, zone=LONDON)

    for staff_id in ("E1", " e1", "E2", "E3"):
        assert sorted(in_memory.entries_of(staff_id), key=lambda one: one.id) == sorted(
            register.entries_of(staff_id), key=lambda one: one.id
        )
    assert {one.id: one for one in in_memory.each()} == {one.id: one for one in register.each()}


def test_entries_are_found_by_the_records_they_name(site: RegisterSite) -> None:
    """Of whomever they are, if their relation is one that was asked for; staff by any spelling of their id."""
    site.take([BROTHER, FRIEND, COUSIN])
    register = site.load()

    found = [
        register.naming(RecordRef(*name), WIDE)
        for name in (("person", "77"), ("staff", "e2"), ("person", "78"))
    ]
    assert [["r2"], ["r2"], []] == [[one.id for one in each] for each in found]
    assert () == register.naming(RecordRef("person", "77"), frozenset({"partner"}))


def test_an_import_counts_what_it_changes(site: RegisterSite) -> None:
    """New, changed and gone, as the ledger's entry says them; what is as it was is not counted."""
    first = site.take([BROTHER, FRIEND, COUSIN])
    second = site.take([BROTHER, {**FRIEND, "born": "1991"}, {**COUSIN, "id": "r4"}])

    counts = ("rows", "added", "changed", "ended", "generation")
    assert [(3, 3, 0, 0, 1), (3, 1, 1, 1, 2)] == [
        tuple(each[name] for name in counts) for each in (first, second)
    ]


def test_a_loaded_generation_stays_what_it_is(site: RegisterSite) -> None:
    """A lookup that began before an import ends as it began; the next one sees all of the import (law 9)."""
    site.take([BROTHER])
    before = site.load()
    site.take([{**BROTHER, "relation": "friend"}])
    after = before.renewed(RULES)

    assert (["sibling"], ["friend"]) == (
        [one.relation for one in before.entries_of("E1")],
        [one.relation for one in after.entries_of("E1")],
    )
    assert (False, True, False) == (before.is_current, after.is_current, before.digest == after.digest)


def test_a_block_left_without_commit_changes_nothing(site: RegisterSite) -> None:
    """No entry in the ledger, no import: the transaction ends with whatever failed."""
    site.take([BROTHER])
    before = site.load()
    feed = Feed(name="register", source=write(site.folder / "r.csv", REGISTER, [COUSIN]), least_share=0.8)
    with pytest.raises(ZeroDivisionError), taking(site.store, feed, RULES, now=NOW, zone=LONDON):
        raise ZeroDivisionError

    assert (before.digest, ["r1"]) == (site.load().digest, [one.id for one in site.load().each()])


def test_feeds_do_not_touch_each_other(site: RegisterSite) -> None:
    """Each brings its own entries, told apart by its name; the oldest of them is how old the register is."""
    site.take([BROTHER])
    site.take([{**BROTHER, "relation": "friend"}], feed="hr", as_of="2026-11-18T09:00:00Z")
    site.take([{**BROTHER, "relation": "relative"}], feed="hr", as_of="2026-11-19T09:00:00Z")
    register = site.load()

    assert {"r1": "sibling", "hr/r1": "relative"} == {
        one.id: one.relation for one in register.entries_of("E1")
    }
    assert "2026-11-19T09:00:00+00:00" == register.as_of.isoformat()


@pytest.mark.parametrize("rows", [[], [BROTHER]])
def test_a_feed_that_broke_off_is_refused(site: RegisterSite, rows: list[Cells]) -> None:
    """A header without entries, or a fraction of the last ones, clears nobody's conflicts unless somebody says so."""
    site.take([BROTHER, FRIEND, COUSIN])
    with pytest.raises(ImportRefused):
        site.take(rows)
    kept = len(list(site.load().each()))
    site.take(rows, accept_shorter=True)

    assert (3, len(rows)) == (kept, len(list(site.load().each())))


def test_an_empty_first_import_is_refused(site: RegisterSite) -> None:
    """A register that begins empty is more often a broken export than a force without relatives."""
    with pytest.raises(ImportRefused):
        site.take([])


def test_repeated_ids_are_named_by_line(site: RegisterSite) -> None:
    """Also where the two lines are of different members of staff; nothing is taken."""
    with pytest.raises(ImportRefused) as refused:
        site.take([BROTHER, FRIEND, {**COUSIN, "id": "r1"}])

    assert [(5, "id")] == [(finding.line, finding.key) for finding in refused.value.findings]
    with pytest.raises(SettingsError):
        site.load()


def test_a_decision_is_kept_and_replaced(site: RegisterSite) -> None:
    """The last one of a candidate counts, and no import touches it."""
    site.take([BROTHER])
    site.decide(Verdict.REJECTED)
    site.decide(Verdict.CONFIRMED)
    site.take([BROTHER, FRIEND])
    register = site.load()

    assert [Verdict.CONFIRMED] == [one.verdict for one in register.decisions_of("e1")]
    assert 1 == register.head.decisions


def test_a_confirmed_record_is_looked_back_for(site: RegisterSite) -> None:
    """To looking back it is one more record that the entry names, so that the entry counts as changed."""
    site.take([BROTHER])
    site.decide(Verdict.CONFIRMED)

    assert [frozenset({RecordRef("person", "900")})] == [one.records for one in site.load().each()]


def test_nothing_stands_in_clear_but_dates(site: RegisterSite) -> None:
    """Neither names nor staff ids, relations, plates or record ids are anywhere in the tables."""
    site.take([BROTHER, FRIEND])
    site.decide()
    held = (
        site.execute("SELECT * FROM held")
        + site.execute("SELECT * FROM head")
        + site.execute("SELECT * FROM meta")
    )
    said = b"\n".join(
        cell.encode() if isinstance(cell, str) else bytes(cell)
        for row in held
        for cell in row
        if isinstance(cell, str | bytes | bytearray | memoryview)
    )

    for secret in (
        b"Archer",
        b"archer",
        b"sibling",
        b"friend",
        b"AB12 CDE",
        b"person",
        b"Byrne",
        b"High Street",
    ):
        assert secret not in said
    assert b"2019-03-01" in said


TAMPERING = {
    "an entry's rows deleted": ["DELETE FROM held WHERE valid_from = '2019-03-01'"],
    "all rows deleted": ["DELETE FROM held"],
    "an entry ended": ["UPDATE held SET until = 1 WHERE valid_from = '2019-03-01'"],
    "an entry not begun": ["UPDATE held SET since = 9 WHERE valid_from = '2019-03-01'"],
    "an entry dated": ["UPDATE held SET valid_to = '2019-03-02' WHERE valid_from = '2019-03-01'"],
    "sealed bytes exchanged": [
        "UPDATE held SET ct = (SELECT x.ct FROM held x WHERE x.valid_from = '' ORDER BY x.ct LIMIT 1)",
    ],
    "nonces exchanged": ["UPDATE held SET nonce = (SELECT x.nonce FROM held x ORDER BY x.nonce LIMIT 1)"],
}


@pytest.mark.parametrize("how", TAMPERING)
def test_a_hostile_administrator_is_noticed(site: RegisterSite, how: str) -> None:
    """Whoever looks the member of staff up gets an outage, never fewer ties; and so does a check of it all."""
    site.take([BROTHER, FRIEND])
    register = site.load()
    site.execute(*TAMPERING[how])

    with pytest.raises(FactsOutage):
        register.entries_of("E1")
    with pytest.raises(FactsOutage):
        site.load().check()


def test_an_entry_cannot_be_given_to_another(site: RegisterSite) -> None:
    """Rows moved to where somebody else's are found open for nobody."""
    site.take([BROTHER, COUSIN])
    register = site.load()
    owners = site.execute("SELECT DISTINCT bucket, owner FROM held ORDER BY bucket")
    (one, _), (other, _) = owners
    site.execute(
        f"UPDATE held SET bucket = -1, owner = (SELECT x.owner FROM held x WHERE x.bucket = {other} LIMIT 1) WHERE bucket = {one}",
        f"DELETE FROM held WHERE bucket = {other}",
        f"UPDATE held SET bucket = {other} WHERE bucket = -1",
    )

    for staff_id in ("E1", "E2"):
        with pytest.raises(FactsOutage):
            register.entries_of(staff_id)


def test_an_older_row_cannot_be_brought_back(site: RegisterSite) -> None:
    """The entry as it was in the last generation, with its own seal, is not what this one pinned."""
    site.take([FRIEND])
    site.take([{**FRIEND, "relation": "partner"}])
    site.execute("DELETE FROM held WHERE since = 2", "UPDATE held SET until = NULL")

    with pytest.raises(FactsOutage):
        site.load().entries_of("E1")


def test_an_import_seals_nobodys_tampering(site: RegisterSite) -> None:
    """A bucket that is not what was pinned stops the import that would pin it anew."""
    site.take([BROTHER])
    site.decide()
    site.execute("DELETE FROM held WHERE feed <> (SELECT feed FROM held WHERE since = 1)")

    with pytest.raises(SettingsError, match="altered"):
        site.take([{**BROTHER, "relation": "friend"}])


def test_a_head_of_another_generation_does_not_open(site: RegisterSite) -> None:
    """A head is sealed for its number."""
    site.take([BROTHER])
    site.execute("UPDATE head SET generation = 2")

    with pytest.raises(SettingsError, match="head"):
        site.load()


def test_relations_that_the_policies_lack_are_named_at_loading(site: RegisterSite) -> None:
    """A relation dropped from conflicts.yaml while entries have it is a fault before any lookup, not at one."""
    site.take([BROTHER])
    fewer = replace(
        RULES, by_name=MappingProxyType({k: v for k, v in RULES.by_name.items() if k != "sibling"})
    )

    with pytest.raises(SettingsError, match="sibling"):
        site.place.open().load(fewer)


def test_what_ended_is_gone_after_an_hour(site: RegisterSite) -> None:
    """Kept for gates that have not looked since, then deleted; one that still reads it gets an outage, never fewer ties."""
    site.take([BROTHER])
    before = site.load()
    site.take([{**BROTHER, "relation": "friend"}])
    kept = ([one.relation for one in before.entries_of("E1")], site.execute("SELECT COUNT(*) FROM held"))
    lagging = before.renewed(RULES)
    site.take([COUSIN], feed="hr", now=NOW + timedelta(hours=2))

    assert ((["sibling"], [(2,)]), [(2,)]) == (kept, site.execute("SELECT COUNT(*) FROM held"))
    assert ["friend"] == [one.relation for one in lagging.entries_of("E1")]
    with pytest.raises(FactsOutage):
        before.check()


def test_keys_can_be_added(site: RegisterSite) -> None:
    """A second `seal` line seals what comes from then on; what was sealed before still opens."""
    site.take([BROTHER])
    with site.place.key_file.open("a") as file:
        file.write("seal 2 " + "A" * 43 + "=\n")
    site.take([BROTHER, FRIEND])

    assert ["r1", "r2"] == sorted(one.id for one in site.load().entries_of("E1"))
    assert [(1,), (2,)] == site.execute("SELECT DISTINCT kid FROM held ORDER BY kid")


def test_entries_due_for_review_are_counted(site: RegisterSite) -> None:
    """By the dates that stand in clear, which nobody can change unnoticed."""
    site.take([BROTHER, FRIEND])
    register = site.load()

    assert [0, 1] == [register.due(day) for day in (date(2026, 12, 31), date(2027, 1, 1))]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.dictionaries(
            st.sampled_from(REGISTER),
            st.sampled_from(
                ["E1", "staff:E2", "person:7;person:7", "A|B", "1981", "sibling", "vetting", "", "2019-01-01"]
            )
            | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        ),
        max_size=3,
    )
)
def test_a_store_takes_what_memory_takes(site: RegisterSite, cells: list[Cells]) -> None:
    """Whatever stands in the rows, both refuse them, or both hold the same entries (one door, two rooms)."""
    rows = [{**BROTHER, "id": f"r{number}", **each} for number, each in enumerate(cells)]
    file = write(site.folder / "same.jsonl", REGISTER, [])
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    in_memory: dict[str, RegisterEntry] | None
    stored: dict[str, RegisterEntry] | None
    try:
        in_memory = {one.id: one for one in read_register(file, RULES, now=NOW, zone=LONDON).each()}
    except ImportRefused:
        in_memory = None
    feed = Feed(name="register", source=file, least_share=0, accept_shorter=True)
    try:
        with taking(site.store, feed, RULES, now=NOW, zone=LONDON) as pending:
            pending.commit()
        stored = {one.id: one for one in site.load().each()}
    except ImportRefused:
        stored = None

    assert in_memory == stored
