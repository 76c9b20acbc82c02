"""Which rows of the work list an entry makes."""

from purposegate.model import Entry, EntryKind, Obligation


def rows_of(entry: Entry) -> tuple[str, ...]:
    """Why the entry stands on the work list, once for each row; empty where it does not."""
    flagged = {
        *entry.fields.get("obligations", ()),
        *(one for row in entry.rows for one in row["obligations"]),
    }
    if entry.kind is EntryKind.REFUSAL or flagged & {one.value for one in Obligation}:
        return tuple(entry.fields["reasons"]) or tuple(sorted(flagged))
    return ()
