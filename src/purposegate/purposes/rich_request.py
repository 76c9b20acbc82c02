"""Declarations granted with an access token: RFC 9396, `authorization_details` of the type `purposegate_lookup`.

    {"type": "purposegate_lookup", "purpose": "investigate.crime", "ref": "CR/1042/26", "reason": "...",
     "actions": ["view"], "datatypes": ["person"], "identifier": "rec-1", "locations": ["records"]}

The parts of the declaration are read as in the header. The rest are the RFC's common fields (section 2.2) and only narrow:
`locations` must name the audience that this gate is, `actions` and `datatypes` the lookup's, `identifier` its one record.
An element that does not apply to a lookup says nothing about it. One that cannot be read refuses the lookup: whoever granted
it meant to say something (RFC 9396 section 5: unknown fields and types are errors, not noise).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from purposegate.errors import DeclarationRefused
from purposegate.model import Action, Declaration, Login, RecordRef
from purposegate.protocols import Match
from purposegate.purposes import declaration as wire
from purposegate.reasons import Reason

TYPE = "purposegate_lookup"
MAX_ELEMENTS = 20
"""A token is at most 16 KiB; more elements than this would each be read at every lookup."""
_LISTS = ("locations", "actions", "datatypes")
_KNOWN = frozenset({"type", "identifier", *_LISTS, *wire.TEXTS})


class Granted(NamedTuple):
    """One declaration of a token that applies to the lookup; `names_record` where it was granted for this record alone."""

    declaration: Declaration
    names_record: bool


def granted(login: Login, match: Match) -> tuple[Granted, ...]:
    """The token's declarations that apply to this lookup. Raises `DeclarationRefused(declaration-malformed)`."""
    details = login.authorization_details
    if details is None:
        return ()
    if not isinstance(details, list) or len(details) > MAX_ELEMENTS:
        raise _malformed(f"want a list of at most {MAX_ELEMENTS} objects")
    found = []
    for element in details:
        if not isinstance(element, Mapping) or not isinstance(element.get("type"), str):
            raise _malformed("want objects, each with a type")
        if element["type"] != TYPE:
            continue  # for another API that takes the same token
        declaration = _declaration(element)
        if _applies(element, login, match):
            found.append(Granted(declaration, "identifier" in element))
    return tuple(found)


def is_live(login: Login, valid_s: int, at: datetime) -> bool:
    """Whether what was granted with the token is still good; a token that does not say when it was issued never is."""
    return login.issued_at > 0 and at.timestamp() < login.issued_at + valid_s


def _declaration(element: Mapping[str, Any]) -> Declaration:
    unknown = len(element.keys() - _KNOWN)
    if unknown:
        raise _malformed(f"{unknown} unknown key(s); known: {', '.join(sorted(_KNOWN))}")
    for name in _LISTS:
        words = element.get(name, ["-"])
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise _malformed(f"{name}: want a list of texts")
    if not isinstance(element.get("identifier", "-"), str) or element.get("identifier") == "":
        raise _malformed("identifier: want the id of a record")
    if not set(element.get("actions", ())) <= set(Action):
        raise _malformed(f"actions: want some of {', '.join(Action)}")
    return wire.of_texts({name: element[name] for name in wire.TEXTS if name in element})


def _applies(element: Mapping[str, Any], login: Login, match: Match) -> bool:
    named = RecordRef(match.kind, element.get("identifier", ""))
    return (
        login.audience in element.get("locations", (login.audience,))
        and match.action in element.get("actions", (match.action,))
        and match.kind in element.get("datatypes", (match.kind,))
        and ("identifier" not in element or match.records == (named,))
    )


def _malformed(detail: str) -> DeclarationRefused:
    return DeclarationRefused(Reason.DECLARATION_MALFORMED, f"authorization_details: {detail}")
