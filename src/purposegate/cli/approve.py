"""`purposegate approve`: the gate's pages for approvals, hand-overs, countersigns and reviews, from a terminal. JSON out.

Every command is one HTTP request with the person's own token: who decides is proved to the gate as for a lookup, and there is
one place that decides.
"""

import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

from purposegate.errors import PurposegateError, SettingsError

TOKEN = click.Path(exists=True, dir_okay=False, path_type=Path)
PREFIX = "/.purposegate"
TIMEOUT_S = 30.0
HTTP_ERRORS = 400


class GateRefused(PurposegateError):
    """The gate did not do what it was asked; the message is its own."""

    remedy = "Mend what the gate names, and ask again."


@dataclass(frozen=True, slots=True)
class Door:
    """Where the gate is and who asks it; opened with the request, so that `--help` of a command needs neither."""

    gate: str | None
    token_file: Path | None
    ca: Path | None

    def open(self) -> httpx.Client:
        """A client of this gate with the person's token. Raises `click.UsageError`, `SettingsError`."""
        if self.gate is None or self.token_file is None:
            raise click.UsageError("want --gate and --token-file, before the command's name")
        return _client(self.gate, self.token_file, self.ca)


@click.group()
@click.option("--gate", help="The gate's address, such as https://records.force.example.  [required]")
@click.option("--token-file", type=TOKEN, help="A file that holds your access token.  [required]")
@click.option("--ca", type=TOKEN, help="PEM file of the authorities that the gate is known by.")
@click.pass_context
def approve(ctx: click.Context, gate: str | None, token_file: Path | None, ca: Path | None) -> None:
    """Ask for approvals, decide about others', hand tasks over, countersign, and review broken glass."""
    ctx.obj = Door(gate, token_file, ca)


def _client(gate: str, token_file: Path, ca: Path | None) -> httpx.Client:
    url = httpx.URL(gate)
    if url.scheme != "https" and not (url.scheme == "http" and url.host in ("127.0.0.1", "localhost", "::1")):
        raise SettingsError("--gate: want an https address; a token is not sent in clear")
    token = token_file.read_text(encoding="ascii").strip()
    verify = ssl.create_default_context(cafile=str(ca)) if ca else True
    headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
    return httpx.Client(
        base_url=url, headers=headers, timeout=TIMEOUT_S, verify=verify, follow_redirects=False
    )


def _send(door: Door, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Send one request and print its answer. Raises `GateRefused` with what the gate said."""
    try:
        with door.open() as client:
            answer = client.request(method, PREFIX + path, json=body)
        said = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise GateRefused(f"the gate gave no answer that can be read ({type(error).__name__})") from error
    if answer.status_code >= HTTP_ERRORS:
        detail = said.get("detail", "") if isinstance(said, dict) else ""
        raise GateRefused(f"{answer.status_code}: {detail or 'refused'}")
    json.dump(said, sys.stdout, indent=2, ensure_ascii=False)
    click.echo()


def _declared(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--recipient", default="", help="To whom it goes, if to another."),
        click.option("--originator", default="", help="On whose behalf, if on another's."),
        click.option("--reason", default="", help="Why, in your own words."),
        click.option("--ref", default="", help="The reference."),
        click.option("--purpose", required=True, help="A purpose of the catalogue."),
    ):
        command = option(command)
    return command


@approve.command()
@click.argument("record")
@_declared
@click.option("--action", default="view", type=click.Choice(["view", "edit", "export"]), show_default=True)
@click.pass_obj
def ask(door: Door, /, record: str, **declared: str) -> None:
    """Ask for an approval of one lookup of RECORD, as <kind>/<id>."""
    kind, slash, name = record.partition("/")
    if not (kind and slash and name):
        raise click.UsageError("RECORD: want <kind>/<id>, such as person/rec-17-org")
    _send(door, "POST", "/approvals", {"record": {"kind": kind, "id": name}, **declared})


@approve.command("list")
@click.argument(
    "what", type=click.Choice(["approvals", "hand-overs", "countersigns", "reviews"]), default="approvals"
)
@click.pass_obj
def list_(door: Door, what: str) -> None:
    """What is yours and what waits for you."""
    _send(door, "GET", f"/{what}")


@approve.command()
@click.argument("matter", type=click.UUID)
@click.argument("verdict", type=click.Choice(["approve", "refuse"]))
@click.option("--note", default="", help="Why, for whoever reads the evidence.")
@click.pass_obj
def decide(door: Door, matter: object, verdict: str, note: str) -> None:
    """Approve or refuse somebody's request."""
    _send(door, "POST", f"/approvals/{matter}", {"verdict": verdict, "note": note})


@approve.command("hand-over")
@click.argument("colleague")
@click.option("--purpose", required=True, help="A purpose of the catalogue.")
@click.option("--ref", required=True, help="The reference.")
@click.pass_obj
def hand_over(door: Door, colleague: str, purpose: str, ref: str) -> None:
    """Hand a reference to COLLEAGUE. The record is never named."""
    _send(door, "POST", "/hand-overs", {"to": colleague, "purpose": purpose, "ref": ref})


@approve.command()
@click.argument("matter", type=click.UUID)
@click.argument("step", type=click.Choice(["taken", "returned", "done"]))
@click.pass_obj
def task(door: Door, matter: object, step: str) -> None:
    """Take a task that was handed to you, return it, or end it."""
    _send(door, "POST", f"/hand-overs/{matter}", {"step": step})


@approve.command()
@click.argument("matter", type=click.UUID)
@click.argument("verdict", type=click.Choice(["confirm", "deny", "end"]))
@click.option("--note", default="", help="What you know of it.")
@click.pass_obj
def countersign(door: Door, matter: object, verdict: str, note: str) -> None:
    """Say whether you asked for a lookup, or end what you confirmed ahead."""
    _send(door, "POST", f"/countersigns/{matter}", {"verdict": verdict, "note": note})


@approve.command()
@click.argument("principal")
@click.option("--ref", required=True, help="The reference.")
@click.pass_obj
def ahead(door: Door, principal: str, ref: str) -> None:
    """Confirm for some weeks what PRINCIPAL looks up for one reference on your behalf."""
    _send(door, "POST", "/countersigns", {"principal": principal, "ref": ref})


@approve.command()
@click.argument("matter", type=click.UUID)
@click.argument("verdict", type=click.Choice(["proper", "improper", "unclear"]))
@click.option("--note", default="", help="What you found.")
@click.pass_obj
def review(door: Door, matter: object, verdict: str, note: str) -> None:
    """Say whether glass was broken properly."""
    _send(door, "POST", f"/reviews/{matter}", {"verdict": verdict, "note": note})
