"""Which requests are lookups of what, and the people in what comes back (records.yaml).

In this room: one canonical reading of paths and queries, the mapping of requests to routes, strict reading of answers into
rows and identities, writing them again without what is withheld, sealed cursors and harmless redirects. All of it is pure:
no I/O but reading records.yaml, no policy, no clock but the one a cursor expires by.
"""
