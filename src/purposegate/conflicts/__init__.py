"""The register, the staff directory, relations, and matching of people to entries.

May be in this room: what conflicts.yaml says of each relation, the register and directory as imported, normalising of
names, dates and addresses, the scorer with its prefilter, neighbours, and `ties`, which joins them. Not in this room:
assignments, duty and history (facts), any question to the PDP, and anything covert: an entry of intelligence provenance
is an error on import, because the serving process must not know of it (law 6).
"""
