"""Whether an address that the records system names (a redirect, a link) tells the principal anything new.

An upstream that redirects a search with one hit to that record's page has told who was found before anybody was judged. So an
address may only lead to a mapped or open place of the same host, name records the request named, and carry values it carried.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from purposegate.errors import RouteRefused
from purposegate.exchange import Held, Request
from purposegate.model import RecordRef

MAX_BYTES = 8192

# RFC 3986 appendix B, restricted: absolute or network address with a plain authority, then absolute path, then query.
_ADDRESS = re.compile(
    r"(?:(?:https?:)?//(?P<host>[A-Za-z0-9.\-:\[\]]+)(?=[/?]|$))?(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an address names: records, values that no closed list bounds, parameters that mean nothing.

    `is_open` where it is an open place, `has_page` where it carries a page token.
    """

    records: frozenset[RecordRef] = frozenset()
    values: frozenset[str] = frozenset()
    ignored: frozenset[tuple[str, str]] = frozenset()
    is_open: bool = False
    has_page: bool = False


Look = Callable[[Request], Named]
"""What records.yaml makes of a request; raises `RouteRefused` where it is not mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the principal already knows from their own request; `ignored` also holds what the gate adds upstream."""

    request: Request
    records: frozenset[RecordRef]
    values: frozenset[str]
    ignored: frozenset[tuple[str, str]]


def _target(address: str, known: Known) -> Request | None:
    found = _ADDRESS.fullmatch(address)
    if found is None or not address:
        return None
    hosts = known.request.values(b"host")
    if found["host"] is not None and [found["host"].lower().encode()] != [host.lower() for host in hosts]:
        return None
    stays = found["path"] is None and found["host"] is None  # a query alone: the same path again
    path = known.request.raw_path if stays else (found["path"] or "/").encode()
    try:
        served = unquote(path.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        return None
    return Request(method="GET", raw_path=path, path=served, query=(found["query"] or "").encode())


def tells_nothing_new(address: str, known: Known, look: Look, *, trust_open: bool) -> bool:
    """Whether an address leads to a mapped or open place and names only what `known` holds.

    `trust_open` lets open places carry any query (a style sheet's cache tag in a page), which a redirect may not.
    """
    if len(address) > MAX_BYTES or not address.isascii():
        return False
    target = _target(address, known)
    if target is None:
        return False
    try:
        named = look(target)
    except RouteRefused:
        return False
    if named.is_open:
        return trust_open or not target.query
    if named.has_page or not named.ignored <= known.ignored:
        return False
    return named.records <= known.records and named.values <= known.values


def location_of(held: Held) -> str | None:
    """The one `Location` of a redirect; None where there is none, several or one that is no text."""
    locations = held.values(b"location")
    if len(locations) != 1:
        return None
    return locations[0].decode("latin-1")
