"""Appends under way, and how their callers learn what became of them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

from purposegate.errors import LedgerOutage
from purposegate.ledger.entry import Encoded
from purposegate.model import Receipt


class Pending(NamedTuple):
    """One append under way. Without a loop, `future` is a `concurrent.futures.Future`."""

    encoded: Encoded
    lookup_id: str
    loop: asyncio.AbstractEventLoop | None
    future: Any


class SignedHead(NamedTuple):
    """A signed head to keep in the store: through the writer, for only one connection writes."""

    size: int
    note: bytes
    at_s: int


class CosignedHead(NamedTuple):
    """A witness's line for a signed head, to keep in the store the same way."""

    size: int
    note: bytes
    at_s: int
    keyname: str
    line: str


def tell(told: Sequence[tuple[Pending, Receipt | LedgerOutage]]) -> None:
    """Give each caller its receipt or its outage, on its own loop, with one wake-up a loop."""
    loops: defaultdict[asyncio.AbstractEventLoop, list[tuple[Any, Receipt | LedgerOutage]]] = defaultdict(
        list
    )
    for pending, answer in told:
        if pending.loop is None:
            _settle([(pending.future, answer)])
        else:
            loops[pending.loop].append((pending.future, answer))
    for loop, answers in loops.items():
        with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, answers)


def _settle(
    answers: Sequence[tuple["Future[Receipt] | asyncio.Future[Receipt]", Receipt | LedgerOutage]],
) -> None:
    for future, answer in answers:
        if future.done():  # cancelled meanwhile: the entry stands, and nothing was released for it
            continue
        if isinstance(answer, Receipt):
            future.set_result(answer)
        else:
            future.set_exception(answer)
