"""The policies in use: read once, named by what they say, and copied where nobody edits them.

What is hashed is what is copied and what Cerbos loads: one read of each file serves all three, so the digest in the
ledger is that of the policies that decided.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from purposegate.decision import purity
from purposegate.decision.purity import Reads
from purposegate.errors import Finding, PolicyError

DOMAIN = b"purposegate-policies-v1\0"
"""Keeps a policies digest from being mistaken for any other SHA-256 in the ledger."""

MAX_FILE_BYTES = 1024 * 1024
MAX_FILES = 2000
"""Far above any policy repository seen; a wrong directory (a home, a root) is refused before it is read."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
DEFAULT_VERSION = "default"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Every file that decides, by its path below the policies directory, and what follows from them.

    `allow_rules` are the `src` names under which Cerbos returns outputs of allow rules, and of no other rule.
    """

    files: Mapping[str, bytes]
    digest: str
    allow_rules: frozenset[str]
    reads: Reads

    @property
    def reads_record_ids(self) -> bool:
        """Whether an expression of the policies could read a record's id."""
        return self.reads.record_ids


def decides(path: PurePosixPath) -> bool:
    """Whether Cerbos loads a file with this relative path: policies and schemas, not tests, fixtures or hidden files."""
    if any(part.startswith(".") or part == "testdata" for part in path.parts):
        return False
    return path.suffix in SUFFIXES and not path.stem.endswith("_test")


def _walk(directory: Path) -> Iterator[tuple[str, Path]]:
    for folder, names, files in os.walk(directory, followlinks=True):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "testdata")
        for name in sorted(files):
            path = Path(folder, name)
            relative = PurePosixPath(path.relative_to(directory).as_posix())
            if decides(relative):
                yield str(relative), path


def read_files(directory: Path) -> dict[str, bytes]:
    """Every file that decides, read once, keyed by relative path. Raises `PolicyError`."""
    if not directory.is_dir():
        raise PolicyError([Finding(str(directory), 1, "(directory)", "a directory of Cerbos policies")])
    files: dict[str, bytes] = {}
    for relative, path in _walk(directory):
        if len(files) >= MAX_FILES:
            raise PolicyError(
                [Finding(str(directory), 1, "(directory)", f"at most {MAX_FILES} policy files")]
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PolicyError(
                [Finding(str(path), 1, "(file)", f"a readable file: {error.strerror}")]
            ) from error
        if len(content) > MAX_FILE_BYTES:
            raise PolicyError([Finding(str(path), 1, "(file)", f"at most {MAX_FILE_BYTES} bytes")])
        files[relative] = content
    if not any(not relative.startswith("_schemas/") for relative in files):
        raise PolicyError([Finding(str(directory), 1, "(directory)", "at least one policy file")])
    return files


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256, hex, over the files in the order of their paths' bytes.

    Each path (UTF-8) and each content is preceded by its length, 8 bytes big-endian, so that no two trees share one
    encoding.
    """
    total = hashlib.sha256(DOMAIN)
    for path, content in sorted((path.encode(), content) for path, content in files.items()):
        for part in (path, content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()


def parse(path: str, content: bytes) -> Any:
    """One policy file as plain values. Raises `PolicyError` naming the line."""
    try:
        return YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError([Finding(path, 1, "(file)", "UTF-8 text")]) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(
            [Finding(path, line, "(yaml)", str(error.problem or "well-formed YAML"))]
        ) from error
    except YAMLError as error:
        raise PolicyError([Finding(path, 1, "(yaml)", "one well-formed YAML document")]) from error


# Cerbos' own rule (internal/namer): kinds written as its first versions demanded lose their punctuation, others keep it.
_OLD_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_@./-]*(?::[A-Za-z][A-Za-z0-9_@./-]*)*")
_PUNCTUATION = re.compile(r"[^A-Za-z0-9_.]+")


def source(kind: str, version: str, scope: str, rule: Any, place: int) -> str:
    """The `src` that Cerbos 0.55 gives a rule's outputs. `place` counts from 1 and names rules that have no name."""
    name = rule.get("name") or f"rule-{place:03d}"
    where = f"/{scope}" if scope else ""
    written = _PUNCTUATION.sub("_", kind) if _OLD_KIND.fullmatch(kind) else kind
    return f"resource.{written}.v{version}{where}#{name}"


def speaks_unmet(rule: Mapping[str, Any]) -> bool:
    """Whether a rule also has an output for when its condition is not met: its outputs do not say that it allowed."""
    output = rule.get("output")
    when = output.get("when") if isinstance(output, Mapping) else None
    return isinstance(when, Mapping) and bool(when.get("conditionNotMet"))


def _sources(policy: Any) -> Iterator[tuple[str, bool]]:
    """(src, whether it is an allow rule's alone) of each rule of a resource policy; nothing for other documents."""
    body = policy.get("resourcePolicy") if isinstance(policy, dict) else None
    if not isinstance(body, dict) or policy.get("disabled"):
        return
    rules = body.get("rules") or []
    for place, rule in enumerate(rules if isinstance(rules, list) else [], start=1):
        if isinstance(rule, dict):
            version = str(body.get("version") or DEFAULT_VERSION)
            src = source(str(body.get("resource", "")), version, str(body.get("scope") or ""), rule, place)
            yield src, rule.get("effect") == "EFFECT_ALLOW" and not speaks_unmet(rule)


def allow_rules_of(files: Mapping[str, bytes], directory: Path = Path()) -> frozenset[str]:
    """The `src` names that only an activated allow rule can have. Raises `PolicyError` for files that do not parse."""
    rules: list[tuple[str, bool]] = []
    for path, content in files.items():
        if not path.startswith("_schemas/"):
            rules += _sources(parse(str(directory / path), content))
    # A name that two rules share (kinds that Cerbos writes alike) proves nothing about which of them spoke.
    others = {src for src, allows in rules if not allows}
    return frozenset(src for src, _ in rules) - others


def read(directory: Path) -> Bundle:
    """Read the policies of a directory. Blocks; raises `PolicyError` with the file and line at fault."""
    files = read_files(directory)
    for path in sorted(files.keys() & canary_files().keys()):
        raise PolicyError(
            [
                Finding(
                    str(directory / path), 1, "(file)", "another name: purposegate's canaries have this one"
                )
            ]
        )
    return Bundle(
        files=MappingProxyType(files),
        digest=digest_of(files),
        allow_rules=allow_rules_of(files, directory),
        reads=purity.of(files),
    )


def policies_digest(directory: Path) -> str:
    """SHA-256 of the policies in a directory, hex, as entries in the ledger name it. Raises `PolicyError`."""
    return digest_of(read_files(directory))


def canary_files() -> dict[str, bytes]:
    """The policies that prove a Cerbos fit, by relative path; they ship with the package."""
    found: dict[str, bytes] = {}

    def gather(folder: Traversable, prefix: str) -> None:
        for item in sorted(folder.iterdir(), key=lambda item: item.name):
            if item.is_dir():
                gather(item, f"{prefix}{item.name}/")
            elif PurePosixPath(item.name).suffix in SUFFIXES:
                found[prefix + item.name] = item.read_bytes()

    gather(resources.files("purposegate.decision") / "canaries", "")
    return found


def _intact(target: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((target / path).read_bytes() == content for path, content in files.items())
    except OSError:
        return False


def place(bundle: Bundle, parent: Path) -> Path:
    """Copy the policies and the canaries to `parent/<digest>`, readable by this account only. Blocks; idempotent.

    Written beside and renamed, so that a directory under its digest is whole; one that lost a file since is made anew.
    One caller at a time. Raises `OSError`.
    """
    files = canary_files() | dict(bundle.files)
    target = parent / bundle.digest
    if _intact(target, files):
        return target
    beside = parent / f".{bundle.digest}"
    for leftover in (target, beside):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        for path, content in files.items():
            written = beside / path
            written.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written.write_bytes(content)
        beside.rename(target)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return target
