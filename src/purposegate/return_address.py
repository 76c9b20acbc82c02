r"""Addresses that a client hands the gate, to be sent back to or declared for: a mapped lookup on this host, or none.

Nothing else can be meant by one, so everything else is refused before it is written anywhere: another scheme or host in any
spelling that a browser reads as one (`//host`, `/\\host`), control characters that would break a header, the gate's own pages.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from purposegate.errors import RouteRefused
from purposegate.exchange import PREFIX, Request
from purposegate.protocols import Match

if TYPE_CHECKING:
    from purposegate.attempt import Snapshot

MAX_CHARS = 4_000
"""What was a request's first line before fits; nginx and others take 8 KiB of it."""
# RFC 3986: one slash, then path and query in unreserved, reserved and percent-encoded characters. No backslash, no fragment.
_ADDRESS = re.compile(
    r"/(?!/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)


def lookup_at(snapshot: "Snapshot", address: str, *, method: str = "GET", body: bytes = b"") -> Match | None:
    """The lookup at an address of this host; None where the address is no such thing. Never raises."""
    if len(address) > MAX_CHARS or not _ADDRESS.fullmatch(address):
        return None
    path, _, query = address.partition("?")
    if path == PREFIX or path.startswith(PREFIX + "/"):
        return None
    request = Request(
        method=method,
        raw_path=path.encode("ascii"),
        path=unquote(path),
        query=query.encode("ascii"),
        body=body,
    )
    try:
        return snapshot.routes.match(request)
    except RouteRefused:
        return None
