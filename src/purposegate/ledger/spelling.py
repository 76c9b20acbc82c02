"""One spelling per value: the few field types that every ledger format shares, read without leniency.

Python's own readers accept more than the formats do: `int` takes underscores, spaces and Arabic digits,
`b64decode` drops what it does not know. Two spellings of one value would be two entries, or two signatures.
"""

import re
from base64 import b64decode, b64encode

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.merkle import HASH_BYTES, MAX_SIZE

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
# signed-note: no ASCII control characters but newline. DEL is above U+0020 and stays allowed.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def decimal(text: str, what: str) -> int:
    """An ASCII decimal without leading zeroes, at most 2**63 - 1. Raises `EvidenceMalformed`."""
    if not _DECIMAL.fullmatch(text) or (number := int(text)) > MAX_SIZE:
        raise EvidenceMalformed(f"{what}: want a decimal without leading zeroes, at most {MAX_SIZE}")
    return number


def base64_bytes(text: str, what: str) -> bytes:
    """Standard base64 (RFC 4648 section 4), padded, with no stray bits. Raises `EvidenceMalformed`."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error, and str with other than ASCII
        raise EvidenceMalformed(f"{what}: want standard base64") from error
    if base64_text(raw) != text:
        raise EvidenceMalformed(f"{what}: want the one canonical base64 spelling")
    return raw


def base64_hash(text: str, what: str) -> bytes:
    """The base64 of one SHA-256 hash. Raises `EvidenceMalformed`."""
    raw = base64_bytes(text, what)
    if len(raw) != HASH_BYTES:
        raise EvidenceMalformed(f"{what}: want a hash of {HASH_BYTES} bytes, not {len(raw)}")
    return raw


def base64_text(raw: bytes) -> str:
    """The standard base64 of `raw`."""
    return b64encode(raw).decode("ascii")


def utf8_text(raw: bytes, what: str) -> str:
    """UTF-8 without control characters other than newline. Raises `EvidenceMalformed`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceMalformed(f"{what}: want UTF-8") from error
    if _CONTROL.search(text):
        raise EvidenceMalformed(f"{what}: control characters other than newline are not allowed")
    return text
