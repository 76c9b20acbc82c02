"""The decision point: Cerbos, asked natively, proved fit before it decides, never mistaken for a refusal when it is out.

In this room: the questions as Cerbos reads them, the client, the managed process and the remote one, the policies in use
and their digest, and the checks that policies pass before they are used. Nothing here knows what a purpose means or
whether a record is released: policies say the one, `purposegate.judge` the other.
"""

from purposegate.decision.bundle import policies_digest
from purposegate.decision.managed import ManagedDecider
from purposegate.decision.remote import RemoteDecider, Tls

__all__ = ["ManagedDecider", "RemoteDecider", "Tls", "policies_digest"]
