"""A declaration's wire form: one RFC 9651 Item, a token with parameters.

    Access-Purpose: investigate.crime;ref="CR/1042/26";reason=%"Witness statement for burglary"

Read strictly. A declaration that can be read in two ways, or that shows a reviewer something other than what was
sent, is refused, and the refusal says what to mend without repeating what was sent.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import http_sf
from http_sf import DisplayString, StructuredFieldError, Token

from purposegate.errors import DeclarationRefused, SettingsError
from purposegate.model import Declaration
from purposegate.reasons import Reason

DEFAULT_FIELD = "Access-Purpose"

REFUSED_FIELDS = frozenset(
    {"purpose", "x-purpose", "sec-purpose", "x-moz", "authorization", "cookie", "host"}
)
"""Browsers send the first four by themselves, for prefetch; the rest mean something else to every server."""

# nginx holds a header line in 8 KiB and other servers in no less; a longer one would pass here and fail there.
MAX_FIELD_BYTES = 8_000
# Four parts of the longest name the catalogue's schema allows are 131; nobody nests so deep.
MAX_CODE_CHARS = 100
# The longest reference form seen in public material has 31 characters; patterns are matched on no more than this.
MAX_REF_CHARS = 64
# Staff ids are warrant or payroll numbers; a recipient may be an agency's full name.
MAX_ORIGINATOR_CHARS = 64
MAX_RECIPIENT_CHARS = 120
# A paragraph. Percent-encoded at its worst (12 bytes a character) it still fits the field with all the rest.
MAX_REASON_CHARS = 500
NOTICE_CHARS = 32
_MAX_FIELD_NAME_CHARS = 64

# Letters and symbols that print as nothing, beside the categories below: Hangul fillers, the braille blank, the
# combining grapheme joiner, Khmer inherent vowels. They would let two different reasons look the same.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_PARAMETERS: Mapping[str, tuple[tuple[type, ...], str, int]] = {
    "ref": ((str,), 'a String: ref="..."', MAX_REF_CHARS),
    "reason": ((str, DisplayString), 'a Display String: reason=%"..."', MAX_REASON_CHARS),
    "originator": ((str,), 'a String: originator="..."', MAX_ORIGINATOR_CHARS),
    "recipient": ((str,), 'a String: recipient="..."', MAX_RECIPIENT_CHARS),
    "notice": ((str,), 'a String: notice="..."', NOTICE_CHARS),
    "break-glass": ((bool,), "a Boolean: ;break-glass", 1),
}
TEXTS = ("purpose", "ref", "reason", "originator", "recipient", "notice")
"""The parts of a declaration that are texts, in forms, in JSON and in tokens."""


def check_field_name(name: str) -> str:
    """The header's name if it can carry declarations. Raises `SettingsError`."""
    lower = name.lower()
    token = name.isascii() and all(char.isalnum() or char == "-" for char in name) and name[:1].isalpha()
    if not token or len(name) > _MAX_FIELD_NAME_CHARS:
        raise SettingsError(
            "declaration field: want a header name of letters, digits and `-`, at most 64 characters"
        )
    if lower in REFUSED_FIELDS or lower.startswith(("sec-", "proxy-")):
        raise SettingsError(
            "declaration field: want a name that browsers and servers do not use, such as Access-Purpose"
        )
    return name


def read(values: Sequence[bytes], *, field: str = DEFAULT_FIELD) -> Declaration:
    """Read the declaration from every value of its header, as received.

    Raises `DeclarationRefused`: `purpose-missing` where there is none, else `declaration-malformed`.
    """
    if not values:
        raise DeclarationRefused(
            Reason.PURPOSE_MISSING, f"Send the header {field} with one of the purposes listed."
        )
    if len(values) > 1:
        raise _malformed(f"{field}: send it once; it came {len(values)} times")
    if len(values[0]) > MAX_FIELD_BYTES:
        raise _malformed(f"{field}: at most {MAX_FIELD_BYTES} bytes")
    code, parameters = _item(values[0], field)
    if len(code) > MAX_CODE_CHARS:
        raise _malformed(f"{field}: a purpose's code has at most {MAX_CODE_CHARS} characters")
    texts = {name: _checked(name, value) for name, value in parameters.items()}
    return Declaration(
        purpose=code,
        ref=str(texts.get("ref", "")),
        reason=str(texts.get("reason", "")),
        originator=str(texts.get("originator", "")),
        recipient=str(texts.get("recipient", "")),
        break_glass=texts.get("break-glass", False) is True,
        notice=str(texts.get("notice", "")),
    )


def of_texts(texts: Mapping[str, Any]) -> Declaration:
    """The declaration that these parts make, by the header's own rules for each; parts left out are empty.

    Raises `DeclarationRefused(declaration-malformed)` for other parts than `TEXTS`, and naming the first faulty one.
    """
    unknown = len(texts.keys() - set(TEXTS))
    if unknown:
        raise _malformed(f"{unknown} unknown key(s); known: {', '.join(TEXTS)}")
    for name in texts:
        if not isinstance(texts[name], str):
            raise _malformed(f"{name}: want a text")
    code = texts.get("purpose", "")
    if not code:
        raise DeclarationRefused(Reason.PURPOSE_MISSING, "purpose: give one of the codes listed.")
    checked = {name: _plain(name, texts.get(name, ""), _PARAMETERS[name][2]) for name in TEXTS[1:]}
    return Declaration(
        purpose=_plain("purpose", code, MAX_CODE_CHARS),
        ref=checked["ref"],
        reason=checked["reason"],
        originator=checked["originator"],
        recipient=checked["recipient"],
        notice=checked["notice"],
    )


def _malformed(detail: str) -> DeclarationRefused:
    return DeclarationRefused(Reason.DECLARATION_MALFORMED, detail)


def _item(raw: bytes, field: str) -> tuple[str, Mapping[str, Any]]:
    repeated: list[str] = []
    try:
        # The RFC lets a repeated parameter win silently; here that would hide one of two references.
        parsed: Any = http_sf.parse(
            raw, tltype="item", on_duplicate_key=lambda name, _: repeated.append(name)
        )
    except StructuredFieldError as error:
        place = "" if error.position is None else f" at character {error.position + 1}"
        raise _malformed(
            f"{field}: could not be read{place}; write one purpose with its parameters, as in "
            'investigate.crime;ref="CR/1042/26";reason=%"..." (RFC 9651)'
        ) from error
    code, parameters = parsed
    if not isinstance(code, Token):
        raise _malformed(f"{field}: begin with the purpose's code, without quotes")
    unknown = len(parameters.keys() - _PARAMETERS.keys())
    if unknown:
        raise _malformed(f"{field}: {unknown} unknown parameter(s); known: {', '.join(_PARAMETERS)}")
    if repeated:
        raise _malformed(f"{repeated[0]}: give it once")
    return str(code), parameters


def _checked(name: str, value: Any) -> str | bool:
    types, wanted, limit = _PARAMETERS[name]
    if type(value) not in types:
        raise _malformed(f"{name}: want {wanted}")
    if isinstance(value, bool):
        return value
    return _plain(name, str(value), limit)


def _plain(name: str, text: str, limit: int) -> str:
    """The text as it came, if it is short enough and all of it can be seen."""
    if len(text) > limit:
        raise _malformed(f"{name}: at most {limit} characters")
    if any(char in _BLANKS or unicodedata.category(char) in _UNSEEN for char in text):
        raise _malformed(f"{name}: type it without line breaks and invisible characters")
    return text


def value(declaration: Declaration) -> str:
    """The field value that says this declaration. Raises `ValueError` where RFC 9651 cannot carry it."""
    texts: dict[str, Any] = {
        "ref": declaration.ref,
        "reason": DisplayString(declaration.reason),
        "originator": declaration.originator,
        "recipient": declaration.recipient,
        "notice": declaration.notice,
    }
    parameters = {name: text for name, text in texts.items() if len(text)}
    if declaration.break_glass:
        parameters["break-glass"] = True
    return http_sf.ser((Token(declaration.purpose), parameters))


def line(declaration: Declaration, *, field: str = DEFAULT_FIELD) -> str:
    """The whole header line that says this declaration."""
    return f"{field}: {value(declaration)}"
