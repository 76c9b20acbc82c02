"""The gate's own pages for approvals, hand-overs, countersigns and reviews of broken glass. JSON in, JSON out.

Law 7: what is answered depends on who asks and on what was sent, never on whether a record exists, whether an approval was
needed, or why one was not given to somebody to decide: such a matter is simply not there.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from purposegate.approval import Binding
from purposegate.enforcement.refusal import PREFIX
from purposegate.errors import DeclarationRefused, PageRefused
from purposegate.exchange import Reply
from purposegate.model import Action, Declaration, RecordRef
from purposegate.pages import Page, Visit, json_page
from purposegate.reasons import Reason
from purposegate.review.desk import Desk
from purposegate.review.glass import VERDICTS, is_late
from purposegate.review.matters import Matter, by
from purposegate.review.reviewers import Bench
from purposegate.throttle import RefusalRate

ACTIONS = (Action.VIEW, Action.EDIT, Action.EXPORT)
"""What names a record. A search names none, so there is nothing to approve."""
KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
MAX_ID_CHARS = 512
MOST_OPEN = 30
"""Requests of one person that wait or stand at a time, so that nobody's flood hides another's request from supervisors."""
PROBLEMS = {
    "nothing-waits": "Nothing of this name waits for you: it was decided, it lapsed, or it is not for you to decide.",
    "requests-too-many": "So many requests are not taken at a time. Wait, or use those that were approved.",
    "record-malformed": "record: want an object with the texts kind and id.",
    "action-unknown": "action: want view, edit or export.",
    "verdict-unknown": "verdict: want one of those that the page names.",
    "field-unseen": "A field holds characters that nobody can see, such as those that move a terminal's cursor.",
    "step-unknown": "step: want taken, returned or done.",
    "colleague-unknown": "to: the staff directory holds nobody of this id who works here now.",
}

Answering = Callable[[Visit, Desk], Awaitable[Reply]]


def pages(desk: Desk, *, monotonic: Callable[[], float] = time.monotonic) -> tuple[Page, ...]:
    """The table for `Snapshot.pages`."""
    rate = RefusalRate(clock=monotonic)

    def reading(answer: Answering) -> Callable[[Visit], Awaitable[Reply]]:
        async def read(visit: Visit) -> Reply:
            return await answer(visit, desk.through(visit.append, visit.now))

        return read

    def changing(answer: Answering) -> Callable[[Visit], Awaitable[Reply]]:
        async def change(visit: Visit) -> Reply:
            if rate.exceeded(visit.principal.id, desk.terms.requests_per_minute):
                raise PageRefused(429, "requests-too-many", PROBLEMS["requests-too-many"])
            rate.note(visit.principal.id)
            return await answer(visit, desk.through(visit.append, visit.now))

        return change

    return (
        Page("GET", "/approvals", reading(list_approvals), problems=PROBLEMS),
        Page("POST", "/approvals", changing(ask)),
        Page("GET", "/approvals/{matter}", reading(show_approval)),
        Page("POST", "/approvals/{matter}", changing(decide)),
        Page("GET", "/hand-overs", reading(list_hand_overs)),
        Page("POST", "/hand-overs", changing(hand_over)),
        Page("POST", "/hand-overs/{matter}", changing(answer_hand_over)),
        Page("GET", "/countersigns", reading(list_countersigns)),
        Page("POST", "/countersigns", changing(confirm_ahead)),
        Page("POST", "/countersigns/{matter}", changing(countersign)),
        Page("GET", "/reviews", reading(list_reviews)),
        Page("POST", "/reviews/{matter}", changing(review)),
    )


async def list_approvals(visit: Visit, desk: Desk) -> Reply:
    """One's own requests, and what one may decide."""
    mine = await desk.approvals.mine(visit.principal.id)
    waiting = await desk.approvals.waiting_for(visit.principal, _bench(visit))
    how = {
        "method": "POST",
        "href": f"{PREFIX}/approvals",
        "body": {"record": {"kind": "", "id": ""}, "action": "view", "purpose": "", "ref": "", "reason": ""},
        "optional": ["originator", "recipient"],
    }
    return json_page(
        {"mine": [_own(one) for one in mine], "waiting": [_asked(one) for one in waiting], "ask": how}
    )


async def ask(visit: Visit, desk: Desk) -> Reply:
    """Ask for an approval of one lookup. Taken for any record there could be; 202 and an id, always alike."""
    declaration = Declaration(
        purpose=visit.text("purpose", most_chars=128),
        ref=visit.text("ref", default="", most_chars=128),
        reason=_seen(visit, "reason", most_chars=2000),
        originator=_seen(visit, "originator", most_chars=200),
        recipient=_seen(visit, "recipient", most_chars=200),
    )
    visit.snapshot.catalogue.accept(declaration)
    if declaration.originator and not await visit.snapshot.facts.known_as(declaration.originator):
        raise DeclarationRefused(Reason.ORIGINATOR_UNKNOWN)
    binding = Binding(
        principal=visit.principal.id,
        action=_action(visit),
        record=_record(visit.body.get("record")),
        purpose=declaration.purpose,
        ref=declaration.ref,
        originator=declaration.originator,
        recipient=declaration.recipient,
        policy=visit.snapshot.digest,
    )
    mine = await desk.approvals.mine(visit.principal.id)
    if sum(one.is_open(visit.now) for one in mine) >= MOST_OPEN:
        raise PageRefused(429, "requests-too-many", PROBLEMS["requests-too-many"])
    matter = await desk.approvals.ask(binding, roles=visit.principal.roles, reason=declaration.reason)
    return json_page(_own(matter), status=202)


async def show_approval(visit: Visit, desk: Desk) -> Reply:
    """One request: one's own, or one that one may decide."""
    name = visit.values["matter"]
    for one in await desk.approvals.mine(visit.principal.id):
        if one.id == name:
            return json_page(_own(one))
    for one in await desk.approvals.waiting_for(visit.principal, _bench(visit)):
        if one.id == name:
            return json_page(_asked(one))
    raise _nothing()


async def decide(visit: Visit, desk: Desk) -> Reply:
    """Approve or refuse somebody's request."""
    approves = _verdict(visit, "approve", "refuse") == "approve"
    matter = await desk.approvals.decide(
        visit.principal, visit.values["matter"], _bench(visit), approves=approves, note=_note(visit)
    )
    return _answered(matter)


async def list_hand_overs(visit: Visit, desk: Desk) -> Reply:
    """Open tasks that were handed to one, and what one handed over."""
    to_me = await desk.hand_overs.for_recipient(visit.principal.id)
    from_me = await desk.hand_overs.given_by(visit.principal.id)
    return json_page({"to_me": [_task(one) for one in to_me], "from_me": [_task(one) for one in from_me]})


async def hand_over(visit: Visit, desk: Desk) -> Reply:
    """Hand a reference and its purpose to a colleague."""
    to = await visit.snapshot.facts.known_as(visit.text("to", most_chars=200))
    if not to or to == visit.principal.id:
        raise PageRefused(400, "colleague-unknown", PROBLEMS["colleague-unknown"])
    purpose = visit.text("purpose", most_chars=128)
    if visit.snapshot.catalogue.named(purpose) is None:
        raise DeclarationRefused(Reason.PURPOSE_UNKNOWN)
    ref = visit.text("ref", most_chars=128)
    if not visit.snapshot.catalogue.kind_of(ref):
        raise DeclarationRefused(Reason.REFERENCE_MALFORMED)
    matter = await desk.hand_overs.hand(visit.principal, to, purpose=purpose, ref=ref)
    return json_page(_task(matter), status=201)


async def answer_hand_over(visit: Visit, desk: Desk) -> Reply:
    """Take a task that was handed to one, return it, or end it."""
    step = visit.text("step")
    if step not in ("taken", "returned", "done"):
        raise PageRefused(400, "step-unknown", PROBLEMS["step-unknown"])
    return _answered(await desk.hand_overs.answer(visit.principal, visit.values["matter"], step))


async def list_countersigns(visit: Visit, desk: Desk) -> Reply:
    """What was looked up on one's behalf and not answered yet, and what one confirmed ahead."""
    waiting = await desk.countersigns.waiting_for(visit.principal.id)
    standing = await desk.countersigns.standing(visit.principal.id)
    return json_page(
        {
            "waiting": [{**_looked_up(one), "overdue": is_late(one, visit.now)} for one in waiting],
            "standing": [
                {**_named(one), "principal": one.text("looks_up"), "ref": one.text("ref")} for one in standing
            ],
        }
    )


async def confirm_ahead(visit: Visit, desk: Desk) -> Reply:
    """Confirm for some weeks what one person looks up for one reference on one's behalf."""
    principal = await visit.snapshot.facts.known_as(visit.text("principal", most_chars=200))
    if not principal or principal == visit.principal.id:
        raise PageRefused(
            400, "colleague-unknown", PROBLEMS["colleague-unknown"].replace("to:", "principal:")
        )
    ref = visit.text("ref", most_chars=128)
    if not visit.snapshot.catalogue.kind_of(ref):
        raise DeclarationRefused(Reason.REFERENCE_MALFORMED)
    matter = await desk.countersigns.confirm_ahead(visit.principal, principal, ref)
    return json_page(_named(matter), status=201)


async def countersign(visit: Visit, desk: Desk) -> Reply:
    """Say whether one asked for a lookup, or take back what one confirmed ahead."""
    verdict, name = _verdict(visit, "confirm", "deny", "end"), visit.values["matter"]
    if verdict == "end":
        return _answered(await desk.countersigns.end(visit.principal, name))
    matter = await desk.countersigns.answer(
        visit.principal, name, confirms=verdict == "confirm", note=_note(visit)
    )
    return _answered(matter)


async def list_reviews(visit: Visit, desk: Desk) -> Reply:
    """Broken glass that one may review."""
    waiting = await desk.glass.waiting_for(visit.principal, _bench(visit))
    return json_page({"waiting": [{**_asked(one), "overdue": is_late(one, visit.now)} for one in waiting]})


async def review(visit: Visit, desk: Desk) -> Reply:
    """Say whether glass was broken properly."""
    verdict = _verdict(visit, *VERDICTS)
    matter = await desk.glass.review(
        visit.principal, visit.values["matter"], _bench(visit), verdict=verdict, note=_note(visit)
    )
    return _answered(matter)


def _bench(visit: Visit) -> Bench:
    return Bench(visit.snapshot.facts, visit.snapshot.catalogue)


def _action(visit: Visit) -> str:
    action = visit.text("action", default="view")
    if action not in ACTIONS:
        raise PageRefused(400, "action-unknown", PROBLEMS["action-unknown"])
    return action


def _record(given: Any) -> RecordRef:
    match given:
        case {"kind": str(kind), "id": str(name)} if (
            KIND.fullmatch(kind) and 0 < len(name) <= MAX_ID_CHARS and name.isprintable()
        ):
            return RecordRef(kind, name)
    raise PageRefused(400, "record-malformed", PROBLEMS["record-malformed"])


def _verdict(visit: Visit, *words: str) -> str:
    verdict = visit.text("verdict")
    if verdict not in words:
        raise PageRefused(400, "verdict-unknown", f"verdict: want {' or '.join(words)}.")
    return verdict


def _note(visit: Visit) -> str:
    return _seen(visit, "note", most_chars=2000, lines=True)


def _seen(visit: Visit, name: str, *, most_chars: int, lines: bool = False) -> str:
    """A text that somebody else will read, perhaps in a terminal: all of it can be seen, as in a declaration."""
    text = visit.text(name, default="", most_chars=most_chars)
    parts = text.replace("\r\n", "\n").split("\n") if lines else [text]
    if not all(part.isprintable() for part in parts):
        raise PageRefused(400, "field-unseen", f"{name}: type it without invisible characters.")
    return text


def _nothing() -> PageRefused:
    return PageRefused(404, "nothing-waits", PROBLEMS["nothing-waits"])


def _answered(matter: Matter | None) -> Reply:
    if matter is None:
        raise _nothing()
    return json_page(_named(matter))


def _named(matter: Matter) -> dict[str, Any]:
    until = matter.until.isoformat(timespec="seconds")
    return {"matter": matter.id, "state": matter.state.value, "until": until}


def _own(matter: Matter) -> dict[str, Any]:
    """A request as its own principal sees it: not who decided, and not why."""
    kind, name = matter.record
    said = {key: matter.text(key) for key in ("action", "purpose", "ref", "reason")}
    return {**_named(matter), **said, "record": {"kind": kind, "id": name}}


def _asked(matter: Matter) -> Mapping[str, Any]:
    """A matter as somebody sees it who may decide it."""
    said = {key: matter.text(key) for key in ("principal", "originator", "recipient")}
    return {**_own(matter), **said, "asked": matter.at.isoformat(timespec="seconds")}


def _task(matter: Matter) -> Mapping[str, Any]:
    said = {"from": matter.text("principal"), "to": matter.text("to")}
    return {**_named(matter), **said, "purpose": matter.text("purpose"), "ref": matter.text("ref")}


def _looked_up(matter: Matter) -> Mapping[str, Any]:
    """A lookup on somebody's behalf as they see it: who, when and for what; the record only by its reference."""
    said = {key: matter.text(key) for key in ("principal", "purpose", "ref", "reason")}
    return {
        **_named(matter),
        **said,
        "at": matter.at.isoformat(timespec="seconds"),
        "answered": by(matter, "confirmed"),
    }
