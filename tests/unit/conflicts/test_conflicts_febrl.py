"""Recall and precision on febrl4 through the in-line path. The full figures are the benchmark's; this guards their floor.

febrl's people have no families, and two generators' errors are not a records clerk's: real registers are harder.
"""

from collections import Counter
from pathlib import Path

import pytest

import febrl
from force_files import NOW, OFFICER, row, ties_of
from purposegate.conflicts.circle import seen
from purposegate.model import Identity, Tier, Whose

STAFF = 10
ENTRIES_EACH = 40
RELATIONS = ("parent", "child", "sibling", "in_law", "relative", "friend", "associate", "ex_partner")


def _cells(place: int, listed: febrl.Listed, *, birth: bool, address: bool) -> dict[str, str]:
    name, home = listed.identity.names[0], listed.identity.addresses[0]
    return {
        "id": f"r{place}",
        "principal": f"S{place % STAFF}",
        # Ties of one sort are answered once, by the surest entry: several relations keep entries apart.
        "relation": RELATIONS[place % len(RELATIONS)],
        "provenance": "vetting",
        "names": f"{name.given}|{name.surname}",
        "born": "".join(listed.identity.born) if birth else "",
        "addresses": f"{home.number}|{home.street}||{home.locality}|{home.postcode}" if address else "",
    }


def _withheld(identity: Identity, *, birth: bool, address: bool) -> Identity:
    return Identity(
        names=identity.names,
        born=identity.born if birth else (),
        addresses=identity.addresses if address else (),
    )


@pytest.mark.parametrize(
    ("birth", "address", "recall"), [(True, True, 0.98), (False, True, 0.93), (True, False, 0.86)]
)
def test_the_same_people_are_found_and_no_others(
    tmp_path: Path, recall: float, *, birth: bool, address: bool
) -> None:
    """400 entries of ten members of staff against 400 records, each record compared with everybody's own forty."""
    originals = [
        one
        for one in febrl.people("dataset4a")
        if any(one.identity.names[0]) and any(one.identity.addresses[0])
    ]
    listed = originals[: STAFF * ENTRIES_EACH]
    truth = {f"register:r{place}": one.truth for place, one in enumerate(listed)}
    known = set(truth.values())
    records = [one for one in febrl.people("dataset4b") if one.truth in known]
    entries = [_cells(place, one, birth=birth, address=address) for place, one in enumerate(listed)]
    ties = ties_of(tmp_path, staff=[OFFICER], entries=entries)
    found: Counter[bool] = Counter()
    sure: Counter[bool] = Counter()
    for one in records:
        record = seen(row(_withheld(one.identity, birth=birth, address=address), record=one.id))
        for member in range(STAFF):
            for tie in ties.of(f"S{member}", Whose.PRINCIPAL, record, at=NOW):
                found[truth[tie.entry] == one.truth] += 1
                sure[truth[tie.entry] == one.truth] += tie.tier is Tier.CONFIRMED

    assert found[True] >= recall * len(records)
    assert found[False] <= 2
    assert 0 == sure[False]
