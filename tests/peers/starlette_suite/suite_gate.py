"""The two gates that Starlette's own suite runs behind: every route open, and every http route a monitored view.

Routes, facts and PDP are the plainest that the protocols allow: what is under test is the middleware and the pipeline, as
an app behind them sees them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from purposegate.attempt import Snapshot
from purposegate.enforcement.refusal import WaysForward
from purposegate.exchange import WEBSOCKET, Held, Page, Request
from purposegate.gate import Gate, Parts
from purposegate.model import Action, Declaration, Identity, Mode, Principal, RecordRef, Row
from purposegate.protocols import Ledger, Match, Sheet
from purposegate.testing import FixedFacts, Ready, UnsafeAllowAll

DECLARATION = Declaration(purpose="audit.test", ref="S/1", reason="Starlette's own suite")
CAP_BYTES = 8 * 1024 * 1024


class OpenRoutes:
    """Every route open."""

    def match(self, request: Request) -> Match | None:
        return None


class ViewRoutes:
    """Every http route the view of a record named by its path; WebSockets stay open."""

    def match(self, request: Request) -> Match | None:
        return None if request.method == WEBSOCKET else View(request)


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer of any kind as one record about nobody."""

    record: RecordRef
    next_token: str = ""

    @property
    def rows(self) -> tuple[Row, ...]:
        return (Row(record=self.record, subjects=(), fields=frozenset(), place=0),)


@dataclass(frozen=True, slots=True)
class View:
    """Any request as a view. Monitor mode never renders, so there is nothing to write again."""

    asked: Request
    route: str = "view"
    action: Action = Action.VIEW
    kind: str = "page"
    criteria: Mapping[str, str] = field(default_factory=dict)
    cap_bytes: int = CAP_BYTES
    headers: frozenset[bytes] = frozenset()
    cursor_scope: str = ""
    page: str = ""
    judged: bool = True

    @property
    def records(self) -> tuple[RecordRef, ...]:
        return (RecordRef("page", self.asked.path),)

    @property
    def fields(self) -> frozenset[str]:
        return frozenset()

    @property
    def sought(self) -> tuple[Identity, ...]:
        return ()

    def touches(self, masks: frozenset[str]) -> bool:
        return False

    def hidden(self, masks: frozenset[str]) -> frozenset[str]:
        return masks

    def request(self, page: Page) -> Request:
        return self.asked

    def read(self, held: Held) -> Sheet:
        return Whole(self.records[0])

    def redirects_safely(self, held: Held) -> bool:
        return True

    def render(
        self, kept: Sequence[tuple[Sheet, Row, frozenset[str]]], *, first: Sheet, cursor: str, notice: str
    ) -> tuple[bytes, bytes]:
        raise TypeError("monitor mode passes answers on as they are")


@dataclass(frozen=True, slots=True)
class Testing:
    """One purpose, open to everybody."""

    code: str = DECLARATION.purpose
    family: tuple[str, ...] = ("audit", "audit.test")
    breaks_glass_when_unavailable: bool = False
    notice: str = "For Starlette's own tests."
    notice_digest: str = ""
    valid_s: int = 60
    grace_s: int = 0
    service_allowed: bool = True
    approvers: frozenset[str] = frozenset()

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    def entitles(self, principal: Principal) -> bool:
        return True

    def breaks_glass(self, principal: Principal) -> bool:
        return False

    def judge_reason(self, reason: str, *, ref_state: str, is_recycled: bool) -> tuple[tuple[str, str], ...]:
        """Nothing stands against a reason."""
        return ()

    def reason_is_full(self, reason: str) -> bool:
        return True

    def opens_kind(self, kind: str) -> bool:
        return True

    def opened(self, kind: str) -> frozenset[str] | None:
        return None


class OnePurpose:
    """A catalogue under which every request counts as declared: Starlette's tests know nothing of declarations."""

    version = "1"
    field = "access-purpose"

    def declared(self, request: Request) -> Declaration:
        return DECLARATION

    def accept(self, declaration: Declaration) -> Testing:
        return Testing()

    def named(self, code: str) -> Testing:
        return Testing()

    def kind_of(self, ref: str) -> str:
        return "test"

    def offered(self, principal: Principal) -> list[dict[str, Any]]:
        return []

    def open_to(self, principal: Principal) -> Sequence[Testing]:
        return (Testing(),)


class NoCursors:
    """Cursors of a place without pages."""

    def seal(self, page: Page, *, principal_id: str, match: Match) -> str:
        return ""

    def unseal(self, cursor: str, *, principal_id: str, match: Match) -> Page:
        return Page()


async def _somebody(request: Request) -> Principal:
    return Principal(id="suite", roles=("officer",))


def suite_gate(ledger: Ledger, *, monitored: bool) -> Gate:
    """A gate with every http route a monitored view, or with every route open."""
    snapshot = Snapshot(
        routes=ViewRoutes() if monitored else OpenRoutes(),
        catalogue=OnePurpose(),
        decider=UnsafeAllowAll(),
        facts=FixedFacts(),
        identify=_somebody,
        cursors=NoCursors(),
        ways=WaysForward(hand_over="/hand-over", supervisor="/supervisor"),
        modes={"default": Mode.MONITOR},
        digest="suite",
    )

    return Gate(Ready(Parts(ledger=ledger, snapshot=snapshot)))
