"""What somebody is at work on now, for a page that offers it: read from the links that lookups are explained by."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from purposegate.conflicts.dates import Interval
from purposegate.facts.explanations import Explanations
from purposegate.facts.links import STAFF, LinkStore, is_reference, kind_of, node, seconds

MOST_OFFERED = 50
"""More are not read through by anybody; whoever has more writes the one they mean."""


async def open_references(
    stores: Iterable[LinkStore],
    explanations: Explanations,
    staff_id: str,
    at: datetime,
    *,
    references: Mapping[str, Interval],
) -> tuple[tuple[str, str], ...]:
    """Kind and key of each reference that is assigned to somebody now and is not closed, newest first.

    `references` says when each one was open, by `reference_key`; one that it does not know always was. Raises `FactsOutage`.
    """
    name, wanted = node(STAFF, staff_id), tuple(f">{one}" for one in sorted(explanations.assigned))
    now, found = seconds(at), dict[str, int]()
    for store in stores:
        edges = (await store.near([name], lambda _: wanted))[name]
        for edge in edges or ():
            spell = references.get(edge.node.partition(":")[2])
            is_live = edge.start <= now < edge.end and (spell is None or spell.holds(at))
            if is_live and is_reference(edge.node):
                found[edge.node] = max(edge.start, found.get(edge.node, edge.start))
    newest = sorted(found, key=lambda one: (-found[one], one))[:MOST_OFFERED]
    return tuple((kind_of(one), one.partition(":")[2]) for one in newest)
