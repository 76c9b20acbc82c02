"""What an entry can be found by: a fixed function of its clear text, so that an index can be rebuilt and compared. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple


class Term(IntEnum):
    """The kinds of search terms. Values stand in index files and are never used again for something else."""

    LOOKUP = 1
    PRINCIPAL = 2
    ORIGINATOR = 3
    RECIPIENT = 4
    RECORD = 5
    SUBJECT = 6
    SUBJECT_BORN = 7
    CASE = 8
    PURPOSE = 9
    REASON = 10


class Found(NamedTuple):
    """One term of one entry, still in clear: the kind and the parts that its token is made of."""

    term: Term
    parts: tuple[str, ...]


def folded(name: str) -> str:
    """A name as it is compared: case folded, white space single."""
    return " ".join(name.casefold().split())


def purposes(code: str) -> Iterator[str]:
    """A dotted code and its ancestors, widest first: `investigate`, `investigate.crime`."""
    parts = code.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def subject(given: str, surname: str) -> str:
    """A person's name as a search term."""
    return f"{folded(given)} {folded(surname)}".strip()


def terms_of(lookup_id: str, fields: Mapping[str, Any], rows: Sequence[Any]) -> set[Found]:
    """Every term of one entry. Fields of another shape than the gate's are passed over, never an error."""
    found = {Found(Term.LOOKUP, (lookup_id,))}
    for term, name in (
        (Term.PRINCIPAL, "principal"),
        (Term.ORIGINATOR, "originator"),
        (Term.RECIPIENT, "recipient"),
        (Term.CASE, "ref"),
    ):
        value = fields.get(name)
        if isinstance(value, str) and value:
            found.add(Found(term, (value,)))
    if isinstance(code := fields.get("purpose"), str) and code:
        found.update(Found(Term.PURPOSE, (each,)) for each in purposes(code))
    found.update(Found(Term.REASON, (each,)) for each in _texts(fields.get("reasons")))
    for record in _lists(fields.get("records")):
        match record:
            case [str(kind), str(name)]:
                found.add(Found(Term.RECORD, (kind, name)))
    for row in rows:
        found.update(_row(row))
    return found


def _row(row: Any) -> Iterator[Found]:
    match row:
        case {"kind": str(kind), "id": str(name)}:
            yield Found(Term.RECORD, (kind, name))
    subjects = row.get("subjects") if isinstance(row, dict) else None
    for each in _lists(subjects):
        if not isinstance(each, dict):
            continue
        births = _texts(each.get("born"))
        for name in _lists(each.get("names")):
            match name:
                case [str(given), str(surname)] if given or surname:
                    text = subject(given, surname)
                    yield Found(Term.SUBJECT, (text,))
                    yield from (Found(Term.SUBJECT_BORN, (text, born)) for born in births)


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [each for each in _lists(value) if isinstance(each, str)]
