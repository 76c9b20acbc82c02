"""Law 1 on routes with effects: an intent entry is durable before the records system is asked, then the release."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from demo.walk import declare
from gates import Gated, World, behind, copied_policies, opened
from hostile import HostileApp
from purposegate.gate import Parts
from purposegate.model import EntryKind, Mode
from unit_ledgers import DeadLedger

pytestmark = pytest.mark.anyio

EXPORT = """
  - name: person-export
    methods: [GET]
    path: /people/person/{id}.pdf
    action: export
    kind: person
    judged: false
  - name: person-report
    methods: [POST]
    path: /people/person/{id}.report
    action: export
    kind: person
    judged: false
"""
TO_PARTNER = 'disclose.partner;ref="ISA/12/26";reason=%"Risk panel on Thursday: probation asked for his current address under the sharing agreement";recipient="Probation Service"'
DISCLOSER: dict[str, Any] = {"who": "T1001", "roles": ("Discloser",), "declared": TO_PARTNER}


class Watching(HostileApp):
    """Remembers which entries were durable when it was asked."""

    gated: Gated | None = None
    durable: tuple[EntryKind, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the ledger, then answer."""
        if self.gated is not None:
            self.durable = tuple(entry.kind for entry in self.gated.entries)
        await super().__call__(scope, receive, send)


@pytest.fixture(scope="module")
async def exporting(
    world: World, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Parts]:
    """Parts whose mapping has an export route, with somebody assigned to a sharing agreement."""
    policies = copied_policies(tmp_path_factory.mktemp("exporting") / "policies")
    with (policies / "records.yaml").open("a", encoding="utf-8") as file:
        file.write(EXPORT)
    for name, row in (
        ("references.csv", "ISA/12/26,sharing-agreement,open,2020-01-01,"),
        ("assignments.csv", "ISA/12/26,T1001,2020-01-01,"),
    ):
        path = Path(world.home / f"exporting-{name}")
        path.write_text((world.home / name).read_text(encoding="utf-8") + row + "\n", encoding="utf-8")
    changes: dict[str, Any] = {
        "policies": str(policies),
        "facts": {"references": "exporting-references.csv", "assignments": "exporting-assignments.csv"},
        "identity": {"roles": {"Discloser": "disclosure_officer", "Detective": "investigator"}},
    }
    async with opened(world, "exporting", **changes) as parts:
        yield parts


def path_of(world: World) -> str:
    return world.path(world.cast.suspect, ".pdf")


async def test_the_intent_is_durable_before_the_records_system_is_asked(
    world: World, exporting: Parts
) -> None:
    """An export asks the records system only once its intent is on disk; its release is an entry of its own."""
    app = Watching(b"%PDF", headers=[(b"content-type", b"application/pdf")])
    gated = app.gated = behind(world, app, exporting)
    answer = await gated.ask(path_of(world), **DISCLOSER)

    assert (200, b"%PDF", "application/pdf") == (
        answer.status_code,
        answer.content,
        answer.headers["content-type"],
    )
    assert (EntryKind.INTENT,) == app.durable
    assert [EntryKind.INTENT, EntryKind.RELEASE] == [entry.kind for entry in gated.entries]
    assert gated.entries[0].lookup_id == gated.entries[1].lookup_id


async def test_an_export_keeps_its_files_name(world: World, exporting: Parts) -> None:
    """Where the answer is decided on the request alone, what the file is called goes with the file."""
    named = [(b"content-type", b"application/pdf"), (b"content-disposition", b'attachment; filename="x.pdf"')]
    answer = await behind(world, HostileApp(b"%PDF", headers=named), exporting).ask(
        path_of(world), **DISCLOSER
    )

    assert 'attachment; filename="x.pdf"' == answer.headers["content-disposition"]


async def test_without_an_intent_the_records_system_is_not_asked(world: World, exporting: Parts) -> None:
    """A dead ledger stops an export before it has any effect."""
    app = HostileApp(b"%PDF")
    answer = await behind(world, app, exporting, ledger=DeadLedger(exporting)).ask(
        path_of(world), **DISCLOSER
    )

    assert (503, []) == (answer.status_code, app.asked)


async def test_a_ledger_that_dies_after_the_intent_releases_nothing(world: World, exporting: Parts) -> None:
    """The effect may have happened, and the intent says so; the file does not leave."""
    app = HostileApp(b"%PDF")
    answer = await behind(world, app, exporting, ledger=DeadLedger(exporting, after=1)).ask(
        path_of(world), **DISCLOSER
    )

    assert (503, 1, False) == (answer.status_code, len(app.asked), b"%PDF" in answer.content)


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (DISCLOSER | {"declared": TO_PARTNER.partition(";recipient")[0]}, 400),
        (DISCLOSER | {"declared": declare("investigate.crime", "CR/1042/26"), "roles": ("Detective",)}, 403),
    ],
)
async def test_a_refused_export_never_reaches_the_records_system(
    world: World, exporting: Parts, ask: dict[str, Any], status: int
) -> None:
    """What can be refused on the request is refused before there is any effect, without an intent."""
    app = HostileApp(b"%PDF")
    gated = behind(world, app, exporting)
    answer = await gated.ask(path_of(world), **ask)

    assert (status, [], [EntryKind.REFUSAL]) == (
        answer.status_code,
        app.asked,
        [e.kind for e in gated.entries],
    )


async def test_monitor_mode_records_the_intent_too(world: World, exporting: Parts) -> None:
    """Law 10: recording is the same whatever the mode."""
    app = Watching(b"%PDF")
    gated = app.gated = behind(world, app, exporting, modes={"default": Mode.MONITOR})
    await gated.ask(path_of(world), declared=None)

    assert (EntryKind.INTENT,) == app.durable
    assert [EntryKind.INTENT, EntryKind.REFUSAL] == [entry.kind for entry in gated.entries]


CAP = 1000


@pytest.mark.parametrize("parts_of_it", [1, 2, 3])
@pytest.mark.parametrize(("size", "status"), [(CAP, 200), (CAP + 1, 413)])
async def test_a_body_over_the_cap_never_reaches_the_records_system(
    world: World, exporting: Parts, size: int, status: int, parts_of_it: int
) -> None:
    """However many messages the server makes of it, the last one included: what was not read whole is not passed on."""
    app = HostileApp(b"%PDF")
    gated = behind(world, app, exporting)
    gated.asgi.body_cap_bytes = CAP
    body, step = b"x" * size, -(-size // parts_of_it)
    chunks = [body[at : at + step] for at in range(0, size, step)]
    headers = [
        (b"authorization", f"Bearer {gated.token('T1001', 'Discloser')}".encode()),
        (b"access-purpose", TO_PARTNER.encode()),
    ]
    path = world.path(world.cast.suspect, ".report")
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    await gated.asgi(scope, receive, send)

    assert (status, int(status == 200)) == (sent[0]["status"], len(app.asked))
    assert (EntryKind.RELEASE if status == 200 else EntryKind.REFUSAL) is gated.entries[-1].kind


async def test_a_file_that_nobody_reads_is_a_sight_of_its_record(world: World, exporting: Parts) -> None:
    """An export let out as it is has shown the whole record: it is a row of the entry, and the next one is the second sight."""
    gated = behind(world, HostileApp(b"%PDF"), exporting)
    path = world.path(list(world.both.records)[300], ".pdf")
    statuses = [(await gated.ask(path, **DISCLOSER)).status_code for _ in range(2)]
    released = [entry for entry in gated.entries if entry.kind is EntryKind.RELEASE]

    assert [200, 200] == statuses
    assert [1, 2] == [row["sight"] for entry in released for row in entry.rows]
