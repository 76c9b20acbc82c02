"""splink on the same people: the linker that anybody would reach for, with its own defaults for names, births and addresses.

Unsupervised, one process, DuckDB. It is given what the gate is given, in columns; its threshold is the probability .95, which
is not tuned to the data any more than the gate's is.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from purposegate.model import Identity

LINKAGE = Path(__file__).parents[1] / ".cache/peers/linkage"
sys.path.append(str(LINKAGE))  # installed beside the virtual environment, which it stays out of

LIKELY = 0.95
COLUMNS = ("given", "surname", "born", "number", "street", "locality", "postcode")


def linked(entries: Sequence[Identity], records: Sequence[Identity]) -> list[tuple[int, int]]:
    """Pairs of places (entry, record) that splink takes for one person at its probability .95."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return _linked(entries, records)


def _columns(people: Sequence[Identity]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"unique_id": list(range(len(people)))} | {name: [] for name in COLUMNS}
    for one in people:
        name, home = one.names[0] if one.names else ("", ""), one.addresses[0] if one.addresses else None
        told = (
            *name,
            one.born[0] if one.born else "",
            *((home.number, home.street, home.locality, home.postcode) if home else ("",) * 4),
        )
        for column, text in zip(COLUMNS, told, strict=True):
            found[column].append(text.casefold() or None)
    return found


def _linked(entries: Sequence[Identity], records: Sequence[Identity]) -> list[tuple[int, int]]:
    arrow: Any = __import__("pyarrow")
    splink: Any = __import__("splink")
    compared: Any = __import__("splink.comparison_library", fromlist=["x"])
    rule = splink.block_on
    sides = [_columns(entries), _columns(records)]
    known = [name for name in COLUMNS if any(any(side[name]) for side in sides)]
    comparisons = {
        "given": lambda: compared.NameComparison("given"),
        "surname": lambda: compared.NameComparison("surname"),
        "born": lambda: compared.DateOfBirthComparison("born", input_is_string=True),
        "number": lambda: compared.ExactMatch("number"),
        "street": lambda: compared.JaroWinklerAtThresholds("street", [0.9, 0.7]),
        "locality": lambda: compared.JaroWinklerAtThresholds("locality", [0.9]),
        "postcode": lambda: compared.ExactMatch("postcode"),
    }
    blocks = (
        *(("given", "surname"), ("born",), ("surname", "number"), ("given", "number")),
        *(("street", "number"), ("given", "street"), ("surname", "street")),
    )
    blocking = [rule(*names) for names in blocks if set(names) <= set(known)]
    settings = splink.SettingsCreator(
        link_type="link_only",
        comparisons=[comparisons[name]() for name in known],
        blocking_rules_to_generate_predictions=blocking,
    )
    database = splink.DuckDBAPI()
    tables = [
        database.register(arrow.table({name: arrow.array(side[name]) for name in ("unique_id", *known)}))
        for side in sides
    ]
    linker = splink.Linker(tables, settings)
    linker.training.estimate_probability_two_random_records_match([rule("given", "surname")], recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
    for names in (("given", "surname"), ("born",) if "born" in known else ("street", "number")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule(*names))
    found = linker.inference.predict(threshold_match_probability=LIKELY).as_duckdbpyrelation()
    wanted = found.project("source_dataset_l, unique_id_l, unique_id_r").fetchall()
    first = min(source for source, _, _ in wanted) if wanted else ""
    return [(left, right) if source == first else (right, left) for source, left, right in wanted]
