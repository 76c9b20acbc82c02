"""facts.yaml: the thresholds that turn days, counts and ages into the few words policies read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from purposegate import documents
from purposegate.documents import Document
from purposegate.errors import Finding, PolicyError
from purposegate.model import Action, Principal

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

BANDS = ("first", "few", "many", "over")
"""From the mildest to the worst."""

RECORD, SUBJECT, REFERENCE = "record", "subject", "reference"
DIMENSIONS = (RECORD, SUBJECT, REFERENCE)
"""What sights are counted by, beside the principal: each has its thresholds, and the worst band is the one that counts."""


class Repeats(NamedTuple):
    """The ordinals at which the bands of one sight begin; below `few` it is `first`."""

    few: int
    many: int
    over: int

    @property
    def halved(self) -> "Repeats":
        """For those whose tenure is new; halves are rounded up, so that the first sight never asks anything."""
        return Repeats(*((ordinal + 1) // 2 for ordinal in self))

    @property
    def is_ascending(self) -> bool:
        """Whether each band has an ordinal of its own, after the first."""
        return 1 < self.few < self.many < self.over

    def band(self, ordinal: int) -> str:
        """The word for the sight of this ordinal, 1 = the first."""
        if ordinal >= self.over:
            return "over"
        if ordinal >= self.many:
            return "many"
        return "few" if ordinal >= self.few else "first"


class Breadth(NamedTuple):
    """The number of lookups in one day from which somebody's breadth is `high`: by role, else the default."""

    default: int
    roles: Mapping[str, int]

    def high_from(self, principal: Principal) -> int:
        """The limit of the principal's widest role: who is dispatcher and officer is measured as dispatcher."""
        return max((self.roles[role] for role in principal.roles if role in self.roles), default=self.default)


class Patterns(NamedTuple):
    """From which count each pattern of fishing holds, and over how many days; see `fishing`. A `crowd` of 0 is never one."""

    partial_name: int
    many_opens: int
    paged_through: int
    many_doors: int
    many_doors_days: int
    same_reason: int
    same_reason_days: int
    crowd: int
    crowd_days: int
    partial_operators: frozenset[str]
    not_criteria: frozenset[str]


class Challenge(NamedTuple):
    """The share of lookups that draw a challenge, 0 (off) to 1; for those whose tenure is new a share of their own."""

    rate: float = 0.0
    rate_new: float = 0.0

    def of(self, tenure: str) -> float:
        """The share for this tenure."""
        return self.rate_new if tenure == "new" else self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """facts.yaml, loaded. `repeats` is by sort of sight (`viewed`, `shown`), then by dimension."""

    zone: ZoneInfo
    max_ages: Mapping[str, timedelta]
    new_below_days: int
    repeats: Mapping[str, Mapping[str, Repeats]]
    breadth: Breadth
    patterns: Patterns
    challenge: Challenge

    def tenure(self, days_in_post: int | None) -> str:
        """`new`, `settled`, or `unknown` where the directory does not say since when."""
        if days_in_post is None:
            return "unknown"
        return "new" if days_in_post < self.new_below_days else "settled"

    def repeat(self, action: Action, ordinals: Mapping[str, int], *, tenure: str) -> str:
        """The worst band of a sight, from its ordinal in each dimension it is counted in: `first`, `few`, `many`, `over`."""
        limits = self.repeats[SIGHTS[action]]
        words = (
            (limits[name].halved if tenure == "new" else limits[name]).band(ordinal)
            for name, ordinal in ordinals.items()
        )
        return max(words, key=BANDS.index, default="first")


def load(path: Path) -> Bands:
    """Read facts.yaml. Raises `PolicyError` with every fault found."""
    document = documents.read(path, "facts")
    content = document.content
    faults = list(_repeat_faults(document))
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
                str(sight): MappingProxyType({str(name): _repeats(limits) for name, limits in node.items()})
                for sight, node in content["repeat"].items()
            }
        ),
        breadth=_breadth(content["breadth"]),
        patterns=_patterns(content["patterns"]),
        challenge=_challenge(content.get("challenge", {})),
    )


def _repeats(limits: Mapping[str, Any]) -> Repeats:
    return Repeats(int(limits["few"]), int(limits["many"]), int(limits["over"]))


def _repeat_faults(document: Document) -> Iterator[Finding]:
    for sight, node in document.content["repeat"].items():
        for name, limits in node.items():
            found = _repeats(limits)
            if not found.is_ascending or not found.halved.is_ascending:
                yield document.finding(
                    ["repeat", sight, name], "few < many < over, and so when halved for those new in post"
                )


def _breadth(node: Mapping[str, Any]) -> Breadth:
    roles = {str(role): int(limit) for role, limit in node.get("roles", {}).items()}
    return Breadth(int(node["high_from"]), MappingProxyType(roles))


def _patterns(node: Mapping[str, Any]) -> Patterns:
    partial = node["partial_name"]
    return Patterns(
        partial_name=int(partial["from"]),
        many_opens=int(node["many_opens"]["from"]),
        paged_through=int(node["paged_through"]["from"]),
        many_doors=int(node["many_doors"]["from"]),
        many_doors_days=int(node["many_doors"]["days"]),
        same_reason=int(node["same_reason"]["from"]),
        same_reason_days=int(node["same_reason"]["days"]),
        crowd=int(node.get("crowd", {}).get("from", 0)),
        crowd_days=int(node.get("crowd", {}).get("days", 1)),
        partial_operators=frozenset(map(str, partial.get("operators", ()))),
        not_criteria=frozenset(map(str, partial.get("not_criteria", ()))),
    )


def _challenge(node: Mapping[str, Any]) -> Challenge:
    rate = float(node.get("rate", 0))
    return Challenge(rate, float(node.get("rate_new", rate)))
