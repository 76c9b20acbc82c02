"""How a session's token travels: in a header, for programs; in a `__Host-` cookie, for browsers.

The cookie's name makes browsers keep it to this host, this scheme and every path (RFC 6265bis section 4.1.3).
"""

import re

from purposegate.errors import DeclarationRefused
from purposegate.exchange import Headers, Request
from purposegate.purposes.session import TOKEN_CHARS
from purposegate.reasons import Reason

COOKIE = "__Host-purposegate"
FIELD = "Purposegate-Declaration"
_COOKIE_NAME = COOKIE.encode()
_FIELD_NAME = FIELD.lower().encode()
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{%d}" % TOKEN_CHARS)


def tokens(request: Request) -> tuple[str, ...]:
    """The session tokens that came with a request, each once; what cannot be one is left out.

    Raises `DeclarationRefused(declaration-malformed)` where cookie or header came twice: a second one was put there by
    somebody else.
    """
    cookies = [value for name, value in _cookies(request) if name == _COOKIE_NAME]
    fields = list(request.values(_FIELD_NAME))
    for what, values in ((f"the cookie {COOKIE}", cookies), (FIELD, fields)):
        if len(values) > 1:
            raise DeclarationRefused(
                Reason.DECLARATION_MALFORMED, f"{what}: send it once; it came {len(values)} times"
            )
    sent = (value for value in (*fields, *cookies) if _TOKEN.fullmatch(value))
    return tuple(dict.fromkeys(value.decode("ascii") for value in sent))


def stripped(request: Request) -> Headers:
    """The request's headers without the token: the records system has no use for it."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in request.headers:
        if name == _FIELD_NAME:
            continue
        if name != b"cookie" or _COOKIE_NAME not in value:
            kept.append((name, value))
            continue
        others = b"; ".join(part for part in _pairs(value) if part.partition(b"=")[0].strip() != _COOKIE_NAME)
        if others:
            kept.append((name, others))
    return tuple(kept)


def set_cookie(token: str, *, max_age_s: int) -> tuple[bytes, bytes]:
    """The header that gives a browser its token, for as long as the session is good."""
    return _cookie(token, max_age_s)


def drop_cookie() -> tuple[bytes, bytes]:
    """The header that takes the token away."""
    return _cookie("", 0)


def _cookie(value: str, max_age_s: int) -> tuple[bytes, bytes]:
    text = f"{COOKIE}={value}; Path=/; Max-Age={max_age_s}; Secure; HttpOnly; SameSite=Strict"
    return (b"set-cookie", text.encode("ascii"))


def _pairs(value: bytes) -> list[bytes]:
    return [part.strip() for part in value.split(b";") if part.strip()]


def _cookies(request: Request) -> list[tuple[bytes, bytes]]:
    """Name and value of every cookie; HTTP/2 may send them in several headers (RFC 9113 section 8.2.3)."""
    pairs = [part.partition(b"=") for value in request.values(b"cookie") for part in _pairs(value)]
    return [(name.strip(), value.strip()) for name, _, value in pairs]
