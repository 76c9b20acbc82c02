"""Whether the ledger, under this catalogue, these settings and these policies, answers the laws that the settings claim."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from purposegate import documents
from purposegate.decision import bundle as bundles
from purposegate.decision import sheets
from purposegate.decision.sheets import Sheet
from purposegate.errors import Finding, PolicyError
from purposegate.ledger.regimes import Claims, Need, Shortfall, shortfalls
from purposegate.model import Action, Mode
from purposegate.purposes.catalogue import PurposeCatalogue
from purposegate.settings import Settings

NAMED = frozenset(f'{source}.recipient=="named"' for source in ("R.attr", "request.resource.attr"))
"""The condition that makes an export a disclosure to somebody, without its white space."""

_KEYS = {
    Need.ENFORCED: ("modes",),
    Need.RECORDED: ("ledger", "monitor_without_ledger"),
    Need.ORI: ("agency", "ori"),
}
_PURPOSE_KEYS = {Need.REASON: ("reason",), Need.NCIC: ("aliases",), Need.RECIPIENT: ("recipient",)}


def findings(settings: Settings, policies: Path, catalogue: PurposeCatalogue | None) -> list[Finding]:
    """Every place where a mandatory field of a law claimed by `regime` could stay empty, each once."""
    if not settings.regimes or catalogue is None:
        return []
    claims = Claims(
        ori=settings.agency.ori,
        monitored=tuple(kind for kind, mode in settings.modes.items() if mode is Mode.MONITOR),
        passes_unrecorded=settings.ledger.monitor_without_ledger,
    )
    found: dict[tuple[str, Need], list[Shortfall]] = {}
    for each in shortfalls(settings.regimes, catalogue.purposes.values(), claims):
        found.setdefault((each.purpose, each.need), []).append(each)
    written, purposes = documents.parse(settings.path), documents.parse(policies / "purposes.yaml")
    faults: list[Finding] = []
    for (code, need), group in found.items():
        told = f"{group[0].remedy}; {_wanted(group)}"
        if code:
            faults.append(purposes.finding((*_place(code), *_PURPOSE_KEYS[need]), told))
        else:
            faults.append(written.finding(_KEYS[need], told))
    return [*faults, *_unnamed_exports(policies, settings)]


def _wanted(group: list[Shortfall]) -> str:
    fields = ", ".join(sorted({each.field for each in group}))
    return f"regime {', '.join(sorted({each.regime for each in group}))} wants {fields}"


def _place(code: str) -> tuple[str, ...]:
    return tuple(key for part in code.split(".") for key in ("purposes", part))


def _unnamed_exports(policies: Path, settings: Settings) -> Iterator[Finding]:
    """Allow rules under which a record could be exported to nobody named: an export is a disclosure."""
    try:
        files = bundles.read_files(policies / "cerbos")
    except PolicyError:
        return  # the linter names it
    for path, text in files.items():
        sheet = None if path.startswith("_schemas/") else sheets.read(policies / "cerbos" / path, text)[0]
        if sheet is not None:
            yield from _of_sheet(sheet, settings)


def _of_sheet(sheet: Sheet, settings: Settings) -> Iterator[Finding]:
    for keys, rule in sheet.rules():
        actions = rule.get("actions") or ()
        exports = any(action in (Action.EXPORT.value, "*") for action in actions)
        if exports and rule.get("effect") == "EFFECT_ALLOW" and not _names_recipient(rule.get("condition")):
            expected = (
                '`R.attr.recipient == "named"` among the conditions that must all hold, as an export is a disclosure;'
                f" regime {', '.join(settings.regimes)} wants its recipients"
            )
            yield sheet.finding((*keys, "actions"), expected)


def _names_recipient(condition: Any) -> bool:
    """Whether a recipient named is one of the things that must hold: said plainly, alone or in `all.of`."""
    match = condition.get("match") if isinstance(condition, Mapping) else None
    if not isinstance(match, Mapping):
        return False
    if "expr" in match:
        return "".join(str(match["expr"]).split()) in NAMED
    every = match.get("all")
    parts = every.get("of") if isinstance(every, Mapping) else None
    return any(_names_recipient({"match": part}) for part in parts or () if isinstance(part, Mapping))
