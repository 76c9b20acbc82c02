"""Releases a police record only for a declared, corroborated purpose, and only once the lookup is on disk.

    from datasette.app import Datasette
    from purposegate import PurposeGateMiddleware, load_gate

    app = PurposeGateMiddleware(
        Datasette(immutables=["people.db"]).app(),
        gate=load_gate("purposegate.yaml"),
    )

Serve `app` with any ASGI server. The gate starts its Cerbos and opens its ledger at start-up, or at the first lookup.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purposegate.application import load_gate
    from purposegate.enforcement.asgi import PurposeGateMiddleware
    from purposegate.errors import LookupRefused, Outage, PolicyError, PurposegateError, SettingsError
    from purposegate.gate import Gate
    from purposegate.reasons import Reason

__all__ = [
    "Gate",
    "LookupRefused",
    "Outage",
    "PolicyError",
    "PurposeGateMiddleware",
    "PurposegateError",
    "Reason",
    "SettingsError",
    "load_gate",
]

_HOMES = {
    "Gate": "gate",
    "LookupRefused": "errors",
    "Outage": "errors",
    "PolicyError": "errors",
    "PurposeGateMiddleware": "enforcement.asgi",
    "PurposegateError": "errors",
    "Reason": "reasons",
    "SettingsError": "errors",
    "load_gate": "application",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the pure rooms stay importable without gRPC or SQLite."""
    if name not in _HOMES:
        raise AttributeError(f"module 'purposegate' has no attribute {name!r}")
    return getattr(import_module(f"purposegate.{_HOMES[name]}"), name)
