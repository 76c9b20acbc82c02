"""Somebody else's Cerbos at an address: proved like our own, believed only for policies it serves under their digest."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from purposegate.decision import bundle as bundles
from purposegate.decision import canary
from purposegate.decision.cache import cache_for
from purposegate.decision.canary import unfit
from purposegate.decision.client import DEADLINE_S, CheckClient
from purposegate.decision.serving import UNVERIFIED, Decider, Serving
from purposegate.decision.stamp import stamped_allow_rules
from purposegate.errors import PdpOutage
from purposegate.reasons import Reason

_PROVING_S = 5.0

PROVING_EVERY_S = 10.0
"""How long somebody else's Cerbos may be unfit unnoticed. Six canaries cost it under a millisecond."""

LOG = logging.getLogger("purposegate.decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to know the server and be known by it: PEM files. Without `ca`, the system's authorities are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def _pem(path: Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise unfit(f"the TLS {what} cannot be read: {error.strerror}.") from error


def credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Credentials for gRPC, from PEM files. Raises `PdpOutage` for a file that cannot be read or half a pair."""
    if (tls.certificate is None) is not (tls.key is None):
        raise unfit("TLS needs the certificate and its key together, or neither.")
    made: grpc.ChannelCredentials = grpc.ssl_channel_credentials(  # type: ignore[no-untyped-call] # grpc is untyped
        root_certificates=_pem(tls.ca, "authority"),
        private_key=_pem(tls.key, "key"),
        certificate_chain=_pem(tls.certificate, "certificate"),
    )
    return made


def is_local(address: str) -> bool:
    """Whether an address stays on this host, so that plaintext is read by nobody else."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith("unix:") or host in {"localhost", "127.0.0.1", "::1"}


def _prove_default(channel: grpc.Channel) -> str:
    try:
        return canary.prove(channel, version="", timeout_s=_PROVING_S)
    except PdpOutage as error:
        if error.reason is not Reason.PDP_ANSWER_MALFORMED:
            raise
        hint = "If it serves no canaries, `purposegate pdp --stamp DIR` writes them beside the policies."
        raise PdpOutage(error.reason, f"{error.detail} {hint}") from error


class Prover:
    """Asks the canaries again and again, in a thread of its own: others may change their Cerbos without a word.

    `fault` is what a wrong answer proved, until one is right again. No answer at all is for each lookup to find out.
    """

    def __init__(self, channel: Callable[[], grpc.Channel], version: str) -> None:
        self.fault: PdpOutage | None = None
        self._channel = channel
        self._version = version
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cerbos-prover", daemon=True)

    def start(self) -> None:
        """Begin; the first canaries are asked after one pause, since a proof was just made."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; never waits."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(PROVING_EVERY_S):
            try:
                with self._channel() as channel:
                    canary.prove(channel, version=self._version, timeout_s=_PROVING_S)
                self.fault = None
            except PdpOutage as error:
                if error.reason is Reason.PDP_ANSWER_MALFORMED:
                    self.fault = error


class RemoteDecider(Decider):
    """Asks a Cerbos that others run. Its operator must serve the canary policies beside their own."""

    def __init__(
        self,
        address: str,
        *,
        policies_dir: Path | None = None,
        tls: Tls | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Nothing is asked yet. Raises `PdpOutage` for plaintext beyond this host: questions are personal data."""
        super().__init__()
        if tls is None and not is_local(address):
            raise unfit("a Cerbos on another host needs TLS: name the certificate authority in the settings.")
        self._address = address
        self._policies_dir = policies_dir
        self._credentials = None if tls is None else credentials(tls)
        self._deadline_s = deadline_s
        self._prover: Prover | None = None

    async def start(self) -> None:
        """Prove the server fit, and find out whether it serves the policies under their digest. Idempotent.

        Raises `PdpOutage` where it does not answer, is too old, or answers a canary wrongly.
        """
        if self._serving is None:
            await self._use(*await asyncio.to_thread(self._connect, self._policies_dir))

    def _connect(self, policies_dir: Path | None) -> tuple[Serving, Prover]:
        bundle = None if policies_dir is None else bundles.read(policies_dir)
        with self._open() as channel:
            if bundle is not None:
                try:
                    named = canary.prove(channel, version=bundle.digest, timeout_s=_PROVING_S)
                except PdpOutage as error:
                    # Not served under its digest, or unfit: the default version's canaries tell which.
                    LOG.warning("cerbos: %s is not served under its digest: %s", bundle.digest, error.detail)
                    bundle = None
            if bundle is None:
                named = _prove_default(channel)
        version = "" if bundle is None else bundle.digest
        prover = Prover(self._open, version)
        # Where nobody can say which rules these are, none is known to be an allow rule: no relation is accepted.
        allow_rules = frozenset[str]() if bundle is None else stamped_allow_rules(bundle)
        serving = Serving(
            CheckClient(
                self._address, credentials=self._credentials, deadline_s=self._deadline_s, version=version
            ),
            digest=UNVERIFIED if bundle is None else bundle.digest,
            allow_rules=allow_rules,
            reads_record_ids=True if bundle is None else bundle.reads_record_ids,
            version=named,
            fault=lambda: prover.fault,
            cache=None if bundle is None else cache_for(bundle.reads, allow_rules),
        )
        return serving, prover

    def _open(self) -> grpc.Channel:
        return canary.open_channel(self._address, self._credentials)

    async def _use(self, serving: Serving | None, prover: Prover | None) -> None:
        if prover is not None:
            prover.start()
        old, self._prover = self._prover, prover
        if old is not None:
            old.stop()
        replaced = self._replace(serving)
        if replaced is not None:
            await replaced.drain()

    async def reload(self, policies_dir: Path | None = None) -> str:
        """Ask again for the policies as they are now; returns the digest, or `unverified` where they are not served.

        Raises `PolicyError` or `PdpOutage`; then nothing has changed.
        """
        wanted = policies_dir or self._policies_dir
        serving, prover = await asyncio.to_thread(self._connect, wanted)
        self._policies_dir = wanted
        await self._use(serving, prover)
        return serving.digest

    async def aclose(self) -> None:
        """Stop asking. Idempotent; lookups that began are answered first."""
        await self._use(None, None)
