"""What people do about lookups, before and after they happen.

May be in this room: approvals, hand-overs, countersigns, reviews of broken glass; the work list; reading past lookups out of a
ledger, and what is built on it. `watcher` holds all that is covert. The pipeline never imports this room: it knows
`protocols.Review`, which `desk` implements and the application hands it. Nothing but the command line imports `watcher`
(law 6; the import rule checks it).
"""
