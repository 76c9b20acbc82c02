"""The investigator's page lists every field that an entry, its rows and their ties can have, and no other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from docs_blocks import ROOT
from purposegate import PurposeGateMiddleware
from purposegate.attempt import Snapshot
from purposegate.enforcement.refusal import WaysForward
from purposegate.errors import PdpOutage
from purposegate.exchange import Request as Asked
from purposegate.gate import Gate, Parts
from purposegate.model import Conflict, Entry, Principal, Question, Ruling, Tier, Whose
from purposegate.purposes.catalogue import load as load_catalogue
from purposegate.reasons import Reason
from purposegate.records.cursor import Cursors
from purposegate.records.mapping import load as load_records
from purposegate.testing import FixedFacts, ForgetfulLedger, Ready, UnsafeAllowAll

PAGE = (ROOT / "docs" / "investigator.md").read_text(encoding="utf-8")
COLUMNS = (
    "rec_id", "given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "date_of_birth",
)  # fmt: skip
TIE = Conflict(
    whose=Whose.PRINCIPAL,
    relation="neighbour",
    tier=Tier.CONFIRMED,
    provenance="directory",
    entry="e",
    declared=False,
)
PLAIN = 'investigate.crime;ref="CR/1042/26";reason=%"Witness statement for burglary"'
GLASS = 'respond.missing;reason=%"Missing teenager threatens to jump";break-glass'


class Gone(UnsafeAllowAll):
    """A PDP that never answers."""

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        """Fail as a dead Cerbos does."""
        raise PdpOutage(Reason.PDP_UNAVAILABLE)


def table(heading: str) -> set[str]:
    """The names in the first column of the table under this heading."""
    body = PAGE.partition(f"| {heading} | holds |\n|---|---|\n")[2].partition("\n\n")[0]
    return {name for line in body.splitlines() for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}


async def record(request: Request) -> JSONResponse:
    """One record, in the shape of records.yaml."""
    row = [request.path_params["id"], "Ann", "Archer", "14", "Mill Lane", "", "Ashby", "AB1 2CD", "19840229"]
    return JSONResponse({"columns": COLUMNS, "rows": [row]})


async def helen(_: Asked) -> Principal:
    """A supervisor, whom the catalogue lets break glass."""
    return Principal(id="T1005", roles=("supervisor", "investigator"))


async def entries() -> list[Entry]:
    """What a release, a refusal for a tie, a missing declaration and broken glass leave."""
    policies = ROOT / "policies"
    ledger = ForgetfulLedger()
    snapshot = Snapshot(
        routes=load_records(policies / "records.yaml"),
        catalogue=load_catalogue(policies / "purposes.yaml", field="Access-Purpose"),
        decider=UnsafeAllowAll(),
        facts=FixedFacts(),
        identify=helen,
        cursors=Cursors(bytes(32), lifetime_s=3600),
        ways=WaysForward(hand_over="/hand-over", supervisor="/supervisor"),
        modes={},
        digest="test",
    )
    walk: tuple[tuple[Snapshot, dict[str, str]], ...] = (
        (snapshot, {"access-purpose": PLAIN}),
        (replace(snapshot, facts=FixedFacts(conflicts=(TIE,))), {"access-purpose": PLAIN}),
        (snapshot, {}),
        (replace(snapshot, decider=Gone()), {"access-purpose": GLASS}),
    )
    app = Starlette(routes=[Route("/people/person/{id}.json", record)])
    for one, headers in walk:
        gate = Gate(Ready(Parts(ledger=ledger, snapshot=one)))
        transport = httpx.ASGITransport(app=PurposeGateMiddleware(app, gate=gate))
        async with httpx.AsyncClient(transport=transport, base_url="http://records.example") as client:
            await client.get("/people/person/rec-1.json", headers=headers)
    return ledger.entries


@pytest.mark.anyio
async def test_fields_are_the_codes() -> None:
    """Each field of an entry, of a row and of a tie stands in its table."""
    left = await entries()
    rows: list[Mapping[str, Any]] = [row for entry in left for row in entry.rows]
    ties: list[Mapping[str, Any]] = [tie for row in rows for tie in row["conflicts"]]

    assert ["release", "refusal", "refusal", "release"] == [entry.kind for entry in left]
    assert {name for entry in left for name in entry.fields} == table("field")
    assert {name for row in rows for name in row} == table("field of a row")
    assert {name for tie in ties for name in tie} == table("field of a tie")
