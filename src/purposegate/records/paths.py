"""One reading of an address: the path and query that the records system will see, or a refusal.

A lookup judged under one reading and answered under another is a way around the gate, so whatever two parsers could read in
two ways is refused rather than normalised (RFC 3986 section 6.2 says what is equal; servers disagree about the rest). The one
thing that is normalised is the case of hex digits in percent-encodings, because browsers and clients differ and no server does.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, unquote_to_bytes

from purposegate.errors import RouteRefused
from purposegate.exchange import Headers
from purposegate.reasons import Reason

Pairs = tuple[tuple[str, str], ...]

MAX_PATH_BYTES = 4096
"""Longer than any address that browsers and proxies carry reliably (Apache and nginx stop at 8 KiB for the whole line)."""
MAX_QUERY_BYTES = 8192
"""The usual limit of a request line; a longer query would meet different cut-offs on its way."""
MAX_PARAMETERS = 100
"""A search form of a hundred fields is the largest seen; more is an attack on parsers."""

# RFC 3986: pchar = unreserved / pct-encoded / sub-delims / ":" / "@", here without ";", whose matrix parameters
# (/person;x=1) some servers strip before routing and others do not.
_SEGMENT = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})*")
_QUERY_PART = re.compile(rb"(?:[A-Za-z0-9\-._~!$'()*+,=:@/?]|%[0-9A-Fa-f]{2})*")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc: C0 and C1 controls and DELETE."""
# What an encoded byte must not decode to: separators that routers, rewriters and file systems split at.
_SPLITTING = frozenset(b"/\\;?#")

METHOD_PARAMETERS = frozenset({"_method", "_http_method", "x-http-method-override", "httpmethod"})
"""Query parameters by which frameworks replace the method (Rails, Symfony, Laravel, method-override)."""

OVERRIDE_HEADERS = frozenset(
    {
        b"x-http-method-override",
        b"x-http-method",
        b"x-method-override",
        b"x-original-method",
        b"x-forwarded-method",
        b"x-original-url",
        b"x-original-uri",
        b"x-original-path",
        b"x-rewrite-url",
        b"x-rewrite-uri",
        b"x-forwarded-uri",
        b"x-forwarded-path",
        b"x-forwarded-prefix",
        b"x-forwarded-pathbase",
        b"x-envoy-original-path",
        b"x-script-name",
        b"script-name",
        b"path-info",
    }
)
"""Headers by which frameworks and proxies replace the method or the address (Symfony, IIS, Envoy, Django, Spring)."""


def _ambiguous(detail: str) -> RouteRefused:
    return RouteRefused(Reason.PATH_AMBIGUOUS, detail)


def dashed(name: bytes) -> bytes:
    """A header name as WSGI and CGI servers see it: they cannot tell `_` from `-`."""
    return name.lower().replace(b"_", b"-")


def refuse_overrides(headers: Headers) -> None:
    """Raise `RouteRefused(method-overridden)` if any header could replace the method or the address."""
    for name, _ in headers:
        if dashed(name) in OVERRIDE_HEADERS:
            raise RouteRefused(Reason.METHOD_OVERRIDDEN, "Leave out method and address override headers.")


def _decode(encoded: str, where: str) -> str:
    """Percent-decode strict UTF-8 (so no overlong forms, no surrogates), without control characters."""
    try:
        text = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise _ambiguous(f"The {where} is not valid UTF-8.") from None
    if CONTROLS.search(text):
        raise _ambiguous(f"The {where} holds control characters.")
    return text


def _check_segment(segment: bytes) -> str:
    if not _SEGMENT.fullmatch(segment):
        raise _ambiguous("The path holds characters that need percent-encoding.")
    text = segment.decode("ascii")
    for encoding in _ENCODED.findall(text):
        byte = int(encoding[1:], 16)
        if byte in _UNRESERVED:
            raise _ambiguous("The path encodes characters that need no encoding.")
        if byte in _SPLITTING:
            raise _ambiguous("The path holds an encoded separator.")
    decoded = _decode(text, "path")
    if (
        decoded.endswith(".") or decoded != decoded.strip()
    ):  # covers . and .. too; some file systems drop what trails
        raise _ambiguous("A part of the path ends in a dot or begins or ends in a space.")
    if _ENCODED.search(decoded):
        raise _ambiguous("The path is encoded twice.")
    return _ENCODED.sub(lambda found: found[0].upper(), text)


def canonical_path(raw: bytes, served: str) -> str:
    """The path as it goes upstream: percent-encoded, hex digits in upper case, otherwise as it came.

    `served` is what the server decoded; a server that read something else than we do is refused.
    Raises `RouteRefused(path-ambiguous)`.
    """
    if not raw.startswith(b"/"):
        raise _ambiguous("The path does not start with a slash.")
    if len(raw) > MAX_PATH_BYTES:
        raise _ambiguous(f"The path is longer than {MAX_PATH_BYTES} bytes.")
    first, *rest = raw[1:].split(b"/")
    segments = [first, *rest]
    if b"" in segments[:-1]:
        raise _ambiguous("The path holds an empty part.")
    path = "/" + "/".join(map(_check_segment, segments))
    if _decode(path, "path") != served:
        raise _ambiguous("The server decoded the path otherwise.")
    return path


def decoded_path(canonical: str) -> str:
    """What a server makes of a canonical path."""
    return _decode(canonical, "path")


def _query_part(part: bytes) -> str:
    if not _QUERY_PART.fullmatch(part):
        raise _ambiguous("The query holds characters that need percent-encoding.")
    return _decode(part.decode("ascii").replace("+", "%20"), "query")


def refuse_method_parameters(raw: bytes) -> None:
    """Raise `RouteRefused(method-overridden)` if a query, however it is split, could replace the method.

    For open places alone, whose queries are not read otherwise.
    """
    names = (unquote(part.partition("=")[0]) for part in re.split("[&;]", raw.decode("latin-1")))
    if any(name.strip().lower() in METHOD_PARAMETERS for name in names):
        raise RouteRefused(Reason.METHOD_OVERRIDDEN, "Leave out method override parameters.")


def read_query(raw: bytes) -> Pairs:
    """Names and values in order, decoded once.

    `&` alone separates; every part is `name=value`; `+` and `%20` are both a space (HTML forms).
    Raises `RouteRefused`: path-ambiguous where parsers differ, method-overridden for `_method` and its like.
    """
    if not raw:
        return ()
    if len(raw) > MAX_QUERY_BYTES:
        raise _ambiguous(f"The query is longer than {MAX_QUERY_BYTES} bytes.")
    parts = raw.split(b"&")
    if len(parts) > MAX_PARAMETERS:
        raise _ambiguous(f"The query has more than {MAX_PARAMETERS} parameters.")
    pairs = []
    for part in parts:
        name, equals, value = part.partition(b"=")
        if not name or not equals:
            raise _ambiguous("Each parameter is written name=value.")
        pairs.append((_query_part(name), _query_part(value)))
    if any(name.lower() in METHOD_PARAMETERS for name, _ in pairs):
        raise RouteRefused(Reason.METHOD_OVERRIDDEN, "Leave out method override parameters.")
    return tuple(pairs)


def write_query(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The one spelling of these parameters that goes upstream; `read_query` reads it back to the same pairs."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs).encode(
        "ascii"
    )
