"""`purposegate ledger witness`: run a witness for other people's ledgers, make its key, show what it has seen."""

import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from purposegate.errors import EvidenceMalformed, PurposegateError, SettingsError
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.keys import require_private, write_private
from purposegate.ledger.policy import Policy
from purposegate.ledger.spelling import base64_text
from purposegate.ledger.witness import Witness, witness_app
from purposegate.ledger.witness_store import WitnessStore, read_state

DEFAULT_LISTEN = "127.0.0.1:8470"
_MAX_CONCURRENT = 64
"""Requests at once: each is a packet or two and one disk write, so more are held up, not served faster."""
_GRACE_S = 5
_CANNOT = 2

_FILE = click.Path(dir_okay=False, path_type=Path)


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    host, found, port = value.rpartition(":")
    if not found or not host or not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise click.BadParameter("want <host>:<port>")
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@click.option("--key", "key_file", required=True, type=_FILE, help="The witness's key; mode 0600.")
@click.option(
    "--state", "state_file", required=True, type=_FILE, help="What it remembers: never restore an old copy."
)
@click.option(
    "--policy", "policy_file", type=_FILE, help="The logs to witness: `log <vkey>` lines, `quorum none`."
)
@click.option(
    "--listen", default=DEFAULT_LISTEN, show_default=True, callback=_address, help="Where to serve HTTP."
)
@click.option("--new-key", metavar="NAME", help="Make key and state for a witness of this name, then stop.")
@click.option("--show", is_flag=True, help="Print the heads cosigned and those refused, then stop.")
def witness(
    *,
    key_file: Path,
    state_file: Path,
    policy_file: Path | None,
    listen: tuple[str, int],
    new_key: str | None,
    show: bool,
) -> None:
    """Cosign heads of ledgers that only grow (c2sp.org/tlog-witness), for the sake of those who must trust them.

    Run it on a machine, and by people, that the ledger's own administrators have no hold on. Begin with
    `--new-key witness.example.org/name`; it prints the line that goes into everybody's policy file.
    """
    try:
        if new_key is not None:
            click.echo(f"witness {new_key.rsplit('/', 1)[-1]} {_make(new_key, key_file, state_file)}")
        elif show:
            _show(state_file)
        elif policy_file is None:
            raise click.UsageError("want --policy, with a `log` line for each ledger to witness")
        else:
            _serve(_signer(key_file), state_file, policy_file, *listen)
    except PurposegateError as error:
        click.echo(f"{error}\n{error.remedy}", err=True)
        sys.exit(_CANNOT)  # in the group `ledger` 1 says that evidence was tampered with


def _make(name: str, key_file: Path, state_file: Path) -> str:
    try:
        signer = WitnessSigner.generate(name)
    except EvidenceMalformed as error:
        raise click.BadParameter(str(error), param_hint="--new-key") from error
    try:
        write_private(key_file, signer.secret_text() + "\n")
    except FileExistsError as error:
        raise SettingsError(f"{key_file}: there is a key already; nothing was changed") from error
    except OSError as error:
        raise SettingsError(f"{key_file}: cannot be written: {error.strerror}") from error
    try:
        WitnessStore.create(state_file, vkey=str(signer.verifier))
    except BaseException:
        key_file.unlink()  # a key without its memory is of no use, and would stand in the way of the next try
        raise
    return str(signer.verifier)


def _signer(key_file: Path) -> WitnessSigner:
    try:
        require_private(key_file)
        return WitnessSigner.parse(key_file.read_text(encoding="ascii").removesuffix("\n"))
    except (OSError, UnicodeDecodeError, EvidenceMalformed) as error:
        raise SettingsError(
            f"{key_file}: cannot be read as a witness's key; make one with --new-key"
        ) from error


def _serve(signer: WitnessSigner, state_file: Path, policy_file: Path, host: str, port: int) -> None:
    try:
        import uvicorn  # noqa: PLC0415 - only who serves needs a server
    except ImportError as error:
        raise SettingsError("a witness needs an HTTP server: pip install 'purposegate[serve]'") from error
    try:
        policy = Policy.parse(policy_file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{policy_file}: cannot be read: {error.strerror}") from error
    except EvidenceMalformed as error:
        raise SettingsError(f"{policy_file}: {error}") from error
    logs = [log.key for log in policy.logs]
    if not logs:
        raise SettingsError(
            f"{policy_file}: names no log; add a line `log <vkey>` for each ledger to witness"
        )
    store = WitnessStore(state_file, vkey=str(signer.verifier), origins=[key.name for key in logs])
    try:
        with _listening(host, port) as listening:
            address = f"[{host}]" if ":" in host else host
            port = listening.getsockname()[1]
            click.echo(f"{signer.name} witnesses {len(logs)} logs on http://{address}:{port}", err=True)
            config = uvicorn.Config(
                witness_app(Witness(signer, logs, store, time.time)),
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="off",
                limit_concurrency=_MAX_CONCURRENT,
                timeout_graceful_shutdown=_GRACE_S,
            )
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        store.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(f"--listen {host}:{port}: cannot be served: {error.strerror}") from error


def _show(state_file: Path) -> None:
    vkey, seen, refused = read_state(state_file)
    click.echo(f"witness {vkey}")
    for origin, head in seen.items():
        when = datetime.fromtimestamp(head.cosigned_at_s, UTC).isoformat() if head.note else "never"
        click.echo(f"{origin} size {head.size} root {base64_text(head.root)} cosigned {when}")
    for origin, each in refused:
        when = datetime.fromtimestamp(each.at_s, UTC).isoformat()
        click.echo(
            f"\nREFUSED {each.kind} by {origin} at {when}, offered:\n{each.note.decode()}cosigned before:\n{each.seen.decode()}"
        )
