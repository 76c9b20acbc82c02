"""facts.yaml: bands and limits."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from force_files import POLICIES
from purposegate.errors import PolicyError
from purposegate.facts import bands
from purposegate.model import Action

SHIPPED = POLICIES / "facts.yaml"


def _altered(tmp_path: Path, alter: Callable[[Any], None]) -> Path:
    yaml = YAML(typ="rt", pure=True)
    content = yaml.load(SHIPPED.read_text(encoding="utf-8"))
    alter(content)
    path = tmp_path / "facts.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


@pytest.mark.parametrize(
    ("ordinal", "expected"),
    [(1, "first"), (2, "few"), (3, "few"), (4, "many"), (7, "many"), (8, "over"), (593, "over")],
)
def test_the_eighth_view_is_over(ordinal: int, expected: str) -> None:
    """As shipped: the published case of 593 views stops at its eighth."""
    assert expected == bands.load(SHIPPED).repeat(Action.VIEW, ordinal)


def test_searches_may_show_more_than_views_may_open() -> None:
    """Each band begins later for what a list shows than for what was opened."""
    repeats = bands.load(SHIPPED).repeats

    assert all(shown > viewed for shown, viewed in zip(repeats["shown"], repeats["viewed"], strict=True))


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
        (lambda c: c["repeat"]["viewed"].update(many=8), ["repeat.viewed"]),
        (lambda c: c["repeat"]["shown"].update(few=1), ["repeat.shown.few"]),
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
