"""Whom a shard's heads are shown to, and from when on they count as witnessed."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from purposegate.errors import EvidenceError, EvidenceMalformed, SettingsError
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessKey, cosigned_at_s
from purposegate.ledger.note import Note
from purposegate.ledger.policy import NO_QUORUM, Policy

DEFAULT_EVERY_S = 2.0
"""How often a grown head is pushed: the time an insider has, against a request and a disk write at the witness."""
DEFAULT_MAX_UNWITNESSED_S = 900.0
NEWEST = 256
"""How many of the newest heads a status line looks through."""
ROUNDS = 3
"""How many rounds of pushing fit at least into the age that is a gap."""


@dataclass(frozen=True, slots=True)
class WitnessPlace:
    """One witness: its key, where it is asked, and for https the authorities that it is known by (None: the usual ones)."""

    key: WitnessKey
    url: str
    ca: Path | None = None

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can speak for the witness: https, or this host itself."""
        try:
            parts = urlsplit(self.url)
            if parts.scheme == "https":
                return bool(parts.hostname)
            return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
        except ValueError:  # no address at all, or a name: names are looked up, and may lead elsewhere
            return False

    def tls(self) -> ssl.SSLContext | bool:
        """What httpx verifies a server by."""
        return True if self.ca is None else ssl.create_default_context(cafile=self.ca)


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessState:
    """One witness as it stands. `age_s` is that of its last cosignature, None before the first."""

    name: str
    size: int
    age_s: float | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """The witnesses asked, and the policy whose quorum counts; without one all of them must have cosigned."""

    places: tuple[WitnessPlace, ...]
    policy: Policy | None = None
    every_s: float = DEFAULT_EVERY_S
    max_unwitnessed_s: float = DEFAULT_MAX_UNWITNESSED_S
    stops: bool = False

    @classmethod
    def read(
        cls, given: Sequence[tuple[str, str, Path | None]], policy_file: Path | None, **limits: Any
    ) -> Self:
        """From the settings: (url, verifier key, authorities) of each witness, and the file of a tlog-policy.

        A witness that the policy gives an address is asked too. Raises SettingsError naming what is wrong, and where the
        witnesses that can be asked could never be the quorum.
        """
        policy = _policy(policy_file) if policy_file else None
        found: dict[WitnessKey, WitnessPlace] = {}
        if policy is not None:
            for witness in policy.witnesses.values():
                if witness.url:
                    found[witness.key] = WitnessPlace(witness.key, witness.url)
        for number, (url, vkey, ca) in enumerate(given):
            try:
                key = WitnessKey.parse(vkey)
            except EvidenceMalformed as error:
                raise SettingsError(f"ledger.witnesses.{number}.key: {error}") from error
            found[key] = WitnessPlace(key, url, ca)
        made = cls(places=tuple(found.values()), policy=policy, **limits)
        made.require_sound(policy_file)
        return made

    def require_sound(self, policy_file: Path | None) -> None:
        """Return if these witnesses can be asked, and can be the quorum in time; else SettingsError."""
        if len({place.key.name for place in self.places}) != len(self.places):
            raise SettingsError("ledger.witnesses: two witnesses share a name; their cosignatures would too")
        if self.places and not self.is_met({place.key for place in self.places}):
            raise SettingsError(
                f"{policy_file}: the witnesses with an address cannot make up the quorum; give the others theirs"
            )
        if self.max_unwitnessed_s < ROUNDS * self.every_s:
            raise SettingsError(
                f"ledger.max_unwitnessed_s: want at least {ROUNDS} times `witness_every_s`, or every round would be a gap"
            )
        for place in self.places:
            if not place.is_private:
                raise SettingsError(
                    f"witness {place.key.name}: want https, or http on this host alone: anybody on the way could stop the gate"
                )
            try:
                place.tls()
            except OSError as error:
                raise SettingsError(f"{place.ca}: cannot be read as PEM certificates") from error

    def is_met(self, cosigned: set[WitnessKey]) -> bool:
        """Whether these witnesses together count."""
        if self.policy is None:
            return cosigned >= {place.key for place in self.places}
        names = {name for name, witness in self.policy.witnesses.items() if witness.key in cosigned}
        return self.policy.is_met(names)

    def since(self, at: Mapping[WitnessKey, float]) -> float | None:
        """The latest time at which the quorum stood, given each witness's latest time; None if it never did."""
        for moment in sorted(set(at.values()), reverse=True):
            if self.is_met({key for key, seen in at.items() if seen >= moment}):
                return moment
        return None


def _policy(path: Path) -> Policy:
    try:
        policy = Policy.parse(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except EvidenceMalformed as error:
        raise SettingsError(f"{path}: {error}") from error
    if policy.quorum == NO_QUORUM:
        raise SettingsError(f"{path}: `quorum none` wants no witness; name a quorum, or leave the file out")
    return policy


def states_in_store(notes: Sequence[tuple[int, bytes]], now_s: float) -> list[WitnessState]:
    """Each key name that cosigned one of the newest heads kept, as the store has it: read, not verified.

    `notes` are a reader's `checkpoints`; `now_s` is POSIX seconds. For a status line, not for evidence.
    """
    found: dict[str, WitnessState] = {}
    for size, raw in reversed(notes[-NEWEST:]):
        try:
            note = Note.parse(raw)
            origin = Checkpoint.parse(note.text).origin
            for signature in note.signatures:
                if signature.name != origin and signature.name not in found:
                    age_s = max(0.0, now_s - cosigned_at_s(signature))
                    found[signature.name] = WitnessState(name=signature.name, size=size, age_s=age_s)
        except EvidenceError:
            continue  # verify names what is malformed
    return list(found.values())
