"""Pure judging: the PDP's answers about one record in, an outcome out. No await, clock, environment or log.

Law 5 by construction. The PDP is asked once as if there were no conflict, and once for each conflict alone. A record is
released only if every answer allows and every answer about a relation names that relation under `accepts`. One more
conflict therefore adds one more answer that must allow: it can only refuse, whatever an author writes.

Law 9: every output binds. A rule's output that has an error, an unknown key, an unknown word or a wrong type refuses the
whole ruling; an `accepts` counts only from an allow rule of the loaded policies.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from purposegate.errors import PdpOutage
from purposegate.model import Answer, Conflict, Obligation, Outcome, Output
from purposegate.reasons import Reason

SELF = "self"
"""The relation no purpose accepts (design section 7): held here because it is a law, not a policy."""

_LISTS = {"obligations", "accepts", "mask"}
_TEXTS = {"reason", "notify"}


@dataclass(frozen=True, slots=True)
class Demand:
    """What the outputs of one answer add up to."""

    obligations: frozenset[Obligation]
    accepts: frozenset[str]
    masks: frozenset[str]
    notify: frozenset[str]
    reasons: tuple[str, ...]


def _words(output: Output, key: str) -> tuple[str, ...]:
    value: Any = output.value.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise PdpOutage(Reason.POLICY_OUTPUT_MALFORMED, f"{output.src}: {key}: want a list of words")
    return tuple(value)


def _text(output: Output, key: str) -> tuple[str, ...]:
    value: Any = output.value.get(key)
    if value is None and key not in output.value:
        return ()
    if not isinstance(value, str) or not value:
        raise PdpOutage(Reason.POLICY_OUTPUT_MALFORMED, f"{output.src}: {key}: want a text")
    return (value,)


def read_outputs(outputs: Iterable[Output], allow_rules: Collection[str]) -> Demand:
    """Add up the outputs of one answer.

    Raises `PdpOutage(policy-output-malformed)` naming the rule and the key, never the value.
    """
    obligations: set[Obligation] = set()
    accepts: set[str] = set()
    masks: set[str] = set()
    notify: set[str] = set()
    reasons: list[str] = []
    for output in outputs:
        if output.error or not isinstance(output.value, dict):
            raise PdpOutage(
                Reason.POLICY_OUTPUT_MALFORMED, f"{output.src}: the output could not be evaluated to a map"
            )
        unknown = output.value.keys() - _LISTS - _TEXTS
        if unknown:
            raise PdpOutage(Reason.POLICY_OUTPUT_MALFORMED, f"{output.src}: {len(unknown)} unknown key(s)")
        try:
            obligations.update(Obligation(word) for word in _words(output, "obligations"))
        except ValueError:
            raise PdpOutage(
                Reason.POLICY_OUTPUT_MALFORMED, f"{output.src}: obligations: unknown word"
            ) from None
        masks.update(_words(output, "mask"))
        notify.update(_text(output, "notify"))
        reasons.extend(_text(output, "reason"))
        named = _words(output, "accepts")
        if output.src in allow_rules:
            accepts.update(named)
    return Demand(
        frozenset(obligations), frozenset(accepts), frozenset(masks), frozenset(notify), tuple(reasons)
    )


def judge(
    plain: Answer,
    conflicted: Sequence[tuple[Conflict, Answer]],
    *,
    allow_rules: Collection[str],
    fulfilled: Collection[Obligation],
) -> Outcome:
    """Judge one record from the answer without conflict and one answer for each conflict alone.

    `fulfilled` are the obligations that this entrance has carried out or will; any other refuses.
    Raises `PdpOutage(policy-output-malformed)`.
    """
    demands = [
        read_outputs(answer.outputs, allow_rules) for answer in (plain, *(answer for _, answer in conflicted))
    ]
    tied = [
        conflict
        for (conflict, answer), demand in zip(conflicted, demands[1:], strict=True)
        if answer.allowed is not True or conflict.relation not in demand.accepts or conflict.relation == SELF
    ]
    obligations = frozenset[Obligation]().union(*(demand.obligations for demand in demands))
    holds = (
        (Reason.SELF, any(conflict.relation == SELF for conflict in tied)),
        (Reason.CONFLICT, any(conflict.relation != SELF for conflict in tied)),
        (Reason.POLICY_REFUSED, plain.allowed is not True),
        (Reason.OBLIGATION_UNMET, not obligations <= frozenset(fulfilled)),
    )
    reasons = tuple(reason for reason, held in holds if held)
    return Outcome(
        released=not reasons,
        reasons=reasons,
        obligations=obligations,
        masks=frozenset[str]().union(*(demand.masks for demand in demands)),
        notify=frozenset[str]().union(*(demand.notify for demand in demands)),
        relations=tuple(conflict for conflict, _ in conflicted),
        refusing=tuple(tied),
        policy_reasons=tuple(dict.fromkeys(text for demand in demands for text in demand.reasons)),
    )
