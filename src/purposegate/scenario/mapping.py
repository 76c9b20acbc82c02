"""The records system's mapping: records.yaml as somebody would write it for the system in `records.py`.

A record lists its people in numbered columns (`p1_given`, `p2_given`), so the widest record of a kind says how many there are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from purposegate.scenario.cast import Person, Record

PARTS = ("number", "street", "unit", "locality", "postcode")
PAGE_ROWS = 25


def columns_of(record: Record) -> dict[str, str]:
    """The columns of one record that are not empty."""
    cells = {"id": record.id, **{f"text_{name}": value for name, value in record.text.items()}}
    for place, person in enumerate(record.people, 1):
        cells |= {f"p{place}_{name}": value for name, value in _cells(person)}
    return {name: value for name, value in cells.items() if value}


def _cells(person: Person) -> Iterator[tuple[str, str]]:
    if person.names:
        yield "given", person.names[0].given
        yield "surname", person.names[0].surname
    yield "born", person.born
    if person.homes:
        yield from zip(PARTS, person.homes[0], strict=False)
    for number, phone in enumerate(person.phones, 1):
        yield f"phone{number}", phone
    for number, plate in enumerate(person.plates, 1):
        yield f"plate{number}", plate


def widths(records: Iterable[Record]) -> Mapping[str, tuple[int, int, int]]:
    """For each kind: the most people of a record, and the most telephones and plates of one of them."""
    found: dict[str, tuple[int, int, int]] = {}
    for record in records:
        people, phones, plates = found.get(record.kind, (1, 1, 1))
        found[record.kind] = (
            max(people, len(record.people)),
            max([phones, *(len(person.phones) for person in record.people)]),
            max([plates, *(len(person.plates) for person in record.people)]),
        )
    return found


def mapping(records: Sequence[Record]) -> dict[str, Any]:
    """The content of records.yaml."""
    kinds = {kind: _kind(kind, records, width) for kind, width in widths(records).items()}
    routes = [route for kind, spec in kinds.items() for route in _routes(kind, spec["columns"])]
    return {"version": 1, "protected": "/", "kinds": kinds, "routes": routes}


def _kind(kind: str, records: Sequence[Record], width: tuple[int, int, int]) -> dict[str, Any]:
    texts = sorted({f"text_{name}" for one in records if one.kind == kind for name in one.text})
    people, phones, plates = width
    subjects = [_subject(place, phones, plates) for place in range(1, people + 1)]
    columns = ["id", *texts, *(column for subject in subjects for column in _columns(subject))]
    return {
        "id": {"column": "id", "codec": "percent", "pattern": "[A-Za-z0-9_-]{1,64}"},
        "columns": columns,
        "subjects": subjects,
        "masks": _masks(subjects, texts),
    }


def _subject(place: int, phones: int, plates: int) -> dict[str, Any]:
    return {
        "given": f"p{place}_given",
        "surname": f"p{place}_surname",
        "born": {"column": f"p{place}_born", "format": "YYYY-MM-DD"},
        "address": {part: f"p{place}_{part}" for part in PARTS},
        "phones": [f"p{place}_phone{number}" for number in range(1, phones + 1)],
        "plates": [f"p{place}_plate{number}" for number in range(1, plates + 1)],
    }


def _columns(subject: Mapping[str, Any]) -> list[str]:
    return [
        subject["given"],
        subject["surname"],
        subject["born"]["column"],
        *subject["address"].values(),
        *subject["phones"],
        *subject["plates"],
    ]


def _masks(subjects: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> dict[str, list[str]]:
    """The mask words of the shipped mapping, as far as there is something to hide."""
    found = {
        "name": [one[part] for one in subjects for part in ("given", "surname")],
        "born": [one["born"]["column"] for one in subjects],
        "address": [column for one in subjects for column in one["address"].values()],
        "phone": [column for one in subjects for column in one["phones"]],
        "plate": [column for one in subjects for column in one["plates"]],
        "details": list(texts),
    }
    return {word: columns for word, columns in found.items() if columns}


def _routes(kind: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    path = f"/{kind}"
    answer = {"format": "json", "rows": "$.rows"}
    yield {"name": f"{_word(kind)}-view", "methods": ["GET"], "path": path + "/{id}", "action": "view", "kind": kind,
           "response": answer}  # fmt: skip
    yield {
        "name": f"{_word(kind)}-search",
        "methods": ["GET"],
        "path": path,
        "action": "search",
        "kind": kind,
        "parameters": [
            {"kind": "text", "name": "q"},
            {"kind": "criteria", "fields": list(columns), "operators": ["", "__startswith"]},
            {"kind": "size", "name": "size", "maximum": 100, "default": PAGE_ROWS},
            {"kind": "page", "name": "page"},
        ],
        "response": answer | {"next": "$.next", "notice": "notice"},
    }
    # In text, so that its people are judged: of a file that nobody can read only the name would be.
    yield {"name": f"{_word(kind)}-export", "methods": ["GET"], "path": path + "/{id}/export", "action": "export",
           "kind": kind, "response": answer}  # fmt: skip
    yield {"name": f"{_word(kind)}-edit", "methods": ["POST"], "path": path + "/{id}", "action": "edit", "kind": kind,
           "response": answer}  # fmt: skip


def _word(kind: str) -> str:
    return kind.replace("_", "-")
