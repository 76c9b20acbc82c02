"""The `kinds` of records.yaml: what a row of each record kind holds and who it is about."""

import re
from collections.abc import Mapping
from typing import Any

from purposegate.records.faults import Faults
from purposegate.records.rows import DATE_PARTS, Born, RecordKind, Subject

_NEVER = re.compile(r"(?!)")


def read_kind(name: str, spec: Mapping[str, Any], faults: Faults) -> RecordKind:
    """One record kind; faults are noted, not raised."""
    keys = ("kinds", name)
    columns = tuple(map(str, spec["columns"]))
    identity = spec["id"]
    pattern = faults.compiled(
        re.compile, str(identity["pattern"]), (*keys, "id", "pattern"), "want a regular expression"
    )
    faults.known([str(identity["column"])], columns, (*keys, "id", "column"))
    masks = {str(word): frozenset(map(str, covered)) for word, covered in spec.get("masks", {}).items()}
    for word, covered in masks.items():
        faults.known(sorted(covered), columns, (*keys, "masks", word))
        if word in columns:
            faults.add(
                (*keys, "masks", word), "want a word that is not a column: each column is a word already"
            )
    subjects = tuple(map(_subject, spec["subjects"]))
    for at, subject in enumerate(subjects):
        faults.known(sorted(subject.columns), columns, (*keys, "subjects", at))
        if subject.born is not None and not _is_date_format(subject.born.format):
            faults.add(
                (*keys, "subjects", at, "born", "format"), "want YYYY once, MM and DD at most once each"
            )
    return RecordKind(
        name=name,
        id_column=str(identity["column"]),
        id_codec=str(identity["codec"]),
        id_pattern=pattern or _NEVER,
        columns=columns,
        subjects=subjects,
        masks=masks,
    )


def _is_date_format(text: str) -> bool:
    return text.count(DATE_PARTS[0]) == 1 and all(text.count(part) <= 1 for part in DATE_PARTS[1:])


def _subject(spec: Mapping[str, Any]) -> Subject:
    born = spec.get("born")
    return Subject(
        given=str(spec.get("given", "")),
        surname=str(spec.get("surname", "")),
        born=Born(str(born["column"]), str(born["format"])) if born else None,
        address={str(part): str(column) for part, column in spec.get("address", {}).items()},
        phones=tuple(map(str, spec.get("phones", ()))),
        plates=tuple(map(str, spec.get("plates", ()))),
    )
