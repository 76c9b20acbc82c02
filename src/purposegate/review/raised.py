"""Which rows of the work list an entry makes. Pure: one entry's opened body in, rows out.

A row says whose lookup it was, of whom, why somebody should look at it, in words, and how much it weighs. Everything that a
policy flagged, everything that policy refused, and everything that people denied or left unanswered makes one; a faulty
declaration does not, since people mistype all day.

**The score orders, it does not judge.** In one state's audit naive flags marked over half of all users and 88 people had
misused the system, so a list that is not ranked is not read. Each sign has points: what cannot be chance has most (one's own
record, a sure tie, an originator who denies), what needs several causes to be innocent has fewer (coming back, several ways to
one person), what is common among the honest has least (a flag alone, a reference that is closed). Points of one row add up to
at most 100. New joiners and people off duty weigh a third more each: published cases began weeks after joining and off duty,
and fewer lawful lookups are made so. What a supervisor approved beforehand weighs half: somebody looked already. So does what a
search only showed: nobody chooses who shares a surname, and whoever looks for one person is told by a sign of its own.

A flag alone, on a lookup that waits for its originator's answer, makes no row beside that answer's own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from purposegate.model import EntryKind
from purposegate.review.bodies import Body, maps_of, subject_of, text_of
from purposegate.review.signs import FLAGGED, Sign, of_lookup, of_row
from purposegate.review.terms import Terms

MOST = 100.0
NEW_JOINER = OFF_DUTY = 4 / 3
APPROVED = SHOWN = 0.5
SEARCHED = ("search", "")
"""What stands for the record where a search was stopped before its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One row of the work list. `subject` is the data subject as far as the entry knows one, else empty.

    A row with `due` counts from then on, unless an entry settles `waits_for` before.
    """

    principal: str
    record: tuple[str, str]
    subject: str
    reasons: tuple[str, ...]
    why: str
    score: float
    due: datetime | None = None
    waits_for: str = ""


def raised(body: Body, terms: Terms | None = None) -> tuple[Raised, ...]:
    """The rows that an entry makes, the heaviest first. `terms` are those in force: they say when an answer is overdue."""
    makes = _MAKERS.get(body.kind)
    rows = makes(body, terms or Terms()) if makes else iter(())
    return tuple(sorted(rows, key=lambda row: -row.score))


def settled(body: Body) -> str:
    """What an entry settles: a row of this `waits_for` counts no more. Empty where it settles nothing."""
    event = body.text("event")
    if body.kind == EntryKind.COUNTERSIGN and event in ("confirmed", "denied"):
        return f"countersign {body.text('matter')}"
    if body.kind == EntryKind.BROKEN_GLASS and event == "reviewed":
        return f"review {body.text('matter')}"
    return ""


def _lookup(body: Body, terms: Terms) -> Iterator[Raised]:
    """One row for each record that has signs of its own; one for the whole lookup where none has more than a flag."""
    about_lookup = tuple(of_lookup(body))
    rows = [(row, tuple(of_row(row))) for row in body.rows if isinstance(row, Mapping)]
    telling = [(row, signs) for row, signs in rows if any(sign.word != FLAGGED for sign in signs)]
    if not telling and not about_lookup and _is_awaited(body):
        rows = []
    if not telling and len(rows) == 1 and (rows[0][1] or about_lookup):
        telling = rows
    for row, signs in telling:
        record = (text_of(row, "kind"), text_of(row, "id"))
        out = row.get("released") is True
        yield _row(
            body, record if record[1] else SEARCHED, subject_of(row), (*signs, *about_lookup), released=out
        )
    if not telling:
        flags = {sign: None for _, signs in rows for sign in signs} | dict.fromkeys(about_lookup)
        if flags:
            yield _row(body, _named(body), "", tuple(flags), released=body.released)
    yield from _after_release(body, terms)


def _is_awaited(body: Body) -> bool:
    """Whether the lookup went out and its originator is to say whether they asked for it."""
    named = body.text("originator_known_as") and body.fields.get("originator_confirmed") is not True
    return bool(named) and body.released and body.kind == EntryKind.RELEASE


def _row(
    body: Body, record: tuple[str, str], subject: str, signs: Sequence[Sign], *, released: bool
) -> Raised:
    told = list(dict.fromkeys(signs))
    points = sum(one.points for one in told)
    if body.text("tenure") == "new":
        points *= NEW_JOINER
        told.append(Sign("new-joiner", 0, "the principal is new to the force"))
    if body.fields.get("on_duty") is False:
        points *= OFF_DUTY
        told.append(Sign("off-duty", 0, "they were off duty"))
    if body.text("action") == "search":
        points *= SHOWN
    if body.fields.get("approvals"):
        points *= APPROVED
        told.append(Sign("approved", 0, "a supervisor had approved it"))
    done = {"search": "searched for", "export": "exported", "edit": "changed"}.get(
        body.text("action"), "looked up"
    )
    what = "/".join(record) if record[1] else body.text("kind") or "records"
    ref = body.text("ref")
    under = f"{body.text('purpose') or 'no purpose'}{f', {ref}' if ref else ''}"
    end = "It was released" if released else "It was not released"
    causes = "; ".join(one.said for one in told)
    return Raised(
        principal=body.text("principal"),
        record=record,
        subject=subject,
        reasons=tuple(one.word for one in told),
        why=f"{body.text('principal')} {done} {what} under {under}: {causes}. {end}.",
        score=round(min(points, MOST), 1),
    )


def _named(body: Body) -> tuple[str, str]:
    match body.fields.get("records"):
        case [[str(kind), str(name)], *_] | [(str(kind), str(name)), *_]:
            return kind, name
    return SEARCHED


def _after_release(body: Body, terms: Terms) -> Iterator[Raised]:
    """What a lookup still owes: an originator's answer; and what it says of an approver."""
    originator = body.text("originator_known_as")
    if _is_awaited(body):
        for person in dict.fromkeys((body.text("principal"), originator)):
            yield Raised(
                principal=person,
                record=_named(body),
                subject="",
                reasons=("countersign-overdue",),
                why=f"{body.text('principal')} looked this up on behalf of {originator}, who has not said that they asked.",
                score=45.0,
                due=body.at + timedelta(hours=terms.countersign_hours),
                waits_for=f"countersign {body.lookup_id}",
            )
    ties = maps_of(body.fields, "approver_conflicts")
    found = ", ".join(dict.fromkeys(text_of(tie, "relation").replace("_", " ") for tie in ties))
    for one in maps_of(body.fields, "approvals") if ties else ():
        yield Raised(
            principal=text_of(one, "approver"),
            record=_named(body),
            subject="",
            reasons=("approver-tied",),
            why=f"{text_of(one, 'approver')} approved a lookup of somebody they have a tie to: {found}. It was not released.",
            score=70.0,
        )


def _approval(body: Body, _: Terms) -> Iterator[Raised]:
    if body.text("event") == "barred":
        tied = body.fields.get("tied") is True
        cause = "a tie to the record" if tied else "a part in the lookup"
        yield _other(
            body,
            "barred-approver",
            60 if tied else 40,
            f"tried to decide a request for approval with {cause}",
        )


def _countersign(body: Body, _: Terms) -> Iterator[Raised]:
    if body.text("event") != "denied":
        return
    principal, originator = body.text("looked_up_by"), body.text("principal")
    why = f"{principal} looked this up on behalf of {originator}, who says that they did not ask for it."
    for person, points in ((principal, 80.0), (originator, 40.0)):
        yield Raised(
            principal=person,
            record=_named(body),
            subject="",
            reasons=("countersign-denied",),
            why=why,
            score=points,
        )


def _glass(body: Body, _: Terms) -> Iterator[Raised]:
    if body.text("event") == "noticed":
        row = _other(body, "review-overdue", 40, "broke glass, and nobody has reviewed it in time")
        yield replace(
            row,
            due=_moment(body.text("until"), body.at),
            waits_for=f"review {body.text('matter')}",
        )
    elif body.text("event") == "reviewed" and body.text("verdict") == "improper":
        why = f"{body.text('principal')} reviewed that {body.text('on_behalf_of')} broke glass, and found it improper."
        row = _other(body, "glass-improper", 80, "")
        yield replace(row, principal=body.text("on_behalf_of"), why=why)


def _moment(text: str, otherwise: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return at if at.tzinfo else otherwise


def _throttled(body: Body, _: Terms) -> Iterator[Raised]:
    yield Raised(
        principal=body.text("key"),
        record=SEARCHED,
        subject="",
        reasons=("refusals-too-many",),
        why=f"{body.text('key')} went on after so many refusals that further lookups were not judged.",
        score=25.0,
    )


def _past_hit(body: Body, _: Terms) -> Iterator[Raised]:
    """Lookups of the past that a tie learnt later speaks of: see `past_hits`."""
    for row in body.rows:
        if not isinstance(row, Mapping):
            continue
        sure, during = text_of(row, "tier") == "confirmed", text_of(row, "timing") == "during"
        points = (60 if sure else 25) * (1 if during else 0.5)
        relation = text_of(row, "relation").replace("_", " ")
        when = {"during": "during", "after": "after"}.get(text_of(row, "timing"), "before")
        yield Raised(
            principal=text_of(row, "principal"),
            record=(text_of(row, "kind"), text_of(row, "id")),
            subject=text_of(row, "subject"),
            reasons=("past-hit", f"tie-{text_of(row, 'relation')}"),
            why=(
                f"{text_of(row, 'principal')} looked this up on {text_of(row, 'at')[:10]} (entry {text_of(row, 'ledger')}), "
                f"{when} a tie that the register holds by now: {relation}."
            ),
            score=round(points, 1),
        )


def _other(body: Body, word: str, points: float, said: str) -> Raised:
    """A row about whoever the entry is by."""
    return Raised(
        principal=body.text("principal"),
        record=_named(body),
        subject="",
        reasons=(word,),
        why=f"{body.text('principal')} {said}.",
        score=points,
    )


_MAKERS: Mapping[str, Callable[[Body, Terms], Iterator[Raised]]] = {
    EntryKind.RELEASE: _lookup,
    EntryKind.REFUSAL: _lookup,
    EntryKind.APPROVAL: _approval,
    EntryKind.COUNTERSIGN: _countersign,
    EntryKind.BROKEN_GLASS: _glass,
    EntryKind.THROTTLED: _throttled,
    EntryKind.PAST_HIT: _past_hit,
}
