"""Faults of one records.yaml, gathered so that an author sees them all at once."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from cssselect import SelectorError

from purposegate.documents import Document, Key
from purposegate.errors import Finding, PolicyError

T = TypeVar("T")


class Faults:
    """Fills while a document is read; `settle` raises if anything was found."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[Finding] = []

    def add(self, keys: Sequence[Key], expected: str) -> None:
        """Note a fault at the value that `keys` leads to."""
        self._found.append(self._document.finding(keys, expected))

    def compiled(self, build: Callable[[str], T], text: str, keys: Sequence[Key], expected: str) -> T | None:
        """What `build` makes of a regular expression or CSS selector; a fault and None where it cannot."""
        try:
            return build(text)
        except (re.error, SelectorError):
            self.add(keys, expected)
            return None

    def known(self, names: Iterable[str], among: Iterable[str], keys: Sequence[Key]) -> None:
        """Note each name that is not among those known."""
        listed = tuple(among)
        for name in names:
            if name not in listed:
                self.add(keys, f"{name} is not one of {', '.join(listed)}")

    def settle(self) -> None:
        """Raise `PolicyError` with every fault found."""
        if self._found:
            raise PolicyError(self._found)
