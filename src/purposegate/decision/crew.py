"""Worker processes that share one Cerbos: which of them runs it, and how it passes from one to the next.

The one that holds the owner's lock runs it. Every one holds a share of the users' lock for as long as it asks, so that an
owner who leaves knows whether anybody still needs a Cerbos, and keeps its own going until another stands in its place.
"""

import time
from collections.abc import Callable
from pathlib import Path

from purposegate.decision.runtime import FileLock

HANDING_OVER_S = 10.0
"""Longest wait of a leaving owner for another worker to take its place: a start of Cerbos, on a loaded machine."""

_LOOKING_S = 0.05


class Crew:
    """One worker's place among those that share a Cerbos by its name in a directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._owner = FileLock(directory / f"{name}.lock")
        self._users = FileLock(directory / f"{name}.users")

    def join(self) -> bool:
        """Be counted among those who ask. False while the last of the others is just leaving. Raises `OSError`."""
        return self._users.share()

    def own(self) -> bool:
        """Be the one that runs Cerbos, if nobody is; never waits. Raises `OSError`."""
        return self._owner.acquire()

    def hand_over(self, *, serves: Callable[[], bool]) -> None:
        """Return when nobody asks any more, or when another worker's Cerbos has replaced the one that `serves`.

        Blocks, at most `HANDING_OVER_S`. Raises `OSError`.
        """
        until = time.monotonic() + HANDING_OVER_S
        while not self._users.alone() and serves() and time.monotonic() < until:
            self._owner.release()  # so that another may start its own and put it in this one's place
            time.sleep(_LOOKING_S)

    def leave(self) -> None:
        """No longer ask, and no longer run it. Idempotent."""
        self._owner.release()
        self._users.release()
