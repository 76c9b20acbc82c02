"""Declarations made ahead: bound to one login, one reference and what it explains; refused everywhere else."""

from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from gates import Gated, World, behind, opened
from purposegate.gate import Parts
from purposegate.model import EntryKind
from purposegate.purposes.session_wire import COOKIE, FIELD

pytestmark = pytest.mark.anyio

REASON = "Comparing the suspect's description with the witness statement"
CRIME = {"purpose": "investigate.crime", "ref": "CR/1042/26", "reason": REASON}
WHERE = "/.purposegate/declarations"


async def made(gated: Gated, said: dict[str, Any] | None = None, **asking: Any) -> httpx.Response:
    """One session, made as JSON."""
    return await gated.ask(WHERE, method="POST", json=said or CRIME, declared=None, **asking)


async def under(gated: Gated, token: str, path: str, **asking: Any) -> httpx.Response:
    """A lookup that says nothing but the session's token."""
    return await gated.ask(path, declared=None, headers={FIELD: token}, **asking)


async def test_a_session_opens_what_its_reference_explains(gated: Gated) -> None:
    """Made once, it opens the record that the case names, as often as needed, each with an entry that names the session."""
    session = await made(gated)
    path = gated.world.path(gated.world.cast.suspect)
    answers = [await under(gated, session.json()["token"], path) for _ in range(3)]

    assert (201, [200] * 3) == (session.status_code, [answer.status_code for answer in answers])
    opening, *releases = gated.entries
    assert [EntryKind.DECLARATION] + [EntryKind.RELEASE] * 3 == [entry.kind for entry in gated.entries]
    assert {session.json()["id"]} == {entry.fields["declaration"] for entry in [opening, *releases]}
    assert {(REASON, "session")} == {(each.fields["reason"], each.fields["declared_by"]) for each in releases}
    assert not any(session.json()["token"] in str(entry) for entry in gated.entries)
