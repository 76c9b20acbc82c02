"""The time of a story."""

from datetime import datetime


class SimulatedClock:
    """Gives the moment that it was set to. Aware, UTC; it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """The moment."""
        return self._now

    def monotonic(self) -> float:
        """Seconds, for rates and deadlines that the gate counts in its own time."""
        return self._now.timestamp()

    def advance(self, to: datetime) -> None:
        """Let time pass until a moment; an earlier one changes nothing."""
        self._now = max(self._now, to)
