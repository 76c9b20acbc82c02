"""What decides at this moment, and the one way to ask it: shared by the managed and the remote decider.

A lookup is answered whole by the Cerbos it began with: a reload swaps one reference and closes the old one only when
nobody is asking it any more.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from purposegate.decision.cache import AnswerCache, Told
from purposegate.decision.canary import unfit
from purposegate.decision.client import CheckClient
from purposegate.errors import PdpOutage, PurposegateError
from purposegate.model import Answer, Question, Ruling

UNVERIFIED = "unverified"
"""The digest of policies that nobody could prove to be the ones deciding."""

UNASKED = Told(Answer(allowed=False), "")

_DRAINING_S = 10.0
_LOOKING_S = 0.02


class Serving:
    """One Cerbos in use with one set of policies. `fault` says why it cannot be asked just now, None while it can."""

    def __init__(
        self,
        client: CheckClient,
        *,
        digest: str,
        allow_rules: frozenset[str],
        reads_record_ids: bool,
        version: str,
        fault: Callable[[], PurposegateError | None] = lambda: None,
        alive: Callable[[], bool] = lambda: True,
        cache: AnswerCache | None = None,
    ) -> None:
        self.client = client
        self.digest = digest
        self.allow_rules = allow_rules
        self.reads_record_ids = reads_record_ids
        self.version = version
        self.fault = fault
        self._alive = alive
        self._cache = cache
        self._asking = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Count one lookup in."""
        with self._lock:
            self._asking += 1

    def leave(self) -> None:
        """Count one lookup out."""
        with self._lock:
            self._asking -= 1

    async def ask(self, questions: Sequence[Question], *, lookup_id: str) -> tuple[Told, ...]:
        """Answers by index, remembered ones while Cerbos is known alive. Raises `PdpOutage`."""
        cache = self._cache
        if cache is None:
            return await self.client.check(questions, lookup_id=lookup_id)
        epoch, began = self.client.epoch, cache.now()
        told = cache.recall(questions, epoch=epoch) if self._alive() and self.client.connected else {}
        unknown = [question for question in questions if question not in told]
        if unknown:
            fresh = dict(zip(unknown, await self.client.check(unknown, lookup_id=lookup_id), strict=True))
            cache.learn(fresh, epoch=epoch, began=began)
            told |= fresh
        return tuple(told[question] for question in questions)

    async def drain(self) -> None:
        """Wait until no lookup asks it any more, then close its channels. At most ten seconds: deadlines are shorter."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _DRAINING_S
        while self._asking and loop.time() < until:  # noqa: ASYNC110 - see below
            await asyncio.sleep(_LOOKING_S)  # lookups leave from any thread, so no loop's event fits
        await self.client.aclose()


class Decider:
    """Asks whatever serves now. Satisfies `protocols.Decider`; safe from any thread and event loop."""

    def __init__(self) -> None:
        self._serving: Serving | None = None
        self._swap = threading.Lock()
        self._process_id = os.getpid()

    @property
    def digest(self) -> str:
        """SHA-256 of the policies in use, hex, or `unverified`; also `unverified` before start."""
        serving = self._serving
        return UNVERIFIED if serving is None else serving.digest

    @property
    def reads_record_ids(self) -> bool:
        """Whether any policy in use reads the record id. True while nobody can know."""
        serving = self._serving
        return True if serving is None else serving.reads_record_ids

    @property
    def version(self) -> str:
        """Cerbos' version; empty before start."""
        serving = self._serving
        return "" if serving is None else serving.version

    def _replace(self, serving: Serving | None) -> Serving | None:
        with self._swap:
            old, self._serving = self._serving, serving
            self._process_id = os.getpid()
        return old

    @contextmanager
    def _asking(self) -> Iterator[Serving]:
        with self._swap:  # so that a reload cannot find it idle between the read and the count
            serving = self._serving
            if serving is None:
                raise unfit("the decider is not started.")
            if self._process_id != os.getpid():
                raise unfit("the decider was started before this process forked: start it in each worker.")
            serving.enter()
        try:
            yield serving
        finally:
            serving.leave()

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        """Answer every question by its index. Raises `PdpOutage`; an outage is never an answer.

        A question whose principal has no role is refused unasked: Cerbos takes none, and silence refuses.
        """
        with self._asking() as serving:
            fault = serving.fault()
            if fault is not None:
                raise unfit(fault.detail if isinstance(fault, PdpOutage) else str(fault))
            asked = [question for question in questions if question.roles]
            told = dict(zip(asked, await serving.ask(asked, lookup_id=lookup_id), strict=True))
            return Ruling(
                answers=tuple(told.get(question, UNASKED).answer for question in questions),
                allow_rules=serving.allow_rules,
                digest=serving.digest,
                call_id=",".join(dict.fromkeys(one.call_id for one in told.values())),
            )
