"""`POST /.purposegate/feeds/{feed}`: another system hands over a whole feed, all or nothing, with its entry first.

Who may is in the settings, by feed and role. A feed of the register goes into its store; one of the facts' own files is written
in the file's place, as it was accepted, for every worker to read within its refresh.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from purposegate.conflicts import directory
from purposegate.conflicts.register_import import Feed, taking
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.relations import Relations
from purposegate.errors import FactsOutage, ImportRefused, PageRefused
from purposegate.exchange import Reply
from purposegate.facts import work
from purposegate.feeds.reading import QUERY_ENDINGS, Pushed, read_table
from purposegate.feeds.writing import write_table
from purposegate.model import EntryKind, Receipt
from purposegate.pages import Page, Visit, Who, json_page
from purposegate.reasons import Reason

BODY_CAP_BYTES = 1024 * 1024
"""About 5,000 entries. What is larger is a file for `purposegate conflicts import`."""
CSV_TYPES = frozenset({"text/csv"})
JSON_TYPES = frozenset({"application/x-ndjson", "application/jsonl"})
SHOWN = 50
"""Faults of one answer: the sender mends its export, and not one line after the other."""

Check = Callable[[Pushed, datetime, ZoneInfo], object]

FILES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Check]] = {
    "directory": (
        (*directory.COLUMNS, *directory.OPTIONAL),
        directory.OPTIONAL,
        lambda rows, now, zone: directory.read_directory(rows, now=now, zone=zone),
    ),
    "references": (work.REFERENCE_COLUMNS, (), work.read_references),
    "assignments": (work.ASSIGNMENT_COLUMNS, (), work.read_assignments),
    "reference_records": (
        work.RECORD_COLUMNS,
        (),
        lambda rows, now, _: work.read_reference_records(rows, now),
    ),
    "duty": (work.DUTY_COLUMNS, (), work.read_duty),
}
"""The feeds that are files: their columns, those that may be left out, and what reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What may be pushed, by whom, and where to. `push` has each feed's roles; `files` where those that are files stand."""

    push: Mapping[str, frozenset[str]]
    register: Path | RegisterPlace
    files: Mapping[str, Path]
    relations: Relations
    zone: ZoneInfo
    least_share: float


Told = Callable[[Mapping[str, Any]], Receipt]
"""Writes the import's entry, from a thread; durable when it returns. Raises `LedgerOutage`."""


def pages(door: Door) -> tuple[Page, ...]:
    """The page, or none where nothing may be pushed."""
    if not door.push:
        return ()
    one_at_a_time = asyncio.Lock()

    async def push(visit: Visit) -> Reply:
        feed, rows = _asked(door, visit)
        loop = asyncio.get_running_loop()

        def told(taken: Mapping[str, Any]) -> Receipt:
            said = visit.append(visit.entry(EntryKind.IMPORT, {"import": dict(taken)}))
            return _waited(said, loop)

        try:
            async with one_at_a_time:  # so that what stands at last is what the last entry says
                taken = await asyncio.to_thread(_take, door, feed, rows, visit.now, told)
        except ImportRefused as error:
            raise PageRefused(422, "feed-refused", _faults(error)) from error
        return json_page(dict(taken))

    return (
        Page(
            "POST",
            "/feeds/{feed}",
            push,
            who=Who.IDENTIFIED,
            body_cap_bytes=BODY_CAP_BYTES,
            raw_types=CSV_TYPES | JSON_TYPES,
            problems={
                "feed-refused": "The feed has faults, so nothing of it was taken. Mend the lines that the detail names.",
                "feed-unknown": "No feed of this name may be pushed by you. Ask whoever keeps the gate's settings.",
                "feed-not-rows": "Send the whole feed as text/csv or application/x-ndjson.",
            },
        ),
    )


def _waited(said: Awaitable[Receipt], loop: asyncio.AbstractEventLoop) -> Receipt:
    async def appended() -> Receipt:
        return await said

    future: Future[Receipt] = asyncio.run_coroutine_threadsafe(appended(), loop)
    return future.result()


def _asked(door: Door, visit: Visit) -> tuple[str, Pushed]:
    feed = visit.values["feed"]
    # One answer for a feed that is not there and for one that is somebody else's: neither is told.
    if not door.push.get(feed, frozenset()) & set(visit.principal.roles):
        raise PageRefused(403, "feed-unknown", "No feed of this name may be pushed by you.")
    types = [
        value.partition(b";")[0].strip().lower().decode("latin-1")
        for value in visit.request.values(b"content-type")
    ]
    if len(types) != 1 or types[0] not in CSV_TYPES | JSON_TYPES:
        raise PageRefused(415, "feed-not-rows", "Send text/csv or application/x-ndjson.")
    return feed, Pushed(feed, visit.request.body, types[0] in JSON_TYPES)


def _faults(error: ImportRefused) -> str:
    shown = "\n".join(map(str, error.findings[:SHOWN]))
    more = len(error.findings) - SHOWN
    return f"{shown}\n{more} more" if more > 0 else shown


def _take(door: Door, feed: str, rows: Pushed, now: datetime, told: Told) -> Mapping[str, Any]:
    """Take a feed, in a thread. Raises `ImportRefused`, `PageRefused`, `SettingsError`, `Outage`."""
    if feed in FILES:
        return _into_file(door, feed, rows, now, told)
    if not isinstance(door.register, RegisterPlace):
        raise PageRefused(409, "feed-unknown", "The register is a file here, which is only read.")
    wanted = Feed(name=feed, source=rows, least_share=door.least_share)
    store = door.register.open(create=True)
    with taking(store, wanted, door.relations, now=now, zone=door.zone) as pending:
        told(pending.taken)
        pending.commit()
    return pending.taken


def _into_file(door: Door, feed: str, rows: Pushed, now: datetime, told: Told) -> Mapping[str, Any]:
    path = door.files[feed]
    if path.suffix.lower() in QUERY_ENDINGS:
        raise PageRefused(409, "feed-unknown", "This feed is a query here: the gate asks for it itself.")
    columns, optional, check = FILES[feed]
    check(rows, now, door.zone)
    table = read_table(rows, columns, now=now, optional=optional)
    if feed == "directory":  # it gives ties that nobody declared, and one that broke off would clear them
        least = door.least_share * len(read_table(path, columns, now=now, optional=optional).lines)
        if len(table.lines) < least:
            table.fault(1, "(file)", f"at least {door.least_share:.0%} of the members of staff in use")
        table.close()
    taken = {
        "feed": feed,
        "rows": len(table.lines),
        "as_of": table.as_of.isoformat(timespec="seconds"),
        "source_sha256": table.digest,
    }
    told(taken)
    try:
        write_table(path, table, columns)
    except OSError as error:
        raise FactsOutage(Reason.FACTS_UNAVAILABLE, f"{feed}: its file cannot be written") from error
    return taken
