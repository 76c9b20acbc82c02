"""Scenarios: a small force in one YAML file, its lookups over time, and what the gate must do about them.

May be in this room: reading the file, a simulated clock, the feeds as they would have stood at each moment, a records system
that serves the file's records, and the comparison with what was expected. Not in this room: any judging of a lookup. That is
done by the real gate with the policies it is pointed at, by the real watcher in a process of its own, and by the real ledger.
"""
