"""What a data subject is called where sights of them are counted, whichever record shows them.

A person's record, a vehicle's keeper and a name in a case file have different record ids. They are one data subject where a
name meets something that namesakes do not share: a whole date of birth, a home, a telephone, a plate. Each such pair is one
key, and a sight is counted under all of the subject's keys: records that agree on any of them share a count. A name alone is
no key: counting all John Smiths as one would stop people who look for different ones.

The keys hold personal data. They live as long as a lookup, and the ledger keeps keyed tokens of them (`KeyRing.token`).
"""

from collections.abc import Iterator

from purposegate.conflicts.addresses import Place
from purposegate.conflicts.names import FoldedName
from purposegate.conflicts.people import Person, person
from purposegate.model import Identity

MOST = 6
"""Keys of one data subject: two spellings of a name with what there usually is. More would be counted for nothing."""


def subject_keys(identity: Identity) -> tuple[str, ...]:
    """The keys of one data subject, the most telling first; empty where nothing tells them from their namesakes."""
    return tuple(dict.fromkeys(_keys(person(identity))))[:MOST]


def _keys(one: Person) -> Iterator[str]:
    names = [name for name in one.names if name.given and name.surname]
    for name in names:
        for birth in one.births:
            if birth.day:
                # The initial is enough beside a whole date of birth: John, Johnny and J. are one.
                yield f"born:{_surname(name)}:{_given(name)[:1]}:{birth.year}-{birth.month}-{birth.day}"
    homes = [home for home in map(_home, one.places) if home]
    # In one home an initial is shared by father and son, so the given name is written out.
    yield from (f"home:{_surname(name)}:{_given(name)}:{home}" for name in names for home in homes)
    for handle, values in (("phone", one.phones), ("plate", one.plates)):
        for value in sorted(values):
            yield from (f"{handle}:{_surname(name)}:{value}" for name in names)
            if not names:  # whoever it is, it is the same one
                yield f"{handle}:{value}"


def _surname(name: FoldedName) -> str:
    return name.surname.text if name.surname else ""


def _given(name: FoldedName) -> str:
    return name.given.text if name.given else ""


def _home(one: Place) -> str:
    """An address exact enough to be one home, or nothing."""
    if not one.number or not (one.postcode or (one.street and one.locality)):
        return ""
    number = one.number.name or f"{one.number.low}{one.number.letter}"
    return f"{number}:{one.unit}:{one.postcode or one.street + one.locality}"
