"""What policies read beyond words: ids, and the clock. It says what a question must carry and whether an answer keeps.

Judged from the expressions alone, and always to the safe side: a file that cannot be read reads everything.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from purposegate.decision import cel, sheets

CLOCK = frozenset(
    {
        "now",
        "timestamp",
        "duration",
        "timeSince",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
    }
)
"""CEL's and Cerbos' functions of time. The vocabulary has bands for what time decides, set in facts.yaml."""

_RECORD = (("R",), ("request", "resource"))
_PRINCIPAL = (("P",), ("request", "principal"))


class Reads(NamedTuple):
    """What some expression of the policies could read."""

    record_ids: bool = False
    principal_ids: bool = False
    clock: bool = False


EVERYTHING = Reads(record_ids=True, principal_ids=True, clock=True)


def of(files: Mapping[str, bytes]) -> Reads:
    """What the policies could read, by their files' contents. `EVERYTHING` where one cannot be read."""
    found = Reads()
    for name, content in files.items():
        if name.startswith("_schemas/"):
            continue
        sheet, faults = sheets.read(Path(name), content)
        if faults or sheet is None:
            return EVERYTHING
        # A principal policy is about one principal by its id, whatever its expressions say.
        found = _either(found, Reads(principal_ids=sheet.kind == "principalPolicy"))
        for expression in sheet.expressions:
            found = _either(found, _read_by(expression))
    return found


def calls_clock(stream: tuple[cel.Token, ...], place: int) -> bool:
    """Whether the token at this place is a function of time, called."""
    token = stream[place]
    applied = place + 1 < len(stream) and stream[place + 1].text == "("
    return token.kind is cel.Kind.NAME and token.text in CLOCK and applied


def _either(one: Reads, other: Reads) -> Reads:
    return Reads(*(a or b for a, b in zip(one, other, strict=True)))


def _read_by(expression: sheets.Expression) -> Reads:
    stream = expression.stream
    paths = list(cel.paths(stream))
    return Reads(
        record_ids=any(_may_read(path, _RECORD, {"attr", "kind"}) for path in paths),
        principal_ids=any(_may_read(path, _PRINCIPAL, {"attr", "roles"}) for path in paths),
        clock=any(calls_clock(stream, place) for place in range(len(stream))),
    )


def _may_read(path: cel.Path, roots: tuple[tuple[str, ...], ...], others: set[str]) -> bool:
    """Whether a name is an id below one of these roots, or something that holds one whole."""
    root = next((root for root in roots if path.parts[: len(root)] == root), None)
    if root is None:
        return path.parts == ("request",)
    return not set(path.parts[len(root) : len(root) + 1]) & others
