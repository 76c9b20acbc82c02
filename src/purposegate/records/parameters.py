"""Query parameters by allow-list: what each one means to a lookup, and what of it goes upstream.

A parameter that is not listed refuses the lookup (`parameter-unmapped`): it could widen a search, change what the rows are or
switch the judging off. Every kind below is one of the ways a parameter can matter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from purposegate.errors import RouteRefused
from purposegate.reasons import Reason
from purposegate.records.paths import Pairs

FREE_TEXT = "*"
"""The criterion under which free text stands."""

_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_NUMBERED = "{n}"
_NUMBER = r"[1-9][0-9]?"


class Kind(StrEnum):
    """What a parameter is to a lookup."""

    CRITERION = "criterion"  # compares one field with the value
    TEXT = "text"  # searches several fields for the value
    NAMES = "names"  # the value names a field: a sort key, or the column half of a form's filter
    CHOICE = "choice"  # the value is one of a closed list
    SIZE = "size"  # rows a page
    PAGE = "page"  # where the gate's sealed cursor comes in and the page token goes out
    IGNORED = "ignored"  # accepted, means nothing, not sent on


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a route. `name` may hold `{n}`, a number of one or two digits.

    `fields` are what it reads (criterion: one; text: all it searches) or, for `names`, what it may name.
    """

    name: str
    kind: Kind
    fields: tuple[str, ...] = ()
    operator: str = ""
    values: frozenset[str] = frozenset()
    maximum: int = 0
    default: str = ""
    repeatable: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether its values come from records.yaml, so that one in a link tells nothing about a record."""
        return bool(self.values) or self.kind in {Kind.NAMES, Kind.CHOICE}

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """What matches a numbered name; None for a plain one."""
        if _NUMBERED not in self.name:
            return None
        return re.compile(_NUMBER.join(map(re.escape, self.name.split(_NUMBERED))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query, read. `sent` goes upstream in this order; `ignored` does not; `page` is the sealed cursor.

    `touched` are the fields that criteria, sort keys and free text read; `open_values` what was sent that no closed list bounds.
    `compared` are the criteria as (field, operator, value), free text under `*`; `criteria` is the same in words, with sort keys.
    """

    sent: Pairs
    ignored: Pairs
    page: str
    criteria: Mapping[str, str]
    touched: frozenset[str]
    open_values: frozenset[str]
    compared: tuple[tuple[str, str, str], ...] = ()


def _unmapped(name: str, expected: str) -> RouteRefused:
    # The name is the principal's own and listed or short; the value may be personal, so it is never echoed.
    return RouteRefused(Reason.PARAMETER_UNMAPPED, f"{name:.60}: {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """All parameters of one route. `always` are added by the gate to every request upstream."""

    listed: tuple[Parameter, ...] = ()
    always: Pairs = ()
    _plain: dict[str, Parameter] = field(init=False, repr=False)
    _numbered: tuple[tuple[re.Pattern[str], Parameter], ...] = field(init=False, repr=False)
    _kinds: dict[Kind, Parameter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        plain, numbered = {}, []
        for parameter in self.listed:
            pattern = parameter.pattern
            if pattern is None:
                plain[parameter.name] = parameter
            else:
                numbered.append((pattern, parameter))
        object.__setattr__(self, "_plain", plain)
        object.__setattr__(self, "_numbered", tuple(numbered))
        object.__setattr__(self, "_kinds", {one.kind: one for one in reversed(self.listed)})

    def named(self, name: str) -> Parameter | None:
        """The parameter of this exact name, in this exact case."""
        found = self._plain.get(name)
        if found is not None:
            return found
        return next((parameter for pattern, parameter in self._numbered if pattern.fullmatch(name)), None)

    def of_kind(self, kind: Kind) -> Parameter | None:
        """The first parameter of a kind; `page` and `size` occur at most once."""
        return self._kinds.get(kind)

    def read(self, pairs: Pairs) -> Asked:
        """Read a query. Raises `RouteRefused`: parameter-unmapped, or path-ambiguous for a repeated parameter."""
        known = [(name, value, self._known(name)) for name, value in pairs]
        seen: set[str] = set()
        for name, _, parameter in known:
            if name in seen and not parameter.repeatable:
                raise RouteRefused(Reason.PATH_AMBIGUOUS, f"{name:.60}: given twice.")
            seen.add(name)
        sent = [(name, value) for name, value, parameter in known if _travels(parameter, name, value)]
        size = self.of_kind(Kind.SIZE)
        if size is not None and size.default and size.name not in dict(sent):
            sent.append((size.name, size.default))
        return Asked(
            sent=tuple(sent),
            page=next((value for _, value, parameter in known if parameter.kind is Kind.PAGE), ""),
            criteria=_criteria(known),
            compared=tuple(_compared(known)),
            touched=frozenset(_touched(known)),
            open_values=frozenset(
                value
                for _, value, parameter in known
                if not parameter.is_closed and parameter.kind not in {Kind.IGNORED, Kind.PAGE}
            ),
            ignored=tuple(
                (name, value) for name, value, parameter in known if parameter.kind is Kind.IGNORED
            ),
        )

    def _known(self, name: str) -> Parameter:
        parameter = self.named(name)
        if parameter is None:
            raise _unmapped(name, "not a parameter of this route.")
        return parameter


Known = list[tuple[str, str, Parameter]]


def _travels(parameter: Parameter, name: str, value: str) -> bool:
    """Whether a parameter goes upstream, after checking its value. Empty form fields mean nothing and stay behind."""
    match parameter.kind:
        case Kind.PAGE | Kind.IGNORED:
            return False
        case Kind.CRITERION if parameter.values and value not in parameter.values:
            raise _unmapped(name, f"want {', '.join(sorted(parameter.values))}.")
        case Kind.CRITERION:
            return True
        case _ if not value:
            return False
        case Kind.NAMES if value not in parameter.fields:
            raise _unmapped(name, "not a field that may be named here.")
        case Kind.CHOICE if value not in parameter.values:
            raise _unmapped(name, f"want one of {', '.join(sorted(parameter.values))}.")
        case Kind.SIZE if not _COUNT.fullmatch(value) or int(value) > parameter.maximum:
            raise _unmapped(name, f"want a number from 1 to {parameter.maximum}.")
        case _:
            return True


def _criteria(known: Known) -> dict[str, str]:
    """Search terms and sort keys by field, as the ledger keeps them."""
    found: dict[str, list[str]] = {}
    for name, value, parameter in known:
        match parameter.kind:
            case Kind.CRITERION:
                found.setdefault(parameter.fields[0], []).append(f"{parameter.operator} {value}".strip())
            case Kind.TEXT if value:
                found.setdefault(FREE_TEXT, []).append(value)
            case Kind.NAMES if value:
                found.setdefault(value, []).append(name)
            case _:
                pass
    return {key: "; ".join(texts) for key, texts in found.items()}


def _compared(known: Known) -> Iterator[tuple[str, str, str]]:
    for _, value, parameter in known:
        if value and parameter.kind is Kind.TEXT:
            yield FREE_TEXT, parameter.operator, value
        elif value and parameter.kind is Kind.CRITERION and not parameter.values:
            yield parameter.fields[0], parameter.operator, value


def _touched(known: Known) -> Iterator[str]:
    for _, value, parameter in known:
        match parameter.kind:
            case Kind.CRITERION:
                yield from parameter.fields
            case Kind.TEXT if value:
                yield from parameter.fields
            case Kind.NAMES if value:
                yield value
            case _:
                pass
