"""conflicts.yaml: the relations a force holds to be ties, what each does, and how sure matching must be.

Policies decide; this file says what a relation does by default and by provenance, which they read as `conflict_default`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from purposegate import documents
from purposegate.conflicts.names import Shares, load_shares
from purposegate.errors import Finding, PolicyError

SELF = "self"
HOUSEHOLD = "household"
NEIGHBOUR = "neighbour"
COLLEAGUE = "colleague"
EX_COLLEAGUE = "ex_colleague"

SELF_DECLARED = "self-declared"
DIRECTORY = "directory"
INTELLIGENCE = "intelligence"
DERIVED = "derived"
IMPORTABLE = frozenset({SELF_DECLARED, "vetting", "hr", DERIVED})
"""Provenances a register row may have. `directory` is what the staff directory itself says; `intelligence` is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One relation: its inverse, what it does, and for how many days after its stated end it still counts."""

    name: str
    label: str
    inverse: str
    does: str
    by_provenance: Mapping[str, str]
    counts_after_end_days: int
    acyclic: bool = False

    def default(self, provenance: str) -> str:
        """`refuse` or `flag`, for an entry of this provenance."""
        return self.by_provenance.get(provenance, self.does)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameBits:
    """Evidence in names. `exact` and `near` are added to the name's own rarity; the rest stand alone."""

    exact: float
    near: float
    far: float
    initial: float
    different: float
    swapped: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthBits:
    """Evidence in dates of birth."""

    exact: float
    swapped: float
    slip: float
    two_parts: float
    year_month: float
    year: float
    different: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBits:
    """Evidence in the parts of an address, and the most and least that they may add up to."""

    postcode: float
    postcode_near: float
    postcode_different: float
    number: float
    number_different: float
    street: float
    street_near: float
    street_different: float
    locality: float
    locality_near: float
    most: float
    least: float
    most_in_household: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How people are compared: all weights, in bits, and the thresholds of the two tiers."""

    version: int
    confirmed_bits: float
    candidate_bits: float
    colleague_more_bits: float
    name: NameBits
    birth: BirthBits
    address: AddressBits
    phone: float
    plate: float
    shares: Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class NearBy:
    """What makes somebody a neighbour. Every rule adds to the others, and each widened finds all that it found before.

    `numbers_within` counts house numbers on one street; `metres_within` is a neighbour beyond doubt, `metres_perhaps` a
    candidate; `postcode_units` is whether the same full United Kingdom postcode alone makes a candidate.
    """

    numbers_within: int
    metres_within: float = 0.0
    metres_perhaps: float = 0.0
    postcode_units: bool = False


NO_COMPOSITION: Mapping[str, Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """conflicts.yaml, loaded.

    `compose[one][next]` is what somebody's `one`'s `next` is to them; chains have at most `depth` entries.
    """

    by_name: Mapping[str, Relation]
    aliases: Mapping[str, str]
    near_by: NearBy
    matching: Matching
    compose: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: NO_COMPOSITION)
    depth: int = 1

    @property
    def names(self) -> frozenset[str]:
        """Every relation's name, as policies may accept it."""
        return frozenset(self.by_name)

    def known_as(self, word: str) -> Relation | None:
        """The relation of this name or alias."""
        return self.by_name.get(self.aliases.get(word, word))


def load(path: Path) -> Relations:
    """Read conflicts.yaml. Raises `PolicyError` with every fault found."""
    document = documents.read(path, "conflicts")
    faults = list(_faults(document)) or list(_compose_faults(document))
    if faults:
        raise PolicyError(faults)
    written = document.content["relations"]
    return Relations(
        by_name=MappingProxyType({str(name): _relation(str(name), body) for name, body in written.items()}),
        aliases=MappingProxyType(
            {str(word): str(name) for name, body in written.items() for word in body.get("also", ())}
        ),
        near_by=_near_by(document.content["neighbours"]),
        matching=_matching(document.content["matching"], path.parent),
        compose=_compose(document.content.get("compose", {}).get("steps", {})),
        depth=int(document.content.get("compose", {}).get("depth", 1)),
    )


def _compose(written: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    return MappingProxyType(
        {
            str(one): MappingProxyType({str(following): str(whole) for following, whole in row.items()})
            for one, row in written.items()
        }
    )


def _relation(name: str, body: Mapping[str, Any]) -> Relation:
    return Relation(
        name=name,
        label=str(body["label"]),
        inverse=str(body["inverse"]),
        does=str(body["does"]),
        by_provenance=MappingProxyType(
            {str(key): str(does) for key, does in body.get("by_provenance", {}).items()}
        ),
        counts_after_end_days=int(body.get("counts_after_end_days", 0)),
        acyclic=bool(body.get("acyclic", False)),
    )


def _near_by(body: Mapping[str, Any]) -> NearBy:
    return NearBy(
        numbers_within=int(body["numbers_within"]),
        metres_within=float(body.get("metres_within", 0)),
        metres_perhaps=float(body.get("metres_perhaps", 0)),
        postcode_units=bool(body.get("postcode_units", False)),
    )


def _numbers(body: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in body.items()}


def _matching(body: Mapping[str, Any], directory: Path) -> Matching:
    table = directory / str(body["shares"]) if "shares" in body else None
    return Matching(
        version=int(body["version"]),
        confirmed_bits=float(body["confirmed_bits"]),
        candidate_bits=float(body["candidate_bits"]),
        colleague_more_bits=float(body["colleague_more_bits"]),
        name=NameBits(**_numbers(body["name"])),
        birth=BirthBits(**_numbers(body["birth"])),
        address=AddressBits(**_numbers(body["address"])),
        phone=float(body["phone"]),
        plate=float(body["plate"]),
        shares=load_shares(float(body["rarest_name_bits"]), table),
    )


def _faults(document: documents.Document) -> Iterator[Finding]:
    """What no schema can say: inverses that exist and agree, aliases that mean one thing, thresholds in order."""
    written = document.content["relations"]
    seen: set[str] = set(map(str, written))
    for name, body in written.items():
        inverse = body["inverse"]
        if inverse not in written:
            yield document.finding(["relations", name, "inverse"], "the name of a relation in this file")
        elif written[inverse]["inverse"] != name:
            yield document.finding(["relations", name, "inverse"], f"a relation whose own inverse is {name}")
        for place, word in enumerate(body.get("also", ())):
            if word in seen:
                yield document.finding(
                    ["relations", name, "also", place], "a word used only once in this file"
                )
            seen.add(str(word))
    if written[SELF]["does"] != "refuse" or set(written[SELF].get("by_provenance", {}).values()) - {"refuse"}:
        yield document.finding(["relations", SELF, "does"], "refuse: self is accepted under no purpose")
    matching = document.content["matching"]
    if not matching["candidate_bits"] < matching["confirmed_bits"]:
        yield document.finding(["matching", "candidate_bits"], "fewer bits than confirmed_bits")


def _compose_faults(document: documents.Document) -> Iterator[Finding]:
    """Steps that lead from, over or to what is no relation here, and those whose mirror image says something else."""
    written, steps = document.content["relations"], document.content.get("compose", {}).get("steps", {})
    unknown = "the name of a relation in this file, other than self"
    for one, row in steps.items():
        for following, whole in row.items():
            place = ["compose", "steps", one, following]
            if SELF in {one, following, whole} or not {one, following, whole} <= set(written):
                yield document.finding(place, unknown)
                continue
            inverses = [written[word]["inverse"] for word in (one, following, whole)]
            mirrored = steps.get(inverses[1], {}).get(inverses[0], inverses[2])
            if mirrored != inverses[2]:
                expected = f"a relation whose inverse is {mirrored}, as the step read backwards says"
                yield document.finding(place, expected)
