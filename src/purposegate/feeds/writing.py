"""Writes accepted rows down for whoever reads the file next: whole, under its own name, in one step."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from purposegate.feeds.private import write_private
from purposegate.feeds.reading import JSON_ENDINGS
from purposegate.feeds.table import Table


def write_table(path: Path, table: Table, columns: Sequence[str]) -> None:
    """Put the rows in place of the file's: JSON Lines where its name ends so, else CSV, with their time and number.

    Durable on return, of mode 0600. Raises OSError; then the old file stands.
    """
    stated = f"#as_of={table.as_of.isoformat(timespec='seconds')} rows={len(table.lines)}\n"
    text = io.StringIO(stated, newline="")
    text.seek(0, os.SEEK_END)
    if path.suffix.lower() in JSON_ENDINGS:
        text.writelines(json.dumps(line.cells) + "\n" for line in table.lines)
    else:
        sheet = csv.DictWriter(text, columns)
        sheet.writeheader()
        sheet.writerows(line.cells for line in table.lines)
    write_private(path, text.getvalue(), replace=True)
