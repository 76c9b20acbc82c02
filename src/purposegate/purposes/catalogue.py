"""The purpose catalogue: purposes.yaml, loaded, as the gate asks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from purposegate.errors import DeclarationRefused
from purposegate.exchange import Request
from purposegate.model import Declaration, Principal
from purposegate.purposes import declaration as wire
from purposegate.purposes import listing, loading
from purposegate.purposes.purpose import CataloguePurpose, ReferenceKind
from purposegate.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeCatalogue:
    """purposes.yaml, loaded; implements `protocols.Catalogue`.

    `purposes` holds the leaves by code, in the file's order; `parents` the inner codes with their labels; `roles`
    every role the force uses. `field` is the name of the header that carries declarations.
    """

    version: str
    field: str
    roles: Mapping[str, str]
    purposes: Mapping[str, CataloguePurpose]
    parents: Mapping[str, str]
    references: Mapping[str, ReferenceKind]

    @property
    def families(self) -> frozenset[str]:
        """Every code, parents and leaves: what policies may compare a purpose's family with."""
        return frozenset(self.purposes) | frozenset(self.parents)

    def declared(self, request: Request) -> Declaration:
        """The request's declaration, read strictly. Raises `DeclarationRefused`."""
        return wire.read(request.values(self.field.lower().encode("ascii")), field=self.field)

    def accept(self, declaration: Declaration) -> CataloguePurpose:
        """The purpose declared, if the declaration has all it requires.

        Raises `DeclarationRefused` with the reason of the first fault and a detail that names every one.
        """
        purpose = self.purposes.get(declaration.purpose)
        if purpose is None:
            raise DeclarationRefused(Reason.PURPOSE_UNKNOWN, self._instead_of(declaration.purpose))
        faults = tuple(purpose.faults(declaration))
        if faults:
            sentences = [sentence for _, sentence in faults]
            raise DeclarationRefused(faults[0][0], " ".join(sentences), faults=sentences)
        return purpose

    def named(self, code: str) -> CataloguePurpose | None:
        """The purpose of this code, or None where none can be declared by it."""
        return self.purposes.get(code)

    def open_to(self, principal: Principal) -> tuple[CataloguePurpose, ...]:
        """What this principal could declare, in the catalogue's order."""
        return tuple(purpose for purpose in self.purposes.values() if purpose.entitles(principal))

    def offered(self, principal: Principal) -> list[dict[str, Any]]:
        """The same as JSON-able maps, each with what it requires and a line to copy."""
        return listing.offered(self.purposes.values(), principal, field=self.field)

    def kind_of(self, ref: str) -> str:
        """Which kind a reference is by its form, or "" where it has none."""
        return next((name for name, kind in self.references.items() if kind.matches(ref)), "")

    def _instead_of(self, code: str) -> str:
        if code not in self.parents:
            return "No such purpose; use one of the codes listed, written exactly so."
        under = [leaf for leaf, purpose in self.purposes.items() if code in purpose.family]
        return f"Too wide to be declared; choose one under it: {', '.join(under)}."


def load(path: Path, *, field: str = wire.DEFAULT_FIELD) -> PurposeCatalogue:
    """Read purposes.yaml.

    Raises `PolicyError` with every fault of the file, or `SettingsError` for a header name that cannot carry it.
    """
    checked = wire.check_field_name(field)
    content = loading.read(path)
    references = loading.references(content)
    return PurposeCatalogue(
        version=str(content["version"]),
        field=checked,
        roles=MappingProxyType({str(role): str(label) for role, label in content["roles"].items()}),
        purposes=MappingProxyType(
            {purpose.code: purpose for purpose in loading.purposes(content, references)}
        ),
        parents=MappingProxyType(loading.parents(content)),
        references=MappingProxyType(references),
    )
