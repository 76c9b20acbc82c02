import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import entry, open_ledger
from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger import index as index_module
from purposegate.ledger import keys
from purposegate.ledger.index import Criteria, Difference, Hit, Index
from purposegate.ledger.place import Lock
from purposegate.ledger.sqlite_reader import SqliteReader
from purposegate.ledger.terms import Found, Term, purposes, subject, terms_of

START = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("Ann Lee", "Bob Ray", "Cy Ng")


def lookup(number: int) -> dict[str, Any]:
    """The `number`th lookup: one an hour, by three principals, on seven records, about three people."""
    given_name, surname = NAMES[number % 3].split()
    return {
        "at": START + timedelta(hours=number),
        "released": number % 4 != 0,
        "fields": {
            "principal": f"pc-{number % 3}",
            "purpose": ("investigate.crime", "respond.life")[number % 2],
            "ref": f"CR/{number % 5}",
            "reasons": ["conflict"] if number % 4 == 0 else [],
            "records": [["person", f"asked-{number}"]],
        },
        "rows": [{"kind": "person", "id": f"rec-{number % 7}", "subjects": [person(given_name, surname)]}],
    }


def person(given_name: str, surname: str) -> dict[str, Any]:
    return {"names": [[given_name, surname]], "born": ["1990-01-02"]}


SIZE = 120


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of `SIZE` lookups in two shards, the odd ones in the second."""
    path = tmp_path_factory.mktemp("index") / "l.db"
    with open_ledger(path) as even, open_ledger(path) as odd:
        for number in range(SIZE):
            (odd if number % 2 else even).append_wait(entry(number, **lookup(number)))
    return path


@pytest.fixture
def index(path: Path, tmp_path: Path) -> Iterator[Index]:
    """A fresh index of it, caught up."""
    reader = SqliteReader(path)
    found = Index(tmp_path / "index", reader, keys.load(path.with_name("l.db.keys")))
    found.catch_up()
    yield found
    found.close()
    reader.close()


def numbers(hits: list[Hit]) -> list[int]:
    """Which lookups were found: shard 1 holds the even ones behind its genesis, shard 2 the odd ones."""
    return [2 * (hit.number - 1) + hit.shard - 1 for hit in hits]


def expected(**wanted: Any) -> list[int]:
    """The lookups that a search must find, the plain way."""
    holds: dict[str, Callable[[int, dict[str, Any], Any], bool]] = {
        "principal": lambda _number, made, value: made["fields"]["principal"] == value,
        "purpose": lambda _number, made, value: value in purposes(made["fields"]["purpose"]),
        "case": lambda _number, made, value: made["fields"]["ref"] == value,
        "record": lambda _number, made, value: (
            value in (made["rows"][0]["id"], made["fields"]["records"][0][1])
        ),
        "subject": lambda number, _made, value: NAMES[number % 3] == value,
        "reason": lambda _number, made, value: value in made["fields"]["reasons"],
        "since": lambda _number, made, value: made["at"] >= value,
        "until": lambda _number, made, value: made["at"] < value,
        "released": lambda _number, made, value: made["released"] is value,
    }

    def meets(number: int) -> bool:
        made = lookup(number)
        return all(holds[name](number, made, value) for name, value in wanted.items() if value is not None)

    return [number for number in reversed(range(SIZE)) if meets(number)]


TERMS = {
    "principal": lambda value: Found(Term.PRINCIPAL, (value,)),
    "purpose": lambda value: Found(Term.PURPOSE, (value,)),
    "case": lambda value: Found(Term.CASE, (value,)),
    "record": lambda value: Found(Term.RECORD, ("person", value)),
    "subject": lambda value: Found(Term.SUBJECT, (subject(*value.split()),)),
    "reason": lambda value: Found(Term.REASON, (value,)),
}
TIMES = st.none() | st.integers(-5, SIZE + 5).map(lambda hours: START + timedelta(hours=hours, minutes=30))


@settings(max_examples=60)
@given(
    wanted=st.fixed_dictionaries(
        {},
        optional={
            "principal": st.sampled_from(["pc-0", "pc-1", "pc-9"]),
            "purpose": st.sampled_from(["investigate", "investigate.crime", "respond.life", "respond.lif"]),
            "case": st.sampled_from(["CR/1", "CR/4", "CR/"]),
            "record": st.sampled_from(["rec-3", "asked-17", "rec-9"]),
            "subject": st.sampled_from(NAMES),
            "reason": st.just("conflict"),
        },
    ),
    since=TIMES,
    until=TIMES,
    released=st.none() | st.booleans(),
    limit=st.integers(1, 200),
)
def test_search_finds_what_a_scan_finds(
    path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    wanted: dict[str, str],
    since: datetime | None,
    until: datetime | None,
    released: bool | None,
    limit: int,
) -> None:
    """Any criteria together find exactly the lookups that a plain scan finds, newest first, up to the limit."""
    reader = SqliteReader(path)
    index = Index(path.with_name("scan.index"), reader, keys.load(path.with_name("l.db.keys")))
    index.catch_up()
    terms = [TERMS[name](value) for name, value in wanted.items()] or [Found(Term.PURPOSE, ("investigate",))]
    if not wanted:
        wanted = {"purpose": "investigate"}
    hits = index.search(Criteria(terms=terms, since=since, until=until, released=released, limit=limit))
    index.close()
    reader.close()

    assert expected(**wanted, since=since, until=until, released=released)[:limit] == numbers(hits)


def test_search_without_terms_lists_the_newest(index: Index) -> None:
    """Without terms the entries of all shards are found by time, kind and outcome, newest first."""
    until = START + timedelta(hours=SIZE)

    assert [SIZE - 1, SIZE - 2, SIZE - 3] == numbers(index.search(Criteria(until=until, limit=3)))
    assert {Hit(1, 0), Hit(2, 0)} == set(index.search(Criteria(kind="genesis")))


def test_lookup_is_found_by_its_id(index: Index) -> None:
    """One lookup's entries are found by its id."""
    assert [17] == numbers(index.search(Criteria(terms=[Found(Term.LOOKUP, ("lookup-17",))])))


def test_subject_is_found_by_name_and_birth(index: Index) -> None:
    """Names compare without case and spacing, births as written."""
    name = subject("ANN", " lee ")

    assert expected(subject="Ann Lee") == numbers(
        index.search(Criteria(terms=[Found(Term.SUBJECT_BORN, (name, "1990-01-02"))]))
    )
    assert [] == index.search(Criteria(terms=[Found(Term.SUBJECT_BORN, (name, "1990-01-03"))]))


def test_index_holds_no_clear_text(path: Path, index: Index) -> None:
    """Neither names nor ids nor references stand in the index file."""
    index.close()  # which folds its WAL into the file
    raw = index._path.read_bytes()

    assert not [
        word for word in (b"pc-1", b"rec-3", b"CR/1", b"Ann Lee", b"ann lee", b"investigate") if word in raw
    ]


def test_index_follows_the_ledger(tmp_path: Path) -> None:
    """Catching up takes only what is new, and finds it."""
    with open_ledger(tmp_path / "l.db") as ledger:
        ledger.append_wait(entry(1, **lookup(1)))
        reader = SqliteReader(tmp_path / "l.db")
        index = Index(tmp_path / "index", reader, keys.load(tmp_path / "l.db.keys"))
        first = index.catch_up()
        ledger.append_wait(entry(2, **lookup(2)))
        second = index.catch_up()
        hits = index.search(Criteria(terms=[Found(Term.CASE, ("CR/2",))]))
        index.close()
        reader.close()

    assert (2, 1, [Hit(1, 2)]) == (first, second, hits)


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DELETE FROM term WHERE pos & 255 = 5", False),
        ("DELETE FROM entry WHERE pos & 255 = 5", False),
        ("INSERT INTO term VALUES (2, x'00', (1 << 40) + 5)", True),
        ("UPDATE entry SET released = 1 - released WHERE pos & 255 = 5", False),
    ],
)
def test_altered_index_is_named(index: Index, tmp_path: Path, statement: str, missing: bool) -> None:
    """A row taken out of the index, put in or changed is named by its entry; the untouched index has no difference."""
    index._reader.hold()
    assert [] == index.compare(tmp_path / "scratch-1")
    index._db.execute(statement)
    found = index.compare(tmp_path / "scratch-2")

    assert found
    assert {5} == {each.number for each in found}
    assert Difference(1, 5, missing=missing) in [each._replace(missing=missing) for each in found]


def test_altered_bounds_of_a_block_are_named(index: Index, tmp_path: Path) -> None:
    """Bounds that would hide a block from searches by time are named by the block's first entry."""
    index._reader.hold()
    index._db.execute("UPDATE block SET latest = earliest")
    found = index.compare(tmp_path / "scratch")

    assert {(1, 0), (2, 0)} == {(each.shard, each.number) for each in found}


WRONG_CLOCK = random.Random(5)
JUMPS = [timedelta(days=WRONG_CLOCK.choice((0, 0, 0, 0, 0, -40, 3, 400))) for _ in range(SIZE)]


@pytest.fixture(scope="module")
def jumped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose clock was wrong now and then, by days and by more than a year."""
    path = tmp_path_factory.mktemp("jumped") / "l.db"
    with open_ledger(path) as ledger:
        for number in range(SIZE):
            changes = lookup(number)
            ledger.append_wait(entry(number, **{**changes, "at": changes["at"] + JUMPS[number]}))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(since=st.integers(-50, 450), span=st.integers(0, 450), principal=st.booleans())
def test_a_clock_that_went_back_hides_nothing(
    jumped: Path, tmp_path_factory: pytest.TempPathFactory, since: int, span: int, principal: bool
) -> None:
    """A search by time finds what a scan finds, whatever order the clock gave the entries in."""
    low = lookup(0)["at"] + timedelta(days=since)
    high = low + timedelta(days=span)
    terms = [Found(Term.PRINCIPAL, ("pc-1",))] if principal else []
    reader = SqliteReader(jumped)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "BLOCK_SHIFT", 2)
        index = Index(
            tmp_path_factory.mktemp("index") / "index", reader, keys.load(jumped.with_name("l.db.keys"))
        )
        index.catch_up()
        criteria = Criteria(terms=terms, since=low, until=high, kind="release", limit=SIZE)
        hits = {hit.number - 1 for hit in index.search(criteria)}
        index.close()
    reader.close()
    wanted = {
        number
        for number in range(SIZE)
        if low <= lookup(number)["at"] + JUMPS[number] < high and (not principal or number % 3 == 1)
    }

    assert wanted == hits


def test_only_one_process_indexes(index: Index) -> None:
    """While one catches up, another is told so instead of writing the same rows."""
    lock = Lock(index._path.with_name("index.lock"))
    with pytest.raises(LedgerOutage, match="indexing"):
        index.catch_up()
    lock.release()


def test_foreign_file_is_no_index(path: Path, tmp_path: Path) -> None:
    """Another database in the index's place is refused, unchanged."""
    connection = apsw.Connection(str(tmp_path / "index"))
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    reader = SqliteReader(path)
    with pytest.raises(SettingsError, match="delete it"):
        Index(tmp_path / "index", reader, keys.load(path.with_name("l.db.keys")))
    reader.close()


def test_purpose_families_are_terms() -> None:
    """A dotted code is found by each of its ancestors."""
    assert ["a", "a.b", "a.b.c"] == list(purposes("a.b.c"))


@given(
    fields=st.dictionaries(
        st.sampled_from(["principal", "purpose", "ref", "reasons", "records", "originator"]),
        st.none() | st.integers() | st.text() | st.lists(st.text() | st.lists(st.integers())),
    ),
    rows=st.lists(
        st.none()
        | st.dictionaries(
            st.sampled_from(["kind", "id", "subjects"]),
            st.text()
            | st.lists(st.none() | st.dictionaries(st.sampled_from(["names", "born"]), st.lists(st.text()))),
        )
    ),
)
def test_any_payload_has_terms(fields: dict[str, Any], rows: list[Any]) -> None:
    """Fields of any shape give terms and never an error: an odd entry must not stop the index."""
    found = terms_of("id", fields, rows)

    assert Found(Term.LOOKUP, ("id",)) in found
