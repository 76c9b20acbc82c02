"""The watcher: covert conflict entries, matched against a shipped copy of the ledger (law 6). A program of its own.

May be in this room: reading entries of intelligence provenance, the watcher's own store, key and chain, the checks of the
copy, and the cycle that matches. Nothing of the serving path imports it, and it imports nothing of the serving path but the
ledger's reading side, the ledger as its own chain, and the scorer: the import rule checks both.
"""
