"""The gate's own addresses under `/.purposegate/`: what a known principal may declare, and what a problem means.

They hold nothing of the records system, so they leave no entry. Everything else under the prefix is 404.
"""

from typing import Any

import orjson

from purposegate.attempt import Snapshot
from purposegate.enforcement.refusal import NO_STORE, PREFIX, not_found, problem_text
from purposegate.exchange import Reply, Request
from purposegate.model import Principal

BREAK_GLASS_TEXT = (
    "Add ;break-glass to the declaration of a purpose that allows it. A record is opened where policy lets it, "
    "and the entry is flagged for a supervisor's review."
)


def answer(request: Request, snapshot: Snapshot, principal: Principal) -> Reply | None:
    """The page, or None where the address is not the gate's own. GET and HEAD only."""
    path = request.raw_path.decode("latin-1")
    if path != PREFIX and not path.startswith(PREFIX + "/"):
        return None
    reply = (
        _page(path.removeprefix(PREFIX), snapshot, principal) if request.method in ("GET", "HEAD") else None
    )
    if reply is None:
        return not_found(lookup_id="00000000-0000-0000-0000-000000000000")
    return Reply(status=200, headers=reply.headers, body=b"" if request.method == "HEAD" else reply.body)


def _page(path: str, snapshot: Snapshot, principal: Principal) -> Reply | None:
    if path == "/purposes":
        content: dict[str, Any] = {"purposes": snapshot.catalogue.offered(principal)}
        if any(purpose.breaks_glass(principal) for purpose in snapshot.catalogue.open_to(principal)):
            content["break-glass"] = BREAK_GLASS_TEXT
        return _json(content)
    if path.startswith("/problems/"):
        name = path.removeprefix("/problems/")
        text = problem_text(name)
        return None if text is None else _json({"problem": name, "text": text})
    return None


def _json(content: Any) -> Reply:
    return Reply(
        status=200, headers=((b"content-type", b"application/json"), *NO_STORE), body=orjson.dumps(content)
    )
