"""facts.yaml: bands and limits."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from force_files import POLICIES
from purposegate.errors import PolicyError
from purposegate.facts import bands
from purposegate.model import Action, Principal

SHIPPED = POLICIES / "facts.yaml"
_BANDS = bands.load(SHIPPED)


def _altered(tmp_path: Path, alter: Callable[[Any], None]) -> Path:
    yaml = YAML(typ="rt", pure=True)
    content = yaml.load(SHIPPED.read_text(encoding="utf-8"))
    alter(content)
    path = tmp_path / "facts.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


@pytest.mark.parametrize(
    ("tenure", "expected"),
    [
        ("settled", ["first", "first", "few", "few", "many", "many", "many", "over", "over"]),
        ("unknown", ["first", "first", "few", "few", "many", "many", "many", "over", "over"]),
        ("new", ["first", "few", "many", "over", "over", "over", "over", "over", "over"]),
    ],
)
@pytest.mark.parametrize("dimension", [bands.RECORD, bands.SUBJECT])
def test_the_eighth_view_is_over(tenure: str, expected: list[str], dimension: str) -> None:
    """As shipped: asked from the third, over from the eighth; from the second and the fourth for those new in post."""
    shipped = bands.load(SHIPPED)

    assert expected == [
        shipped.repeat(Action.VIEW, {dimension: ordinal}, tenure=tenure) for ordinal in range(1, 10)
    ]


ordinals = st.dictionaries(st.sampled_from(bands.DIMENSIONS), st.integers(1, 500), min_size=1)


@given(ordinals, st.sampled_from(Action), st.sampled_from(["new", "settled", "unknown"]))
def test_the_worst_band_counts(found: dict[str, int], action: Action, tenure: str) -> None:
    """What is over in one dimension is over, however seldom it was seen in the others."""
    alone = [_BANDS.repeat(action, {name: ordinal}, tenure=tenure) for name, ordinal in found.items()]

    assert max(alone, key=bands.BANDS.index) == _BANDS.repeat(action, found, tenure=tenure)


@given(ordinals, st.sampled_from(Action))
def test_new_in_post_is_never_laxer(found: dict[str, int], action: Action) -> None:
    """Half of a budget is never more than the whole, and the first sight of anything is the first for everybody."""
    new, settled = (_BANDS.repeat(action, found, tenure=tenure) for tenure in ("new", "settled"))

    assert bands.BANDS.index(new) >= bands.BANDS.index(settled)
    assert "first" == _BANDS.repeat(action, dict.fromkeys(found, 1), tenure="new")


def test_searches_may_show_more_than_views_may_open() -> None:
    """Each band of each dimension begins later for what a list shows than for what was opened."""
    repeats = bands.load(SHIPPED).repeats

    assert all(
        shown > viewed
        for name in bands.DIMENSIONS
        for shown, viewed in zip(repeats["shown"][name], repeats["viewed"][name], strict=True)
    )


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (("officer",), 120),
        (("officer", "control_room"), 500),
        (("intel_analyst", "control_room"), 500),
        ((), 120),
    ],
)
def test_breadth_goes_by_the_widest_role(roles: tuple[str, ...], expected: int) -> None:
    """Whoever looks people up for others all day is measured as such."""
    assert expected == _BANDS.breadth.high_from(Principal(id="E1", roles=roles))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rate": 0}, (0.0, 0.0)),
        ({"rate": 0.01}, (0.01, 0.01)),
        ({"rate": 0.01, "rate_new": 0.2}, (0.01, 0.2)),
    ],
)
def test_challenges_have_a_rate_for_each_tenure(
    tmp_path: Path, change: dict[str, float], expected: tuple[float, float]
) -> None:
    """One rate for all, unless those new in post are given theirs."""
    loaded = bands.load(_altered(tmp_path, lambda content: content.update(challenge=change)))

    assert expected == (loaded.challenge.of("settled"), loaded.challenge.of("new"))


def test_without_a_word_challenges_are_off(tmp_path: Path) -> None:
    """As shipped, and where the part is left out."""
    left_out = bands.load(_altered(tmp_path, lambda content: content.pop("challenge")))

    assert [(0.0, 0.0)] * 2 == [tuple(loaded.challenge) for loaded in (_BANDS, left_out)]


def test_every_action_has_its_sort_of_sight() -> None:
    """No action is left uncounted."""
    assert set(Action) == set(bands.SIGHTS)


@pytest.mark.parametrize(
    ("days", "expected"), [(None, "unknown"), (-3, "new"), (49, "new"), (181, "new"), (182, "settled")]
)
def test_tenure(days: int | None, expected: str) -> None:
    """New for half a year, as shipped; unknown where the directory does not say."""
    assert expected == bands.load(SHIPPED).tenure(days)


def test_ages_are_hours() -> None:
    """A nightly feed may miss one night."""
    assert timedelta(hours=50) == bands.load(SHIPPED).max_ages["register"]


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (lambda c: c["repeat"]["viewed"]["record"].update(many=8), ["repeat.viewed.record"]),
        (lambda c: c["repeat"]["viewed"]["subject"].update(few=3, many=4, over=5), ["repeat.viewed.subject"]),
        (lambda c: c["repeat"]["shown"]["reference"].update(few=1), ["repeat.shown.reference.few"]),
        (lambda c: c["repeat"]["shown"].pop("subject"), ["repeat.shown"]),
        (lambda c: c["breadth"].update(high_from=0), ["breadth.high_from"]),
        (lambda c: c["breadth"]["roles"].update(officer="all"), ["breadth.roles.officer"]),
        (lambda c: c["patterns"]["same_reason"].update(days=0), ["patterns.same_reason.days"]),
        (lambda c: c["patterns"].pop("many_doors"), ["patterns"]),
        (lambda c: c["challenge"].update(rate=1.5), ["challenge.rate"]),
        (lambda c: c["challenge"].update(rate=float("nan")), ["challenge.rate"]),
        (lambda c: c["repeat"].pop("shown"), ["repeat"]),
        (lambda c: c.update(zone="Europe/Atlantis"), ["zone"]),
        (lambda c: c.update(zone="../../etc/passwd"), ["zone"]),
        (lambda c: c["max_age_hours"].update(register=0), ["max_age_hours.register"]),
        (lambda c: c["max_age_hours"].update(register=float("nan")), ["max_age_hours.register"]),
        (lambda c: c["max_age_hours"].pop("duty"), ["max_age_hours"]),
        (lambda c: c["tenure"].update(new_below_days="six months"), ["tenure.new_below_days"]),
    ],
)
def test_a_fault_is_named_by_its_key(
    tmp_path: Path, alter: Callable[[Any], None], expected: list[str]
) -> None:
    """Bands in order, ages that end, a zone that is one."""
    with pytest.raises(PolicyError) as refused:
        bands.load(_altered(tmp_path, alter))

    assert expected == [finding.key for finding in refused.value.findings]
