"""Builds the object graph from purposegate.yaml: the one place, beside the command line, where all rooms meet."""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType

from purposegate import settings as settings_file
from purposegate.attempt import Snapshot
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.decision import ManagedDecider, RemoteDecider, Tls
from purposegate.declared_ahead import declared_ahead
from purposegate.declared_ahead import open_store as open_sessions
from purposegate.enforcement.identity import BearerJwt, KeyFile, KeyUrl
from purposegate.enforcement.refusal import WaysForward
from purposegate.errors import SettingsError
from purposegate.facts import FactsPaths, ForceFacts
from purposegate.facts.challenge import DayKeys
from purposegate.facts.feed_pages import Door
from purposegate.facts.feed_pages import pages as feed_pages
from purposegate.facts.history import History
from purposegate.gate import Gate, Parts
from purposegate.ledger import keys
from purposegate.ledger.durable import DurableLedger, Limits
from purposegate.ledger.location import FileLocation, Location, on_server, on_server_in
from purposegate.ledger.quorum import Witnesses
from purposegate.link_sources import open_links
from purposegate.model import EntryKind
from purposegate.pages import Pages
from purposegate.parts import bare_entry
from purposegate.purposes.catalogue import load as load_catalogue
from purposegate.purposes.session import Store as Sessions
from purposegate.records.cursor import KEY_BYTES, Cursors
from purposegate.records.mapping import load as load_records
from purposegate.review.desk import Desk
from purposegate.review.docket import Docket, Sealing
from purposegate.review.opening import open_store
from purposegate.review.pages import pages as review_pages
from purposegate.review.store import Store
from purposegate.review.terms import Terms
from purposegate.settings import LedgerSettings, Settings
from purposegate.step_up import StepUp

LOG = logging.getLogger("purposegate")
MIB = 1024 * 1024
REVIEWS_KEPT = timedelta(days=400)
"""How long what lapsed stays beside the ledger, which keeps the entries themselves as retention says."""
POLICY_FILES = ("purposes.yaml", "records.yaml", "conflicts.yaml", "facts.yaml")


def load_gate(path: str | Path) -> Gate:
    """A gate as purposegate.yaml describes it. The file is read now; Cerbos and the ledger start with the gate.

    Raises `SettingsError` naming file, line and key of every fault.
    """
    application = Application(settings_file.load(Path(path)))
    return Gate(application, reload=application.reload)


class Application(AbstractAsyncContextManager[Parts]):
    """One running gate's parts. A context manager: entered once, at start-up."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives aware moments; pass the same one to the `Gate`. Only scenarios need another than the machine's."""
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._retiring: set[Callable[[], Awaitable[None]]] = set()
        self._ledger: DurableLedger | None = None
        self._history: History | None = None
        self._challenges: DayKeys | None = None
        self._docket: Docket | None = None
        self._sessions: Sessions | None = None

    async def __aenter__(self) -> Parts:
        """Open the ledger, start Cerbos, load the facts. Raises `SettingsError` or `Outage`; then nothing stays up."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            ledger = await asyncio.to_thread(_open_ledger, settings)
            stack.push_async_callback(ledger.aclose)
            self._ledger = ledger
            _push(ledger, settings)
            # Nothing idle is kept: other workers count in the same store, and only it knows of them.
            self._history = History(ledger.counted)
            self._challenges = _day_keys(settings, ledger, self._clock)
            self._docket, store = await asyncio.to_thread(_open_docket, settings, ledger, self._clock)
            stack.push_async_callback(asyncio.to_thread, store.close)
            self._sessions = await asyncio.to_thread(open_sessions, ledger_location(settings.ledger))
            stack.push_async_callback(asyncio.to_thread, self._sessions.close)
            stack.push_async_callback(self._close_deciders)
            snapshot = await self.reload()
            self._stack = stack.pop_all()
        return Parts(
            ledger=ledger,
            snapshot=snapshot,
            refusals_per_minute=settings.refusals_per_minute,
            monitor_without_ledger=settings.ledger.monitor_without_ledger,
            admit=ledger.require_witnessed,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, the ledger last."""
        await self._stack.__aexit__(kind, error, trace)

    async def reload(self) -> Snapshot:
        """Settings, policies, facts and a Cerbos of their own, read anew. Raises and changes nothing if any is wrong.

        The ledger stays as it is. The caller swaps the snapshot in, and then calls its `retire`.
        """
        if self._ledger is None or self._docket is None or self._sessions is None:
            raise SettingsError("the gate is not started")
        settings = await asyncio.to_thread(settings_file.load, self._settings.path)
        read = _standing(settings)
        catalogue = load_catalogue(settings.policies / "purposes.yaml", field=settings.header)
        routes = load_records(settings.policies / "records.yaml")
        _require_known(settings, routes.kinds)
        key = cursor_key(ledger_location(settings.ledger).beside(""))
        cursors = Cursors(key, settings.cursor_lifetime_s)
        ahead = declared_ahead(catalogue, self._sessions, key)
        facts = await self._facts(settings, self._ledger)
        desk = Desk(self._docket, Terms(**settings.review))
        identify = identification(settings)
        decider = _decider(settings)
        await decider.start()
        refreshing = asyncio.create_task(_refresh(facts, settings.facts.refresh_s))

        async def retire() -> None:
            self._retiring.discard(retire)
            refreshing.cancel()
            await decider.aclose()
            await facts.aclose()

        self._retiring.add(retire)
        try:
            _require_standing(settings, read)
        except SettingsError:
            await retire()
            raise
        return Snapshot(
            routes=routes,
            catalogue=catalogue,
            decider=decider,
            facts=facts,
            identify=identify,
            cursors=cursors,
            ways=_ways(settings),
            modes=settings.modes,
            digest=_digest(read, decider.digest),
            refill_pages=settings.refill_pages,
            agency={"agency": settings.agency.name, "ori": settings.agency.ori},
            retire=retire,
            pages=Pages(*review_pages(desk), *ahead.pages, *feed_pages(_door(settings, facts))),
            declarations=ahead.desk,
            browser=ahead.browser,
            review=desk,
            step_up=_step_up(settings),
        )

    async def _facts(self, settings: Settings, ledger: DurableLedger) -> ForceFacts:
        """What the force's own files say, as they stand now. Raises `SettingsError`, `Outage`."""
        return await ForceFacts.load(
            conflicts=settings.policies / "conflicts.yaml",
            policy=settings.policies / "facts.yaml",
            paths=FactsPaths(
                directory=settings.facts.directory,
                register=register_source(settings),
                references=settings.facts.references,
                assignments=settings.facts.assignments,
                reference_records=settings.facts.reference_records,
                duty=settings.facts.duty,
                least_share=settings.facts.least_share,
            ),
            counts=ledger.counted,
            history=self._history,
            challenges=self._challenges,
            clock=self._clock,
            links=await open_links(settings.facts.links),
        )

    async def _close_deciders(self) -> None:
        for retire in tuple(self._retiring):
            await retire()


def _require_known(settings: Settings, kinds: Collection[str]) -> None:
    """Return if modes are set only for record kinds that there are. Raises `SettingsError`, without the unknown word."""
    unknown = settings.modes.keys() - {*kinds, "default"}
    if unknown:
        known = ", ".join(sorted([*kinds, "default"]))
        raise SettingsError(f"{settings.path}: modes: {len(unknown)} unknown record kind(s); known: {known}")


def register_source(settings: Settings) -> Path | RegisterPlace:
    """Where the settings say that the register is."""
    register = settings.facts.register
    if isinstance(register, Path):
        return register
    return RegisterPlace(path=register.path, url_file=register.url_file, key_file=register.key_file)


def _door(settings: Settings, facts: ForceFacts) -> Door:
    """What other systems may push, and where it goes."""
    given = settings.facts
    names = ("directory", "references", "assignments", "reference_records", "duty")
    return Door(
        push=given.push,
        register=register_source(settings),
        files={name: getattr(given, name) for name in names},
        relations=facts.relations,
        zone=facts.zone,
        least_share=given.least_share,
    )


def ledger_location(ledger: LedgerSettings) -> Location:
    """Where the settings say that the ledger is. Raises `SettingsError`, without the URL."""
    if ledger.url_file is not None:
        return on_server_in(ledger.url_file, ledger.key_file)
    if ledger.path is None:
        return on_server(ledger.url, ledger.key_file)
    return FileLocation.of(ledger.path, ledger.key_file)


def _open_ledger(settings: Settings) -> DurableLedger:
    chosen = settings.ledger
    file = chosen.path or chosen.key_file
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"ledger: {file} cannot be made: {error.strerror}") from error
    limits = Limits(watermark_bytes=chosen.minimum_free_mib * MIB)
    return ledger_location(chosen).open(origin=chosen.origin, limits=limits)


def _day_keys(settings: Settings, ledger: DurableLedger, clock: Callable[[], datetime]) -> DayKeys:
    """The day keys of random challenges, beside the ledger and committed in it."""

    async def commit(day: date, digest: str) -> None:
        fields = {"day": day.isoformat(), "commitment": digest}
        await ledger.append(bare_entry(EntryKind.CHALLENGE_KEY, clock(), fields))

    return DayKeys(ledger_location(settings.ledger).beside(".challenge"), commit)


def ledger_witnesses(chosen: LedgerSettings) -> Witnesses:
    """Whom the settings would have cosign the ledger's heads; nobody, perhaps. Raises `SettingsError`."""
    return Witnesses.read(
        [(one.url, one.key, one.ca) for one in chosen.witnesses],
        chosen.policy_file,
        every_s=chosen.witness_every_s,
        max_unwitnessed_s=chosen.max_unwitnessed_s,
        stops=chosen.stop_when_unwitnessed,
    )


def _push(ledger: DurableLedger, settings: Settings) -> None:
    """Have the ledger's heads witnessed, if the settings name witnesses. Raises `SettingsError`, `LedgerOutage`."""
    chosen = settings.ledger
    witnesses = ledger_witnesses(chosen)
    if witnesses.places:
        ledger.push_to(witnesses)
    elif chosen.stop_when_unwitnessed or chosen.policy_file:
        raise SettingsError(
            "ledger.witnesses: none has an address; name at least one, or leave the other keys out"
        )


def _open_docket(
    settings: Settings, ledger: DurableLedger, clock: Callable[[], datetime]
) -> tuple[Docket, Store]:
    """What people decide about lookups, beside the ledger or in its database. Raises `SettingsError`, `Outage`."""
    location = ledger_location(settings.ledger)
    if location.key_file is None:
        raise SettingsError(f"{location}: name its key file: ledger.key_file")
    store = open_store(location)
    store.prune(int((clock() - REVIEWS_KEPT).timestamp()))
    return Docket(store, Sealing(keys.load(location.key_file)), ledger, clock=clock), store


def _ways(settings: Settings) -> WaysForward:
    return WaysForward(
        hand_over=settings.hand_over,
        supervisor=settings.supervisor,
        steps_up=settings.step_up is not None,
    )


def _step_up(settings: Settings) -> StepUp | None:
    given = settings.step_up
    return StepUp(acr_values=given.acr_values, max_age_s=given.max_age_s) if given else None


def _decider(settings: Settings) -> ManagedDecider | RemoteDecider:
    pdp, cerbos = settings.pdp, settings.policies / "cerbos"
    if not pdp.address:
        return ManagedDecider(
            cerbos,
            binary=pdp.binary,
            project=settings.path.parent,
            runtime_dir=pdp.runtime_dir,
            shared=pdp.shared,
            deadline_s=pdp.deadline_s,
        )
    tls = None
    if pdp.tls is not None:
        tls = Tls(ca=pdp.tls.get("ca"), certificate=pdp.tls.get("certificate"), key=pdp.tls.get("key"))
    return RemoteDecider(pdp.address, policies_dir=cerbos, tls=tls, deadline_s=pdp.deadline_s)


def identification(settings: Settings) -> BearerJwt:
    """Who asks, as the settings say that it is proved. Raises `SettingsError`."""
    jwt = settings.jwt
    return BearerJwt(
        issuer=jwt.issuer,
        audience=jwt.audience,
        algorithms=jwt.algorithms,
        keys=KeyFile(jwt.jwks) if isinstance(jwt.jwks, Path) else KeyUrl(jwt.jwks),
        roles=jwt.roles,
        id_claim=jwt.id_claim,
        roles_claim=jwt.roles_claim,
        acr_values=frozenset(settings.step_up.acr_values if settings.step_up else ()),
        service_claim=jwt.service_claim,
        service_values=jwt.service_values,
        leeway_s=jwt.leeway_s,
    )


async def _refresh(facts: ForceFacts, every_s: float) -> None:
    """Read changed files again, for ever. A faulty file keeps the old one, which ages until it refuses by itself."""
    while True:
        await asyncio.sleep(every_s)
        for refusal in await facts.refresh():
            LOG.error("%s was not read again: %s", refusal.source, refusal.error)


def cursor_key(ledger: Path) -> bytes:
    """The key of page cursors, 32 bytes in a file of mode 0600 beside the ledger, shared by all workers.

    Made whole under another name first: workers start together, and none may read what another has not finished.
    Raises `SettingsError` for a file that others can read or that holds no key.
    """
    path = ledger.with_name(ledger.name + ".cursor-key")
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as draft:
            draft.write(secrets.token_bytes(KEY_BYTES))
            draft.flush()
            os.fsync(draft.fileno())
            with contextlib.suppress(FileExistsError):  # another worker was first: its key is everybody's
                os.link(draft.name, path)
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"{path}: want mode 0600")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"{path}: want {KEY_BYTES} bytes; delete it, and lists begin again from their first page"
        )
    return key


def _standing(settings: Settings) -> tuple[str, ...]:
    """The SHA-256, hex, of the settings and the four policy files as they stand now."""
    files = (settings.path, *(settings.policies / name for name in POLICY_FILES))
    try:
        return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    except OSError as error:
        raise SettingsError(f"{error.filename}: want a readable file: {error.strerror}") from error


def _require_standing(settings: Settings, read: tuple[str, ...]) -> None:
    """Return if the files are what was read: else entries would name the digest of what did not decide (law 9)."""
    if settings.digest != read[0] or read != _standing(settings):
        raise SettingsError(
            f"{settings.path}: it or a policy file changed while they were read; reload once they stand"
        )


def _digest(read: tuple[str, ...], cerbos: str) -> str:
    """SHA-256 over the settings, the four policy files and the Cerbos policies' digest: what every entry names."""
    settings, *policies = read
    whole = hashlib.sha256(f"{settings}\n{cerbos}\n".encode())
    for one in policies:
        whole.update(bytes.fromhex(one))
    return whole.hexdigest()
