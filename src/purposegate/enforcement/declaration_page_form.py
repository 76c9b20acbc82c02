"""The form of the page to declare on, read: what a person filled in, as a declaration, or everything that is wrong with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from purposegate.errors import DeclarationRefused
from purposegate.model import Declaration
from purposegate.protocols import Catalogue
from purposegate.reasons import Reason

EMPTY = {
    **dict.fromkeys(("purpose", "task", "ref", "reason", "originator", "recipient"), ""),
    "break_glass": "",
}
"""What is filled in, as the page shows it first."""


def declaration(
    texts: Mapping[str, str], *, read: Callable[[Mapping[str, str]], Declaration], catalogue: Catalogue
) -> Declaration:
    """What the form declares. Raises `DeclarationRefused` naming every fault: people mend once."""
    faults = _form_faults(texts)
    if not texts.get("purpose"):
        raise DeclarationRefused(Reason.PURPOSE_MISSING, faults=faults)
    said = replace(read(_parts(texts)), break_glass=texts.get("break_glass") == "yes")
    if faults:
        more = _faults_of(catalogue, said)
        raise DeclarationRefused(Reason.DECLARATION_MALFORMED, faults=(*faults, *more))
    return said


def _form_faults(texts: Mapping[str, str]) -> list[str]:
    """What is wrong with the form, whatever the catalogue says."""
    task, ref = texts.get("task", ""), texts.get("ref", "").strip()
    holds = (
        ("purpose: Choose the one that fits.", not texts.get("purpose")),
        ("ref: Choose one of your tasks or write another reference, not both.", task and ref and task != ref),
        ("notice: Read what the purpose is for, and say so.", texts.get("read") != "yes"),
    )
    return [sentence for sentence, is_wrong in holds if is_wrong]


def _faults_of(catalogue: Catalogue, said: Declaration) -> Sequence[str]:
    """What the catalogue says of it beside."""
    try:
        catalogue.accept(said)
    except DeclarationRefused as refused:
        return refused.faults
    return ()


def _parts(texts: Mapping[str, str]) -> dict[str, str]:
    """What the form declares, in the parts of a declaration. A box of several lines holds a reason of one."""
    code = texts.get("purpose", "")
    return {
        "purpose": code,
        "ref": texts.get("task", "") or texts.get("ref", "").strip(),
        "reason": " ".join(texts.get("reason", "").strip().splitlines()),
        "originator": texts.get("originator", "").strip(),
        "recipient": texts.get("recipient", "").strip(),
        "notice": texts.get(f"notice.{code}", ""),
    }
