"""One way to read the force's own rows: CSV, JSON Lines, a query in YAML, or what another system pushes.

May be in this room: the forms that rows come in, the faults of form, and when a source was true. Not in this room: what a
row means. The register, the directory and the facts' sources read their cells themselves, and all of them all or nothing.
"""
