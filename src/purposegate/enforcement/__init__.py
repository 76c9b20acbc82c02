"""Enforcement points: thin entrances to the one gate, who is asking, and what refusals look like on the wire."""
