"""`purposegate check`: whether every policy file is in order, by itself and with the others."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

from purposegate import documents
from purposegate import settings as settings_file
from purposegate.cli import _agreement, _legal
from purposegate.conflicts import relations
from purposegate.conflicts.relations import Relations
from purposegate.decision import compile as compiler
from purposegate.decision import lint
from purposegate.decision.bundle import Bundle
from purposegate.decision.bundle import read as read_bundle
from purposegate.errors import Finding, PolicyError
from purposegate.facts import bands
from purposegate.facts.bands import Bands
from purposegate.purposes import catalogue
from purposegate.purposes.catalogue import PurposeCatalogue
from purposegate.records import mapping
from purposegate.records.mapping import Mapping as Routes
from purposegate.settings import Settings

T = TypeVar("T")

CERBOS = "cerbos"
"""The directory of Cerbos policies below the policies directory."""


@dataclass(slots=True)
class Checked:
    """What was read, and every fault found on the way; what could not be read is None."""

    catalogue: PurposeCatalogue | None = None
    routes: Routes | None = None
    relations: Relations | None = None
    bands: Bands | None = None
    bundle: Bundle | None = None
    faults: list[Finding] = field(default_factory=list)

    def read(self, load: Callable[[Path], T], path: Path) -> T | None:
        """Load one file, keeping its faults."""
        try:
            return load(path)
        except PolicyError as error:
            self.faults += error.findings
            return None


def examine(policies: Path) -> Checked:
    """Read and check everything below a policies directory, but for what only Cerbos' own compiler can say."""
    done = Checked()
    done.catalogue = done.read(catalogue.load, policies / "purposes.yaml")
    done.routes = done.read(mapping.load, policies / "records.yaml")
    done.relations = done.read(relations.load, policies / "conflicts.yaml")
    done.bands = done.read(bands.load, policies / "facts.yaml")
    done.faults += _unknown_roles(done, policies / "facts.yaml")
    done.faults += _unknown_fields(done, policies / "purposes.yaml")
    done.bundle = done.read(read_bundle, policies / CERBOS)
    if done.bundle is not None:
        done.faults += lint.findings(policies / CERBOS)
        done.faults += _disagreements(done, policies)
    return done


def _unknown_roles(done: Checked, facts: Path) -> list[Finding]:
    """Roles with a breadth of their own that the catalogue does not know: nobody would have it."""
    if done.catalogue is None or done.bands is None:
        return []
    unknown = sorted(done.bands.breadth.roles.keys() - done.catalogue.roles.keys())
    document = documents.parse(facts)
    return [document.finding(["breadth", "roles", role], "a role of purposes.yaml") for role in unknown]


def _unknown_fields(done: Checked, purposes: Path) -> list[Finding]:
    """Fields that a purpose opens and that its record kind does not have: what was meant would stay masked."""
    if done.catalogue is None or done.routes is None:
        return []
    document, found = documents.parse(purposes), []
    for code, purpose in done.catalogue.purposes.items():
        keys = [key for part in code.split(".") for key in ("purposes", part)]
        for kind, words in purpose.opens.items():
            known = done.routes.mask_words(kind) if kind in done.routes.kinds else words or frozenset()
            if words is not None and not words <= known:
                expected = f"columns or masks of {kind} in records.yaml: {', '.join(sorted(known))}"
                found.append(document.finding([*keys, "opens", kind], expected))
    return found


def _disagreements(done: Checked, policies: Path) -> list[Finding]:
    """Faults between files, once each of them can be read."""
    if done.catalogue is None or done.routes is None or done.relations is None:
        return []
    known = _agreement.Words(
        purposes=frozenset(done.catalogue.purposes),
        families=done.catalogue.families,
        roles=frozenset(done.catalogue.roles),
        relations=done.relations.names,
        masks={kind: done.routes.mask_words(kind) for kind in done.routes.kinds},
    )
    try:
        records = documents.parse(policies / "records.yaml")
        return _agreement.findings(policies / CERBOS, known, records)
    except PolicyError as error:
        return list(error.findings)


def _summary(done: Checked) -> Iterator[str]:
    if done.catalogue and done.routes and done.relations and done.bundle:
        yield f"purposes   {len(done.catalogue.purposes)} (version {done.catalogue.version})"
        yield f"roles      {len(done.catalogue.roles)}"
        yield f"kinds      {', '.join(done.routes.kinds)}"
        yield f"relations  {len(done.relations.names)}"
        yield f"rules      {len(done.bundle.allow_rules)} allow, in {len(done.bundle.files)} Cerbos files"
        yield f"digest     {done.bundle.digest}"


@click.command()
@click.argument("policies", type=click.Path(path_type=Path), default=None, required=False)
@click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="purposegate.yaml: checked too, with the logging laws that its `regime` claims.",
)
@click.option(
    "--cerbos",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    envvar="PURPOSEGATE_CERBOS",
    help="The Cerbos binary to compile with; else the one that `purposegate pdp` finds.",
)
def check(policies: Path | None, settings_path: Path | None, cerbos: Path | None) -> None:
    """Check every policy file, by itself and with the others.

    POLICIES is the directory of purposes.yaml, records.yaml, conflicts.yaml, facts.yaml and cerbos/; left out, it is the
    one that the settings name, else `policies`. Each fault is one line, `file:line: key: what was expected`, and the exit
    code is 1. Nothing is changed.
    """
    chosen = _settings(settings_path)
    policies = policies or (chosen.policies if chosen else Path("policies"))
    done = examine(policies)
    if chosen is not None:
        done.faults += _legal.findings(chosen, policies, done.catalogue)
    faults = set(_printed(done.faults))
    if done.bundle is not None:
        # Last, because where there is no fit Cerbos this raises: what was found by then is on the screen.
        faults |= set(_printed(compiler.findings(policies / CERBOS, binary=cerbos)))
    if faults:
        click.echo(f"{len(faults)} fault(s)", err=True)
        sys.exit(1)
    for line in _summary(done):
        click.echo(line)


def _settings(path: Path | None) -> Settings | None:
    """The settings, if a file is named. What is wrong with it is printed, and ends the check."""
    if path is None:
        return None
    try:
        return settings_file.load(path)
    except PolicyError as error:
        sys.exit(1 if list(_printed(error.findings)) else 0)


def _printed(faults: Iterable[Finding]) -> Iterator[Finding]:
    """Each fault once, printed."""
    for fault in dict.fromkeys(faults):
        click.echo(str(fault))
        yield fault
