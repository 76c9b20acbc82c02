"""The suite of every store, on SQLite."""

import pytest

pytest.register_assert_rewrite("ledger_suite")
from ledger_sites import SqliteSite  # noqa: E402  # after the line that makes its asserts speak
from ledger_suite import *  # noqa: E402, F403
from ledger_suite import NewSite  # noqa: E402


@pytest.fixture(scope="module")
def new_site() -> NewSite:
    """Ledgers in files."""
    return SqliteSite
