"""facts.yaml: the thresholds that turn days, counts and ages into the few words policies read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from purposegate import documents
from purposegate.errors import PolicyError
from purposegate.model import Action

VIEWED = "viewed"
SHOWN = "shown"

# A count of people is a list nobody opened; an edit or export has seen all that a view has.
SIGHTS: Mapping[Action, str] = MappingProxyType(
    {
        Action.VIEW: VIEWED,
        Action.EDIT: VIEWED,
        Action.EXPORT: VIEWED,
        Action.SEARCH: SHOWN,
        Action.COUNT: SHOWN,
    }
)


class Repeats(NamedTuple):
    """The ordinals at which the bands of one sight begin; below `few` it is `first`."""

    few: int
    many: int
    over: int

    def band(self, ordinal: int) -> str:
        """The word for the sight of this ordinal, 1 = the first."""
        if ordinal >= self.over:
            return "over"
        if ordinal >= self.many:
            return "many"
        return "few" if ordinal >= self.few else "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """facts.yaml, loaded."""

    zone: ZoneInfo
    max_ages: Mapping[str, timedelta]
    new_below_days: int
    repeats: Mapping[str, Repeats]

    def tenure(self, days_in_post: int | None) -> str:
        """`new`, `settled`, or `unknown` where the directory does not say since when."""
        if days_in_post is None:
            return "unknown"
        return "new" if days_in_post < self.new_below_days else "settled"

    def repeat(self, action: Action, ordinal: int) -> str:
        """`first`, `few`, `many` or `over`."""
        return self.repeats[SIGHTS[action]].band(ordinal)


def load(path: Path) -> Bands:
    """Read facts.yaml. Raises `PolicyError` with every fault found."""
    document = documents.read(path, "facts")
    content = document.content
    faults = [
        document.finding(["repeat", sight], "few < many < over")
        for sight, limits in content["repeat"].items()
        if not limits["few"] < limits["many"] < limits["over"]
    ]
    try:
        zone = ZoneInfo(content["zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(
            document.finding(["zone"], "a time zone this machine knows (install the tzdata package?)")
        )
    if faults:
        raise PolicyError(faults)
    return Bands(
        zone=zone,
        max_ages=MappingProxyType(
            {str(source): timedelta(hours=float(hours)) for source, hours in content["max_age_hours"].items()}
        ),
        new_below_days=int(content["tenure"]["new_below_days"]),
        repeats=MappingProxyType(
            {
                str(sight): Repeats(int(limits["few"]), int(limits["many"]), int(limits["over"]))
                for sight, limits in content["repeat"].items()
            }
        ),
    )
