"""What people do about lookups after they happened.

May be in this room: reading past lookups out of a ledger, and what is built on it; `watcher` holds all that is covert. Rooms of
the serving path never import this one, and nothing but the command line imports `watcher` (law 6; the import rule checks it). It
may import the ledger's reading side and the register's matching, because it runs where no lookup waits.
"""
