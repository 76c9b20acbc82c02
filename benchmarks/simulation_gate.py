"""The traffic through the real gate, in one process: real policies through Cerbos, real facts, a real ledger, no HTTP server.

What is not real: who asks is taken as told (a token for each of 405,000 lookups would prove nothing here), and the records
system is a dictionary. Time is each lookup's own, also where several are under way at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from ruamel.yaml import YAML

from benchmarks.simulation_force import START, Force
from benchmarks.simulation_work import Lookup, Work, fuller
from purposegate import settings as settings_file
from purposegate.application import Application
from purposegate.decision.binary import find
from purposegate.exchange import Held, Reply, Request
from purposegate.gate import Gate, Parts
from purposegate.model import CountKey, Declaration, Entry, EntryKind, Obligation, Principal, Receipt
from purposegate.protocols import Ledger
from purposegate.purposes.declaration import value as declared
from purposegate.scenario.issuer import AUDIENCE, ISSUER, Issuer
from purposegate.scenario.mapping import columns_of, mapping
from purposegate.scenario.raised import rows_of

ROOT = Path(__file__).parents[1]
AT_ONCE = 48
"""Lookups that are under way together, never two of one person: a force's counter rooms and cars do not wait for each other."""
JSON = ((b"content-type", b"application/json"),)
YEAR_H = 8760

_NOW: ContextVar[datetime] = ContextVar("now", default=START)
_NOTED: ContextVar[list[Entry]] = ContextVar("noted")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one lookup: released, asked, approval or refused (or withheld, of a search), and whether it was raised."""

    lookup: Lookup
    outcome: str
    raised: bool
    why: tuple[str, ...]
    score: float = 0.0
    """The heaviest row's, as the work list weighs it."""

    @property
    def is_stopped(self) -> bool:
        """Refused, withheld, or only with somebody else's approval."""
        return self.outcome in {"approval", "refused", "withheld"}


class Noting:
    """The real ledger; each lookup hears of its own entries."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def append(self, entry: Entry) -> Receipt:
        """Append for real, then note."""
        receipt = await self._ledger.append(entry)
        if (noted := _NOTED.get(None)) is not None:
            noted.append(entry)
        return receipt

    async def counts(self, keys: Sequence[CountKey]) -> tuple[int, ...]:
        """Ask the real ledger."""
        return await self._ledger.counts(keys)


class Shelves:
    """The records system: answers a view with the record, a search with the person sought and a namesake."""

    def __init__(self, work: Work, columns: Mapping[str, Sequence[str]]) -> None:
        self._work = work
        self._empty = {kind: dict.fromkeys(names, "") for kind, names in columns.items()}

    async def ask(self, request: Request, *, cap_bytes: int) -> Held:
        """Answer a request of the gate's."""
        kind, _, name = request.raw_path.decode().strip("/").partition("/")
        sought = name or dict(_pairs(request.query))["q"]
        rows = (
            [self._row(kind, sought)] if name else [self._row(kind, one) for one in self._namesakes(sought)]
        )
        return Held(status=200, headers=JSON, body=orjson.dumps({"rows": rows, "next": None}))

    async def original(self, *, cap_bytes: int) -> Held:
        """Never asked: nothing is in monitor mode."""
        raise NotImplementedError

    def _row(self, kind: str, name: str) -> dict[str, str]:
        return self._empty[kind] | columns_of(self._work.records[_ref(kind, name)])

    def _namesakes(self, name: str) -> Iterator[str]:
        """Whoever is sought, and somebody else of the same name as far as a list tells: the next resident there is."""
        yield name
        number = int(name[1:])
        if name.startswith("P") and _ref("person", f"P{number + 900}") in self._work.records:
            yield f"P{number + 900}"


def _ref(kind: str, name: str) -> Any:
    return (kind, name)


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    for pair in query.decode().split("&"):
        name, _, text = pair.partition("=")
        yield name, text


def prepare(home: Path, work: Work, *, challenge: float) -> Path:
    """Policies and settings in a folder. Two things differ from those shipped: the mapping, and how old files may be.

    All feeds are written once, with every row's own dates, instead of every night: their age is not what is simulated.
    """
    yaml = YAML(typ="safe", pure=True)
    policies = home / "policies"
    _copy(ROOT / "policies", policies)
    facts = yaml.load((policies / "facts.yaml").read_text(encoding="utf-8"))
    facts["max_age_hours"] = dict.fromkeys(facts["max_age_hours"], YEAR_H)
    facts["challenge"]["rate"] = challenge
    _dump(policies / "facts.yaml", facts)
    _dump(policies / "records.yaml", mapping(list(_widest(work))))
    Issuer(home / "jwks.json")
    roles = sorted({one.unit.role for one in work.force.staff.values()})
    _dump(
        home / "purposegate.yaml",
        {
            "policies": "policies",
            "ledger": {"path": "ledger.db", "origin": "simulation.example", "minimum_free_mib": 16},
            "pdp": {"binary": str(find(None, ROOT).path), "deadline_s": 20.0},
            "identity": {
                "jwt": {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["ES256"], "jwks": "jwks.json"},
                "roles": {role: role for role in roles},
            },
            "facts": {
                **{
                    name: f"feeds/{name}.csv"
                    for name in ("directory", "register", "references", "assignments")
                },
                **{name: f"feeds/{name}.csv" for name in ("reference_records", "duty")},
                "links": {"file": "feeds/links.db"},
                "refresh_s": 86400,
            },
            "ways_forward": {
                "hand_over": "mailto:a@simulation.example",
                "supervisor": "mailto:b@simulation.example",
            },
            "limits": {"refusals_per_minute": 100_000},
        },
    )
    return home / "purposegate.yaml"


def _widest(work: Work) -> Iterator[Any]:
    """One record of each kind and width is enough to write the mapping from."""
    seen: dict[tuple[str, int], Any] = {}
    for record in work.records.values():
        seen.setdefault((record.kind, len(record.people)), record)
    yield from seen.values()


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file() and "examples" not in path.parts:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


def _dump(path: Path, content: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)


@asynccontextmanager
async def opened(settings: Path, force: Force) -> AsyncIterator[Gate]:
    """A running gate whose people are taken as told."""
    async with Application(settings_file.load(settings), clock=_NOW.get) as parts:
        principals = {one.id: Principal(id=one.id, roles=(one.unit.role,)) for one in force.staff.values()}

        async def identify(request: Request) -> Principal:
            return principals[request.values(b"x-staff")[0].decode()]

        given = replace(
            parts, ledger=Noting(parts.ledger), snapshot=replace(parts.snapshot, identify=identify)
        )
        gate = Gate(_given(given), clock=_NOW.get)
        await gate.start()
        yield gate
        await gate.aclose()


@asynccontextmanager
async def _given(parts: Parts) -> AsyncIterator[Parts]:
    yield parts


async def run(
    gate: Gate, work: Work, lookups: Sequence[Lookup], progress: Callable[[int], None]
) -> list[Result]:
    """Every lookup, in order of time for each person. Raises `RuntimeError` for an outage: it would stand for no policy."""
    columns = {record.kind: () for record in work.records.values()}
    spec = mapping(list(_widest(work)))
    shelves = Shelves(work, {kind: spec["kinds"][kind]["columns"] for kind in columns})
    found: list[Result] = []
    for together in _batches(lookups):
        results = await asyncio.gather(*(_each(gate, shelves, one) for one in together))
        found += sorted((one for each in results for one in each), key=lambda result: result.lookup.at)
        progress(len(found))
    return found


def _batches(lookups: Sequence[Lookup]) -> Iterator[list[list[Lookup]]]:
    """The next lookups in time, those of one person together, to be made one after the other."""
    coming = iter(lookups)
    while batch := list(islice(coming, AT_ONCE)):
        by_person: dict[str, list[Lookup]] = {}
        for one in batch:
            by_person.setdefault(one.staff, []).append(one)
        yield list(by_person.values())


async def _each(gate: Gate, shelves: Shelves, lookups: Iterable[Lookup]) -> list[Result]:
    return [await _ask(gate, shelves, one) for one in lookups]


async def _ask(gate: Gate, shelves: Shelves, lookup: Lookup) -> Result:
    """One lookup; whoever is asked for no more than a fuller reason gives it."""
    entries = await _serve(gate, shelves, lookup, lookup.reason)
    outcome = _outcome(lookup, entries[-1])
    if outcome == "justify":
        entries += await _serve(gate, shelves, lookup, fuller(lookup))
        again = _outcome(lookup, entries[-1])
        outcome = {"released": "asked", "justify": "refused"}.get(again, again)
    rows = [row for entry in entries for row in rows_of(entry)]
    raised = bool(rows)
    why = tuple(dict.fromkeys(text for entry in entries for text in _why(entry)))
    why = why if outcome != "released" or raised else ()
    return Result(lookup, outcome, raised, why, max((row.score for row in rows), default=0.0))


async def _serve(gate: Gate, shelves: Shelves, lookup: Lookup, reason: str) -> list[Entry]:
    _NOW.set(lookup.at)
    noted: list[Entry] = []
    _NOTED.set(noted)
    path = f"/{lookup.record.kind}" + ("" if lookup.is_search else f"/{lookup.record.id}")
    declaration = Declaration(purpose=lookup.purpose, ref=lookup.ref, reason=reason)
    request = Request(
        method="GET",
        raw_path=path.encode(),
        path=path,
        query=urlencode({"q": lookup.record.id}).encode() if lookup.is_search else b"",
        headers=((b"x-staff", lookup.staff.encode()), (b"access-purpose", declared(declaration).encode())),
    )
    reply = await gate.serve(request, shelves)
    if not noted or noted[-1].kind is EntryKind.OUTAGE:
        status = reply.status if isinstance(reply, Reply) else 0
        why = noted[-1].fields["reasons"] if noted else "no entry"
        raise RuntimeError(f"{lookup.purpose} {lookup.record.kind}: {status} {why}")
    return noted


def _outcome(lookup: Lookup, entry: Entry) -> str:
    if entry.released:
        sought = [row for row in entry.rows if row["id"] == lookup.record.id]
        return "released" if any(row["released"] for row in sought) else "withheld"
    owed = {*entry.fields.get("obligations", ()), *(one for row in entry.rows for one in row["obligations"])}
    if entry.fields["reasons"] != ["obligation-unmet"]:
        return "refused"
    return "approval" if Obligation.APPROVE.value in owed else "justify"


def _why(entry: Entry) -> Iterator[str]:
    yield from entry.fields["reasons"]
    yield from entry.fields.get("policy_reasons", ())
    for row in entry.rows:
        yield from row["obligations"]
        yield from (tie["relation"] for tie in row["conflicts"])
        if row.get("repeat", "first") != "first":
            yield f"repeat-{row['repeat']}"
