"""What a refusal or an outage looks like to the principal: RFC 9457 problem details that do not talk (law 7).

After a valid declaration there is one refusal: the same status, type, title, detail and links, whatever the reason. What it
offers depends on the principal alone. Only `self` and ties that the principal declared may be named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from purposegate import exchange
from purposegate.exchange import Headers, Reply
from purposegate.model import Conflict
from purposegate.reasons import OUTAGE_TEXT, REFUSED_TEXT, Family, Reason

PREFIX = exchange.PREFIX
PROBLEM = b"application/problem+json"
SEARCH_NOTICE = "This list may be incomplete for you; a colleague can run it."
NO_STORE = exchange.NO_STORE

TITLES = {
    Family.IDENTITY: "Not accepted",
    Family.ROUTE: "Closed address",
    Family.DECLARATION: "Declaration needed",
    Family.POLICY: "Not released",
    Family.OUTAGE: "Could not decide",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysForward:
    """Where the force sends people whose lookup was refused; addresses the operator sets (law 8)."""

    hand_over: str
    supervisor: str
    steps_up: bool = False
    """Whether signing in anew is a way: so the settings say, for everybody and every refusal alike."""

    def header(self, *, searched: bool) -> Headers:
        """The Link header of every search answer, rows withheld or not (law 7)."""
        return ((b"link", f'<{self.hand_over}>; rel="help"'.encode()),) if searched else ()

    def links(self, *, breaks_glass: bool) -> list[dict[str, str]]:
        """The links of every refusal. `breaks_glass` is a property of the principal, never of the record."""
        links = [
            {
                "rel": "correct-declaration",
                "href": f"{PREFIX}/purposes",
                "title": "What you can declare, and what each purpose needs; a fuller reason may be enough",
            },
            {"rel": "hand-over", "href": self.hand_over, "title": "Hand the reference to a colleague"},
            {"rel": "supervisor", "href": self.supervisor, "title": "Ask a supervisor"},
        ]
        if self.steps_up:
            links.append(
                {
                    "rel": "step-up",
                    "href": f"{PREFIX}/purposes#step-up",
                    "title": "Sign in again with the method named there; for some lookups that is enough",
                }
            )
        if breaks_glass:
            links.append(
                {
                    "rel": "break-glass",
                    "href": f"{PREFIX}/purposes#break-glass",
                    "title": "For a threat to life: declare again with ;break-glass. The entry is flagged for review.",
                }
            )
        return links


def problem(
    reason: Reason,
    *,
    lookup_id: str,
    detail: str = "",
    links: Sequence[Mapping[str, str]] = (),
    extra: Mapping[str, Any] | None = None,
    headers: Headers = (),
) -> Reply:
    """One problem document. The type names the reason, except that all policy reasons and all outages share one each."""
    wording = reason.wording
    name = {Family.POLICY: "refused", Family.OUTAGE: "outage"}.get(wording.family, reason.value)
    body: dict[str, Any] = {
        "type": f"{PREFIX}/problems/{name}",
        "title": TITLES[wording.family],
        "status": wording.status,
        "detail": f"{wording.principal} {detail}".strip() if detail else wording.principal,
        "instance": f"urn:uuid:{lookup_id}",
    }
    if links:
        body["links"] = list(links)
    body.update(extra or {})
    return Reply(
        status=wording.status,
        headers=((b"content-type", PROBLEM), *NO_STORE, *headers),
        body=orjson.dumps(body),
    )


def named_ties(conflicts: Iterable[Conflict]) -> list[str]:
    """Which ties of the principal may be named back to them: `self`, and relations they declared themselves."""
    return sorted(
        {
            tie.relation
            for tie in conflicts
            if tie.whose == "principal" and (tie.relation == "self" or tie.declared)
        }
    )


def refused(*, lookup_id: str, links: Sequence[Mapping[str, str]], ties: Sequence[str] = ()) -> Reply:
    """The one refusal after a valid declaration."""
    extra = {"because": list(ties)} if ties else None
    return problem(Reason.POLICY_REFUSED, lookup_id=lookup_id, links=links, extra=extra)


def not_found(*, lookup_id: str) -> Reply:
    """The gate's own 404: the records system has no such record. Its error page is never passed on."""
    body = {
        "type": f"{PREFIX}/problems/not-found",
        "title": "No such record",
        "status": 404,
        "detail": "The records system has nothing at this address.",
        "instance": f"urn:uuid:{lookup_id}",
    }
    return Reply(status=404, headers=((b"content-type", PROBLEM), *NO_STORE), body=orjson.dumps(body))


def problem_text(name: str) -> str | None:
    """The page behind a problem type: what happened and what to do next; None for an unknown name."""
    if name == "refused":
        return REFUSED_TEXT
    if name == "outage":
        return OUTAGE_TEXT
    if name == "not-found":
        return "The records system has nothing at this address."
    try:
        reason = Reason(name)
    except ValueError:
        return None
    return None if reason.wording.family in (Family.POLICY, Family.OUTAGE) else reason.wording.principal
