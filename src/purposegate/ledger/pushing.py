"""Pushing a shard's heads to its witnesses while the gate runs, and what to do when they fall silent or object.

One thread asks every few seconds for the newest signed head and offers that one head to every witness at once: a quorum has
to stand under one and the same note. A witness that does not answer is left alone for a while and holds nobody up. A head
that has not grown is offered again before its cosignature grows old, so that an idle night is no gap.

A witness that holds more than this shard ever signed, or another past, ends the shard: the log was put back or rewritten.
What it said is kept beside the signer's files, and while that lies there the shard is not opened again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import httpx

from purposegate.errors import (
    EvidenceError,
    LedgerOutage,
    PurposegateError,
    WitnessAhead,
    WitnessContradiction,
)
from purposegate.ledger import contradiction
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessKey, cosigned_at_s
from purposegate.ledger.note import MAX_NOTE_BYTES, LogKey, Note, Signature
from purposegate.ledger.pending import CosignedHead
from purposegate.ledger.quorum import Witnesses, WitnessPlace, WitnessState
from purposegate.ledger.witness_client import Prove, WitnessClient
from purposegate.telemetry import UNWITNESSED

TIMEOUT_S = 5.0
"""Longest wait for one packet of a witness's answer."""
ROUND_S = 6.0
"""Longest wait for all of them; who takes longer is left behind and misses the heads until it is done."""
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
"""Back-off from a witness that fails: short enough that a gate which stops without it comes back within the minute."""
SHOWN_S = 5.0
"""Longest wait for the head that an objecting witness shows: closing the ledger waits for what it says to be kept."""
FINISH_S = 2.0
"""How long closing waits for answers under way: behind them the last head is offered, and a command has only that one."""
JOIN_S = 0.1
"""How soon closing the ledger is noticed while a witness is being waited for."""

LOG = logging.getLogger("purposegate.ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedShard:
    """What pushing asks of an open shard. `notice` blocks until its entry is durable."""

    key: LogKey
    newest: Callable[[], bytes]
    prove: Prove
    keep: Callable[[CosignedHead], None]
    notice: Callable[[dict[str, Any]], object]
    disown: Callable[[str], None]
    memory: Path
    cosigned: Sequence[tuple[bytes, str]]

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.key.name


@dataclass(slots=True)
class _Feed:
    """One witness: where it stands, and when to ask it next. Times are of the monotonic clock."""

    place: WitnessPlace
    client: WitnessClient
    http: httpx.Client
    thread: Thread | None = None
    note: bytes = b""
    at: float | None = None
    in_this_run: bool = False
    retry_at: float = 0.0
    retry_s: float = FIRST_RETRY_S
    trouble: str = ""


@dataclass(slots=True)
class _Clocks:
    """Time as the machine tells it, and time that only goes forward."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class Pusher:
    """Keeps one shard's heads cosigned. Its methods may be called from any thread."""

    def __init__(
        self, witnesses: Witnesses, shard: PushedShard, *, clocks: tuple[Callable[[], float], ...] = ()
    ) -> None:
        """`clocks` are (POSIX seconds, steady seconds), for tests. Raises LedgerOutage where this shard was contradicted."""
        self._witnesses = witnesses
        self._shard = shard
        self._clock = _Clocks(*clocks)
        self._stopping = Event()
        self._gap_open = False
        self._contradicting = Lock()
        self._began = self._clock.steady()
        self.fault = ""
        contradiction.require_none(shard.memory)
        self._feeds = [self._feed(place) for place in witnesses.places]
        self._thread = Thread(target=self._run, name=f"purposegate-witness-{shard.origin}", daemon=True)

    def _feed(self, place: WitnessPlace) -> _Feed:
        """A feed that remembers what the store says this witness cosigned last."""
        known_size, at = 0, None
        for note, line in self._shard.cosigned:
            found = _cosigned_before(note, line, place.key)
            if found is not None:
                known_size, at_s = found
                at = self._clock.steady() - max(0.0, self._clock.wall() - at_s)
        http = httpx.Client(
            trust_env=False, timeout=TIMEOUT_S, verify=place.tls(), limits=httpx.Limits(max_connections=2)
        )
        client = WitnessClient(place.url, place.key, http, self._clock.wall, known_size=known_size)
        return _Feed(place, client, http, at=at)

    def start(self) -> None:
        """Begin to push."""
        self._thread.start()

    def stop(self) -> None:
        """Stop pushing. What is under way is given up; `finish` offers the last head."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        with (
            self._contradicting
        ):  # what a witness objected is on the disk before the ledger lets go of its folder
            pass

    def finish(self) -> None:
        """Offer the last head, once signed, to the witnesses that were well; then let go of their connections. After `stop`."""
        note, end = self._shard.newest(), self._clock.steady() + FINISH_S
        for feed in self._feeds:
            patience_s = max(JOIN_S, end - self._clock.steady())
            if (
                not self.fault
                and not _runs(feed, join_s=patience_s)
                and not feed.trouble
                and feed.note != note
            ):
                self._push(feed, note)
            feed.http.close()  # ends what is still under way, too

    # What others ask

    @property
    def age_s(self) -> float:
        """Seconds since the quorum last stood; where it never did, since pushing began."""
        at = self._witnesses.since({feed.place.key: feed.at for feed in self._feeds if feed.at is not None})
        return max(0.0, self._clock.steady() - (self._began if at is None else at))

    @property
    def states(self) -> list[WitnessState]:
        """Every witness as it stands."""
        now = self._clock.steady()
        return [
            WitnessState(
                name=feed.place.key.name,
                size=feed.client.known_size,
                age_s=None if feed.at is None else max(0.0, now - feed.at),
                trouble=feed.trouble,
            )
            for feed in self._feeds
        ]

    def require_witnessed(self) -> None:
        """Return if a new lookup may begin, by what the witnesses say. Raises LedgerOutage.

        A cosignature from before this start does not count: the store that it stands in may have been put back since.
        """
        if self.fault:
            raise LedgerOutage(self.fault)
        if not self._witnesses.stops:
            return
        seen = {feed.place.key: feed.at for feed in self._feeds if feed.at is not None and feed.in_this_run}
        at = self._witnesses.since(seen)
        if at is None or self._clock.steady() - at > self._witnesses.max_unwitnessed_s:
            raise LedgerOutage(
                f"no quorum of witnesses cosigned within {self._witnesses.max_unwitnessed_s:g} s:"
                f" {self._troubles()}; lookups resume by themselves once it has"
            )

    def _troubles(self) -> str:
        return "; ".join(feed.trouble for feed in self._feeds if feed.trouble) or "not asked yet"

    # The loop

    def _run(self) -> None:
        while not self._stopping.is_set() and not self.fault:
            try:
                self._round(self._shard.newest())
                self._watch()
            except Exception:  # whatever it was, witnessing must go on trying
                LOG.exception("a round of pushing to witnesses failed")
            self._stopping.wait(self._witnesses.every_s)

    def _round(self, note: bytes) -> None:
        """Offer one head to every witness that is due, all at once, and wait for them."""
        due = [feed for feed in self._feeds if self._is_due(feed, note)]
        for feed in due:
            feed.thread = Thread(target=self._push, args=(feed, note), daemon=True)
            feed.thread.start()
        end = self._clock.steady() + ROUND_S
        for feed in due:
            while _runs(feed, join_s=JOIN_S) and not self._stopping.is_set() and self._clock.steady() < end:
                pass

    def _is_due(self, feed: _Feed, note: bytes) -> bool:
        now = self._clock.steady()
        if not note or _runs(feed) or now < feed.retry_at:
            return False
        again_s = self._witnesses.max_unwitnessed_s / 3
        return note != feed.note or feed.at is None or now - feed.at > again_s

    def _push(self, feed: _Feed, note: bytes) -> None:
        try:
            cosigned = feed.client.push(note, self._shard.prove)
        except (WitnessAhead, WitnessContradiction) as error:
            self._contradicted(feed, note, error)
        except PurposegateError as error:
            self._failed(feed, str(error))
        except Exception as error:  # a store that cannot be read now, for the proof
            LOG.exception("the proof for a witness could not be made")
            self._failed(feed, f"{feed.place.key.name}: no proof ({type(error).__name__})")
        else:
            if feed.trouble:
                LOG.warning("%s cosigns again", feed.place.key.name)
            feed.note, feed.at, feed.in_this_run = note, self._clock.steady(), True
            feed.trouble, feed.retry_at, feed.retry_s = "", 0.0, FIRST_RETRY_S
            size = Checkpoint.parse(Note.parse(note).text).size
            self._shard.keep(CosignedHead(size, note, cosigned.at_s, feed.place.key.name, cosigned.line))

    def _failed(self, feed: _Feed, why: str) -> None:
        if why != feed.trouble:
            LOG.warning("a witness gave no cosignature: %s", why)
        feed.trouble = why
        feed.retry_at = self._clock.steady() + feed.retry_s
        feed.retry_s = min(feed.retry_s * 2, LAST_RETRY_S)

    def _watch(self) -> None:
        """Say how old the last cosignature is, and write where a gap begins and ends."""
        age_s = self.age_s
        UNWITNESSED.set(age_s)
        is_gap = age_s > self._witnesses.max_unwitnessed_s
        if is_gap == self._gap_open or self.fault:
            return
        fields: dict[str, Any] = {
            "event": "unwitnessed" if is_gap else "witnessed-again",
            "age_s": round(age_s),
            "limit_s": self._witnesses.max_unwitnessed_s,
            "stops": self._witnesses.stops,
            "witnesses": [
                {"name": state.name, "size": state.size, "trouble": state.trouble} for state in self.states
            ],
        }
        if is_gap:
            LOG.error("no quorum of witnesses cosigned for %d s: %s", age_s, self._troubles())
        try:
            self._shard.notice(fields)
        except LedgerOutage:
            return  # said once the ledger can append again
        self._gap_open = is_gap

    # Contradiction

    def _contradicted(self, feed: _Feed, note: bytes, error: EvidenceError) -> None:
        """Stop the shard, and keep what there is to show."""
        newest = Checkpoint.parse(Note.parse(self._shard.newest()).text).size
        if isinstance(error, WitnessAhead) and error.size <= newest:
            self._failed(
                feed, f"{feed.place.key.name}: was offered an older head"
            )  # signed meanwhile; offer that
            return
        with self._contradicting:
            self.fault = f"witness {feed.place.key.name} contradicts this shard: {error}"
            self._shard.disown(self.fault)
            shown = self._shown(feed)
            try:
                path = contradiction.keep(
                    self._shard.memory,
                    witness=str(feed.place.key),
                    url=feed.place.url,
                    offered=note,
                    shown=shown,
                    said=str(error),
                )
                kept = str(path)
            except OSError as fault:
                kept = f"nowhere ({fault.strerror})"
            feed.trouble = self.fault
        LOG.critical("%s. %s Kept in %s", self.fault, error.remedy, kept)

    def _shown(self, feed: _Feed) -> bytes:
        """The head that the witness shows of this log, if it bears this log's own signature; else nothing."""
        url = f"{feed.place.url.rstrip('/')}/{sha256(self._shard.origin.encode()).hexdigest()}/checkpoint"
        raw, end = b"", self._clock.steady() + SHOWN_S
        try:
            with feed.http.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
                if answer.status_code != httpx.codes.OK:
                    return b""
                for chunk in answer.iter_raw():
                    raw += chunk
                    if len(raw) > MAX_NOTE_BYTES or self._clock.steady() > end:
                        return b""
            Note.parse(raw).verified([self._shard.key])
        except (httpx.HTTPError, EvidenceError):
            return b""
        return raw


def _runs(feed: _Feed, *, join_s: float = 0.0) -> bool:
    """Whether a push is under way, waiting so long for its end."""
    if feed.thread is None:
        return False
    feed.thread.join(join_s)
    return feed.thread.is_alive()


def _cosigned_before(note: bytes, line: str, key: WitnessKey) -> tuple[int, int] | None:
    """(size, POSIX second) of a cosignature in the store, if it is this witness's."""
    try:
        text = Note.parse(note).text
        ((_, signature),) = Note(text, (Signature.parse(line),)).verified([key])
        return Checkpoint.parse(text).size, cosigned_at_s(signature)
    except EvidenceError:
        return None  # another witness's, or an altered one: this one is then asked as if for the first time
