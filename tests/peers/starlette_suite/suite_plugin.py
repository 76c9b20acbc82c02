"""A pytest plugin that runs Starlette's own suite bare, or with purposegate around every app that a test client calls.

`PURPOSEGATE_ARM` is bare, open or monitor; `PURPOSEGATE_REPORT` names the file that gets each test's outcome and what the
gates did. The suite's files are not touched.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from peers.starlette_suite.suite_gate import suite_gate
from purposegate.enforcement.asgi import PurposeGateMiddleware
from purposegate.testing import ForgetfulLedger

ARM = os.environ["PURPOSEGATE_ARM"]
LEDGER = ForgetfulLedger()
OUTCOMES: dict[str, str] = {}
WRAPPED = 0


def _wrap(app: Any) -> PurposeGateMiddleware:
    global WRAPPED  # noqa: PLW0603  one count for the whole run
    WRAPPED += 1
    return PurposeGateMiddleware(app, gate=suite_gate(LEDGER, monitored=ARM == "monitor"))


def _wrapping(original: Callable[..., None]) -> Callable[..., None]:
    """A constructor after which the client's transport calls the app through a gate."""

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.app = _wrap(self.app)
        if isinstance(self, TestClient):
            vars(self)["_transport"].app = self.app

    return construct


def pytest_configure() -> None:
    if ARM != "bare":
        for client in (TestClient, httpx2.ASGITransport):
            setattr(client, "__init__", _wrapping(client.__init__))  # noqa: B010  mypy takes no method for a variable


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A lookup needs asyncio, which grpc.aio knows alone; open routes must pass on trio too."""
    if ARM == "monitor":
        on_trio = [item for item in items if "[trio" in item.nodeid or "-trio" in item.nodeid]
        items[:] = [item for item in items if item not in on_trio]
        config.hook.pytest_deselected(items=on_trio)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    judged = sum(bool(entry.rows) for entry in LEDGER.entries)
    account = {"outcomes": OUTCOMES, "wrapped": WRAPPED, "entries": len(LEDGER.entries), "judged": judged}
    Path(os.environ["PURPOSEGATE_REPORT"]).write_text(json.dumps(account), encoding="utf-8")
