"""One purpose of the catalogue: who may declare it, what it requires, and what a declaration lacks."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from purposegate.evidence import notice_digest
from purposegate.model import Declaration, Principal
from purposegate.purposes.quality import Fault, fault
from purposegate.reasons import Reason

REQUIRED, OPTIONAL, NONE = "required", "optional", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceKind:
    """One form of reference: its name, its label for people, whole-match patterns, and a made-up example."""

    kind: str
    label: str
    patterns: tuple[re.Pattern[str], ...]
    example: str

    def matches(self, ref: str) -> bool:
        """Whether the whole reference has this form."""
        return any(pattern.fullmatch(ref) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguePurpose:
    """One purpose that can be declared; implements `protocols.Purpose`.

    `reason_words` telling words make a reason, `justify_words` a full one (0: none can be, so a demand for one
    refuses). `originator` and `recipient` are `required`, `optional` or `none`. `aliases` maps a vocabulary to its
    terms. `opens` maps a record kind to the words of its fields that the purpose opens, or to None for all of them.
    `valid_s` is how long a declaration made ahead of its lookups is good, `grace_s` how long an assignment counts after
    its end, both seconds. `approvers` are roles that may approve what a rule wants approved; without any, nobody may.
    """

    code: str
    family: tuple[str, ...]
    label: str
    roles: frozenset[str]
    reference_required: bool
    references: tuple[ReferenceKind, ...]
    reason_required: bool
    reason_words: int
    justify_words: int
    originator: str
    recipient: str
    when_unavailable: str
    break_glass_roles: frozenset[str]
    break_glass_needs_reference: bool
    notice: str
    must_acknowledge: bool
    opens: Mapping[str, frozenset[str] | None]
    valid_s: int
    grace_s: int
    service_allowed: bool
    approvers: frozenset[str]
    aliases: Mapping[str, tuple[str, ...]]
    hollow: frozenset[str]

    def entitles(self, principal: Principal) -> bool:
        """Whether one of the principal's roles may use it."""
        return not self.roles.isdisjoint(principal.roles)

    def breaks_glass(self, principal: Principal) -> bool:
        """Whether one of the principal's roles may break glass under it."""
        return not self.break_glass_roles.isdisjoint(principal.roles)

    @property
    def breaks_glass_when_unavailable(self) -> bool:
        """Whether `when_unavailable: break-glass` stands in the catalogue."""
        return self.when_unavailable == "break-glass"

    @property
    def notice_digest(self) -> str:
        """What stands for the notice's exact text in declarations and entries."""
        return notice_digest(self.notice)

    def opens_kind(self, kind: str) -> bool:
        """Whether records of this kind are opened at all."""
        return kind in self.opens

    def opened(self, kind: str) -> frozenset[str] | None:
        """The fields opened in a record of this kind, as words of records.yaml; None where it is all of them."""
        return self.opens.get(kind, frozenset())

    def reason_is_full(self, reason: str) -> bool:
        """Whether the reason meets the purpose's demand for a justification (`justify`)."""
        return self.justify_words > 0 and self._reason_fault(reason, self.justify_words) is None

    def judge_reason(self, reason: str, *, ref_state: str, is_recycled: bool) -> tuple[tuple[str, str], ...]:
        """All that stands against a reason, each as a word and one sentence, for whoever reads the entry. Never raises.

        `not-full` is a reason that will do and meets no demand to justify; its sentence says what it lacks for that.
        """
        found = [one for one in (self._reason_fault(reason, self.reason_words),) if reason and one]
        if is_recycled:
            found.append(Fault.RECYCLED)
        if ref_state == "unknown":
            found.append(Fault.NO_SUCH_REFERENCE)
        said = [(one.value, one.sentence) for one in found]
        lacks = self._reason_fault(reason, self.justify_words) if reason and self.justify_words else None
        if lacks and lacks not in found:
            said.append(("not-full", lacks.sentence))
        return tuple(said)

    def _reason_fault(self, reason: str, words: int) -> Fault | None:
        return fault(reason, words=words, hollow=self.hollow, label=self.label)

    def faults(self, declaration: Declaration) -> Iterator[tuple[Reason, str]]:
        """Everything a declaration lacks under this purpose, each with what to mend; never what was sent."""
        if declaration.break_glass and not self.break_glass_roles:
            yield (
                Reason.DECLARATION_MALFORMED,
                "break-glass: this purpose has none; leave it out, or declare the emergency it is.",
            )
        yield from self._reference_faults(declaration)
        yield from self._reason_faults(declaration)
        yield from self._notice_faults(declaration)
        yield from _presence(
            "originator",
            declaration.originator,
            self.originator,
            Reason.ORIGINATOR_UNKNOWN,
            "who asked for this",
        )
        yield from _presence(
            "recipient",
            declaration.recipient,
            self.recipient,
            Reason.RECIPIENT_UNKNOWN,
            "who will receive it",
        )

    def _notice_faults(self, declaration: Declaration) -> Iterator[tuple[Reason, str]]:
        if declaration.notice and declaration.notice != self.notice_digest:
            yield Reason.NOTICE_OUTDATED, "notice: its wording has changed; read it again."
        elif self.must_acknowledge and not declaration.notice:
            yield Reason.NOTICE_OUTDATED, "notice: read it, and say so by sending its digest."

    def _reference_faults(self, declaration: Declaration) -> Iterator[tuple[Reason, str]]:
        needed = self.break_glass_needs_reference if declaration.break_glass else self.reference_required
        forms = " or ".join(f"{kind.label}, such as {kind.example}" for kind in self.references)
        if not declaration.ref:
            if needed and self.reference_required:
                yield Reason.REFERENCE_MISSING, f"ref: give the {forms}."
        elif not self.references:
            yield Reason.REFERENCE_MALFORMED, "ref: this purpose takes none; leave it out."
        elif not any(kind.matches(declaration.ref) for kind in self.references):
            yield Reason.REFERENCE_MALFORMED, f"ref: write the {forms}."

    def _reason_faults(self, declaration: Declaration) -> Iterator[tuple[Reason, str]]:
        # Breaking glass is never free of a reason, whatever the purpose asks for otherwise.
        needed = self.reason_required or declaration.break_glass
        if not declaration.reason and not needed:
            return
        found = self._reason_fault(declaration.reason, self.reason_words)
        if found is Fault.EMPTY:
            yield Reason.REASON_MISSING, f"reason: {found.sentence}"
        elif found is not None:
            yield Reason.REASON_POOR, f"reason: {found.sentence}"


def _presence(name: str, text: str, wanted: str, reason: Reason, what: str) -> Iterator[tuple[Reason, str]]:
    if wanted == REQUIRED and not text.strip():
        yield reason, f"{name}: this purpose needs it; name {what}."
    elif wanted == NONE and text:
        yield reason, f"{name}: this purpose takes none; leave it out."
    elif text and not text.strip():
        yield reason, f"{name}: name {what}, or leave it out."
