"""What the laws on logging want to know of a lookup, and where an entry answers it. Pure.

Each profile is data: its mandatory fields, where in an entry each is answered, and what must hold in the purpose catalogue
and the settings so that the answer is never empty. A profile is a reading of the law for engineers, never legal advice:
docs/legal.md names the sources and what was not established.

Mandatory is what a *released* lookup must answer: one that was refused consulted nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol


class Need(StrEnum):
    """What must hold so that a field is never empty."""

    ENFORCED = "enforced"
    RECORDED = "recorded"
    REASON = "reason"
    NCIC = "ncic"
    ORI = "ori"
    RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalField:
    """One thing that a law wants to know. The first of `where` that says something answers it.

    `where` are paths into an entry: `leaf.<key>`, or a field's name and, behind dots, keys within it. `operations` are
    those that the law asks it of; none means every one.
    """

    name: str
    where: tuple[str, ...]
    source: str
    operations: frozenset[str] = frozenset()
    needs: frozenset[Need] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One law's wishes."""

    name: str
    title: str
    fields: tuple[LegalField, ...]


class Purpose(Protocol):
    """What a profile asks of one purpose of the catalogue."""

    @property
    def code(self) -> str:
        """Its dotted code."""
        ...

    @property
    def family(self) -> tuple[str, ...]:
        """The code's ancestors and itself."""
        ...

    @property
    def reason_required(self) -> bool:
        """Whether a declaration must give a reason."""
        ...

    @property
    def recipient(self) -> str:
        """`required`, `optional` or `none`."""
        ...

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """Its terms in other vocabularies."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the settings say that bears on the record. `monitored` are record kinds that are only watched."""

    ori: str = ""
    monitored: tuple[str, ...] = ()
    passes_unrecorded: bool = False


class Shortfall(NamedTuple):
    """A mandatory field that could be empty: of which profile, under which purpose (empty: the settings), and the remedy."""

    regime: str
    field: str
    purpose: str
    need: Need
    remedy: str


class Told(NamedTuple):
    """One entry, read: the leaf's keys and the payload's fields."""

    leaf: Mapping[str, Any]
    fields: Mapping[str, Any]


CONSULTATION, DISCLOSURE, ALTERATION, ERASURE = "consultation", "disclosure", "alteration", "erasure"
_SEEN = frozenset({CONSULTATION, DISCLOSURE})
_OF_KIND: Mapping[str, tuple[str, ...]] = MappingProxyType({"reading": (CONSULTATION,), "erase": (ERASURE,)})
"""Operations on the log's own payloads, by the kind of the entry that records them."""

DECLARED = frozenset({Need.ENFORCED, Need.RECORDED})
"""What every answer out of a declaration rests on: that nothing is released without one, nor without an entry."""

OPERATION = "legal.operations"


def _europe(
    law: str, consulted: str, disclosed: str, *, justified: bool, listed: str
) -> tuple[LegalField, ...]:
    """The fields of Directive (EU) 2016/680 Article 25 and of what transposes it."""
    both = f"{law} {', '.join(dict.fromkeys((consulted, disclosed)))}"
    reason = LegalField(
        name="justification",
        where=("reason",),
        source=both,
        operations=_SEEN,
        needs=DECLARED | {Need.REASON},
    )
    return (
        LegalField(name="operation", where=(OPERATION,), source=f"{law} {listed}", needs=DECLARED),
        LegalField(
            name="date and time",
            where=("leaf.t",),
            source=both,
            operations=_SEEN,
            needs=frozenset({Need.RECORDED}),
        ),
        *((reason,) if justified else ()),
        LegalField(
            name="person who consulted or disclosed",
            where=("principal",),
            source=both,
            operations=_SEEN,
            needs=frozenset({Need.RECORDED}),
        ),
        LegalField(
            name="recipients",
            where=("recipient",),
            source=f"{law} {disclosed}",
            operations=frozenset({DISCLOSURE}),
            needs=DECLARED | {Need.RECIPIENT},
        ),
    )


_CJIS = "CJIS Security Policy AU-3"
_III = "NCIC/III operating manual"

_ALL = (
    Regime(
        name="eu-led",
        title="Directive (EU) 2016/680, Article 25",
        fields=_europe("Article", "25(1)", "25(1)", justified=True, listed="25(1)"),
    ),
    Regime(
        name="uk-dpa",
        title="Data Protection Act 2018, section 62, as enacted",
        fields=_europe("section", "62(2)", "62(3)", justified=True, listed="62(1)"),
    ),
    Regime(
        name="uk-duaa",
        title="Data Protection Act 2018, section 62, as the Data (Use and Access) Act 2025, section 82, is reported to amend it",
        fields=_europe("section", "62(2)", "62(3)", justified=False, listed="62(1)"),
    ),
    Regime(
        name="us-cjis",
        title="FBI CJIS Security Policy, event content; NCIC and III transaction logs",
        fields=(
            LegalField(name="type of event", where=(OPERATION,), source=_CJIS, needs=DECLARED),
            LegalField(name="date and time", where=("leaf.t",), source=_CJIS, needs=frozenset({Need.RECORDED})),
            LegalField(
                name="location of the event", where=("route", "target"), source=_CJIS, needs=frozenset({Need.RECORDED})
            ),
            LegalField(name="source address", where=("peer",), source=_CJIS, needs=frozenset({Need.RECORDED})),
            LegalField(name="outcome", where=("leaf.d",), source=_CJIS, needs=frozenset({Need.RECORDED})),
            LegalField(name="operator", where=("principal",), source=_CJIS, needs=frozenset({Need.RECORDED})),
            LegalField(
                name="object", where=("records", "criteria", "target"), source=_CJIS, needs=frozenset({Need.RECORDED})
            ),
            LegalField(name="purpose code", where=("legal.ncic",), source=_III, needs=DECLARED | {Need.NCIC}),
            LegalField(name="agency (ORI)", where=("legal.ori",), source=_III, needs=DECLARED | {Need.ORI}),
            LegalField(
                name="attention (requestor)", where=("originator", "principal"), source=_III, needs=frozenset({Need.RECORDED})
            ),
            LegalField(
                name="secondary recipient",
                where=("recipient",),
                source=_III,
                operations=frozenset({DISCLOSURE}),
                needs=DECLARED | {Need.RECIPIENT},
            ),
        ),
    ),
)  # fmt: skip

REGIMES: Mapping[str, Regime] = MappingProxyType({regime.name: regime for regime in _ALL})
"""Every profile by the name that settings claim it by."""


def operations(told: Told) -> tuple[str, ...]:
    """Which of the law's operations an entry records; none where nothing was asked of a record."""
    said = _at(told, OPERATION)
    return tuple(said) if said else _OF_KIND.get(str(told.leaf.get("k")), ())


def answers(regime: Regime, told: Told) -> dict[str, Any]:
    """What an entry says to each mandatory field of the profile, None where it says nothing. By the field's name."""
    done = frozenset(operations(told))
    return {
        field.name: done or None if field.where == (OPERATION,) else _first(field, told)
        for field in regime.fields
        if not field.operations or field.operations & done
    }


def missing(regime: Regime, told: Told) -> list[str]:
    """The mandatory fields that a released entry leaves unanswered; none for one that released nothing."""
    if told.leaf.get("d") != "released":
        return []
    return [name for name, value in answers(regime, told).items() if not value]


def _first(field: LegalField, told: Told) -> Any:
    return next((found for path in field.where if (found := _at(told, path))), None)


def _at(told: Told, path: str) -> Any:
    first, *keys = path.split(".")
    node: Any = told.leaf if first == "leaf" else told.fields.get(first)
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


DISCLOSING = ("disclose", "PartnerDisclosure")
"""The family, and the term of `dpv-extension`, by which a purpose is known to be there for passing records on."""


def discloses(purpose: Purpose) -> bool:
    """Whether a purpose exists for disclosure, so that each lookup under it has a recipient."""
    family, term = DISCLOSING
    return family in purpose.family or term in purpose.aliases.get("dpv-extension", ())


def shortfalls(claimed: Sequence[str], purposes: Iterable[Purpose], claims: Claims) -> Iterator[Shortfall]:
    """Every mandatory field of the profiles claimed that could be empty under this catalogue and these settings.

    What the policies let out is not asked here: an export whose recipient nobody names is the caller's to find.
    """
    listed = tuple(purposes)
    for regime in (REGIMES[name] for name in claimed):
        for field in regime.fields:
            for need in sorted(field.needs):
                yield from _of_settings(regime, field, need, claims)
                for purpose in listed:
                    remedy = _of_purpose(purpose, need)
                    if remedy:
                        yield Shortfall(regime.name, field.name, purpose.code, need, remedy)


def _of_settings(regime: Regime, field: LegalField, need: Need, claims: Claims) -> Iterator[Shortfall]:
    kinds = ", ".join(claims.monitored)
    for broken, wanted, remedy in (
        (
            Need.ENFORCED,
            bool(claims.monitored),
            f"no kind in monitor mode ({kinds}): it releases what nobody declared a purpose for",
        ),
        (Need.RECORDED, claims.passes_unrecorded, "`refuse`: with `pass` lookups go on while nothing records them"),
        (Need.ORI, not claims.ori, "the agency's originating identifier, `agency.ori`"),
    ):  # fmt: skip
        if need is broken and wanted:
            yield Shortfall(regime.name, field.name, "", need, remedy)


def _of_purpose(purpose: Purpose, need: Need) -> str:
    """What the purpose lacks for this need; empty where it lacks nothing."""
    match need:
        case Need.REASON if not purpose.reason_required:
            return "`reason: {required: true}`"
        case Need.NCIC if not purpose.aliases.get("ncic"):
            return "an alias in the vocabulary `ncic`"
        case Need.RECIPIENT if discloses(purpose) and purpose.recipient != "required":
            return "`recipient: required`, as the purpose is there to disclose"
        case _:
            return ""
