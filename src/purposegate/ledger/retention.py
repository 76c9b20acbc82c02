r"""Giving clear text up, and holding it: requests that two people sign, and the rules that bind them. Pure.

A request is the text of a C2SP signed note; each approver signs it with a key of their own:

    purposegate.org/retention/v1
    erase                                        <- or hold, or lift (of a hold)
    north.police.uk/purposegate/hq               <- the ledger's origin
    entries shard-0/12-40 shard-1/3-3
    rule MoPI group 3, six years
    authority DCI 1234, review 2026/17
    asked 2026-11-21T19:00:00Z

The retention policy of a ledger says who may approve and how long nothing is erased:

    floor-days 2190
    approver <verifier key>
    approver <verifier key>
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self

from purposegate.errors import EvidenceError, EvidenceMalformed, ProofFailed
from purposegate.ledger.note import LogKey, Note
from purposegate.ledger.spelling import decimal, utf8_text

TITLE = "purposegate.org/retention/v1"
APPROVERS_NEEDED = 2
LEAST_FLOOR = timedelta(days=365)
"""US CJIS policy keeps such logs at least a year (reference domain.md d); a policy may only lengthen it."""
MAX_CLOCK_DIFFERENCE = timedelta(hours=1)
"""How far the clock of whoever drafts a request may lie ahead: one from next year would outrank all until then."""
KEPT_KINDS = frozenset({"genesis", "erase", "hold", "recovery"})
"""Entries whose clear text explains the log itself: never erased."""


_RANGE = re.compile(r"([a-z0-9][a-z0-9.-]{0,62})/(0|[1-9][0-9]{0,12})-(0|[1-9][0-9]{0,12})", re.ASCII)
_TEXT = re.compile(r"[^\n]{3,500}")


class Act(StrEnum):
    """What a request asks for."""

    ERASE = "erase"
    HOLD = "hold"
    LIFT = "lift"


class Span(NamedTuple):
    """Entries `first` to `last` of a shard, both included."""

    shard: str
    first: int
    last: int

    def covers(self, shard: str, number: int) -> bool:
        """Whether the entry is among them."""
        return self.shard == shard and self.first <= number <= self.last

    def __str__(self) -> str:
        return f"{self.shard}/{self.first}-{self.last}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<shard>/<first>-<last>`. Raises `EvidenceMalformed`."""
        found = _RANGE.fullmatch(text)
        if not found or int(found[2]) > int(found[3]):
            raise EvidenceMalformed("entries are <shard>/<first>-<last>, first not after last")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, of which entries, by which rule and whose authority."""

    act: Act
    origin: str
    spans: tuple[Span, ...]
    rule: str
    authority: str
    asked_at: str

    @property
    def text(self) -> str:
        """The note text that approvers sign."""
        spans = " ".join(map(str, self.spans))
        lines = (
            TITLE,
            self.act,
            self.origin,
            f"entries {spans}",
            f"rule {self.rule}",
            f"authority {self.authority}",
        )
        return "".join(f"{line}\n" for line in (*lines, f"asked {self.asked_at}"))

    @property
    def asked(self) -> datetime:
        """When it was asked for, as the approvers saw it."""
        return datetime.strptime(self.asked_at, "%Y-%m-%dT%H:%M:%S%z")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note text; one spelling only. Raises `EvidenceMalformed`."""
        try:
            title, act, origin, entries, rule, authority, asked, end = text.split("\n")
            request = cls(
                act=Act(act),
                origin=origin,
                spans=tuple(Span.parse(each) for each in entries.removeprefix("entries ").split(" ")),
                rule=rule.removeprefix("rule "),
                authority=authority.removeprefix("authority "),
                asked_at=asked.removeprefix("asked "),
            )
            _ = request.asked
        except ValueError as error:
            raise EvidenceMalformed(
                "a retention request has seven lines; make one with `ledger erase --draft`"
            ) from error
        if request.text != text or title != TITLE or end:
            raise EvidenceMalformed("a retention request is spelt otherwise than it must be")
        if not (_TEXT.fullmatch(request.rule) and _TEXT.fullmatch(request.authority)):
            raise EvidenceMalformed(
                "a retention request names its rule and its authority, each in 3 to 500 characters"
            )
        return request

    def covers(self, shard: str, number: int) -> bool:
        """Whether the entry is among those asked for."""
        return any(span.covers(shard, number) for span in self.spans)

    def meets(self, other: "Request") -> bool:
        """Whether the two have an entry in common."""
        return any(
            one.shard == two.shard and one.first <= two.last and two.first <= one.last
            for one in self.spans
            for two in other.spans
        )


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Who may approve, and how old an entry is before its clear text may go."""

    floor: timedelta
    approvers: tuple[LogKey, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a policy file. Raises `EvidenceMalformed` naming the line."""
        floor: timedelta | None = None
        keys: list[LogKey] = []
        for number, line in enumerate(utf8_text(raw, "retention policy").split("\n"), 1):
            word, _, value = line.partition(" ")
            if not line or word.startswith("#"):
                continue
            if word == "floor-days" and floor is None:
                floor = timedelta(days=decimal(value, f"line {number}: floor-days"))
            elif word == "approver":
                keys.append(LogKey.parse(value))
            else:
                raise EvidenceMalformed(
                    f"line {number}: want one `floor-days <n>` and `approver <vkey>` lines"
                )
        if floor is None or floor < LEAST_FLOOR:
            raise EvidenceMalformed(f"want `floor-days` of at least {LEAST_FLOOR.days}")
        if len({key.public for key in keys}) < max(APPROVERS_NEEDED, len(keys)):
            raise EvidenceMalformed(
                f"want at least {APPROVERS_NEEDED} approvers, each with a key of their own"
            )
        return cls(floor, tuple(keys))


def approved(note: bytes, keys: Iterable[LogKey]) -> tuple[Request, list[LogKey]]:
    """The request, and those among the keys that signed it: at least two different ones.

    Raises `EvidenceMalformed`; `ProofFailed` when a signature is bad or too few signed.
    """
    parsed = Note.parse(note)
    request = Request.parse(parsed.text)
    signers = {key.public: key for key, _ in parsed.verified(keys) if isinstance(key, LogKey)}
    if len(signers) < APPROVERS_NEEDED:
        raise ProofFailed(
            f"{len(signers)} of {APPROVERS_NEEDED} approvers signed; have another one sign the same file"
        )
    return request, list(signers.values())


class Recorded(NamedTuple):
    """One erase or hold entry of the ledger: where it stands, when it was written, what it carries."""

    shard: str
    number: int
    at: datetime
    note: bytes
    vkeys: Sequence[str]


def recorded_in(fields: Any, shard: str, number: int, at: datetime) -> Recorded:
    """An erase or hold entry's request. Raises `EvidenceMalformed` where its fields are not one."""
    match fields:
        case {"request": str(note), "approvers": list(vkeys)} if all(isinstance(vkey, str) for vkey in vkeys):
            return Recorded(shard, number, at, note.encode(), vkeys)
    raise EvidenceMalformed("an erase or hold entry carries a request and its approvers")


class Ruled(NamedTuple):
    """A recorded request that two approvers signed."""

    at: datetime
    request: Request


def ruled(
    recorded: Iterable[Recorded], trusted: Collection[str] | None
) -> tuple[list[Ruled], list[tuple[Recorded, str]]]:
    """The requests that stand, oldest first, and those that do not with the reason.

    `trusted` are the verifier keys of approvers; None takes those that the entries themselves name. Within a shard the order is
    that of the entries, whatever the clock said: one that was set back must not put an erasure before the hold it breaks.
    """
    standing: list[tuple[datetime, Ruled]] = []
    latest: dict[str, datetime] = {}
    refused: list[tuple[Recorded, str]] = []
    for each in sorted(recorded, key=lambda one: (one.shard, one.number)):
        latest[each.shard] = max(each.at, latest.get(each.shard, each.at))
        try:
            keys = [LogKey.parse(vkey) for vkey in each.vkeys if trusted is None or vkey in trusted]
            standing.append((latest[each.shard], Ruled(each.at, approved(each.note, keys)[0])))
        except (EvidenceError, ValueError) as error:
            refused.append((each, str(error)))
    standing.sort(key=lambda one: one[0])
    return [each for _, each in standing], refused


def held(rulings: Iterable[Ruled], shard: str, number: int) -> bool:
    """Whether the entry is under a hold after these: the last hold or lift that covers it decides.

    One that was asked for before the one in force decides nothing: an old lift, kept and recorded again, ends no new hold.
    """
    inforce: Request | None = None
    for _, request in rulings:
        if request.act is Act.ERASE or not request.covers(shard, number):
            continue
        if inforce is None or request.asked >= inforce.asked:
            inforce = request
    return inforce is not None and inforce.act is Act.HOLD


def outdated(rulings: Iterable[Ruled], request: Request, now: datetime) -> str:
    """Why a hold or lift can no longer, or not yet, be recorded; empty when it can."""
    if request.asked > now + MAX_CLOCK_DIFFERENCE:
        return "it was asked for in the future; set the clock, or draft it again"
    for ruling in rulings:
        if ruling.request == request:
            return "it is recorded already; draft a new one"
        if (
            ruling.request.act is not Act.ERASE
            and ruling.request.asked > request.asked
            and ruling.request.meets(request)
        ):
            return "a request asked for later covers some of its entries; draft it again"
    return ""


def why_not(
    rulings: Sequence[Ruled],
    *,
    shard: str,
    number: int,
    kind: str,
    made_at: datetime,
    at: datetime,
    floor: timedelta,
) -> str:
    """Why the clear text of an entry may not go at time `at`, after these rulings; empty when it may."""
    if kind in KEPT_KINDS:
        return f"{kind} entries are never erased"
    if at < made_at + floor:
        return f"it is younger than the floor of {floor.days} days"
    if held(rulings, shard, number):
        return "it is under a hold"
    return ""
