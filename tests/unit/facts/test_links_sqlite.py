"""A generation of links in a file: written whole, taken whole, and never half of one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from force_files import NOW
from link_worlds import explain, generation, link, template
from purposegate.errors import FactsOutage, SettingsError
from purposegate.facts.explanations import Explanations
from purposegate.facts.links import Link
from purposegate.facts.links_reading import LinkFeed
from purposegate.facts.links_sqlite import SqliteLinks, SqliteSource, write_generation

pytestmark = pytest.mark.anyio

CASE = Explanations(templates=(template("case", "principal -assigned-> case -involves-> record"),))
LINKS = [link("staff:E1 -assigned-> case:C1"), link("case:C1 -involves-> person:77")]
MANY = [link(f"case:C{number} -involves-> person:{number}") for number in range(5_000)]


async def _explained(source: SqliteSource) -> tuple[str, ...]:
    view = await source.view("E1", NOW)
    return (await explain([view], CASE, "person:77"))[0].explained_by


async def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    """Links, their number, when they were true and what they were."""
    source = SqliteSource(generation(tmp_path / "links.db", [*LINKS, *LINKS]))
    view = await source.view("E1", NOW)

    assert (("case",), 2, NOW, 64) == (await _explained(source), view.count(), view.as_of, len(source.digest))


async def test_a_file_of_an_odd_name(tmp_path: Path) -> None:
    """The name goes through a URI."""
    assert ("case",) == await _explained(SqliteSource(generation(tmp_path / "a b?c#d%20é.db", LINKS)))


async def test_a_new_generation_is_taken_while_serving(tmp_path: Path) -> None:
    """Whoever holds the old one finishes with it; the next lookup has the new."""
    path = generation(tmp_path / "links.db", LINKS)
    source = SqliteSource(path)
    old = await source.view("E1", NOW)
    generation(path, MANY)

    assert ("", (), ("case",)) == (
        await source.refresh(),
        await _explained(source),
        (await explain([old], CASE, "person:77"))[0].explained_by,
    )


def _cut(path: Path) -> None:
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])


def _cut_to_pages(path: Path) -> None:
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[: -8192 * 3])


def _damage(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[8192 * 4 : 8192 * 5] = bytes(8192)
    path.unlink()
    path.write_bytes(whole)


def _foreign(path: Path) -> None:
    path.unlink()
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE edge (a, rel, b, s, e); CREATE TABLE made (name, value)")
    db.close()


def _no_database(path: Path) -> None:
    path.unlink()
    path.write_text("source_kind,source_id\n")


def _gone(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_cut, _cut_to_pages, _damage, _foreign, _no_database, _gone, _directory])
async def test_what_is_no_generation_is_refused_and_the_old_one_stays(tmp_path: Path, spoil: object) -> None:
    """At the start nothing starts; while serving the fault is told, and the old one ages. A good one mends it."""
    assert callable(spoil)
    path = generation(tmp_path / "links.db", [*LINKS, *MANY])
    source = SqliteSource(path)
    spoil(path)

    assert (True, ("case",)) == (bool(await source.refresh()), await _explained(source))
    with pytest.raises(SettingsError):
        SqliteSource(path)
    if path.is_dir():
        path.rmdir()
    generation(path, MANY)
    assert ("", ()) == (await source.refresh(), await _explained(source))


async def test_pages_that_went_bad_after_opening_are_an_outage(tmp_path: Path) -> None:
    """Overwritten in place, which nobody should do: nothing is explained by what cannot be read."""
    path = generation(tmp_path / "links.db", [*LINKS, *MANY])
    source = SqliteSource(path)
    view = await source.view("E1", NOW)
    view._db.pragma("shrink_memory")
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))

    with pytest.raises(FactsOutage):
        await _explained(source)


def test_a_feed_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """And no draft beside it."""
    path = generation(tmp_path / "links.db", LINKS)
    before = path.read_bytes()

    def failing() -> Iterator[Link]:
        yield from MANY
        raise SettingsError("line 5001")

    with pytest.raises(SettingsError):
        write_generation(path, LinkFeed(failing(), NOW))
    assert (before, [path]) == (path.read_bytes(), list(tmp_path.iterdir()))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """As the operator's own fault, with the path."""
    with pytest.raises(SettingsError, match=r"links\.db"):
        write_generation(tmp_path / "none" / "links.db", LinkFeed(LINKS, NOW))


def test_moments_are_kept_to_the_second(tmp_path: Path) -> None:
    """As every feed writes them."""
    at = NOW - timedelta(hours=3, seconds=7)
    held = SqliteLinks.open(generation(tmp_path / "links.db", LINKS, as_of=at))

    assert at == held.as_of
