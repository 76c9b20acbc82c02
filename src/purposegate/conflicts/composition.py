"""Ties that nobody declared and that declared ones make together: a partner's parent, an ex-partner's family.

A chain goes on only over people whom the register knows as somebody with relations of their own: staff, or a person whom
others of the staff have entries for under the same record id. Each composed tie is an entry of provenance `derived` that keeps
its chain and holds only while every entry in it does. Nothing is stored; one more entry can only make more of them (law 5).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from purposegate.conflicts.directory import Directory
from purposegate.conflicts.register import STAFF, Entries, Link, RegisterEntry
from purposegate.conflicts.relations import DERIVED, Relations
from purposegate.conflicts.written import Home, staff_key
from purposegate.model import Identity, RecordRef

StaffLike = Callable[[Identity], Sequence[str]]
"""Who of the staff a description is of, beyond doubt, by `staff_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where a chain has come to: who they are, where known, and by which names the register knows them."""

    person: Identity | None
    homes: tuple[Home, ...]
    records: frozenset[RecordRef]
    staff: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Entries one after the other, from one member of staff to somebody."""

    relation: str
    links: tuple[Link, ...]
    end: _End
    valid_from: date | None
    valid_to: date | None
    known_from: date | None
    is_dated: bool
    """Whether each entry says since when the force knows."""


class Composer:
    """Composes the entries of one state of register, directory and conflicts.yaml. Read only."""

    def __init__(
        self, relations: Relations, register: Entries, directory: Directory, staff_like: StaffLike
    ) -> None:
        self._relations = relations
        self._register = register
        self._directory = directory
        self._staff_like = staff_like

    def of(self, principal: str, own: Sequence[RegisterEntry]) -> tuple[RegisterEntry, ...]:
        """What this member of staff's entries, and those that name them, make. Raises `FactsOutage`."""
        key = staff_key(principal)
        starts = [_chain(entry, entry.relation, self._end(entry)) for entry in own]
        named = list(self._inverse(RecordRef(STAFF, key), frozenset(self._relations.by_name), key))
        found, open_ends = list(named), [*starts, *named]
        for _ in range(1, self._relations.depth):
            open_ends = [longer for chain in open_ends for longer in self._longer(chain, key)]
            found += open_ends
        made = (_entry(principal, chain) for chain in found)
        return tuple(sorted(filter(None, made), key=lambda entry: entry.id))

    def _longer(self, chain: _Chain, principal: str) -> Iterator[_Chain]:
        """The chain with one more entry: what its end declared, and what others declared of them."""
        steps = self._relations.compose.get(chain.relation, {})
        if not steps:
            return
        backwards = frozenset(self._relations.by_name[one].inverse for one in steps)
        following = [
            *(step for staff_id in chain.end.staff for step in self._declared(staff_id, frozenset(steps))),
            *(
                step
                for staff_id in chain.end.staff
                for step in self._inverse(RecordRef(STAFF, staff_id), backwards, principal)
            ),
            *(
                step
                for record in chain.end.records
                if record.kind != STAFF
                for step in self._inverse(record, backwards, principal)
            ),
        ]
        used = {link.entry for link in chain.links}
        for step in following:
            whole = steps.get(step.relation)
            if whole and principal not in step.end.staff and step.links[0].entry not in used:
                joined = _joined(chain, step, whole)
                if joined:
                    yield joined

    def _declared(self, staff_id: str, relations: frozenset[str]) -> Iterator[_Chain]:
        for entry in self._register.entries_of(staff_id):
            if entry.relation in relations:
                yield _chain(entry, entry.relation, self._end(entry))

    def _inverse(self, record: RecordRef, relations: frozenset[str], principal: str) -> Iterator[_Chain]:
        """Entries that name somebody, read from that person's side: they lead to the one who has the entry."""
        for entry in self._register.naming(record, relations):
            key = staff_key(entry.principal)
            if key == principal:
                continue
            member = self._directory.member(key)
            end = _End(
                person=member.person if member else None,
                homes=member.homes if member else (),
                records=frozenset(),
                staff=frozenset([key]),
            )
            yield _chain(entry, self._relations.by_name[entry.relation].inverse, end)

    def _end(self, entry: RegisterEntry) -> _End:
        staff = {*entry.staff, *(self._staff_like(entry.person) if self._relations.depth > 1 else ())}
        return _End(person=entry.person, homes=entry.homes, records=entry.records, staff=frozenset(staff))


def _chain(entry: RegisterEntry, relation: str, end: _End) -> _Chain:
    return _Chain(
        relation=relation,
        links=(Link(relation, entry.id),),
        end=end,
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        known_from=entry.known_from,
        is_dated=entry.known_from is not None,
    )


def _joined(one: _Chain, step: _Chain, relation: str) -> _Chain | None:
    """Both, for as long as both hold; None where they never held at one time."""
    start = max(filter(None, (one.valid_from, step.valid_from)), default=None)
    end = min(filter(None, (one.valid_to, step.valid_to)), default=None)
    if start and end and end < start:
        return None
    return replace(
        step,
        relation=relation,
        links=(*one.links, *step.links),
        valid_from=start,
        valid_to=end,
        known_from=max(filter(None, (one.known_from, step.known_from)), default=None),
        is_dated=one.is_dated and step.is_dated,
    )


def _entry(principal: str, chain: _Chain) -> RegisterEntry | None:
    if chain.end.person is None:
        return None  # staff whom the directory does not hold: there is nothing to match a record with
    return RegisterEntry(
        id=">".join(link.entry for link in chain.links),
        principal=principal,
        relation=chain.relation,
        provenance=DERIVED,
        person=chain.end.person,
        homes=chain.end.homes,
        records=frozenset(record for record in chain.end.records if record.kind != STAFF),
        valid_from=chain.valid_from,
        valid_to=chain.valid_to,
        known_from=chain.known_from if chain.is_dated else None,
        declared_by="",
        chain=chain.links,
    )
