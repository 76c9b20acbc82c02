"""Entries as the work list reads them: opened, and read without trusting their shape. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from purposegate.ledger.entry import Leaf, Payload
from purposegate.model import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One entry, opened."""

    kind: str
    at: datetime
    lookup_id: str
    released: bool
    fields: Mapping[str, Any]
    rows: Sequence[Any]

    @classmethod
    def of(cls, leaf: Leaf, payload: Payload) -> "Body":
        """The body of an entry as it was read from a ledger."""
        return cls(
            kind=leaf.kind,
            at=leaf.at,
            lookup_id=leaf.lookup_id,
            released=leaf.released,
            fields=payload.fields,
            rows=payload.rows,
        )

    @classmethod
    def written(cls, entry: Entry) -> "Body":
        """The body of an entry as it is written."""
        return cls(
            kind=entry.kind.value,
            at=entry.at,
            lookup_id=entry.lookup_id,
            released=entry.released,
            fields=entry.fields,
            rows=entry.rows,
        )

    def text(self, name: str) -> str:
        """A text of the fields; empty where there is none."""
        return text_of(self.fields, name)

    def words(self, name: str) -> tuple[str, ...]:
        """A list of texts of the fields."""
        return words_of(self.fields, name)


def subject_of(row: Mapping[str, Any]) -> str:
    """A data subject's name and birth, as the row has them: what rows of one person are put together by."""
    for one in maps_of(row, "subjects"):
        pairs = (pair for pair in _list(one.get("names")) if isinstance(pair, list | tuple))
        names = (" ".join(part for part in pair if isinstance(part, str) and part) for pair in pairs)
        if name := next(filter(None, names), ""):
            born = next((text for text in _list(one.get("born")) if isinstance(text, str)), "")
            return f"{name}, {born}" if born else name
    return ""


def maps_of(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of maps; empty where there is none."""
    return [one for one in _list(fields.get(name)) if isinstance(one, Mapping)]


def _list(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else ()


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A text; empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def words_of(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; empty where there is none."""
    value = fields.get(name)
    if not isinstance(value, list | tuple | set | frozenset):
        return ()
    return tuple(sorted(map(str, value)) if isinstance(value, set | frozenset) else map(str, value))
