"""Where the independent test vectors stand: the folder shared beside the checkout, else the repository's copies."""

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve()
_SHARED = _HERE.parents[2] / "shared" / "vectors"
VECTORS = _SHARED if _SHARED.is_dir() else _HERE.parent / "vectors"


def vectors(name: str) -> Any:
    """One JSON file of vectors, by its path below the folder."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))
