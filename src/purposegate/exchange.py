"""HTTP as the gate sees it: one request in, one held answer from the records system, one reply out.

Transport-neutral, so that ASGI, WSGI and the proxy are thin entrances to the same pipeline.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, in the order received, repeats kept (RFC 9110 section 5.3)."""

PREFIX = "/.purposegate"
"""Where the gate's own pages are; nothing under it reaches the records system."""
NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""On every reply: nobody keeps it, nobody guesses what it is."""

WEBSOCKET = "WEBSOCKET"
"""The method of a request that is a WebSocket's opening handshake; no route maps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `raw_path` and `query` are as they were on the wire, undecoded; `path` is what the server made of it.

    `body` is complete, unless `body_over_cap`: then it is what fitted the entrance's cap. `peer` is the network address that
    the entrance saw, which is a proxy's where one stands in front.
    """

    method: str
    raw_path: bytes
    path: str
    query: bytes = b""
    headers: Headers = ()
    body: bytes = b""
    body_over_cap: bool = False
    peer: str = ""

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of a header; `name` in lower case."""
        return tuple(value for key, value in self.headers if key == name)

    def without(self, names: frozenset[bytes]) -> "Request":
        """The same request less the named headers."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] not in names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A records system's whole answer, held back until it is judged."""

    status: int
    headers: Headers
    body: bytes

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of a header; `name` in lower case."""
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes to the client, already durable in the ledger."""

    status: int
    headers: Headers = field(default=())
    body: bytes = b""


class Pass(Enum):
    """What the entrance does where the gate has no reply of its own."""

    OPEN = "open"
    """Listed as open: the request goes on untouched and unrecorded."""
    ORIGINAL = "original"
    """Monitor mode: the entry is durable; the records system's own answer goes out as it came."""


class Page(NamedTuple):
    """Where in the records system's paging a list stands: its own page token ("" = first) and rows to skip in it."""

    token: str = ""
    skip: int = 0
