"""What records.yaml says of addresses: templates of mapped routes, named doors that stay shut, and open places."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from purposegate.model import Action
from purposegate.records.html_sheet import HtmlShape
from purposegate.records.ids import CODECS
from purposegate.records.json_sheet import JsonShape
from purposegate.records.parameters import Parameters
from purposegate.records.paths import Pairs
from purposegate.records.rows import RecordKind

ID = "{id}"
METHODS_WITHOUT_BODY = frozenset({"GET"})


def plain_method(method: str) -> str:
    """HEAD is judged as GET; every other method is itself, in its exact case (RFC 9110 section 9.1)."""
    return "GET" if method == "HEAD" else method


class Template(NamedTuple):
    """A path whose one part may be, or hold, `{id}`. Everything else matches byte for byte."""

    text: str

    @property
    def has_id(self) -> bool:
        """Whether the path names a record."""
        return ID in self.text

    def part(self, path: str) -> str | None:
        """The path's part at `{id}`, still encoded (empty where the template has none); None where it does not match."""
        head, found, tail = self.text.partition(ID)
        if not found:
            return "" if path == head else None
        part = path[len(head) : len(path) - len(tail)]
        if (
            len(path) <= len(head) + len(tail)
            or not path.startswith(head)
            or not path.endswith(tail)
            or "/" in part
        ):
            return None
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One mapped route. `shape` is None only for exports decided on the request alone."""

    name: str
    methods: frozenset[str]
    template: Template
    action: Action
    kind: RecordKind
    parameters: Parameters
    shape: JsonShape | HtmlShape | None
    cap_bytes: int
    headers: frozenset[bytes]

    @property
    def judged(self) -> bool:
        """Whether the answer is read and judged."""
        return self.shape is not None

    def record_id(self, path: str) -> str | None:
        """The record that a canonical path names (empty where the route names none); None where the route does not match."""
        part = self.template.part(path)
        if part is None or not self.template.has_id:
            return part
        found = CODECS[self.kind.id_codec](part)
        return found if found is not None and self.kind.id_pattern.fullmatch(found) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """One place that needs no declaration: an exact method and path. `any_query` lets a cache tag through."""

    methods: frozenset[str]
    path: str
    any_query: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One named way to records that the gate keeps shut, whatever the letter case.

    In `paths` a `*` stands for anything within a part and `**` for anything at all; in `parameters` `*` for anything. A door
    with both needs both.
    """

    name: str
    paths: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    _paths: re.Pattern[str] | None = field(init=False, repr=False)
    _parameters: re.Pattern[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_paths", _globs(self.paths, "[^/]*"))
        object.__setattr__(self, "_parameters", _globs(self.parameters, ".*"))

    def covers(self, path: str, pairs: Pairs) -> bool:
        """Whether a request knocks at this door."""
        here = self._paths is None or self._paths.fullmatch(path) is not None
        asked = self._parameters is None or any(self._parameters.fullmatch(name) for name, _ in pairs)
        return here and asked


def _globs(globs: tuple[str, ...], star: str) -> re.Pattern[str] | None:
    if not globs:
        return None
    parts = (re.split(r"(\*\*|\*)", glob) for glob in globs)
    kinds = {"**": ".*", "*": star}
    alternatives = ("".join(kinds.get(part) or re.escape(part) for part in split) for split in parts)
    return re.compile("|".join(f"(?:{text})" for text in alternatives), re.IGNORECASE)
