"""Settings files with a ledger section of the test's own, and errors as a log would show them."""

import traceback
from pathlib import Path

from docs_blocks import ROOT, blocks
from purposegate import settings


def settings_of(folder: Path, ledger: str) -> settings.LedgerSettings:
    """The ledger's settings out of the documentation's smallest file, with this section in it."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    smallest = next(each for each in blocks("settings.md", page) if each.language == "yaml").text
    before, rest = smallest.split("ledger:\n", 1)
    path = folder / "purposegate.yaml"
    path.write_text(f"{before}ledger:\n{ledger}{rest[rest.index(chr(10) + 'identity:') :]}")
    return settings.load(path).ledger


def shown(error: BaseException) -> str:
    """Everything that a log may hold of an error, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error)
