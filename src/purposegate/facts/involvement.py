"""What links say about a lookup: the force's files and any source of links, searched as one, once for each lookup."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import is_
from time import monotonic

from purposegate.conflicts.dates import Interval
from purposegate.errors import FactsOutage
from purposegate.facts.explanations import Explanations
from purposegate.facts.links import LinkSource, LinkStore, record_node
from purposegate.facts.links_search import Explained, Walk
from purposegate.facts.links_sqlite import SqliteLinks
from purposegate.model import Lookup, RecordRef
from purposegate.reasons import Reason
from purposegate.throttle import MinuteTally

LOG = logging.getLogger("purposegate")

WALKS_KEPT = 256
"""Searches kept while their lookups are under way, so that what one stage has read the next does not ask for again."""

LINKS = "links"
"""What facts.yaml and refusals call every source of links."""

Stores = tuple[LinkStore, ...]


class Involvement:
    """Explanations and evidence of work, by the templates of facts.yaml. Sources beyond the files may be none."""

    def __init__(self, explanations: Explanations, sources: Sequence[LinkSource], max_age: timedelta) -> None:
        self.explanations = explanations
        self.sources = tuple(sources)
        self._max_age = max_age
        self._crowds = MinuteTally(clock=monotonic)
        self._walks: OrderedDict[str, tuple[datetime, str, Stores, Walk]] = OrderedDict()

    async def stores(self, lookup: Lookup, files: LinkStore, *, stale_ok: bool) -> Stores:
        """The stores that this lookup is searched in. Raises `FactsOutage` (`facts-stale`, `facts-unavailable`).

        With `stale_ok` a source that is gone is left out: it can only have explained.
        """
        found: list[LinkStore] = [files]
        for source in self.sources:
            try:
                store = await source.view(lookup.principal.id, lookup.at)
            except FactsOutage:
                if not stale_ok:
                    raise
                continue
            if not stale_ok and lookup.at - store.as_of > self._max_age:
                raise FactsOutage(Reason.FACTS_STALE, f"{source.name}: older than its limit in facts.yaml")
            found.append(store)
        return tuple(found)

    def walk(self, lookup: Lookup, stores: Stores, references: Mapping[str, Interval]) -> Walk:
        """The search of this lookup; the same at each of its stages while the stores are the same."""
        at, principal = lookup.at, lookup.principal.id
        kept = self._walks.get(lookup.id)
        if kept and kept[0] == at and kept[1] == principal and _are_same(kept[2], stores):
            return kept[3]
        asked = [store for store in stores if not (isinstance(store, SqliteLinks) and store.is_empty)]
        walk = Walk(asked, self.explanations, principal, at, references=references)
        self._walks[lookup.id] = (at, principal, stores, walk)
        while len(self._walks) > WALKS_KEPT:
            self._walks.popitem(last=False)
        return walk

    async def explained(
        self, walk: Walk, lookup: Lookup, records: Sequence[RecordRef], *, stale_ok: bool
    ) -> tuple[Explained, ...]:
        """What explains each record, in order. Raises `FactsOutage`; with `stale_ok` nothing is explained then."""
        try:
            found = await walk.explain(
                [record_node(record) for record in records],
                ref=lookup.declaration.ref,
                grace=lookup.grace_s,
            )
        except FactsOutage:
            if not stale_ok:
                raise
            return (Explained(),) * len(records)
        if walk.is_crowded and (count := self._crowds.add("")):
            LOG.warning("the links of %d lookup(s) branch beyond the bound, and explain nothing there", count)
        return found

    async def through_reference(self, walk: Walk, lookup: Lookup, records: Sequence[RecordRef]) -> bool:
        """Whether a path that holds now leads to each record through the reference declared. Raises `FactsOutage`."""
        found = await walk.explain(
            [record_node(record) for record in records],
            ref=lookup.declaration.ref,
            grace=lookup.grace_s,
            through_ref=True,
        )
        return all(one.explained_by for one in found)

    async def last_work(
        self, walk: Walk, records: Sequence[RecordRef], *, stale_ok: bool
    ) -> tuple[datetime | None, ...]:
        """See `ForceFacts.last_work`."""
        try:
            return await walk.last_work([record_node(record) for record in records])
        except FactsOutage:
            if not stale_ok:
                raise
            return (None,) * len(records)


def _are_same(some: Stores, others: Stores) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))
