"""The terms of reviews: how long things wait. One object, from the `review` section of purposegate.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Durations in the units that their names say."""

    approval_minutes: int = 60
    """From asking to use. Longer than that, what the supervisor knew may have changed."""
    countersign_hours: int = 72
    """An originator on three rest days can still answer in time."""
    standing_days: int = 28
    glass_minutes: int = 15
    """Uses of broken glass by one person on one record within this time are one use, reviewed once."""
    glass_review_hours: int = 24
    glass_unreviewed: int = 3
    """With so many unreviewed uses, or one overdue, the next needs an approval first."""
    requests_per_minute: int = 20
    """Of one person, at the gate's own pages that write entries."""
