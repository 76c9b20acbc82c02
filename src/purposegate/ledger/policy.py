"""C2SP trust policies: which logs are known, which witnesses must have seen a head (c2sp.org/tlog-policy).

log <vkey> [<url>]
witness <name> <vkey> [<url>]
group <name> all|any|<k> <name>...
quorum <name>|none
"""

import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Self

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.checkpoint import Checkpoint, SignedCheckpoint
from purposegate.ledger.cosignature import WitnessKey, cosigned_at_s
from purposegate.ledger.note import LogKey, Note
from purposegate.ledger.spelling import decimal, utf8_text

MAX_POLICY_BYTES = 256 * 1024
NO_QUORUM = "none"

_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
# Only space and tab part items: split() would also part at the Unicode spaces that a name may hold.
_ITEM = re.compile(rb"[^ \t]+")


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log that the policy knows. Its key's name is its origin."""

    key: LogKey
    url: str | None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness, under the name that the policy alone calls it by."""

    key: WitnessKey
    url: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as witnessing once `threshold` of its members (witnesses or groups) do."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that meets a policy; for each witness its latest cosignature's time, POSIX seconds."""

    signed: SignedCheckpoint
    cosigned_at_s: dict[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy. Names in it are opaque octets; those that are not UTF-8 carry surrogate escapes."""

    logs: tuple[PolicyLog, ...]
    witnesses: dict[str, PolicyWitness]
    groups: dict[str, Group]
    quorum: str

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a policy file. Raises `EvidenceMalformed` naming the line, never echoing it."""
        if len(raw) > MAX_POLICY_BYTES or not _ALLOWED.fullmatch(raw) or not raw.endswith(b"\n"):
            raise EvidenceMalformed(
                f"a policy is at most {MAX_POLICY_BYTES} bytes of whole lines, without control characters"
            )
        draft = _Draft()
        for number, line in enumerate(raw.split(b"\n"), start=1):
            items: list[bytes] = _ITEM.findall(line)
            if items and not items[0].startswith(b"#"):
                try:
                    draft.take(*items)
                except EvidenceMalformed as error:
                    raise EvidenceMalformed(f"policy line {number}: {error}") from error
        if draft.quorum is None:
            raise EvidenceMalformed(
                "a policy has exactly one quorum line; write `quorum none` to want no witness"
            )
        return cls(tuple(draft.logs), draft.witnesses, draft.groups, draft.quorum)

    def judge(self, raw: bytes) -> Witnessed:
        """The checkpoint in a note, once a known log signed it and the quorum of witnesses cosigned it.

        Raises `EvidenceMalformed`, or `ProofFailed`, also when any known key's signature on it is bad.
        """
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        logs = [log.key for log in self.logs if log.key.name == checkpoint.origin]
        note.verified(logs)  # first: cosignatures alone say nothing of who issued the head
        names = {witness.key: name for name, witness in self.witnesses.items()}
        times: dict[str, int] = {}
        for key, signature in note.verified([*logs, *names]):
            if isinstance(key, WitnessKey):
                times[names[key]] = max(cosigned_at_s(signature), times.get(names[key], 0))
        if not self.is_met(times):
            raise ProofFailed(f"{len(times)} known witnesses cosigned size {checkpoint.size}: not the quorum")
        return Witnessed(SignedCheckpoint(checkpoint, note), times)

    def is_met(self, cosigned: Container[str]) -> bool:
        """Whether the witnesses of these names together are the quorum."""
        return self.quorum == NO_QUORUM or self._counts(self.quorum, cosigned)

    def _counts(self, name: str, cosigned: Container[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._counts(member, cosigned) for member in group.members) >= group.threshold


@dataclass(slots=True)
class _Draft:
    logs: list[PolicyLog] = field(default_factory=list)
    witnesses: dict[str, PolicyWitness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    quorum: str | None = None

    def take(self, keyword: bytes, *items: bytes) -> None:
        match keyword, items:
            case b"log", (vkey, *url) if len(url) <= 1:
                self._log(vkey, url)
            case b"witness", (name, vkey, *url) if len(url) <= 1:
                self._witness(name, vkey, url)
            case b"group", (name, threshold, *members) if members:
                self._group(name, threshold, members)
            case b"quorum", (name,):
                self._quorum(name)
            case _:
                raise EvidenceMalformed("want a log, witness, group or quorum line with its items")

    def _log(self, vkey: bytes, url: list[bytes]) -> None:
        key = LogKey.parse(utf8_text(vkey, "log key"))
        if any(log.key.public == key.public for log in self.logs):
            raise EvidenceMalformed("this log's key stands on an earlier line")
        self.logs.append(PolicyLog(key, _url(url)))

    def _witness(self, name: bytes, vkey: bytes, url: list[bytes]) -> None:
        key = WitnessKey.parse(utf8_text(vkey, "witness key"))
        if any(witness.key.public == key.public for witness in self.witnesses.values()):
            raise EvidenceMalformed("this witness's key stands on an earlier line")
        self.witnesses[self._new(name)] = PolicyWitness(key, _url(url))

    def _group(self, name: bytes, threshold: bytes, members: list[bytes]) -> None:
        names = tuple(map(self._defined, members))
        if self.members.intersection(names) or len(set(names)) != len(names):
            raise EvidenceMalformed("a witness or group is a member at most once, so that it counts once")
        match threshold:
            case b"all":
                wanted = len(names)
            case b"any":
                wanted = 1
            case _:
                wanted = decimal(utf8_text(threshold, "threshold"), "threshold")
        if not 1 <= wanted <= len(names):
            raise EvidenceMalformed("a threshold is from 1 to the number of members")
        self.groups[self._new(name)] = Group(wanted, names)
        self.members.update(names)

    def _quorum(self, name: bytes) -> None:
        if self.quorum is not None:
            raise EvidenceMalformed("a second quorum line")
        self.quorum = NO_QUORUM if name == NO_QUORUM.encode() else self._defined(name)

    def _new(self, raw: bytes) -> str:
        name = _octets(raw)
        if name == NO_QUORUM or name in self.witnesses or name in self.groups:
            raise EvidenceMalformed("this name is taken")
        return name

    def _defined(self, raw: bytes) -> str:
        name = _octets(raw)
        if name not in self.witnesses and name not in self.groups:
            raise EvidenceMalformed("a group or quorum names witnesses and groups of earlier lines only")
        return name


def _octets(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _url(items: list[bytes]) -> str | None:
    return utf8_text(items[0], "url") if items else None
