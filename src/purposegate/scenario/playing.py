"""Playing a story through the real gate: each lookup over HTTP, at its moment, with the feeds as they stood then."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import httpx

from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.errors import PurposegateError
from purposegate.facts import ForceFacts
from purposegate.gate import Gate, Parts
from purposegate.model import CountKey, Entry, EntryKind, Obligation, Receipt
from purposegate.protocols import Ledger
from purposegate.purposes.declaration import value as written
from purposegate.reasons import Reason
from purposegate.scenario.clock import SimulatedClock
from purposegate.scenario.story import Asking
from purposegate.scenario.world import World

HEADER = "Access-Purpose"
OK = 200


class StoryFault(PurposegateError):
    """A lookup of the story ended in an outage or found no record: that says nothing of any policy."""

    remedy = "Mend the scenario: a record that a lookup names must be there, and the feeds must say what the policies read."


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of one lookup.

    `outcome` is released, asked (released once more was said), approval (only with somebody else's), withheld (not in the
    answer), or refused. `entries` are the lookup's own, the last one deciding. `answer` is what the person saw of it.
    """

    asking: Asking
    outcome: str
    status: int
    entries: tuple[Entry, ...]
    answer: str

    @property
    def entry(self) -> Entry:
        """The entry that decided."""
        return self.entries[-1]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason that held, the decisive ones last."""
        return tuple(dict.fromkeys(one for entry in self.entries for one in entry.fields["reasons"]))

    @property
    def is_stopped(self) -> bool:
        """Refused, withheld from the answer, or released only with somebody else's approval."""
        return self.outcome in {"approval", "withheld", "refused"}


class NotingLedger:
    """The real ledger, and what became durable in it since it was last asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._noted: list[Entry] = []

    async def append(self, entry: Entry) -> Receipt:
        """Append for real, then note."""
        receipt = await self._ledger.append(entry)
        self._noted.append(entry)
        return receipt

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """Ask the real ledger."""
        return await self._ledger.counts(keys)

    def take(self) -> list[Entry]:
        """The entries of lookups noted since the last call."""
        noted, self._noted = self._noted, []
        return [entry for entry in noted if "principal" in entry.fields]


class _Noting(AbstractAsyncContextManager[Parts]):
    """An application whose ledger is noted."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.ledger: NotingLedger | None = None

    async def __aenter__(self) -> Parts:
        parts = await self._application.__aenter__()
        self.ledger = NotingLedger(parts.ledger)
        self.parts = parts
        return replace(parts, ledger=self.ledger)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._application.__aexit__(kind, error, trace)


class Player:
    """A gate in front of the story's records system, and a browser for everybody in it."""

    def __init__(
        self, world: World, clock: SimulatedClock, opening: _Noting, gate: Gate, client: httpx.AsyncClient
    ) -> None:
        self._world = world
        self._clock = clock
        self._opening = opening
        self._gate = gate
        self._client = client

    async def play(self, asking: Asking) -> Seen:
        """Let time pass until the lookup, then do it. Raises `StoryFault`."""
        await self.wait(asking)
        seen = await self._ask(asking, asking.declaration.reason)
        if seen.outcome == "refused" and _only_justify(seen):
            again = await self._ask(asking, asking.justification)
            outcome = "asked" if again.outcome == "released" else again.outcome
            return replace(again, outcome=outcome, entries=(*seen.entries, *again.entries))
        return seen

    async def wait(self, asking: Asking) -> None:
        """Let time pass until a lookup's moment, with the feeds and what is read of them."""
        self._clock.advance(asking.at)
        await self.refresh()

    async def until(self, moment: datetime) -> None:
        """Let time pass after the last lookup."""
        self._clock.advance(moment)
        await self.refresh()

    async def refresh(self) -> None:
        """Write the feeds as of now, and have the gate read what changed. Raises `StoryFault` for what it refuses to read."""
        if not self._world.feeds.write(self._clock()):
            return
        facts = self._opening.parts.snapshot.facts
        if not isinstance(facts, ForceFacts):
            raise StoryFault("the gate's facts do not come from the story's feeds")
        if refusals := await facts.refresh():
            raise StoryFault("; ".join(f"{one.source}: {one.error}" for one in refusals))

    async def _ask(self, asking: Asking, reason: str) -> Seen:
        if self._opening.ledger is None:
            raise StoryFault("the gate is not open")
        declaration = replace(asking.declaration, reason=reason)
        member = self._world.story.staff[asking.who]
        headers = {
            "authorization": f"Bearer {self._world.issuer.token(member.id, member.roles)}",
            HEADER: written(declaration),
        }
        self._opening.ledger.take()
        method, address = "POST" if asking.action == "edit" else "GET", address_of(asking)
        answers: list[httpx.Response] = []
        for _ in range(asking.search.pages if asking.search else 1):
            answers.append(await self._client.request(method, address, headers=headers))
            following = (
                answers[-1].json().get("next") if asking.search and answers[-1].status_code == OK else None
            )
            if not following:
                break
            address = f"{address_of(asking)}&{urlencode({'page': following})}"
        return _seen(asking, answers, self._opening.ledger.take())


def address_of(asking: Asking) -> str:
    """The address in the records system."""
    if asking.search is not None:
        search = asking.search
        starts = "__startswith" if search.starts else ""
        named = {"q": search.text, f"p1_given{starts}": search.given, f"p1_surname{starts}": search.surname}
        query = {name: text for name, text in named.items() if text} | {"size": str(search.size)}
        return f"/{search.kind}?{urlencode(query)}"
    if asking.record is None:
        raise StoryFault(f"line {asking.line}: neither a record nor a search")
    tail = "/export" if asking.action == "export" else ""
    return f"/{asking.record.kind}/{asking.record.id}{tail}"


def _only_justify(seen: Seen) -> bool:
    fields = seen.entry.fields
    owed = {*fields.get("obligations", ()), *(one for row in seen.entry.rows for one in row["obligations"])}
    return fields["reasons"] == [Reason.OBLIGATION_UNMET.value] and not (
        owed & {Obligation.APPROVE.value, Obligation.STEP_UP.value}
    )


def _seen(asking: Asking, answers: Sequence[httpx.Response], entries: Sequence[Entry]) -> Seen:
    status = answers[-1].status_code
    answer = "\n".join(one.text for one in answers)
    if not entries:
        raise StoryFault(f"line {asking.line}: the gate answered {status} and left no entry")
    deciding = [entry for entry in entries if entry.kind is not EntryKind.INTENT]
    seen = Seen(
        asking=asking,
        outcome=_outcome(asking, status, deciding[-1], deciding),
        status=status,
        entries=tuple(deciding),
        answer=answer,
    )
    if any(entry.kind is EntryKind.OUTAGE for entry in deciding):
        raise StoryFault(f"line {asking.line}: an outage: {', '.join(seen.reasons)}")
    return seen


def _outcome(asking: Asking, status: int, entry: Entry, entries: Sequence[Entry]) -> str:
    if entry.released and status == OK:
        rows: list[Mapping[str, Any]] = [row for one in entries for row in one.rows]
        if asking.action != "search" or asking.record is None:
            return "released"
        named = [row for row in rows if (row["kind"], row["id"]) == tuple(asking.record)]
        if not named:
            raise StoryFault(f"line {asking.line}: the search does not find {':'.join(asking.record)}")
        return "released" if any(row["released"] for row in named) else "withheld"
    if entry.released:
        raise StoryFault(f"line {asking.line}: the records system answered {status}")
    owed = {*entry.fields.get("obligations", ()), *(one for row in entry.rows for one in row["obligations"])}
    waits = entry.fields["reasons"] == [Reason.OBLIGATION_UNMET.value] and Obligation.APPROVE.value in owed
    return "approval" if waits else "refused"


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[Player]:
    """A running gate over the world, its clock at the story's start; stopped at the end."""
    clock = SimulatedClock(world.story.start)
    world.feeds.write(clock())
    opening = _Noting(Application(settings_file.load(world.settings), clock=clock))
    gate = Gate(opening, clock=clock, monotonic=clock.monotonic)
    transport = httpx.ASGITransport(app=PurposeGateMiddleware(world.records, gate=gate))
    await gate.start()
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://records.example") as client:
            yield Player(world, clock, opening, gate, client)
    finally:
        await gate.aclose()
