"""What a client sent to one of the gate's own pages, read strictly: one reading of each byte, or a refusal. Pure."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from purposegate.errors import PageRefused
from purposegate.exchange import Request
from purposegate.pages import FORM, JSON, Page

MAX_FIELDS = 1000
MAX_SEGMENT_CHARS = 400
SAME = frozenset({b"same-origin", b"none"})


def path_segments(raw_path: bytes) -> tuple[str, ...] | None:
    """The segments of a path below the prefix, each percent-decoded once; None where one could be read in two ways."""
    segments = []
    for raw in raw_path.split(b"/")[1:]:
        try:
            segment = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            return None
        dubious = segment in ("", ".", "..") or "/" in segment or "\\" in segment or "%" in segment
        if dubious or not segment.isprintable() or len(segment) > MAX_SEGMENT_CHARS or not raw.isascii():
            return None
        segments.append(segment)
    return tuple(segments)


def refuse_cross_site(request: Request) -> None:
    """Raise `PageRefused(403)` for a request that another site made a browser send.

    Fetch Metadata says which (W3C, section 2.3). A browser that sends none, as over plain http, still names its Origin, which
    must then be the host that was asked. A client that is no browser sends neither.
    """
    sites = request.values(b"sec-fetch-site")
    if sites:
        cross = not set(sites) <= SAME
    else:
        hosts = tuple(value.lower() for value in request.values(b"host"))
        cross = any(_host(origin) not in hosts for origin in request.values(b"origin"))
    if cross:
        raise PageRefused(403, "cross-site", "Open the gate's own page and send it from there.")


def _host(origin: bytes) -> bytes:
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return b""


def read_query(request: Request) -> Mapping[str, str]:
    """The query string. Raises `PageRefused(400)` for a name given twice or text that is not UTF-8."""
    return _form(request.query, "query") if request.query else {}


def read_body(request: Request, page: Page) -> Mapping[str, Any]:
    """The body by its content type; empty for a type that the page reads itself. Raises `PageRefused` 400, 413 or 415."""
    if request.body_over_cap or len(request.body) > page.body_cap_bytes:
        raise PageRefused(413, "body-too-large", f"Want at most {page.body_cap_bytes} bytes.")
    if not request.body:
        return {}
    media_type = _media_type(request)
    if media_type in page.raw_types:
        return {}
    if media_type == FORM:
        return _form(request.body, "body")
    if media_type == JSON:
        return _json(request.body)
    raise _unsupported(page)


def _unsupported(page: Page | None = None) -> PageRefused:
    types = ", ".join((JSON, FORM, *sorted(page.raw_types if page else ())))
    return PageRefused(415, "content-type", f"Want one of {types}, in UTF-8, not compressed.")


def _media_type(request: Request) -> str:
    values = request.values(b"content-type")
    if len(values) != 1 or request.values(b"content-encoding"):
        raise _unsupported()
    media_type, *parameters = (part.strip().lower() for part in values[0].decode("latin-1").split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise _unsupported()
    return media_type


def _form(sent: bytes, where: str) -> dict[str, str]:
    malformed = PageRefused(
        400, "form-malformed", f"{where}: want name=value pairs in UTF-8, each name once."
    )
    try:
        # As text first: raw bytes beyond ASCII do not belong in a form (WHATWG URL, section 5.1).
        pairs = parse_qsl(
            sent.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise malformed from None
    values = dict(pairs)
    if len(values) < len(pairs) or any("\x00" in value for pair in pairs for value in pair):
        raise malformed
    return values


def _json(sent: bytes) -> dict[str, Any]:
    try:
        content = json.loads(
            sent.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(content, ensure_ascii=False).encode("utf-8")  # a lone surrogate fits in no entry
    except (ValueError, RecursionError):
        raise PageRefused(400, "json-malformed", "Want one JSON object in UTF-8, each name once.") from None
    if not isinstance(content, dict):
        raise PageRefused(400, "json-malformed", "Want one JSON object.")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name twice")
    return content


def _no_constant(_: str) -> Any:
    raise ValueError("NaN and the infinities are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number out of range")
    return number
