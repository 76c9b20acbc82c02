"""Random challenges: the rate, the same draw again, a key committed before its first use, and one key for all workers."""

import asyncio
import hmac
import multiprocessing
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from force_files import POLICIES, lookup, write_force
from purposegate.errors import FactsOutage, LedgerOutage, SettingsError
from purposegate.facts import ForceFacts, challenge
from purposegate.facts.challenge import DayKeys, any_drawn, draw
from purposegate.model import Action, Counted, Lookup, RecordRef
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

DAY = date(2026, 11, 20)
KEY = bytes(range(32))
texts = st.text(min_size=1, max_size=20)


class Commits:
    """The ledger's part: what was committed, and whether it is down."""

    def __init__(self) -> None:
        self.made: list[tuple[date, str]] = []
        self.is_down = False

    async def __call__(self, day: date, digest: str) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise LedgerOutage("no space")
        self.made.append((day, digest))


async def _nothing_counted(keys: object) -> list[Counted]:
    return []


def _policy(tmp_path: Path, rate: str) -> Path:
    path = tmp_path / "facts.yaml"
    shipped = (POLICIES / "facts.yaml").read_text(encoding="utf-8")
    path.write_text(shipped.replace("  rate: 0\n", f"  rate: {rate}\n"), encoding="utf-8")
    return path


def _view(record: str) -> Lookup:
    return replace(lookup(), records=(RecordRef("person", record),))


@pytest.mark.parametrize("per_million", [5_000, 100_000, 500_000])
@given(key=st.binary(min_size=32, max_size=32))
@settings(max_examples=8)
def test_the_rate_is_kept(per_million: int, key: bytes) -> None:
    """Of 4,000 records the share drawn is the rate, within five standard deviations, whatever the key."""
    drawn = sum(any_drawn(key, _view(str(number)), DAY, per_million) for number in range(4000))
    expected = 4000 * per_million / 1e6
    spread = (expected * (1 - per_million / 1e6)) ** 0.5

    assert abs(drawn - expected) <= 5 * spread


def test_at_the_ends_all_or_none() -> None:
    """A rate of 1 draws everybody and 0 nobody."""
    found = [
        [any_drawn(KEY, _view(str(number)), DAY, rate) for number in range(200)] for rate in (0, 1_000_000)
    ]

    assert [{False}, {True}] == [set(drawn) for drawn in found]


parts = st.tuples(texts, st.lists(texts, min_size=1, max_size=3), texts, st.dates())


@given(one=parts, other=parts, key=st.binary(min_size=32, max_size=32))
def test_asking_again_draws_the_same_and_asking_otherwise_does_not(
    one: tuple[str, list[str], str, date], other: tuple[str, list[str], str, date], key: bytes
) -> None:
    """A draw is of principal, what is asked for, purpose and day, and of nothing else; parts never run together."""

    def drawn(of: tuple[str, list[str], str, date]) -> int:
        return draw(key, principal=of[0], subject=of[1], purpose=of[2], day=of[3])

    assert drawn(one) == drawn(one)
    assert (one == other) == (drawn(one) == drawn(other))


@given(st.text(max_size=60), st.integers(0, 10_000))
def test_retries_change_nothing(reason: str, seconds: int) -> None:
    """Another reason, reference, time of day, action or lookup id is the same draw: there is nothing to try again with."""
    first = _view("900")
    again = replace(
        first,
        id="another",
        at=first.at + timedelta(seconds=seconds),
        action=Action.EXPORT,
        declaration=replace(first.declaration, reason=reason, ref="CR/2/26"),
    )
    rates = range(0, 1_000_001, 50_000)

    assert [any_drawn(KEY, first, DAY, rate) for rate in rates] == [
        any_drawn(KEY, again, DAY, rate) for rate in rates
    ]


def test_a_search_draws_on_its_criteria() -> None:
    """The same words in another case or order are the same search."""
    one = replace(lookup(action=Action.SEARCH), criteria={"surname": "Archer", "given": "Ed"})
    same = replace(one, criteria={"given": " ED", "surname": "archer"})
    other = replace(one, criteria={"surname": "Archer", "given": "Edmund"})
    drawn = [
        draw(KEY, principal="E1", subject=subject, purpose="p", day=DAY)
        for about in (one, same, other)
        for subject in challenge.subjects_of(about.records, about.kind, about.criteria)
    ]

    assert (drawn[0], 2) == (drawn[1], len(set(drawn)))


def test_the_draw_is_what_the_page_says() -> None:
    """HMAC-SHA256 over the parts, each after its length in four bytes: what an auditor computes from docs alone."""
    parts = ["purposegate challenge v1", "E1", "investigate.crime", "2026-11-20", "record", "person", "900"]
    message = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    expected = int.from_bytes(hmac.new(KEY, message, sha256).digest()[:8], "big")

    assert expected == draw(
        KEY, principal="E1", subject=("record", "person", "900"), purpose="investigate.crime", day=DAY
    )


async def test_the_commitment_comes_before_the_key(tmp_path: Path) -> None:
    """While the ledger cannot append there is no key; once it can, the digest stands in it first."""
    commits = Commits()
    keys = DayKeys(tmp_path / "challenge", commits)
    commits.is_down = True
    with pytest.raises(LedgerOutage):
        await keys.of(DAY)
    commits.is_down = False
    key = await keys.of(DAY)

    assert [(DAY, sha256(key).hexdigest())] == commits.made


async def test_many_lookups_at_once_make_one_key(tmp_path: Path) -> None:
    """The first lookups of a day are all drawn with the same key, committed once."""
    commits = Commits()
    keys = DayKeys(tmp_path / "challenge", commits)
    found = await asyncio.gather(*(keys.of(DAY) for _ in range(20)))

    assert (1, 1, 32) == (len(set(found)), len(commits.made), len(found[0]))


async def test_each_day_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Yesterday's can be shown to auditors and foretells nothing."""
    keys = DayKeys(tmp_path / "challenge", Commits())
    found = [await keys.of(DAY + timedelta(days=step)) for step in range(5)]
    again = [await keys.of(DAY + timedelta(days=step)) for step in range(5)]

    assert (5, found) == (len(set(found)), again)


async def test_a_restart_goes_on_with_the_days_key(tmp_path: Path) -> None:
    """Another process of the day draws with the same key, and commits it in its own shard."""
    commits = Commits()
    found = [await DayKeys(tmp_path / "challenge", commits).of(DAY) for _ in range(3)]

    assert (1, 3, 1) == (len(set(found)), len(commits.made), len(set(commits.made)))


def _obtain(folder: Path) -> bytes:
    return challenge.obtain(folder, DAY)


def test_workers_that_start_together_share_the_key(tmp_path: Path) -> None:
    """Eight processes race for the first lookup of the day: one key, whole, and no draft left behind."""
    folder = tmp_path / "challenge"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        found = pool.map(_obtain, [folder] * 8, chunksize=1)

    assert (1, ["2026-11-20.key"]) == (len(set(found)), [path.name for path in folder.iterdir()])


async def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700."""
    await DayKeys(tmp_path / "challenge", Commits()).of(DAY)
    path = challenge.key_path(tmp_path / "challenge", DAY)

    assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))


SPOILT: list[Callable[[Path], object]] = [
    lambda path: path.chmod(0o644),
    lambda path: path.write_text("00" * 31 + "\n"),
    lambda path: path.write_text("zz" * 32 + "\n"),
    lambda path: path.write_text("AA" * 32 + "\n"),
    lambda path: path.write_text("aa" * 32),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"\xff" * 64),
]


@pytest.mark.parametrize("spoil", SPOILT)
async def test_a_key_file_that_is_not_as_it_was_made_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """Seen by others, cut short, spelt otherwise: no draw with it, and no word of what is in it."""
    challenge.obtain(tmp_path / "challenge", DAY)
    path = challenge.key_path(tmp_path / "challenge", DAY)
    spoil(path)
    with pytest.raises(SettingsError) as refused:
        await DayKeys(tmp_path / "challenge", Commits()).of(DAY)

    assert path.read_bytes().decode("latin-1").strip()[:20] not in str(refused.value) or not path.read_bytes()


async def test_the_local_day_names_the_key(tmp_path: Path) -> None:
    """Eight in the evening in Greenwich is the next day in Tokyo."""
    policy = _policy(tmp_path, "1")
    policy.write_text(
        policy.read_text(encoding="utf-8").replace("Europe/London", "Asia/Tokyo"), encoding="utf-8"
    )
    commits = Commits()
    at = datetime(2026, 11, 20, 20, tzinfo=UTC)
    facts = await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=policy,
        paths=write_force(tmp_path),
        counts=_nothing_counted,
        clock=lambda: at,
        challenges=DayKeys(tmp_path / "challenge", commits),
    )
    about = await facts.about_lookup(replace(_view("900"), at=at))

    assert ("drawn", 1_000_000) == (about.challenge, about.numbers["challenge_per_million"])
    assert [date(2026, 11, 21)] == [day for day, _ in commits.made]


async def test_a_rate_without_a_ledger_is_refused(tmp_path: Path) -> None:
    """A draw that nobody could check afterwards is none."""
    policy = _policy(tmp_path, "0.01")

    with pytest.raises(SettingsError, match="challenge"):
        await ForceFacts.load(
            conflicts=POLICIES / "conflicts.yaml",
            policy=policy,
            paths=write_force(tmp_path),
            counts=_nothing_counted,
            clock=lambda: datetime(2026, 11, 21, tzinfo=UTC),
        )


async def test_a_key_that_cannot_be_made_is_an_outage_of_facts(tmp_path: Path) -> None:
    """Somebody put a file where the folder should be: no lookup without a draw, but for broken glass, which draws none."""
    at = datetime(2026, 11, 21, tzinfo=UTC)
    folder = tmp_path / "challenge"
    folder.write_text("not a folder")
    facts = await ForceFacts.load(
        conflicts=POLICIES / "conflicts.yaml",
        policy=_policy(tmp_path, "1"),
        paths=write_force(tmp_path),
        counts=_nothing_counted,
        clock=lambda: at,
        challenges=DayKeys(folder, Commits()),
    )
    with pytest.raises(FactsOutage) as outage:
        await facts.about_lookup(replace(_view("900"), at=at))
    glass = await facts.about_lookup(replace(_view("900"), at=at), stale_ok=True)

    assert (Reason.FACTS_UNAVAILABLE, "none") == (outage.value.reason, glass.challenge)
