"""Whom a search is for: the person that its criteria describe, read as a row of the answer would be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product

from purposegate.model import Address, Identity, Name
from purposegate.records.rows import RecordKind, Subject

TELLING = frozenset(
    {"", "exact", "iexact", "eq", "is", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"}
    | {"like", "ilike", "glob", "in", "date", "phrase"}
)  # fmt: skip
"""Operators that say what is looked for; the others say what is not, or compare more than one value with it."""

MOST = 4
"""Readings of one criterion that are looked at: a list of a hundred names is for nobody in particular."""

_WILD = re.compile(r"[*%?]")
_ISO_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_LOCAL_DATE = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})")
_PHONE_DIGITS = 9

Told = Mapping[str, Sequence[str]]
"""The values that a search gives for each column, as written."""


def told(criteria: Sequence[tuple[str, str, str]]) -> dict[str, list[str]]:
    """The values of each field out of (field, operator, value), without wildcards, several of a list apart."""
    found: dict[str, list[str]] = {}
    for field, operator, value in criteria:
        if operator in TELLING:
            values = value.split(",") if operator == "in" else [value]
            found.setdefault(field, []).extend(filter(None, (_WILD.sub("", one).strip() for one in values)))
    return found


def sought(kind: RecordKind, values: Told, text: str) -> tuple[Identity, ...]:
    """Everybody whom the criteria may describe, one for each person that a row of this kind has; empty for nobody.

    `text` is what was searched for in several columns at once: its words are read for a name, a birth, a telephone, a plate.
    """
    free = _read_text(text)
    found = (_joined(_described(subject, values), free) for subject in kind.subjects)
    return tuple(dict.fromkeys(one for one in found if one != Identity()))


def _described(subject: Subject, values: Told) -> Identity:
    def of(column: str) -> Sequence[str]:
        return values.get(column, ())[:MOST] if column else ()

    names = (Name(*pair) for pair in product(of(subject.given) or [""], of(subject.surname) or [""]))
    parts = {part: of(column)[0] for part, column in subject.address.items() if of(column)}
    born = subject.born
    dates = (born.read(text) or _date(text) for text in of(born.column)) if born else ()
    return Identity(
        names=tuple(name for name in names if any(name))[:MOST],
        born=tuple(filter(None, dates)),
        addresses=(Address(**parts),) if parts else (),
        phones=tuple(one for column in subject.phones for one in of(column)),
        plates=tuple(one for column in subject.plates for one in of(column)),
    )


def _read_text(text: str) -> Identity:
    words = _WILD.sub(" ", text).replace(",", " ").replace('"', " ").split()
    names = [word for word in words if not any(map(str.isdigit, word))]
    numbered = [word for word in words if any(map(str.isdigit, word))]
    dates = [date for date in map(_date, numbered) if date]
    return Identity(
        names=tuple(_names(names)),
        born=tuple(dates[:MOST]),
        phones=tuple(_phones(words)),
        plates=tuple(_plates(words)),
    )


def _names(words: Sequence[str]) -> Iterator[Name]:
    if len(words) > 1:
        yield Name(" ".join(words[:-1]), words[-1])
        yield Name(" ".join(words[1:]), words[0])
    elif words:
        yield Name("", words[0])


def _phones(words: Sequence[str]) -> Iterator[str]:
    digits = "".join(word for word in words if not any(map(str.isalpha, word)))
    if sum(map(str.isdigit, digits)) >= _PHONE_DIGITS:
        yield digits


def _plates(words: Sequence[str]) -> Iterator[str]:
    """Words with letters and digits, and two that make one together, as plates are written apart."""
    for one in (*words, *(f"{first}{second}" for first, second in pairwise(words))):
        if any(map(str.isalpha, one)) and any(map(str.isdigit, one)):
            yield one


def _date(text: str) -> str:
    """ISO 8601, or nothing; the day first where a date is not written year first."""
    if iso := _ISO_DATE.fullmatch(text):
        return "-".join(iso.groups())
    if local := _LOCAL_DATE.fullmatch(text):
        day, month, year = local.groups()
        return f"{year}-{month:0>2}-{day:0>2}"
    return ""


def _joined(one: Identity, other: Identity) -> Identity:
    """What both say, of one person; the columns' own words for a name come before free text's."""
    return Identity(
        names=one.names or other.names,
        born=(*one.born, *other.born),
        addresses=one.addresses,
        phones=(*one.phones, *other.phones),
        plates=(*one.plates, *other.plates),
    )
