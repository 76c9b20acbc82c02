"""Policies written anew so that somebody else's Cerbos serves them under `policyVersion` = their digest.

Several sets can then stand side by side in one server, and an answer under a version proves which set gave it. Names
that Cerbos keeps once for all versions (derived roles, exported variables and constants, schemas) get the digest too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from purposegate.decision.bundle import DEFAULT_VERSION, Bundle, allow_rules_of, canary_files, parse

_NAME_DIGITS = 16
_SCHEME = "cerbos:///"
_EXPORTS = ("derivedRoles", "exportVariables", "exportConstants")
_VERSIONED = ("resourcePolicy", "rolePolicy", "principalPolicy")


def _renamed(name: Any, digest: str) -> str:
    return f"{name}.{digest[:_NAME_DIGITS]}"


def _body(policy: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Any] | None:
    return next((policy[kind] for kind in kinds if isinstance(policy.get(kind), dict)), None)


def _stamp_imports(body: dict[str, Any], digest: str) -> None:
    if body.get("importDerivedRoles"):
        body["importDerivedRoles"] = [_renamed(name, digest) for name in body["importDerivedRoles"]]
    for section in ("variables", "constants"):
        part = body.get(section)
        if isinstance(part, dict) and part.get("import"):
            part["import"] = [_renamed(name, digest) for name in part["import"]]
    schemas = body.get("schemas") or {}
    for schema in schemas.values():
        if isinstance(schema, dict) and str(schema.get("ref", "")).startswith(_SCHEME):
            schema["ref"] = f"{_SCHEME}{digest}/{schema['ref'].removeprefix(_SCHEME)}"


def _stamp(policy: Any, digest: str) -> None:
    if not isinstance(policy, dict):
        return
    exported = _body(policy, _EXPORTS)
    if exported is not None:
        exported["name"] = _renamed(exported.get("name"), digest)
    versioned = _body(policy, _VERSIONED)
    if versioned is not None and versioned.get("version", DEFAULT_VERSION) == DEFAULT_VERSION:
        versioned["version"] = digest
    for body in (exported, versioned):
        if body is not None:
            _stamp_imports(body, digest)


def stamped_files(bundle: Bundle) -> Mapping[str, bytes]:
    """The policies and the canaries under the digest, by relative path. Raises `PolicyError`."""
    written: dict[str, bytes] = {}
    for path, content in (canary_files() | dict(bundle.files)).items():
        if path.startswith("_schemas/"):
            written[f"_schemas/{bundle.digest}/{path.removeprefix('_schemas/')}"] = content
            continue
        policy = parse(path, content)
        _stamp(policy, bundle.digest)
        written[f"{bundle.digest}/{path}"] = json.dumps(policy, indent=1, ensure_ascii=False).encode()
    return MappingProxyType(written)


def stamped_allow_rules(bundle: Bundle) -> frozenset[str]:
    """The `src` names of allow rules as a Cerbos that serves the stamped policies writes them."""
    return allow_rules_of(stamped_files(bundle))


def write(bundle: Bundle, target: Path) -> None:
    """Write the stamped policies below `target`, to be served by others. Blocks; raises `OSError`, `PolicyError`."""
    for path, content in stamped_files(bundle).items():
        written = target / path
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(content)
