"""Following links from a record back to the principal: what explains a lookup now, what once did, and who last worked on it.

A path holds while each of its links does, counting what facts.yaml allows after a link's end. The search goes from the record
towards the principal, where there are few links, and the last step is a question for one pair of ends: how many links a member
of staff has does not matter. A node with more links than the bound, or a path that branches more often, explains nothing.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from purposegate.conflicts.dates import BEGINNING, Interval
from purposegate.facts.explanations import Explanations, Template, flipped
from purposegate.facts.links import (
    MOST_LINKS_OF_A_NODE,
    STAFF,
    Edge,
    LinkStore,
    is_reference,
    moment,
    node,
    seconds,
)
from purposegate.facts.work import reference_key

LOG = logging.getLogger("purposegate")
MOST_BRANCHES = 1_000
"""Places that one path of one record may have reached at once: about 10 ms of search at the worst."""

ALWAYS = (-(2**62), 2**62)
BEFORE_DOOR = 2
"""Arrows left where the next step reaches what the principal's own arrow leads to."""


class Explained(NamedTuple):
    """What explains one record: the names of paths that hold now, and `current`, `ended` or `none`."""

    explained_by: tuple[str, ...] = ()
    involvement: str = "none"


class _Place(NamedTuple):
    """How far one path has been followed: arrows before `left` are still to go, and the rest held together in [lo, hi)."""

    template: Template
    row: int
    left: int
    node: str
    lo: int
    hi: int
    is_declared: bool


class Walk:
    """One lookup's search over some stores; what it has read once it does not ask for again."""

    def __init__(
        self,
        stores: Sequence[LinkStore],
        explanations: Explanations,
        principal: str,
        at: datetime,
        *,
        references: Mapping[str, Interval],
    ) -> None:
        """`references` says when each reference, by `reference_key`, was open; one that it does not know was always."""
        self._stores = stores
        self._explanations = explanations
        self._references = references
        self._principal = node(STAFF, principal)
        self._at = seconds(at)
        self._near: dict[str, Sequence[Edge] | None] = {}
        self._own: dict[str, Sequence[Edge]] = {}
        self.is_crowded = False

    async def explain(
        self, records: Sequence[str], *, ref: str, grace: int, through_ref: bool = False
    ) -> tuple[Explained, ...]:
        """What explains each of these nodes, in order; `grace` counts after the principal's own links end, seconds.

        With `through_ref` only paths through the declared reference. Raises `FactsOutage`.
        """
        declared = reference_key(ref)
        places = [
            # A closed case can still be looked up under another; only who is assigned to itself loses it with its closing.
            _Place(
                template,
                row,
                len(template.hops),
                name,
                *(self._open(name, template.hops[0].within + grace) if len(template.hops) == 1 else ALWAYS),
                _names(name, declared),
            )
            for row, name in enumerate(records)
            for template in self._explanations.templates
            if template.hops[-1].leads_to(name)
        ]
        doors: list[_Place] = []
        while places:
            doors += [place for place in places if place.left == 1]
            inner = [place for place in places if place.left > 1]
            near = await self._read({place.node for place in inner})
            places = self._bounded(
                [step for place in inner for step in self._steps(place, near, declared, grace)]
            )
        doors = [
            place for place in doors if place.is_declared or not (through_ref or place.template.only_declared)
        ]
        await self._read_own({place.node for place in doors})
        return await self._results(records, doors, grace)

    async def last_work(self, nodes: Sequence[str]) -> tuple[datetime | None, ...]:
        """The latest moment, up to now, at which the principal is known to have worked on each node, or on work about it.

        An update of either, or the start of an assignment. Raises `FactsOutage`.
        """
        near = await self._read(set(nodes))
        involving = {f"<{relation}" for relation in self._explanations.involving}
        behind = [
            [name, *(edge.node for edge in near[name] or () if edge.relation in involving)] for name in nodes
        ]
        await self._read_own({name for names in behind for name in names})
        work = {f">{one}" for one in (*self._explanations.assigned, *self._explanations.updated)}
        never = seconds(BEGINNING)  # an assignment without a start tells of no moment
        starts = [
            [
                edge.start
                for name in names
                for edge in self._own[name]
                if edge.relation in work and never < edge.start <= self._at
            ]
            for names in behind
        ]
        return tuple(moment(max(found)) if found else None for found in starts)

    async def standing(self, name: str) -> str:
        """The principal's own standing at a reference by these links: `assigned` now, `ended`, or nothing."""
        await self._read_own({name})
        assigned = {f">{relation}" for relation in self._explanations.assigned}
        held = [edge for edge in self._own[name] if edge.relation in assigned and edge.start <= self._at]
        if any(self._at < edge.end or self._is_reopened(edge, (name,)) for edge in held):
            return "assigned"
        return "ended" if held else ""

    async def _read(self, nodes: Collection[str]) -> Mapping[str, Sequence[Edge] | None]:
        missing = [name for name in nodes if name not in self._near]
        if missing:
            found = [await store.near(missing, self._explanations.to_read) for store in self._stores]
            for name in missing:
                self._near[name] = _united([each.get(name, ()) for each in found])
                if self._near[name] is None:
                    self._note_crowd()
        return self._near

    async def _read_own(self, nodes: Iterable[str]) -> None:
        missing = [name for name in nodes if name not in self._own]
        if missing:
            found = [
                edge
                for store in self._stores
                for edge in await store.between(self._principal, self._explanations.own, missing)
            ]
            own: dict[str, list[Edge]] = {name: [] for name in missing}
            for edge in found:
                own[edge.node].append(edge)
            self._own.update(own)

    def _steps(
        self, place: _Place, near: Mapping[str, Sequence[Edge] | None], declared: str, grace: int
    ) -> Iterable[_Place]:
        edges = near[place.node]
        hop, before = place.template.hops[place.left - 1], place.template.hops[place.left - 2]
        relation, at = flipped(hop.relation), self._at
        for edge in edges or ():
            if edge.relation == relation and before.leads_to(edge.node):
                first, last = self._open(
                    edge.node, before.within + (grace if place.left == BEFORE_DOOR else 0)
                )
                lo, hi = max(place.lo, edge.start, first), min(place.hi, edge.end + hop.within, last)
                if lo < hi and lo <= at:
                    is_declared = place.is_declared or _names(edge.node, declared)
                    yield place._replace(
                        left=place.left - 1, node=edge.node, lo=lo, hi=hi, is_declared=is_declared
                    )

    def _open(self, name: str, after: int) -> tuple[int, int]:
        """The seconds in which a reference was open, and so long after its closing; always, for what is no reference."""
        known = self._references.get(name.partition(":")[2]) if is_reference(name) else None
        return (seconds(known.start), seconds(known.end) + after) if known else ALWAYS

    def _bounded(self, places: list[_Place]) -> list[_Place]:
        """These places, less those of a path that branches too often."""
        if len(places) <= MOST_BRANCHES:
            return places
        branches = Counter((place.template.name, place.row) for place in places)
        self._note_crowd()
        return [place for place in places if branches[place.template.name, place.row] <= MOST_BRANCHES]

    async def _results(
        self, records: Sequence[str], doors: Sequence[_Place], grace: int
    ) -> tuple[Explained, ...]:
        ended = [place for place in doors if not self._holds(place, grace)]
        if any(
            self._has_ended(place, grace) for place in ended
        ):  # then an update of the record may reopen it
            await self._read_own({records[place.row] for place in ended})
        current: dict[int, set[str]] = {}
        past: set[int] = set()
        for place in doors:
            if self._holds(place, grace) or self._is_reopened_path(place, records[place.row]):
                current.setdefault(place.row, set()).add(place.template.name)
            elif place.template.is_remembered and self._has_ended(place, grace):
                past.add(place.row)
        order = [template.name for template in self._explanations.templates]
        return tuple(
            Explained(
                tuple(name for name in order if name in current.get(row, ())),
                "current" if row in current else "ended" if row in past else "none",
            )
            for row in range(len(records))
        )

    def _first(self, place: _Place) -> Iterable[Edge]:
        relation = place.template.hops[0].relation
        return (
            edge for edge in self._own[place.node] if edge.relation == relation and edge.start <= self._at
        )

    def _holds(self, place: _Place, grace: int) -> bool:
        if not place.lo <= self._at < place.hi:
            return False
        after = place.template.hops[0].within + grace
        return any(self._at < edge.end + after for edge in self._first(place))

    def _has_ended(self, place: _Place, grace: int) -> bool:
        after = place.template.hops[0].within + grace
        return any(
            max(place.lo, edge.start) < min(place.hi, edge.end + after) <= self._at
            for edge in self._first(place)
        )

    def _is_reopened_path(self, place: _Place, record: str) -> bool:
        if not place.lo <= self._at < place.hi:
            return False
        if place.template.hops[0].relation[1:] not in self._explanations.assigned:
            return False
        return any(self._is_reopened(edge, (place.node, record)) for edge in self._first(place))

    def _is_reopened(self, ended: Edge, worked_on: Iterable[str]) -> bool:
        """Whether work was recorded after this assignment's end and not long ago: feeds close some links too early."""
        updated = {f">{relation}" for relation in self._explanations.updated}
        return any(
            ended.end <= edge.start <= self._at < edge.start + self._explanations.reopened_for
            for name in worked_on
            for edge in self._own.get(name, ())
            if edge.relation in updated
        )

    def _note_crowd(self) -> None:
        if not self.is_crowded:
            self.is_crowded = True
            LOG.warning(
                "a lookup's links branch beyond the bound, so paths through them explain nothing: see docs/facts.md"
            )


def _names(name: str, declared: str) -> bool:
    """Whether a node is the declared reference."""
    return bool(declared) and is_reference(name) and name.partition(":")[2] == declared


def _united(found: Sequence[Sequence[Edge] | None]) -> Sequence[Edge] | None:
    """The links of one node from all stores; None beyond the bound."""
    whole: list[Edge] = []
    for edges in found:
        if edges is None:
            return None
        whole += edges
    return whole if len(whole) <= MOST_LINKS_OF_A_NODE else None
