"""Answers remembered, so that the same question is put to Cerbos once a minute and not with every lookup.

Why this changes no decision. Policies are pure: a question holds words and bands alone, `purposegate check` refuses a
policy that reads the clock, and policies that read it all the same are served without a cache. So one question has one
answer under one policies digest, and a cache belongs to one digest: a reload begins with an empty one. Where the digest is
`unverified`, others may change the policies unseen, and nothing is remembered.

Why it hides no outage (law 2). A dead Cerbos must be 503, not yesterday's answer. What is remembered counts only while
Cerbos is known alive, which is three things at once: no fault of it is reported, and the kernel has not ended the process
where it is ours; this loop's channel to it is connected; and a call to this very Cerbos, begun at most `ALIVE_S` ago, was
answered. Once a second, then, a question is put for its own sake. One of ours that has ended is an outage with the next
lookup; one that hangs, or is cut off, within that second.

What is never remembered: an outage, an answer that Cerbos or the reader of its outputs calls malformed, and a rule's error.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple

from cachetools import TTLCache

from purposegate.decision.purity import Reads
from purposegate.errors import PdpOutage
from purposegate.judge import read_outputs
from purposegate.model import Answer, Question

ALIVE_S = 1.0
"""How long one answer proves Cerbos alive. A health check of ours is no more frequent, and nobody waits for this one."""
KEPT_S = 60.0
"""How old a remembered answer may be. It bounds what somebody gains who changes policies under the digest's own version."""
MOST = 20_000
"""Questions remembered, about 1 KiB each. A large force asks some thousand different ones an hour."""

_WORDS = tuple(field.name for field in fields(Question))


class Told(NamedTuple):
    """An answer, and Cerbos' id of the call that gave it."""

    answer: Answer
    call_id: str


class AnswerCache:
    """The answers of one Cerbos under one set of policies. Safe from any thread."""

    def __init__(
        self,
        *,
        allow_rules: Collection[str],
        by_principal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`by_principal`: whether a policy reads the principal's id, so that each has answers of their own."""
        words = (word for word in _WORDS if by_principal or word != "principal_id")
        self._key: Callable[[Question], Hashable] = attrgetter(*words)
        self._allow_rules = allow_rules
        self._clock = clock
        self._lock = threading.Lock()
        self._told: TTLCache[Hashable, Told] = TTLCache(MOST, KEPT_S, timer=clock)
        self._alive = (0, float("-inf"))

    def now(self) -> float:
        """When a call begins, for `learn`."""
        return self._clock()

    def recall(self, questions: Sequence[Question], *, epoch: int) -> dict[Question, Told]:
        """What is remembered of these; nothing unless the Cerbos of this epoch answered a call begun within `ALIVE_S`."""
        proved, at = self._alive
        if proved != epoch or self._clock() - at > ALIVE_S:
            return {}
        keys = [self._key(question) for question in questions]
        with self._lock:
            found = [self._told.get(key) for key in keys]
        return {question: told for question, told in zip(questions, found, strict=True) if told is not None}

    def learn(self, told: Mapping[Question, Told], *, epoch: int, began: float) -> None:
        """Remember what a call that began then was answered by the Cerbos of this epoch, and that it lives."""
        sound = [(self._key(question), one) for question, one in told.items() if self._is_sound(one.answer)]
        with self._lock:
            self._alive = max(self._alive, (epoch, began))
            for key, one in sound:
                self._told[key] = one

    def _is_sound(self, answer: Answer) -> bool:
        try:
            read_outputs(answer.outputs, self._allow_rules)
        except PdpOutage:
            return False
        return True


def cache_for(reads: Reads, allow_rules: Collection[str]) -> AnswerCache | None:
    """An empty cache for policies that read no more than this; None where the same question can have two answers."""
    return None if reads.clock else AnswerCache(allow_rules=allow_rules, by_principal=reads.principal_ids)
