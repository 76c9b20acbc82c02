"""Every reason a lookup can be refused or fail, each with its status and two wordings.

The closed list keeps the ledger searchable and the refusals quiet: `principal` is what the person asking reads and never
tells whether a record or a tie exists (law 7); `auditor` is what the ledger and professional standards read.
"""

from enum import StrEnum
from typing import NamedTuple


class Family(StrEnum):
    """What kind of no a reason is. Only `policy` reasons are worded alike for the principal."""

    IDENTITY = "identity"
    ROUTE = "route"
    DECLARATION = "declaration"
    POLICY = "policy"
    OUTAGE = "outage"


class Wording(NamedTuple):
    """Status of the answer, the family, and the two texts."""

    status: int
    family: Family
    principal: str
    auditor: str


class Reason(StrEnum):
    """The closed vocabulary; values are kebab-case and stand in the ledger and in problem types."""

    IDENTITY_MISSING = "identity-missing"
    IDENTITY_INVALID = "identity-invalid"
    REFUSALS_TOO_MANY = "refusals-too-many"
    STEP_UP_NEEDED = "step-up-needed"
    PRINCIPAL_UNKNOWN = "principal-unknown"

    PATH_AMBIGUOUS = "path-ambiguous"
    METHOD_OVERRIDDEN = "method-overridden"
    ROUTE_UNMAPPED = "route-unmapped"
    ROUTE_FORBIDDEN = "route-forbidden"
    PARAMETER_UNMAPPED = "parameter-unmapped"
    CURSOR_INVALID = "cursor-invalid"
    WEBSOCKET_REFUSED = "websocket-refused"
    BODY_TOO_LARGE = "body-too-large"

    PURPOSE_MISSING = "purpose-missing"
    DECLARATION_MALFORMED = "declaration-malformed"
    PURPOSE_UNKNOWN = "purpose-unknown"
    REFERENCE_MISSING = "reference-missing"
    REFERENCE_MALFORMED = "reference-malformed"
    REASON_MISSING = "reason-missing"
    REASON_POOR = "reason-poor"
    ORIGINATOR_UNKNOWN = "originator-unknown"
    RECIPIENT_UNKNOWN = "recipient-unknown"
    ORIGINATOR_NEEDED = "originator-needed"
    KIND_NOT_OPENED = "kind-not-opened"
    NOTICE_OUTDATED = "notice-outdated"
    DECLARATIONS_DIFFER = "declarations-differ"
    DECLARATION_NOT_COVERING = "declaration-not-covering"
    DECLARATIONS_TOO_MANY = "declarations-too-many"

    SELF = "self"
    CONFLICT = "conflict"
    POLICY_REFUSED = "policy-refused"
    OBLIGATION_UNMET = "obligation-unmet"
    MASKED_CRITERION = "masked-criterion"

    PDP_UNAVAILABLE = "pdp-unavailable"
    PDP_ANSWER_MALFORMED = "pdp-answer-malformed"
    POLICY_OUTPUT_MALFORMED = "policy-output-malformed"
    FACTS_UNAVAILABLE = "facts-unavailable"
    FACTS_STALE = "facts-stale"
    REGISTER_STALE = "register-stale"
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    UPSTREAM_FAILED = "upstream-failed"
    UPSTREAM_REDIRECTED = "upstream-redirected"
    ANSWER_UNREADABLE = "answer-unreadable"
    ANSWER_TOO_LARGE = "answer-too-large"
    GATE_FAULT = "gate-fault"

    @property
    def wording(self) -> Wording:
        """Status, family and texts of this reason."""
        return WORDINGS[self]


REFUSED_TEXT = (
    "This lookup was not released. You can correct the declaration, hand the task to a colleague, "
    "ask a supervisor, or break glass where your role allows it."
)
OUTAGE_TEXT = "The gate could not decide, so nothing was released. Try again shortly; the reason is in the operators' log."


def _route(status: int, principal: str, auditor: str) -> Wording:
    return Wording(status, Family.ROUTE, principal, auditor)


def _declaration(status: int, principal: str, auditor: str) -> Wording:
    return Wording(status, Family.DECLARATION, principal, auditor)


def _policy(auditor: str) -> Wording:
    return Wording(403, Family.POLICY, REFUSED_TEXT, auditor)


def _outage(auditor: str, status: int = 503) -> Wording:
    return Wording(status, Family.OUTAGE, OUTAGE_TEXT, auditor)


WORDINGS: dict[Reason, Wording] = {
    Reason.IDENTITY_MISSING: Wording(
        401,
        Family.IDENTITY,
        "Sign in first: this address answers only to known people.",
        "No identity was presented.",
    ),
    Reason.IDENTITY_INVALID: Wording(
        401,
        Family.IDENTITY,
        "Sign in again: the proof of identity was not accepted.",
        "The identity did not verify.",
    ),
    Reason.REFUSALS_TOO_MANY: Wording(
        429,
        Family.IDENTITY,
        "Too many refused lookups in a short time. Wait, then correct the declaration before asking again.",
        "The principal passed the refusal rate; further attempts are counted, one entry a minute.",
    ),
    Reason.STEP_UP_NEEDED: Wording(
        401,
        Family.IDENTITY,
        "Sign in again, with the method that the challenge names, then send the same lookup again.",
        "Glass was declared broken without the sign-in that the settings ask for.",
    ),
    Reason.PRINCIPAL_UNKNOWN: Wording(
        403,
        Family.IDENTITY,
        "You are not in the staff directory, or no longer. Ask your supervisor to have the entry mended.",
        "The directory does not hold the principal as somebody who works here now, so no tie of theirs could be found.",
    ),
    Reason.PATH_AMBIGUOUS: _route(
        400,
        "The address can be read in two ways. Ask for it in its plain form.",
        "Raw and canonical path differ in meaning.",
    ),
    Reason.METHOD_OVERRIDDEN: _route(
        400,
        "Method and address override headers are not accepted.",
        "The request carried an override header.",
    ),
    Reason.ROUTE_UNMAPPED: _route(
        403, "This address is not mapped, so it is closed.", "No route of records.yaml matches the request."
    ),
    Reason.ROUTE_FORBIDDEN: _route(
        403,
        "This door is closed to everybody; use the record's own page or a search.",
        "The route is refused by name.",
    ),
    Reason.PARAMETER_UNMAPPED: _route(
        403,
        "A parameter of this address is not mapped, so it is closed.",
        "A query parameter is not in the route's list.",
    ),
    Reason.CURSOR_INVALID: _route(
        400,
        "This page link is no longer valid. Start the search again.",
        "The cursor did not unseal for this principal.",
    ),
    Reason.WEBSOCKET_REFUSED: _route(
        403, "WebSockets are closed.", "A WebSocket was attempted on a protected prefix."
    ),
    Reason.BODY_TOO_LARGE: _route(
        413, "The request is larger than this address accepts.", "The request body passed its cap."
    ),
    Reason.PURPOSE_MISSING: _declaration(
        428, "Declare a policing purpose for this lookup.", "No declaration was made."
    ),
    Reason.DECLARATION_MALFORMED: _declaration(
        400, "The declaration could not be read. Mend it as shown.", "The declaration did not parse."
    ),
    Reason.PURPOSE_UNKNOWN: _declaration(
        400,
        "No such purpose is in the catalogue. Choose one of those listed.",
        "The purpose is not in the catalogue.",
    ),
    Reason.REFERENCE_MISSING: _declaration(
        400,
        "This purpose needs a reference. Give the one it asks for.",
        "The purpose requires a reference; none was given.",
    ),
    Reason.REFERENCE_MALFORMED: _declaration(
        400,
        "The reference is not written as this purpose asks.",
        "The reference does not match the purpose's pattern.",
    ),
    Reason.REASON_MISSING: _declaration(
        400,
        "This purpose needs a reason in your own words.",
        "The purpose requires a reason; none was given.",
    ),
    Reason.REASON_POOR: _declaration(
        400,
        "The reason says too little. Write what you are doing and why this record.",
        "The reason failed the quality rules.",
    ),
    Reason.ORIGINATOR_UNKNOWN: _declaration(
        400,
        "The originator is not in the staff directory. Check the number.",
        "The directory lacks the originator.",
    ),
    Reason.RECIPIENT_UNKNOWN: _declaration(
        400, "The recipient is not written as this purpose asks.", "The recipient is missing or not accepted."
    ),
    Reason.ORIGINATOR_NEEDED: _declaration(
        400,
        "A service looks things up for somebody. Name the person as originator.",
        "A service principal named no known person as originator, under a purpose that services may not declare alone.",
    ),
    Reason.KIND_NOT_OPENED: _declaration(
        400,
        "This purpose does not open records of this kind. Choose one that does.",
        "The catalogue does not list the record kind under the purpose.",
    ),
    Reason.NOTICE_OUTDATED: _declaration(
        400,
        "Read the purpose's notice, as it is worded now, and declare again.",
        "The notice acknowledged is not the one in force, or the purpose needs one acknowledged and none was.",
    ),
    Reason.DECLARATIONS_DIFFER: _declaration(
        400,
        "Different declarations came with one request. Send one.",
        "Header, session and token declared different things for one request.",
    ),
    Reason.DECLARATION_NOT_COVERING: _declaration(
        428,
        "Your declaration does not reach this far. Declare a policing purpose for this lookup.",
        "A declaration made earlier neither named this lookup nor has a reference that explains every record of it.",
    ),
    Reason.DECLARATIONS_TOO_MANY: _declaration(
        429,
        "You have too many declarations open. End one of them first.",
        "The principal holds as many live declarations as the gate keeps for one.",
    ),
    Reason.SELF: _policy("The data subject is the principal themself."),
    Reason.CONFLICT: _policy("A tie to a data subject is accepted by no rule for this purpose."),
    Reason.POLICY_REFUSED: _policy("The policies do not permit this lookup."),
    Reason.OBLIGATION_UNMET: _policy(
        "A rule demands something this entrance cannot carry out, or that was not done."
    ),
    Reason.MASKED_CRITERION: _policy("A field masked under this purpose was used as criterion or sort key."),
    Reason.PDP_UNAVAILABLE: _outage("The PDP did not answer."),
    Reason.PDP_ANSWER_MALFORMED: _outage(
        "The PDP answered something that is not an answer to the questions."
    ),
    Reason.POLICY_OUTPUT_MALFORMED: _outage(
        "A rule's output has an error, an unknown key or value, or a wrong type."
    ),
    Reason.FACTS_UNAVAILABLE: _outage("A source of facts did not answer."),
    Reason.FACTS_STALE: _outage("A source of facts is older than its limit."),
    Reason.REGISTER_STALE: _outage("The conflict register is older than its limit."),
    Reason.LEDGER_UNAVAILABLE: _outage("The ledger could not append."),
    Reason.UPSTREAM_FAILED: _outage("The records system failed or answered an error.", 502),
    Reason.UPSTREAM_REDIRECTED: _outage(
        "The records system redirected to where the gate cannot follow.", 502
    ),
    Reason.ANSWER_UNREADABLE: _outage("The answer does not have the shape records.yaml promises.", 502),
    Reason.ANSWER_TOO_LARGE: _outage("The answer is larger than the gate holds.", 502),
    Reason.GATE_FAULT: _outage("The gate itself failed; its log names the same lookup."),
}
