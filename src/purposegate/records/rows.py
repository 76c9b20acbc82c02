"""Rows as columns of text, and the people that their columns describe.

The same for every format: a sheet yields each row as column -> text, and this page says which record it is, who it is about
and what a mask word covers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from purposegate.errors import AnswerOutage
from purposegate.model import Address, Identity, Name, RecordRef, Row
from purposegate.reasons import Reason

MAX_ROWS = 10_000
"""Ten times the largest page that Datasette serves; a list longer than this is an export."""

DATE_PARTS = ("YYYY", "MM", "DD")
_DATE_PART = re.compile("|".join(DATE_PARTS))


def unreadable(detail: str) -> AnswerOutage:
    """The answer does not have the shape that records.yaml promises; `detail` names columns and counts, never values."""
    return AnswerOutage(Reason.ANSWER_UNREADABLE, detail)


@dataclass(frozen=True, slots=True)
class Born:
    """A column of birth dates and how it writes them: `YYYY`, `MM` and `DD` among literal characters."""

    column: str
    format: str

    def read(self, text: str) -> str:
        """ISO 8601, as precise as the text allows; empty where it holds no date.

        Real registers hold days and months that never were: a wrong day leaves the month, a wrong month the year, because
        half a birth date still tells people apart and none would unmake a match.
        """
        shape = _DATE_PART.sub(lambda part: f"(?P<{part[0]}>[0-9]{{{len(part[0])}}})", re.escape(self.format))
        found = re.fullmatch(shape, text)
        if found is None:
            return ""
        parts = {**dict.fromkeys(DATE_PARTS, ""), **found.groupdict()}
        year, month, day = (int(parts[part] or 0) for part in DATE_PARTS)
        if year == 0:
            return ""
        for candidate, width in (((year, month, day), 10), ((year, month, 1), 7), ((year, 1, 1), 4)):
            try:
                return date(*candidate).isoformat()[:width]
            except ValueError:
                continue
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which columns describe one person of a row; empty names are columns the system does not have."""

    given: str = ""
    surname: str = ""
    born: Born | None = None
    address: Mapping[str, str]
    phones: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Every column this person is read from."""
        born = (self.born.column,) if self.born else ()
        named = (self.given, self.surname, *born, *self.address.values(), *self.phones, *self.plates)
        return frozenset(filter(None, named))

    def identity(self, row: Mapping[str, str]) -> Identity:
        """The person as this row describes them."""
        name = Name(row.get(self.given, ""), row.get(self.surname, ""))
        born = self.born.read(row[self.born.column]) if self.born else ""
        address = Address(**{part: row[column] for part, column in self.address.items()})
        return Identity(
            names=(name,) if any(name) else (),
            born=(born,) if born else (),
            addresses=(address,) if any(address) else (),
            phones=tuple(filter(None, (row[column] for column in self.phones))),
            plates=tuple(filter(None, (row[column] for column in self.plates))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKind:
    """What a row of one record kind holds. Only `columns` are ever shown; `id_column` and the subjects' must be there.

    `masks` are words for several columns at once (`address`); each column is also a word for itself.
    """

    name: str
    id_column: str
    id_codec: str
    id_pattern: re.Pattern[str]
    columns: tuple[str, ...]
    subjects: tuple[Subject, ...]
    masks: Mapping[str, frozenset[str]]

    @property
    def needed(self) -> frozenset[str]:
        """Columns without which a row cannot be judged."""
        return frozenset({self.id_column}).union(*(subject.columns for subject in self.subjects))

    @property
    def mask_words(self) -> frozenset[str]:
        """Every word a policy may mask by."""
        return frozenset(self.columns) | self.masks.keys()

    def covered(self, words: frozenset[str]) -> frozenset[str]:
        """The columns that mask words cover. Raises `AnswerOutage` on a word this kind does not have.

        Dropping an unknown word would release what a policy meant to hide.
        """
        if not words <= self.mask_words:
            raise unreadable(f"a policy masks a field that the kind {self.name} does not have")
        return frozenset().union(*(self.masks.get(word, frozenset({word})) for word in words))

    def row(self, texts: Mapping[str, str], place: int) -> Row:
        """The row as the gate judges it. Raises `AnswerOutage` when its id or a mapped column is missing."""
        missing = self.needed - texts.keys()
        if missing:
            raise unreadable(f"row {place} lacks {', '.join(sorted(missing))}")
        record_id = texts[self.id_column]
        if not self.id_pattern.fullmatch(record_id):
            raise unreadable(f"row {place} has no id of the kind {self.name}")
        shown = frozenset(texts)
        return Row(
            record=RecordRef(self.name, record_id),
            subjects=tuple(subject.identity(texts) for subject in self.subjects),
            fields=shown.union(word for word, columns in self.masks.items() if columns & shown),
            place=place,
        )
