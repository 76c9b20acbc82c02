"""Whether every payload that is gone was given up as the rules demand: by a recorded request that two people signed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from purposegate.errors import EvidenceMalformed
from purposegate.ledger.reread import ShardCheck
from purposegate.ledger.retention import LEAST_FLOOR, Act, Recorded, Ruled, recorded_in, ruled, why_not
from purposegate.ledger.verdict import Evidence, Report


def settle(checks: Sequence[ShardCheck], evidence: Evidence, report: Report) -> None:
    """Judge each missing payload by the erase and hold entries of all shards."""
    rulings = _rulings(checks, evidence, report)
    policy = evidence.retention
    floor = max(policy.floor, LEAST_FLOOR) if policy else LEAST_FLOOR
    for check in checks:
        for index, body in check.missing:
            why = _unexplained(rulings, check.row.name, index, body, floor)
            if why:
                check.add(index, "the payload is missing", "a payload, or an erase entry that covers it", why)
            else:
                report.erased += 1


def _rulings(checks: Sequence[ShardCheck], evidence: Evidence, report: Report) -> list[Ruled]:
    recorded: list[Recorded] = []
    for check in checks:
        for index, body, fields in check.retained:
            try:
                recorded.append(recorded_in(fields, check.row.name, index, datetime.fromisoformat(body["t"])))
            except EvidenceMalformed as error:
                check.add(index, "the retention request", "a request and its approvers", str(error))
    trusted = {str(key) for key in evidence.retention.approvers} if evidence.retention else None
    standing, refused = ruled(recorded, trusted)
    for each, why in refused:
        report.add(each.shard, each.number, "the retention request", "signed by two approvers", why)
    return standing


def _unexplained(rulings: Sequence[Ruled], shard: str, index: int, body: Any, floor: Any) -> str:
    """Why no recorded erasure explains that a payload is gone; empty when one does."""
    why = "neither"
    for place, ruling in enumerate(rulings):
        if ruling.request.act is not Act.ERASE or not ruling.request.covers(shard, index):
            continue
        made_at = datetime.fromisoformat(body["t"])
        why = why_not(
            rulings[:place],
            shard=shard,
            number=index,
            kind=body["k"],
            made_at=made_at,
            at=ruling.at,
            floor=floor,
        )
        if not why:
            return ""
        why = f"an erase entry, but {why}"
    return why
