"""Links as they are fed: all or nothing, every bad line named."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from force_files import LONDON, NOW, Cells, write
from purposegate.conflicts.dates import BEGINNING, FOREVER, Interval
from purposegate.errors import ImportRefused
from purposegate.facts.links import Link
from purposegate.facts.links_reading import COLUMNS, FileFeed

GOOD = {
    "source_kind": "staff",
    "source_id": "E1",
    "relation": "assigned",
    "target_kind": "case",
    "target_id": "CR/1/26",
}


def _feed(tmp_path: Path, *rows: Cells) -> FileFeed:
    return FileFeed(write(tmp_path / "links.csv", COLUMNS, rows), now=NOW, zone=LONDON)


def test_a_line_is_a_link(tmp_path: Path) -> None:
    """Ids are folded as they are compared; a day without time is the force's, and its last day is within."""
    spell = {"from": "2026-07-01", "to": "2026-07-02"}
    feed = _feed(tmp_path, {**GOOD, **spell}, GOOD)

    assert [
        Interval(datetime(2026, 6, 30, 23, tzinfo=UTC), datetime(2026, 7, 2, 23, tzinfo=UTC)),
        Interval(BEGINNING, FOREVER),
    ] == [link.held for link in feed]
    assert [Link("staff:e1", "assigned", "case:cr/1/26", Interval())] == list(_feed(tmp_path, GOOD))


def test_a_feed_says_how_old_it_is_once_it_was_taken(tmp_path: Path) -> None:
    """The file's own statement, and the digest of its bytes."""
    feed = _feed(tmp_path, GOOD)
    list(feed)

    assert ("2026-11-20T09:00:00+00:00", 64) == (feed.as_of.isoformat(), len(feed.digest))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"source_kind": "Staff"}, ["source_kind"]),
        ({"relation": "is assigned"}, ["relation"]),
        ({"relation": ""}, ["relation"]),
        ({"target_kind": "case:x"}, ["target_kind"]),
        ({"source_id": "", "target_id": ""}, ["source_id", "target_id"]),
        ({"from": "yesterday"}, ["from"]),
        ({"from": "2026-01-02", "to": "2026-01-01"}, ["to"]),
        ({"from": "2026-01-02T10:00Z", "to": "2026-01-02T10:00Z"}, ["to"]),
        ({"target_id": "=1"}, ["target_id"]),
    ],
)
def test_every_bad_cell_is_named(tmp_path: Path, cells: Cells, expected: list[str]) -> None:
    """By line and column, never by what stands there; and the links before it are not worth having."""
    with pytest.raises(ImportRefused) as refused:
        list(_feed(tmp_path, GOOD, {**GOOD, **cells}, GOOD))

    assert [(4, column) for column in expected] == [(one.line, one.key) for one in refused.value.findings]
