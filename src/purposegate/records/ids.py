"""Record ids in paths: decoded from one spelling alone, so that one record has one door.

A spelling that the records system would also accept but would not write itself (`rec%2D1`, `rec~2D1`) is no id.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

from purposegate.records.paths import CONTROLS

_TILDE_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_TILDE = re.compile(r"(?:[A-Za-z0-9_\-+]|~[0-9A-F]{2})+")


def _tilde_encoded(text: str) -> str:
    return "".join(
        chr(byte) if byte in _TILDE_SAFE else "+" if byte == ord(" ") else f"~{byte:02X}"
        for byte in text.encode("utf-8")
    )


def _percent(segment: str) -> str | None:
    """The id in a segment of a canonical path, where sub-delimiters stand for themselves."""
    return unquote(segment, errors="strict") or None


def _tilde(segment: str) -> str | None:
    """The id in Datasette's tilde-encoding (docs.datasette.io, "Tilde encoding"); commas join compound keys: no id."""
    if not _TILDE.fullmatch(segment):
        return None
    try:
        text = unquote(segment.replace("+", " ").replace("~", "%"), errors="strict")
    except UnicodeDecodeError:
        return None
    if CONTROLS.search(text):  # the path's own check cannot see these
        return None
    return text if _tilde_encoded(text) == segment else None


CODECS: dict[str, Callable[[str], str | None]] = {"percent": _percent, "tilde": _tilde}
"""Each reads one path segment, of a canonical path, into an id; None where the segment is no canonical spelling of one."""
