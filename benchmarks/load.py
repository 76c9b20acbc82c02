"""Load from wrk, and what it measured. A run with more wrong answers than it may have measured something else, and raises."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("lookups.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: requests a second, and latency percentiles in milliseconds."""

    rps: float
    p50_ms: float
    p99_ms: float
    requests: int


class LoadError(RuntimeError):
    """The load could not be made, or was not answered as it should have been."""


def measure(
    address: str, *, clients: int, seconds: float, lookups: Path, start: int, refused_share: float = 0.0
) -> Measured:
    """Look records up from `clients` connections for `seconds`, one thread, closed loop.

    `lookups` is what `lookups.lua` reads: one request a line, path and header values parted by tabs; the
    first asked is number `start`, counted round. At most `refused_share` of the answers may be other than 2xx or 3xx.
    Raises `LoadError`.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk is missing: apt-get install wrk")
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:g}s"]
    command += ["--timeout", "10s", "--script", str(SCRIPT), address, "--", str(lookups), str(start)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    report = done.stdout.rpartition("MEASURED ")[2]
    if done.returncode != 0 or not report:
        raise LoadError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    said = json.loads(report)
    refused = said["errors"].pop("status")
    faults = {kind: count for kind, count in said["errors"].items() if count}
    if faults or refused > refused_share * said["requests"]:
        faults["status"] = refused
        raise LoadError(f"{address}: {said['requests']} requests, of which went wrong: {faults}")
    return Measured(
        rps=said["requests"] / (said["duration_us"] / 1e6),
        p50_ms=said["p50_us"] / 1e3,
        p99_ms=said["p99_us"] / 1e3,
        requests=said["requests"],
    )
