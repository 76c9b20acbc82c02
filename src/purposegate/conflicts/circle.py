"""Who is around one member of staff: their register entries, themself and their homes, made ready to be compared."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from purposegate.conflicts.addresses import Place, place
from purposegate.conflicts.composition import Composer
from purposegate.conflicts.decisions import Decision
from purposegate.conflicts.directory import Directory, Staff
from purposegate.conflicts.people import Person, person
from purposegate.conflicts.prefilter import Key, Narrow, PairPool, Pool, narrow_keys, wide_keys
from purposegate.conflicts.register import Entries, RegisterEntry
from purposegate.conflicts.written import Home
from purposegate.model import RecordRef, Row


class Subject(NamedTuple):
    """One person in a record, folded, with the keys to look for them by."""

    person: Person
    wide: frozenset[Key]

    @property
    def narrow(self) -> Narrow:
        """The keys to look for them by among many. Made anew each time: few rows need them."""
        return narrow_keys(self.person)


class Seen(NamedTuple):
    """One record as it is to be compared: its name, and its people, made ready once for all comparisons."""

    record: RecordRef
    subjects: tuple[Subject, ...]


def seen(row: Row) -> Seen:
    """A row made ready to be compared; it may have no subjects yet, when only its id is known."""
    return Seen(row.record, tuple([Subject(one, wide_keys(one)) for one in map(person, row.subjects)]))


class Around:
    """One member of staff with what the register and the directory say of them. Either may know nothing."""

    def __init__(
        self, entries: Sequence[RegisterEntry], member: Staff | None, decisions: Sequence[Decision] = ()
    ) -> None:
        self._entries = tuple(entries)
        own = [person(member.person)] if member else []
        self._pool = Pool([*(person(entry.person) for entry in entries), *own], wide_keys)
        self.source = f"directory:{member.id}" if member else ""
        self.homes: tuple[tuple[Place, Home], ...] = tuple(_placed(member.homes)) if member else ()
        self._naming: dict[RecordRef, list[RegisterEntry]] = {}
        for entry in self._entries:
            for record in entry.records:
                self._naming.setdefault(record, []).append(entry)
        self._decisions: dict[RecordRef, list[Decision]] = {}
        for decision in decisions:
            self._decisions.setdefault(decision.record, []).append(decision)

    def decided(self, record: RecordRef) -> Sequence[Decision]:
        """What people decided of candidates between this member of staff and the record."""
        return self._decisions.get(record, ())

    @property
    def composed(self) -> tuple[RegisterEntry, ...]:
        """Entries that other entries make together."""
        return tuple(entry for entry in self._entries if entry.chain)

    def entry(self, name: str) -> RegisterEntry | None:
        """The entry that ties call by this name, `register:<id>`."""
        return next((entry for entry in self._entries if f"register:{entry.id}" == name), None)

    def naming(self, record: RecordRef) -> Sequence[RegisterEntry]:
        """Entries that name the record itself."""
        return self._naming.get(record, ())

    def near(self, subject: Subject) -> Iterator[tuple[RegisterEntry | None, Person]]:
        """Entries worth comparing with this person, each with its own; None in place of an entry for themself."""
        for index in self._pool.near(subject.wide):
            entry = self._entries[index] if index < len(self._entries) else None
            yield entry, self._pool.persons[index]


def around(staff_id: str, register: Entries, directory: Directory, composer: Composer) -> Around:
    """Make ready what is known around one member of staff: about 60 us an entry. Raises `FactsOutage`."""
    own = register.entries_of(staff_id)
    return Around(
        [*own, *composer.of(staff_id, own)], directory.member(staff_id), register.decisions_of(staff_id)
    )


def _placed(homes: Sequence[Home]) -> Iterator[tuple[Place, Home]]:
    for home in homes:
        folded = place(home.address)
        if folded:
            yield folded, home


class Colleagues:
    """Everybody in the directory, found by what they share with somebody in a record."""

    def __init__(self, directory: Directory) -> None:
        self._members = tuple(directory.staff.values())
        self._pool = PairPool(person(member.person) for member in self._members)

    def near(self, subject: Subject) -> Iterator[tuple[Staff, Person]]:
        """Members of staff worth comparing with this person."""
        if self._pool.may_be_near(subject.person, subject.wide):
            for index in self._pool.near(subject.narrow):
                yield self._members[index], self._pool.persons[index]
