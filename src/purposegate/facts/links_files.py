"""The links that references, assignments and reference_records amount to, so that a force without more links has these."""

from collections.abc import Iterator

from purposegate.conflicts.dates import Interval
from purposegate.facts.links import STAFF, Link, node, record_node
from purposegate.facts.links_sqlite import SqliteLinks
from purposegate.facts.work import Assignments, ReferenceRecords, References

ASSIGNED = "assigned"
INVOLVES = "involves"


def links_of_files(
    references: References, assignments: Assignments, reference_records: ReferenceRecords
) -> SqliteLinks:
    """`staff -assigned-> reference` and `reference -involves-> record`; of references that the force does not know, none."""

    def links() -> Iterator[Link]:
        for (ref, staff_id), spells in assignments.held.items():
            reference = references.held.get(ref)
            if reference:
                target = node(reference.kind, ref)
                yield from (Link(node(STAFF, staff_id), ASSIGNED, target, spell) for spell in spells)
        for ref, records in reference_records.held.items():
            reference = references.held.get(ref)
            if reference:
                source = node(reference.kind, ref)
                yield from (Link(source, INVOLVES, record_node(one), Interval()) for one in records)

    as_of = min(source.as_of for source in (references, assignments, reference_records))
    return SqliteLinks.held(links(), as_of=as_of)
