"""`purposegate pdp`: which Cerbos, which policies, whether it is fit, and how to get what is missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import click

from purposegate import settings as settings_file
from purposegate.decision import ManagedDecider, RemoteDecider, Tls, stamp
from purposegate.decision import binary as binaries
from purposegate.decision import bundle as bundles
from purposegate.decision.serving import UNVERIFIED
from purposegate.errors import PdpOutage, PolicyError
from purposegate.settings import PdpSettings

_DEFAULT_SETTINGS = Path("purposegate.yaml")
_DEFAULT_POLICIES = Path("policies/cerbos")
_PROVING_S = 5.0
"""Nobody's lookup waits for this command."""


def _report(what: str, ask: Callable[[], str]) -> bool:
    """Print one line, or what is wrong and the way forward; whether it was well."""
    try:
        click.echo(f"{what + ':':10}{ask()}")
    except PolicyError as error:
        click.echo(f"{what + ':':10}not in order\n{error}\n{error.remedy}")
    except PdpOutage as error:
        click.echo(f"{what + ':':10}{error.detail}")
    else:
        return True
    return False


def _binary(pdp: PdpSettings | None, explicit: Path | None, project: Path) -> str:
    chosen = explicit or (pdp.binary if pdp is not None else None)
    found = binaries.find(chosen, project)
    return f"{found.path} ({found.version}; 0.55 or newer is needed)"


def _policies(directory: Path) -> str:
    bundle = bundles.read(directory)
    ids = "read" if bundle.reads_record_ids else "not read"
    return f"{directory} sha256 {bundle.digest} ({len(bundle.files)} files, record ids {ids})"


async def _prove(decider: ManagedDecider | RemoteDecider) -> str:
    try:
        await decider.start()
        version, digest = decider.version, decider.digest
    finally:
        await decider.aclose()
    told = "the policies are not served under their digest" if digest == UNVERIFIED else f"sha256 {digest}"
    return f"Cerbos {version} answers every canary rightly; {told}"


def _tls(pdp: PdpSettings) -> Tls | None:
    return None if pdp.tls is None else Tls(**pdp.tls)


def _decider(
    pdp: PdpSettings | None, policies: Path, explicit: Path | None, project: Path
) -> ManagedDecider | RemoteDecider:
    if pdp is not None and pdp.address:
        return RemoteDecider(pdp.address, policies_dir=policies, tls=_tls(pdp), deadline_s=_PROVING_S)
    binary = explicit or (pdp.binary if pdp is not None else None)
    return ManagedDecider(policies, binary=binary, project=project, deadline_s=_PROVING_S)


@click.command()
@click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="purposegate.yaml; the one in this directory unless named.",
)
@click.option(
    "--policies",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory of Cerbos policies; as the settings say unless named.",
)
@click.option(
    "--binary",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PURPOSEGATE_CERBOS",
    show_envvar=True,
    help="The Cerbos binary to use.",
)
@click.option(
    "--stamp",
    "stamp_into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the policies, with the canaries, as a remote Cerbos must serve them.",
)
def pdp(
    settings_path: Path | None, policies: Path | None, binary: Path | None, stamp_into: Path | None
) -> None:
    """Say which Cerbos and which policies would decide, prove it fit, and name what is missing.

    Exit 0: fit. 1: something is missing or wrong.
    """
    if settings_path is None and policies is None and _DEFAULT_SETTINGS.is_file():
        settings_path = _DEFAULT_SETTINGS
    settings = None if settings_path is None else settings_file.load(settings_path)
    chosen = None if settings is None else settings.pdp
    if policies is None:
        policies = _DEFAULT_POLICIES if settings is None else settings.policies / "cerbos"
    project = policies if settings is None else settings.path.parent
    remote = chosen is not None and bool(chosen.address)
    well = [remote or _report("binary", lambda: _binary(chosen, binary, project))]
    well.append(_report("policies", lambda: _policies(policies)))
    if all(well):
        well.append(
            _report("proof", lambda: asyncio.run(_prove(_decider(chosen, policies, binary, project))))
        )
    if stamp_into is not None and well[1]:
        stamp.write(bundles.read(policies), stamp_into)
        click.echo(f"{'stamped:':10}{stamp_into}")
    if not all(well):
        raise SystemExit(1)
