"""A records system over the records of a scenario: an ASGI app that knows nothing of any gate."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote

import orjson
from starlette.types import Receive, Scope, Send

from purposegate.model import RecordRef
from purposegate.scenario.cast import Record
from purposegate.scenario.mapping import PAGE_ROWS, columns_of

STARTS = "__startswith"


class RecordsSystem:
    """Serves records as JSON: `/{kind}/{id}`, `/{kind}?q=...`, and `/{kind}/{id}/export`."""

    def __init__(self, records: Sequence[Record], columns: Mapping[str, Sequence[str]]) -> None:
        self._rows: dict[str, dict[str, dict[str, str]]] = {}
        for record in records:
            empty = dict.fromkeys(columns[record.kind], "")
            self._rows.setdefault(record.kind, {})[record.id] = empty | columns_of(record)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        kind, *rest = unquote(scope["path"]).strip("/").split("/")
        rows = self._rows.get(kind, {})
        if not rest:
            await _answer(send, self._found(rows, dict(parse_qsl(scope["query_string"].decode()))))
        elif row := rows.get(rest[0]):
            await _answer(send, {"rows": [row]})
        else:
            await _answer(send, {}, status=404)

    def _found(self, rows: Mapping[str, Mapping[str, str]], query: dict[str, str]) -> dict[str, object]:
        size, offset = int(query.pop("size", PAGE_ROWS)), int(query.pop("page", 0))
        found = [row for row in rows.values() if all(_fits(row, *one) for one in query.items())]
        more = offset + size < len(found)
        return {"rows": found[offset : offset + size], "next": str(offset + size) if more else None}

    def has(self, record: RecordRef) -> bool:
        """Whether it holds the record."""
        return record.id in self._rows.get(record.kind, {})


def _fits(row: Mapping[str, str], name: str, value: str) -> bool:
    """Names are people's: a criterion on one of them is met by any person of the record."""
    wanted = value.casefold()
    if name == "q":
        words = {word for cell in row.values() for word in cell.casefold().split()}
        return all(any(word.startswith(one) for word in words) for one in wanted.split())
    column, starts = name.removesuffix(STARTS), name.endswith(STARTS)
    cells = [cell.casefold() for cell in _cells(row, column)]
    return any(cell.startswith(wanted) if starts else cell == wanted for cell in cells)


def _cells(row: Mapping[str, str], column: str) -> list[str]:
    if not column.startswith("p1_"):
        return [row.get(column, "")]
    return [cell for name, cell in row.items() if name.endswith(column.removeprefix("p1"))]


async def _answer(send: Send, content: object, *, status: int = 200) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(content)})
