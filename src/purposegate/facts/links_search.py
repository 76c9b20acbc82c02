"""Following links from a record back to the principal: what explains a lookup now, what once did, and who last worked on it.

A path holds while each of its links does, counting what facts.yaml allows after a link's end. The search goes from the record
towards the principal, where there are few links, and the last step is a question for one pair of ends: how many links a member
of staff has does not matter. A node with more links than the bound, or a path that branches more often, explains nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from purposegate.conflicts.dates import BEGINNING, Interval
from purposegate.facts.explanations import Door, Explanations, Way
from purposegate.facts.links import (
    MOST_LINKS_OF_A_NODE,
    NO_REFERENCES,
    STAFF,
    Edge,
    LinkStore,
    moment,
    node,
    seconds,
)
from purposegate.facts.work import reference_key

MOST_BRANCHES = 1_000
"""Places that the paths of one record may have reached at once: some 10 ms of search at the worst."""

_ALWAYS = (-(2**62), 2**62)
_NEVER = seconds(BEGINNING)


class Explained(NamedTuple):
    """What explains one record: the names of paths that hold now, and `current`, `ended` or `none`."""

    explained_by: tuple[str, ...] = ()
    involvement: str = "none"


class _Place(NamedTuple):
    """How far paths were followed: the arrows so far held together in [lo, hi)."""

    way: Way
    row: int
    node: str
    lo: int
    hi: int
    is_declared: bool


class _Spell(NamedTuple):
    """One whole path: its template, the principal's own link, and when the rest of the path held."""

    row: int
    template: int
    door: Door
    own: Edge
    lo: int
    hi: int


_Edges = Mapping[str, Sequence[Edge]]


class _Question(NamedTuple):
    records: tuple[str, ...]
    declared: str
    grace: int
    through_ref: bool


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
        self._near: dict[str, _Edges] = {}
        self._firsts: dict[str, Sequence[Edge]] = {}
        self._work: dict[str, Sequence[Edge]] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        self._found: dict[_Question, tuple[Explained, ...]] = {}
        self.is_crowded = False
        """Whether a bound kept something from explaining."""

    async def explain(
        self, records: Sequence[str], *, ref: str, grace: int, through_ref: bool = False
    ) -> tuple[Explained, ...]:
        """What explains each of these nodes, in order; `grace` counts after the principal's own links end, seconds.

        With `through_ref` only paths through the declared reference. Raises `FactsOutage`.
        """
        question = _Question(tuple(records), reference_key(ref), grace, through_ref)
        if question not in self._found:
            self._found[question] = await self._explain(question)
        return self._found[question]

    async def last_work(self, nodes: Sequence[str]) -> tuple[datetime | None, ...]:
        """The latest moment, up to now, at which the principal is known to have worked on each node, or on work about it.

        An update of either, or the start of an assignment. Raises `FactsOutage`.
        """
        near = await self._read(nodes)
        involving = [f"<{relation}" for relation in self._explanations.involving]
        behind = [
            [name, *(edge.node for relation in involving for edge in near[name].get(relation, ()))]
            for name in nodes
        ]
        await self._read_work(name for names in behind for name in names)
        starts = [
            [
                edge.start
                for name in names
                for edge in self._work[name]
                if _NEVER < edge.start <= self._at  # an assignment without a start tells of no moment
            ]
            for names in behind
        ]
        return tuple(moment(max(found)) if found else None for found in starts)

    async def standing(self, name: str, *, grace: int = 0) -> str:
        """The principal's own standing at a reference by these links: `assigned` now, `ended`, or nothing.

        `grace` is for how many seconds after its end an assignment counts. Raises `FactsOutage`.
        """
        await self._read_work((name,))
        assigned = {f">{relation}" for relation in self._explanations.assigned}
        held = [edge for edge in self._work[name] if edge.relation in assigned and edge.start <= self._at]
        lasting = self._explanations.lasting
        if any(
            self._at < edge.end + lasting(edge.relation, name) + grace or self._is_reopened(edge, (name,))
            for edge in held
        ):
            return "assigned"
        return "ended" if held else ""

    async def _explain(self, question: _Question) -> tuple[Explained, ...]:
        records, declared, grace, through_ref = question
        places = [
            _Place(
                self._explanations.way(name),
                row,
                name,
                *_ALWAYS,
                bool(declared) and _reference(name) == declared,
            )
            for row, name in enumerate(records)
        ]
        doors: list[_Place] = []
        while places:
            doors += [place for place in places if place.way.doors]
            inner = [place for place in places if place.way.steps]
            near = await self._read({place.node for place in inner})
            places = self._followed(inner, near, question)
        await self._read_firsts({place.node for place in doors})
        only = [through_ref or one.only_declared for one in self._explanations.templates]
        spells = [
            spell
            for place in doors
            for spell in self._spells(place, records[place.row], grace)
            if place.is_declared or not only[spell.template]
        ]
        return await self._results(records, spells, grace)

    def _followed(
        self, inner: Sequence[_Place], near: Mapping[str, _Edges], question: _Question
    ) -> list[_Place]:
        """One arrow further from each place, less those of one record and one sort of path that branch too often.

        Written out rather than divided: every lookup goes through it some dozens of times.
        """
        at, declared, grace = self._at, question.declared, question.grace
        kept: dict[tuple[int, int], list[_Place]] = {}
        for place in inner:
            onward, row, place_lo, place_hi = place.way, place.row, place.lo, place.hi
            for relation, edges in near[place.node].items():
                for _, name, start, end in edges:
                    kind, _, key = name.partition(":")
                    steps = onward.steps_to(relation, kind)
                    if not steps or start > at:
                        continue
                    is_reference = kind not in NO_REFERENCES
                    opened, closed = self._open(key) if is_reference else _ALWAYS
                    lo = max(place_lo, start, opened)
                    named = place.is_declared or (is_reference and key == declared)
                    for _, within, slack, is_last, way in steps:
                        hi = min(place_hi, end + within, closed + slack + (grace if is_last else 0))
                        if lo < hi and lo <= at:
                            those = kept.setdefault((row, id(way)), [])
                            if len(those) <= MOST_BRANCHES:
                                those.append(_Place(way, row, name, lo, hi, named))
        self.is_crowded |= any(len(those) > MOST_BRANCHES for those in kept.values())
        return [place for those in kept.values() if len(those) <= MOST_BRANCHES for place in those]

    def _spells(self, place: _Place, record: str, grace: int) -> Iterable[_Spell]:
        for door in place.way.doors:
            lo, hi = place.lo, place.hi
            if place.node == record and (ref := _reference(record)):
                # A closed case can be looked up under another; only who is assigned to itself loses it with its closing.
                opened, closed = self._open(ref)
                lo, hi = max(lo, opened), min(hi, closed + door.within + grace)
            for own in self._firsts[place.node]:
                if own.relation == door.relation and own.start <= self._at:
                    yield _Spell(place.row, door.template, door, own, lo, hi)

    async def _results(
        self, records: Sequence[str], spells: Sequence[_Spell], grace: int
    ) -> tuple[Explained, ...]:
        current: dict[int, set[int]] = {}
        ended: list[_Spell] = []
        for spell in spells:
            end = spell.own.end + spell.door.within + grace
            if spell.lo <= self._at < min(spell.hi, end):
                current.setdefault(spell.row, set()).add(spell.template)
            elif max(spell.lo, spell.own.start) < min(spell.hi, end) <= self._at:
                ended.append(spell)
        over = [spell for spell in ended if self._may_reopen(spell)]
        await self._read_work(name for spell in over for name in (spell.own.node, records[spell.row]))
        for spell in over:
            if self._is_reopened(spell.own, (spell.own.node, records[spell.row])):
                current.setdefault(spell.row, set()).add(spell.template)
        templates = self._explanations.templates
        past = {spell.row for spell in ended if templates[spell.template].is_remembered}
        return tuple(
            Explained(
                tuple(templates[number].name for number in sorted(current.get(row, ()))),
                "current" if row in current else "ended" if row in past else "none",
            )
            for row in range(len(records))
        )

    def _may_reopen(self, spell: _Spell) -> bool:
        """Whether an update could show that this assignment was closed too early, and nothing else is in the way."""
        is_assignment = spell.own.relation[1:] in self._explanations.assigned
        return is_assignment and self._explanations.reopened_for > 0 and spell.lo <= self._at < spell.hi

    def _is_reopened(self, ended: Edge, worked_on: Iterable[str]) -> bool:
        """Whether work was recorded after this assignment's end and not long ago: feeds close some links too early."""
        updated, window = self._explanations.updated, self._explanations.reopened_for
        return any(
            ended.end <= edge.start <= self._at < edge.start + window
            for name in worked_on
            for edge in self._work[name]
            if edge.relation[1:] in updated
        )

    async def _read(self, nodes: Collection[str]) -> Mapping[str, _Edges]:
        """The links of these nodes by relation; a node beyond the bound has none."""
        missing = [name for name in nodes if name not in self._near]
        if missing:
            found = [await store.near(missing, self._explanations.to_read) for store in self._stores]
            for name in missing:
                self._near[name] = self._by_relation([each[name] for each in found])
        return self._near

    async def _read_firsts(self, nodes: Iterable[str]) -> None:
        await self._read_own(nodes, self._firsts, self._explanations.firsts)

    async def _read_work(self, nodes: Iterable[str]) -> None:
        await self._read_own(nodes, self._work, self._explanations.work)

    async def _read_own(
        self, nodes: Iterable[str], known: dict[str, Sequence[Edge]], wanted: Callable[[str], Sequence[str]]
    ) -> None:
        missing = [name for name in dict.fromkeys(nodes) if name not in known]
        if missing:
            own: dict[str, list[Edge]] = {name: [] for name in missing}
            for store in self._stores:
                for edge in await store.between(self._principal, wanted, missing):
                    own[edge.node].append(edge)
            known.update(own)

    def _by_relation(self, found: Sequence[Sequence[Edge] | None]) -> _Edges:
        sorted_: dict[str, list[Edge]] = {}
        count = 0
        for edges in found:
            count += MOST_LINKS_OF_A_NODE + 1 if edges is None else len(edges)
            for edge in edges or ():
                sorted_.setdefault(edge.relation, []).append(edge)
        if count > MOST_LINKS_OF_A_NODE:
            self.is_crowded = True
            return {}
        return sorted_

    def _open(self, ref: str) -> tuple[int, int]:
        """The seconds in which a reference was open, by its key; always, where nothing is known of it."""
        span = self._spans.get(ref)
        if span is None:
            known = self._references.get(ref)
            span = self._spans[ref] = (seconds(known.start), seconds(known.end)) if known else _ALWAYS
        return span


def _reference(name: str) -> str:
    """The key of the reference that a node names; empty for any other node."""
    kind, _, key = name.partition(":")
    return "" if kind in NO_REFERENCES else key
