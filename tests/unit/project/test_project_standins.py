"""The stand-ins that people who embed the gate test with: they fit the seams, and never let a conflict through."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from purposegate.judge import judge
from purposegate.model import (
    Action,
    Conflict,
    CountKey,
    Declaration,
    Entry,
    EntryKind,
    Lookup,
    Principal,
    Question,
    RecordRef,
    Tier,
    Whose,
)
from purposegate.protocols import Decider, Facts, Ledger
from purposegate.testing import FixedFacts, ForgetfulLedger, UnsafeAllowAll
from purposegate.weigh import named

pytestmark = pytest.mark.anyio

TIE = Conflict(
    whose=Whose.PRINCIPAL,
    relation="friend",
    tier=Tier.CONFIRMED,
    provenance="vetting",
    entry="C-1",
    declared=False,
)
LOOKUP = Lookup(
    id="1",
    at=datetime(2026, 11, 21, tzinfo=UTC),
    principal=Principal(id="T1001", roles=("officer",)),
    action=Action.VIEW,
    kind="person",
    records=(RecordRef("person", "7"),),
    declaration=Declaration(purpose="investigate.crime", ref="CR/1042/26"),
)


def question() -> Question:
    """A question without a conflict."""
    return Question(
        principal_id="T1001",
        roles=("officer",),
        unit="unit",
        tenure="settled",
        on_duty=True,
        action="view",
        kind="person",
        record_id="",
        purpose="investigate.crime",
        purpose_family=("investigate", "investigate.crime"),
        entitled=True,
        break_glass=False,
        ref_state="assigned",
        explained_by=(),
        repeat="first",
        originator="none",
        recipient="none",
    )


async def test_allowing_everything_accepts_no_conflict() -> None:
    """The PDP that allows all names no relation as accepted, so a tie still refuses (law 5)."""
    decider: Decider = UnsafeAllowAll()
    ruling = await decider.decide([question(), replace(question(), conflict="friend")], lookup_id="1")
    plain, tied = ruling.answers

    assert judge(plain, [], allow_rules=ruling.allow_rules, fulfilled=()).released
    assert not judge(plain, [(TIE, tied)], allow_rules=ruling.allow_rules, fulfilled=()).released


async def test_fixed_facts_say_the_same_of_everybody() -> None:
    """Each record has the conflicts given, each sight is the first, and nothing is ever stale."""
    facts: Facts = FixedFacts(conflicts=(TIE,))
    about = await facts.about_lookup(LOOKUP)
    sights = facts.sights(LOOKUP, tenure=about.tenure)
    (found,) = await facts.about_records(LOOKUP, named(LOOKUP.records))
    standings = await sights.take(named(LOOKUP.records), [found])

    assert "assigned" == about.ref_state
    assert [(1, "first")] == [(one.ordinal, one.repeat) for one in standings]
    assert ("usual", ()) == (sights.words.breadth, sights.words.patterns)
    assert "anybody" == await facts.known_as("anybody")


async def test_forgetful_ledger_keeps_entries_in_order() -> None:
    """Entries can be looked at afterwards, and receipts count them."""
    kept = ForgetfulLedger()
    ledger: Ledger = kept
    entries = [
        Entry(kind=EntryKind.RELEASE, lookup_id=str(n), at=LOOKUP.at, released=True, fields={})
        for n in range(3)
    ]
    receipts = [await ledger.append(entry) for entry in entries]

    assert entries == kept.entries
    assert [0, 1, 2] == [receipt.index for receipt in receipts]
    assert (0,) == tuple(await ledger.counts([CountKey("T1001", "view", LOOKUP.records[0])]))
