"""A records system that answers whatever a test tells it to, and remembers what it was asked."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from demo.force import COLUMNS, Row

JSON = ((b"content-type", b"application/json; charset=utf-8"),)


def row_page(row: Row) -> bytes:
    """A row page as Datasette answers it."""
    body: dict[str, Any] = {
        "database": "people",
        "table": "person",
        "rows": [[row[name] for name in COLUMNS]],
        "columns": list(COLUMNS),
        "primary_keys": ["rec_id"],
        "primary_key_values": [row["rec_id"]],
        "query_ms": 1.5,
        "truncated": False,
    }
    return json.dumps(body).encode()


def table_page(rows: Iterable[Row], *, next_token: str | None = None, **more: Any) -> bytes:
    """A table page as Datasette answers it."""
    body: dict[str, Any] = {
        "database": "people",
        "table": "person",
        "rows": [[row[name] for name in COLUMNS] for row in rows],
        "columns": list(COLUMNS),
        "next": next_token,
        "next_url": None
        if next_token is None
        else f"http://records.example/people/person.json?_next={next_token}",
        "filtered_table_rows_count": 5000,
        "facet_results": {},
        "suggested_facets": [],
        **more,
    }
    return json.dumps(body).encode()


class HostileApp:
    """Answers every request with the same messages; `asked` holds each scope with its body."""

    def __init__(
        self,
        body: bytes = b"{}",
        *,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = JSON,
        messages: Iterable[Message] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.asked: list[Mapping[str, Any]] = []
        start: Message = {"type": "http.response.start", "status": status, "headers": list(headers)}
        whole: Message = {"type": "http.response.body", "body": body}
        self._messages: list[Message] = [start, whole] if messages is None else list(messages)
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play the messages, then the error if there is one."""
        await receive()
        self.asked.append(dict(scope))
        for message in self._messages:
            await send(message)
        if self._error is not None:
            raise self._error
