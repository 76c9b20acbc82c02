"""What this room's files are read with; it stands in `purposegate.feeds`."""

from purposegate.feeds.reading import MAX_BYTES, SKEW, Source, read_table, stamp
from purposegate.feeds.table import MAX_CELL, MAX_FINDINGS, Line, Stamp, Table, parts, required, several

__all__ = [
    "MAX_BYTES",
    "MAX_CELL",
    "MAX_FINDINGS",
    "SKEW",
    "Line",
    "Source",
    "Stamp",
    "Table",
    "parts",
    "read_table",
    "required",
    "several",
    "stamp",
]
