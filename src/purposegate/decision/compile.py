"""Compiles the policies with Cerbos' own compiler, strictly, and runs their tests: what it finds, by file and line."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from purposegate.decision import binary as binaries
from purposegate.errors import Finding

_COMPILING_S = 120.0
"""Thousands of tests take seconds; past this something hangs."""

_PASSED = "RESULT_PASSED"


def load_findings(record: Mapping[str, Any], policies: Path) -> Iterator[Finding]:
    """The faults in one of Cerbos' records: the compiler's `lintErrors`, or a log line of a server that would not start.

    Every list in it is a list of faults; they differ only in the names of their fields.
    """
    for kind, faults in record.items():
        for fault in faults if isinstance(faults, list) else ():
            if isinstance(fault, dict):
                yield _finding(fault, kind.replace("_", " "), policies)


def _finding(fault: Mapping[str, Any], kind: str, policies: Path) -> Finding:
    details = fault.get("error_details") or {}
    place = fault.get("position") or details.get("position") or {}
    texts = (fault.get("description"), fault.get("desc"), details.get("message"), fault.get("error"))
    expected = next((text for text in texts if text), kind)
    if fault.get("other_file"):
        expected = f"{expected}: also defined in {fault['other_file']}"
    file = fault.get("file") or fault.get("importing_file") or ""
    where = str(place.get("path") or f"({kind})").removeprefix("$.")
    return Finding(
        str(policies / file), int(place.get("line", 1)), where, str(expected).replace("\n", " ")[:500]
    )


def _line_of(file: Path, name: str) -> int:
    """The line where a test file names a test; 1 where it cannot be told."""
    wanted = re.compile(rf"^\s*-?\s*name:\s*[\"']?{re.escape(name)}[\"']?\s*$")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    return next((number for number, line in enumerate(lines, start=1) if wanted.match(line)), 1)


def _cases(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every (names that lead to it, details) of one test case: principal, resource, action."""
    if isinstance(node, dict):
        if isinstance(node.get("details"), dict):
            yield path, node["details"]
            return
        for key in ("principals", "resources", "actions"):
            for child in node.get(key) or ():
                yield from _cases(child, (*path, str(child.get("name", ""))))


def _failures(suite: Mapping[str, Any], policies: Path) -> Iterator[Finding]:
    file = policies / str(suite.get("file", ""))
    if suite.get("error"):
        message = str(suite["error"]).removeprefix("failed to load test suite:").strip().replace("\n", "; ")
        line = re.match(r"(\d+):\d+ ", message)
        yield Finding(str(file), int(line[1]) if line else 1, "(test suite)", message[:500])
    for case in suite.get("testCases") or ():
        name = str(case.get("name", ""))
        for path, details in _cases(case, ()):
            result = str(details.get("result"))
            if result != _PASSED:
                yield Finding(
                    str(file), _line_of(file, name), name, f"{' / '.join(path)}: {_why(result, details)}"
                )


def _why(result: str, details: Mapping[str, Any]) -> str:
    failure = details.get("failure") or {}
    if "expected" in failure and failure["expected"] != failure.get("actual"):
        return f"expected {failure['expected']}, got {failure.get('actual')}"
    if failure.get("outputs"):
        sources = sorted({str(output.get("src")) for output in failure["outputs"]})
        return f"expected another output of {', '.join(sources)}"
    if result == "RESULT_SKIPPED":
        return "expected to run: no test of a policy may be skipped"
    return str(details.get("error") or details.get("skipReason") or result)[:500]


def read_report(text: str, policies: Path) -> list[Finding]:
    """The findings in the compiler's JSON report. Raises `ValueError` where it is none."""
    report = json.loads(text)
    if not isinstance(report, dict):
        raise ValueError("not a report")  # noqa: TRY004 - the text is at fault, as where it is not JSON
    found = list(load_findings(report.get("lintErrors") or {}, policies))
    found += load_findings(report.get("compileErrors") or {}, policies)
    suites = report.get("suites") or []
    for suite in suites:
        found += _failures(suite, policies)
    if not found and not any((suite.get("summary") or {}).get("testsCount") for suite in suites):
        found.append(
            Finding(str(policies), 1, "(tests)", "at least one test of the policies in a *_test.yaml")
        )
    return found


def findings(policies_dir: Path, *, binary: Path | None = None, project: Path | None = None) -> list[Finding]:
    """What Cerbos' compiler and the policies' own tests find wrong; empty where all is well. Blocks.

    Raises `PdpOutage` where there is no fit Cerbos to ask: then nothing is known of the policies.
    """
    cerbos = binaries.find(binary, policies_dir if project is None else project)
    command = [
        str(cerbos.path),
        "compile",
        "--strict-evaluation",
        "--output=json",
        "--color=never",
        str(policies_dir),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own binary, no shell
            command,
            capture_output=True,
            text=True,
            timeout=_COMPILING_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return [Finding(str(policies_dir), 1, "(compile)", f"to compile within {_COMPILING_S:.0f} s")]
    try:
        found = read_report(done.stdout, policies_dir)
    except ValueError:
        found = []
    if done.returncode != 0 and not found:
        said = " ".join(done.stderr.split())[-500:]
        found.append(Finding(str(policies_dir), 1, "(compile)", f"to compile: {said}"))
    return found
