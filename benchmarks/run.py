"""Runs the benchmarks named, or all of them: each in a process of its own, one after the other.

Exits with 1 if any failed; those that ran have merged their figures all the same.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def known() -> list[str]:
    """The names of all benchmarks, in order."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main(names: list[str]) -> int:
    """Run the named benchmarks. Returns the exit status."""
    if unknown := sorted(set(names) - set(known())):
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known())}", file=sys.stderr)
        return 2
    failed = []
    for name in names or known():
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.bench_{name}"], cwd=HERE.parent, check=False
        )
        if done.returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
