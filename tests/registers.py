"""Register stores for tests: the same suite for every database that one may be in."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from force_files import LONDON, NOW, POLICIES, REGISTER, Cells, write
from purposegate.conflicts import relations
from purposegate.conflicts.decisions import Decision, Verdict
from purposegate.conflicts.register_import import MAIN_FEED, Feed, deciding, taking
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_sql import Connection
from purposegate.conflicts.register_store import RegisterStore, StoredRegister
from purposegate.model import RecordRef

RULES = relations.load(POLICIES / "conflicts.yaml")


@dataclass(frozen=True, slots=True)
class RegisterSite:
    """One store, with what a test does to it. `connect` opens its database as its administrator may, without keys."""

    folder: Path
    place: RegisterPlace
    connect: Callable[[], Connection]

    @property
    def store(self) -> RegisterStore:
        """The store, made if it is not there."""
        return self.place.open(create=True)

    def take(
        self,
        rows: Sequence[Cells],
        *,
        feed: str = MAIN_FEED,
        accept_shorter: bool = False,
        as_of: str = "",
        now: datetime = NOW,
    ) -> dict[str, Any]:
        """Import rows; what the ledger would say of it."""
        source = write(self.folder / f"{feed}.csv", REGISTER, rows, as_of=as_of or "2026-11-20T09:00:00Z")
        wanted = Feed(name=feed, source=source, least_share=0.8, accept_shorter=accept_shorter)
        with taking(self.store, wanted, RULES, now=now, zone=LONDON) as pending:
            pending.commit()
        return dict(pending.taken)

    def load(self) -> StoredRegister:
        """The newest generation."""
        return self.place.open().load(RULES)

    def decide(self, verdict: Verdict = Verdict.REJECTED, *, principal: str = "E1", **changes: Any) -> None:
        """Keep a decision."""
        given: dict[str, Any] = {
            "entry": "register:r1",
            "relation": "sibling",
            "record": RecordRef("person", "900"),
            "of_entry": frozenset({"name edmund|archer"}),
            "of_record": frozenset({"name edmund|archer"}),
            "by": "E7",
            "at": NOW,
            "receipt": "shard-0/3",
            **changes,
        }
        decision = Decision(verdict=verdict, principal=principal, **given)
        with deciding(self.store, lambda _: decision, now=NOW) as pending:
            pending.commit()

    def execute(self, *statements: str) -> list[Any]:
        """What somebody with the database and without the keys may do. The rows of the last statement."""
        with closing(self.connect()) as connection:
            for statement in statements:
                found = connection.rows(statement)
        return found
