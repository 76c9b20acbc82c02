"""The register and the directory as imported."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from force_files import BROTHER, DIRECTORY, LONDON, NOW, OFFICER, POLICIES, REGISTER, Cells, write
from purposegate.conflicts import relations
from purposegate.conflicts.directory import read_directory
from purposegate.conflicts.register import Register, RegisterEntry, read_register
from purposegate.errors import ImportRefused
from purposegate.model import Address, Name, RecordRef

RULES = relations.load(POLICIES / "conflicts.yaml")


def _read(tmp_path: Path, *rows: Cells) -> Register:
    return read_register(write(tmp_path / "register.csv", REGISTER, rows), RULES, now=NOW, zone=LONDON)


def _entry(tmp_path: Path, **cells: str) -> RegisterEntry:
    return _read(tmp_path, {**BROTHER, **cells}).entries_of("E1")[0]


def _faults(tmp_path: Path, *rows: Cells) -> list[tuple[int, str]]:
    with pytest.raises(ImportRefused) as refused:
        _read(tmp_path, *rows)
    return [(finding.line, finding.key) for finding in refused.value.findings]


def test_a_row_is_read_whole(tmp_path: Path) -> None:
    """Names, dates, addresses with the time lived there, phones, plates and record ids."""
    entry = _entry(
        tmp_path,
        names="Edmund|Archer; Ned|Archer",
        born="1981-11-05; 1981",
        addresses="3|High Street|2|Ashby|AB1 2CD|2010-01-01|2015-06-30; 9|Hill Lane",
        phones="+44 7700 900123",
        plates="AB12 CDE",
        records="person:77; vehicle:v:9",
        valid_from="1984-02-29",
        known_from="2020-01-01",
    )

    assert (Name("Edmund", "Archer"), Name("Ned", "Archer")) == entry.person.names
    assert (
        Address("3", "High Street", "2", "Ashby", "AB1 2CD"),
        Address("9", "Hill Lane"),
    ) == entry.person.addresses
    assert {RecordRef("person", "77"), RecordRef("vehicle", "v:9")} == entry.records
    assert (date(1984, 2, 29), None, date(2020, 1, 1)) == (entry.valid_from, entry.valid_to, entry.known_from)


def test_an_alias_of_a_relation_becomes_its_name(tmp_path: Path) -> None:
    """Policies see one word, whichever an export used."""
    assert "partner" == _entry(tmp_path, relation="spouse_partner").relation


@pytest.mark.parametrize(
    ("cells", "columns"),
    [
        ({"provenance": "intelligence"}, ["provenance"]),
        ({"provenance": "rumour"}, ["provenance"]),
        ({"provenance": "directory"}, ["provenance"]),
        ({"relation": "cousin"}, ["relation"]),
        ({"relation": "self"}, ["relation"]),
        ({"id": ""}, ["id"]),
        ({"principal": ""}, ["principal"]),
        ({"names": ""}, ["names"]),
        ({"names": "A|B|C"}, ["names"]),
        ({"names": "|"}, ["names"]),
        ({"born": "2027-01-01"}, ["born"]),
        ({"born": "2027"}, ["born"]),
        ({"born": "5/11/1981"}, ["born"]),
        ({"addresses": "||||"}, ["addresses"]),
        ({"addresses": "1|a|b|c|d|e|f|g"}, ["addresses"]),
        ({"addresses": "1|High St||||2015-01-01|2014-01-01"}, ["addresses"]),
        ({"records": "77"}, ["records"]),
        ({"records": "staff: e1"}, ["records"]),
        ({"review": "next year"}, ["review"]),
        ({"records": "person:"}, ["records"]),
        ({"valid_from": "2027-01-01"}, ["valid_from"]),
        ({"known_from": "2026-11-21"}, ["known_from"]),
        ({"valid_from": "2020-01-02", "valid_to": "2020-01-01"}, ["valid_to"]),
        (
            {"provenance": "intelligence", "relation": "cousin", "born": "x"},
            ["relation", "provenance", "born"],
        ),
    ],
)
def test_what_a_row_may_not_say(tmp_path: Path, cells: dict[str, str], columns: list[str]) -> None:
    """Each wrong cell is named, all of a line at once."""
    assert [(4, column) for column in columns] == _faults(
        tmp_path, {**BROTHER, "id": "r0"}, {**BROTHER, **cells}
    )


def test_one_bad_line_refuses_the_whole_file(tmp_path: Path) -> None:
    """Nothing of a faulty register is taken, however many lines were right."""
    good = [{**BROTHER, "id": f"r{number}"} for number in range(50)]

    assert [(30, "id"), (54, "provenance")] == _faults(
        tmp_path,
        *good[:27],
        {**BROTHER, "id": "r3"},
        *good[27:],
        {**BROTHER, "id": "x", "provenance": "intelligence"},
    )


def test_an_entry_from_intelligence_is_told_why_it_is_refused(tmp_path: Path) -> None:
    """The refusal names the law, and not who is in the entry."""
    with pytest.raises(ImportRefused) as refused:
        _read(tmp_path, {**BROTHER, "provenance": "intelligence"})

    assert ("law 6" in str(refused.value), "Archer" in str(refused.value)) == (True, False)


def test_an_empty_register_is_a_register(tmp_path: Path) -> None:
    """A force that begins has no entries yet."""
    assert () == _read(tmp_path).entries_of("E1")


def test_a_tie_counts_for_a_while_after_its_end(tmp_path: Path) -> None:
    """To the last day that conflicts.yaml gives the relation, and not after."""
    entry = _entry(tmp_path, relation="friend", valid_to="2024-01-31")
    friend = RULES.by_name["friend"]
    last = date(2024, 1, 31) + timedelta(days=friend.counts_after_end_days)

    assert (True, False) == (entry.counts(friend, last), entry.counts(friend, last + timedelta(days=1)))


def _parent(number: int, child: str, parent: str, relation: str = "parent") -> Cells:
    return {
        **BROTHER,
        "id": f"p{number}",
        "principal": child,
        "relation": relation,
        "records": f"staff:{parent}",
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([_parent(1, "E1", "E2"), _parent(2, "E2", "E1")], [4]),
        ([_parent(1, "E1", "E2"), _parent(2, "e1", "E2", "child")], [4]),
        ([_parent(1, "E1", "E2"), _parent(2, "E2", "E3"), _parent(3, "E3", " e1")], [5]),
        ([_parent(1, "E1", "E2"), _parent(2, "E2", "E1", "child")], []),
        ([_parent(1, "E1", "E2"), _parent(2, "E1", "E3"), _parent(3, "E2", "E3")], []),
        ([_parent(1, "E1", "E2", "sibling"), _parent(2, "E2", "E1", "sibling")], []),
        (
            [_parent(1, "E1", "E2"), _parent(2, "E2", "E1"), _parent(3, "E5", "E6"), _parent(4, "E6", "E5")],
            [4, 6],
        ),
    ],
)
def test_nobody_is_their_own_ancestor(tmp_path: Path, rows: list[Cells], expected: list[int]) -> None:
    """A circle of parents is a wrong staff id somewhere: the line that closes it is named, also where it is read backwards."""
    if not expected:
        assert _read(tmp_path, *rows).entries_of("E1")
    else:
        assert [(line, "relation") for line in expected] == _faults(tmp_path, *rows)


def test_an_entry_says_when_it_is_to_be_reviewed(tmp_path: Path) -> None:
    """A column that may be left out: older exports have none."""
    assert date(2027, 1, 1) == _entry(tmp_path, review="2027-01-01").review
    file = write(tmp_path / "old.csv", [name for name in REGISTER if name != "review"], [BROTHER])
    assert read_register(file, RULES, now=NOW, zone=LONDON).entries_of("E1")[0].review is None


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({}, True),
        ({"declared_by": ""}, True),
        ({"declared_by": "E9"}, False),
        ({"provenance": "vetting"}, False),
    ],
)
def test_only_what_somebody_declared_themself_may_be_named_back(
    tmp_path: Path, cells: dict[str, str], *, expected: bool
) -> None:
    """Anything else would tell them what the force knows (law 7)."""
    assert expected == _entry(tmp_path, **cells).is_declared_by("E1")


@given(cells=st.dictionaries(st.sampled_from(REGISTER), st.text(max_size=40), min_size=1))
def test_any_cells_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, str]
) -> None:
    """Whatever stands in a row, the import ends in entries or in a refusal that names line 3, never in a crash."""
    folder = tmp_path_factory.mktemp("any")
    clean = {column: text.encode("utf-8", "replace").decode() for column, text in cells.items()}
    path = write(folder / "register.csv", REGISTER, [{**BROTHER, **clean}])
    said: list[int] = []
    try:
        entries = read_register(path, RULES, now=NOW, zone=LONDON).entries
        said = [len(rows) for rows in entries.values()]
    except ImportRefused as refused:
        said = sorted({finding.line for finding in refused.findings})

    assert said in ([1], [3])


@pytest.mark.parametrize(
    ("cells", "columns"),
    [
        ({"staff_id": ""}, ["staff_id"]),
        ({"names": ""}, ["names"]),
        ({"joined": "soon"}, ["joined"]),
        ({"joined": "2020-01-02", "left": "2020-01-01"}, ["left"]),
        ({"homes": "14|Mill Lane||Ashby|AB1 2CD|2019-13-01"}, ["homes"]),
    ],
)
def test_what_a_row_of_the_directory_may_not_say(
    tmp_path: Path, cells: dict[str, str], columns: list[str]
) -> None:
    """Each wrong cell is named."""
    with pytest.raises(ImportRefused) as refused:
        read_directory(
            write(tmp_path / "directory.csv", DIRECTORY, [{**OFFICER, **cells}]), now=NOW, zone=LONDON
        )

    assert columns == [finding.key for finding in refused.value.findings]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    """An export without staff is a broken one: taken, it would make everybody unrelated."""
    with pytest.raises(ImportRefused):
        read_directory(write(tmp_path / "directory.csv", DIRECTORY, []), now=NOW, zone=LONDON)


def test_somebody_is_employed_from_the_first_day_to_the_last(tmp_path: Path) -> None:
    """Both days are within."""
    cells = {**OFFICER, "joined": "2015-03-02", "left": "2020-06-30"}
    member = read_directory(
        write(tmp_path / "directory.csv", DIRECTORY, [cells]), now=NOW, zone=LONDON
    ).staff["e1"]
    days = (date(2015, 3, 1), date(2015, 3, 2), date(2020, 6, 30), date(2020, 7, 1))

    assert (False, True, True, False) == tuple(map(member.is_employed, days))
