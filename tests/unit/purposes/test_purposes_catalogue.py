"""The shipped catalogue: what each purpose takes, what it refuses, and who is offered it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import DeclarationRefused, SettingsError
from purposegate.exchange import Request
from purposegate.model import Declaration, Principal
from purposegate.protocols import Catalogue, Purpose
from purposegate.purposes import declaration as wire
from purposegate.purposes import listing
from purposegate.purposes.catalogue import PurposeCatalogue, load
from purposegate.purposes.purpose import CataloguePurpose
from purposegate.reasons import Reason

SHIPPED = Path(__file__).parents[3] / "policies" / "purposes.yaml"
CATALOGUE = load(SHIPPED)
GOOD_REASON = "Witness statement for burglary"
FULL_REASON = "Second statement needed after the witness named another suspect"
SECRET = "zqvxj"


def declare(purpose: str = "investigate.crime", **other: Any) -> Declaration:
    return Declaration(**{"purpose": purpose, "ref": "CR/1042/26", "reason": GOOD_REASON} | other)


def proper(purpose: CataloguePurpose) -> Declaration:
    """A declaration with all that a purpose requires."""
    return Declaration(
        purpose=purpose.code,
        ref=purpose.references[0].example if purpose.references else "",
        reason=GOOD_REASON + " near station",
        recipient="Camden MARAC" if purpose.recipient == "required" else "",
    )


def refusal_of(declaration: Declaration) -> DeclarationRefused:
    with pytest.raises(DeclarationRefused) as caught:
        CATALOGUE.accept(declaration)
    return caught.value


def test_the_catalogue_is_what_the_gate_asks_for() -> None:
    """The catalogue and its purposes fit the gate's protocols, as the type checker sees them."""
    catalogue: Catalogue = CATALOGUE
    purpose: Purpose = CATALOGUE.purposes["investigate.crime"]

    assert "2026.1" == catalogue.version
    assert "investigate.crime" == purpose.code


def test_the_working_catalogue_is_whole() -> None:
    """Every purpose of the working catalogue can be declared, and nothing else can."""
    assert {
        "respond.incident", "respond.missing", "stop.person", "stop.vehicle", "investigate.crime", "custody.process",
        "prosecute.casefile", "intel.develop", "protest.publicorder", "safeguard.victim", "licence.firearms",
        "vet.employment", "traffic.process", "disclose.partner", "rights.sar", "audit.psd", "admin.maintenance", "train.test",
    } == set(CATALOGUE.purposes)  # fmt: skip


@pytest.mark.parametrize("purpose", CATALOGUE.purposes.values(), ids=CATALOGUE.purposes)
def test_each_purpose_accepts_what_it_asks_for(purpose: CataloguePurpose) -> None:
    """A declaration with exactly what the purpose requires is accepted, over the wire."""
    sent = wire.value(proper(purpose)).encode()

    assert purpose is CATALOGUE.accept(wire.read([sent]))


@pytest.mark.parametrize("purpose", CATALOGUE.purposes.values(), ids=CATALOGUE.purposes)
def test_each_purpose_names_its_ancestors(purpose: CataloguePurpose) -> None:
    """A family runs from the widest to the purpose itself; policies compare it."""
    assert (purpose.code.split(".")[0], purpose.code) == purpose.family
    assert purpose.family[0] in CATALOGUE.parents


def test_each_live_purpose_has_its_aliases() -> None:
    """Each purpose but training names its MoPI policing purpose and its NCIC letter; each its DPV term or extension."""
    live = [purpose for code, purpose in CATALOGUE.purposes.items() if code != "train.test"]

    assert all(purpose.aliases["mopi"] and purpose.aliases["ncic"] for purpose in live)
    assert all({"dpv", "dpv-extension"} & set(purpose.aliases) for purpose in CATALOGUE.purposes.values())
    assert {"life", "order", "prevent", "justice", "duty"} == {
        term for each in live for term in each.aliases["mopi"]
    }


REFUSALS = {
    "an unknown code": (declare(SECRET), Reason.PURPOSE_UNKNOWN, "codes listed"),
    "a code in capitals": (declare("Investigate.Crime"), Reason.PURPOSE_UNKNOWN, "written exactly so"),
    "a parent": (declare("investigate"), Reason.PURPOSE_UNKNOWN, "choose one under it: investigate.crime."),
    "another parent": (declare("respond"), Reason.PURPOSE_UNKNOWN, "respond.incident, respond.missing"),
    "no reference": (declare(ref=""), Reason.REFERENCE_MISSING, "case number, such as CR/1042/26"),
    "a reference of another kind": (declare(ref="INC/1187/26"), Reason.REFERENCE_MALFORMED, "case number"),
    "a reference in small letters": (declare(ref="cr/1042/26"), Reason.REFERENCE_MALFORMED, "CR/1042/26"),
    "a reference with more after it": (
        declare(ref="CR/1042/26 zqvxj"),
        Reason.REFERENCE_MALFORMED,
        "CR/1042/26",
    ),
    "a reference with a line break": (declare(ref="CR/1042/26\n"), Reason.REFERENCE_MALFORMED, "CR/1042/26"),
    "a reference in other digits": (declare(ref="CR/١٠٤٢/26"), Reason.REFERENCE_MALFORMED, "CR/1042/26"),
    "a reference where none is taken": (declare("stop.person"), Reason.REFERENCE_MALFORMED, "takes none"),
    "no reason": (declare(reason=""), Reason.REASON_MISSING, "in your own words"),
    "a blank reason": (declare(reason="  ... "), Reason.REASON_MISSING, "in your own words"),
    "a poor reason": (declare(reason="zqvxj"), Reason.REASON_POOR, "what you are doing"),
    "no recipient": (
        declare("disclose.partner", ref="ISA/12/26", reason=FULL_REASON),
        Reason.RECIPIENT_UNKNOWN,
        "name who will receive it",
    ),
    "a blank recipient": (
        declare("disclose.partner", ref="ISA/12/26", reason=FULL_REASON, recipient="  "),
        Reason.RECIPIENT_UNKNOWN,
        "name who will receive it",
    ),
    "a recipient where none is taken": (
        declare("protest.publicorder", ref="OP/HAWTHORN/26", reason=FULL_REASON, recipient=SECRET),
        Reason.RECIPIENT_UNKNOWN,
        "takes none",
    ),
    "an originator where none is taken": (
        declare("train.test", ref="", reason=FULL_REASON, originator=SECRET),
        Reason.ORIGINATOR_UNKNOWN,
        "takes none",
    ),
    "a blank originator": (declare(originator=" "), Reason.ORIGINATOR_UNKNOWN, "or leave it out"),
    "a notice worded otherwise": (declare(notice="0" * 32), Reason.NOTICE_OUTDATED, "read it again"),
    "break-glass where there is none": (declare(break_glass=True), Reason.DECLARATION_MALFORMED, "has none"),
}


@pytest.mark.parametrize(("declaration", "reason", "mend"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_purpose_cannot_take_is_refused(declaration: Declaration, reason: Reason, mend: str) -> None:
    """Each fault has its own reason, and its detail says what to mend without repeating what was sent."""
    refusal = refusal_of(declaration)

    assert reason is refusal.reason
    assert mend in refusal.detail
    assert SECRET not in str(refusal)


def test_every_fault_is_named_at_once() -> None:
    """People mend once: the first fault gives the reason, the detail names them all."""
    refusal = refusal_of(declare("disclose.partner", ref="", reason="inv"))

    assert Reason.REFERENCE_MISSING is refusal.reason
    assert ["ref:", "reason:", "recipient:"] == [
        word for word in refusal.detail.split() if word.endswith(":")
    ]


def test_broken_glass_needs_no_reference_where_life_is_at_risk() -> None:
    """An emergency has no number yet, where the catalogue says so."""
    declaration = declare("respond.incident", ref="", break_glass=True)

    assert "respond.incident" == CATALOGUE.accept(declaration).code


def test_broken_glass_needs_a_reason_like_any_other() -> None:
    """Breaking glass is never free of a reason."""
    refusal = refusal_of(declare("respond.incident", ref="", reason="", break_glass=True))

    assert Reason.REASON_MISSING is refusal.reason


def test_broken_glass_with_a_reference_needs_a_right_one() -> None:
    """A reference may be left out, not made up."""
    refusal = refusal_of(declare("respond.incident", ref="ASAP", break_glass=True))

    assert Reason.REFERENCE_MALFORMED is refusal.reason


def test_glass_breaks_for_named_roles_only() -> None:
    """The catalogue names who may break glass; a role that may use the purpose is not enough."""
    missing = CATALOGUE.purposes["respond.missing"]
    investigator, officer = (Principal(id="p", roles=(role,)) for role in ("investigator", "officer"))

    assert (True, False) == (missing.entitles(investigator), missing.breaks_glass(investigator))
    assert (True, True) == (missing.entitles(officer), missing.breaks_glass(officer))


def test_only_emergencies_open_when_parts_are_down() -> None:
    """Everything else is closed when the PDP or the facts are out."""
    assert {"respond.incident", "respond.missing", "safeguard.victim"} == {
        code for code, purpose in CATALOGUE.purposes.items() if purpose.breaks_glass_when_unavailable
    }


def test_a_full_reason_says_more() -> None:
    """What justifies a repeat is more than what opens a first view."""
    purpose = CATALOGUE.purposes["investigate.crime"]

    assert (False, True) == (purpose.reason_is_full(GOOD_REASON), purpose.reason_is_full(FULL_REASON))


def test_all_that_stands_against_a_reason_is_said_in_sentences() -> None:
    """The words used for many others, a reference that nobody knows, and what a full reason would need."""
    purpose = CATALOGUE.purposes["investigate.crime"]
    good = purpose.judge_reason(GOOD_REASON, ref_state="unknown", is_recycled=True)
    full = purpose.judge_reason(FULL_REASON, ref_state="open", is_recycled=False)
    poor = purpose.judge_reason("Mickey Mouse", ref_state="assigned", is_recycled=False)

    assert ["recycled", "no-such-reference", "not-full"] == [word for word, _ in good]
    assert ((), ["few-words"]) == (full, [word for word, _ in poor])
    assert all(sentence.endswith(".") and ". " not in sentence for _, sentence in (*good, *poor))


def test_no_reason_has_nothing_against_it() -> None:
    """Where none was asked for and none given, there is nothing to judge; a reference unknown is still said."""
    purpose = CATALOGUE.purposes["train.test"]

    assert () == purpose.judge_reason("", ref_state="none", is_recycled=False)
    assert ["no-such-reference"] == [
        word for word, _ in purpose.judge_reason("", ref_state="unknown", is_recycled=False)
    ]


def test_no_reason_is_full_where_none_can_be() -> None:
    """A purpose without `justify` meets no demand for a justification: silence refuses."""
    assert False is CATALOGUE.purposes["train.test"].reason_is_full(FULL_REASON)


def test_the_header_is_read_by_its_configured_name() -> None:
    """Only the configured field counts, whatever the letter case it was configured in."""
    catalogue = load(SHIPPED, field="X-Policing-Purpose")
    headers = ((b"access-purpose", b"train.test"), (b"x-policing-purpose", b"a.b"))

    assert (
        "a.b" == catalogue.declared(Request(method="GET", raw_path=b"/", path="/", headers=headers)).purpose
    )


def test_a_header_that_browsers_send_cannot_be_configured() -> None:
    """The catalogue does not load with it."""
    with pytest.raises(SettingsError):
        load(SHIPPED, field="Sec-Purpose")


def test_two_headers_are_refused_by_the_catalogue_too() -> None:
    """A proxy that adds its own declaration beside the client's does not choose for them."""
    headers = ((b"access-purpose", b"train.test"), (b"access-purpose", b"train.test"))

    with pytest.raises(DeclarationRefused, match="send it once"):
        CATALOGUE.declared(Request(method="GET", raw_path=b"/", path="/", headers=headers))


def test_a_reference_shows_its_kind() -> None:
    """By its form alone; one kind each."""
    assert {kind.example: name for name, kind in CATALOGUE.references.items()} == {
        kind.example: CATALOGUE.kind_of(kind.example) for kind in CATALOGUE.references.values()
    }
    assert "" == CATALOGUE.kind_of("nothing of the kind")


@pytest.mark.parametrize("role", CATALOGUE.roles)
def test_each_role_is_offered_what_it_may_declare(role: str) -> None:
    """The list holds the purposes open to the role, and each example line is one that the wire form can read."""
    principal = Principal(id="p", roles=(role,))
    offers = json.loads(json.dumps(CATALOGUE.offered(principal)))
    read = [wire.read([offer["example"].removeprefix("Access-Purpose: ").encode()]) for offer in offers]

    assert [purpose.code for purpose in CATALOGUE.open_to(principal)] == [each.purpose for each in read]
    assert offers


@pytest.mark.parametrize("purpose", CATALOGUE.purposes.values(), ids=CATALOGUE.purposes)
def test_an_example_line_lacks_only_the_reason(purpose: CataloguePurpose) -> None:
    """Copied unchanged it is refused for its reason alone; with a reason it stands."""
    principal = Principal(id="p", roles=tuple(purpose.roles))
    [offer] = [offer for offer in CATALOGUE.offered(principal) if offer["code"] == purpose.code]
    example = wire.read([offer["example"].removeprefix("Access-Purpose: ").encode()])
    expected = {Reason.REASON_MISSING} if purpose.reason_required else set()

    assert expected == {reason for reason, _ in purpose.faults(example)}


def test_a_stranger_is_offered_nothing() -> None:
    """Unknown roles and no roles open nothing."""
    assert [] == CATALOGUE.offered(Principal(id="p", roles=()))
    assert [] == CATALOGUE.offered(Principal(id="p", roles=("OFFICER", "chief")))


TEXTS = st.text(max_size=80)


@given(
    st.builds(
        Declaration,
        purpose=st.sampled_from([*CATALOGUE.purposes, *CATALOGUE.parents]) | TEXTS,
        ref=st.sampled_from([kind.example for kind in CATALOGUE.references.values()]) | TEXTS,
        reason=st.just(FULL_REASON) | TEXTS,
        originator=TEXTS,
        recipient=TEXTS,
        break_glass=st.booleans(),
    )
)
def test_any_declaration_is_accepted_or_refused(declaration: Declaration) -> None:
    """Whatever is declared, the answer is that purpose with nothing lacking, or a refusal with what to mend."""
    purpose = _accepted(CATALOGUE, declaration)
    if isinstance(purpose, DeclarationRefused):
        assert purpose.detail
        assert purpose.status == 400
    else:
        assert declaration.purpose == purpose.code
        assert [] == list(purpose.faults(declaration))


def _accepted(catalogue: PurposeCatalogue, declaration: Declaration) -> CataloguePurpose | DeclarationRefused:
    try:
        return catalogue.accept(declaration)
    except DeclarationRefused as refusal:
        return refusal


@given(
    st.text(alphabet="zqvxj", min_size=5),
    st.sampled_from(["purpose", "ref", "reason", "originator", "recipient"]),
)
def test_a_refusal_never_repeats_what_was_sent(text: str, where: str) -> None:
    """Whichever part is at fault: what people wrote stays out of what they are shown."""
    for code in CATALOGUE.purposes:
        answer = _accepted(CATALOGUE, declare(**{"purpose": code, where: text}))
        assert text not in str(answer) or not isinstance(answer, DeclarationRefused)


def test_a_notice_can_be_acknowledged_and_is_then_the_one_in_force() -> None:
    """The digest offered with a purpose is the one that its declaration takes, over the wire."""
    principal = Principal(id="p", roles=("investigator",))
    [offer] = [each for each in CATALOGUE.offered(principal) if each["code"] == "investigate.crime"]
    declaration = declare(notice=offer["notice_digest"])

    assert CATALOGUE.purposes["investigate.crime"] is CATALOGUE.accept(declaration)
    assert declaration == wire.read([wire.value(declaration).encode()])


def test_a_notice_that_must_be_acknowledged_refuses_silence() -> None:
    """`acknowledge: required`: without the digest the declaration is refused, and the example line has it."""
    purpose = replace(CATALOGUE.purposes["investigate.crime"], must_acknowledge=True)
    principal = Principal(id="p", roles=("investigator",))
    [offer] = listing.offered([purpose], principal)
    example = wire.read([offer["example"].removeprefix("Access-Purpose: ").encode()])

    assert [Reason.NOTICE_OUTDATED] == [reason for reason, _ in purpose.faults(declare())]
    assert [Reason.REASON_MISSING] == [reason for reason, _ in purpose.faults(example)]


def _of_texts(texts: dict[str, str]) -> Declaration | DeclarationRefused:
    try:
        return wire.of_texts(texts)
    except DeclarationRefused as refusal:
        return refusal


CODES = st.sampled_from([*CATALOGUE.purposes]) | st.from_regex(r"[a-z][a-z.]{0,20}", fullmatch=True)
SEEN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=32)


@given(st.fixed_dictionaries(dict.fromkeys(wire.TEXTS, TEXTS) | {"purpose": CODES | TEXTS}))
def test_any_parts_make_a_declaration_or_are_refused(texts: dict[str, str]) -> None:
    """Whatever texts are given, they come out as they are, or the declaration is refused as missing or malformed."""
    made = _of_texts(texts)

    if isinstance(made, DeclarationRefused):
        assert made.reason in {Reason.DECLARATION_MALFORMED, Reason.PURPOSE_MISSING}
    else:
        assert texts == {name: getattr(made, name) for name in wire.TEXTS}


@given(st.fixed_dictionaries(dict.fromkeys(wire.TEXTS, SEEN) | {"purpose": CODES, "reason": TEXTS}))
def test_parts_make_the_declaration_that_the_header_makes(texts: dict[str, str]) -> None:
    """What a form, JSON or a token says is what a header saying the same would have declared."""
    made = _of_texts(texts)

    if not isinstance(made, DeclarationRefused):
        assert made == wire.read([wire.value(made).encode()])


@pytest.mark.parametrize(
    "texts",
    [
        {"purpose": "a", "x": "y"},
        {"purpose": 1},
        {"purpose": "a", "ref": None},
        {"purpose": ["a"]},
        {"purpose": "a" * 101},
    ],
    ids=["an unknown part", "a number", "nothing", "a list", "a long code"],
)
def test_parts_of_another_make_are_refused(texts: dict[str, Any]) -> None:
    """Unknown keys, other types and over-long codes are malformed; nothing is guessed."""
    with pytest.raises(DeclarationRefused) as caught:
        wire.of_texts(texts)

    assert Reason.DECLARATION_MALFORMED is caught.value.reason
