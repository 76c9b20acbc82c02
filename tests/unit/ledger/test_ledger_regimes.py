"""What logging laws ask of an entry: answered for every shipped purpose, and missed where catalogue or settings fall short."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from purposegate.attempt import Attempt, Snapshot
from purposegate.enforcement.refusal import WaysForward
from purposegate.exchange import Request
from purposegate.ledger.entry import encode, read_leaf, read_payload
from purposegate.ledger.regimes import (
    REGIMES,
    Claims,
    LegalField,
    Need,
    Told,
    discloses,
    missing,
    operations,
    shortfalls,
)
from purposegate.model import Action, Declaration, EntryKind, Principal, RecordRef
from purposegate.purposes.catalogue import load as load_catalogue
from purposegate.purposes.purpose import CataloguePurpose
from purposegate.records.cursor import Cursors
from purposegate.records.mapping import load as load_records
from purposegate.testing import FixedFacts, UnsafeAllowAll

POLICIES = Path(__file__).parents[3] / "policies"
CATALOGUE = load_catalogue(POLICIES / "purposes.yaml")
ORI = "NH0301000"
KEPT = Claims(ori=ORI)
"""Settings under which nothing is missing: enforced, recorded, with the agency's identifier."""
REASON = "Witness names a red Ford outside number fourteen at midnight"


@dataclass(frozen=True)
class Matched:
    """A route matched, as far as an entry tells of it."""

    action: Action
    route: str = "person"
    kind: str = "person"
    records: tuple[RecordRef, ...] = (RecordRef("person", "rec-1"),)
    criteria: Mapping[str, str] = field(default_factory=dict)


async def nobody(_: Request) -> Principal:
    raise AssertionError("nobody is asked who they are here")


SNAPSHOT = Snapshot(
    routes=load_records(POLICIES / "records.yaml"),
    catalogue=CATALOGUE,
    decider=UnsafeAllowAll(),
    facts=FixedFacts(),
    identify=nobody,
    cursors=Cursors(bytes(32), lifetime_s=3600),
    ways=WaysForward(hand_over="/hand-over", supervisor="/supervisor"),
    modes={},
    digest="test",
    agency={"agency": "Northam Police", "ori": ORI},
)


def declared(purpose: CataloguePurpose, **given: Any) -> Declaration:
    """A declaration that the catalogue takes."""
    ref = purpose.references[0].example if purpose.references else ""
    return Declaration(**{"purpose": purpose.code, "ref": ref, "reason": REASON, **given})


def told(purpose: CataloguePurpose, action: Action, declaration: Declaration) -> Told:
    """A release's entry, written as the ledger writes it and read back."""
    request = Request(
        method="GET", path="/people/person/rec-1", raw_path=b"/people/person/rec-1", query=b"", peer="192.0.2.7"
    )  # fmt: skip
    attempt = Attempt(
        id="lookup-1",
        at=datetime(2026, 11, 21, 19, tzinfo=UTC),
        snapshot=SNAPSHOT,
        principal=Principal(id="T1001", roles=("investigator",)),
        request=request,
        match=Matched(action),  # type: ignore[arg-type]
        declaration=declaration,
        purpose=purpose,
    )
    entry = attempt.entry(EntryKind.RELEASE, released=True)
    written = encode(entry, shard="shard-0", tokens=(), random=os.urandom)
    leaf = read_leaf(written.leaf)
    keys = {"k": leaf.kind, "d": "released" if leaf.released else "withheld", "t": leaf.at.isoformat()}
    return Told(keys, read_payload(written.payload).fields)


purposes = st.sampled_from(list(CATALOGUE.purposes.values()))
people = st.sampled_from(["", "T1002", "Northam Council"])


@given(purpose=purposes, action=st.sampled_from(list(Action)), originator=people, recipient=people)
def test_every_shipped_purpose_answers_the_laws_that_its_catalogue_can_claim(
    purpose: CataloguePurpose, action: Action, originator: str, recipient: str
) -> None:
    """Whatever the catalogue accepts and the policies can release, no mandatory field of a profile is empty."""
    declaration = declared(purpose, originator=originator, recipient=recipient)
    assume(not list(purpose.faults(declaration)))
    assume(action is not Action.EXPORT or recipient)  # no shipped rule exports to nobody: `check` shows it
    claimed = [name for name in REGIMES if not list(shortfalls([name], [purpose], KEPT))]
    entry = told(purpose, action, declaration)

    assert {"eu-led", "uk-dpa", "uk-duaa"} <= set(claimed)
    assert {name: [] for name in claimed} == {name: missing(REGIMES[name], entry) for name in claimed}


def test_only_training_cannot_claim_every_law() -> None:
    """NCIC has no code for training; each other shipped purpose meets every profile."""
    found = {each[:4] for each in shortfalls(list(REGIMES), CATALOGUE.purposes.values(), KEPT)}

    assert {("us-cjis", "purpose code", "train.test", Need.NCIC)} == found


@pytest.mark.parametrize(
    ("action", "recipient", "expected"),
    [
        (Action.VIEW, "", ("consultation",)),
        (Action.SEARCH, "", ("consultation",)),
        (Action.COUNT, "", ("consultation",)),
        (Action.VIEW, "Northam Council", ("consultation", "disclosure")),
        (Action.EXPORT, "Northam Council", ("disclosure",)),
        (Action.EDIT, "", ("alteration",)),
    ],
)
def test_entry_says_the_laws_word_for_what_was_done(
    action: Action, recipient: str, expected: tuple[str, ...]
) -> None:
    """Seeing is consultation; passing on, to somebody named, is disclosure too; an export is disclosure."""
    purpose = CATALOGUE.purposes["disclose.partner"]

    assert expected == operations(told(purpose, action, declared(purpose, recipient=recipient)))


def test_reading_and_erasing_the_log_have_their_words() -> None:
    """Entries about the log itself are operations too."""
    assert [("consultation",), ("erasure",), ()] == [
        operations(Told({"k": kind}, {})) for kind in ("reading", "erase", "recovery")
    ]


WANTED = [
    (name, each) for name, regime in REGIMES.items() for each in regime.fields if each.name != "outcome"
]
"""Every mandatory field but the outcome, which is in each leaf and is how a release is known at all."""


@pytest.mark.parametrize(("name", "wanted"), WANTED, ids=lambda value: str(getattr(value, "name", value)))
def test_each_mandatory_field_is_missed_when_its_answer_is_taken_away(name: str, wanted: LegalField) -> None:
    """No field is answered by chance: without what `where` names, `missing` names the field; but never for a refusal."""
    purpose = CATALOGUE.purposes["disclose.partner"]
    whole = told(purpose, Action.EXPORT, declared(purpose, recipient="Northam Council"))
    taken = {path.partition(".")[0] for path in wanted.where}
    leaf = {key: value for key, value in whole.leaf.items() if f"leaf.{key}" not in wanted.where}
    cut = Told(leaf, {key: value for key, value in whole.fields.items() if key not in taken})
    refused = Told({**leaf, "d": "withheld"}, cut.fields)

    assert (True, []) == (wanted.name in missing(REGIMES[name], cut), missing(REGIMES[name], refused))


def test_lookup_without_an_action_is_missed_where_it_was_released() -> None:
    """Monitor mode releases what no route matched: the entry then has no word for it, and says so here."""
    bare = Told({"k": "refusal", "d": "released", "t": "2026-11-21T19:00:00Z"}, {"principal": "T1001"})

    assert ["operation"] == missing(REGIMES["eu-led"], bare)


@pytest.mark.parametrize(
    ("changes", "claims", "regime", "need"),
    [
        ({"reason_required": False}, KEPT, "eu-led", Need.REASON),
        ({"reason_required": False}, KEPT, "uk-dpa", Need.REASON),
        ({"reason_required": False}, KEPT, "uk-duaa", None),
        ({"aliases": {}}, KEPT, "us-cjis", Need.NCIC),
        ({"aliases": {}}, KEPT, "eu-led", None),
        ({"recipient": "optional"}, KEPT, "uk-duaa", Need.RECIPIENT),
        ({}, Claims(), "us-cjis", Need.ORI),
        ({}, Claims(), "eu-led", None),
        ({}, Claims(ori=ORI, monitored=("person",)), "eu-led", Need.ENFORCED),
        ({}, Claims(ori=ORI, passes_unrecorded=True), "uk-duaa", Need.RECORDED),
    ],
)
def test_what_could_leave_a_field_empty_is_found(
    changes: dict[str, Any], claims: Claims, regime: str, need: Need | None
) -> None:
    """Each condition is found under the profiles that want it, and under no other."""
    purpose = replace(CATALOGUE.purposes["disclose.partner"], **changes)
    found = {each.need for each in shortfalls([regime], [purpose], claims)}

    assert ({need} if need else set()) == found


def test_disclosing_purposes_are_known_by_family_or_term() -> None:
    """A force that calls the family otherwise keeps the term."""
    partner = CATALOGUE.purposes["disclose.partner"]
    renamed = replace(partner, family=("share", "share.partner"))

    assert [True, True, False] == [
        discloses(each) for each in (partner, renamed, CATALOGUE.purposes["investigate.crime"])
    ]
