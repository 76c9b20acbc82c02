"""Looking back: which past lookups an entry ties to somebody, on two clocks, found by tokens alone."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import febrl
from force_files import somebody
from past_lookups import GANG_MEMBER, RULES
from purposegate.conflicts.lookback import Knowledge, LookBack, PastRow, Timing, Tokens, keys_version, timing
from purposegate.conflicts.register import RegisterEntry
from purposegate.conflicts.sightings import Sightings, Where
from purposegate.errors import SettingsError
from purposegate.model import Identity, RecordRef, Tier, Whose

LONDON = ZoneInfo("Europe/London")
LOOKING = LookBack(RULES.matching, zone=LONDON)
DAY = date(2026, 11, 20)
ENTRY = RegisterEntry(
    id="r1",
    principal="E1",
    relation="associate",
    provenance="vetting",
    person=GANG_MEMBER,
    homes=(),
    records=frozenset(),
    valid_from=None,
    valid_to=None,
    known_from=None,
    declared_by="",
)
ROW = PastRow(
    shard=1,
    shard_name="shard-0",
    number=7,
    row=0,
    lookup_id="lookup-7",
    at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    principal="E1",
    originator="",
    recipient="",
    purpose="investigate.crime",
    ref="CR/1042/26",
    reason="Witness statement",
    action="view",
    released=True,
    record=RecordRef("person", "900"),
    subjects=(GANG_MEMBER,),
)


def test_hit_explains_itself() -> None:
    """A hit says whose tie, how sure, and which fields added what; the lines add up to the score."""
    hit = LOOKING.weigh(ENTRY, ROW, known_by=DAY)

    assert hit is not None
    assert (Whose.PRINCIPAL, Tier.CONFIRMED) == (hit.whose, hit.tier)
    assert hit.score_bits == pytest.approx(sum(bits for _, bits in hit.table), abs=0.05)


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        (ENTRY, replace(ROW, principal="E2")),
        (ENTRY, replace(ROW, subjects=(somebody("Astrid", "Overbeck", "1951-02-03"),))),
        (ENTRY, replace(ROW, subjects=())),
        (replace(ENTRY, person=Identity()), ROW),
        (replace(ENTRY, records=frozenset({RecordRef("person", "901")})), replace(ROW, subjects=())),
    ],
    ids=["another's lookup", "another person", "nobody seen", "nobody named", "another record"],
)
def test_no_hit(entry: RegisterEntry, row: PastRow) -> None:
    """Another member of staff, another person or another record is no hit."""
    assert LOOKING.weigh(entry, row, known_by=DAY) is None


@pytest.mark.parametrize(
    ("row", "whose"),
    [
        (replace(ROW, principal="E9", originator=" e1"), Whose.ORIGINATOR),
        (replace(ROW, principal="E9", recipient="E1"), Whose.RECIPIENT),
    ],
)
def test_lookups_for_somebody_are_theirs(row: PastRow, whose: Whose) -> None:
    """Whoever had it looked up, or got it, is compared too, however their id is written."""
    hit = LOOKING.weigh(ENTRY, row, known_by=DAY)

    assert hit is not None
    assert whose is hit.whose


def test_record_id_alone_is_enough() -> None:
    """An entry that names the record finds lookups that showed nobody."""
    hit = LOOKING.weigh(
        replace(ENTRY, records=frozenset({ROW.record})), replace(ROW, subjects=()), known_by=DAY
    )

    assert hit is not None
    assert ((("record-id", 60.0),), Tier.CONFIRMED) == (hit.table, hit.tier)


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "expected"),
    [
        (None, None, Timing.DURING),
        (DAY, None, Timing.DURING),
        (DAY + timedelta(1), None, Timing.BEFORE),
        (None, DAY, Timing.DURING),
        (None, DAY - timedelta(1), Timing.AFTER),
        (DAY - timedelta(9), DAY - timedelta(1), Timing.AFTER),
        (DAY - timedelta(9), DAY + timedelta(1), Timing.DURING),
    ],
)
def test_clock_of_the_tie(valid_from: date | None, valid_to: date | None, expected: Timing) -> None:
    """First and last day belong to the tie; an edge that is not stated has not been reached."""
    assert expected == timing(replace(ENTRY, valid_from=valid_from, valid_to=valid_to), DAY)


@pytest.mark.parametrize(
    ("known_from", "known_by", "expected"),
    [
        (DAY, DAY, Knowledge.KNOWN),
        (DAY + timedelta(1), DAY, Knowledge.BEFORE),
        (DAY - timedelta(1), DAY + timedelta(9), Knowledge.KNOWN),
        (None, DAY, Knowledge.KNOWN),
        (None, DAY + timedelta(1), Knowledge.BEFORE),
    ],
)
def test_clock_of_knowledge(known_from: date | None, known_by: date, expected: Knowledge) -> None:
    """The day the force learnt of it counts as known; where the entry does not say, the day that can be shown."""
    hit = LOOKING.weigh(replace(ENTRY, known_from=known_from), ROW, known_by=known_by)

    assert hit is not None
    assert expected == hit.knowledge


def test_days_are_the_forces() -> None:
    """Half past eleven at night UTC in summer is the next day in London."""
    row = replace(ROW, at=datetime(2026, 7, 1, 23, 30, tzinfo=UTC))
    hit = LOOKING.weigh(replace(ENTRY, valid_from=date(2026, 7, 2)), row, known_by=DAY)

    assert hit is not None
    assert Timing.DURING == hit.timing


def test_model_tells_weights_apart() -> None:
    """A changed weight is another model, even where nobody raised the version."""
    other = replace(RULES.matching, phone=RULES.matching.phone + 1)

    assert LOOKING.model != LookBack(other, zone=LONDON).model
    assert LOOKING.model == LookBack(RULES.matching, zone=LONDON).model


# The index


def test_index_finds_what_the_scorer_would(tmp_path: Path) -> None:
    """On febrl4 the index proposes every pair of one person that the scorer would take, beside under 5 % of strangers."""
    entries, records = febrl.people("dataset4a")[:400], {one.truth: one for one in febrl.people("dataset4b")}
    seen = [records[one.truth] for one in entries]
    index = Sightings(tmp_path / "i.db", bytes(32))
    rows = [
        replace(ROW, number=place, record=RecordRef("person", one.id), subjects=(one.identity,))
        for place, one in enumerate(seen)
    ]
    index.add(1, len(rows), rows)
    missed, proposed = [], 0
    for place, one in enumerate(entries):
        entry = replace(ENTRY, person=one.identity)
        found = {where.number for where in index.candidates(entry, {})}
        proposed += len(found)
        if place not in found and LOOKING.weigh(entry, rows[place], known_by=DAY):
            missed.append(one.id)
    index.close()

    assert [] == missed
    assert proposed < 0.05 * len(entries) ** 2


def test_index_keeps_to_whom_and_where(tmp_path: Path) -> None:
    """Only the principal's own lookups come back, only from the number asked for on, each record by itself."""
    index = Sightings(tmp_path / "i.db", bytes(32))
    index.add(1, 9, [ROW, replace(ROW, number=8, row=3), replace(ROW, number=8, principal="E2")])
    index.add(2, 9, [replace(ROW, shard=2)])

    assert [Where(1, 7, 0), Where(1, 8, 3), Where(2, 7, 0)] == index.candidates(ENTRY, {})
    assert [Where(1, 8, 3)] == index.candidates(ENTRY, {1: 8, 2: 9})
    assert [Where(1, 8, 0)] == index.candidates(replace(ENTRY, principal="e2"), {})


def test_index_is_made_anew_for_another_key(tmp_path: Path) -> None:
    """Tokens of another key would find nothing, so such an index is emptied and read again."""
    for secret, expected in ((bytes(32), {}), (bytes(32), {1: 9}), (b"x" * 32, {})):
        index = Sightings(tmp_path / "i.db", secret)
        assert expected == index.sizes()
        index.add(1, 9, [ROW])
        index.close()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A file that is something else is refused and not changed."""
    path = tmp_path / "i.db"
    path.write_bytes(b"SQLite format 3\0 or not")
    with pytest.raises(SettingsError):
        Sightings(path, bytes(32))

    assert b"SQLite format 3\0 or not" == path.read_bytes()


def test_changed_entries_are_new(tmp_path: Path) -> None:
    """An entry is looked back for once, until anything that it says, or the model, changes."""
    index = Sightings(tmp_path / "i.db", bytes(32))
    index.looked([ENTRY], "1")

    assert not index.is_new(ENTRY, "1")
    assert index.is_new(ENTRY, "2")
    assert index.is_new(replace(ENTRY, valid_to=DAY), "1")
    assert index.is_new(replace(ENTRY, records=frozenset({ROW.record})), "1")
    assert index.is_new(replace(ENTRY, id="r2"), "1")


@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=5), st.binary(min_size=32, max_size=32))
def test_tokens_fit_and_lie_together(staff_id: str, keys: list[tuple[object, ...]], secret: bytes) -> None:
    """Any id and key has a token of 64 bits, signed; those of one member of staff share the upper half."""
    tokens = Tokens(secret).of(staff_id, keys)

    assert len(keys) == len(tokens)
    assert all(-(1 << 63) <= token < 1 << 63 for token in tokens)
    assert len({token >> 32 for token in tokens}) <= 1


def test_tokens_are_keyed_and_told_apart() -> None:
    """Another key, another member of staff or another way to part the same letters is another token."""
    one = Tokens(bytes(32))
    tokens = [
        one.of("E1", [("a", "bc")]),
        one.of("E1", [("ab", "c")]),
        one.of("E2", [("a", "bc")]),
        Tokens(b"x" * 32).of("E1", [("a", "bc")]),
    ]

    assert 4 == len({token for (token,) in tokens})
    assert tokens[0] == one.of(" e1 ", [("a", "bc")])
    assert len({token & 0xFFFFFFFF for (token,) in tokens}) == 4


def test_key_making_is_recognised() -> None:
    """The version is one and the same from call to call: an index is not thrown away for nothing."""
    assert keys_version() == keys_version()
