"""What explains a lookup: the named paths of facts.yaml, from the principal over links to the record, each with its windows.

`principal -assigned-> case -involves-> record` reads: somebody assigned to a case that involves the record. An arrow may point
either way; the thing between two arrows is a kind, or `reference` for any task, case, incident or operation; the last is
`record`, or `record:vehicle` for records of one kind. A path has at most four arrows, so a cycle of links ends by itself.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from purposegate import documents
from purposegate.documents import Document
from purposegate.errors import Finding, PolicyError
from purposegate.facts.links import is_reference, kind_of

MOST_HOPS = 4
PRINCIPAL = "principal"
RECORD = "record"
REFERENCE = "reference"
"""Any kind of work: a task, case, incident, operation."""

_ARROW = re.compile(r"-(?P<to>[a-z][a-z0-9-]{0,39})->|<-(?P<back>[a-z][a-z0-9-]{0,39})-", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_LAST = re.compile(r"record(:[a-z][a-z0-9-]{0,39})?", re.ASCII)
_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?)?", re.ASCII)
_SECONDS = (86_400, 3_600, 60)
GRAMMAR = (
    "principal -relation-> kind ... record, with one to four arrows such as `-assigned->` or `<-keeps-`,"
    " and `record` or `record:kind` at its end alone"
)


def flipped(relation: str) -> str:
    """The same link seen from its other end."""
    return ("<" if relation[0] == ">" else ">") + relation[1:]


@dataclass(frozen=True, slots=True)
class Hop:
    """One arrow: the signed relation from the principal's side, what it leads to, and how long it counts after its end."""

    relation: str
    kind: str
    within: int = 0

    def leads_to(self, name: str) -> bool:
        """Whether a node is of the kind that this arrow leads to."""
        if self.kind == REFERENCE:
            return is_reference(name)
        return self.kind in ("", kind_of(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One named path, the principal's own arrow first. `is_remembered`: that it held once counts as involvement."""

    name: str
    hops: tuple[Hop, ...]
    only_declared: bool = False
    is_remembered: bool = True


class Door(NamedTuple):
    """The end of a path followed backwards: the template, and the principal's own arrow that must lead here."""

    template: int
    relation: str
    within: int


class Step(NamedTuple):
    """One arrow followed backwards, for all templates that share it: where it leads, and what it counts after ends.

    `within` is after the link's end, `slack` after the closing of a reference that it leads to.
    """

    to: Hop
    within: int
    slack: int
    is_last: bool
    way: "Way"


class Way:
    """What may follow at one place of a path, read from the record's end; templates with one ending share their ways."""

    __slots__ = ("_steps_to", "doors", "steps")

    def __init__(self, doors: tuple[Door, ...], steps: Mapping[str, tuple[Step, ...]]) -> None:
        self.doors = doors
        self.steps = steps
        self._steps_to: dict[tuple[str, str], tuple[Step, ...]] = {}

    def steps_to(self, relation: str, kind: str) -> tuple[Step, ...]:
        """The steps by this relation that lead to nodes of this kind."""
        found = self._steps_to.get((relation, kind))
        if found is None:
            steps = self.steps.get(relation, ())
            found = tuple(step for step in steps if step.to.leads_to(kind))
            self._steps_to[relation, kind] = found
        return found


class Explanations:
    """The part `explanations` of facts.yaml, made ready to be followed from the record. `reopened_for` is in seconds."""

    def __init__(
        self,
        templates: Sequence[Template],
        *,
        assigned: Collection[str] = ("assigned",),
        updated: Collection[str] = ("updated",),
        involving: Collection[str] = ("involves",),
        reopened_for: int = 0,
    ) -> None:
        self.templates = tuple(templates)
        self.assigned = frozenset(assigned)
        self.updated = frozenset(updated)
        self.involving = frozenset(involving)
        self.reopened_for = reopened_for
        self._to_read: dict[str, Sequence[str]] = {}
        self._firsts: dict[str, Sequence[str]] = {}
        self._ways: dict[str, Way] = {}
        self._lasting: dict[tuple[str, str], int] = {}

    def way(self, record: str) -> Way:
        """Where paths to this record begin, read backwards."""
        kind = kind_of(record)
        if kind not in self._ways:
            self._ways[kind] = _way(
                [
                    (number, one.hops)
                    for number, one in enumerate(self.templates)
                    if one.hops[-1].leads_to(record)
                ]
            )
        return self._ways[kind]

    def to_read(self, name: str) -> Sequence[str]:
        """The signed relations by which a path goes on from this node towards the principal, or to work that involves it."""
        kind = kind_of(name)
        if kind not in self._to_read:
            found = {
                flipped(hop.relation)
                for template in self.templates
                for hop in template.hops[1:]
                if hop.leads_to(name)
            }
            found |= {f"<{relation}" for relation in self.involving}
            self._to_read[kind] = tuple(sorted(found))
        return self._to_read[kind]

    def firsts(self, name: str) -> Sequence[str]:
        """The signed relations by which a path may begin that leads from the principal to this node at once."""
        kind = kind_of(name)
        if kind not in self._firsts:
            found = {one.hops[0].relation for one in self.templates if one.hops[0].leads_to(name)}
            self._firsts[kind] = tuple(sorted(found))
        return self._firsts[kind]

    def work(self, name: str) -> Sequence[str]:
        """The signed relations by which the principal may be known to work on this node."""
        return self._work[is_reference(name)]

    def lasting(self, relation: str, name: str) -> int:
        """For how many seconds after its end the principal's own link to this node counts, in the path most patient with it."""
        key = (relation, kind_of(name))
        if key not in self._lasting:
            firsts = (template.hops[0] for template in self.templates)
            self._lasting[key] = max(
                (hop.within for hop in firsts if hop.relation == relation and hop.leads_to(name)), default=0
            )
        return self._lasting[key]

    @cached_property
    def _work(self) -> tuple[Sequence[str], Sequence[str]]:
        written = {f">{relation}" for relation in self.updated}
        return tuple(sorted(written)), tuple(sorted(written | {f">{relation}" for relation in self.assigned}))


def _way(paths: Sequence[tuple[int, tuple[Hop, ...]]]) -> Way:
    """The way for these templates, each with the arrows of it that are still to be followed."""
    doors = [Door(number, hops[0].relation, hops[0].within) for number, hops in paths if len(hops) == 1]
    shared: dict[tuple[str, Hop, int, bool], list[tuple[int, tuple[Hop, ...]]]] = {}
    for number, (*rest, last) in paths:
        if rest:
            key = (flipped(last.relation), rest[-1], last.within, len(rest) == 1)
            shared.setdefault(key, []).append((number, tuple(rest)))
    steps: dict[str, list[Step]] = {}
    for (relation, to, within, is_last), those in shared.items():
        steps.setdefault(relation, []).append(Step(to, within, to.within, is_last, _way(those)))
    return Way(tuple(doors), {relation: tuple(found) for relation, found in steps.items()})


DECLARED_ONLY = Explanations(
    templates=(
        Template(
            name="reference-involves-record",
            hops=(Hop(">assigned", REFERENCE), Hop(">involves", "")),
            only_declared=True,
        ),
    )
)
"""What a facts.yaml without `explanations` means: the declared reference, assigned to the principal, names the record."""


def load(path: Path) -> Explanations:
    """Read the explanations of facts.yaml. Raises `PolicyError` with every fault found, by file and line."""
    document = documents.read(path, "facts")
    if "explanations" not in document.content:
        return DECLARED_ONLY
    content = document.content["explanations"]
    faults: list[Finding] = []
    templates = [
        _template(document, str(name), given, faults) for name, given in content["templates"].items()
    ]
    work = content.get("work", {})
    reopened = content.get("reopened_for", "P0D")
    loaded = Explanations(
        [template for template in templates if template],
        assigned=[str(one) for one in work.get("assigned", ["assigned"])],
        updated=[str(one) for one in work.get("updated", ["updated"])],
        involving=[str(one) for one in work.get("involving", ["involves"])],
        reopened_for=_duration(document, ["explanations", "reopened_for"], reopened, faults),
    )
    if faults:
        raise PolicyError(faults)
    return loaded


def read_duration(text: str) -> int:
    """Seconds of a duration in ISO 8601's days, hours and minutes: `P14D`, `PT12H`, `P1DT6H`. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()) or text.endswith("T"):
        raise ValueError
    return sum(int(part or 0) * size for part, size in zip(found.groups(), _SECONDS, strict=True))


def _duration(document: Document, keys: Sequence[str], text: str, faults: list[Finding]) -> int:
    try:
        return read_duration(text)
    except ValueError:
        faults.append(document.finding(keys, "a duration in days, hours, minutes: P14D, PT12H, P1DT6H"))
        return 0


def _template(
    document: Document, name: str, given: Mapping[str, Any], faults: list[Finding]
) -> Template | None:
    keys = ["explanations", "templates", name]
    arrows = _arrows(str(given["path"]))
    if arrows is None:
        faults.append(document.finding([*keys, "path"], GRAMMAR))
        return None
    within = given.get("within", {})
    if isinstance(within, str):
        whole = _duration(document, [*keys, "within"], within, faults)
        windows = {relation[1:]: whole for relation, _ in arrows}
    else:
        windows = {
            str(relation): _duration(document, [*keys, "within", relation], text, faults)
            for relation, text in within.items()
        }
    if strange := windows.keys() - {relation[1:] for relation, _ in arrows}:
        faults += [
            document.finding([*keys, "within", one], "a relation of this path") for one in sorted(strange)
        ]
    return Template(
        name=name,
        hops=tuple(Hop(relation, kind, windows.get(relation[1:], 0)) for relation, kind in arrows),
        only_declared=bool(given.get("only_declared", False)),
        is_remembered=bool(given.get("remembered", True)),
    )


def _arrows(path: str) -> list[tuple[str, str]] | None:
    """The signed relation and the kind that each arrow leads to, the record's last and empty for any; None if it is no path."""
    words = path.split()
    if len(words) % 2 == 0 or not 1 <= len(words) // 2 <= MOST_HOPS or words[0] != PRINCIPAL:
        return None
    *between, last = words[2::2]
    arrows = [_ARROW.fullmatch(word) for word in words[1::2]]
    reserved = {PRINCIPAL, RECORD}
    if not _LAST.fullmatch(last) or any(not _KIND.fullmatch(one) or one in reserved for one in between):
        return None
    if not all(arrows):
        return None
    signed = [f">{found['to']}" if found["to"] else f"<{found['back']}" for found in arrows if found]
    return list(zip(signed, [*between, last.partition(":")[2]], strict=True))
