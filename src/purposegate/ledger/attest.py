"""The thread that signs: at most a quarter of a second after a commit, and only what is committed."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from purposegate.errors import EvidenceError
from purposegate.ledger.merkle import consistency_proof, frontier_at
from purposegate.ledger.pending import SignedHead
from purposegate.ledger.signing import HeadSigner
from purposegate.ledger.store import Head
from purposegate.ledger.subtrees import Subtrees

GATHER_S = 0.1
"""Commits that follow within this are signed together: 10 signatures a second at most, each 70 us and two fsyncs."""
RETRY_S = 1.0

LOG = logging.getLogger("purposegate.ledger")


class HeadKeeper:
    """Signs a shard's committed heads and hands the notes on."""

    def __init__(
        self,
        signer: HeadSigner,
        *,
        head: Callable[[], Head],
        subtrees: Subtrees,
        keep: Callable[[SignedHead], None],
        disown: Callable[[str], None],
        is_forked: Callable[[], bool],
        due: Event,
    ) -> None:
        """`due` is set by whoever commits or gives up, and `keep` takes each note.

        `disown` is told when the store contradicts what was signed; `is_forked` says whether the writer has given up.
        """
        self._signer = signer
        self._head = head
        self._subtrees = subtrees
        self._keep = keep
        self._disown = disown
        self._is_forked = is_forked
        self._due = due
        self._stopping = Event()
        self.fault = ""
        self._thread = Thread(target=self._run, name=f"purposegate-signer-{signer.origin}", daemon=True)

    def start(self) -> None:
        """Begin to sign; what is committed already is signed first."""
        self._due.set()
        self._thread.start()

    def stop(self) -> None:
        """Sign what is committed, then end."""
        self._stopping.set()
        self._due.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.sign()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait()
            self._stopping.wait(GATHER_S)
            self._due.clear()
            if not self.sign() and not self._stopping.wait(RETRY_S):
                self._due.set()

    def _testify(self, head: Head) -> None:
        """Put the log's name to what was acknowledged and is not in the store any more, unless another went on from it."""
        try:
            if frontier_at(head.size, self._subtrees).root() == head.root:
                return
        except LookupError:
            LOG.critical("The store has lost entries: it does not reach %d any more", head.size)
        if not self._signer.testify(head.size, head.root):
            LOG.critical(
                "Another process signed for this shard; what was lost at %d is not on record", head.size
            )

    def sign(self) -> bool:
        """Sign the committed head unless it is signed. False when it should be tried again."""
        head = self._head()
        if head.size == self._signer.size:
            return True
        try:
            if self._is_forked():
                self._testify(head)
                return True
            note = self._signer.sign(
                head.size, head.root, lambda old, new: consistency_proof(old, new, self._subtrees)
            )
            self._keep(SignedHead(head.size, note, int(time.time())))
        except EvidenceError as error:
            self.fault = str(error)
            self._disown(f"the store contradicts the last signed head: {error}")
            LOG.critical("The ledger contradicts its own last signed head: %s", error)
            return True
        except Exception as error:  # a disk may be ill in many ways, and unsigned heads are signed later
            self.fault = f"the head could not be signed ({type(error).__name__})"
            LOG.exception("The ledger's head could not be signed; trying again")
            return False
        self.fault = ""
        return True
