"""What every answer must be before its format is read: whole, unencoded, of the promised type and in UTF-8."""

import re

from purposegate.exchange import Held
from purposegate.records.rows import unreadable

OK = 200
_MEDIA = re.compile(
    r'\s*([a-z0-9!#$&^_.+\-]+/[a-z0-9!#$&^_.+\-]+)\s*(?:;\s*charset="?([a-z0-9\-]+)"?\s*)?', re.IGNORECASE
)
"""RFC 9110 section 8.3 with `charset` as the one parameter: any other could change how the body reads."""


def _media(held: Held) -> tuple[str, str]:
    types = held.values(b"content-type")
    if len(types) != 1:
        raise unreadable("want exactly one content type")
    found = _MEDIA.fullmatch(types[0].decode("latin-1"))
    if found is None:
        raise unreadable("the content type cannot be read")
    return found[1].lower(), (found[2] or "utf-8").lower()


def text_of(held: Held, media_types: frozenset[str]) -> str:
    """The body as text. Raises `AnswerOutage` unless status, encodings, type and charset are what the route promises."""
    if held.status != OK:
        raise unreadable(f"status {held.status} is not an answer with rows")
    if any(value.strip().lower() not in {b"", b"identity"} for value in held.values(b"content-encoding")):
        raise unreadable("the answer is compressed though the gate asked for identity")
    if held.values(b"content-range"):
        raise unreadable("a part of an answer cannot be judged")
    media_type, charset = _media(held)
    if media_type not in media_types:
        raise unreadable(f"want {' or '.join(sorted(media_types))}")
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise unreadable("want UTF-8")
    if b"\x00" in held.body:
        raise unreadable("the answer holds a NUL")
    try:
        return held.body.decode("utf-8")
    except UnicodeDecodeError:
        raise unreadable("the answer is not UTF-8") from None
