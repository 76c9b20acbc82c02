"""The signs by which a lookup is put on the work list, each with its points and its words. Pure.

What the points mean, and why they are what they are, is said in `raised`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from purposegate.review.bodies import Body, maps_of, text_of, words_of

FLAGGED = "flagged"
"""A rule flags it, and nothing more is known."""


class Sign(NamedTuple):
    """One sign in an entry: its word, its points, and the words for people."""

    word: str
    points: float
    said: str


_TIMES = {
    "few": "keeps coming back",
    "many": "comes back again and again",
    "over": "comes back past every limit",
}
_REPEATS = {"few": 20.0, "many": 35.0, "over": 50.0}
_PATTERNS: Mapping[str, tuple[float, str]] = {
    "searched-tie": (40, "searched for somebody they have a tie to"),
    "many-doors": (30, "came to one person by several kinds of record"),
    "crowd": (25, "was one of many who opened this person's records without a link to their work"),
    "same-reason": (20, "gave one reason for many people"),
    "many-opens": (15, "opened many records of one search"),
    "paged-through": (10, "paged through a list"),
    "partial-name": (10, "searched by parts of names"),
}


def of_row(row: Mapping[str, Any]) -> Iterator[Sign]:
    """What one record of the answer, or of the request, says."""
    reasons, obligations = words_of(row, "reasons"), words_of(row, "obligations")
    if not reasons and not obligations:
        return
    ties = maps_of(row, "conflicts")
    yield from map(_tie, ties)
    if "conflict" in reasons and not ties:
        yield Sign("conflict", 50, "somebody behind the lookup has a tie that no rule accepts")
    if "self" in reasons and not any(text_of(tie, "relation") == "self" for tie in ties):
        yield Sign("self", 70, "it is their own record")
    if (repeat := text_of(row, "repeat")) in _REPEATS:
        sight = row.get("sight")
        yield Sign(
            f"repeat-{repeat}",
            _REPEATS[repeat],
            f"nothing explains it, and the principal {_TIMES[repeat]} (sight {sight})",
        )
    for pattern in words_of(row, "patterns"):
        if pattern in _PATTERNS:
            yield Sign(pattern, *_PATTERNS[pattern])
    if text_of(row, "involvement") == "ended":
        yield Sign("involvement-ended", 35, "their work with it is over")
    yield from _of_demands(reasons, obligations)


def _of_demands(reasons: tuple[str, ...], obligations: tuple[str, ...]) -> Iterator[Sign]:
    """What rules said of it."""
    if "policy-refused" in reasons:
        yield Sign("policy-refused", 15, "no rule permits it")
    if "approve" in obligations:
        yield Sign("approval-wanted", 15, "a rule wants a supervisor's approval")
    elif "flag" in obligations:
        yield Sign(FLAGGED, 10, "a rule flags it")
    if "obligation-unmet" in reasons and "approve" not in obligations:
        yield Sign("not-done", 10, "something that a rule asked for was not done")


def _tie(tie: Mapping[str, Any]) -> Sign:
    relation, whose = text_of(tie, "relation"), text_of(tie, "whose") or "principal"
    sure = text_of(tie, "tier") == "confirmed"
    if relation == "self":
        return Sign("self", 70 if sure else 30, f"it {'is' if sure else 'may be'} the {whose}'s own record")
    points = (60.0 if sure else 25.0) * (1 if relation not in ("colleague", "ex_colleague") else 0.6)
    has = "has" if sure else "may have"
    return Sign(f"tie-{relation}", points, f"the {whose} {has} a tie to them: {relation.replace('_', ' ')}")


def _is_noted(body: Body) -> bool:
    """Whether policy refused or a rule demanded anything of the lookup or of a row."""
    rows = [row for row in body.rows if isinstance(row, Mapping)]
    said = {word for row in rows for word in (*words_of(row, "obligations"), *words_of(row, "reasons"))}
    policy = {"self", "conflict", "policy-refused", "obligation-unmet", "masked-criterion", "flag"}
    # What was demanded before the answer was known counts, unless the rows that went out, judged one by one, bear none of it out.
    owed = () if body.released and rows else body.words("obligations")
    return bool(policy & {*body.words("reasons"), *said} or owed or body.words("notify"))


def _of_reference(state: str) -> Iterator[Sign]:
    if state == "ended":
        yield Sign("assignment-ended", 25, "their assignment to the reference is over")
    elif state in ("closed", "unknown"):
        yield Sign(f"reference-{state}", 15, f"the reference is {state}")


def of_lookup(body: Body) -> Iterator[Sign]:
    """What the lookup as a whole says; nothing where neither policy refused nor a rule flagged anything of it."""
    if not _is_noted(body):
        return
    for pattern in body.words("patterns"):
        if pattern in _PATTERNS:
            yield Sign(pattern, *_PATTERNS[pattern])
    if body.text("breadth") == "high":
        yield Sign("breadth", 15, "the principal looks up far more people than usual")
    yield from _of_reference(body.text("ref_state"))
    if body.fields.get("declared_break_glass") is True:
        yield Sign("break-glass", 20, "glass was declared broken")
    if body.words("notify") and body.fields.get("declared_break_glass") is not True:
        yield Sign("notify", 10, "a rule has somebody told of it")
    if body.text("challenge") == "drawn":
        yield Sign("drawn", 2, "it was drawn by lot")
    if not body.rows:
        yield Sign(
            FLAGGED if body.released else "policy-refused",
            10,
            "a rule flags it" if body.released else "no rule permits it",
        )
