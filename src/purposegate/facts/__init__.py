"""What the force's own data says: assignments, references, duty, tenure, history, and the ties that conflicts finds.

May be in this room: sources with their age, the bands of facts.yaml, counts reserved before a decision, and `ForceFacts`,
which answers the gate. Not in this room: what any of it permits (policies), and any I/O while a lookup waits, save asking
the ledger once for a count that is not in memory.
"""

from purposegate.facts.facts import ForceFacts
from purposegate.facts.sources import FactsPaths, Refusal

__all__ = ["FactsPaths", "ForceFacts", "Refusal"]
