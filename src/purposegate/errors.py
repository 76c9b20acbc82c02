"""Every exception the package raises on purpose.

PurposegateError
 +-- SettingsError            the operator's files are wrong: nothing starts
 |    +-- PolicyError         a policy file is wrong; carries every finding
 |    +-- ImportRefused       a file of entries or facts is wrong; carries every finding, and nothing of it was taken
 +-- LookupRefused            the request is at fault: a refusal before any record is asked for
 |    +-- IdentityRefused
 |    +-- RouteRefused
 |    +-- DeclarationRefused
 +-- PageRefused              the request to one of the gate's own pages is at fault
 +-- EvidenceError            bytes offered as evidence do not stand
 |    +-- EvidenceMalformed   they are not in the format that they claim
 |    +-- ProofFailed         they are, and prove something else
 |    +-- WitnessAhead        a witness has seen a larger head than the one offered to it
 |    +-- WitnessContradiction  a witness has seen a head that the one offered does not continue
 +-- WitnessOutage            a witness did not answer, refused the log, or answered nonsense
 +-- Outage                   the gate could not decide (law 3: never mistaken for a refusal)
      +-- FactsOutage, PdpOutage, LedgerOutage, UpstreamOutage, AnswerOutage
           +-- LedgerDamaged, EntryUnfit   (of LedgerOutage)

Each has `status` (HTTP) and `remedy` (one sentence: what to do next). No message echoes secrets or personal data.
"""

from collections.abc import Sequence
from typing import NamedTuple

from purposegate.reasons import Reason


class PurposegateError(Exception):
    """The root; catching it catches all that purposegate raises on purpose."""

    status = 500
    remedy = "See the message."


class SettingsError(PurposegateError):
    """A settings or policy file cannot be used; nothing was changed."""

    remedy = "Mend the file named in the message and run `purposegate check`."


class Finding(NamedTuple):
    """One fault in a policy file: where it is, which key, and what was expected there."""

    file: str
    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.expected}"


class PolicyError(SettingsError):
    """One or more policy files are wrong; `findings` lists every fault."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class ImportRefused(SettingsError):
    """A file of entries or facts has faults, so nothing of it was taken; `findings` lists every fault by line and column."""

    remedy = "Mend the lines named in the message and offer the whole file again."

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class LookupRefused(PurposegateError):
    """The request itself is at fault; `detail` says what to mend and may be shown to the principal."""

    remedy = "Mend what the detail names and ask again."

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.status = reason.wording.status


class IdentityRefused(LookupRefused):
    """Nobody known is asking."""

    remedy = "Present a token from the configured issuer."


class RouteRefused(LookupRefused):
    """The request is not one that records.yaml maps or opens."""

    remedy = "Add the route to records.yaml, or ask through one that is mapped."


class DeclarationRefused(LookupRefused):
    """The declaration is missing or cannot stand. `faults` are the detail's sentences one by one, each `part: what to mend`."""

    remedy = "Declare a purpose from the catalogue, with what it requires."

    def __init__(self, reason: Reason, detail: str = "", *, faults: Sequence[str] = ()) -> None:
        super().__init__(reason, detail)
        self.faults = tuple(faults)


class PageRefused(PurposegateError):
    """A request to one of the gate's own pages is at fault: `problem` names why, `detail` is shown and says what to mend."""

    remedy = "Mend what the detail names and send it again."

    def __init__(self, status: int, problem: str, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem)
        self.status = status
        self.problem = problem
        self.detail = detail


class EvidenceError(PurposegateError):
    """Bytes offered as evidence do not stand; nothing may be concluded from them."""

    status = 422
    remedy = "Ask whoever handed the evidence over for it again, unaltered; keep what they sent first."


class EvidenceMalformed(EvidenceError):
    """The bytes are not in the ledger format that they claim (one spelling per value, no leniency)."""


class ProofFailed(EvidenceError):
    """The bytes are well-formed, and the proof or signature does not lead to what it claims."""


class WitnessAhead(EvidenceError):
    """A witness has cosigned `size`, more than the head offered: a stale push, or a ledger put back to an older state."""

    remedy = "If this ledger's own head is smaller than that, it was rolled back: never continue it, open a new shard."

    def __init__(self, size: int, offered: int) -> None:
        super().__init__(f"the witness has cosigned size {size}, and was offered {offered}")
        self.size = size


class WitnessContradiction(EvidenceError):
    """A witness has cosigned a head that the one offered does not continue: the ledger's past was changed."""

    remedy = "Keep the ledger and the witness's checkpoint as they are, stop the shard, and run `purposegate ledger verify`."


class WitnessOutage(PurposegateError):
    """A witness did not answer, does not know this log, or gave an answer that cannot be used."""

    status = 503
    remedy = "Ask whoever runs the witness; cosigning resumes by itself once it answers."


class Outage(PurposegateError):
    """Something the gate needs did not answer or cannot be trusted; nothing is released."""

    remedy = "Run `purposegate pdp` and `purposegate ledger verify` on the gate's host, and read its log."

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.status = reason.wording.status


class FactsOutage(Outage):
    """A source of facts is gone or too old."""

    remedy = "Refresh the feed that the message names; lookups resume by themselves."


class PdpOutage(Outage):
    """Cerbos is gone, unfit or answered nonsense."""

    remedy = "Run `purposegate pdp` to see which binary, version and policies are in use and what is missing."


class LedgerOutage(Outage):
    """The ledger cannot append, so nothing may be released."""

    remedy = (
        "Check free space and permissions of the ledger's directory, then run `purposegate ledger verify`."
    )

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.LEDGER_UNAVAILABLE, detail)


class LedgerDamaged(LedgerOutage):
    """The ledger's file is a ledger, and its structure is broken."""

    remedy = (
        "Keep the file as it is, run `purposegate ledger verify` on a copy, and restore the last good one."
    )


class EntryUnfit(LedgerOutage):
    """This one entry cannot be written in the ledger's format; other entries are not touched."""

    remedy = "Change or shorten what the message names; the ledger itself is well."


class UpstreamOutage(Outage):
    """The records system failed."""

    remedy = "Check the records system itself; the gate passes no error page on."


class AnswerOutage(Outage):
    """The records system's answer cannot be judged."""

    remedy = "Compare the answer with the route in records.yaml; raise its cap or mend the mapping."
