"""Somebody else's Cerbos at an address: proved like our own, believed only for policies it serves under their digest."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import grpc

from purposegate.decision import bundle as bundles
from purposegate.decision import canary
from purposegate.decision.canary import unfit
from purposegate.decision.client import DEADLINE_S, CheckClient
from purposegate.decision.serving import UNVERIFIED, Decider, Serving
from purposegate.decision.stamp import stamped_allow_rules
from purposegate.errors import PdpOutage
from purposegate.reasons import Reason

_PROVING_S = 5.0


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

    async def start(self) -> None:
        """Prove the server fit, and find out whether it serves the policies under their digest. Idempotent.

        Raises `PdpOutage` where it does not answer, is too old, or answers a canary wrongly.
        """
        if self._serving is None:
            self._replace(await asyncio.to_thread(self._connect, self._policies_dir))

    def _connect(self, policies_dir: Path | None) -> Serving:
        bundle = None if policies_dir is None else bundles.read(policies_dir)
        with canary.open_channel(self._address, self._credentials) as channel:
            if bundle is not None:
                try:
                    named = canary.prove(channel, version=bundle.digest, timeout_s=_PROVING_S)
                except PdpOutage:
                    bundle = None  # not served under its digest, or unfit: the default version's canaries tell which
            if bundle is None:
                named = _prove_default(channel)
        if bundle is None:
            # Nobody can say which rules these are, so none is known to be an allow rule: no relation is accepted.
            client = CheckClient(self._address, credentials=self._credentials, deadline_s=self._deadline_s)
            return Serving(
                client, digest=UNVERIFIED, allow_rules=frozenset(), reads_record_ids=True, version=named
            )
        return Serving(
            CheckClient(
                self._address,
                credentials=self._credentials,
                deadline_s=self._deadline_s,
                version=bundle.digest,
            ),
            digest=bundle.digest,
            allow_rules=stamped_allow_rules(bundle),
            reads_record_ids=bundle.reads_record_ids,
            version=named,
        )

    async def reload(self, policies_dir: Path | None = None) -> str:
        """Ask again for the policies as they are now; returns the digest, or `unverified` where they are not served.

        Raises `PolicyError` or `PdpOutage`; then nothing has changed.
        """
        wanted = policies_dir or self._policies_dir
        serving = await asyncio.to_thread(self._connect, wanted)
        self._policies_dir = wanted
        old = self._replace(serving)
        if old is not None:
            await old.drain()
        return serving.digest

    async def aclose(self) -> None:
        """Stop asking. Idempotent; lookups that began are answered first."""
        old = self._replace(None)
        if old is not None:
            await old.drain()
